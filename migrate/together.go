package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
)

// Bounds of what shares a transaction.
const (
	maxTogether      = 64
	maxTogetherBytes = 256 << 10
)

// next runs the first of the steps or, where they do nothing but make tables, the first few in one
// transaction: most migrations of a new database are such, and what they cost is the commits. It returns
// how many were run.
func (s *Session) next(ctx context.Context, steps []Step) (int, error) {
	if s.apart > 0 {
		s.apart--
		return 1, s.step(ctx, steps[0])
	}
	scripts := s.together(steps)
	if len(scripts) < 2 {
		return 1, s.step(ctx, steps[0])
	}
	err := s.runTogether(ctx, steps[:len(scripts)], scripts)
	if err == nil {
		return len(scripts), nil
	}
	if errors.Is(err, ErrLockLost) || ctx.Err() != nil {
		return 0, stopped(ctx, steps[0], err)
	}
	// Nothing took effect. One by one they tell which of them fails, and why; or wait for a lock.
	s.apart = len(scripts) - 1
	return 1, s.step(ctx, steps[0])
}

// together returns the statements of the first steps that can share a transaction.
func (s *Session) together(steps []Step) [][]Statement {
	if !s.db.Dialect().TransactionalDDL {
		return nil
	}
	var scripts [][]Statement
	bytes := 0
	for _, step := range steps {
		d := step.Script.Directives
		bytes += len(step.Script.SQL)
		if len(scripts) == maxTogether || bytes > maxTogetherBytes || d.NoTransaction || d.ForeignKeysOff || d.LockTimeout > 0 || len(d.Batches) > 0 || len(d.Asserts) > 0 {
			break
		}
		statements, err := s.db.Scan(step.Script.SQL)
		if err != nil || len(statements) == 0 || !s.catalogue.Together(texts(statements)) {
			break
		}
		scripts = append(scripts, statements)
	}
	return scripts
}

// runTogether runs steps in one transaction, with an entry for each.
func (s *Session) runTogether(ctx context.Context, steps []Step, scripts [][]Statement) (err error) {
	if err := s.announce(ctx); err != nil {
		return err
	}
	if err := s.settings(ctx, steps[0]); err != nil {
		return err
	}
	before, err := s.before(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.fingerprint = "" // what was followed did not take effect
			s.rollback(ctx)
		}
	}()
	var statements []Statement
	var each [][]string
	var sql strings.Builder
	for i, script := range scripts {
		statements, each = append(statements, script...), append(each, texts(script))
		sql.WriteString(steps[i].Script.SQL + "\n")
	}
	begun := time.Now()
	failpoint.Hit("together: before")
	outcomes, err := s.db.Begin(ctx, s.conn, texts(statements))
	if err == nil && len(outcomes) != len(statements) {
		err = fmt.Errorf("%d statements have %d results", len(statements), len(outcomes))
	}
	if err != nil {
		return err
	}
	if err := s.db.BeforeCommit(ctx, s.conn, sql.String()); err != nil {
		return err
	}
	fingerprints, whole, err := s.catalogue.Follow(ctx, s.conn, each)
	if err == nil && len(fingerprints) != len(steps) {
		err = errors.New("the statements have done more than they say")
	}
	if err != nil {
		return err
	}
	s.followed = s.followed || !whole
	took := time.Since(begun) / time.Duration(len(steps))
	entries := make([]Entry, len(steps))
	for i, step := range steps {
		e := s.entry(step)
		e.Before, e.After = before, fingerprints[i]
		before = e.After
		entries[i] = finished(e, scripts[i], outcomes[:len(scripts[i])], took)
		outcomes = outcomes[len(scripts[i]):]
	}
	failpoint.Hit("together: before commit")
	if err := s.commitWith(ctx, entries...); err != nil {
		return err
	}
	failpoint.Hit("together: after commit")
	s.fingerprint = before
	for _, step := range steps {
		s.opts.Observer.StepStarted(step)
		s.opts.Observer.StepFinished(step, took)
	}
	return nil
}
