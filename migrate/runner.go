package migrate

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
)

// Options are how a Runner goes about its work. The zero value is good for production.
type Options struct {
	LockTimeout time.Duration // how long a statement waits for a lock; default 2s
	Retries     int           // how often a statement is tried again after a lock timeout; default 20
	// LockDeadline is how long a step, or a statement of one that commits each, is tried for; default 10m.
	LockDeadline time.Duration
	TTL          time.Duration // how long our own lock lives without being renewed; default DefaultTTL
	BatchTime    time.Duration // how long a batch of a backfill may take; default 50ms
	MaxLag       time.Duration // how far a replica may be behind during a backfill; default 10s, negative for any
	Replicas     []Replica     // are asked, beside those that the target itself knows of
	Window       *Window       // when a step may begin; nil for always
	Actor        string        // who runs this, for the journal; default Actor()
	Observer     Observer      // is told of progress; default nobody
}

// Defaults of Options.
const (
	DefaultLockTimeout  = 2 * time.Second
	DefaultRetries      = 20
	DefaultLockDeadline = 10 * time.Minute
	DefaultBatchTime    = 50 * time.Millisecond
	DefaultMaxLag       = 10 * time.Second
)

func (o Options) withDefaults() Options {
	if o.LockTimeout == 0 {
		o.LockTimeout = DefaultLockTimeout
	}
	if o.Retries == 0 {
		o.Retries = DefaultRetries
	}
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&o.LockDeadline, DefaultLockDeadline)
	set(&o.TTL, DefaultTTL)
	set(&o.BatchTime, DefaultBatchTime)
	set(&o.MaxLag, DefaultMaxLag)
	if o.Actor == "" {
		o.Actor = Actor()
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	return o
}

// Observer is told how a run goes on. Its methods are called from the run's goroutine and must return
// quickly.
type Observer interface {
	StepStarted(s Step)
	StepFinished(s Step, took time.Duration)
	// Waiting is called when a statement did not get its lock in time and is about to be tried again. The
	// step is empty when it is one on our own tables.
	Waiting(s Step, attempt int, pause time.Duration, blockers []Blocker)
	// Progress is called while a backfill runs.
	Progress(s Step, p Progress)
	// Resumed is called when a step that was interrupted before is taken up again.
	Resumed(s Step)
}

// Progress is how far a backfill has come.
type Progress struct {
	Rows   int64         // rows the batches have walked over so far
	Total  int64         // about how many there are, 0 when unknown
	Rate   float64       // rows per second
	Left   time.Duration // about how long it will still take, 0 when unknown
	Resume bool          // whether it went on from where an earlier run was interrupted
	Batch  int           // rows of the next batch
	Kept   int           // sessions that were seen waiting for the last batch
	Lag    *Lag          // the replica that the walk waits for; nil when it does not
}

type nobody struct{}

func (nobody) StepStarted(Step)                            {}
func (nobody) StepFinished(Step, time.Duration)            {}
func (nobody) Waiting(Step, int, time.Duration, []Blocker) {}
func (nobody) Progress(Step, Progress)                     {}
func (nobody) Resumed(Step)                                {}

// Runner runs steps on one target database.
type Runner struct {
	db      Database
	journal *Journal
	opts    Options
}

// NewRunner returns a runner for the database.
func NewRunner(db Database, opts Options) *Runner {
	opts = opts.withDefaults()
	return &Runner{db: db, journal: NewJournal(db.Dialect(), opts.Actor), opts: opts}
}

// Journal returns the journal of the runner's database.
func (r *Runner) Journal() *Journal { return r.journal }

// Database returns the runner's database.
func (r *Runner) Database() Database { return r.db }

// State reads where every change stands. A database without a journal has an empty state. Nothing is
// written and no lock is taken.
func (r *Runner) State(ctx context.Context) (*State, error) {
	installed, err := r.journal.Installed(ctx, r.db.DB())
	if err != nil || !installed {
		return &State{}, err
	}
	return r.state(ctx, r.db.DB())
}

func (r *Runner) state(ctx context.Context, q execer) (*State, error) {
	entries, err := r.journal.Entries(ctx, q, Filter{Kinds: []EntryKind{PhaseEntry, AdoptEntry}, Scripts: true})
	if err != nil {
		return nil, err
	}
	return Replay(entries), nil
}

// Planner makes a plan from the state of the target. It is called while the lock is held.
type Planner func(ctx context.Context, s *State) ([]Step, error)

// Run takes the lock, finishes what an earlier run left interrupted, makes a plan and runs it. The
// command is what the user asked for, for the journal and for others who find the target locked. It
// returns the steps that were run.
func (r *Runner) Run(ctx context.Context, command string, plan Planner) ([]Step, error) {
	if err := r.admit(ctx, Step{}); err != nil {
		return nil, err
	}
	var done []Step
	err := r.Hold(ctx, command, func(ctx context.Context, s *Session) error {
		var err error
		done, err = s.Run(ctx, plan)
		return err
	})
	return done, err
}

