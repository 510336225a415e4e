package conformance

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
)

// Router tests a router that takes requests at the URL. Each call of open gives another client of the same router,
// which was given no backends yet.
func Router(t *testing.T, url string, open func(*testing.T) strategies.Router) {
	r := &routed{Router: open(t), url: url}
	r.ask = r.fetched
	r.blue, r.green = serve(t, "blue", &r.book), serve(t, "green", &r.book)
	r.follows(t, open(t))
	t.Run("keeps to the shares", func(t *testing.T) {
		const requests, share = 2000, 0.1
		r.shift(t, 5, 10)
		green := 0
		for range requests {
			if r.ask(t) == "green" {
				green++
			}
		}
		// Six standard deviations: wrong once in 500 million runs.
		require.InDelta(t, requests*share, green, 6*math.Sqrt(requests*share*(1-share)))
	})
	t.Run("drains", func(t *testing.T) { r.drains(t) })
	t.Run("loses and repeats nothing while it shifts", func(t *testing.T) { r.underLoad(t) })
}

// Backends are the two versions that a router without traffic of its own is tested with.
type Backends struct {
	Blue, Green string                    // their addresses
	Ask         func(t *testing.T) string // "blue" or "green", whichever requests go to
	Share       func(t *testing.T) int    // green's, in percent; of a SharingRouter
}

