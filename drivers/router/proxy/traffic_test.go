package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/strategies"
)

func TestWeightsAreShares(t *testing.T) {
	p := start(t)
	var blue, green atomic.Int64
	count := func(n *atomic.Int64) string {
		return serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { n.Add(1) }))
	}
	blueAddr, greenAddr := count(&blue), count(&green)
	const requests = 4000
	for i, weight := range []int{1, 10, 50, 95} {
		p.shift(t, fmt.Sprint("op", i), 1, split(blueAddr, greenAddr, weight))
		blue.Store(0)
		green.Store(0)
		for range requests {
			status, _ := get(t, p.url)
			require.Equal(t, http.StatusOK, status)
		}
		require.Equal(t, int64(requests), blue.Load()+green.Load())
		share := float64(weight) / 100
		// Six standard deviations: wrong once in 500 million runs.
		bound := 6 * math.Sqrt(requests*share*(1-share))
		require.InDelta(t, requests*share, float64(green.Load()), bound, "weight %d", weight)
	}
}

// ledger is an application that remembers each request it was sent, by its id.
type ledger struct {
	mu   sync.Mutex
	seen map[string]int
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client gave up
	}
	l.mu.Lock()
	l.seen[r.Header.Get("X-Id")]++
	l.mu.Unlock()
	_, _ = fmt.Fprintf(w, "%x", sha256.Sum256(body))
}

func TestNoRequestFailsOrRepeatsWhileShifting(t *testing.T) {
	p := start(t)
	book := &ledger{seen: map[string]int{}}
	blue, green := serve(t, book), serve(t, book)
	p.shift(t, "first", 1, split(blue, green, 0))

	ctx, enough := context.WithCancel(t.Context())
	var sent atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		defer enough()
		for i := 0; i < 100 || sent.Load() < 1000; i++ {
			op := strategies.Operation{ID: fmt.Sprint("shift", i), Fence: 1}
			if _, err := p.Shift(ctx, op, split(blue, green, []int{100, 0, 50}[i%3])); err != nil {
				t.Errorf("shift %d: %v", i, err)
			}
		}
	})
	openLoop(t, ctx, p.url, 500, &sent)
	wg.Wait()
	book.mu.Lock()
	defer book.mu.Unlock()
	require.Len(t, book.seen, int(sent.Load()), "each request arrived")
	for id, n := range book.seen {
		require.Equal(t, 1, n, "request %s arrived more than once", id)
	}
}

// openLoop sends requests at a fixed rate, whether or not earlier ones were answered, until ctx
// ends: GETs, short POSTs and POSTs long enough to be streamed. Each must succeed. It waits for the
// last answer. No more than underWay of them are: a machine that cannot keep up would only heap them up, until
// it has no file descriptors left.
func openLoop(t *testing.T, ctx context.Context, url string, perSecond int, sent *atomic.Int64) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	long := bytes.Repeat([]byte("0123456789abcdef"), 10<<10)
	bodies := [][]byte{nil, []byte("short"), long[:20<<10], long}
	slots := make(chan struct{}, underWay)
	began, n := time.Now(), 0
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * float64(perSecond)); n < due; n++ {
			id, body := strconv.Itoa(n), bodies[n%len(bodies)]
			if n%40 != 3 && len(body) == len(long) {
				body = bodies[1] // few long ones: the point is not bandwidth
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			sent.Add(1)
			wg.Go(func() {
				defer func() { <-slots }()
				if err := sendOne(client, url, id, body); err != nil {
					t.Errorf("request %s: %v", id, err)
				}
			})
		}
	}
}

// underWay is how many requests of openLoop may wait for their answers.
const underWay = 400

func sendOne(client *http.Client, url, id string, body []byte) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, url+"/orders", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Id", id)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("%x", sha256.Sum256(body)); resp.StatusCode != http.StatusOK || string(answer) != want {
		return fmt.Errorf("%s %s, want 200 %s", resp.Status, answer, want)
	}
	return nil
}

