package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/switchbackdb/switchback/internal/failpoint"
)

// stepByStatement runs a step whose statements commit one by one. Each has an entry of its own; what
// can share a transaction with its entry does. It also takes up a step that was interrupted.
func (s *Session) stepByStatement(ctx context.Context, step Step, statements []Statement) error {
	if err := s.announce(ctx); err != nil {
		return err
	}
	if err := s.settings(ctx, step); err != nil {
		return err
	}
	phase, earlier, err := s.open(ctx, step)
	if err != nil {
		return err
	}
	after, reached := 0, 0 // reached: the last statement that an interrupted run came to; what it asserted before held
	for number := range earlier {
		reached = max(reached, number)
	}
	for i := 0; i < len(statements); i++ {
		if g := step.Script.Directives.groupFor(statements[i].Line); g != nil {
			members := s.members(step.Script.Directives, g, statements, i, after, earlier)
			if at, err := s.group(ctx, step, phase, g, members); err != nil {
				return s.failedByStatement(ctx, step, phase, at, err)
			}
			i += len(members) - 1
			after = statements[i].Line + 1
			continue
		}
		st := &statements[i]
		prior := earlier[i+1]
		batch := step.Script.Directives.batchFor(after, st.Line)
		claim := step.Script.Directives.assertFor(after, st.Line)
		after = st.Line + 1
		if prior != nil && prior.Status == Done && s.db.Classify(st.Text) != Setting {
			continue
		}
		run := func() error { return s.statement(ctx, step, phase, i+1, st, batch, prior) }
		switch {
		case claim != nil && i+1 < reached:
			continue
		case claim != nil:
			run = func() error { return assert(ctx, s.conn, claim, st.Text) }
		case batch == nil:
			run = func() error {
				return s.retry(ctx, step, func() error { return s.statement(ctx, step, phase, i+1, st, nil, prior) })
			}
		}
		err := run() // a backfill tries its batches again one by one
		if err != nil {
			return s.failedByStatement(ctx, step, phase, st, err)
		}
	}
	failpoint.Hit("phase: before outcome")
	if phase.After, err = s.catalogue.Read(ctx, s.conn); err != nil {
		return fmt.Errorf("fingerprint the schema: %w", err)
	}
	phase.Status = Done
	if phase.Rows, err = s.journal.rows(ctx, s.conn, phase.Seq); err != nil {
		return err
	}
	if err := s.Finish(ctx, *phase); err != nil {
		return err
	}
	failpoint.Hit("phase: after outcome")
	s.fingerprint = phase.After
	return nil
}

// members are the statements of a group that begins with the given one.
func (s *Session) members(d Directives, g *Group, statements []Statement, first, after int, earlier map[int]*Entry) []member {
	var list []member
	for i := first; i < len(statements) && d.groupFor(statements[i].Line) == g; i++ {
		st := &statements[i]
		m := member{number: i + 1, statement: st, claim: d.assertFor(after, st.Line), resumed: d.isResumed(after, st.Line), prior: earlier[i+1]}
		for number := range earlier {
			m.held = m.held || m.claim != nil && number > m.number
		}
		list = append(list, m)
		after = st.Line + 1
	}
	return list
}

// open writes the intent of a step, or finds that of the run that was interrupted, with the entries of
// its statements by their number.
func (s *Session) open(ctx context.Context, step Step) (*Entry, map[int]*Entry, error) {
	if step.resume != nil {
		entries, err := s.journal.Entries(ctx, s.conn, Filter{Kinds: []EntryKind{StatementEntry}, Parent: step.resume.Seq})
		if err != nil {
			return nil, nil, err
		}
		earlier := map[int]*Entry{}
		for i := range entries {
			earlier[entries[i].Statement] = &entries[i]
		}
		return step.resume, earlier, nil
	}
	e := s.entry(step)
	var err error
	if e.Before, err = s.before(ctx); err != nil {
		return nil, nil, err
	}
	failpoint.Hit("phase: before intent")
	if e.Seq, err = s.Append(ctx, e); err != nil {
		return nil, nil, err
	}
	failpoint.Hit("phase: after intent")
	return &e, nil, nil
}

