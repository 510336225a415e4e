package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
)

// A group is the statements of a script that take effect together: those between the directives together and
// apart.
//
// Where DDL is transactional they are one transaction with their entries. Where it commits by itself a
// second connection locks the group's tables and runs them, while the journal is written from the first,
// as a transaction would give the locks back. Who wants to write to the tables meanwhile waits for as long
// as that takes; nobody sees the group half done, unless this process dies in it. Then the locks are gone
// and the tables are as they are, until the step is taken up: statements below the directive resumed
// bring the rows in step again that were written meanwhile.

// TableLocker is a Database whose DDL commits by itself, and that can keep others from tables meanwhile.
type TableLocker interface {
	// LockTables keeps all other connections from reading and writing those of the tables that are there, until
	// UnlockTables or the end of the connection. What it leaves when it fails ends with the connection.
	LockTables(ctx context.Context, conn *sql.Conn, tables []string) error
	// UnlockTables gives the tables back.
	UnlockTables(ctx context.Context, conn *sql.Conn) error
	// TableState hashes the structure of the tables, their triggers included; one that is not there has a state too.
	// It is cheap, as others wait meanwhile.
	TableState(ctx context.Context, q *sql.Conn, tables []string) (string, error)
	// IsPresent tells whether err means that an object is there already that a statement wants to make.
	IsPresent(err error) bool
}

// member is a statement of a group.
type member struct {
	number    int // in its script, from 1
	statement *Statement
	claim     *Assert // it is a query that must find nothing
	held      bool    // it found nothing in a run that came further
	resumed   bool    // only a step that is taken up runs it
	prior     *Entry  // of the run that was interrupted
}

func (m member) done() bool { return m.prior != nil && m.prior.Status == Done }

// group runs the statements of a group.
func (s *Session) group(ctx context.Context, step Step, phase *Entry, g *Group, members []member) (at *Statement, err error) {
	locker, ok := s.db.(TableLocker)
	if s.db.Dialect().TransactionalDDL {
		return s.groupInTransaction(ctx, step, phase, members)
	}
	if !ok || len(g.Tables) == 0 {
		for _, m := range members {
			if m.resumed || m.held || m.done() && s.db.Classify(m.statement.Text) != Setting {
				continue
			}
			if err := s.retry(ctx, step, func() error {
				if m.claim != nil {
					return assert(ctx, s.conn, m.claim, m.statement.Text)
				}
				return s.statement(ctx, step, phase, m.number, m.statement, nil, m.prior)
			}); err != nil {
				return m.statement, err
			}
		}
		return nil, nil
	}
	run := &lockedGroup{s: s, locker: locker, step: step, phase: phase, tables: g.Tables, members: members}
	if !run.due() {
		return nil, nil
	}
	err = s.locked(ctx, locker, step, g.Tables, func(ctx context.Context, conn *sql.Conn) error {
		run.conn = conn
		return run.run(ctx)
	})
	return run.at, err
}

// groupInTransaction runs a group in one transaction with its entries: all are there, or none is.
func (s *Session) groupInTransaction(ctx context.Context, step Step, phase *Entry, members []member) (at *Statement, err error) {
	err = s.retry(ctx, step, func() error {
		return s.guarded(ctx, func() error {
			at = members[0].statement
			if err := s.reserve(ctx, step, left(members)...); err != nil {
				return err
			}
			for _, m := range members {
				if m.resumed || m.done() {
					continue
				}
				at = m.statement
				if m.claim != nil {
					if err := assert(ctx, s.conn, m.claim, m.statement.Text); err != nil {
						return err
					}
					continue
				}
				e := m.entry(step, phase)
				begun := time.Now()
				if e.Rows, err = s.db.Execute(ctx, s.conn, m.statement.Text); err != nil {
					return err
				}
				e.Status, e.took = Done, time.Since(begun)
				if _, err := s.journal.Append(ctx, s.conn, s.Stamp(e)); err != nil {
					return err
				}
				failpoint.Hit("group: in transaction")
			}
			return nil
		})
	})
	return at, err
}

// left are the texts of the members that have not run yet.
func left(members []member) []string {
	var list []string
	for _, m := range members {
		if !m.resumed && !m.done() {
			list = append(list, m.statement.Text)
		}
	}
	return list
}

func (m member) entry(step Step, phase *Entry) Entry {
	return Entry{Parent: phase.Seq, Kind: StatementEntry, Change: step.Change, Phase: step.Phase, Direction: step.Direction, Statement: m.number, Action: firstLine(m.statement.Text)}
}

