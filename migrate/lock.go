package migrate

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
)

// Lock makes one run the only writer of a target database. It has two halves:
//
//   - a row with a fencing number that grows with each holder. Every transaction of ours reads the row
//     and locks it against a takeover, so a run that lost the lock can commit nothing;
//   - where the server has sessions, a lock of the session that runs our statements. It vanishes with
//     the session, so a killed run is noticed at once; and a new holder ends the old one's session, so
//     that nothing outside a transaction can still take effect.
//
// After Martin Kleppmann, "How to do distributed locking" (2016), on why a lease alone is no lock.
type Lock struct {
	Fence int64 // the fencing number of this holder

	db      Database
	token   string
	ttl     time.Duration
	command string
	session string
	stop    context.CancelFunc
	beating sync.WaitGroup

	mu        sync.Mutex
	beat      time.Time // when this process last saw to the lock
	overslept bool      // it did not for longer than the lock lives: it was stopped
	gone      bool      // the connection that holds it is about to end
}

// lockRow is the row as it is in the table.
type lockRow struct {
	fence                                                 int64
	token, holder, command, session, host, since, expires string
	pid                                                   string
	expired                                               bool
}

// DefaultTTL is how long a lock lives without being renewed.
const DefaultTTL = 15 * time.Second

// AcquireLock takes the lock for a command. The connection is the one that will run the statements.
// When another run holds the lock, the error is a *LockedError.
func AcquireLock(ctx context.Context, db Database, conn *sql.Conn, command string, ttl time.Duration) (*Lock, error) {
	token := make([]byte, 16)
	if _, err := rand.Read(token); err != nil {
		return nil, fmt.Errorf("make a token for the lock: %w", err)
	}
	l := &Lock{db: db, token: hex.EncodeToString(token), ttl: ttl, command: command}
	for attempt := 0; ; attempt++ {
		again, err := l.try(ctx, conn)
		if err != nil {
			return nil, err
		}
		if !again {
			break
		}
		if attempt == 5 {
			return nil, l.locked(ctx, conn)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
	failpoint.Hit("lock: taken")
	return l, nil
}

// try takes the lock once. again is true when the world changed under it, or when it has just ended
// the session of a dead holder.
func (l *Lock) try(ctx context.Context, conn *sql.Conn) (again bool, err error) {
	session, held, err := l.db.HoldSession(ctx, conn)
	if err != nil {
		return false, fmt.Errorf("take the lock: %w", err)
	}
	row, err := l.read(ctx, conn)
	if err != nil {
		return false, err
	}
	dead := row.expired || processGone(row.host, row.pid)
	switch {
	case !held && row.token != "" && dead:
		return true, l.db.EndSession(ctx, row.session)
	case !held:
		// Held but not written down: its holder is between the two, or another run tries just now.
		if row.token == "" {
			return true, nil
		}
		return false, row.locked()
	case session == "" && row.token != "" && !dead:
		return false, row.locked()
	}
	l.session = session
	return l.take(ctx, conn, row.fence)
}

// take writes the row, unless somebody did so since it was read.
func (l *Lock) take(ctx context.Context, conn *sql.Conn, seen int64) (again bool, err error) {
	d := l.db.Dialect()
	p := d.Placeholder
	host, _ := os.Hostname()
	update := fmt.Sprintf("UPDATE %s SET fence = fence + 1, token = %s, holder = %s, command = %s, session = %s, host = %s, pid = %s, since = %s, expires = %s WHERE fence = %s",
		d.Table("lock"), p(1), p(2), p(3), p(4), p(5), p(6), d.Now, d.Later(l.ttl), p(7))
	r, err := conn.ExecContext(ctx, update, l.token, Actor()+" pid "+strconv.Itoa(os.Getpid()), l.command, l.session, host, strconv.Itoa(os.Getpid()), seen)
	if err != nil {
		return false, fmt.Errorf("take the lock: %w", err)
	}
	n, err := r.RowsAffected()
	if err != nil || n == 0 {
		return true, err
	}
	l.Fence = seen + 1
	return false, nil
}

func (l *Lock) read(ctx context.Context, conn *sql.Conn) (lockRow, error) {
	d := l.db.Dialect()
	var r lockRow
	var now string
	query := fmt.Sprintf("SELECT fence, token, holder, command, session, host, pid, since, expires, %s FROM %s", d.Now, d.Table("lock"))
	if err := queryRow(ctx, conn, []any{&r.fence, &r.token, &r.holder, &r.command, &r.session, &r.host, &r.pid, &r.since, &r.expires, &now}, query); err != nil {
		return r, fmt.Errorf("read the lock: %w", err)
	}
	r.expired = r.expires < now
	return r, nil
}

func (l *Lock) locked(ctx context.Context, conn *sql.Conn) error {
	row, err := l.read(ctx, conn)
	if err != nil {
		return err
	}
	return row.locked()
}

func (r lockRow) locked() error {
	return &LockedError{Holder: r.holder, Command: r.command, Since: r.since, Expires: r.expires}
}

// Check proves inside the transaction of conn that the lock is still ours, and keeps it so until the
// transaction ends. It returns ErrLockLost when it is not, and when this process was stopped for longer
// than the lock lives. That the lock has expired alone is no loss: on SQLite somebody else's long
// transaction keeps us from renewing it, and them from taking it.
func (l *Lock) Check(ctx context.Context, conn *sql.Conn) error {
	if l.sleptOver() {
		return ErrLockLost
	}
	d := l.db.Dialect()
	query := fmt.Sprintf("SELECT 1 FROM %s WHERE fence = %s AND token = %s%s", d.Table("lock"), d.Placeholder(1), d.Placeholder(2), d.ShareLock)
	var one int
	err := queryRow(ctx, conn, []any{&one}, query, l.Fence, l.token)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrLockLost
	}
	if err != nil {
		return fmt.Errorf("check the lock: %w", err)
	}
	return nil
}

// taken tells whether another run is known to have taken the lock over; that run has also ended our
// session, so what our statements fail with says nothing of the reason.
func (l *Lock) taken(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var fence int64
	err := queryRow(ctx, l.db.DB(), []any{&fence}, "SELECT fence FROM "+l.db.Dialect().Table("lock"))
	return err == nil && fence != l.Fence
}

// sleptOver tells whether this process has not seen to the lock for longer than it lives, now or
// before.
func (l *Lock) sleptOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.overslept = l.overslept || !l.beat.IsZero() && time.Since(l.beat) > l.ttl
	return l.overslept
}

