package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

var (
	_ strategies.Router = (*Router)(nil)
	_ strategies.Caller = (*Router)(nil)
)

// ErrNotRunning is wrapped by the errors of a Router whose proxy does not answer.
var ErrNotRunning = errors.New("the proxy is not running")

// drainPoll is how often Drain asks how many requests are left.
const drainPoll = 25 * time.Millisecond

// Router moves the traffic of a running Server through its admin socket. It implements
// strategies.Router and may be used by several goroutines.
type Router struct {
	socket string
	client *http.Client
}

// NewRouter returns a Router for the proxy whose admin socket is at path adminSocket. It does not
// connect yet.
func NewRouter(adminSocket string) *Router {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, err := socketPath(adminSocket)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Router{
		socket: adminSocket,
		client: &http.Client{Transport: &http.Transport{
			DialContext: dial,
			// The calls are rare, and a proxy that was restarted must not be met on an old connection.
			DisableKeepAlives: true,
		}},
	}
}

// Calls implements strategies.Caller.
func (r *Router) Calls(context.Context) ([]string, error) {
	return []string{"tell the proxy at " + r.socket}, nil
}

// Observe returns the routing the proxy serves by. Before the first shift it has no backends.
func (r *Router) Observe(ctx context.Context) (strategies.Routing, error) {
	var routing strategies.Routing
	err := r.call(ctx, http.MethodGet, "/routing", nil, &routing)
	return routing, err
}

// Shift puts backends in force (see strategies.CheckBackends) and confirms it by observing. The same operation with
// the same backends changes nothing. A fence smaller than one the proxy has seen gives
// strategies.ErrStaleFence; a routing that somebody else changed right after gives
// strategies.ErrForeignChange.
func (r *Router) Shift(ctx context.Context, op strategies.Operation, backends []strategies.Backend) (strategies.Routing, error) {
	var done strategies.Routing
	in := shiftRequest{Operation: op.ID, Fence: op.Fence, Backends: backends}
	if err := r.call(ctx, http.MethodPut, "/routing", in, &done); err != nil {
		return strategies.Routing{}, fmt.Errorf("shift traffic: %w", err)
	}
	seen, err := r.Observe(ctx)
	if err != nil {
		return strategies.Routing{}, fmt.Errorf("confirm shift of traffic: %w", err)
	}
	switch {
	case seen.Fence > op.Fence:
		return seen, fmt.Errorf("confirm shift of traffic: the proxy at %s follows fence %d, ours is %d: %w",
			r.socket, seen.Fence, op.Fence, strategies.ErrStaleFence)
	case seen.Operation != op.ID || !slices.Equal(seen.Backends, backends):
		return seen, fmt.Errorf("confirm shift of traffic: the proxy at %s follows operation %s, ours is %s: %w",
			r.socket, seen.Operation, op.ID, strategies.ErrForeignChange)
	}
	return seen, nil
}

// Drain waits until nothing is under way at address, WebSockets included, and returns 0. When ctx
// reaches its deadline first, it returns how many were left and no error; when ctx is cancelled, how
// many were left and the context's error. An address that still has weight is an error at once.
func (r *Router) Drain(ctx context.Context, address string) (left int, err error) {
	path := "/connections?address=" + url.QueryEscape(address)
	return strategies.Drained(ctx, address, drainPoll, func() (int, error) {
		var now connections
		err := r.call(ctx, http.MethodGet, path, nil, &now)
		if err == nil && now.Weight > 0 {
			err = fmt.Errorf("it still has weight %d; shift its traffic away first", now.Weight)
		}
		return int(now.InFlight), err
	})
}

// Stats returns what the proxy counted since it started.
func (r *Router) Stats(ctx context.Context) (Stats, error) {
	var stats Stats
	err := r.call(ctx, http.MethodGet, "/stats", nil, &stats)
	return stats, err
}

// Measure implements strategies.Measurer.
func (r *Router) Measure(ctx context.Context) ([]strategies.Measure, error) {
	stats, err := r.Stats(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask what was counted: %w", err)
	}
	var list []strategies.Measure
	for _, b := range stats.Backends {
		m := strategies.Measure{Address: b.Address, Requests: b.Requests, Failed: b.Errors + b.ConnectFailures, Latency: map[time.Duration]uint64{}}
		for upper, n := range b.Latency {
			m.Latency[time.Duration(upper)*time.Microsecond] = n //nolint:gosec // a bucket's bound, less than two hours
		}
		list = append(list, m)
	}
	return list, nil
}

// call sends one request to the admin socket and decodes the answer into out.
func (r *Router) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fmt.Errorf("encode %s %s: %w", method, path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://proxy"+path, &body)
	if err != nil {
		return fmt.Errorf("proxy at %s: %w", r.socket, err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return r.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return r.refused(resp)
	}
	if err := decodeStrict(resp.Body, out); err != nil {
		return fmt.Errorf("proxy at %s: decode answer to %s %s: %w", r.socket, method, path, err)
	}
	return nil
}

// unreachable explains why the proxy gave no answer.
func (r *Router) unreachable(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" && op.Err != nil && !op.Timeout() {
		return fmt.Errorf("proxy at %s: %w (%w)", r.socket, ErrNotRunning, op.Err)
	}
	return fmt.Errorf("proxy at %s: %w", r.socket, err)
}

// refused turns an answer that is no success into an error.
func (r *Router) refused(resp *http.Response) error {
	var reason adminError
	if err := decodeStrict(resp.Body, &reason); err != nil {
		return fmt.Errorf("proxy at %s: %s", r.socket, resp.Status)
	}
	failure := &adminFailure{text: fmt.Sprintf("proxy at %s: %s", r.socket, reason.Error)}
	switch reason.Code {
	case codeStaleFence:
		failure.kind = strategies.ErrStaleFence
	case codeInvalid:
		failure.kind = strategies.ErrInvalidRouting
	}
	return failure
}

// adminFailure carries the proxy's own words, which already name the kind of error.
type adminFailure struct {
	text string
	kind error
}

func (f *adminFailure) Error() string { return f.text }
func (f *adminFailure) Unwrap() error { return f.kind }