// statement runs one statement with its journal entry.
func (s *Session) statement(ctx context.Context, step Step, phase *Entry, number int, st *Statement, batch *Batch, prior *Entry) error {
	e := Entry{Parent: phase.Seq, Kind: StatementEntry, Change: step.Change, Phase: step.Phase, Direction: step.Direction, Statement: number, Action: firstLine(st.Text)}
	if batch != nil {
		return s.backfill(ctx, step, e, st, *batch, prior)
	}
	switch s.db.Classify(st.Text) {
	case Control:
		return errors.New("the script begins or ends a transaction by itself: each of its statements has one of its own")
	case Setting:
		_, err := s.db.Execute(ctx, s.conn, st.Text)
		return err
	case SelfCommitting:
		return s.selfCommitting(ctx, e, st, prior)
	default:
		return s.atomic(ctx, step, e, st)
	}
}

// atomic runs a statement in one transaction with its entry.
func (s *Session) atomic(ctx context.Context, step Step, e Entry, st *Statement) error {
	failpoint.Hit("statement: before")
	err := s.guarded(ctx, func() (err error) {
		if err := s.reserve(ctx, step, st.Text); err != nil {
			return err
		}
		if e.Rows, err = s.db.Execute(ctx, s.conn, st.Text); err != nil {
			return err
		}
		failpoint.Hit("statement: after")
		e.Status = Done
		_, err = s.journal.Append(ctx, s.conn, s.Stamp(e))
		return err
	})
	failpoint.Hit("statement: committed")
	return err
}

// selfCommitting runs a statement between its intent and its outcome. If an earlier run was killed
// between the two, the catalogue tells whether the statement took effect.
func (s *Session) selfCommitting(ctx context.Context, e Entry, st *Statement, prior *Entry) error {
	if prior != nil {
		e = *prior
		fate, err := s.db.Settle(ctx, s.conn, st.Text, e.Before)
		if err != nil {
			return fmt.Errorf("find out what became of the interrupted statement: %w", err)
		}
		if fate == TookEffect {
			e.Status = Done
			return s.Finish(ctx, e)
		}
	} else if err := s.intend(ctx, &e); err != nil {
		return err
	}
	failpoint.Hit("statement: before")
	n, err := s.db.Execute(ctx, s.conn, st.Text)
	if err != nil {
		return errors.Join(err, s.failed(ctx, e, st, err))
	}
	failpoint.Hit("statement: after")
	e.Status, e.Rows, e.Error = Done, n, ""
	if err := s.Finish(ctx, e); err != nil {
		return err
	}
	failpoint.Hit("statement: after outcome")
	return nil
}

// failed records that a statement failed, after what it left half done was cleared away.
func (s *Session) failed(ctx context.Context, e Entry, st *Statement, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, serr := s.db.Settle(ctx, s.conn, st.Text, e.Before); serr != nil {
		return fmt.Errorf("clear away what the statement left: %w", serr)
	}
	e.Status, e.Error = Failed, err.Error()
	return s.Finish(ctx, e)
}

// intend writes the intent of a statement with the fingerprint before it.
func (s *Session) intend(ctx context.Context, e *Entry) error {
	var err error
	if e.Before, err = s.db.Fingerprint(ctx, s.conn); err != nil {
		return fmt.Errorf("fingerprint the schema: %w", err)
	}
	e.Status = Started
	failpoint.Hit("statement: before intent")
	e.Seq, err = s.Append(ctx, *e)
	failpoint.Hit("statement: after intent")
	return err
}

