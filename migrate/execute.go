package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
)

// ran is what a phase entry keeps of a statement that ran inside the phase's transaction.
type ran struct {
	Line   int    `json:"line"`
	Action string `json:"action"`
	Micros int64  `json:"micros"`
	Rows   int64  `json:"rows,omitempty"`
}

// stepInTransaction runs a whole step, its journal entry included, in one transaction: killed at any
// point, either all of it is there or nothing.
func (s *Session) stepInTransaction(ctx context.Context, step Step, statements []Statement) error {
	statements, err := s.withoutControl(step, statements)
	if err != nil {
		return err
	}
	if err := s.announce(ctx); err != nil {
		return err
	}
	if err := s.settings(ctx, step); err != nil {
		return err
	}
	var at *Statement
	err = s.retry(ctx, step, func() error {
		at = nil
		return s.transaction(ctx, step, statements, &at)
	})
	if err == nil {
		return nil
	}
	s.fingerprint = ""
	return s.failedInTransaction(ctx, step, at, err)
}

// transaction runs the step once. The fence is checked by the statement that writes the entry, at the
// end: until then nothing takes effect.
func (s *Session) transaction(ctx context.Context, step Step, statements []Statement, at **Statement) (err error) {
	if s.lock.sleptOver() {
		return ErrLockLost
	}
	e := s.entry(step)
	if e.Before, err = s.before(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.fingerprint = "" // what was followed did not take effect
			s.rollback(ctx)
		}
	}()
	started := time.Now()
	failpoint.Hit("statements: before")
	begin := func() ([]Outcome, error) { return s.begun(ctx, step, statements) }
	if len(step.Script.Directives.Asserts) > 0 {
		begin = func() ([]Outcome, error) { return s.beginWithAsserts(ctx, step, statements) }
	}
	outcomes, err := begin()
	if err != nil {
		if len(outcomes) < len(statements) {
			*at = &statements[len(outcomes)]
		}
		return err
	}
	failpoint.Hit("statements: after")
	if err := s.db.BeforeCommit(ctx, s.conn, step.Script.SQL); err != nil {
		return err
	}
	if e.After, err = s.after(ctx, statements); err != nil {
		return fmt.Errorf("fingerprint the schema: %w", err)
	}
	e = finished(e, statements, outcomes, time.Since(started))
	failpoint.Hit("commit: before")
	if err := s.commitWith(ctx, e); err != nil {
		return err
	}
	failpoint.Hit("commit: after")
	s.fingerprint = e.After
	return nil
}

// begun begins a transaction and runs statements in it.
func (s *Session) begun(ctx context.Context, step Step, statements []Statement) ([]Outcome, error) {
	list := texts(statements)
	first := s.reservation(step, list)
	if first == "" {
		return s.db.Begin(ctx, s.conn, list)
	}
	outcomes, err := s.db.Begin(ctx, s.conn, append([]string{first}, list...))
	if len(outcomes) > 0 {
		outcomes = outcomes[1:]
	}
	return outcomes, err
}

// finished is the entry of a step whose statements ran in a transaction.
func finished(e Entry, statements []Statement, outcomes []Outcome, took time.Duration) Entry {
	var log []ran
	for i, o := range outcomes {
		// A server may see several statements where a delimiter of the script's own made one.
		st := &statements[min(i, len(statements)-1)]
		log = append(log, ran{Line: st.Line, Action: firstLine(st.Text), Micros: o.Took.Microseconds(), Rows: o.Rows})
		e.Rows += o.Rows
	}
	e.Status, e.took, e.Detail = Done, took, encode(struct {
		Statements []ran `json:"statements"`
	}{log})
	return e
}

