package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// point is a moment of a database: transactions of one and the same snapshot, each with a lock on every table
// that keeps its definition as it is.
type point struct {
	pool    *sql.DB
	lead    *sql.Conn // has exported the snapshot; a transaction of it that ends would take it along
	workers []*sql.Conn
	late    bool // workers lock a table only when they read it
	model   *schema.Database
	content snapshot.Content
	parts   []snapshot.Part
	pieces  []snapshot.Piece
	reads   []read // of the parts
}

// Attempts at a moment. Each fails when a table is made, dropped or altered at that very time.
const (
	attempts   = 12
	attemptGap = 50 * time.Millisecond
)

// manyLocks is how many locks are taken at once: the server has room for about 6400 with its own settings.
const manyLocks = 4000

// OpenPoint implements snapshot.Source. The tables are locked in ACCESS SHARE mode before the snapshot is
// taken, in the transactions of all workers: no definition changes under them, and none of them waits for a
// lock later, behind somebody who waits for us. Writers do not wait for that lock; who drops or alters a
// table does.
func (d *Database) OpenPoint(ctx context.Context, o snapshot.PointOptions) (snapshot.Point, error) {
	p, err := d.openPoint(ctx, o)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (d *Database) openPoint(ctx context.Context, o snapshot.PointOptions) (*point, error) {
	timeout := o.LockTimeout
	if timeout == 0 {
		timeout = migrate.DefaultLockTimeout
	}
	pool := d.sessions(timeout)
	if err := direct(ctx, pool); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the database: %w", err), pool.Close())
	}
	for attempt := 1; ; attempt++ {
		p := &point{pool: pool}
		again, err := p.open(ctx, max(o.Workers, 1))
		if err == nil {
			return p, nil
		}
		p.end(context.WithoutCancel(ctx))
		if !again || attempt == attempts || ctx.Err() != nil {
			return nil, errors.Join(explainRead(err), pool.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), pool.Close())
		case <-time.After(time.Duration(attempt) * attemptGap):
		}
	}
}

// explainRead says what to do about an error of reading.
func explainRead(err error) error {
	switch code(err) {
	case notPermitted:
		return fmt.Errorf("%w\n  next: take snapshots as a role that may read all rows: as an administrator, GRANT pg_read_all_data TO it; tables with row security need their owner, or ALTER ROLE … BYPASSRLS", err)
	case lockNotAvailable:
		return fmt.Errorf("%w\n  next: run it again when what holds the lock has ended, or with a longer --lock-timeout", err)
	}
	return err
}

// open tries to fix a moment. again tells that the world has changed meanwhile.
func (p *point) open(ctx context.Context, workers int) (again bool, err error) {
	if p.lead, err = p.pool.Conn(ctx); err != nil {
		return false, err
	}
	before, err := lockable(ctx, p.lead)
	if err != nil {
		return false, err
	}
	for range workers {
		conn, err := p.pool.Conn(ctx)
		if err != nil {
			return false, err
		}
		p.workers = append(p.workers, conn)
	}
	p.late = len(before)*(workers+1) > manyLocks
	for _, conn := range append([]*sql.Conn{p.lead}, p.workers...) {
		if err := p.begin(ctx, conn, before); err != nil {
			return changed(err), err
		}
	}
	failpoint.Hit("snapshot: locked")
	// The first query takes the snapshot.
	now, err := lockable(ctx, p.lead)
	if err != nil {
		return false, err
	}
	if !slices.EqualFunc(before, now, slices.Equal) {
		return true, errors.New("tables are made and dropped all the time: there was no moment at which all of them could be locked")
	}
	if err := p.share(ctx); err != nil {
		return false, err
	}
	return p.examine(ctx)
}

// changed tells whether an error says that something was dropped or is being changed.
func changed(err error) bool {
	return slices.Contains(undefined, code(err)) || slices.Contains([]string{lockNotAvailable, deadlockDetected}, code(err))
}

// lockable are the tables that can be locked, with their oids.
func lockable(ctx context.Context, conn *sql.Conn) ([][]string, error) {
	return query(ctx, conn, `SELECT c.oid::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '`+restoreSchema+`') ORDER BY c.oid`)
}

// begin begins the transaction of a session and locks the tables. A lock takes no snapshot.
func (p *point) begin(ctx context.Context, conn *sql.Conn, tables [][]string) error {
	if _, err := conn.ExecContext(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return err
	}
	if p.late && conn != p.lead {
		return nil
	}
	for some := range slices.Chunk(tables, 500) {
		names := make([]string, len(some))
		for i, t := range some {
			names[i] = "ONLY " + t[1]
		}
		if _, err := conn.ExecContext(ctx, "LOCK TABLE "+strings.Join(names, ", ")+" IN ACCESS SHARE MODE"); err != nil {
			return fmt.Errorf("lock the tables: %w", err)
		}
	}
	return nil
}

// share gives the workers the snapshot of the lead.
func (p *point) share(ctx context.Context) error {
	var name string
	if err := p.lead.QueryRowContext(ctx, "SELECT pg_export_snapshot()").Scan(&name); err != nil {
		return fmt.Errorf("export the snapshot: %w", err)
	}
	for _, conn := range p.workers {
		if _, err := conn.ExecContext(ctx, "SET TRANSACTION SNAPSHOT '"+name+"'"); err != nil {
			return fmt.Errorf("take the snapshot over: %w", err)
		}
	}
	return nil
}

// examine reads everything but the rows.
func (p *point) examine(ctx context.Context) (again bool, err error) {
	if p.model, err = Inspect(ctx, p.lead); err != nil {
		return changed(err), err
	}
	if err := p.readParts(ctx); err != nil {
		return changed(err), err
	}
	if err := p.describe(ctx); err != nil {
		return changed(err), err
	}
	return false, nil
}

// Describe implements snapshot.Point.
func (p *point) Describe() (snapshot.Content, *schema.Database) { return p.content, p.model }

// Parts implements snapshot.Point.
func (p *point) Parts() []snapshot.Part { return slices.Clone(p.parts) }

// Pieces implements snapshot.Point.
func (p *point) Pieces() []snapshot.Piece { return p.pieces }

// Read implements snapshot.Point.
func (p *point) Read(ctx context.Context, worker int, piece snapshot.Piece, to io.Writer) error {
	conn, r := p.workers[worker], p.reads[piece.Part]
	if p.late && r.table != "" {
		// Who waits for an exclusive lock waits for us: waiting behind them would be for ever.
		if _, err := conn.ExecContext(ctx, "LOCK TABLE ONLY "+r.table+" IN ACCESS SHARE MODE NOWAIT"); err != nil {
			return fmt.Errorf("lock %s, which somebody waits for who wants to change it: %w", r.table, err)
		}
	}
	return explainRead(copyTo(ctx, conn, to, r.statement(piece.Range)))
}

// Close implements snapshot.Point. That the lead's transaction is still there tells that nothing was changed
// under the workers.
func (p *point) Close(ctx context.Context) error {
	var one int
	err := p.lead.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	if err != nil {
		err = fmt.Errorf("the transaction that holds the snapshot has ended: %w", err)
	}
	p.end(ctx)
	return errors.Join(err, p.pool.Close())
}

// end lets go of the transactions. A connection that is lost has ended its own.
func (p *point) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, conn := range append([]*sql.Conn{p.lead}, p.workers...) {
		if conn != nil {
			_, _ = conn.ExecContext(ctx, "ROLLBACK")
			_ = conn.Close()
		}
	}
}
