package main

import (
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
	"sync/atomic"
	"time"

	"github.com/switchbackdb/switchback/drivers/router/nginx"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/freeport"
	"github.com/switchbackdb/switchback/strategies"
)

const (
	cutoverEvery = time.Millisecond     // between two requests
	cutoverTime  = 2 * time.Second      // of load before the decision
	cutoverWork  = 3 * time.Millisecond // of the application for a request
)

// cutover is something that gives all traffic from one backend to another.
type cutover struct {
	name  string
	url   string
	shift func(ctx context.Context, from, to string) error // from no version where that is empty; returns once it holds that nothing is sent to from any more
	stop  func() error
}

// cutovers gives all traffic to the other version and back, while requests go on at a fixed rate: through
// `switchback proxy`, by our driver of NGINX, and by a script that writes an upstream and has NGINX reload it.
func cutovers(ctx context.Context, b *bencher) (err error) {
	blue, green := &version{}, &version{}
	for _, v := range []*version{blue, green} {
		if err := v.start(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, v.server.Close()) }()
	}
	var last, took, added, failed []*figure
	for _, open := range []func(context.Context) (*cutover, error){cutoverByProxy, cutoverByNGINX, cutoverByScript} {
		c, err := open(ctx)
		if err != nil {
			return err
		}
		l, t, a, f := &figure{who: c.name}, &figure{who: c.name}, &figure{who: c.name}, &figure{who: c.name}
		last, took, added, failed = append(last, l), append(took, t), append(added, a), append(failed, f)
		err = c.measure(ctx, max(1, b.amount(4*b.rounds)), blue, green, l, t, a, f)
		if err = errors.Join(err, c.stop()); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	b.report.table("cutover: from the decision to the last request that the old version got", "ms", last)
	b.report.table("cutover: until the router is known to follow, and the old version is drained", "ms", took)
	b.report.table("cutover: p99 of the requests of the two seconds after the decision, less that of the two before", "ms", added)
	b.report.table("cutover: requests that failed", "of a round", failed)
	return nil
}

// measure shifts from one version to the other and back by turns.
func (c *cutover) measure(ctx context.Context, rounds int, from, to *version, last, took, added, failed *figure) error {
	if err := c.shift(ctx, to.address, from.address); err != nil {
		return err
	}
	for range rounds {
		begun := make(chan time.Time, 1)
		var shifted time.Duration
		var serr error
		var wg sync.WaitGroup
		wg.Go(func() {
			if serr = wait(ctx, cutoverTime); serr != nil {
				begun <- time.Now()
				return
			}
			decided := time.Now()
			begun <- decided
			serr = c.shift(ctx, from.address, to.address)
			shifted = time.Since(decided)
		})
		answers := openLoop(ctx, c.url, 2*cutoverTime)
		wg.Wait()
		if err := errors.Join(serr, context.Cause(ctx)); err != nil {
			return err
		}
		decided := <-begun
		var before, after []time.Duration
		lost := 0
		for _, a := range answers {
			switch {
			case a.err != nil:
				lost++
			case a.due.Before(decided):
				before = append(before, a.took)
			default:
				after = append(after, a.took)
			}
		}
		last.add(max(0, float64(time.Unix(0, from.last.Load()).Sub(decided).Microseconds())/1000))
		took.add(float64(shifted.Microseconds()) / 1000)
		added.add(percentile(after, 99) - percentile(before, 99))
		failed.add(float64(lost))
		from, to = to, from
	}
	return nil
}

// version is a version of an application that remembers when it last got a request.
type version struct {
	address string
	server  *http.Server
	last    atomic.Int64 // Unix nanoseconds
}

func (v *version) start(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	v.address = l.Addr().String()
	v.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" { // not a health probe
			v.last.Store(time.Now().UnixNano())
		}
		time.Sleep(cutoverWork)
		_, _ = io.WriteString(w, v.address)
	})}
	go func() { _ = v.server.Serve(l) }()
	return nil
}

// answer is what became of a request. Its time counts from when it was due.
type answer struct {
	due  time.Time
	took time.Duration
	err  error
}

// openLoop sends requests that are due one after the other, whether those before are answered or not.
func openLoop(ctx context.Context, url string, d time.Duration) (all []answer) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	var mu sync.Mutex
	end := time.Now().Add(d)
	for due := time.Now(); due.Before(end); due = due.Add(cutoverEvery) {
		if wait(ctx, time.Until(due)) != nil {
			break
		}
		wg.Go(func() {
			err := get(ctx, client, url)
			a := answer{due, time.Since(due), err}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, a)
		})
	}
	wg.Wait()
	return all
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, errors.New(resp.Status))
	}
	return errors.Join(err, resp.Body.Close())
}

// byRouter shifts by one of our drivers, as a release does: the router is told, and the old version is drained.
func byRouter(r strategies.Router) func(ctx context.Context, from, to string) error {
	n := 0
	return func(ctx context.Context, from, to string) error {
		n++
		green := []strategies.Backend{{Slot: strategies.Green, Address: to, Weight: 100}}
		if _, err := r.Shift(ctx, strategies.Operation{ID: fmt.Sprint("bench ", n), Fence: 1}, green); err != nil || from == "" {
			return err
		}
		drained, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		left, err := r.Drain(drained, from)
		if left > 0 {
			err = errors.Join(err, fmt.Errorf("%d requests are left", left))
		}
		return err
	}
}

func cutoverByProxy(ctx context.Context) (*cutover, error) {
	p, err := startProxy(ctx)
	if err != nil {
		return nil, err
	}
	return &cutover{"switchback proxy", "http://" + p.address + "/", byRouter(p.router), func() error { p.stop(); return nil }}, nil
}

// ownNGINX is an NGINX whose configuration includes the file switchback.conf of its folder.
func ownNGINX(ctx context.Context) (n *servers.NGINX, include string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "sbn") // a socket's path has to be short
	if err != nil {
		return nil, "", nil, err
	}
	if n, err = servers.StartNGINX(ctx, dir); err != nil {
		return nil, "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	include = filepath.Join(dir, "switchback.conf")
	stop = func() error { return errors.Join(n.Stop(), os.RemoveAll(dir)) }
	return n, include, stop, n.Include(include)
}

func cutoverByNGINX(ctx context.Context) (*cutover, error) {
	n, include, stop, err := ownNGINX(ctx)
	if err != nil {
		return nil, err
	}
	beacon, err := freeport.Address(ctx)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	router, err := nginx.New(nginx.Options{Include: include, Beacon: beacon, Test: n.Test, Reload: n.Reload})
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return &cutover{"switchback on NGINX", n.URL + "/", byRouter(router), stop}, nil
}

// cutoverByScript is what people write by hand. It ends when the reload was asked for, and knows nothing of the old
// version's requests.
func cutoverByScript(ctx context.Context) (*cutover, error) {
	n, include, stop, err := ownNGINX(ctx)
	if err != nil {
		return nil, err
	}
	return &cutover{"nginx -s reload", n.URL + "/", scripted(n, include), stop}, nil
}

func scripted(n *servers.NGINX, include string) func(ctx context.Context, from, to string) error {
	return func(ctx context.Context, _, to string) error {
		text := fmt.Sprintf("upstream app { server %s; keepalive 64; }\nmap $host $switchback { default app; }\n", to)
		if err := os.WriteFile(include, []byte(text), 0o600); err != nil {
			return err
		}
		for _, argv := range [][]string{n.Test, n.Reload} {
			if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", argv, err, out)
			}
		}
		return nil
	}
}
