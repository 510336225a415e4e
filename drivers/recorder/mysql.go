package recorder

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"

	"github.com/switchbackdb/switchback/check/workload"
)

// What the server says that it can (https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html)
// and is taken out of its greeting: the proxy has to understand what the client sends.
const (
	canCompress   = 1 << 5
	canTLS        = 1 << 11
	canZstd       = 1 << 26
	canAttributes = 1 << 27 // parameters in front of the text of a query
	taken         = canCompress | canTLS | canZstd | canAttributes
)

// noBackslash is the status of a session in which \' ends a text (SERVER_STATUS_NO_BACKSLASH_ESCAPES).
const noBackslash = 1 << 9

// The commands that are noted
// (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html).
const (
	comQuery       = 0x03
	comPrepare     = 0x16
	comExecute     = 0x17
	comClose       = 0x19
	comBulkExecute = 0xfa // MariaDB
)

const (
	maxGreeting = 1 << 16
	fullPacket  = 1<<24 - 1 // bytes: another packet belongs to it
	prepared    = 9         // bytes: 0, the statement's number, of its columns and parameters
)

// mysql is the wire of MySQL and MariaDB.
type mysql struct {
	address string
	notes   *workload.Recording
}

func newMySQL(target *url.URL, notes *workload.Recording) (*mysql, error) {
	if mode := target.Query().Get("tls"); mode != "" && mode != "false" && mode != "preferred" {
		return nil, fmt.Errorf("record does not speak TLS with %s, and the target says tls=%s\n  next: record on a server of the tests, without tls in the URL", target.Scheme, mode)
	}
	port := target.Port()
	if port == "" {
		port = "3306"
	}
	return &mysql{address: net.JoinHostPort(target.Hostname(), port), notes: notes}, nil
}

// dial implements wire.
func (w *mysql) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", w.address)
}

// open implements wire. The server speaks first.
func (w *mysql) open(ctx context.Context, client net.Conn, dial func(context.Context) (net.Conn, error)) (*session, error) {
	server, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(server, head); err != nil {
		return nil, fmt.Errorf("read the server's greeting: %w", err)
	}
	size := mysqlSize(head)
	if size > maxGreeting {
		return nil, errors.New("the server's greeting is not MySQL's")
	}
	greeting := make([]byte, size)
	if _, err := io.ReadFull(server, greeting); err != nil {
		return nil, fmt.Errorf("read the server's greeting: %w", err)
	}
	s := &mysqlSession{mysql: w, backslash: w.notes.Backslash(), statements: map[uint32]workload.Noted{}, before: packet{number: -1}}
	if status := plain(greeting); status&noBackslash != 0 {
		s.backslash = false
	}
	if _, err := client.Write(append(head, greeting...)); err != nil {
		return nil, err
	}
	asked := &frames{headBytes: 4, size: s.begin, want: s.want, take: s.take}
	answered := &frames{headBytes: 4, size: mysqlSize, want: s.wantAnswer, take: s.takeAnswer}
	return &session{client: client, server: server, asked: asked.feed, answered: answered.feed, noted: s.note}, nil
}

// plain takes out of a greeting what a client must not use, and returns the status of the session
// (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html).
// A greeting that is an error is left as it is.
func plain(greeting []byte) (status uint16) {
	end := bytes.IndexByte(greeting, 0) // of the version
	low := end + 1 + 4 + 8 + 1          // behind the connection's number, 8 bytes of salt and a filler
	if len(greeting) == 0 || greeting[0] != 10 || end < 0 || len(greeting) < low+7 {
		return 0
	}
	can := uint32(binary.LittleEndian.Uint16(greeting[low:])) | uint32(binary.LittleEndian.Uint16(greeting[low+5:]))<<16
	can &^= taken
	binary.LittleEndian.PutUint16(greeting[low:], uint16(can&0xffff))
	binary.LittleEndian.PutUint16(greeting[low+5:], uint16(can>>16))
	return binary.LittleEndian.Uint16(greeting[low+3:])
}

func mysqlSize(head []byte) int { return int(head[0]) | int(head[1])<<8 | int(head[2])<<16 }

// packet is what the head of one says.
type packet struct {
	size   int
	number int // counted from 0 in each command, and again from 0 after 255
}