// SwitchRouter is Router for one that sends all traffic to one version, where nobody answers a request: whom it would
// go to is looked up by other means. It does not show shares, nor what becomes of requests that are under way.
func SwitchRouter(t *testing.T, b Backends, open func(*testing.T) strategies.Router) {
	t.Log("not shown here: shares of traffic, which it refuses, and requests that are under way while it shifts")
	r := &routed{Router: open(t), ask: b.Ask, blue: b.Blue, green: b.Green}
	r.follows(t, open(t))
	t.Run("refuses a share between", func(t *testing.T) {
		before := r.shift(t, 5, 0)
		_, err := r.Shift(t.Context(), r.op(5), r.split(10))
		require.ErrorIs(t, err, strategies.ErrInvalidRouting)
		checker, ok := r.Router.(strategies.ShareChecker)
		require.True(t, ok, "a plan with shares has to be refused, too")
		require.ErrorContains(t, checker.CheckShares([]int{10, 100}), "next: ")
		require.NoError(t, checker.CheckShares([]int{100}))
		after, err := r.Observe(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
	r.drainsWeightless(t)
}

// SharingRouter is SwitchRouter for one that gives shares.
func SharingRouter(t *testing.T, b Backends, open func(*testing.T) strategies.Router) {
	t.Log("not shown here: that requests are shared as it was told, and requests that are under way while it shifts")
	r := &routed{Router: open(t), ask: b.Ask, blue: b.Blue, green: b.Green}
	r.follows(t, open(t))
	t.Run("gives shares", func(t *testing.T) {
		for _, green := range []int{5, 25, 50, 100, 0, 1} {
			want := r.shift(t, 5, green)
			require.Equal(t, green, b.Share(t))
			seen, err := r.Observe(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, seen)
		}
	})
	r.drainsWeightless(t)
}

// drainsWeightless is a drain where nobody counts requests.
func (r *routed) drainsWeightless(t *testing.T) {
	t.Run("drains what has no weight", func(t *testing.T) {
		r.shift(t, 6, 100)
		_, err := r.Drain(t.Context(), r.green)
		require.ErrorContains(t, err, "still has weight 100")
		left, err := r.Drain(t.Context(), r.blue)
		require.NoError(t, err)
		require.Zero(t, left)
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = r.Drain(cancelled, r.blue)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// follows is what every router has to do with all the traffic.
func (r *routed) follows(t *testing.T, other strategies.Router) {
	t.Run("has no backends at first", func(t *testing.T) {
		routing, err := r.Observe(t.Context())
		require.NoError(t, err)
		require.Empty(t, routing.Backends)
		for _, refused := range [][]strategies.Backend{nil, r.split(50)[:1], {{Slot: strategies.Green, Address: "nowhere", Weight: 100}}} {
			_, err = r.Shift(t.Context(), r.op(1), refused)
			require.ErrorIs(t, err, strategies.ErrInvalidRouting)
		}
		routing, err = other.Observe(t.Context())
		require.NoError(t, err)
		require.Empty(t, routing.Backends)
	})
	t.Run("follows a shift at once", func(t *testing.T) {
		var last int64
		for i := range 6 {
			routing := r.shift(t, 1, i%2*100)
			require.Greater(t, routing.Generation, last)
			last = routing.Generation
			require.Equal(t, []string{"blue", "green"}[i%2], r.ask(t), "the first request after shift %d", i)
			seen, err := other.Observe(t.Context())
			require.NoError(t, err)
			require.Equal(t, routing, seen)
		}
	})
	t.Run("does an operation once", func(t *testing.T) {
		op := r.op(2)
		first, err := r.Shift(t.Context(), op, r.split(0))
		require.NoError(t, err)
		again, err := other.Shift(t.Context(), op, r.split(0))
		require.NoError(t, err)
		require.Equal(t, first, again)
		_, err = r.Shift(t.Context(), op, r.split(100))
		require.ErrorContains(t, err, "already carried out with other backends")
		later, err := r.Shift(t.Context(), strategies.Operation{ID: op.ID, Fence: 3}, r.split(0))
		require.NoError(t, err)
		require.Equal(t, first.Generation, later.Generation, "traffic did not change")
		require.Equal(t, int64(3), later.Fence)
		_, err = other.Shift(t.Context(), op, r.split(0))
		require.ErrorIs(t, err, strategies.ErrStaleFence, "the later holder shuts out the earlier one")
	})
	t.Run("refuses a stale fence", func(t *testing.T) {
		before := r.shift(t, 4, 0)
		_, err := other.Shift(t.Context(), r.op(3), r.split(100))
		require.ErrorIs(t, err, strategies.ErrStaleFence)
		after, err := r.Observe(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.Equal(t, "blue", r.ask(t))
	})
}

// routed is a router under test with two applications behind it.
type routed struct {
	strategies.Router
	url         string
	ask         func(*testing.T) string // who answers
	blue, green string
	book        ledger
	ops         atomic.Int64
}

func (r *routed) op(fence int64) strategies.Operation {
	return strategies.Operation{ID: fmt.Sprint("op", r.ops.Add(1)), Fence: fence}
}

func (r *routed) split(green int) []strategies.Backend {
	return []strategies.Backend{
		{Slot: strategies.Blue, Version: "v1", Address: r.blue, Weight: 100 - green},
		{Slot: strategies.Green, Version: "v2", Address: r.green, Weight: green},
	}
}

func (r *routed) shift(t *testing.T, fence int64, green int) strategies.Routing {
	t.Helper()
	routing, err := r.Shift(t.Context(), r.op(fence), r.split(green))
	require.NoError(t, err)
	return routing
}

// fetched is who answers a request.
func (r *routed) fetched(t *testing.T) string {
	t.Helper()
	body, err := fetch(t.Context(), r.url)
	require.NoError(t, err)
	return body
}

// fetch is what a GET is answered.
func fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s", resp.Status, body)
	}
	return string(body), err
}

func (r *routed) drains(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-finish
		_, _ = io.WriteString(w, "slow but whole")
	}))
	t.Cleanup(slow.Close)
	address := slow.Listener.Addr().String()
	_, err := r.Shift(t.Context(), r.op(6), []strategies.Backend{{Slot: strategies.Blue, Address: address, Weight: 100}})
	require.NoError(t, err)
	answer := make(chan string, 1)
	go func() {
		body, err := fetch(t.Context(), r.url)
		if err != nil {
			body = err.Error()
		}
		answer <- body
	}()
	<-arrived
	_, err = r.Drain(t.Context(), address)
	require.ErrorContains(t, err, "still has weight 100")

	r.shift(t, 6, 100)
	short, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	left, err := r.Drain(short, address)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Drain(cancelled, address)
	require.ErrorIs(t, err, context.Canceled)

	close(finish)
	long, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	left, err = r.Drain(long, address)
	require.NoError(t, err)
	require.Zero(t, left)
	require.Equal(t, "slow but whole", <-answer)
}

// underLoad takes a canary out step by step, back at once, and out again, while requests come all the time.
func (r *routed) underLoad(t *testing.T) {
	stop := r.load(t)
	for _, green := range []int{5, 25, 50, 100, 0, 100} {
		r.shift(t, 7, green)
		time.Sleep(100 * time.Millisecond) // for requests between two shifts
	}
	sent := stop()
	require.Greater(t, sent, 200)
	t.Logf("%d requests, none failed", sent)
}

// load sends requests until it is stopped: GETs on connections that are kept, POSTs on new ones. Each has to arrive
// once and be answered. A POST on a connection that a server is just closing fails without any router's doing, and
// may not be repeated; a GET may.
func (r *routed) load(t *testing.T) (stop func() (sent int)) {
	ended := make(chan struct{})
	var count atomic.Int64
	var all sync.WaitGroup
	kept := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 20 * time.Second}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(2 * time.Millisecond):
				}
				n := count.Add(1)
				client, method := kept, http.MethodGet
				if n%2 == 1 {
					client, method = fresh, http.MethodPost
				}
				if err := r.send(t.Context(), client, method, n); err != nil {
					t.Errorf("request %d: %v", n, err)
				}
			}
		})
	}
	return func() int {
		close(ended)
		all.Wait()
		kept.CloseIdleConnections()
		sent := int(count.Load())
		r.book.mu.Lock()
		defer r.book.mu.Unlock()
		require.Equal(t, sent, len(r.book.seen), "requests that arrived")
		for id, n := range r.book.seen {
			require.Equal(t, 1, n, "request %s arrived more than once", id)
		}
		return sent
	}
}

func (r *routed) send(ctx context.Context, client *http.Client, method string, n int64) error {
	req, err := http.NewRequestWithContext(ctx, method, r.url+"/orders", strings.NewReader("order"))
	if err != nil {
		return err
	}
	if method == http.MethodGet {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	req.Header.Set("X-Id", fmt.Sprint(n))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(body) != "blue" && string(body) != "green") {
		err = fmt.Errorf("%s %s", resp.Status, body)
	}
	return err
}

// ledger counts how often each request arrived.
type ledger struct {
	mu   sync.Mutex
	seen map[string]int
}

// serve is an application that answers with its name.
func serve(t *testing.T, name string, book *ledger) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if id := r.Header.Get("X-Id"); id != "" {
			book.mu.Lock()
			if book.seen == nil {
				book.seen = map[string]int{}
			}
			book.seen[id]++
			book.mu.Unlock()
		}
		_, _ = io.WriteString(w, name)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