// commitWith writes entries and commits, if the lock is ours then. It cannot be taken over before.
func (s *Session) commitWith(ctx context.Context, entries ...Entry) error {
	if s.lock.sleptOver() {
		return ErrLockLost
	}
	last := make([]Query, len(entries))
	for i, e := range entries {
		last[i].SQL, last[i].Args = s.journal.insert(e, s.lock)
	}
	err := s.db.Commit(ctx, s.conn, last)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrLockLost
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func texts(statements []Statement) []string {
	list := make([]string, len(statements))
	for i := range statements {
		list[i] = statements[i].Text
	}
	return list
}

// before is the catalogue's fingerprint now. Within a run it is the one after the step before: the lock
// keeps other runs out, and what somebody else does by hand meanwhile shows at the next run.
func (s *Session) before(ctx context.Context) (string, error) {
	if s.fingerprint != "" {
		return s.fingerprint, nil
	}
	f, err := s.catalogue.Read(ctx, s.conn)
	if err != nil {
		return "", fmt.Errorf("fingerprint the schema: %w", err)
	}
	s.fingerprint = f
	return f, nil
}

// after is the catalogue's fingerprint after statements that ran on what before returned.
func (s *Session) after(ctx context.Context, statements []Statement) (string, error) {
	f, whole, err := s.catalogue.Follow(ctx, s.conn, [][]string{texts(statements)})
	if err != nil {
		return "", err
	}
	s.followed = s.followed || !whole
	return f[0], nil
}

// entry is the phase entry of a step, as far as it is known before it runs.
func (s *Session) entry(step Step) Entry {
	e := s.Stamp(Entry{Kind: PhaseEntry, Change: step.Change, Phase: step.Phase, Direction: step.Direction, Action: step.String(), Status: Started, Script: &step.Script.SQL})
	if step.Rollback != nil {
		e.Rollback = &step.Rollback.SQL
	}
	return e
}

// failedInTransaction journals a step whose transaction was rolled back.
func (s *Session) failedInTransaction(ctx context.Context, step Step, at *Statement, err error) error {
	if errors.Is(err, ErrLockLost) || ctx.Err() != nil {
		return stopped(ctx, step, err)
	}
	e := s.entry(step)
	e.Status, e.Error = Undone, err.Error()
	// A failure to journal the failure is not worth more words: nothing happened.
	_, _ = s.Append(ctx, e)
	return s.stepError(step, at, err, "nothing of this step took effect; the steps before it did", mendScript)
}

// stopped is the error of a step that did not fail by itself.
func stopped(ctx context.Context, step Step, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return &StepError{Step: step, Err: err, State: "the step did not finish; the journal knows how far it came", Next: "run the same command again, it goes on from there"}
}

// mendScript is what to do about a script that is wrong.
const mendScript = "mend the script, `switchback sum`, then run the same command again"

func (s *Session) stepError(step Step, at *Statement, err error, state, next string) error {
	var found *AssertError
	switch {
	case errors.As(err, &found):
		next = "mend what was found, then run the same command again"
	case next != mendScript:
	case errors.Is(err, errGaveUp):
		next = "wait until what is in the way has ended, or end it, then run the same command again"
	case s.db.IsFull(err):
		next = "make room, then run the same command again"
	}
	e := &StepError{Step: step, Err: err, State: state, Next: next}
	if at != nil {
		e.Line, e.Statement = at.Line, firstLine(at.Text)
	}
	return e
}

// withoutControl takes a BEGIN and COMMIT around a whole script away, as other tools' scripts have
// them, and refuses any other: the journal's entry has to share the transaction.
func (s *Session) withoutControl(step Step, statements []Statement) ([]Statement, error) {
	n := len(statements)
	if n >= 2 && s.db.Classify(statements[0].Text) == Control && s.db.Classify(statements[n-1].Text) == Control {
		statements = statements[1 : n-1]
	}
	for i := range statements {
		if s.db.Classify(statements[i].Text) == Control {
			return nil, s.stepError(step, &statements[i], errors.New("the script begins or ends a transaction by itself"), "nothing was changed", "take the statement out: each script runs in one transaction; or ask for none with `-- switchback:no-transaction`")
		}
	}
	return statements, nil
}

// patience is how long a statement of the step waits for a lock, and how often it is tried again.
func (s *Session) patience(step Step) (timeout time.Duration, retries int) {
	d := step.Script.Directives
	timeout, retries = s.opts.LockTimeout, s.opts.Retries
	if d.LockTimeout > 0 {
		timeout = d.LockTimeout
		if d.Retries >= 0 {
			retries = d.Retries
		}
	}
	// A group holds the locks of its first statements while it waits for the next ones, as a batch does those of rows.
	if gives := s.yields || len(d.Groups) > 0 && s.db.Dialect().Engine == Postgres; gives && timeout > yieldingTimeout {
		retries *= int(timeout / yieldingTimeout)
		timeout = yieldingTimeout
	}
	return timeout, retries
}

// settings makes the session as the step wants it. A script may set something else for itself; the next
// step has its own again.
func (s *Session) settings(ctx context.Context, step Step) error {
	timeout, _ := s.patience(step)
	if timeout != s.timeout {
		if err := s.db.SetLockTimeout(ctx, s.conn, timeout); err != nil {
			return fmt.Errorf("set the lock timeout: %w", err)
		}
	}
	s.timeout = timeout
	if strings.Contains(strings.ToLower(step.Script.SQL), "timeout") {
		s.timeout = 0 // not known afterwards
	}
	return nil
}

// errGaveUp marks a lock timeout that was met often enough, or for long enough.
var errGaveUp = errors.New("gave up")

// retry runs f until it succeeds, fails for a reason other than a lock, or has been tried often enough.
// Between two tries nothing of ours waits in the server's lock queue, so nobody queues behind it.
func (s *Session) retry(ctx context.Context, step Step, f func() error) error {
	timeout, retries := s.patience(step)
	look := timeout
	if _, ok := s.db.(Reserver); ok && !s.yields {
		look = min(look, queueTime)
	}
	s.tries = 0
	return s.patiently(ctx, step, retries, timeout, s.watch(ctx, look, timeout), func() error {
		s.tries++
		return f()
	})
}

// patiently is retry for a session or, where nobody can be watched yet, for what comes before it.
func (r *Runner) patiently(ctx context.Context, step Step, retries int, timeout time.Duration, watch func() func() []Blocker, f func() error) error {
	begun := time.Now()
	var seen []Blocker // when they were last
	for attempt := 1; ; attempt++ {
		blockers := watch()
		err := f()
		found := blockers()
		if err == nil || !r.db.IsLockTimeout(err) || errors.Is(err, errGaveUp) || ctx.Err() != nil {
			return err
		}
		if len(found) > 0 {
			seen = found
		}
		pause := backoff(attempt)
		spent := time.Since(begun)
		closed := r.closed(ctx, step)
		if attempt > retries || spent+pause > r.opts.LockDeadline || closed != nil {
			err = fmt.Errorf("%w after %d tries of %s each, in %s%s: %w", errGaveUp, attempt, timeout, spent.Round(100*time.Millisecond), describe(seen), err)
			return errors.Join(err, closed)
		}
		r.opts.Observer.Waiting(step, attempt, pause, found)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// bookkeeping runs f, which reads or writes our own tables, until no lock of somebody else is in its
// way. That is for SQLite, where a long transaction of the application locks every table.
func (r *Runner) bookkeeping(ctx context.Context, f func() error) error {
	nobody := func() []Blocker { return nil }
	return r.patiently(ctx, Step{}, r.opts.Retries, r.opts.LockTimeout, func() func() []Blocker { return nobody }, f)
}

// watch returns a function that starts to look, half of the first time from now and then by the lock timeout, for
// what keeps our session waiting; that one returns a function that ends the look and tells what was seen.
func (s *Session) watch(ctx context.Context, first, timeout time.Duration) func() func() []Blocker {
	return s.watchSession(ctx, first, timeout, s.lock.session)
}

func (s *Session) watchSession(ctx context.Context, first, timeout time.Duration, session string) func() func() []Blocker {
	return func() func() []Blocker {
		if session == "" {
			return func() []Blocker { return nil }
		}
		look, stop := context.WithCancel(ctx)
		found := make(chan []Blocker, 1)
		go func() {
			defer close(found)
			// Not only once: what the step does before it waits may take its time.
			for pause := first / 2; sleep(look, pause) == nil; pause = max(timeout/8, lookEvery) {
				b, err := s.db.Blockers(look, session)
				if err != nil {
					return
				}
				if len(b) > 0 {
					found <- b
					return
				}
			}
		}()
		return func() []Blocker {
			stop()
			return <-found
		}
	}
}

// closed tells whether the window has closed while a step was waiting for a lock. A backfill that was
// begun goes on.
func (r *Runner) closed(ctx context.Context, step Step) error {
	if step.Change == "" || step.Phase == Backfill {
		return nil
	}
	if w := r.opts.Window; w != nil {
		if now, err := r.clock(ctx); err == nil && w.Opens(now).After(now) {
			return fmt.Errorf("the window %s has closed meanwhile", w)
		}
	}
	return nil
}

// maxNamed is how many blockers an error names.
const maxNamed = 3

func describe(blockers []Blocker) string {
	if len(blockers) == 0 {
		return ""
	}
	var each []string
	for _, b := range blockers[:min(len(blockers), maxNamed)] {
		each = append(each, b.String())
	}
	text := ", blocked by " + strings.Join(each, " and ")
	if more := len(blockers) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// backoff is the pause after the nth lock timeout: it doubles from 100 ms up to 5 s, and half of it is
// chance, so that two runs do not meet again and again.
func backoff(attempt int) time.Duration {
	d := min(100*time.Millisecond<<min(attempt-1, 10), 5*time.Second)
	return d/2 + rand.N(d/2)
}
