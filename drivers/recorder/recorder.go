// Package recorder is a proxy for the wire protocols of PostgreSQL and of MySQL and MariaDB. It notes what an
// application asks its database while, say, its tests run.
//
//	application ──bytes──▶ Proxy ──the same bytes──▶ server
//	                         └─ frames ─▶ statements ─▶ workload.Recording
//
// Bytes are passed on before anything is made of them, so that a query waits for the recording of none. Who the
// application is, the server finds out itself: passwords go through as they come. The one thing that is changed is
// what the two sides agree on in the beginning: no TLS and no compression between application and proxy.
package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/migrate"
)

// connectTimeout is how long the server may take to let a connection in.
const connectTimeout = 10 * time.Second

// Config says what is recorded.
type Config struct {
	Listen string // address for the application: 127.0.0.1:0
	Target string // URL of the database: postgres://…, mysql://… or mariadb://…
	// Trouble is told what kept a client from being served. It may be called by several goroutines.
	Trouble func(error)
}

// Proxy stands between an application and its database.
type Proxy struct {
	config   Config
	target   *url.URL
	engine   migrate.Engine
	wire     wire
	listener net.Listener
	notes    *workload.Recording

	mu    sync.Mutex
	conns map[net.Conn]bool // nil when the proxy has ended
}

// wire is the protocol of an engine.
type wire interface {
	// dial opens a connection to the server.
	dial(ctx context.Context) (net.Conn, error)
	// open takes a client to the beginning of its session: what it is told there is changed, and who it is passes. It
	// returns what looks at the bytes of either side afterwards; nil when there is nothing more to pass.
	open(ctx context.Context, client net.Conn, dial func(context.Context) (net.Conn, error)) (*session, error)
}

// session is a client with its connection to the server.
type session struct {
	client, server net.Conn
	// asked and answered look at bytes before they are passed on, and must not keep them.
	asked, answered func([]byte)
	// noted makes something of what asked has seen, once it was passed on.
	noted func()
}

// Listen opens the proxy's address, after one connection to the server to see that there is one. Connections wait
// until Run is called. The error never holds the target's password.
func Listen(ctx context.Context, c Config) (*Proxy, error) {
	target, err := url.Parse(c.Target)
	if err != nil {
		return nil, errors.New("the target's URL cannot be read: want postgres://user:password@host/name, with special characters of the password percent-encoded")
	}
	p := &Proxy{config: c, target: target, engine: migrate.Engine(target.Scheme), conns: map[net.Conn]bool{}}
	switch target.Scheme {
	case "postgres", "postgresql":
		p.engine = migrate.Postgres
		p.notes = workload.NewRecording(p.engine)
		p.wire, err = newPostgres(c.Target, p.notes)
	case "mysql", "mariadb":
		p.notes = workload.NewRecording(p.engine)
		p.wire, err = newMySQL(target, p.notes)
	default:
		err = fmt.Errorf("record the target %q: want postgres://…, mysql://… or mariadb://…, or env:NAME", shown(c.Target))
	}
	if err != nil {
		return nil, err
	}
	conn, err := p.wire.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach the target: %w", err)
	}
	if err := conn.Close(); err != nil {
		return nil, fmt.Errorf("reach the target: %w", err)
	}
	if p.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	return p, nil
}

// shown is as much of what was given for a target as can hold no password, wherever it was meant to stand.
func shown(target string) string {
	if _, behind, ok := strings.Cut(target, "@"); ok {
		target = "…@" + behind[strings.LastIndexByte(behind, '@')+1:]
	}
	if before, _, ok := strings.Cut(target, "?"); ok {
		target = before + "?…"
	}
	if strings.ContainsAny(target, " =") { // words of libpq: host=… password=…
		return "…"
	}
	return target
}

// Address is where an application on this machine connects to: 127.0.0.1:41233.
func (p *Proxy) Address() string {
	a := p.listener.Addr().(*net.TCPAddr)
	if a.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port))
	}
	return a.String()
}

// URL is the target's with the proxy's address. It holds the target's password.
func (p *Proxy) URL() string {
	u := *p.target
	u.Host = p.Address()
	q := u.Query()
	if p.engine == migrate.Postgres {
		for _, name := range []string{"host", "hostaddr", "port", "sslcert", "sslkey", "sslrootcert", "sslnegotiation", "channel_binding"} {
			q.Del(name)
		}
		q.Set("sslmode", "disable")
	} else {
		q.Del("tls")
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Close ends a proxy that is not running. Run closes what it serves itself.
func (p *Proxy) Close() error { return p.listener.Close() }

// Recording is what was seen so far.
func (p *Proxy) Recording() *workload.Recording { return p.notes }

// Run serves until ctx ends, then cuts all connections, and returns when nothing goes on any more.
func (p *Proxy) Run(ctx context.Context) error {
	var clients sync.WaitGroup
	defer clients.Wait()
	stop := context.AfterFunc(ctx, p.cut)
	defer stop()
	defer p.cut()
	for {
		client, err := p.listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept a connection: %w", err)
		}
		if !p.hold(client) {
			continue
		}
		clients.Go(func() {
			defer p.release(client)
			if err := p.serve(ctx, client); err != nil && ctx.Err() == nil && p.config.Trouble != nil {
				p.config.Trouble(err)
			}
		})
	}
}

// hold remembers a connection, to be cut at the end. It closes it and returns false when that has come.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) release(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = c.Close()
	delete(p.conns, c)
}

func (p *Proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// dial opens a connection to the server that is cut at the end.
func (p *Proxy) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	c, err := p.wire.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach the target: %w", err)
	}
	if !p.hold(c) {
		return nil, net.ErrClosed
	}
	return c, nil
}

// serve passes what a client and the server say, until one of them ends.
func (p *Proxy) serve(ctx context.Context, client net.Conn) error {
	var server net.Conn
	defer func() {
		if server != nil {
			p.release(server)
		}
	}()
	s, err := p.wire.open(ctx, client, func(ctx context.Context) (c net.Conn, err error) {
		server, err = p.dial(ctx)
		return server, err
	})
	if err != nil || s == nil {
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return nil // somebody who only looked whether there is a server
		}
		return err
	}
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		pass(s.client, s.server, s.answered, nil)
		_ = s.client.Close()
	}()
	pass(s.server, s.client, s.asked, s.noted)
	_ = s.server.Close()
	<-answers
	return nil
}

// bufferBytes is how much is passed on at a time.
const bufferBytes = 32 << 10

// pass copies bytes until either side ends: see looks at them before, done is called after they were passed.
func pass(to io.Writer, from io.Reader, see func([]byte), done func()) {
	buffer := make([]byte, bufferBytes)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			see(buffer[:n])
			if _, werr := to.Write(buffer[:n]); werr != nil {
				return
			}
			if done != nil {
				done()
			}
		}
		if err != nil {
			return
		}
	}
}
