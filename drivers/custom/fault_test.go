package custom_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/custom"
	"github.com/switchbackdb/switchback/drivers/custom/exec"
	"github.com/switchbackdb/switchback/drivers/custom/webhook"
	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/tlsfiles"
	"github.com/switchbackdb/switchback/strategies"
)

func operation(id string, fence int64) strategies.Operation {
	return strategies.Operation{ID: id, Fence: fence}
}

func all(address string) []strategies.Backend {
	return []strategies.Backend{{Slot: strategies.Green, Version: "v1", Address: address, Weight: 100}}
}

// TestWebhookOutcomeUnknown has an answer not arrive after what was asked for was done: it is asked for again, and done once.
func TestWebhookOutcomeUnknown(t *testing.T) {
	shift := func(_ *http.Request, body []byte) bool {
		var m struct{ Verb string }
		return json.Unmarshal(body, &m) == nil && m.Verb == "shift"
	}
	for name, fault := range map[string]servers.Fault{
		"500 after the effect":             servers.FailedAfter,
		"connection lost after the effect": servers.LostAfter,
		"answer cut off": func(w http.ResponseWriter, forward func(http.ResponseWriter)) {
			forward(httptest.NewRecorder())
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"routing":`)
		},
		"slow answer": func(_ http.ResponseWriter, forward func(http.ResponseWriter)) {
			forward(httptest.NewRecorder())
			time.Sleep(1500 * time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReference(t)
			r.proxied(t)
			faults := servers.NewFaults(t, r.serves(t), nil)
			met := faults.OnCall(shift, 1, fault)
			again := faults.OnCall(shift, -1, servers.Late(0))
			router := custom.NewRouter(custom.Options{Transport: hook(t, faults.URL), Timeout: time.Second})
			routing, err := router.Shift(t.Context(), operation("one", 1), all("127.0.0.1:8001"))
			require.NoError(t, err)
			require.Equal(t, int64(1), routing.Generation, "done once")
			require.Equal(t, []int{1, 1}, []int{met(), again()}, "asked for twice")
		})
	}
}

// TestWebhookFinal has answers after which nothing is tried again.
func TestWebhookFinal(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	write := func(status int, body string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   string
		kind   error
	}{
		"garbage":           {write(200, "<html>it works!"), `is not the JSON of the contract (docs/custom.md)`, nil},
		"nothing":           {write(200, ""), `is not the JSON of the contract`, nil},
		"success and error": {write(200, `{"error":{"message":"no room"}}`), `with success and with the error "no room"`, nil},
		"too much":          {write(200, `{"x":"`+strings.Repeat("x", custom.MaxAnswer)+`"}`), "more than 1048576 bytes", nil},
		"redirect":          {write(307, ""), "is redirected (307 Temporary Redirect), which is not followed", nil},
		"refused":           {write(422, `{"error":{"message":"no \u001b[31mroom for s3cret-of-the-shop"}}`), "no [31mroom for $KEY", nil},
		"not found":         {write(404, "no such page"), "it is answered 404 Not Found: no such page", nil},
		"stale":             {write(409, `{"error":{"code":"stale-fence","message":"fence 1, seen 2"}}`), "fence 1, seen 2", strategies.ErrStaleFence},
		"conflict":          {write(409, `{"error":{"code":"conflict","message":"the job was changed by hand"}}`), "by hand", strategies.ErrForeignChange},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { calls.Add(1); test.answer(w) }))
			t.Cleanup(server.Close)
			s := custom.NewService(custom.Options{Transport: hook(t, server.URL+"/hidden?token=word")})
			_, err := s.Start(t.Context(), operation("one", 1), strategies.Version{
				Release: "r1", Slot: strategies.Green, Env: map[string]string{"KEY": "s3cret-of-the-shop"},
			})
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "token")
			require.NotContains(t, err.Error(), "s3cret")
			if test.kind != nil {
				require.ErrorIs(t, err, test.kind)
			}
			require.Equal(t, int64(1), calls.Load())
		})
	}
}

// TestWebhookNobodyThere says how often it was tried, and a cancelled release waits for none of it.
func TestWebhookNobodyThere(t *testing.T) {
	s := custom.NewService(custom.Options{Transport: hook(t, "http://127.0.0.1:1")})
	_, err := s.List(t.Context())
	require.ErrorContains(t, err, "tried 5 times: service list by http://127.0.0.1:1: ")
	require.ErrorContains(t, err, "connection refused")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.List(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestWebhookSigned(t *testing.T) {
	r := newReference(t)
	u := r.serves(t)
	other, err := webhook.New(webhook.Options{URL: u, Secret: secret + "!"})
	require.NoError(t, err)
	_, err = custom.NewService(custom.Options{Transport: other}).List(t.Context())
	require.ErrorContains(t, err, "401 Unauthorized: it is not signed")
	list, err := custom.NewService(custom.Options{Transport: hook(t, u)}).List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}

// TestWebhookTLS trusts the authorities that are named, and no others.
func TestWebhookTLS(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = io.WriteString(w, `{"instances": []}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of each client that does not trust it
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := custom.NewService(custom.Options{Transport: hook(t, server.URL)}).List(t.Context())
	require.ErrorContains(t, err, "certificate")
	require.NotContains(t, err.Error(), "tried")
	require.Zero(t, calls.Load())

	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	trusting, err := webhook.New(webhook.Options{URL: server.URL, Secret: secret, TLS: tlsfiles.Files{CA: ca}})
	require.NoError(t, err)
	_, err = custom.NewService(custom.Options{Transport: trusting}).List(t.Context())
	require.NoError(t, err)
}

func TestWebhookOptions(t *testing.T) {
	for _, o := range []webhook.Options{
		{Secret: secret},
		{URL: "ftp://127.0.0.1", Secret: secret},
		{URL: "https://user:word@example.com", Secret: secret},
		{URL: "http://192.0.2.1/", Secret: secret},
		{URL: "https://example.com", Secret: "short"},
		{URL: "https://example.com", Secret: secret, TLS: tlsfiles.Files{CA: "nothing.pem"}},
	} {
		_, err := webhook.New(o)
		var wrong *webhook.OptionError
		require.ErrorAs(t, err, &wrong, o.URL)
		require.NotContains(t, err.Error(), "word@")
	}
	_, err := webhook.New(webhook.Options{URL: "https://example.com/release?x=1", Secret: secret})
	require.NoError(t, err)
}

// script is a program before the reference's; MARK is a file of its own, and "$@" what it was called with.
func (r *reference) script(t *testing.T, text string) custom.Options {
	t.Helper()
	t.Setenv("MARK", filepath.Join(t.TempDir(), "mark"))
	t.Setenv("REFERENCE", r.program)
	return custom.Options{Transport: exec.Transport{Command: []string{"sh", "-c", text, "script"}}, Timeout: 2 * time.Second}
}

// TestExecOutcomeUnknown has a program not come to answer after it did what it was asked.
func TestExecOutcomeUnknown(t *testing.T) {
	for name, fault := range map[string]string{
		"killed after the effect": `kill -9 $$`,
		"to be tried again":       `echo busy >&2; exit 75`,
		"slow answer":             `exec sleep 600`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newReference(t)
			r.proxied(t)
			o := r.script(t, `if [ "$2" = shift ]; then echo x >>"$MARK"; fi
				if [ "$2" = shift ] && [ $(wc -l <"$MARK") = 1 ]; then "$REFERENCE" "$@" >/dev/null; `+fault+`; fi
				exec "$REFERENCE" "$@"`)
			routing, err := custom.NewRouter(o).Shift(t.Context(), operation("one", 1), all("127.0.0.1:8001"))
			require.NoError(t, err)
			require.Equal(t, int64(1), routing.Generation, "done once")
			mark, err := os.ReadFile(os.Getenv("MARK"))
			require.NoError(t, err)
			require.Equal(t, "x\nx\n", string(mark), "asked for twice")
		})
	}
}

