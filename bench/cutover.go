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
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchbackdb/switchback/drivers/router/nginx"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/freeport"
	"github.com/switchbackdb/switchback/strategies"
)

const (
	cutoverEvery  = time.Millisecond     // between two requests
	cutoverTime   = 2 * time.Second      // of load before the decision
	cutoverWork   = 3 * time.Millisecond // of the application for a request
	cutoverSettle = time.Second          // from the first configuration to the load
)

// cutover is something that gives all traffic from one backend to another.
type cutover struct {
	name  string
	url   string
	shift func(ctx context.Context, from, to string) error // from no version where that is empty; returns once it holds that nothing is sent to from any more
	stop  func() error
}

// cutovers gives all traffic to the other version and back, while requests go on at a fixed rate: through
// `switchback proxy`, by our driver of NGINX, and by a script that writes an upstream and has NGINX reload it; first to
// versions that listen on the loopback, then to versions in containers, which our side keeps in etcd as well.
func cutovers(ctx context.Context, b *bencher) (err error) {
	blue, green := &version{}, &version{}
	for _, v := range []*version{blue, green} {
		if err := v.start(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, v.server.Close()) }()
	}
	by := []func(context.Context) (*cutover, error){cutoverByProxy, cutoverByNGINX, cutoverByScript}
	if err := b.cutovers(ctx, "cutover", [2]string{blue.address, green.address}, by); err != nil {
		return err
	}
	c, err := startContained(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	return b.cutovers(ctx, "cutover of containers", c.addresses, []func(context.Context) (*cutover, error){c.registered(cutoverByProxy), c.registered(cutoverByNGINX), cutoverByScript})
}

// cutovers measures each way to move the traffic of two versions.
func (b *bencher) cutovers(ctx context.Context, title string, versions [2]string, by []func(context.Context) (*cutover, error)) error {
	var last, took, added, failed []*figure
	for _, open := range by {
		c, err := open(ctx)
		if err != nil {
			return err
		}
		l, t, a, f := &figure{who: c.name}, &figure{who: c.name}, &figure{who: c.name}, &figure{who: c.name}
		last, took, added, failed = append(last, l), append(took, t), append(added, a), append(failed, f)
		err = c.measure(ctx, max(1, b.amount(4*b.rounds)), versions[0], versions[1], l, t, a, f)
		if err = errors.Join(err, c.stop()); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	b.report.table(title+": from the decision to the last request that the old version got", "ms", last)
	b.report.table(title+": until the router is known to follow, and the old version is drained", "ms", took)
	b.report.table(title+": p99 of the requests of the two seconds after the decision, less that of the two before", "ms", added)
	b.report.table(title+": requests that failed", "of a round", failed)
	return nil
}

// measure shifts from one version to the other and back by turns.
func (c *cutover) measure(ctx context.Context, rounds int, from, to string, last, took, added, failed *figure) error {
	if err := c.shift(ctx, to, from); err != nil {
		return err
	}
	// The script does not wait until NGINX has loaded what it wrote. Before, everything is answered 503.
	if err := wait(ctx, cutoverSettle); err != nil {
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
			serr = c.shift(ctx, from, to)
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
		asked, err := lastAsked(ctx, from)
		if err != nil {
			return err
		}
		last.add(max(0, float64(asked.Sub(decided).Microseconds())/1000))
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
	v.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: v}
	go func() { _ = v.server.Serve(l) }()
	return nil
}

// ServeHTTP implements http.Handler.
func (v *version) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case lastPath:
		_, _ = fmt.Fprint(w, v.last.Load())
		return
	case "/": // not a health probe
		v.last.Store(time.Now().UnixNano())
	}
	time.Sleep(cutoverWork)
	_, _ = io.WriteString(w, v.address)
}

// lastPath is where a version says when it last got a request.
const lastPath = "/last"

// lastAsked asks a version when it last got a request. Its clock is this machine's.
func lastAsked(ctx context.Context, address string) (time.Time, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // a connection that is left would be waited for
	body, err := fetch(ctx, client, "http://"+address+lastPath)
	if err != nil {
		return time.Time{}, err
	}
	n, err := strconv.ParseInt(string(body), 10, 64)
	return time.Unix(0, n), err
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
			_, err := fetch(ctx, client, url)
			a := answer{due, time.Since(due), err}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, a)
		})
	}
	wg.Wait()
	return all
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, errors.New(resp.Status))
	}
	return body, errors.Join(err, resp.Body.Close())
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
