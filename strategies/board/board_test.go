package board

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/strategies"
)

// entry is one of a journal, as Replay reads it.
func entry(seq int64, status migrate.Status, direction migrate.Direction, problem, detail string) migrate.Entry {
	return migrate.Entry{
		Seq: seq, Kind: migrate.ReleaseEntry, Status: status, Direction: direction, Error: problem, Detail: detail,
		Started: "2026-11-24T09:00:00.000Z", Finished: "2026-11-24T09:00:01.500Z",
	}
}

func board(t *testing.T, entries ...migrate.Entry) string {
	t.Helper()
	plan := `{"release": "v2", "plan": {"release": "v2", "application": "<b>shop</b>", "strategy": "bluegreen", "candidate": {"name": "v2"}, "blue": {"version": "v1"},
		"changes": [], "steps": [{"kind": "start"}, {"kind": "shift", "weight": 40}, {"kind": "retire"}]}}`
	releases, err := strategies.Replay(append([]migrate.Entry{entry(1, migrate.Done, "", "", plan)}, entries...))
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, HTML(&b, releases[0], time.Date(2026, 11, 24, 9, 0, 3, 0, time.UTC)))
	return b.String()
}

// TestBoard: what came from elsewhere is shown as text, and nothing can be loaded or run. A browser looks again while
// there is something to see.
func TestBoard(t *testing.T) {
	t.Parallel()
	page := board(t,
		entry(2, migrate.Done, migrate.Forward, "", `{"release": "v2", "step": 1, "note": "127.0.0.1:80\u202e</td><script>alert(1)</script>"}`),
		entry(3, migrate.Done, "", "", `{"release": "v2", "step": 2, "gate": {"gate": "<i>errors", "ruling": "passed", "says": "1 < 2"}}`),
		entry(4, migrate.Done, migrate.Forward, "", `{"release": "v2", "step": 2}`),
	)
	require.Contains(t, page, `<meta http-equiv="refresh" content="2">`)
	require.Contains(t, page, `content="default-src &#39;none&#39;; style-src &#39;sha256-`)
	require.NotContains(t, page, "<script")
	require.Contains(t, page, `127.0.0.1:80\u202e&lt;/td&gt;&lt;script&gt;`)
	require.Contains(t, page, "Release v2 of &lt;b&gt;shop&lt;/b&gt;")
	require.Contains(t, page, "The candidate gets 40 % of the traffic")
	require.Contains(t, page, "trigger the candidate by API")
	require.Contains(t, page, "<td>1.5s</td>")

	page = board(t,
		entry(2, migrate.Failed, migrate.Forward, "it broke", `{"release": "v2", "step": 1}`),
		entry(3, migrate.Done, "", "", `{"release": "v2", "turn": "start failed: it broke <here>"}`),
		entry(4, migrate.Done, migrate.Back, "", `{"release": "v2", "step": 1}`),
	)
	require.NotContains(t, page, "http-equiv=\"refresh\"")
	require.Contains(t, page, `<span class="badge bad">rolled back</span>`)
	require.Contains(t, page, "Turned back: start failed: it broke &lt;here&gt;")
}
