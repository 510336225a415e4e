package recorder

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/switchbackdb/switchback/check/workload"
)

// What a client may begin with, in place of the version of the protocol
// (https://www.postgresql.org/docs/current/protocol-message-formats.html).
const (
	cancelRequest = 80877102
	sslRequest    = 80877103
	gssRequest    = 80877104
)

const (
	maxStartup        = 10_000    // bytes, as in the server
	maxSession        = 1 << 14   // prepared statements of a session that are remembered
	maxNoted          = 1<<20 + 9 // bytes of a statement; one more than is ever noted
	maxName           = 512       // bytes of a portal's and a statement's name together
	maxMessage        = 1 << 30   // bytes, as in the server
	saslBegins        = 10        // of an authentication request
	plus              = "-PLUS"   // ends the name of a mechanism that is bound to the channel
	maxMessageInLogin = 1 << 16
)

// postgres is the wire of PostgreSQL.
type postgres struct {
	config *pgconn.Config
	notes  *workload.Recording
	types  *pgtype.Map
}

func newPostgres(target string, notes *workload.Recording) (*postgres, error) {
	config, err := pgconn.ParseConfig(target)
	if err != nil {
		return nil, fmt.Errorf("read the PostgreSQL URL: %w", err) // pgx leaves the password out
	}
	return &postgres{config: config, notes: notes, types: pgtype.NewMap()}, nil
}

