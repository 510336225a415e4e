package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/switchbackdb/switchback/internal/freeport"
)

// HAProxy is an HAProxy of a test's own: a child process that sends its requests to the servers of the backend "shop", none
// of which is in use at first.
type HAProxy struct {
	URL    string // where it takes requests
	Socket string // of its runtime API
	proc   *exec.Cmd
	ended  chan error
}

// StartHAProxy starts one with its files in a folder, whose path has to be short: a socket is in it.
func StartHAProxy(ctx context.Context, dir string) (*HAProxy, error) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			return nil, fmt.Errorf("HAProxy is not installed (apt-get install --no-install-recommends haproxy): %w", err)
		}
	}
	address, err := freeport.Address(ctx)
	if err != nil {
		return nil, err
	}
	h := &HAProxy{URL: "http://" + address, Socket: filepath.Join(dir, "admin.sock"), ended: make(chan error, 1)}
	file := filepath.Join(dir, "haproxy.cfg")
	text := fmt.Sprintf(`global
    stats socket %s mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    retries 0
frontend shop
    bind %s
    default_backend shop
backend shop
    balance roundrobin
    server-template s 4 127.0.0.1:1 disabled
`, h.Socket, address)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	h.proc = exec.CommandContext(context.WithoutCancel(ctx), program, "-db", "-f", file)
	return h, h.start(ctx)
}

// start starts it and waits until it listens.
func (h *HAProxy) start(ctx context.Context) error {
	var said bytes.Buffer
	h.proc.Stderr = &said
	if err := h.proc.Start(); err != nil {
		return err
	}
	go func() { h.ended <- h.proc.Wait() }()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", h.URL[len("http://"):])
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-h.ended:
			return fmt.Errorf("HAProxy ended: %w: %s", err, said.String())
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), h.Stop())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop ends HAProxy and waits for it.
func (h *HAProxy) Stop() error {
	if err := h.proc.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-h.ended: //nolint:errcheck // by that signal, which is what its exit code says
		return nil
	case <-time.After(10 * time.Second):
		return errors.Join(errors.New("HAProxy did not end"), h.proc.Process.Kill())
	}
}
