package migrate

import (
	"context"
	"time"
)

// Reserver is a Database on which whoever waits for a table's lock keeps all those waiting that ask for the table
// after it, so that it matters what a statement waits for.
type Reserver interface {
	// Reserve is what a transaction begins with in which the statements are to run. It waits for what holds their
	// tables longer than a request does, such as a vacuum, beside readers and writers and for as long as patience,
	// and has the statements themselves wait for no longer than wait. It is empty where they let readers and
	// writers go on.
	Reserve(statements []string, patience, wait time.Duration) string
}

// How long a statement keeps others waiting behind it while it waits itself: first so long, a few times, then twice as
// long each time, up to the lock timeout, which it may last wait for in any case.
const (
	queueTime  = 80 * time.Millisecond
	queueTries = 3
)

// reservation is what a transaction of the step begins with that runs the statements; it may be nothing.
func (s *Session) reservation(step Step, statements []string) string {
	r, ok := s.db.(Reserver)
	if !ok {
		return ""
	}
	timeout, retries := s.patience(step)
	full := s.opts.LockTimeout
	if d := step.Script.Directives.LockTimeout; d > 0 {
		full = d
	}
	return r.Reserve(statements, full, queueFor(s.tries, retries, timeout))
}

// queueFor is for how long the nth try may keep others waiting.
func queueFor(try, retries int, timeout time.Duration) time.Duration {
	if try > retries {
		return timeout
	}
	return min(queueTime<<min(max(try-queueTries, 0), 10), timeout)
}

// reserve runs the reservation for a statement in a transaction that has done nothing else yet.
func (s *Session) reserve(ctx context.Context, step Step, statements ...string) error {
	first := s.reservation(step, statements)
	if first == "" {
		return nil
	}
	_, err := s.db.Execute(ctx, s.conn, first)
	return err
}