// mysqlSession notes what one client asks.
type mysqlSession struct {
	*mysql
	backslash bool
	unsure    bool // the session's sql_mode was touched: it cannot be told whether \' ends a text
	before    packet
	command   bool      // the packet that is being read is one, rather than a part of one, a password or a file
	seen      []message // not made anything of yet

	// mu is for what both directions know.
	mu         sync.Mutex
	preparing  []*statement // which the server has not answered
	statements map[uint32]workload.Noted
	last       workload.Noted // that was prepared last
}

// statement is one that is being prepared: its text is looked at and its number is told in either order.
type statement struct {
	number   uint32
	numbered bool
	noted    workload.Noted
	looked   bool
}

// begin takes the head of a client's packet. A command has the number 0, unless that stands for 256 in a file of
// LOAD DATA LOCAL, which an empty packet ends.
func (s *mysqlSession) begin(head []byte) int {
	p := packet{size: mysqlSize(head), number: int(head[3])}
	s.command = p.number == 0 && (s.before.number != 255 || s.before.size == 0) && s.before.size != fullPacket
	s.before = p
	return p.size
}

func (s *mysqlSession) want(_ []byte, _ int, first byte) int {
	if !s.command {
		return 0
	}
	switch first {
	case comQuery, comPrepare:
		return maxNoted
	case comExecute, comBulkExecute, comClose:
		return 5 // with the statement's number
	}
	return 0
}

func (s *mysqlSession) take(head, payload []byte) {
	m := message{kind: payload[0], payload: payload[1:], whole: mysqlSize(head) == len(payload)}
	if m.kind == comPrepare {
		m.prepares = &statement{}
		s.mu.Lock()
		s.preparing = append(s.preparing, m.prepares)
		s.mu.Unlock()
	}
	s.seen = append(s.seen, m)
}

// wantAnswer wants what the server says to a statement that is prepared: the first packet of its answer.
func (s *mysqlSession) wantAnswer(head []byte, size int, first byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.preparing) > 0 && head[3] == 1 && (first == 0 && size >= prepared+3 || first == 0xff) {
		return prepared
	}
	return 0
}

func (s *mysqlSession) takeAnswer(_, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.preparing[0]
	s.preparing = s.preparing[1:]
	if payload[0] == 0 {
		p.number, p.numbered = binary.LittleEndian.Uint32(payload[1:]), true
		s.settle(p)
	}
}

// settle remembers a statement when both are known. The caller holds mu.
func (s *mysqlSession) settle(p *statement) {
	if p.looked && p.numbered && len(p.noted) > 0 && len(s.statements) < maxSession {
		s.statements[p.number] = p.noted
	}
}

// note takes in what the client has sent.
func (s *mysqlSession) note() {
	for _, m := range s.seen {
		switch m.kind {
		case comQuery:
			s.notes.Again(s.text(m))
		case comPrepare:
			noted := s.text(m)
			s.mu.Lock()
			m.prepares.noted, m.prepares.looked, s.last = noted, true, noted
			s.settle(m.prepares)
			s.mu.Unlock()
		case comExecute, comBulkExecute:
			s.notes.Again(s.numbered(m.payload))
		case comClose:
			s.mu.Lock()
			if len(m.payload) >= 4 {
				delete(s.statements, binary.LittleEndian.Uint32(m.payload))
			}
			s.mu.Unlock()
		}
	}
	s.seen = s.seen[:0]
}

// lastPrepared is the number by which MariaDB's clients call the statement that they prepared last.
const lastPrepared = 1<<32 - 1

func (s *mysqlSession) numbered(payload []byte) workload.Noted {
	if len(payload) < 4 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	number := binary.LittleEndian.Uint32(payload)
	if number == lastPrepared {
		return s.last
	}
	return s.statements[number]
}

// text notes the text of a command.
func (s *mysqlSession) text(m message) workload.Noted {
	text := string(m.payload)
	s.unsure = s.unsure || strings.Contains(strings.ToLower(text[:min(len(text), maxName)]), "sql_mode")
	if !m.whole || s.unsure && strings.Contains(text, `\`) {
		s.notes.Leave()
		return nil
	}
	return s.notes.Note(workload.Asked{Text: text, Backslash: s.backslash})
}
