package seeds

import (
	"fmt"
	"slices"

	"github.com/switchbackdb/switchback/strategies"
)

// command is what a person asks for.
type command string

const (
	start    command = "start"
	promote  command = "promote"
	pause    command = "pause"
	resume   command = "resume"
	abort    command = "abort"
	rollback command = "rollback"
)

// model is what is to be known of a release by who does not know how one is made.
type model struct {
	rolling       bool
	status        strategies.Status // of the newest release; empty when there is none
	name          string
	version       int
	waits         bool // its plan waits for a person before it is promoted
	promoted      bool
	uncertain     bool // its candidate or its gate may turn it back, or hold it
	columnsBefore string

	liveVersion int // what serves once it is final; 0 for nothing
	liveRelease string
	stable      []liveness // what served before it, the newest last
}

// liveness is a release that became stable.
type liveness struct {
	version int
	release string
	columns string // before it
}

// may are the commands that a state allows. There is none without a way out: each that is not final allows abort, and
// one that goes on.
func (m *model) may() []command {
	switch m.status {
	case strategies.Running, strategies.Paused, strategies.Waiting:
		return []command{promote, pause, resume, abort, rollback}
	case strategies.TurnedBack:
		return []command{resume, abort, rollback}
	case strategies.Stabilised:
		return []command{start, start, rollback}
	}
	return []command{start}
}

// forward is the command that takes a release on.
func (m *model) forward() command {
	if m.status == strategies.Waiting {
		return promote
	}
	return resume
}

// plans takes a new release into account.
func (m *model) plans(p *strategies.Plan, version int, columns string, verdict strategies.Outcome) {
	m.status, m.name, m.version, m.columnsBefore, m.promoted = "", p.Release, version, columns, false
	m.waits = slices.ContainsFunc(p.Steps, func(s strategies.Step) bool { return s.Kind == strategies.Promote })
	m.uncertain = p.Candidate.Env["MODE"] != "" || len(p.Gates) > 0 && verdict != strategies.Good
}

// ends are the statuses that a command may end with.
func (m *model) ends(c command, f *fate) (list []strategies.Status) {
	hit := func(events ...event) bool {
		return slices.ContainsFunc(f.fired, func(e event) bool { return slices.Contains(events, e) })
	}
	add := func(when bool, s ...strategies.Status) {
		if when {
			list = append(list, s...)
		}
	}
	promoted := m.promoted || c == promote || hit(promoted)
	turns := c == abort || c == rollback || m.status == strategies.TurnedBack
	mayTurn := turns || m.uncertain || f.faults[0] > 0 || hit(aborted, stopped, greenDies, blueDies)
	mustTurn := turns || hit(aborted, stopped) || f.faults[0] > 0
	cutOff := hit(killedBefore, killedAfter)
	pauses := c == pause || m.status == strategies.Paused && c != resume || hit(paused, blueDies) || m.uncertain

	add(mayTurn, strategies.RolledBack)
	add(f.faults[1] > 0 || f.down || cutOff && mayTurn, strategies.TurnedBack)
	add(!turns && cutOff, strategies.Running)
	add(!turns && pauses, strategies.Paused)
	add((!mustTurn || cutOff) && !turns && m.waits && (!promoted || cutOff), strategies.Waiting)
	add((!mustTurn || cutOff) && !turns && (!m.waits || promoted), strategies.Stabilised)
	return list
}

// becomes takes into account where the release has come to.
func (m *model) becomes(r *strategies.Release) {
	was := m.status
	m.status, m.promoted = r.Status(), r.Promoted
	switch {
	case m.status == strategies.Stabilised && was != strategies.Stabilised:
		m.stable = append(m.stable, liveness{m.version, m.name, m.columnsBefore})
	case m.status == strategies.TurnedBack || m.status == strategies.RolledBack:
		// A release that was stable is not any more.
		if n := len(m.stable); n > 0 && m.stable[n-1].release == m.name {
			m.stable = m.stable[:n-1]
		}
	}
	m.liveVersion, m.liveRelease = 0, ""
	if n := len(m.stable); n > 0 {
		m.liveVersion, m.liveRelease = m.stable[n-1].version, m.stable[n-1].release
	}
}

// liveName is what serves.
func (m *model) liveName() string { return fmt.Sprint("v", m.liveVersion) }