func TestDrainWaitsForASlowRequest(t *testing.T) {
	p := start(t)
	arrived, finish := make(chan struct{}), make(chan struct{})
	blue := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-finish
		_, _ = io.WriteString(w, "slow but whole")
	}))
	green := app(t, "green")
	p.shift(t, "before", 1, split(blue, green, 0))
	answer := make(chan string, 1)
	go func() {
		_, body := get(t, p.url)
		answer <- body
	}()
	<-arrived

	_, err := p.Drain(t.Context(), blue)
	require.ErrorContains(t, err, "still has weight 100")

	p.shift(t, "after", 1, []strategies.Backend{{Slot: strategies.Green, Address: green, Weight: 100}})
	short, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	left, err := p.Drain(short, blue)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Drain(cancelled, blue)
	require.ErrorIs(t, err, context.Canceled)

	drained := make(chan int, 1)
	go func() {
		left, err := p.Drain(t.Context(), blue)
		if err != nil {
			left = -1
		}
		drained <- left
	}()
	close(finish)
	require.Equal(t, 0, <-drained)
	require.Equal(t, "slow but whole", <-answer)
}

func TestDrainedBackendNeverHearsOfARequestAgain(t *testing.T) {
	p := start(t)
	var drained atomic.Bool
	var late atomic.Int64
	blue := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if drained.Load() {
			late.Add(1)
		}
	}))
	green := app(t, "green")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					get(t, p.url)
				}
			}
		})
	}
	for i := range 60 {
		drained.Store(false)
		p.shift(t, fmt.Sprint("to blue", i), 1, split(blue, green, 0))
		p.shift(t, fmt.Sprint("to green", i), 1, split(blue, green, 100))
		left, err := p.Drain(t.Context(), blue)
		require.NoError(t, err)
		require.Zero(t, left)
		drained.Store(true)
	}
	close(stop)
	wg.Wait()
	require.Zero(t, late.Load())
}

// echo is a WebSocket application.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	for {
		kind, data, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, data); err != nil {
			return
		}
	}
}

func TestWebSocketIsCountedUntilItEnds(t *testing.T) {
	p := start(t)
	blue, green := serve(t, http.HandlerFunc(echo)), app(t, "green")
	p.shift(t, "before", 1, split(blue, green, 0))
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(p.url, "http"), nil)
	require.NoError(t, err)
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	say := func(text string) {
		require.NoError(t, c.Write(t.Context(), websocket.MessageText, []byte(text)))
		_, data, err := c.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, text, string(data))
	}
	say("hello")
	say(strings.Repeat("long ", 50_000))

	p.shift(t, "after", 1, split(blue, green, 100))
	short, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	left, err := p.Drain(short, blue)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	say("still here after the shift")

	require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))
	left, err = p.Drain(t.Context(), blue)
	require.NoError(t, err)
	require.Zero(t, left)
}

