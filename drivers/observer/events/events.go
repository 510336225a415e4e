// Package events passes the events of a release (strategies.Event) on: as lines of JSON to a file, and to a webhook.
//
// The release never waits for either. An event goes into a queue of bounded length, from which one goroutine for each
// webhook takes it; Close ends that, and says what did not arrive. What is lost by a crash is not lost to the receivers:
// events are made from the journal, so the next run tells them again, under the same IDs.
package events

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/strategies"
)

// Lines writes each event as a line of JSON. It implements strategies.Observer.
type Lines struct {
	w      io.WriteCloser
	name   string
	failed int
	err    error
}

// NewLines returns what writes to w; name is what people call that.
func NewLines(w io.WriteCloser, name string) *Lines { return &Lines{w: w, name: name} }

// ReleaseEvent implements strategies.Observer.
func (l *Lines) ReleaseEvent(e strategies.Event) {
	if e.Told {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = l.w.Write(append(line, '\n'))
	}
	if err != nil {
		l.failed, l.err = l.failed+1, err
	}
}

// Close says what could not be written.
func (l *Lines) Close() error {
	err := l.w.Close()
	if l.failed > 0 {
		return fmt.Errorf("%d events could not be written to %s: %w", l.failed, l.name, l.err)
	}
	return err
}

// Text says an event in a sentence, for people who see it far from a terminal.
func Text(e strategies.Event) string {
	release := fmt.Sprintf("release %s of %s", e.Release, e.Application)
	note, _, _ := strings.Cut(e.Note+e.Error, "\n")
	step := fmt.Sprintf("%s (step %d of %d)", e.Step, e.Number, e.Of)
	switch e.Type {
	case strategies.ReleaseBegun:
		text := fmt.Sprintf("%s: version %s begins, %s, by %s", release, e.Version, e.Strategy, e.By)
		if e.Stable != "" {
			text += "; stable is " + e.Stable
		}
		return text
	case strategies.ReleaseStable:
		return fmt.Sprintf("%s: version %s is the stable version", release, e.Version)
	case strategies.ReleaseWaiting:
		return release + " waits to be promoted"
	case strategies.TrafficMoved:
		return fmt.Sprintf("%s: version %s gets %d %% of the traffic", release, e.Version, *e.Share)
	case strategies.GatePassed, strategies.GateFailed, strategies.GateUndecided:
		return withNote(fmt.Sprintf("%s: gate %s %s", release, e.Gate, strings.TrimPrefix(string(e.Type), "gate.")), note)
	case strategies.ReleasePaused, strategies.ReleaseResumed, strategies.ReleasePromoted, strategies.ReleaseAborted:
		return fmt.Sprintf("%s was %s by %s", release, strings.TrimPrefix(string(e.Type), "release."), e.By)
	case strategies.ReleaseHeld:
		return withNote(release+" is held", note)
	case strategies.ReleaseTurnedBack:
		return withNote(release+" turns back", note)
	case strategies.ReleaseRolledBack:
		return release + " is rolled back: everything is as it was before it"
	}
	return withNote(fmt.Sprintf("%s: %s: %s", release, step, strings.TrimPrefix(string(e.Type), "step.")), note)
}

func withNote(text, note string) string {
	if note == "" {
		return text
	}
	return text + ": " + note
}