// locked calls f with a connection that keeps everybody else from the tables. It is not interrupted once it has
// them: half a group is no place to stop. When the run's lock is lost meanwhile, the journal says so.
func (s *Session) locked(ctx context.Context, locker TableLocker, step Step, tables []string, f func(context.Context, *sql.Conn) error) error {
	conn, err := s.lockTables(ctx, locker, step, tables)
	if err != nil {
		return err
	}
	defer discard(conn)
	ctx = context.WithoutCancel(ctx)
	failpoint.Hit("group: locked")
	err = f(ctx, conn)
	failpoint.Hit("group: before unlock")
	if uerr := locker.UnlockTables(ctx, conn); uerr != nil {
		err = errors.Join(err, fmt.Errorf("unlock the tables: %w", uerr))
	}
	failpoint.Hit("group: unlocked")
	return err
}

// lockTables waits for the tables as any statement waits for its lock: for a short while, again and again.
func (s *Session) lockTables(ctx context.Context, locker TableLocker, step Step, tables []string) (conn *sql.Conn, err error) {
	timeout, retries := s.patience(step)
	session := ""
	watch := func() func() []Blocker { return s.watchSession(ctx, timeout, timeout, session)() }
	err = s.patiently(ctx, step, retries, timeout, watch, func() error {
		if conn == nil {
			if conn, err = s.db.DB().Conn(ctx); err != nil {
				return fmt.Errorf("connect to the target: %w", err)
			}
			if err := s.db.SetLockTimeout(ctx, conn, timeout); err != nil {
				return fmt.Errorf("set the lock timeout: %w", err)
			}
			if err := queryRow(ctx, conn, []any{&session}, "SELECT CONNECTION_ID()"); err != nil {
				return err
			}
		}
		failpoint.Hit("group: before lock")
		if err := locker.LockTables(ctx, conn, tables); err != nil {
			return fmt.Errorf("lock the tables: %w", err)
		}
		return nil
	})
	if err != nil && conn != nil {
		discard(conn)
	}
	return conn, err
}

// lockedGroup is a group that runs while its tables are locked.
type lockedGroup struct {
	s       *Session
	locker  TableLocker
	conn    *sql.Conn // that holds the locks
	step    Step
	phase   *Entry
	tables  []string
	members []member
	state   string     // of the tables, as the last statement left them
	at      *Statement // that is under way
}

// due tells whether there is anything left to do.
func (g *lockedGroup) due() bool {
	for _, m := range g.members {
		if !m.done() && (!m.resumed || m.prior != nil) && m.claim == nil {
			return true
		}
	}
	return false
}

func (g *lockedGroup) run(ctx context.Context) (err error) {
	if g.state, err = g.locker.TableState(ctx, g.s.conn, g.tables); err != nil {
		return fmt.Errorf("read the structure of the tables: %w", err)
	}
	if g.step.resume != nil {
		if err := g.takeUp(ctx); err != nil {
			return err
		}
	}
	for i := range g.members {
		g.at = g.members[i].statement
		if err := g.one(ctx, &g.members[i]); err != nil {
			return errors.Join(err, g.undo(ctx, err))
		}
	}
	g.at = nil
	return nil
}

// takeUp finds out how far the run came that was interrupted, and writes down which of the statements that
// mend its traces have to run: those before the first statement that is still to do, and those at the end.
func (g *lockedGroup) takeUp(ctx context.Context) error {
	for i := range g.members {
		m := &g.members[i]
		if m.resumed || m.prior == nil || m.prior.Status == Done || m.prior.Before == g.state {
			continue
		}
		m.prior.Status, m.prior.Error = Done, ""
		if err := g.s.Finish(ctx, *m.prior); err != nil {
			return err
		}
	}
	for i := range g.members {
		m := &g.members[i]
		if !m.resumed || m.prior != nil && m.prior.Status != Done || !g.before(i) {
			continue // one that ran already runs again: others wrote since that run ended too
		}
		e := m.entry(g.step, g.phase)
		e.Status = Started
		var err error
		if e.Seq, err = g.s.Append(ctx, e); err != nil {
			return err
		}
		m.prior = &e
	}
	return nil
}

// before tells whether a mending statement stands before a statement that is still to do, or at the end of a
// group that is not done.
func (g *lockedGroup) before(i int) bool {
	for _, m := range g.members[i+1:] {
		if !m.resumed && m.claim == nil {
			return !m.done()
		}
	}
	for _, m := range g.members[:i] {
		if !m.resumed && m.claim == nil && !m.done() {
			return true
		}
	}
	return false
}