func TestShutdownWaitsForWebSocketsThenCutsThem(t *testing.T) {
	p := start(t, func(c *proxy.Config) { c.Timeouts.Drain = 200 * time.Millisecond })
	p.shift(t, "op", 1, split(serve(t, http.HandlerFunc(echo)), deadAddress(t), 0))
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(p.url, "http"), nil)
	require.NoError(t, err)
	defer c.CloseNow()
	began := time.Now()
	p.stop()
	require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond)
	_, _, err = c.Read(t.Context())
	require.Error(t, err)
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	p := start(t)
	arrived, finish := make(chan struct{}), make(chan struct{})
	p.shift(t, "op", 1, split(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-finish
		_, _ = io.WriteString(w, "whole")
	})), deadAddress(t), 0))
	answer := make(chan string, 1)
	go func() {
		_, body := get(t, p.url)
		answer <- body
	}()
	<-arrived
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		p.stop()
	}()
	eventually(t, "no new connections", func() bool {
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	_, err := p.Observe(t.Context())
	require.NoError(t, err, "the admin socket answers while draining")
	close(finish)
	require.Equal(t, "whole", <-answer)
	<-stopped
}

func TestRefusedConnectionGoesToTheOtherBackend(t *testing.T) {
	p := start(t, func(c *proxy.Config) { c.Health.Interval = time.Hour }) // before a probe can tell
	book := &ledger{seen: map[string]int{}}
	p.shift(t, "op", 1, split(serve(t, book), deadAddress(t), 50))
	long := bytes.Repeat([]byte("x"), 200<<10)
	for i := range 100 {
		body := [][]byte{nil, []byte("short"), long}[i%3]
		require.NoError(t, sendOne(http.DefaultClient, p.url, strconv.Itoa(i), body))
	}
	require.Len(t, book.seen, 100)
	for id, n := range book.seen {
		require.Equal(t, 1, n, "request %s", id)
	}
	stats, err := p.Stats(t.Context())
	require.NoError(t, err)
	require.Positive(t, stats.Backends[1].ConnectFailures)
}

func TestBackendWithoutWeightIsNoFallback(t *testing.T) {
	p := start(t)
	p.shift(t, "op", 1, split(deadAddress(t), app(t, "green"), 0))
	status, body := get(t, p.url)
	require.Equal(t, http.StatusBadGateway, status)
	require.Equal(t, "502 Bad Gateway: no backend could be reached\n", body)
}

// slammer is an application that reads the whole request and then closes the connection without an
// answer. It counts requests by method.
func slammer(t *testing.T) (address string, count func(method string) int) {
	var mu sync.Mutex
	seen := map[string]int{}
	address = serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		seen[r.Method]++
		mu.Unlock()
		panic(http.ErrAbortHandler)
	}))
	return address, func(method string) int {
		mu.Lock()
		defer mu.Unlock()
		return seen[method]
	}
}

func TestLostConnectionRepeatsReadsOnly(t *testing.T) {
	p := start(t)
	bad, count := slammer(t)
	book := &ledger{seen: map[string]int{}}
	p.shift(t, "op", 1, split(bad, serve(t, book), 50))
	for i := range 40 {
		require.NoError(t, sendOne(http.DefaultClient, p.url, fmt.Sprint("get", i), nil))
	}
	require.Positive(t, count(http.MethodGet), "the bad backend was asked as well")

	p.shift(t, "bad only", 1, split(bad, "127.0.0.1:1", 0))
	for i, body := range [][]byte{[]byte("short"), bytes.Repeat([]byte("x"), 200<<10)} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			req, err := http.NewRequest(method, p.url, bytes.NewReader(body))
			require.NoError(t, err)
			req.Header.Set("Idempotency-Key", "does not change our mind")
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusBadGateway, resp.StatusCode)
			require.Equal(t, i+1, count(method), "%s was sent once", method)
		}
	}
}

// TestStaleConnectionFailsNoPost lets the backend close its unused connections: the next POST must
// not be sent on one of them, for it could not be repeated.
func TestStaleConnectionFailsNoPost(t *testing.T) {
	p := start(t)
	book := &ledger{seen: map[string]int{}}
	server := httptest.NewUnstartedServer(book)
	closed := make(chan struct{}, 1)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Config.IdleTimeout = 20 * time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	p.shift(t, "op", 1, split(server.Listener.Addr().String(), deadAddress(t), 0))
	for i := range 10 {
		require.NoError(t, sendOne(http.DefaultClient, p.url, strconv.Itoa(i), []byte("order")))
		eventually(t, "the backend closes its connection", func() bool {
			select {
			case <-closed:
				return true
			default:
				return false
			}
		})
	}
	stats, err := p.Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats.Backends[0].Errors)
}

