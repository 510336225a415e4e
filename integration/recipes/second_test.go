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

// TestRounds takes what spans two tables through its scripts over and over, while clients of both versions work: the
// statements alone, without a journal, so that there are many moments at which something could go wrong. A round
// is expand, backfill, contract, back, contract again, and everything back.
func TestRounds(t *testing.T) {
	if testing.Short() {
		return
	}
	rounds := 2
	if thorough() {
		rounds = 60
	}
	for _, x := range []struct{ name, engine string }{
		{"add check", "mysql"},
		{"change type of a key", "mysql"},
		{"partition table", "mysql"},
		{"convert table", "mysql"},
		{"move columns to another table", "mysql"},
		{"add check", "mariadb"},
		{"change type of a key", "mariadb"},
		{"convert table", "mariadb"},
	} {
		c := caseCalled(t, x.name).on(x.engine)
		t.Run(strings.ReplaceAll(x.name+" on "+x.engine, " ", "_"), func(t *testing.T) {
			t.Parallel()
			p := beginAt(t, c, x.engine, fresh(t, x.engine), 300)
			draft, err := p.plan(c.operations.on(x.engine))
			require.NoError(t, err)
			r := &rounder{trip: p, draft: draft}
			for i := range rounds {
				r.round()
				t.Log("round", i+1)
			}
		})
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
	p.phase(expanded, expanded, "rollback of backfill", run(migrate.Backfill, true), nil, blue)
	p.phase(expanding, plain, "rollback of expand", run(migrate.Expand, true), p.book.unexpand, blue)
	p.fleet.end(blue)
}

// script runs the statements of a phase, or those that take it back.
func (r *rounder) script(phase migrate.Phase, back bool) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Minute)
	defer cancel()
	scripts := r.draft.Phase(phase)
	if scripts == nil {
		return nil
	}
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
			err = r.statement(ctx, conn, st)
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

func (r *rounder) statement(ctx context.Context, conn *sql.Conn, st recipe.Statement) error {
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
	return r.again(func() error { _, err := r.db.Execute(ctx, conn, st.SQL); return err })
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
