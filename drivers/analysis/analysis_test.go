package analysis_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/switchbackdb/switchback/drivers/analysis"
	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/strategies"
)

// version is a version of an application behind the proxy.
type version struct {
	address string
	fails   atomic.Int64 // each how many requests one fails; 0 for none
	takes   atomic.Int64 // nanoseconds
	seen    atomic.Int64
}

func serve(t *testing.T) *version {
	v := &version{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Duration(v.takes.Load()))
		n := v.seen.Add(1)
		if each := v.fails.Load(); each > 0 && n%each == 0 {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "fine")
	}))
	t.Cleanup(s.Close)
	v.address = s.Listener.Addr().String()
	return v
}

// behind starts the built-in proxy in front of both, half of the traffic to each.
func behind(t *testing.T, blue, green *version) (*proxy.Router, string, strategies.Window) {
	dir, err := os.MkdirTemp("", "sb") // a socket's path is short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	cfg := proxy.Config{Listen: "127.0.0.1:0", StateFile: filepath.Join(dir, "state.json"), AdminSocket: filepath.Join(dir, "admin.sock")}
	server, err := proxy.Listen(t.Context(), cfg)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	w := strategies.Window{
		Began: time.Now(),
		Green: strategies.Backend{Slot: strategies.Green, Version: "v2", Address: green.address, Weight: 50},
		Blue:  &strategies.Backend{Slot: strategies.Blue, Version: "v1", Address: blue.address, Weight: 50},
	}
	router := proxy.NewRouter(cfg.AdminSocket)
	_, err = router.Shift(t.Context(), strategies.Operation{ID: "1", Fence: 1}, []strategies.Backend{*w.Blue, w.Green})
	require.NoError(t, err)
	return router, "http://" + server.Addr().String(), w
}