func TestDyingBackend(t *testing.T) {
	p := start(t, func(c *proxy.Config) {
		c.Health = proxy.Health{Path: "/healthz", Interval: 10 * time.Millisecond, Rise: 2, Fall: 2}
	})
	var sick atomic.Bool
	blue := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" && sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, "blue")
	}))
	green := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "green")
	}))
	defer green.Close()
	p.shift(t, "op", 1, split(blue, green.Listener.Addr().String(), 50))
	healthy := func(i int) bool {
		stats, err := p.Stats(t.Context())
		return err == nil && stats.Backends[i].Healthy
	}
	answers := func() map[string]int {
		seen := map[string]int{}
		for range 100 {
			status, body := get(t, p.url)
			require.Equal(t, http.StatusOK, status)
			seen[body]++
		}
		return seen
	}
	require.Len(t, answers(), 2)

	sick.Store(true)
	eventually(t, "blue is found failing", func() bool { return !healthy(0) })
	require.Equal(t, map[string]int{"green": 100}, answers())

	sick.Store(false)
	eventually(t, "blue recovers", func() bool { return healthy(0) })
	require.Len(t, answers(), 2)

	green.CloseClientConnections()
	green.Close()
	require.Equal(t, map[string]int{"blue": 100}, answers(), "at once, before a probe may have told")
	eventually(t, "green is found failing", func() bool { return !healthy(1) })

	sick.Store(true)
	eventually(t, "blue fails too", func() bool { return !healthy(0) })
	require.Equal(t, map[string]int{"blue": 100}, answers(), "with none healthy the weights decide alone")
}

func TestForwardedHeaders(t *testing.T) {
	mirror := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.Header.Write(w)
		_, _ = fmt.Fprintf(w, "Host: %s\r\nTarget: %s\r\n", r.Host, r.RequestURI)
	})
	ask := func(t *testing.T, p *running) string {
		p.shift(t, "op", 1, split(serve(t, mirror), deadAddress(t), 0))
		req, err := http.NewRequest(http.MethodGet, p.url+"/a%2Fb//c?x=1;y=%zz", nil)
		require.NoError(t, err)
		req.Host = "shop.example"
		for name, value := range map[string]string{
			"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "public.example",
			"Connection": "keep-alive, X-Private", "X-Private": "secret", "Proxy-Authorization": "secret",
			"Keep-Alive": "timeout=5", "X-Kept": "kept", "Forwarded": "for=6.6.6.6",
		} {
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		text := string(body)
		require.Contains(t, text, "Host: shop.example\r\n")
		require.Contains(t, text, "Target: /a%2Fb//c?x=1;y=%zz\r\n", "byte for byte")
		require.Contains(t, text, "X-Kept: kept\r\n")
		require.NotContains(t, text, "secret")
		require.NotContains(t, text, "Keep-Alive")
		return text
	}
	t.Run("replaced for a stranger", func(t *testing.T) {
		text := ask(t, start(t))
		require.Contains(t, text, "X-Forwarded-For: 127.0.0.1\r\n")
		require.Contains(t, text, "X-Forwarded-Proto: http\r\n")
		require.Contains(t, text, "X-Forwarded-Host: shop.example\r\n")
		require.NotContains(t, text, "6.6.6.6")
	})
	t.Run("extended behind a proxy", func(t *testing.T) {
		text := ask(t, start(t, func(c *proxy.Config) { c.TrustForwarded = true }))
		require.Contains(t, text, "X-Forwarded-For: 6.6.6.6, 127.0.0.1\r\n")
		require.Contains(t, text, "X-Forwarded-Proto: https\r\n")
		require.Contains(t, text, "X-Forwarded-Host: public.example\r\n")
	})
}

func TestStickyCookie(t *testing.T) {
	p := start(t, func(c *proxy.Config) { c.StickyCookie = "side" })
	blue, green := app(t, "blue"), app(t, "green")
	p.shift(t, "half", 1, split(blue, green, 50))
	ask := func(cookie *http.Cookie) (string, []*http.Cookie) {
		req, err := http.NewRequest(http.MethodGet, p.url, nil)
		require.NoError(t, err)
		if cookie != nil {
			req.AddCookie(cookie)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body), resp.Cookies()
	}
	first, cookies := ask(nil)
	require.Len(t, cookies, 1)
	for range 50 {
		again, none := ask(cookies[0])
		require.Equal(t, first, again)
		require.Empty(t, none)
	}
	weight, other := 100, "green"
	if first == "green" {
		weight, other = 0, "blue"
	}
	p.shift(t, "away", 1, split(blue, green, weight))
	moved, renewed := ask(cookies[0])
	require.Equal(t, other, moved, "no weight, no request")
	require.Len(t, renewed, 1)
}

