package migrate

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// write makes a folder of changes; each is named with the letters of its phases, as in 1_a:ebc.
func write(t interface {
	require.TestingT
	Helper()
}, dir string, changes ...string,
) *Folder {
	t.Helper()
	for _, c := range changes {
		id, phases, _ := strings.Cut(c, ":")
		for _, p := range Phases() {
			if !strings.Contains(phases, string(p)[:1]) {
				continue
			}
			require.NoError(t, os.MkdirAll(filepath.Join(dir, id), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, id, string(p)+".sql"), []byte("SELECT '"+id+" "+string(p)+"';"), 0o600))
			if p == Expand || p == Contract {
				require.NoError(t, os.WriteFile(filepath.Join(dir, id, string(p)+".rollback.sql"), []byte("SELECT 'back "+id+" "+string(p)+"';"), 0o600))
			}
		}
	}
	require.NoError(t, WriteSum(dir))
	f, err := LoadFolder(dir, SQLite)
	require.NoError(t, err)
	return f
}

// history keeps what a journal would, without a database.
type history struct{ entries []Entry }

func (h *history) run(steps []Step) {
	for _, s := range steps {
		e := Entry{Seq: int64(len(h.entries) + 1), Kind: PhaseEntry, Change: s.Change, Phase: s.Phase, Direction: s.Direction, Status: Done, Script: &s.Script.SQL}
		if s.Rollback != nil {
			e.Rollback = &s.Rollback.SQL
		}
		h.entries = append(h.entries, e)
	}
}

func (h *history) state() *State { return Replay(h.entries) }

func (h *history) applied() []string {
	var list []string
	for _, a := range h.state().Applied() {
		list = append(list, a.Change+":"+string(a.Phase))
	}
	return list
}

func text(steps []Step) []string {
	var list []string
	for _, s := range steps {
		list = append(list, s.Change+":"+string(s.Phase))
	}
	return list
}

func all() []Phase { return []Phase{Expand, Backfill, Contract} }

func TestPlanByPhases(t *testing.T) {
	f := write(t, t.TempDir(), "1_a:ebc", "2_b:e", "3_c:ec")
	h := &history{}
	steps, err := PlanForward(f, h.state(), ForwardOptions{Phases: []Phase{Contract}})
	require.NoError(t, err)
	require.Empty(t, steps, "a contract waits for its expand")
	for _, want := range []struct {
		phases []Phase
		to     string
		steps  []string
	}{
		{[]Phase{Expand}, "2_b", []string{"1_a:expand", "2_b:expand"}},
		{[]Phase{Contract}, "", nil},
		{[]Phase{Backfill}, "", []string{"1_a:backfill"}},
		{all(), "", []string{"1_a:contract", "3_c:expand", "3_c:contract"}},
		{all(), "", nil},
	} {
		steps, err := PlanForward(f, h.state(), ForwardOptions{Phases: want.phases, To: want.to})
		require.NoError(t, err)
		require.Equal(t, want.steps, text(steps))
		h.run(steps)
	}
	for _, want := range []struct {
		back  BackOptions
		steps []string
	}{
		{BackOptions{LastPhase: true}, []string{"3_c:contract"}},
		{BackOptions{}, []string{"3_c:expand"}},
		{BackOptions{To: "1_a:backfill"}, []string{"1_a:contract", "2_b:expand"}},
		{BackOptions{To: "0"}, []string{"1_a:backfill", "1_a:expand"}},
		{BackOptions{}, nil},
	} {
		steps, err := PlanBack(h.state(), want.back)
		require.NoError(t, err)
		require.Equal(t, want.steps, text(steps))
		h.run(steps)
	}
	again, err := PlanAgain(h.state())
	require.NoError(t, err)
	require.Equal(t, []string{"1_a:expand", "1_a:backfill", "2_b:expand", "1_a:contract", "3_c:expand", "3_c:contract"}, text(again))
}