// seen says that this process sees to the lock.
func (l *Lock) seen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beat = time.Now()
}

// renew moves the lock's expiry. It returns ErrLockLost when the lock is not ours any more.
func (l *Lock) renew(ctx context.Context, q execer) error {
	if l.sleptOver() {
		return ErrLockLost
	}
	// A server that keeps us waiting is no reason to give up: each transaction checks the fence.
	l.seen()
	defer l.seen()
	d := l.db.Dialect()
	update := fmt.Sprintf("UPDATE %s SET expires = %s WHERE fence = %s AND token = %s", d.Table("lock"), d.Later(l.ttl), d.Placeholder(1), d.Placeholder(2))
	r, err := q.ExecContext(ctx, update, l.Fence, l.token)
	if err != nil {
		return fmt.Errorf("renew the lock: %w", err)
	}
	if n, err := r.RowsAffected(); err == nil && n == 0 {
		return ErrLockLost
	}
	return nil
}

// Keep renews the lock in the background until Release. When the lock is lost, it cancels the context
// it returns with ErrLockLost as the cause.
func (l *Lock) Keep(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	beat, stop := context.WithCancel(ctx)
	l.stop = stop
	l.seen()
	l.beating.Add(1)
	go func() {
		defer l.beating.Done()
		tick := time.NewTicker(l.ttl / 3)
		defer tick.Stop()
		for {
			select {
			case <-beat.Done():
				return
			case <-tick.C:
			}
			// A failure to renew is not a loss: the server may be busy, and every transaction checks.
			if err := l.renew(beat, l.db.DB()); errors.Is(err, ErrLockLost) {
				cancel(ErrLockLost)
				return
			}
		}
	}()
	return ctx
}

// leave stops seeing to the lock: the connection that holds it is about to end.
func (l *Lock) leave() {
	l.quiet()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
}

// left tells whether the connection that held the lock was left to its end.
func (l *Lock) left() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// quiet ends the renewing in the background.
func (l *Lock) quiet() {
	if l.stop != nil {
		l.stop()
		l.beating.Wait()
	}
}

// Release gives the lock back. It is no error when it was lost.
func (l *Lock) Release(ctx context.Context, conn *sql.Conn) error {
	l.quiet()
	d := l.db.Dialect()
	update := fmt.Sprintf("UPDATE %s SET token = '', session = '', expires = '' WHERE fence = %s AND token = %s", d.Table("lock"), d.Placeholder(1), d.Placeholder(2))
	if _, err := conn.ExecContext(ctx, update, l.Fence, l.token); err != nil {
		return fmt.Errorf("release the lock: %w", err)
	}
	return nil
}

// Actor names who runs this process, as user@host.
func Actor() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

// processGone tells whether the process is known to be gone: it ran on this host and its number is
// free. A number that was given to another process only makes us wait for the lock to expire.
func processGone(host, pid string) bool {
	here, err := os.Hostname()
	if err != nil || host != here {
		return false
	}
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 0 {
		return false
	}
	return errors.Is(syscall.Kill(n, 0), syscall.ESRCH)
}

// sleep waits for d or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