func TestBodiesPassUnchanged(t *testing.T) {
	p := start(t)
	p.shift(t, "op", 1, split(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("X-Length", strconv.FormatInt(r.ContentLength, 10))
		w.Header().Set("Trailer", "X-Sum, X-Request-Trailer")
		_, _ = w.Write(body)
		w.Header().Set("X-Sum", fmt.Sprintf("%x", sha256.Sum256(body)))
		w.Header().Set("X-Request-Trailer", r.Trailer.Get("X-End"))
	})), deadAddress(t), 0))
	for _, size := range []int{0, 1, 4095, 4096, 4097, 32 << 10, 32<<10 + 1, 5 << 20} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, chunked %v", size, chunked), func(t *testing.T) {
				want := bytes.Repeat([]byte("abcdefg\n"), size/8+1)[:size]
				req, err := http.NewRequest(http.MethodPost, p.url, bytes.NewReader(want))
				require.NoError(t, err)
				if chunked {
					req.ContentLength = -1
					req.Body = io.NopCloser(bytes.NewReader(want))
					req.Trailer = http.Header{"X-End": {"reached"}}
				}
				resp, err := http.DefaultClient.Do(req)
				require.NoError(t, err)
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got), "%d bytes came back", len(got))
				require.Equal(t, fmt.Sprintf("%x", sha256.Sum256(want)), resp.Trailer.Get("X-Sum"))
				if chunked {
					require.Equal(t, "reached", resp.Trailer.Get("X-Request-Trailer"))
				} else {
					require.Equal(t, strconv.Itoa(size), resp.Header.Get("X-Length"))
				}
			})
		}
	}
}

func TestStatusesWithoutBody(t *testing.T) {
	p := start(t)
	p.shift(t, "op", 1, split(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("ETag", `"x"`)
		w.WriteHeader(status)
		if status == http.StatusOK {
			_, _ = io.WriteString(w, "twelve bytes")
		}
	})), deadAddress(t), 0))
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
		for _, status := range []int{200, 204, 304, 404, 500} {
			for range 3 { // the connection to the backend must stay in step
				req, err := http.NewRequest(method, fmt.Sprintf("%s/%d", p.url, status), nil)
				require.NoError(t, err)
				resp, err := http.DefaultClient.Do(req)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, status, resp.StatusCode)
				require.Equal(t, `"x"`, resp.Header.Get("ETag"))
				require.Equal(t, status == 200 && method != http.MethodHead, len(body) > 0)
			}
		}
	}
}

func TestEventsArriveOneByOne(t *testing.T) {
	p := start(t)
	next := make(chan string)
	p.shift(t, "op", 1, split(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for event := range next {
			_, _ = io.WriteString(w, event+"\n")
			_ = http.NewResponseController(w).Flush()
		}
	})), deadAddress(t), 0))
	resp, err := http.Get(p.url) // returns with the header, before any event
	require.NoError(t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for _, event := range []string{"one", "two", "three"} {
		next <- event
		require.True(t, lines.Scan())
		require.Equal(t, event, lines.Text())
	}
	close(next)
	require.False(t, lines.Scan())
	require.NoError(t, lines.Err())
}

func TestClientThatLeavesEndsTheRequestAtTheBackend(t *testing.T) {
	p := start(t)
	arrived, left := make(chan struct{}), make(chan struct{})
	blue := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	}))
	p.shift(t, "op", 1, split(blue, deadAddress(t), 0))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	<-left
	stats, err := p.Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats.Backends[0].Errors, "the backend is not to blame")
}

func TestUploadThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	p := start(t)
	got := make(chan error, 1)
	p.shift(t, "op", 1, split(serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		got <- err
	})), deadAddress(t), 0))
	for _, framing := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		conn, err := net.Dial("tcp", p.addr)
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n5\r\nhello\r\n", framing)
		require.NoError(t, err)
		eventually(t, "the backend has the request", func() bool {
			stats, err := p.Stats(t.Context())
			return err == nil && stats.Backends[0].InFlight == 1
		})
		require.NoError(t, conn.Close())
		require.Error(t, <-got)
	}
}

