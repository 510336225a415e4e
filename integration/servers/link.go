package servers

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Link is a connection to a server that a test can cut: what it listens on is passed on to the server, until Cut.
type Link struct {
	Address string // HOST:PORT of the loopback
	network string
	server  string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
	tasks sync.WaitGroup
}

// NewLink links to a server, such as "tcp" and HOST:PORT, or "unix" and a path. It ends with the test.
func NewLink(t testing.TB, network, server string) *Link {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &Link{Address: listener.Addr().String(), network: network, server: server, conns: map[net.Conn]bool{}}
	l.tasks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.tasks.Go(func() { l.pass(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.Cut()
		l.tasks.Wait()
	})
	return l
}

// Cut ends all connections, and refuses new ones until Mend.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for conn := range l.conns {
		_ = conn.Close()
	}
}

// Drop ends all connections; new ones are taken.
func (l *Link) Drop() {
	l.Cut()
	l.Mend()
}

// Mend lets connections through again.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

// keep has Cut end a connection, or tells that the link is cut.
func (l *Link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	l.conns[conn] = true
	return true
}

func (l *Link) forget(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}

func (l *Link) pass(near net.Conn) {
	defer func() { _ = near.Close() }()
	far, err := net.Dial(l.network, l.server)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	if !l.keep(near) || !l.keep(far) {
		return
	}
	defer l.forget(near)
	defer l.forget(far)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
	both.Wait()
}