// one runs one statement.
func (g *lockedGroup) one(ctx context.Context, m *member) error {
	s := g.s
	kind := s.db.Classify(m.statement.Text)
	switch {
	case m.held:
		return nil
	case m.claim != nil:
		return assert(ctx, g.conn, m.claim, m.statement.Text)
	case kind == Control:
		return errors.New("the script begins or ends a transaction by itself: each of its statements has one of its own")
	case kind == Setting:
		_, err := s.db.Execute(ctx, g.conn, m.statement.Text)
		return err
	case m.done():
		return nil
	case m.resumed && m.prior == nil:
		return nil
	case m.resumed:
		e := *m.prior
		n, err := s.db.Execute(ctx, g.conn, m.statement.Text)
		if err != nil {
			return err
		}
		failpoint.Hit("group: mended")
		e.Status, e.Rows, e.Error = Done, n, ""
		return s.Finish(ctx, e)
	case kind == Atomic:
		return errors.New("a group that locks tables changes their structure only: what changes rows cannot share a transaction with its entry there")
	}
	return g.alter(ctx, m)
}

// alter runs a statement that changes the structure of a table between its intent and its outcome.
func (g *lockedGroup) alter(ctx context.Context, m *member) error {
	s := g.s
	e := m.entry(g.step, g.phase)
	if m.prior != nil {
		e = *m.prior
	} else {
		e.Before, e.Status = g.state, Started
		failpoint.Hit("group: before intent")
		var err error
		if e.Seq, err = s.Append(ctx, e); err != nil {
			return err
		}
	}
	failpoint.Hit("group: before statement")
	err := s.alterLocked(ctx, g.conn, m.statement)
	if err != nil {
		e.Status, e.Error = Failed, err.Error()
		return errors.Join(err, s.Finish(ctx, e))
	}
	failpoint.Hit("group: after statement")
	if g.state, err = g.locker.TableState(ctx, s.conn, g.tables); err != nil {
		return fmt.Errorf("read the structure of the tables: %w", err)
	}
	e.Status, e.Error = Done, ""
	return s.Finish(ctx, e)
}

// undo takes back what a group did before its failing statement while nobody can write yet, with the group of
// the step's rollback script.
func (g *lockedGroup) undo(ctx context.Context, because error) error {
	if errors.Is(because, ErrLockLost) || g.step.Rollback == nil || g.step.Direction == Back {
		return nil // nothing may be written, or there is no script for it
	}
	statements, err := g.s.db.Scan(g.step.Rollback.SQL)
	if err != nil {
		return fmt.Errorf("read the rollback script: %w", err)
	}
	d := g.step.Rollback.Directives
	var first *Group
	after := 0
	for i := range statements {
		st := &statements[i]
		of := d.groupFor(st.Line)
		skip := d.assertFor(after, st.Line) != nil || d.isResumed(after, st.Line) && g.step.resume == nil
		after = st.Line + 1
		if of == nil || len(of.Tables) == 0 || first != nil && of != first || skip {
			continue
		}
		first = of
		if err := g.s.undoLocked(ctx, g.locker, g.conn, st); err != nil {
			return fmt.Errorf("line %d of the rollback script: %w", st.Line, err)
		}
	}
	return nil
}

// undoLocked runs a statement of a rollback script on the connection that holds the locks. What it finds missing
// was not there yet, and what it finds was not gone.
func (s *Session) undoLocked(ctx context.Context, locker TableLocker, conn *sql.Conn, st *Statement) error {
	err := s.alterLocked(ctx, conn, st)
	if err != nil && (s.db.IsMissing(err) || locker.IsPresent(err)) {
		return nil
	}
	return err
}

// A backup that keeps DDL out, or is waiting to, makes a statement fail that needs the server's lock too. It gives up or
// gets on before long, and half a group is no place to stop; but others wait for the tables.
const (
	alterPatience = 15 * time.Second
	alterPause    = 100 * time.Millisecond
)

// alterLocked runs a statement on the connection that holds the locks, again where it met another lock.
func (s *Session) alterLocked(ctx context.Context, conn *sql.Conn, st *Statement) error {
	begun := time.Now()
	_, err := s.db.Execute(ctx, conn, st.Text)
	for err != nil && s.db.IsLockTimeout(err) && time.Since(begun) < alterPatience {
		if serr := sleep(ctx, alterPause); serr != nil {
			return errors.Join(err, serr)
		}
		_, err = s.db.Execute(ctx, conn, st.Text)
	}
	return err
}