// dial tries the target's hosts as its sslmode says, each with TLS or without.
func (w *postgres) dial(ctx context.Context) (net.Conn, error) {
	hosts := append([]*pgconn.FallbackConfig{{Host: w.config.Host, Port: w.config.Port, TLSConfig: w.config.TLSConfig}}, w.config.Fallbacks...)
	var errs []error
	for _, h := range hosts {
		c, err := dialPostgres(ctx, h)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func dialPostgres(ctx context.Context, h *pgconn.FallbackConfig) (_ net.Conn, err error) {
	network, address := pgconn.NetworkAddress(h.Host, h.Port)
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || h.TLSConfig == nil {
		return c, err
	}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if _, err := c.Write(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, sslRequest)); err != nil {
		return nil, fmt.Errorf("ask %s for TLS: %w", address, err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return nil, fmt.Errorf("ask %s for TLS: %w", address, err)
	}
	if answer[0] != 'S' {
		return nil, fmt.Errorf("%s has no TLS", address)
	}
	secured := tls.Client(c, h.TLSConfig)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return secured, nil
}

// open implements wire.
func (w *postgres) open(ctx context.Context, client net.Conn, dial func(context.Context) (net.Conn, error)) (*session, error) {
	startup, err := beginning(client)
	if err != nil {
		return nil, err
	}
	server, err := dial(ctx)
	if err != nil {
		_, _ = client.Write(refusal())
		return nil, err
	}
	if _, err := server.Write(startup); err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(startup[4:]) == cancelRequest {
		_, _ = io.Copy(io.Discard, server) // it closes when it is done
		return nil, nil
	}
	s := &postgresSession{postgres: w, statements: map[string]workload.Noted{}}
	s.escapes.Store(w.notes.Backslash())
	answered := &frames{headBytes: 5, size: postgresSize, want: s.wantAnswer, take: s.takeAnswer}
	if _, secured := server.(*tls.Conn); secured {
		err = unbound(client, server)
	}
	asked := &frames{headBytes: 5, size: postgresSize, want: s.want, take: s.take}
	return &session{client: client, server: server, asked: asked.feed, answered: answered.feed, noted: s.note}, err
}

// beginning reads what a client begins with, and says no to TLS and to encryption by Kerberos.
func beginning(client net.Conn) ([]byte, error) {
	for range 3 {
		head := make([]byte, 8)
		if _, err := io.ReadFull(client, head); err != nil {
			return nil, err
		}
		size, code := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
		if size < 8 || size > maxStartup {
			return nil, errors.New("a client does not speak PostgreSQL's protocol, or begins with TLS at once\n  next: sslmode=disable in the URL of the application")
		}
		if code == sslRequest || code == gssRequest {
			if _, err := client.Write([]byte{'N'}); err != nil {
				return nil, err
			}
			continue
		}
		startup := append(head, make([]byte, size-8)...)
		if _, err := io.ReadFull(client, startup[8:]); err != nil {
			return nil, err
		}
		return startup, nil
	}
	return nil, errors.New("a client asks for encryption over and over\n  next: sslmode=disable in the URL of the application")
}

// refusal tells a client that there is no server.
func refusal() []byte {
	text, _ := (&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08001", Message: "switchback record cannot reach the target"}).Encode(nil)
	return text
}

// unbound passes what the server says up to where it asks who the client is. What it offers over TLS is bound to its
// own end of the channel, and a client that is not on it could not take it.
func unbound(client io.Writer, server io.Reader) error {
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(server, head); err != nil {
			return err
		}
		size := postgresSize(head)
		if size < 0 || size > maxMessageInLogin {
			return errors.New("the server's login message cannot be read")
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(server, payload); err != nil {
			return err
		}
		if head[0] == 'R' && size > 4 && binary.BigEndian.Uint32(payload) == saslBegins {
			payload = withoutPlus(payload)
			binary.BigEndian.PutUint32(head[1:], uint32(len(payload)+4)) //nolint:gosec // below maxMessageInLogin
		}
		if _, err := client.Write(append(head, payload...)); err != nil {
			return err
		}
		if head[0] == 'R' || head[0] == 'E' {
			return nil
		}
	}
}

// withoutPlus leaves out the mechanisms that are bound to the channel.
func withoutPlus(payload []byte) []byte {
	out := append([]byte{}, payload[:4]...)
	for _, name := range strings.Split(string(payload[4:]), "\x00") {
		if name != "" && !strings.HasSuffix(name, plus) {
			out = append(append(out, name...), 0)
		}
	}
	return append(out, 0)
}

func postgresSize(head []byte) int {
	size := int64(binary.BigEndian.Uint32(head[1:])) - 4
	if size < 0 || size > maxMessage {
		return -1
	}
	return int(size)
}

// postgresSession notes what one client asks.
type postgresSession struct {
	*postgres
	escapes    atomic.Bool // \' is no end of a text: standard_conforming_strings is off
	seen       []message   // not made anything of yet
	statements map[string]workload.Noted
}

// wantAnswer wants the settings that the server reports.
func (s *postgresSession) wantAnswer(head []byte, size int, _ byte) int {
	if head[0] == 'S' && size < maxName {
		return size
	}
	return 0
}

func (s *postgresSession) takeAnswer(_, payload []byte) {
	name, value, _ := strings.Cut(string(payload), "\x00")
	if name == "standard_conforming_strings" {
		s.escapes.Store(strings.HasPrefix(value, "off"))
	}
}

func (s *postgresSession) want(head []byte, _ int, _ byte) int {
	switch head[0] {
	case 'Q', 'P':
		return maxNoted
	case 'B', 'C':
		return maxName
	}
	return 0
}

func (s *postgresSession) take(head, payload []byte) {
	s.seen = append(s.seen, message{kind: head[0], payload: payload, whole: postgresSize(head) == len(payload)})
}

// note takes in what the client has sent.
func (s *postgresSession) note() {
	for _, m := range s.seen {
		switch m.kind {
		case 'Q':
			s.query(m)
		case 'P':
			s.parse(m)
		case 'B': // a portal's name, then the statement's
			if _, rest, ok := strings.Cut(string(m.payload), "\x00"); ok {
				name, _, _ := strings.Cut(rest, "\x00")
				s.notes.Again(s.statements[name])
			}
		case 'C': // S or P, then the name
			if name, ok := strings.CutPrefix(string(m.payload), "S"); ok {
				delete(s.statements, strings.TrimSuffix(name, "\x00"))
			}
		}
	}
	s.seen = s.seen[:0]
}

func (s *postgresSession) query(m message) {
	var q pgproto3.Query
	if !m.whole || q.Decode(m.payload) != nil {
		s.notes.Leave()
		return
	}
	s.notes.Again(s.notes.Note(workload.Asked{Text: q.String, Backslash: s.escapes.Load()}))
}

func (s *postgresSession) parse(m message) {
	var p pgproto3.Parse
	if !m.whole || p.Decode(m.payload) != nil {
		s.notes.Leave()
		name, _, _ := strings.Cut(string(m.payload[:min(len(m.payload), maxName)]), "\x00")
		delete(s.statements, name)
		return
	}
	delete(s.statements, p.Name)
	noted := s.notes.Note(workload.Asked{Text: p.Query, Types: s.typeNames(p.ParameterOIDs), Backslash: s.escapes.Load()})
	if len(noted) > 0 && len(s.statements) < maxSession {
		s.statements[p.Name] = noted
	}
}

// typeNames are the names of types; empty for those that every database has by another number.
func (s *postgresSession) typeNames(oids []uint32) (names []string) {
	for _, oid := range oids {
		name := ""
		if t, ok := s.types.TypeForOID(oid); ok {
			name = t.Name
		}
		names = append(names, name)
	}
	return names
}
