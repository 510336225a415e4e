package recipes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
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
			draft, err := p.draft(c, x.engine)
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
	draft  *recipe.Draft
	mended func(ctx context.Context, conn *sql.Conn, st recipe.Statement) error // what is for after a crash; nil leaves it out
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
		switch {
		case err != nil:
		case !st.Resumed:
			err = r.statement(ctx, conn, st)
		case r.mended != nil:
			err = r.mended(ctx, conn, st)
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

// TestNarrowerCharset: letters that a character set has not stop a change before its contract, and no row has question marks
// in their place.
func TestNarrowerCharset(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range []servers.Kind{servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			g := newLocker(t, k)
			g.exec("CREATE TABLE items (id int PRIMARY KEY, note varchar(20)) DEFAULT CHARSET utf8mb4")
			g.exec("INSERT INTO items VALUES (1, 'Malmö'), (2, 'Łódź')")
			before := g.model()
			draft := g.plan("1", "convert table items charset latin1 collate latin1_swedish_ci")
			require.Len(t, draft.Checks, 1)
			require.True(t, draft.Checks[0].Fatal)
			require.Equal(t, "1", g.text(draft.Checks[0].Count))
			err := g.forward(migrate.Expand, migrate.Backfill, migrate.Contract)
			if k == servers.MySQL9 {
				require.ErrorContains(t, err, "rows of items cannot be in items_switchback_new as they are")
				require.ErrorContains(t, err, "id=2")
				require.NoError(t, g.back())
			} else {
				require.ErrorContains(t, err, "Incorrect string value")
			}
			require.Equal(t, "Łódź", g.text("SELECT note FROM items WHERE id = 2"))
			g.equal(before, "after it was refused")

			g.exec("UPDATE items SET note = 'Lund' WHERE id = 2")
			require.NoError(t, g.forward(migrate.Expand, migrate.Backfill, migrate.Contract))
			require.Equal(t, "Malmö", g.text("SELECT note FROM items WHERE id = 1"))
		})
	}
}

// TestMended: the statements that take up an interrupted exchange of two tables make them the same again, and read no
// more than each of them once, while the server takes both for empty.
func TestMended(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, name := range []string{"change type of a key", "partition table", "convert table", "move columns to another table"} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			const rows = 3000
			p := beginAt(t, caseCalled(t, name).on("mysql"), "mysql", fresh(t, "mysql"), rows)
			draft, err := p.plan(p.c.operations.on("mysql"))
			require.NoError(t, err)
			r := &rounder{trip: p, draft: draft}
			r.mended = func(ctx context.Context, conn *sql.Conn, st recipe.Statement) error {
				differ := disturbing(st.SQL)
				if differ == nil {
					return r.statement(ctx, conn, st)
				}
				for _, sql := range differ {
					if _, err := conn.ExecContext(ctx, sql); err != nil {
						return err
					}
				}
				before := reads(t, conn)
				err := r.statement(ctx, conn, st)
				require.Less(t, reads(t, conn)-before, 10*rows, st.SQL)
				return err
			}
			require.NoError(t, r.script(migrate.Expand, false))
			require.NoError(t, r.script(migrate.Backfill, false))
			for range 2 { // each begins with asserting that the two are the same
				r.unknown(t)
				require.NoError(t, r.script(migrate.Contract, false))
				r.unknown(t)
				require.NoError(t, r.script(migrate.Contract, true))
			}
			p.check(blue)
		})
	}
}

// disturbing are statements that have the table differ which a statement is to mend; none where it only goes on with what
// another one has begun.
func disturbing(mends string) []string {
	words := strings.Fields(mends)
	switch words[0] {
	case "DELETE":
		table := words[2]
		return []string{"DELETE FROM " + table + " WHERE id % 7 = 0", "UPDATE " + table + " SET n = 5, note = NULL WHERE id % 7 = 1", "INSERT INTO " + table + " (id, n) VALUES (1000000, 3)"}
	case "UPDATE":
		return []string{"UPDATE " + words[slices.Index(words, "SET")-1] + " SET " + words[slices.Index(words, "SET")+1] + " = 'x' WHERE id % 7 = 1"}
	}
	return nil
}

// unknown makes the server forget how many rows there are.
func (r *rounder) unknown(t *testing.T) {
	t.Helper()
	r.exec("UPDATE mysql.innodb_table_stats SET n_rows = 0, clustered_index_size = 1 WHERE database_name = DATABASE(); FLUSH TABLES")
}

// reads is how many rows a connection has read.
func reads(t *testing.T, conn *sql.Conn) int {
	t.Helper()
	n := 0
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT CAST(sum(variable_value) AS SIGNED) FROM performance_schema.session_status WHERE variable_name LIKE 'Handler_read%'").Scan(&n))
	return n
}
