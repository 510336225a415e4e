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

// TestUnwritten has both versions, whose sessions are in another time zone than that of the run, write columns of every kind of type:
// by what a row says that was written without the other shape's columns nothing is lost.
func TestUnwritten(t *testing.T) {
	types := []struct{ name, typ, start, blue, green, equal string }{ // equal: to what was written elsewhere
		{"u", "binary(4)", "'abcd'", "'efgh'", "'ijk'", "%s = CAST(%s AS binary(4))"},
		{"v", "varbinary(9)", "'a'", "'b'", "''", "%s = %s"},
		{"b", "bit(8)", "b'101'", "b'11'", "b'111'", "%s = %s"},
		{"ts", "timestamp", "'2021-01-01'", "'2022-02-02'", "'2023-03-03'", "%s = timestamp(%s) - INTERVAL 5 HOUR"},
		{"dt", "datetime", "'2021-01-01'", "'2022-02-02'", "'2023-03-03'", "%s = %s"},
		{"d", "date", "'2021-01-01'", "'2022-02-02'", "'2023-03-03'", "%s = %s"},
		{"tm", "time", "'10:00:00'", "'11:00:00'", "'12:00:00'", "%s = %s"},
		{"y", "year", "2021", "2022", "2023", "%s = %s"},
		{"n", "decimal(5,2)", "1.5", "2.5", "3.5", "%s = %s"},
		{"f", "double", "1.5", "2.5", "3.5", "%s = %s"},
		{"s", "set('p','q')", "'p'", "'q'", "'p,q'", "%s = %s"},
		{"c", "char(5)", "'a'", "'b'", "'c'", "%s = %s"},
		{"j", "json", "'{}'", "'[]'", "'[1]'", "CAST(%s AS char) = %s"},
		{"l", "blob", "'a'", "'b'", "'c'", "%s = %s"},
	}
	onLockers(t, func(t *testing.T, g *locker) {
		var columns, names, renamed, start, blue, green, operations []string
		for _, c := range types {
			columns = append(columns, c.name+" "+c.typ+" NOT NULL")
			names, renamed = append(names, c.name), append(renamed, c.name+"2")
			start, blue, green = append(start, c.start), append(blue, c.blue), append(green, c.green)
			operations = append(operations, fmt.Sprintf("rename column t.%s %[1]s2", c.name))
		}
		list := func(l []string) string { return strings.Join(l, ", ") }
		elsewhere, err := g.plain.Conn(t.Context())
		require.NoError(t, err)
		defer elsewhere.Close()
		write := func(id int, columns, values []string) {
			t.Helper()
			for _, statement := range []string{"SET time_zone = '+05:00'", fmt.Sprintf("INSERT INTO t (id, %s) VALUES (%d, %s)", list(columns), id, list(values))} {
				_, err := elsewhere.ExecContext(t.Context(), statement)
				require.NoError(t, err, statement)
			}
		}
		g.exec("CREATE TABLE t (id int PRIMARY KEY, " + list(columns) + ")")
		write(1, names, start)
		g.plan("20261130100000_unwritten", operations...)

		// says tells that the rows from one to another say what was written, in each of the shapes.
		says := func(when string, from, to int, values []string, shapes ...[]string) {
			t.Helper()
			for _, shape := range shapes {
				for i, name := range shape {
					query := fmt.Sprintf("SELECT count(*) FROM t WHERE id BETWEEN %d AND %d AND "+types[i].equal, from, to, name, values[i])
					require.Equal(t, fmt.Sprint(to-from+1), g.text(query), "%s: %s", when, query)
				}
			}
		}
		require.NoError(t, g.forward(migrate.Expand))
		write(2, names, blue)
		require.NoError(t, g.forward(migrate.Backfill))
		write(3, names, blue)
		write(10, renamed, green)
		says("backfill", 1, 1, start, names, renamed)
		says("backfill", 2, 3, blue, names, renamed)
		says("backfill", 10, 10, green, names, renamed)
		require.NoError(t, g.forward(migrate.Contract))
		write(11, renamed, green)
		says("contract", 10, 11, green, renamed)
		require.NoError(t, g.back())
		write(4, names, blue)
		says("rollback of contract", 1, 1, start, names)
		says("rollback of contract", 2, 4, blue, names, renamed)
		says("rollback of contract", 10, 11, green, names, renamed)
	})
}