func send(t *testing.T, url string, n int) {
	for range n {
		resp, err := http.Get(url)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
}

// TestRouter has the proxy count what two versions do with the same traffic.
func TestRouter(t *testing.T) {
	for _, c := range []struct {
		name             string
		blueFails, fails int64
		takes            time.Duration
		spec             map[string]string
		requests         int
		want             strategies.Outcome
		says             string
		before           int // requests before the window, all of which the candidate fails
	}{
		{name: "both are well", requests: 200, want: strategies.Good, says: "candidate: 0 of "},
		{name: "the candidate fails one in five", fails: 5, requests: 200, want: strategies.Bad, says: "of the requests failed where 1.00 % may"},
		{name: "both fail one in five", fails: 5, blueFails: 5, requests: 400, spec: map[string]string{"errors": "10%"}, want: strategies.Good},
		{name: "too few to tell", fails: 1, requests: 20, want: strategies.NoData, says: "50 are needed"},
		{name: "fewer asked for", fails: 1, requests: 20, spec: map[string]string{"samples": "2"}, want: strategies.Bad},
		{name: "too slow", takes: 30 * time.Millisecond, requests: 40, spec: map[string]string{"samples": "5", "p99": "20ms"}, want: strategies.Bad, says: "where 20ms may be"},
		{name: "slower than the stable one", takes: 60 * time.Millisecond, requests: 40, spec: map[string]string{"samples": "5", "slower": "2"}, want: strategies.Bad, says: "2 times that of the stable version"},
		{name: "what was before is not held against it", before: 100, requests: 200, want: strategies.Good, says: "candidate: 0 of "},
	} {
		t.Run(c.name, func(t *testing.T) {
			blue, green := serve(t), serve(t)
			router, url, w := behind(t, blue, green)
			green.fails.Store(1)
			send(t, url, c.before)
			blue.fails.Store(c.blueFails)
			green.fails.Store(c.fails)
			green.takes.Store(int64(c.takes))
			judge, err := analysis.New(strategies.Gate{Name: "counted", Kind: "router", Spec: c.spec}, analysis.Parts{Router: router})
			require.NoError(t, err)
			v, err := judge.Judge(t.Context(), w)
			require.NoError(t, err)
			require.Equal(t, strategies.NoData, v.Outcome, "the window begins")
			send(t, url, c.requests)
			v, err = judge.Judge(t.Context(), w)
			require.NoError(t, err)
			require.Equal(t, c.want, v.Outcome, v.Says)
			require.Contains(t, v.Says, c.says)
		})
	}
}

func TestHTTP(t *testing.T) {
	green := serve(t)
	w := strategies.Window{Green: strategies.Backend{Address: green.address}}
	judge, err := analysis.New(strategies.Gate{Kind: "http", Spec: map[string]string{"path": "/x", "contains": "fine", "failures": "1"}}, analysis.Parts{})
	require.NoError(t, err)
	ask := func() strategies.Verdict {
		v, err := judge.Judge(t.Context(), w)
		require.NoError(t, err)
		return v
	}
	require.Equal(t, strategies.Good, ask().Outcome)
	green.fails.Store(1)
	require.Equal(t, strategies.NoData, ask().Outcome, "one is forgiven")
	v := ask()
	require.Equal(t, strategies.Bad, v.Outcome)
	require.Contains(t, v.Says, "is answered 500 Internal Server Error where 200 is wanted")
	green.fails.Store(0)
	require.Equal(t, strategies.Good, ask().Outcome)
}

func TestSQL(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	defer db.Close()
	for _, c := range []struct {
		spec map[string]string
		want strategies.Outcome
		says string
	}{
		{map[string]string{"query": "SELECT 1"}, strategies.Good, "is 1"},
		{map[string]string{"query": "SELECT 0"}, strategies.Bad, "is 0"},
		{map[string]string{"query": "SELECT NULL"}, strategies.NoData, "gives no value"},
		{map[string]string{"query": "SELECT 1 WHERE 1 = 0"}, strategies.NoData, "gives no value"},
		{map[string]string{"query": "SELECT 7", "below": "8"}, strategies.Good, "is 7"},
		{map[string]string{"query": "SELECT 8", "below": "8"}, strategies.Bad, "is to be below 8"},
		{map[string]string{"query": "SELECT 0.02", "above": "5%"}, strategies.Bad, "is to be above 0.05"},
		{map[string]string{"query": "SELECT '{{version}}' = 'v2'"}, strategies.Good, ""},
	} {
		judge, err := analysis.New(strategies.Gate{Kind: "sql", Spec: c.spec}, analysis.Parts{Target: db})
		require.NoError(t, err)
		v, err := judge.Judge(t.Context(), strategies.Window{Green: strategies.Backend{Version: "v2"}})
		require.NoError(t, err, c.spec)
		require.Equal(t, c.want, v.Outcome, c.spec)
		require.Contains(t, v.Says, c.says)
	}
}

func TestExec(t *testing.T) {
	for script, want := range map[string]strategies.Verdict{
		"echo well; echo all is well": {Outcome: strategies.Good, Says: "all is well"},
		"echo '{{address}}'; exit 1":  {Outcome: strategies.Bad, Says: "127.0.0.1:7"},
		"exit 75":                     {Outcome: strategies.NoData, Says: "exit status 75"},
	} {
		judge, err := analysis.New(strategies.Gate{Kind: "exec", Command: []string{"sh", "-c", script}}, analysis.Parts{})
		require.NoError(t, err)
		v, err := judge.Judge(t.Context(), strategies.Window{Green: strategies.Backend{Address: "127.0.0.1:7"}})
		require.NoError(t, err)
		require.Equal(t, want, v, script)
	}
	judge, err := analysis.New(strategies.Gate{Kind: "exec", Command: []string{"/no/such/program"}}, analysis.Parts{})
	require.NoError(t, err)
	_, err = judge.Judge(t.Context(), strategies.Window{})
	require.ErrorContains(t, err, "no such file")
}

// TestPrometheus answers as the documentation of Prometheus's HTTP API has it.
func TestPrometheus(t *testing.T) {
	vector := func(values string) string {
		return `{"status":"success","data":{"resultType":"vector","result":[` + values + `]}}`
	}
	for _, c := range []struct {
		answer string
		want   strategies.Outcome
		err    string
	}{
		{answer: vector(`{"metric":{"job":"a"},"value":[1435781451.781,"0.5"]}`), want: strategies.Good},
		{answer: vector(`{"metric":{},"value":[1435781451.781,"0.5"]},{"metric":{},"value":[1435781451.781,"2"]}`), want: strategies.Bad},
		{answer: vector(``), want: strategies.NoData},
		{answer: vector(`{"metric":{},"value":[1435781451.781,"NaN"]}`), want: strategies.NoData},
		{answer: `{"status":"success","data":{"resultType":"scalar","result":[1435781451.781,"0.9"]}}`, want: strategies.Good},
		{answer: `{"status":"error","errorType":"bad_data","error":"parse error"}`, err: "parse error"},
		{answer: `<html>`, err: "ask Prometheus at http://u:xxxxx@"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/prom/api/v1/query" || r.FormValue("query") != `errors{version="v2"}` {
				http.NotFound(w, r)
				return
			}
			fmt.Fprint(w, c.answer)
		}))
		g := strategies.Gate{Kind: "prometheus", Spec: map[string]string{"url": "http://u:secret@" + s.Listener.Addr().String() + "/prom", "query": `errors{version="{{version}}"}`, "below": "1"}}
		judge, err := analysis.New(g, analysis.Parts{})
		require.NoError(t, err)
		v, err := judge.Judge(t.Context(), strategies.Window{Green: strategies.Backend{Version: "v2"}})
		if c.err != "" {
			require.ErrorContains(t, err, c.err)
			require.NotContains(t, err.Error(), "secret")
		} else {
			require.NoError(t, err)
			require.Equal(t, c.want, v.Outcome, c.answer)
		}
		s.Close()
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		gate strategies.Gate
		want string
	}{
		{strategies.Gate{Kind: "oracle"}, "no kind of gate"},
		{strategies.Gate{Kind: "router", Spec: map[string]string{}}, "does not count requests"},
		{strategies.Gate{Kind: "http", Spec: map[string]string{"stauts": "200"}}, "stauts is not known there; there are contains, failures, path, scheme, status"},
		{strategies.Gate{Kind: "http", Spec: map[string]string{"status": "ok"}}, `"ok" is no number`},
		{strategies.Gate{Kind: "sql"}, "no query"},
		{strategies.Gate{Kind: "exec"}, "no command"},
		{strategies.Gate{Kind: "prometheus", Spec: map[string]string{"url": "prometheus:9090"}}, "want that of a Prometheus server"},
		{strategies.Gate{Kind: "prometheus", Spec: map[string]string{"url": "http://p:9090", "query": "x"}}, "no limit"},
	} {
		_, err := analysis.New(c.gate, analysis.Parts{})
		require.ErrorContains(t, err, c.want)
	}
}
