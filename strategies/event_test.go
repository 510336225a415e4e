package strategies

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

// book is a journal that is written entry by entry, a second between any two writes.
type book struct {
	t       *testing.T
	entries []migrate.Entry
	seconds int
}

func (b *book) clock() string {
	b.seconds++
	return fmt.Sprintf("2026-11-24T09:00:%02d.000Z", b.seconds)
}

func (b *book) write(e migrate.Entry, d detail) int {
	d.Release = "v2"
	text, err := json.Marshal(d)
	require.NoError(b.t, err)
	e.Seq, e.Kind, e.Actor, e.Started, e.Detail = int64(len(b.entries)+1), migrate.ReleaseEntry, "ada@ci", b.clock(), string(text)
	if e.Status == "" {
		e.Status, e.Finished = migrate.Done, e.Started
	}
	b.entries = append(b.entries, e)
	return len(b.entries) - 1
}

func (b *book) begin(step int, direction migrate.Direction) int {
	return b.write(migrate.Entry{Status: migrate.Started, Direction: direction}, detail{Step: step})
}

func (b *book) finish(entry int, problem string) {
	e := &b.entries[entry]
	e.Status, e.Finished, e.Error = migrate.Done, b.clock(), problem
	if problem != "" {
		e.Status = migrate.Failed
	}
}

func (b *book) events() []Event {
	releases, err := Replay(b.entries)
	require.NoError(b.t, err)
	require.Len(b.t, releases, 1)
	return releases[0].Events()
}

// TestEvents reads the events of a release that was cut off, held, resumed, promoted and brought back. At each moment
// they are what they were before and what is new: a run tells only news, and one after a crash the same again.
func TestEvents(t *testing.T) {
	t.Parallel()
	b := &book{t: t}
	var said []string
	known := map[string]bool{}
	look := func() {
		for _, e := range b.events() {
			if known[e.ID] {
				continue
			}
			known[e.ID] = true
			text := fmt.Sprint(e.Type, " ", e.Step)
			if e.Share != nil {
				text = fmt.Sprint(e.Type, " ", *e.Share)
			}
			said = append(said, fmt.Sprintf("%s #%d, %s", text, e.Attempt, e.Status))
		}
	}
	plan := Plan{
		Release: "v2", Application: "shop", Strategy: BlueGreen, Candidate: Version{Name: "v2"}, Blue: &Stable{Version: "v1"},
		Steps: []Step{{Kind: Start}, {Kind: Shift, Weight: 50}, {Kind: Promote}, {Kind: Retire}},
	}
	forward, back := migrate.Forward, migrate.Back
	b.write(migrate.Entry{}, detail{Plan: &plan})
	look()
	b.begin(1, forward) // and killed
	look()
	again := b.begin(1, forward)
	look()
	b.finish(again, "")
	look()
	shift := b.begin(2, forward)
	b.write(migrate.Entry{}, detail{Step: 2, Gate: &Judgement{Gate: "errors", Ruling: Undecided, Says: "no data"}})
	b.write(migrate.Entry{}, detail{Request: pause, Note: "gate errors has no data"})
	b.finish(shift, "held")
	look()
	b.write(migrate.Entry{}, detail{Request: resume})
	shift = b.begin(2, forward)
	look()
	b.finish(shift, "")
	look()
	b.write(migrate.Entry{}, detail{Told: 8})
	b.write(migrate.Entry{}, detail{Request: promote})
	promoted := b.begin(3, forward)
	b.finish(promoted, "")
	look()
	b.write(migrate.Entry{}, detail{Turn: "asked for"})
	undo := b.begin(2, back)
	b.finish(undo, "")
	undo = b.begin(1, back)
	b.finish(undo, "")
	look()
	require.Equal(t, []string{
		"release.begun  #0, running",
		"step.begun start #1, running",
		"step.begun start #2, running",
		"step.done start #2, running",
		"step.begun shift 50 % #1, running",
		"gate.undecided shift 50 % #1, running",
		"release.held  #0, paused",
		"step.failed shift 50 % #1, paused",
		"release.resumed  #0, running",
		"step.begun shift 50 % #2, running",
		"step.done shift 50 % #2, waiting",
		"traffic.moved 50 #2, waiting",
		"release.waiting shift 50 % #2, waiting",
		"release.promoted  #0, running",
		"step.begun promote #1, running",
		"step.done promote #1, running",
		"release.turned-back  #0, turned back",
		"step.undoing shift 50 % #1, turned back",
		"step.undone shift 50 % #1, turned back",
		"traffic.moved 0 #1, turned back",
		"step.undoing start #1, turned back",
		"step.undone start #1, rolled back",
		"release.rolled-back start #1, rolled back",
	}, said)

	events := b.events()
	require.Len(t, events, len(said), "told from the end they are the same")
	for _, e := range events {
		require.Equal(t, e.Entry <= 8, e.Told, "%s of entry %d", e.Type, e.Entry)
	}
	done := events[3]
	require.Equal(t, Event{
		ID: done.ID, Type: StepDone, At: "2026-11-24T09:00:04.000Z", Entry: 3, By: "ada@ci", Release: "v2", Application: "shop", Version: "v2",
		Stable: "v1", Strategy: BlueGreen, Status: Running, Step: "start", Number: 1, Of: 4, Attempt: 2, Seconds: 1, Told: true,
	}, done)
}