// Hold takes the lock, calls f with a session that may write, and gives the lock back. The context
// that f gets ends when the lock is lost; the error is then ErrLockLost.
func (r *Runner) Hold(ctx context.Context, command string, f func(ctx context.Context, s *Session) error) (err error) {
	conn, err := r.db.DB().Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to the target: %w", err)
	}
	defer discard(conn)
	if err := r.db.SetLockTimeout(ctx, conn, r.opts.LockTimeout); err != nil {
		return fmt.Errorf("set the lock timeout: %w", err)
	}
	lock, err := r.acquire(ctx, conn, command)
	if err != nil {
		return err
	}
	held := lock.Keep(ctx)
	defer func() {
		if lock.left() {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		if rerr := r.bookkeeping(ctx, func() error { return lock.Release(ctx, conn) }); err == nil && rerr != nil {
			err = rerr
		}
	}()
	s := &Session{Runner: r, conn: conn, lock: lock, command: command, run: runID(), timeout: r.opts.LockTimeout, catalogue: r.db.Catalogue()}
	err = f(held, s)
	if err != nil && !lock.left() && !errors.Is(err, ErrLockLost) && (errors.Is(context.Cause(held), ErrLockLost) || lock.taken(ctx)) {
		return fmt.Errorf("%s: %w (%w)", command, ErrLockLost, err)
	}
	return err
}

// releaseTimeout limits how long giving the lock back may take. A lock that was not given back expires.
const releaseTimeout = 10 * time.Second

// acquire makes our tables, if they are missing, and takes the lock.
func (r *Runner) acquire(ctx context.Context, conn *sql.Conn, command string) (lock *Lock, err error) {
	defer func() {
		if errors.Is(err, errGaveUp) && r.db.Dialect().Engine == SQLite {
			err = fmt.Errorf("%w (%w)\n  state: nothing was changed\n  next: wait until that has ended, or end it, then run the same command again", ErrBusy, err)
		}
	}()
	err = r.bookkeeping(ctx, func() error { return r.journal.Install(ctx, conn) })
	if errors.Is(err, errGaveUp) {
		return nil, err
	}
	if err != nil && !errors.Is(err, ErrJournalNewer) {
		return nil, fmt.Errorf("%w\n  state: none of the target's own objects was changed\n  next: let this user create the journal's tables there, or use one that may", err)
	}
	if err != nil {
		return nil, err
	}
	err = r.bookkeeping(ctx, func() error {
		lock, err = AcquireLock(ctx, r.db, conn, command, r.opts.TTL)
		return err
	})
	return lock, err
}

// discard closes the connection instead of giving it back to the pool: it may hold session locks,
// settings or an open transaction.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}

func runID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// Session is a run that holds the lock.
type Session struct {
	*Runner
	conn        *sql.Conn
	lock        *Lock
	command     string
	run         string
	announced   bool
	timeout     time.Duration // the lock timeout that is set; 0 when not known
	yields      bool          // statements give way to the application's
	tries       int           // of what is being tried, the one under way included
	catalogue   Catalogue
	fingerprint string // of the catalogue as the last step of this run left it; empty when not known
	followed    bool   // the fingerprint was not read whole
	apart       int    // how many of the next steps are run one by one
}

// Fence is the fencing number of the lock the session holds.
func (s *Session) Fence() int64 { return s.lock.Fence }

// Leave says that the session's connection is about to end, as when its database is closed to everybody. The
// lock is neither renewed nor given back any more: it goes with the connection, and whoever takes it next has a
// higher fence. Nothing may be written through the session after this.
func (s *Session) Leave() { s.lock.leave() }

// Conn is the session's connection.
func (s *Session) Conn() *sql.Conn { return s.conn }

// State reads where every change stands now.
func (s *Session) State(ctx context.Context) (*State, error) { return s.state(ctx, s.conn) }

// Append writes an entry of the session's run, guarded by the lock.
func (s *Session) Append(ctx context.Context, e Entry) (int64, error) {
	var seq int64
	err := s.bookkeeping(ctx, func() error {
		return s.guarded(ctx, func() (err error) {
			seq, err = s.journal.Append(ctx, s.conn, s.Stamp(e))
			return err
		})
	})
	return seq, err
}

// Finish records the outcome of an entry, guarded by the lock.
func (s *Session) Finish(ctx context.Context, e Entry) error {
	return s.bookkeeping(ctx, func() error {
		return s.guarded(ctx, func() error { return s.journal.Finish(ctx, s.conn, e) })
	})
}

// Stamp makes an entry one of this run: its number and its fence are set.
func (s *Session) Stamp(e Entry) Entry {
	e.Run, e.Fence = s.run, s.lock.Fence
	return e
}

