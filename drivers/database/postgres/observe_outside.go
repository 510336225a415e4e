package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/check/lint"
)

// outside runs a statement that no transaction may hold, such as CREATE INDEX CONCURRENTLY or VACUUM, and says which
// lock it asked for first. Its locks are gone when it is done, so that another session keeps all tables locked until the
// statement waits for one of them: what it waits for is in pg_locks. Locks that keep nobody from writing to a row, which
// some ask for while they look a table up, are let through.
func (o observer) outside(ctx context.Context, conn *sql.Conn, text string, existing map[int64]seenTable) (asked []lint.Lock, err error) {
	var pid int
	if err := conn.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return nil, err
	}
	gate, err := o.closeAll(ctx, existing)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	ran := make(chan error, 1)
	go func() {
		_, err := o.db.Execute(ctx, conn, text)
		ran <- err
	}()
	asked, done, err := o.waitsFor(ctx, gate, pid, existing, ran)
	_, oerr := gate.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	if !done {
		err = errors.Join(err, <-ran)
	}
	return asked, errors.Join(err, oerr)
}

// closeAll locks all tables in a session of its own.
func (o observer) closeAll(ctx context.Context, existing map[int64]seenTable) (*sql.Conn, error) {
	conn, err := o.db.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the scratch database: %w", err)
	}
	var names []string
	for _, t := range existing {
		if t.kind != "m" { // LOCK TABLE takes none
			names = append(names, t.name)
		}
	}
	slices.Sort(names)
	lock := "BEGIN"
	if len(names) > 0 {
		lock += "; LOCK TABLE " + strings.Join(names, ", ") + " IN SHARE ROW EXCLUSIVE MODE"
	}
	if _, err := conn.ExecContext(ctx, lock); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the scratch database's tables: %w", err), conn.Close())
	}
	return conn, nil
}

// look is how long a session is left alone between two looks at whether it waits.
const look = 5 * time.Millisecond

// waitsFor looks until a session waits for a lock on a table, and says which; or until its statement is done, which
// then asked for none.
func (o observer) waitsFor(ctx context.Context, gate *sql.Conn, pid int, existing map[int64]seenTable, ran <-chan error) (asked []lint.Lock, done bool, err error) {
	for {
		var id int64
		var mode string
		err := gate.QueryRowContext(ctx, "SELECT relation::bigint, mode FROM pg_locks WHERE pid = $1 AND locktype = 'relation' AND NOT granted", pid).Scan(&id, &mode)
		switch {
		case err == nil:
			if t, ok := existing[id]; ok {
				asked = append(asked, lint.Lock{Table: t.name, Mode: manual(mode), Mine: true})
			}
			return asked, false, nil
		case !errors.Is(err, sql.ErrNoRows):
			return nil, false, fmt.Errorf("read what the statement waits for: %w", err)
		}
		select {
		case err := <-ran:
			return nil, true, err
		case <-time.After(look):
		}
	}
}