// TestExecFinal has programs end in ways after which nothing is tried again.
func TestExecFinal(t *testing.T) {
	r := newReference(t)
	for text, want := range map[string]string{
		`echo hello`:                              "is not the JSON of the contract (docs/custom.md)",
		`echo 'no room' >&2; exit 3`:              "exit status 3: no room",
		`echo '{"error":{"message":"x"}}'`:        `with success and with the error "x"`,
		`yes | head -c 2000000`:                   "more than 1048576 bytes",
		`echo '{"error":{"message":"y"}}';exit 1`: "service list by sh: y",
	} {
		o := r.script(t, `echo x >>"$MARK"; `+text)
		_, err := custom.NewService(o).List(t.Context())
		require.ErrorContains(t, err, want)
		mark, err := os.ReadFile(os.Getenv("MARK"))
		require.NoError(t, err)
		require.Equal(t, "x\n", string(mark))
	}
	_, err := custom.NewService(custom.Options{Transport: exec.Transport{Command: []string{"./nothing-of-this-name"}}}).List(t.Context())
	require.ErrorContains(t, err, "no such file")
}

// TestAnswersAreChecked takes nothing for done that the other side has not said.
func TestAnswersAreChecked(t *testing.T) {
	instance := func(change string) string {
		all := map[string]any{"id": "r1-green", "release": "r1", "version": "v1", "slot": "green", "address": "127.0.0.1:80", "state": "healthy"}
		if key, value, ok := strings.Cut(change, "="); ok {
			all[key] = value
		}
		text, err := json.Marshal(map[string]any{"instance": all})
		require.NoError(t, err)
		return string(text)
	}
	answers := func(text string) custom.Options {
		t.Setenv("ANSWER", text)
		return custom.Options{Transport: exec.Transport{Command: []string{"sh", "-c", `printf %s "$ANSWER"`}}}
	}
	version := strategies.Version{Release: "r1", Slot: strategies.Green, Name: "v1"}
	for text, want := range map[string]string{
		`{}`:                       `has no "instance"`,
		instance("id=r2-green"):    `it is about "r2-green" where "r1-green" was asked for`,
		instance("state=running"):  `"running" is no state`,
		instance("slot=red"):       `"red" is no slot`,
		instance("address="):       `is healthy and has no address`,
		instance("address=a b:80"): `' ' is not allowed in a host`,
		instance("release=r0"):     `answers for version "v1" of release "r0"`,
		instance("started=now"):    `is not the JSON of the contract`,
	} {
		_, err := custom.NewService(answers(text)).Start(t.Context(), operation("a", 1), version)
		require.ErrorContains(t, err, want)
	}
	i, err := custom.NewService(answers(instance(""))).Start(t.Context(), operation("a", 1), version)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:80", i.Address)
	_, err = custom.NewService(answers(`{}`)).List(t.Context())
	require.ErrorContains(t, err, `has no "instances"`)

	backends := `{"routing":{"generation":1,"operation":%q,"fence":%d,"backends":[{"slot":"green","address":"127.0.0.1:80","weight":100}]}}`
	_, err = custom.NewRouter(answers(`{"routing":{"backends":[{"slot":"green","address":"127.0.0.1:80","weight":7}]}}`)).Observe(t.Context())
	require.ErrorContains(t, err, "weights add up to 7")
	_, err = custom.NewRouter(answers(fmt.Sprintf(backends, "another", 1))).Shift(t.Context(), operation("a", 1), all("127.0.0.1:81"))
	require.ErrorIs(t, err, strategies.ErrForeignChange, "it says that it is done, and it is not")
	_, err = custom.NewRouter(answers(fmt.Sprintf(backends, "another", 2))).Shift(t.Context(), operation("a", 1), all("127.0.0.1:81"))
	require.ErrorIs(t, err, strategies.ErrStaleFence)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = custom.NewRouter(answers(fmt.Sprintf(backends, "a", 1))).Drain(ctx, "127.0.0.1:81")
	require.ErrorContains(t, err, `has no "left"`)
}

// TestConflict has somebody else shift traffic after it was looked at: it is left as it is.
func TestConflict(t *testing.T) {
	each(t, func(t *testing.T, r *reference, o custom.Options) {
		r.proxied(t)
		hand := proxy.NewRouter(r.socket)
		o.Transport = &meddled{o.Transport, func() {
			_, err := hand.Shift(t.Context(), operation("by hand", 1), all("127.0.0.1:9009"))
			require.NoError(t, err)
		}}
		_, err := custom.NewRouter(o).Shift(t.Context(), operation("one", 1), all("127.0.0.1:8001"))
		require.ErrorIs(t, err, strategies.ErrForeignChange)
		routing, err := hand.Observe(t.Context())
		require.NoError(t, err)
		require.Equal(t, "by hand", routing.Operation)
		require.Equal(t, int64(1), routing.Generation)
	})
}

// meddled does something before each shift.
type meddled struct {
	custom.Transport
	do func()
}

func (m *meddled) Call(ctx context.Context, port, verb string, request []byte) (custom.Reply, error) {
	if verb == "shift" {
		m.do()
	}
	return m.Transport.Call(ctx, port, verb, request)
}
