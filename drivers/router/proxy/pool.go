package proxy

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	connBufferBytes = 4 << 10
	maxIdleConns    = 1024    // unused connections kept for one backend
	maxHeaderBytes  = 1 << 20 // of an answer's header, 1xx answers included
)

var errHeaderTooLarge = errors.New("the answer's header is too large")

// backendConn is a connection to a backend. One request at a time uses it, from one goroutine; a
// streamed upload writes from a second one.
type backendConn struct {
	net.Conn
	raw    syscall.RawConn // nil where the system has none
	br     *bufio.Reader
	bw     *bufio.Writer
	pool   *pool
	reused bool      // carried a request before
	since  time.Time // unused since

	sent     int64 // bytes of the present request the system took
	headroom int64 // bytes that may still be read before the header must have ended
}

// Write implements io.Writer and counts: a request of which nothing was sent may be sent again.
func (c *backendConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent += int64(n)
	return n, err
}

// Read implements io.Reader, within the bound on headers.
func (c *backendConn) Read(p []byte) (int, error) {
	if c.headroom <= 0 {
		return 0, errHeaderTooLarge
	}
	n, err := c.Conn.Read(p)
	c.headroom -= int64(n)
	return n, err
}

func (c *backendConn) expectHeader() { c.headroom = maxHeaderBytes }
func (c *backendConn) expectBody()   { c.headroom = math.MaxInt64 }

// limit sets when waiting on the connection ends for a request with context ctx. Context and deadline
// share one timer in the connection: a deadline set after the context ended must not undo that.
func (c *backendConn) limit(ctx context.Context, set func(time.Time) error, deadline time.Time) {
	_ = set(deadline)
	if ctx.Err() != nil {
		c.interrupt()
	}
}

// interrupt makes whatever waits on the connection return at once. It stays unusable.
func (c *backendConn) interrupt() { _ = c.SetDeadline(time.Unix(1, 0)) }

// pool keeps the unused connections to one backend, the last used on top.
type pool struct {
	address string
	dialer  net.Dialer
	maxIdle time.Duration

	mu     sync.Mutex
	idle   []*backendConn
	closed bool // no longer routed to: keep nothing
}

func newPool(address string, t Timeouts) *pool {
	return &pool{address: address, dialer: net.Dialer{Timeout: t.Connect}, maxIdle: t.BackendIdle}
}

// hot is how short a connection may have been unused to be trusted unseen. Backends that close an
// unused connection, perhaps with a 408 that must not be taken for an answer, wait far longer; and
// under load, when a look at each would cost most, hardly any rests for so long.
const hot = 5 * time.Millisecond

// get returns a connection: an unused one unless fresh is set, otherwise a new one. With sure set,
// even a hot one is looked at first; the caller's request could not be repeated if it were dead.
func (p *pool) get(ctx context.Context, fresh, sure bool) (*backendConn, error) {
	for !fresh {
		c := p.pop()
		if c == nil {
			break
		}
		unused := time.Since(c.since)
		if unused < p.maxIdle && (unused < hot && !sure || c.alive()) {
			return c, nil
		}
		_ = c.Close()
	}
	return p.dial(ctx)
}

func (p *pool) pop() *backendConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

func (p *pool) dial(ctx context.Context) (*backendConn, error) {
	nc, err := p.dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	c := &backendConn{Conn: nc, pool: p}
	if sc, ok := nc.(syscall.Conn); ok {
		if c.raw, err = sc.SyscallConn(); err != nil {
			return nil, errors.Join(err, nc.Close())
		}
	}
	c.br = bufio.NewReaderSize(c, connBufferBytes)
	c.bw = bufio.NewWriterSize(c, connBufferBytes)
	return c, nil
}

// put takes back a connection whose last answer was read to its end.
func (p *pool) put(c *backendConn) {
	c.reused, c.since, c.sent = true, time.Now(), 0
	p.mu.Lock()
	keep := !p.closed && len(p.idle) < maxIdleConns
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		_ = c.Close()
	}
}

// sweep closes connections that were unused for too long.
func (p *pool) sweep() {
	p.mu.Lock()
	old := 0 // they lie at the bottom
	for old < len(p.idle) && time.Since(p.idle[old].since) >= p.maxIdle {
		old++
	}
	stale := append([]*backendConn(nil), p.idle[:old]...)
	rest := copy(p.idle, p.idle[old:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	p.mu.Unlock()
	closeAll(stale)
}

// setClosed closes the unused connections and keeps none from now on, or opens the pool again.
func (p *pool) setClosed(closed bool) {
	p.mu.Lock()
	p.closed = closed
	var stale []*backendConn
	if closed {
		stale, p.idle = p.idle, nil
	}
	p.mu.Unlock()
	closeAll(stale)
}

func closeAll(conns []*backendConn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// buffers lends the buffers bodies go through.
type buffers struct{ pool sync.Pool }

const copyBufferBytes = 32 << 10

func (p *buffers) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, copyBufferBytes)
	return &b
}

func (p *buffers) put(b *[]byte) { p.pool.Put(b) }