func TestEarlyAnswerToALongUpload(t *testing.T) {
	p := start(t)
	p.shift(t, "op", 1, split(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})), deadAddress(t), 0))
	conn, err := net.Dial("tcp", p.addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nthe beginning")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, "the answer comes before the body is complete")
	require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	require.True(t, resp.Close, "what is left of the body must not be read as a request")
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
}

// TestFarewellIsNoAnswer has a backend that says 408 on a connection unused for a while, as some
// servers do before they close it.
func TestFarewellIsNoAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	said := make(chan struct{})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				<-time.After(20 * time.Millisecond) // the backend's patience
				_, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
				said <- struct{}{}
			}
			_ = conn.Close()
		}
	}()
	p := start(t, func(c *proxy.Config) { c.Health.Interval = time.Hour })
	p.shift(t, "op", 1, split(l.Addr().String(), deadAddress(t), 0))
	for range 5 {
		status, body := get(t, p.url)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "ok", body)
		<-said
	}
}

func TestBackendThatLeavesALongUploadGives502(t *testing.T) {
	p := start(t)
	p.shift(t, "op", 1, split(raw(t, ""), deadAddress(t), 0))
	conn, err := net.Dial("tcp", p.addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nthe beginning")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadGateway, resp.StatusCode)
	require.True(t, resp.Close)
}

func TestSlowBackendGives504AndIsAskedOnce(t *testing.T) {
	p := start(t, func(c *proxy.Config) { c.Timeouts.Answer = 100 * time.Millisecond })
	var asked atomic.Int64
	slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
	})
	p.shift(t, "op", 1, split(serve(t, slow), serve(t, slow), 50))
	status, _ := get(t, p.url)
	require.Equal(t, http.StatusGatewayTimeout, status)
	require.Equal(t, int64(1), asked.Load())
}

func TestSlowUploadIsNoError(t *testing.T) {
	p := start(t, func(c *proxy.Config) { c.Timeouts.Answer = 100 * time.Millisecond })
	p.shift(t, "op", 1, split(app(t, "blue"), deadAddress(t), 0))
	began := time.Now()
	pr, pw := io.Pipe()
	go func() {
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for range 10 {
			<-tick.C
			_, _ = io.WriteString(pw, "slowly ")
		}
		_ = pw.Close()
	}()
	resp, err := http.Post(p.url, "text/plain", pr)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Greater(t, time.Since(began), 200*time.Millisecond)
}

// raw starts a backend that sends the given bytes for each request and closes the connection.
func raw(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, answer)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestFramingIsOurs sends requests whose end two servers could see in different places. The backend
// must be told one story only, and see no request that the proxy did not.
func TestFramingIsOurs(t *testing.T) {
	p := start(t)
	var seen atomic.Int64
	p.shift(t, "op", 1, split(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %q %v %d", r.URL.Path, body, r.TransferEncoding, r.ContentLength)
	})), deadAddress(t), 0))
	cases := map[string]string{ // request after the first line and Host; answer of the backend, or none
		"Content-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\n": `/ "" [chunked] -1`,
		"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab":                                          "",
		"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n":                                     "",
		"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n":                                              "",
		"Content-Length: +1\r\n\r\na":                                                               "",
		"Connection: Content-Length\r\nContent-Length: 3\r\n\r\nabc":                                `/ "abc" [] 3`,
		"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n\r\n":          `/ "" [] 0`,
	}
	for request, want := range cases {
		before := seen.Load()
		conn, err := net.Dial("tcp", p.addr)
		require.NoError(t, err)
		_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+request)
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, "%q", request)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		if want == "" {
			require.GreaterOrEqual(t, resp.StatusCode, 400, "%q", request)
			require.Equal(t, before, seen.Load(), "%q", request)
			continue
		}
		require.Equal(t, want, string(body), "%q", request)
		require.Equal(t, before+1, seen.Load(), "%q", request)
	}
}