// Whatever is run forward and back by turns: what was rolled back is undone newest first, and running
// it again brings the same state.
func TestPlanProperties(t *testing.T) {
	dir := t.TempDir()
	f := write(t, dir, "1_a:ebc", "2_b:eb", "3_c:ec", "4_d:e")
	rapid.Check(t, func(t *rapid.T) {
		h := &history{}
		var redo []string // what was rolled back since something new was applied
		for range rapid.IntRange(1, 8).Draw(t, "runs") {
			phases := rapid.SliceOfDistinct(rapid.SampledFrom(all()), rapid.ID[Phase]).Draw(t, "phases")
			steps, err := PlanForward(f, h.state(), ForwardOptions{Phases: phases, To: rapid.SampledFrom([]string{"", "2_b", "3_c"}).Draw(t, "to")})
			require.NoError(t, err)
			before := h.applied()
			h.run(steps)
			require.Equal(t, append(slices.Clone(before), text(steps)...), h.applied())
			for _, s := range text(steps) {
				if at := slices.Index(redo, s); at >= 0 {
					redo = slices.Delete(redo, at, at+1)
				} else {
					redo = nil
				}
			}

			applied := h.applied()
			to := rapid.SampledFrom(append([]string{"0", ""}, applied...)).Draw(t, "back to")
			steps, err = PlanBack(h.state(), BackOptions{To: to, LastPhase: rapid.Bool().Draw(t, "phase")})
			require.NoError(t, err)
			last := len(applied)
			for _, s := range text(steps) {
				at := slices.Index(applied, s)
				require.GreaterOrEqual(t, at, 0)
				require.Less(t, at, last, "newest first")
				last = at
			}
			h.run(steps)
			redo = append(redo, text(steps)...)
			if to == "0" {
				require.Empty(t, h.applied())
			}
			if rapid.Bool().Draw(t, "again") {
				want := append(h.applied(), redo...)
				again, err := PlanAgain(h.state())
				require.NoError(t, err)
				h.run(again)
				require.Empty(t, h.state().Undone())
				require.ElementsMatch(t, want, h.applied())
				redo = nil
			}
		}
	})
}

func TestDirectives(t *testing.T) {
	s, err := ParseScript("x.sql", "-- switchback:lock-timeout 500ms retries 3\n-- switchback:batch table=a.b key=x,y size=10 pause=5ms\nUPDATE …")
	require.NoError(t, err)
	require.Equal(t, "500ms", s.Directives.LockTimeout.String())
	require.Equal(t, 3, s.Directives.Retries)
	require.Equal(t, []string{"x", "y"}, s.Directives.Batches[0].Key)
	for text, want := range map[string]string{
		"-- switchback:":                                   "directive",
		"-- switchback:fly":                                `unknown directive "fly"`,
		"-- switchback:lock-timeout":                       "lock-timeout",
		"-- switchback:lock-timeout soon":                  "is no duration",
		"-- switchback:lock-timeout 1s retries -1":         "is no number of retries",
		"-- switchback:batch table=a":                      "want at least",
		"-- switchback:batch table=a key=b size=0":         "size=0 is not between",
		"-- switchback:batch table=a key=b speed=1":        `unknown word "speed"`,
		"-- switchback:batch table=a key=b pause=-1s":      "is negative",
		"-- switchback:foreign-keys on":                    "foreign-keys off",
		"SELECT 1;\n  -- switchback:no-transactions, sir!": "x.sql:2: ",
	} {
		_, err := ParseScript("x.sql", text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestSumFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "1_a:e", "2_b:e")
	file := filepath.Join(dir, "1_a", "expand.sql")
	old, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte("SELECT 2;"), 0o600))
	require.ErrorContains(t, CheckSum(dir), "1_a/expand.sql was edited")
	require.NoError(t, os.WriteFile(file, old, 0o600))
	require.NoError(t, CheckSum(dir))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "1_a", "expand.mysql.sql"), nil, 0o600))
	require.ErrorContains(t, CheckSum(dir), "1_a/expand.mysql.sql is not listed")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "1_a")))
	require.ErrorContains(t, CheckSum(dir), "1_a/expand.sql is missing")
	require.NoError(t, os.Remove(filepath.Join(dir, SumFile)))
	require.ErrorContains(t, CheckSum(dir), "is missing")
	require.NoError(t, os.WriteFile(filepath.Join(dir, SumFile), fmt.Appendf(nil, "%s%s\n", sumHeader, strings.Repeat("0", 64)), 0o600))
	require.ErrorContains(t, CheckSum(dir), "does not sum up the rest")
}
