package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

const idleConnections = 10_000

// idles keeps connections open that ask nothing more, through `switchback proxy` and through NGINX, and looks at what
// these keep in memory.
func idles(ctx context.Context, b *bencher) (err error) {
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer application.Close()
	backend := application.Listener.Addr().String()
	ours, err := startProxy(ctx)
	if err != nil {
		return err
	}
	defer ours.stop()
	if err := byRouter(ours.router)(ctx, "", backend); err != nil {
		return err
	}
	nginx, include, stop, err := ownNGINX(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := widen(filepath.Join(nginx.Dir, "nginx.conf")); err != nil {
		return err
	}
	if err := scripted(nginx, include)(ctx, "", backend); err != nil {
		return err
	}

	n := b.amount(idleConnections)
	figures := []*figure{{who: "switchback proxy"}, {who: "NGINX"}}
	for i, t := range []struct {
		address string
		process int
	}{{ours.address, ours.process}, {strings.TrimPrefix(nginx.URL, "http://"), nginx.Process()}} {
		before, err := resident(t.process)
		if err != nil {
			return err
		}
		open, err := idle(ctx, t.address, n)
		if err != nil {
			return fmt.Errorf("%s: %w", figures[i].who, err)
		}
		after, err := resident(t.process)
		for _, c := range open {
			err = errors.Join(err, c.Close())
		}
		if err != nil {
			return err
		}
		figures[i].add(after - before)
	}
	b.report.table(fmt.Sprintf("memory for %d idle connections that have asked once", n), "MiB", figures)
	return nil
}

// widen lets NGINX keep all connections of the case.
func widen(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	wide := strings.ReplaceAll(string(text), "worker_connections 1024;", fmt.Sprintf("worker_connections %d;", 3*idleConnections))
	wide = strings.Replace(wide, "server {", "keepalive_timeout 10m; server {", 1)
	return os.WriteFile(path, []byte("worker_rlimit_nofile 65536;\n"+wide), 0o600)
}

// idle opens connections and asks once over each.
func idle(ctx context.Context, address string, n int) (open []net.Conn, err error) {
	const dialers = 16
	var wg sync.WaitGroup
	var mu sync.Mutex
	for d := range dialers {
		wg.Go(func() {
			for i := d; i < n; i += dialers {
				conn, cerr := idleOne(ctx, address)
				mu.Lock()
				if conn != nil {
					open = append(open, conn)
				}
				err = errors.Join(err, cerr)
				mu.Unlock()
				if cerr != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return open, err
}

func idleOne(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	_, err = ask(conn, bufio.NewReader(conn))
	return conn, err
}

// resident is what a process and its children keep in memory of their own, in MiB.
func resident(process int) (float64, error) {
	kib, err := privateKiB(process)
	if err != nil {
		return 0, err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", process))
	if err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return 0, err
		}
		more, err := privateKiB(pid)
		if errors.Is(err, os.ErrNotExist) { // an old worker that has ended
			continue
		}
		if err != nil {
			return 0, err
		}
		kib += more
	}
	return kib / 1024, nil
}

func privateKiB(process int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			return strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no RssAnon", process)
}