func TestBackendsThatMisbehave(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	cases := map[string]struct {
		answer string
		status int // 0: the client's connection is aborted
	}{
		"rubbish":                     {"how do you do\r\n\r\n", 502},
		"nothing":                     {"", 502},
		"half a header":               {"HTTP/1.1 200 OK\r\nContent-Le", 502},
		"endless header":              {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n", 502},
		"endless provisional answers": {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20) + whole, 502},
		"some provisional answers":    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + whole, 200},
		"unwanted switch":             {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 502},
		"more than announced":         {whole + whole, 200},
		"less than announced":         {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", 0},
		"chunks break off":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 0},
		"length unknown":              {"HTTP/1.0 200 OK\r\n\r\nok", 200},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := start(t)
			p.shift(t, "op", 1, split(raw(t, c.answer), deadAddress(t), 0))
			for range 3 {
				resp, err := http.Get(p.url)
				if err == nil {
					var body []byte
					body, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if err == nil {
						require.Equal(t, c.status, resp.StatusCode, "%s", body)
						if c.status == http.StatusOK {
							require.Equal(t, "ok", string(body))
						}
					}
				}
				if c.status == 0 {
					require.Error(t, err, "a torn answer must not look whole")
				} else {
					require.NoError(t, err)
				}
			}
			eventually(t, "nothing stays under way", func() bool {
				stats, err := p.Stats(t.Context())
				return err == nil && stats.Backends[0].InFlight == 0
			})
		})
	}
}

func TestHTTP2WithoutTLS(t *testing.T) {
	p := start(t)
	p.shift(t, "op", 1, split(app(t, "blue"), deadAddress(t), 0))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	for _, body := range []io.Reader{nil, strings.NewReader("short"), strings.NewReader(strings.Repeat("x", 1<<20))} {
		req, err := http.NewRequest(http.MethodPost, p.url, body)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 2, resp.ProtoMajor)
		require.Equal(t, "blue", string(answer))
	}
}

func TestStats(t *testing.T) {
	p := start(t)
	p.shift(t, "op", 1, split(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})), deadAddress(t), 0))
	for range 20 {
		get(t, p.url)
	}
	get(t, p.url+"/broken")
	stats, err := p.Stats(t.Context())
	require.NoError(t, err)
	blue := stats.Backends[0]
	require.Equal(t, uint64(21), blue.Requests)
	require.Equal(t, uint64(1), blue.Errors)
	require.Equal(t, "v1", blue.Version)
	require.Positive(t, blue.P50)
	require.GreaterOrEqual(t, blue.P99, blue.P50)
	require.Less(t, blue.P99, 10*time.Second)
}

func TestListenRefusesWhatCannotWork(t *testing.T) {
	dir := shortDir(t)
	good := proxy.Config{Listen: "127.0.0.1:0", StateFile: dir + "/s", AdminSocket: dir + "/a"}
	cases := map[string]func(*proxy.Config){
		"no state file":         func(c *proxy.Config) { c.StateFile = "" },
		"no admin socket":       func(c *proxy.Config) { c.AdminSocket = "" },
		"no such file":          func(c *proxy.Config) { c.StateFile = dir + "/absent/s" },
		"must begin with /":     func(c *proxy.Config) { c.Health.Path = "healthz" },
		"listen on 127.0.0.1:x": func(c *proxy.Config) { c.Listen = "127.0.0.1:x" },
	}
	for want, spoil := range cases {
		cfg := good
		spoil(&cfg)
		_, err := proxy.Listen(t.Context(), cfg)
		require.ErrorContains(t, err, want)
	}
	server, err := proxy.Listen(t.Context(), good)
	require.NoError(t, err, "nothing was left behind")
	require.NoError(t, server.Close())
}

func TestListenErrorsLeaveNothingOpen(t *testing.T) {
	p := start(t)
	dir := shortDir(t)
	_, err := proxy.Listen(t.Context(), proxy.Config{Listen: p.addr, StateFile: dir + "/s", AdminSocket: dir + "/a"})
	var op *net.OpError
	require.True(t, errors.As(err, &op))
	require.ErrorContains(t, err, p.addr)
	require.NoFileExists(t, dir+"/a")
}
