package recipes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// seconds are the cases that are done by a second table on the servers whose DDL commits by itself.
var seconds = []string{"add check", "change type of a key", "partition table", "convert table"}

// TestSecondRounds takes second tables through their scripts over and over, while clients of both versions work: the
// statements alone, without a journal, so that there are many moments at which something could go wrong. A round
// is expand, backfill, contract, back, contract again, and everything back.
func TestSecondRounds(t *testing.T) {
	if testing.Short() {
		return
	}
	rounds := 2
	if thorough() {
		rounds = 60
	}
	for _, kind := range lockers {
		for _, name := range seconds {
			c := caseCalled(t, name)
			if kind.Engine == "mariadb" && name == "add check" {
				continue // it checks the rows there without a copy
			}
			t.Run(kind.Name+"/"+strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				t.Parallel()
				p := beginAt(t, c.on(kind.Engine), kind.Engine, freshAt(t, kind), 300)
				draft, err := p.plan(c.operations.on(kind.Engine))
				require.NoError(t, err)
				r := &rounder{trip: p, draft: draft}
				for i := range rounds {
					r.round()
					t.Log("round", i+1)
				}
			})
		}
	}
}

func caseCalled(t *testing.T, name string) *matrixCase {
	t.Helper()
	for _, c := range cases() {
		if c.name == name {
			return c
		}
	}
	require.Fail(t, "there is no case "+name)
	return nil
}

// rounder runs the scripts of a draft by themselves.
type rounder struct {
	*trip
	draft *recipe.Draft
}

func (r *rounder) round() {
	r.t.Helper()
	p := r.trip
	run := func(phase migrate.Phase, back bool) func() error {
		return func() error { return r.script(phase, back) }
	}
	p.fleet.start(blue, 2)
	p.phase(expanding, expanded, "expand", run(migrate.Expand, false), p.book.expand, blue, green)
	p.fleet.start(green, 2)
	p.phase(expanded, expanded, "backfill", run(migrate.Backfill, false), p.book.fill, blue, green)
	for range 2 {
		p.fleet.end(blue)
		p.phase(contracting, contracted, "contract", run(migrate.Contract, false), nil, green)
		p.phase(contracting, expanded, "rollback of contract", run(migrate.Contract, true), nil, blue, green)
		p.fleet.start(blue, 2)
	}
	p.fleet.end(green)
	p.phase(expanding, plain, "rollback of expand", run(migrate.Expand, true), p.book.unexpand, blue)
	p.fleet.end(blue)
}

// script runs the statements of a phase, or those that take it back.
func (r *rounder) script(phase migrate.Phase, back bool) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Minute)
	defer cancel()
	scripts := r.draft.Phase(phase)
	list := scripts.Forward
	if back {
		list = scripts.Back
	}
	conn, err := r.db.DB().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := r.db.SetLockTimeout(ctx, conn, 2*time.Second); err != nil {
		return err
	}
	locker := r.db.(migrate.TableLocker)
	for i, st := range list {
		if st.Together && (i == 0 || !list[i-1].Together) {
			err = r.again(func() error { return locker.LockTables(ctx, conn, st.Locks) })
		}
		if err == nil && !st.Resumed {
			err = r.statement(ctx, conn, locker, st)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", st.SQL, err)
		}
		if st.Together && (i+1 == len(list) || !list[i+1].Together) {
			if err := locker.UnlockTables(ctx, conn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rounder) statement(ctx context.Context, conn *sql.Conn, locker migrate.TableLocker, st recipe.Statement) error {
	switch {
	case st.Assert != "":
		rows, err := conn.QueryContext(ctx, st.SQL)
		if err != nil {
			return err
		}
		defer rows.Close()
		if rows.Next() {
			return errors.New(st.Assert)
		}
		return rows.Err()
	case st.Batch != nil:
		return r.batches(ctx, conn, st)
	}
	return r.again(func() error { return locker.Alter(ctx, conn, st.SQL) })
}

// batches walks over the rows by a few keys at a time.
func (r *rounder) batches(ctx context.Context, conn *sql.Conn, st recipe.Statement) error {
	var last int64
	if err := conn.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM items").Scan(&last); err != nil {
		return err
	}
	const size = 400
	for from := int64(0); from <= last; from += size {
		batch := strings.Replace(st.SQL, ":batch", fmt.Sprintf("(id >= %d AND id < %d)", from, from+size), 1)
		if err := r.again(func() error { _, err := conn.ExecContext(ctx, batch); return err }); err != nil {
			return err
		}
	}
	return nil
}

// again does what a deadlock or a lock timeout took back once more, as the executor does.
func (r *rounder) again(f func() error) error {
	err := f()
	for try := 0; err != nil && r.db.IsLockTimeout(err) && try < 50; try++ {
		err = f()
	}
	return err
}

// TestHandOver: on MariaDB the tables stay locked while a backup keeps the renaming from waiting for them, so that what
// somebody writes meanwhile is in the new table.
func TestHandOver(t *testing.T) {
	onLockers(t, func(t *testing.T, g *locker) {
		if g.db.Dialect().Engine != migrate.MariaDB {
			return // it renames under the lock
		}
		ctx := t.Context()
		g.exec("CREATE TABLE items (id int PRIMARY KEY)")
		g.exec("CREATE TABLE items_switchback_new (id int PRIMARY KEY)")
		conn := func() *sql.Conn {
			c, err := g.plain.Conn(ctx)
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		run := func(c *sql.Conn, statement string) {
			t.Helper()
			_, err := c.ExecContext(ctx, statement)
			require.NoError(t, err, statement)
		}
		waiting := func(state, statement string) {
			t.Helper()
			require.Eventually(t, func() bool {
				var n int
				require.NoError(t, g.plain.QueryRowContext(ctx, "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE() AND state = ? AND info LIKE ?", state, statement).Scan(&n))
				return n == 1
			}, 30*time.Second, 5*time.Millisecond, "%s: %s", statement, state)
		}
		holder, backup, client := conn(), conn(), conn()
		locker := g.db.(migrate.TableLocker)
		require.NoError(t, locker.LockTables(ctx, holder, []string{"items", "items_switchback_new", "items_switchback_old"}))
		written := make(chan error, 1)
		go func() { _, err := client.ExecContext(ctx, "INSERT INTO items VALUES (1)"); written <- err }()
		waiting("Waiting for table metadata lock", "INSERT INTO items%")
		run(backup, "BACKUP STAGE START")
		run(backup, "BACKUP STAGE BLOCK_DDL")
		renamed := make(chan error, 1)
		go func() {
			renamed <- locker.Alter(ctx, holder, "RENAME TABLE items TO items_switchback_old, items_switchback_new TO items")
		}()
		waiting("Waiting for backup lock", "RENAME TABLE items%")
		run(backup, "BACKUP STAGE END")
		require.NoError(t, <-renamed)
		require.NoError(t, <-written)
		require.NoError(t, locker.UnlockTables(ctx, holder))
		var now, old int
		require.NoError(t, g.plain.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM items), (SELECT count(*) FROM items_switchback_old)").Scan(&now, &old))
		require.Equal(t, []int{1, 0}, []int{now, old}, "rows in the new table and in the old one")
	})
}