// failedByStatement takes back what a failed step did before its failing statement, with the step's
// own rollback script, and proves by the fingerprint that the schema is what it was.
func (s *Session) failedByStatement(ctx context.Context, step Step, phase *Entry, at *Statement, err error) error {
	if errors.Is(err, ErrLockLost) || ctx.Err() != nil {
		return stopped(ctx, step, err)
	}
	s.fingerprint = ""
	phase.Error = err.Error()
	var state string
	next := mendScript
	switch uerr := s.undo(ctx, step, phase); {
	case step.Phase == Backfill:
		phase.Status = Undone
		state = "the batches before it took effect; backfilling again goes on from there"
	case uerr != nil:
		phase.Status = Failed
		state = fmt.Sprintf("the statements before it took effect, and could not be taken back: %v", uerr)
		next = fmt.Sprintf("bring the schema to how it was before the step or after it by hand, then: switchback resolve %s:%s --as pending|applied", step.Change, step.Phase)
	default:
		phase.Status = Undone
		state = "what the statements before it did was taken back; the schema is as it was before the step"
	}
	if ferr := s.Finish(ctx, *phase); ferr != nil {
		err = errors.Join(err, ferr)
	}
	return s.stepError(step, at, err, state, next)
}

// undo runs the rollback script of a step that is half done. What it finds missing was not there yet; a rule that is there already
// stands in for one that was about to go.
func (s *Session) undo(ctx context.Context, step Step, phase *Entry) error {
	now, err := s.db.Fingerprint(ctx, s.conn)
	if err != nil || now == phase.Before {
		return err
	}
	if step.Rollback == nil || step.Direction == Back {
		return errors.New("there is no script for that")
	}
	statements, err := s.db.Scan(step.Rollback.SQL)
	if err != nil {
		return fmt.Errorf("read the rollback script: %w", err)
	}
	if err := s.undoStatements(ctx, step, statements); err != nil {
		return err
	}
	if now, err = s.db.Fingerprint(ctx, s.conn); err != nil {
		return err
	}
	if now != phase.Before {
		return errors.New("the rollback script ran, but the schema is not what it was before the step")
	}
	return nil
}

func (s *Session) undoStatements(ctx context.Context, step Step, statements []Statement) error {
	d := step.Rollback.Directives
	locker, _ := s.db.(TableLocker)
	wrong := func(st *Statement, err error) error {
		return fmt.Errorf("line %d of the rollback script: %w", st.Line, err)
	}
	after := 0
	for i := 0; i < len(statements); i++ {
		st := &statements[i]
		g := d.groupFor(st.Line)
		if g == nil || locker == nil || len(g.Tables) == 0 {
			claim := d.assertFor(after, st.Line)
			after = st.Line + 1
			if claim != nil {
				continue
			}
			if err := s.undoStatement(ctx, st); err != nil {
				return wrong(st, err)
			}
			continue
		}
		members := s.members(d, g, statements, i, after, nil)
		i += len(members) - 1
		after = statements[i].Line + 1
		if err := s.locked(ctx, locker, step, g.Tables, func(ctx context.Context, conn *sql.Conn) error {
			for _, m := range members {
				if m.claim != nil || m.resumed && step.resume == nil {
					continue
				}
				if err := s.undoLocked(ctx, locker, conn, m.statement); err != nil {
					return wrong(m.statement, err)
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) undoStatement(ctx context.Context, st *Statement) error {
	var err error
	if kind := s.db.Classify(st.Text); kind == Atomic {
		err = s.guarded(ctx, func() error {
			_, err := s.db.Execute(ctx, s.conn, st.Text)
			return err
		})
	} else {
		_, err = s.db.Execute(ctx, s.conn, st.Text)
	}
	if err != nil && (s.db.IsMissing(err) || s.ruled(st, err)) {
		return nil
	}
	return err
}

// RuleFinder is a database that can tell whether err means that a constraint or an index is there already that a statement wants to
// make. It holds no rows: a rollback script that adds it, and is run as its step came half of the way, goes on.
type RuleFinder interface {
	IsRulePresent(statement string, err error) bool
}

func (s *Session) ruled(st *Statement, err error) bool {
	f, ok := s.db.(RuleFinder)
	return ok && f.IsRulePresent(st.Text, err)
}
