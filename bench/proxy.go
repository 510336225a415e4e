package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/freeport"
)

const (
	proxyClients = 32
	proxyTime    = 6 * time.Second
	bodyBytes    = 1024
)

// proxies sends requests to an application directly, through `switchback proxy` and through NGINX, which
// share the machine with the clients.
func proxies(ctx context.Context, b *bencher) (err error) {
	application, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	body := make([]byte, bodyBytes)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })}
	go func() { _ = server.Serve(application) }()
	defer func() { err = errors.Join(err, server.Close()) }()

	backend := application.Addr().String()
	ours, err := startProxy(ctx)
	if err != nil {
		return err
	}
	defer ours.stop()
	if err := byRouter(ours.router)(ctx, "", backend); err != nil {
		return err
	}
	nginx, stopNginx, err := startNginx(ctx, backend)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopNginx()) }()

	targets := []struct{ name, address string }{{"switchback proxy", ours.address}, {"NGINX", nginx}, {"no proxy", backend}}
	var rates, p99s []*figure
	for _, t := range targets {
		rates, p99s = append(rates, &figure{who: t.name}), append(p99s, &figure{who: t.name})
	}
	for range b.rounds {
		var tails [3]float64
		for i, t := range targets {
			rate, tail, err := hammer(ctx, t.address, time.Duration(float64(proxyTime)*min(1, b.scale)))
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			rates[i].add(rate)
			tails[i] = tail
		}
		for i := range targets {
			p99s[i].add(tails[i] - tails[2])
		}
	}
	b.report.table(fmt.Sprintf("requests through a proxy, %d connections, %d bytes", proxyClients, bodyBytes), "requests/s", rates)
	b.report.table("added by the proxy, p99", "ms", p99s[:2])
	return nil
}

// buildCommand builds the command in a folder.
func buildCommand(ctx context.Context, dir string) (binary string, err error) {
	binary = filepath.Join(dir, "switchback")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/switchback").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
}

// ownProxy is a `switchback proxy` of the bench's own.
type ownProxy struct {
	address string
	router  *proxy.Router
	process int
	stop    func()
}

// startProxy builds the command and starts its proxy as a process of its own.
func startProxy(ctx context.Context) (p *ownProxy, err error) {
	dir, err := os.MkdirTemp("", "sb")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	binary, err := buildCommand(ctx, dir)
	if err != nil {
		return nil, err
	}
	address, err := freeport.Address(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "proxy", "--quiet", "--dir", dir, "--listen", address, "--health", "/healthz")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p = &ownProxy{address: address, router: proxy.NewRouter(filepath.Join(dir, ".switchback", "proxy.sock")), process: cmd.Process.Pid}
	p.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err = p.router.Observe(ctx); err == nil {
			return p, nil
		}
		if time.Now().After(deadline) || wait(ctx, 20*time.Millisecond) != nil {
			p.stop()
			return nil, err
		}
	}
}

func startNginx(ctx context.Context, backend string) (address string, stop func() error, err error) {
	if address, err = freeport.Address(ctx); err != nil {
		return "", nil, err
	}
	stop, err = servers.StartNginx(ctx, fmt.Sprintf(`worker_processes auto;
events { worker_connections 1024; }
http {
  access_log off;
  upstream application { server %s; keepalive %d; }
  server {
    listen %s;
    keepalive_requests 1000000;
    location / {
      proxy_pass http://application;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`, backend, proxyClients*2, address))
	if err != nil {
		return "", stop, err
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return address, stop, c.Close()
		}
		if time.Now().After(deadline) {
			return "", stop, err
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return "", stop, err
		}
	}
}

// hammer sends requests over kept connections, each as soon as the one before is answered.
func hammer(ctx context.Context, address string, d time.Duration) (rate, p99 float64, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []time.Duration
	end := time.Now().Add(d)
	for range proxyClients {
		wg.Go(func() {
			mine, cerr := client(ctx, address, end)
			mu.Lock()
			defer mu.Unlock()
			all, err = append(all, mine...), errors.Join(err, cerr)
		})
	}
	wg.Wait()
	return float64(len(all)) / d.Seconds(), percentile(all, 99), err
}

// client is a bare connection: the clients are not what is measured.
func client(ctx context.Context, address string, end time.Time) (took []time.Duration, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	in := bufio.NewReaderSize(conn, 16<<10)
	for time.Now().Before(end) {
		begun := time.Now()
		n, err := ask(conn, in)
		if err != nil {
			return took, err
		}
		if n != bodyBytes {
			return took, fmt.Errorf("an answer of %d bytes", n)
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}

// ask sends a request over a connection and returns how long the answer's body is.
func ask(conn net.Conn, in *bufio.Reader) (n int64, err error) {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\n\r\n"); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, errors.New(resp.Status))
	}
	return n, errors.Join(err, resp.Body.Close())
}
