package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Load sends requests at a fixed rate, whether or not earlier ones were answered: a shop that stalls is
// seen as slow, not as idle. No more than underWay of them wait for an answer: a machine that cannot keep
// up would heap up requests until some ran out of time, which says nothing of the release; what waits for
// its turn counts its wait from when it was due. It keeps what was acknowledged, to be compared with what
// is there.
type Load struct {
	base   string
	client *http.Client
	tasks  sync.WaitGroup
	begun  time.Time

	mu        sync.Mutex
	names     map[int64]string // by ID: the last name that was acknowledged
	unsure    map[int64][]string
	idle      []int64 // IDs no request is under way for, so that the last acknowledged name is certain
	requests  int
	failures  []string
	written   map[string]int // rows written, by version
	recent    []answered
	latencies []time.Duration
}

// answered is an answer that the timeline still shows.
type answered struct {
	at      time.Time
	version string
	took    time.Duration
}

// underWay is how many requests may wait for their answers at a time, and answerWithin is how long one may.
const (
	underWay     = 32
	answerWithin = 30 * time.Second
)

// recentFor is how far back the timeline looks.
const recentFor = 400 * time.Millisecond

// NewLoad returns a load on the shop at the base URL.
func NewLoad(base string) *Load {
	return &Load{
		base: base, names: map[int64]string{}, unsure: map[int64][]string{}, written: map[string]int{},
		client: &http.Client{Timeout: answerWithin, Transport: &http.Transport{MaxIdleConns: underWay, MaxIdleConnsPerHost: underWay}},
	}
}

// Run sends perSecond requests a second until the context ends, and waits for the last answers.
func (l *Load) Run(ctx context.Context, perSecond int) {
	l.begun = time.Now()
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	defer l.client.CloseIdleConnections()
	defer l.tasks.Wait()
	slots := make(chan struct{}, underWay)
	for n := 0; ; n++ {
		var due time.Time
		select {
		case <-ctx.Done():
			return
		case due = <-tick.C:
		}
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		}
		l.tasks.Go(func() {
			defer func() { <-slots }()
			l.one(context.WithoutCancel(ctx), n, due)
		})
	}
}

// one sends a request: half of them insert, the others rename or read a customer inserted before.
func (l *Load) one(ctx context.Context, n int, due time.Time) {
	id, known := l.take()
	name := fmt.Sprintf("First%d Last%d", n, rand.IntN(1_000_000))
	switch {
	case n%2 == 0 || !known:
		if known {
			l.giveBack(id)
		}
		c, err := l.send(ctx, http.MethodPost, "/customers", customer{Name: name}, due, true)
		if err == nil {
			l.acknowledge(c.ID, name)
		}
	case n%4 == 1:
		_, err := l.send(ctx, http.MethodPut, fmt.Sprint("/customers/", id), customer{Name: name}, due, true)
		if err != nil {
			l.mu.Lock()
			l.unsure[id] = append(l.unsure[id], name)
			l.mu.Unlock()
			l.giveBack(id)
			return
		}
		l.acknowledge(id, name)
	default:
		c, err := l.send(ctx, http.MethodGet, fmt.Sprint("/customers/", id), customer{}, due, false)
		l.mu.Lock()
		if err == nil && c.Name != l.names[id] && !slices.Contains(l.unsure[id], c.Name) {
			l.failures = append(l.failures, fmt.Sprintf("customer %d is read as %q, written as %q", id, c.Name, l.names[id]))
		}
		l.mu.Unlock()
		l.giveBack(id)
	}
}

func (l *Load) take() (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.idle) == 0 {
		return 0, false
	}
	i := rand.IntN(len(l.idle))
	id := l.idle[i]
	l.idle[i] = l.idle[len(l.idle)-1]
	l.idle = l.idle[:len(l.idle)-1]
	return id, true
}

func (l *Load) giveBack(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = append(l.idle, id)
}

func (l *Load) acknowledge(id int64, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names[id] = name
	l.idle = append(l.idle, id)
	delete(l.unsure, id)
}

func (l *Load) send(ctx context.Context, method, path string, c customer, due time.Time, writes bool) (customer, error) {
	out, version, err := l.call(ctx, method, path, c)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	l.latencies = append(l.latencies, now.Sub(due))
	if err != nil {
		l.failures = append(l.failures, fmt.Sprintf("%s %s: %v", method, path, err))
		return out, err
	}
	l.recent = append(l.recent, answered{now, version, now.Sub(due)})
	if writes {
		l.written[version]++
	}
	return out, nil
}

func (l *Load) call(ctx context.Context, method, path string, c customer) (out customer, version string, err error) {
	body, err := json.Marshal(c)
	if err != nil {
		return out, "", err
	}
	req, err := http.NewRequestWithContext(ctx, method, l.base+path, bytes.NewReader(body))
	if err != nil {
		return out, "", err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return out, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return out, "", err
	}
	if resp.StatusCode != http.StatusOK {
		return out, "", fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(data))
	}
	return out, resp.Header.Get("X-Version"), json.Unmarshal(data, &out)
}

// now is what the timeline shows of the last moments.
func (l *Load) now() (share float64, requests, failed int, p99 time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := time.Now().Add(-recentFor)
	l.recent = slices.DeleteFunc(l.recent, func(a answered) bool { return a.at.Before(since) })
	var took []time.Duration
	green := 0
	for _, a := range l.recent {
		took = append(took, a.took)
		if a.version == V2 {
			green++
		}
	}
	if len(took) > 0 {
		share = float64(green) / float64(len(took))
	}
	return share, l.requests, len(l.failures), percentile(took, 99)
}

func percentile(took []time.Duration, p int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}
