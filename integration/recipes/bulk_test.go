package recipes

import (
	"fmt"
	"io"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

// bulk is a version of the application that writes many rows with one statement.
type bulk struct {
	g       *locker
	columns string // in the order of the rows
	query   string // that its rows come from
	writes  int    // of each row
}

// bulkRows is a file with three rows, one of which says what says nothing.
const bulkRows = "f,1,2021-01-01,z,q,2\n,0,1970-01-01,,p,0\ns,7,2020-01-01,y,q,8\n"

// write adds each of the rows from a query, from a query that replaces, and from a file.
func (b *bulk) write() {
	b.g.t.Helper()
	for _, into := range []string{"INSERT INTO", "REPLACE INTO"} {
		b.g.exec(fmt.Sprintf("%s t (%s) SELECT %s FROM src", into, b.columns, b.query))
	}
	driver.RegisterReaderHandler(b.g.t.Name(), func() io.Reader { return strings.NewReader(bulkRows) })
	defer driver.DeregisterReaderHandler(b.g.t.Name())
	columns := strings.Replace(b.columns, "plan", "@none) SET plan = ('free'", 1)
	b.g.exec(fmt.Sprintf("LOAD DATA LOCAL INFILE 'Reader::%s' INTO TABLE t FIELDS TERMINATED BY ',' (%s)", b.g.t.Name(), columns))
	b.writes += 3
}

// TestBulkWriters has both versions add rows from queries and from files: such statements treat columns that they leave out
// otherwise than INSERT … VALUES does, and refuse them in other cases.
func TestBulkWriters(t *testing.T) {
	onLockers(t, func(t *testing.T, g *locker) {
		g.exec("SET GLOBAL local_infile = ON")
		g.exec("CREATE TABLE t (id bigint PRIMARY KEY AUTO_INCREMENT, a varchar(20) NOT NULL, n int NOT NULL, d datetime NOT NULL, x text NOT NULL, e enum('p', 'q') NOT NULL, gone int NOT NULL)")
		g.exec("CREATE TABLE src (a varchar(20), n int, d datetime, x text, e varchar(1), gone int)")
		g.exec("INSERT INTO src VALUES ('f', 1, '2021-01-01', 'z', 'q', 2), ('', 0, '1970-01-01', '', 'p', 0), ('s', 7, '2020-01-01', 'y', 'q', 8)")
		before := g.model()
		blue := &bulk{g: g, columns: "a, n, d, x, e, gone", query: "a, n, d, x, e, gone"}
		green := &bulk{g: g, columns: "a2, n, d2, x2, e2, plan", query: "a, n, d, x, e, 'free'"}
		blue.write()
		g.plan("20261130090000_bulk", "rename column t.a a2", "change type t.n bigint", "rename column t.d d2", "rename column t.x x2", "rename column t.e e2", "drop column t.gone fill (5)", "add column t.plan varchar(9) not null fill ('free')")

		// says tells what each of the columns says, and how often.
		says := func(when string, shapes ...string) {
			t.Helper()
			all := blue.writes + green.writes
			for _, columns := range shapes {
				require.Equal(t, fmt.Sprint(3*all), g.text("SELECT count(*) FROM t"), when)
				for _, row := range []string{"|0|1970-01-01 00:00:00||p", "f|1|2021-01-01 00:00:00|z|q", "s|7|2020-01-01 00:00:00|y|q"} {
					require.Equal(t, fmt.Sprint(all), g.text("SELECT count(*) FROM t WHERE concat_ws('|', "+columns+") = '"+row+"'"), "%s: %s of %s", when, row, columns)
				}
			}
		}
		const old, renamed = "a, n, d, x, e", "a2, n, d2, x2, e2"
		says("before", old)
		require.NoError(t, g.forward(migrate.Expand))
		blue.write()
		says("expand", old)
		if !strings.HasPrefix(g.url, "mariadb") { // which takes it: see the note of the plan
			_, err := g.plain.ExecContext(t.Context(), "INSERT INTO t (n, d, x, e, gone) VALUES (1, now(), '', 'p', 1)")
			require.Error(t, err, "a row without a value in either shape")
		}
		require.NoError(t, g.forward(migrate.Backfill))
		blue.write()
		green.write()
		require.Equal(t, "0", g.text("SELECT count(*) FROM t WHERE plan <> 'free'"))
		says("backfill", old, renamed, "a2, switchback_new_n, d2, x2, e2")
		filled := g.model()
		require.NoError(t, g.forward(migrate.Contract))
		green.write()
		says("contract", renamed, "switchback_old_a, switchback_old_n, switchback_old_d, switchback_old_x, switchback_old_e")
		require.NoError(t, g.back())
		g.equal(filled, "after the rollback of contract")
		blue.write()
		green.write()
		says("rollback of contract", old, renamed)
		require.NoError(t, g.back())
		require.NoError(t, g.back())
		g.equal(before, "after the rollback of all")
		blue.write()
		says("rollback of all", old)
		require.NoError(t, g.forward(migrate.Expand, migrate.Backfill, migrate.Contract, migrate.Purge))
		green.write()
		says("purge", renamed)
	})
}