// guarded runs f in a transaction in which the lock is known to be ours.
func (s *Session) guarded(ctx context.Context, f func() error) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := f(); err != nil {
		s.rollback(ctx)
		return err
	}
	return s.commit(ctx)
}

func (s *Session) begin(ctx context.Context) error {
	if _, err := s.conn.ExecContext(ctx, s.db.Dialect().Begin); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := s.lock.Check(ctx, s.conn); err != nil {
		s.rollback(ctx)
		return err
	}
	return nil
}

func (s *Session) commit(ctx context.Context) error {
	if _, err := s.conn.ExecContext(ctx, "COMMIT"); err != nil {
		s.rollback(ctx)
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollback takes the open transaction back, also when the context has ended. An error is of no use:
// the connection is gone then, and the transaction with it.
func (s *Session) rollback(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, _ = s.conn.ExecContext(ctx, "ROLLBACK")
}

// Run finishes what an earlier run left interrupted, makes a plan and runs it.
func (s *Session) Run(ctx context.Context, plan Planner) ([]Step, error) {
	state, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	var done []Step
	if state.Interrupted() != nil {
		step, err := s.resume(ctx, state.Interrupted())
		if err != nil {
			return nil, err
		}
		done = append(done, step)
		if state, err = s.State(ctx); err != nil {
			return done, err
		}
	}
	steps, err := plan(ctx, state)
	if err != nil {
		return done, err
	}
	for len(steps) > 0 {
		if err := ctx.Err(); err != nil {
			return done, context.Cause(ctx)
		}
		if err := s.admit(ctx, steps[0]); err != nil {
			return done, err
		}
		n, err := s.next(ctx, steps)
		if err != nil {
			return done, err
		}
		done, steps = append(done, steps[:n]...), steps[n:]
	}
	return done, s.verify(ctx)
}

// verify reads the catalogue whole at the end of a run whose fingerprints were followed. When it is not
// what they say, somebody else has changed it meanwhile, or a statement has done more than it says, as
// with an event trigger; the journal says so.
func (s *Session) verify(ctx context.Context) error {
	if !s.followed {
		return nil
	}
	s.followed = false
	now, err := s.catalogue.Read(ctx, s.conn)
	if err != nil {
		return fmt.Errorf("fingerprint the schema: %w", err)
	}
	if now == s.fingerprint {
		return nil
	}
	e := Entry{Kind: RunEntry, Action: "the schema was changed by somebody else during this run", Status: Done, Before: s.fingerprint, After: now}
	s.fingerprint = now
	_, err = s.Append(ctx, e)
	return err
}

// resume takes up a step that was interrupted, with the script it was begun with.
func (s *Session) resume(ctx context.Context, e *Entry) (Step, error) {
	step := Step{Change: e.Change, Phase: e.Phase, Direction: e.Direction, resume: e}
	text := ""
	if e.Script != nil {
		text = *e.Script
	}
	script, err := ParseScript("journal", text)
	if err != nil {
		return step, err
	}
	step.Script = script
	if e.Rollback != nil {
		back, err := ParseScript("journal", *e.Rollback)
		if err != nil {
			return step, err
		}
		step.Rollback = &back
	}
	s.opts.Observer.Resumed(step)
	return step, s.step(ctx, step)
}

// announce journals the run and its command before its first step.
func (s *Session) announce(ctx context.Context) error {
	if s.announced {
		return nil
	}
	s.announced = true
	_, err := s.Append(ctx, Entry{Kind: RunEntry, Action: s.command, Status: Done})
	return err
}

// step runs one step whichever way its script and the engine ask for.
func (s *Session) step(ctx context.Context, step Step) error {
	statements, err := s.db.Scan(step.Script.SQL)
	if err != nil {
		return &StepError{Step: step, Err: fmt.Errorf("read %s: %w", step.Script.Path, err), State: "nothing was changed", Next: "mend the script, then run the same command again"}
	}
	if f, ok := s.db.(foreignKeys); ok && step.Script.Directives.ForeignKeysOff {
		restore, err := f.ForeignKeysOff(ctx, s.conn)
		if err != nil {
			return fmt.Errorf("switch foreign keys off: %w", err)
		}
		defer restore()
	}
	s.opts.Observer.StepStarted(step)
	begun := time.Now()
	failpoint.Hit("step: before")
	transactional := s.db.Dialect().TransactionalDDL && !step.Script.Directives.NoTransaction && len(step.Script.Directives.Batches) == 0
	if transactional && step.resume == nil {
		err = s.stepInTransaction(ctx, step, statements)
	} else {
		err = s.stepByStatement(ctx, step, statements)
	}
	if err != nil {
		return err
	}
	failpoint.Hit("step: after")
	s.opts.Observer.StepFinished(step, time.Since(begun))
	return nil
}
