package nginx

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/analysis"
	"github.com/switchbackdb/switchback/strategies"
)

// TestCounting counts what a real NGINX has written of requests to two versions, one of which fails now and then, also when
// its log is rotated in both ways, and has a gate judge by that.
func TestCounting(t *testing.T) {
	s := start(t)
	log := filepath.Join(s.Dir, "requests.log")
	require.NoError(t, s.Configure("include "+s.options.Include+";",
		"proxy_pass http://$switchback; proxy_http_version 1.1; proxy_set_header Connection \"\"; access_log "+log+" switchback_requests;"))
	blue := app(t, "blue")
	var failures atomic.Int64
	ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if failures.Add(1)%2 == 0 {
			time.Sleep(30 * time.Millisecond)
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "green")
	}))
	t.Cleanup(ill.Close)
	green := ill.Listener.Addr().String()
	r, err := NewCounting(s.options, log)
	require.NoError(t, err)
	_, err = r.Measure(t.Context())
	require.ErrorContains(t, err, "next: see that its location has: access_log "+log+" switchback_requests;")
	backends := []strategies.Backend{{Slot: strategies.Blue, Address: blue, Weight: 50}, {Slot: strategies.Green, Address: green, Weight: 50}}
	_, err = r.Shift(t.Context(), s.op(), backends)
	require.NoError(t, err)
	require.Eventually(t, func() bool { _, err := r.Measure(t.Context()); return err == nil }, time.Minute, 10*time.Millisecond)
	before := counted(t, r)

	judge, err := analysis.New(strategies.Gate{Kind: "router", Spec: map[string]string{"samples": "5", "errors": "1%"}}, analysis.Parts{Router: r})
	require.NoError(t, err)
	window := strategies.Window{Green: backends[1], Blue: &backends[0]}
	verdict, err := judge.Judge(t.Context(), window)
	require.NoError(t, err)
	require.Equal(t, strategies.NoData, verdict.Outcome)

	sent := map[string]uint64{}
	ask := func() {
		for range 60 {
			sent[s.get(t)]++
		}
	}
	ask()
	require.NoError(t, os.Rename(log, log+".1")) // as logrotate does
	ask()                                        // to the file that was moved
	pid, err := os.ReadFile(filepath.Join(s.Dir, "nginx.pid"))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(number(t, pid), syscall.SIGUSR1))
	require.Eventually(t, func() bool { _, err := os.Stat(log); return err == nil }, time.Minute, 10*time.Millisecond)
	ask()
	settled := func() (now map[string]strategies.Measure) {
		t.Helper()
		require.Eventually(t, func() bool { // a line is written once its request has ended
			now = counted(t, r)
			return now[blue].Requests-before[blue].Requests == sent["blue"] && now[green].Requests-before[green].Requests == sent["green"]
		}, 20*time.Second, 10*time.Millisecond, "%v", sent)
		return now
	}
	settled()
	require.NoError(t, os.Truncate(log, 0)) // as logrotate does with copytruncate
	counted(t, r)
	ask()
	now := settled()
	require.Zero(t, now[blue].Failed)
	require.InDelta(t, float64(now[green].Requests)/2, float64(now[green].Failed), 1)
	slowest := slices.Max(slices.Collect(func(yield func(time.Duration) bool) {
		for took := range now[green].Latency {
			if !yield(took) {
				return
			}
		}
	}))
	require.GreaterOrEqual(t, slowest, 30*time.Millisecond)

	verdict, err = judge.Judge(t.Context(), window)
	require.NoError(t, err)
	require.Equal(t, strategies.Bad, verdict.Outcome)
	require.Contains(t, verdict.Says, "% of the requests failed where 1.00 % may")

	_, err = NewCounting(s.options, "requests.log")
	require.ErrorContains(t, err, "is not an absolute path")
	_, err = analysis.New(strategies.Gate{Kind: "router"}, analysis.Parts{Router: s.router(t)})
	require.ErrorContains(t, err, "an NGINX does with release.router.log")
}

func number(t *testing.T, text []byte) (n int) {
	t.Helper()
	for _, c := range text {
		if c >= '0' && c <= '9' {
			n = n*10 + int(c-'0')
		}
	}
	require.Greater(t, n, 1)
	return n
}

// counted is what was counted so far, by address.
func counted(t *testing.T, r *Counting) map[string]strategies.Measure {
	t.Helper()
	list, err := r.Measure(t.Context())
	require.NoError(t, err)
	by := map[string]strategies.Measure{}
	for _, m := range list {
		by[m.Address] = m
	}
	return by
}
