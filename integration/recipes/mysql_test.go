package recipes

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

// lockers are the servers whose DDL commits by itself.
var lockers = []servers.Kind{servers.MySQL9, servers.MariaDB118, servers.MariaDB1011}

// locker is a database on one of them, with a folder of changes.
type locker struct {
	t       *testing.T
	url     string
	plain   *sql.DB
	db      database.Database
	runner  *migrate.Runner
	changes string
}

// onLockers runs a test on a fresh database of each.
func onLockers(t *testing.T, test func(t *testing.T, g *locker)) {
	if testing.Short() {
		t.Skip("not in short mode")
	}
	for _, k := range lockers {
		t.Run(k.Name, func(t *testing.T) { test(t, newLocker(t, k)) })
	}
}

// newLocker is a fresh database of a server.
func newLocker(t *testing.T, k servers.Kind) *locker {
	t.Helper()
	url := servers.URL(t, k)
	before := servers.Open(t, url)
	_, err := before.ExecContext(t.Context(), "ALTER DATABASE CHARACTER SET utf8mb4")
	require.NoError(t, err)
	require.NoError(t, before.Close()) // what connects from here on sees it
	db, err := database.Open(t.Context(), url, database.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	plain := servers.Open(t, url)
	t.Cleanup(func() { require.NoError(t, plain.Close()) })
	return &locker{t: t, url: url, plain: plain, db: db, runner: migrate.NewRunner(db, migrate.Options{}), changes: filepath.Join(t.TempDir(), "changes")}
}

func (g *locker) exec(script string) {
	g.t.Helper()
	_, err := g.plain.ExecContext(context.WithoutCancel(g.t.Context()), script)
	require.NoError(g.t, err, script)
}

// text is the one value of a query.
func (g *locker) text(query string) string {
	g.t.Helper()
	var s sql.NullString
	require.NoError(g.t, g.plain.QueryRowContext(g.t.Context(), query).Scan(&s), query)
	return s.String
}

func (g *locker) model() *schema.Database {
	g.t.Helper()
	m, err := g.db.(interface {
		Inspect(context.Context) (*schema.Database, error)
	}).Inspect(g.t.Context())
	require.NoError(g.t, err)
	return m
}

// plan plans a change and writes it.
func (g *locker) plan(id string, operations ...string) *recipe.Draft {
	g.t.Helper()
	var list []recipe.Operation
	for _, text := range operations {
		op, err := recipe.Parse(text)
		require.NoError(g.t, err)
		list = append(list, op)
	}
	m := g.model()
	w, err := database.Writer(m.Engine)
	require.NoError(g.t, err)
	draft, err := recipe.Plan(m, list, recipe.Options{Engine: migrate.Engine(m.Engine), Writer: w, ID: id})
	require.NoError(g.t, err)
	dir := filepath.Join(g.changes, id)
	require.NoError(g.t, os.MkdirAll(dir, 0o755))
	for _, f := range draft.Files(migrate.Engine(m.Engine)) {
		require.NoError(g.t, os.WriteFile(filepath.Join(dir, f.Name), []byte(f.Text), 0o600))
		if os.Getenv("SHOW") != "" {
			g.t.Logf("=== %s\n%s", f.Name, f.Text)
		}
	}
	require.NoError(g.t, migrate.WriteSum(g.changes))
	return draft
}

func (g *locker) forward(phases ...migrate.Phase) error {
	folder, err := migrate.LoadFolder(g.changes, g.db.Dialect().Engine)
	require.NoError(g.t, err)
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	_, err = g.runner.Run(ctx, "test", func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanForward(folder, s, migrate.ForwardOptions{Phases: phases})
	})
	return err
}

// back rolls the last phase back.
func (g *locker) back() error {
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	_, err := g.runner.Run(ctx, "test", func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanBack(s, migrate.BackOptions{LastPhase: true})
	})
	return err
}

// equal wants the database to be as a model says.
func (g *locker) equal(want *schema.Database, when string) {
	g.t.Helper()
	r, err := diff.Compare(want, g.model(), diff.Options{})
	require.NoError(g.t, err)
	require.Empty(g.t, r.Changes, when)
}

// version is one version of an application: it writes rows of its own under one name of the column, and knows
// what it has written.
type version struct {
	g      *locker
	table  string
	column string
	first  int // of its row numbers
	value  func(r *rand.Rand) string
	mu     sync.Mutex
	rows   map[int]string
	next   int
	stop   context.CancelFunc
	ended  chan error
	writes int
}

func (g *locker) version(table, column string, first int, value func(*rand.Rand) string) *version {
	return &version{g: g, table: table, column: column, first: first, value: value, rows: map[int]string{}, next: first}
}

// start lets it write until pause.
func (v *version) start() {
	ctx, stop := context.WithCancel(context.Background())
	v.stop, v.ended = stop, make(chan error, 1)
	go func() {
		r := rand.New(rand.NewPCG(uint64(v.first), uint64(v.next)))
		for ctx.Err() == nil {
			if err := v.write(r); err != nil {
				v.ended <- err
				return
			}
		}
		v.ended <- nil
	}()
}

// pause waits for it to end, and wants none of its writes to have failed.
func (v *version) pause() {
	v.g.t.Helper()
	if v.stop == nil {
		return
	}
	v.stop()
	require.NoError(v.g.t, <-v.ended, "the version that writes %s", v.column)
	v.stop = nil
}

// write writes one row.
func (v *version) write(r *rand.Rand) error {
	value := v.value(r)
	exec := func(query string, args ...any) error {
		_, err := v.g.plain.ExecContext(context.Background(), query, args...)
		if err != nil {
			return fmt.Errorf("%s %v: %w", query, args, err)
		}
		v.writes++
		return nil
	}
	id := v.first
	if v.next > v.first {
		id += r.IntN(v.next - v.first)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	_, there := v.rows[id]
	switch k := r.IntN(10); {
	case k < 4 || v.next == v.first:
		id = v.next
		if err := exec(fmt.Sprintf("INSERT INTO %s (id, %s) VALUES (?, ?)", v.table, v.column), id, value); err != nil {
			return err
		}
		v.next++
	case k < 5:
		if err := exec(fmt.Sprintf("DELETE FROM %s WHERE id = ?", v.table), id); err != nil {
			return err
		}
		delete(v.rows, id)
		return nil
	case k < 7:
		if err := exec(fmt.Sprintf("INSERT INTO %s (id, %s) VALUES (?, ?) ON DUPLICATE KEY UPDATE %s = ?", v.table, v.column, v.column), id, value, value); err != nil {
			return err
		}
	case !there:
		return nil
	default:
		if err := exec(fmt.Sprintf("UPDATE %s SET %s = ?, other = other + 1 WHERE id = ?", v.table, v.column), value, id); err != nil {
			return err
		}
	}
	v.rows[id] = value
	return nil
}

// holds wants the table to hold what the version wrote, read under a name; as turns a value into what it reads
// as there.
func (v *version) holds(column string, as func(string) string, when string) {
	v.g.t.Helper()
	rows, err := v.g.plain.QueryContext(v.g.t.Context(), fmt.Sprintf("SELECT id, %s FROM %s WHERE id >= %d AND id < %d", column, v.table, v.first, v.first+1_000_000))
	require.NoError(v.g.t, err)
	defer rows.Close()
	have := map[int]string{}
	for rows.Next() {
		var id int
		var value sql.NullString
		require.NoError(v.g.t, rows.Scan(&id, &value))
		have[id] = value.String
	}
	require.NoError(v.g.t, rows.Err())
	want := map[int]string{}
	for id, value := range v.rows {
		want[id] = as(value)
	}
	require.Equal(v.g.t, want, have, "%s: %s of the version that writes %s", when, column, v.column)
}

func unchanged(value string) string { return value }

// journey takes a change through its phases and back while versions of the application write.
type journey struct {
	g           *locker
	blue, green *version
	columns     func(contracted bool) map[string]func(string) string // under which names values are read, as what
}

// during does a step while versions write, and looks at the rows afterwards.
func (j *journey) during(when string, contracted bool, do func() error, writing ...*version) {
	j.g.t.Helper()
	for _, v := range writing {
		v.start()
	}
	time.Sleep(100 * time.Millisecond) // for them to have written something before, and after
	err := do()
	time.Sleep(100 * time.Millisecond)
	for _, v := range writing {
		v.pause()
	}
	require.NoError(j.g.t, err, when)
	for column, as := range j.columns(contracted) {
		for _, v := range []*version{j.blue, j.green} {
			v.holds(column, as, when)
		}
	}
}

func (j *journey) run() {
	g := j.g
	phase := func(p migrate.Phase) func() error { return func() error { return g.forward(p) } }
	start := g.model()
	old := j.columns
	j.columns = func(bool) map[string]func(string) string {
		return map[string]func(string) string{j.blue.column: old(false)[j.blue.column]}
	}
	j.during("before", false, func() error { return nil }, j.blue)
	require.NoError(g.t, g.forward(migrate.Expand))
	require.NoError(g.t, g.back())
	g.equal(start, "after the rollback of expand")
	j.during("expand", false, phase(migrate.Expand), j.blue)
	j.columns = old
	expanded := g.model()
	j.during("backfill", false, phase(migrate.Backfill), j.blue)
	filled := g.model()
	j.during("green starts", false, func() error { return nil }, j.blue, j.green)
	j.during("rollback of backfill", false, g.back, j.blue, j.green)
	g.equal(expanded, "after the rollback of backfill")
	j.during("backfill again", false, phase(migrate.Backfill), j.blue, j.green)
	g.equal(filled, "after backfill again")
	j.during("contract", true, phase(migrate.Contract), j.green)
	contracted := g.model()
	j.during("rollback of contract", false, g.back, j.green)
	g.equal(filled, "after the rollback of contract")
	j.during("both again", false, func() error { return nil }, j.blue, j.green)
	j.during("contract again", true, phase(migrate.Contract), j.green)
	g.equal(contracted, "after contract again")
	require.NoError(g.t, g.back())
	require.NoError(g.t, g.back())
	j.columns = func(bool) map[string]func(string) string {
		return map[string]func(string) string{j.blue.column: old(false)[j.blue.column]}
	}
	j.during("rollback of expand", false, g.back, j.blue)
	g.equal(start, "after the rollback of all")
	require.NoError(g.t, g.forward(migrate.Expand, migrate.Backfill, migrate.Contract))
	j.columns = func(bool) map[string]func(string) string {
		return map[string]func(string) string{j.green.column: old(true)[j.green.column]}
	}
	j.during("purge", true, phase(migrate.Purge), j.green)
	g.t.Logf("blue wrote %d times, green %d times", j.blue.writes, j.green.writes)
}

func word(r *rand.Rand) string {
	return []string{"", "a", "A", "a ", "Ä", "it's", "x\ny", strings.Repeat("z", 20), fmt.Sprint(r.IntN(1000))}[r.IntN(9)]
}

// TestLockersRename renames a column whose table has triggers of the application's own, and names that need
// quotes.
func TestLockersRename(t *testing.T) {
	onLockers(t, func(t *testing.T, g *locker) {
		table, long := "`Us\"er's T`", strings.Repeat("n", 64)
		g.exec("CREATE TABLE audit (n int auto_increment primary key, what varchar(40))")
		g.exec("CREATE TABLE " + table + " (id int primary key, `" + long + "` varchar(20) NOT NULL, other int NOT NULL DEFAULT 0, touched int, KEY names (`" + long + "`, other))")
		g.exec("CREATE TRIGGER own_insert BEFORE INSERT ON " + table + " FOR EACH ROW SET NEW.touched = 1")
		g.exec("CREATE TRIGGER own_update BEFORE UPDATE ON " + table + " FOR EACH ROW SET NEW.touched = OLD.touched + 1")
		g.exec("CREATE TRIGGER own_after AFTER UPDATE ON " + table + " FOR EACH ROW INSERT INTO audit (what) VALUES ('update')")
		g.plan("20261124093000_rename", `rename column "Us""er's T".`+long+` "New 'Name'"`)
		j := &journey{
			g: g, blue: g.version(table, "`"+long+"`", 1, word), green: g.version(table, "`New 'Name'`", 1_000_001, word),
			columns: func(contracted bool) map[string]func(string) string {
				old := "`" + long + "`"
				if contracted {
					old = "`" + attic(g, "Us\"er's T") + "`"
				}
				return map[string]func(string) string{old: unchanged, "`New 'Name'`": unchanged}
			},
		}
		j.run()
	})
}

// attic is the name of the column of a table that is in the attic.
func attic(g *locker, table string) string {
	g.t.Helper()
	for _, c := range g.model().Schemas[0].Table(table).Columns {
		if strings.HasPrefix(c.Name, "switchback_old_") {
			return c.Name
		}
	}
	return "none"
}

// TestLockersChangeType changes types there and back.
func TestLockersChangeType(t *testing.T) {
	number := func(r *rand.Rand) string { return fmt.Sprint(r.IntN(200) - 100) }
	for _, c := range []struct {
		name, before, operation string
		blue, green             func(*rand.Rand) string
	}{
		{"int to bigint", "c int NOT NULL DEFAULT 7, UNIQUE KEY u (c, id)", "change type t.c bigint", number, number},
		{"int to varchar", "c int, KEY i (c)", "change type t.c varchar(30)", number, number},
		{"varchar to text", "c varchar(20) NOT NULL", "change type t.c mediumtext", word, word},
		{"decimal", "c decimal(6,0) NOT NULL", "change type t.c decimal(12,0)", number, number},
		{"unsigned", "c int NOT NULL", "change type t.c bigint unsigned", func(r *rand.Rand) string { return fmt.Sprint(r.IntN(100)) }, func(r *rand.Rand) string { return fmt.Sprint(r.IntN(100)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			onLockers(t, func(t *testing.T, g *locker) {
				g.exec("CREATE TABLE t (id int primary key, other int NOT NULL DEFAULT 0, " + c.before + ")")
				g.plan("20261124093000_type", c.operation)
				j := &journey{
					g: g, blue: g.version("t", "c", 1, c.blue), green: g.version("t", "c", 1_000_001, c.green),
					columns: func(contracted bool) map[string]func(string) string {
						if contracted {
							return map[string]func(string) string{"c": unchanged, "switchback_old_c": unchanged}
						}
						return map[string]func(string) string{"c": unchanged, "switchback_new_c": unchanged}
					},
				}
				j.run()
			})
		})
	}
}

// TestLockersKeysAndMoments renames a column with a foreign key, one with a check, and one that the server fills by
// itself.
func TestLockersKeysAndMoments(t *testing.T) {
	onLockers(t, func(t *testing.T, g *locker) {
		g.exec("CREATE TABLE p (id int primary key)")
		g.exec("INSERT INTO p VALUES (1), (2)")
		g.exec("CREATE TABLE k (id int primary key, p int NOT NULL, n int, at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY k_p (p), CONSTRAINT k_p FOREIGN KEY (p) REFERENCES p (id), CONSTRAINT k_n CHECK (n > 0))")
		g.exec("INSERT INTO k (id, p, n, at) VALUES (1, 1, 1, '2020-01-01 00:00:00')")
		start := g.model()
		g.plan("20261124093000_keys", "rename column k.p parent", "rename column k.n number", "rename column k.at changed")
		require.NoError(t, g.forward(migrate.Expand, migrate.Backfill))
		filled := g.model()
		g.exec("INSERT INTO k (id, p, n, at) VALUES (2, 2, 2, '2020-01-02 00:00:00')")
		g.exec("INSERT INTO k (id, parent, number, changed) VALUES (3, 2, 3, '2020-01-03 00:00:00')")
		g.exec("INSERT INTO k (id, parent, number) VALUES (4, 2, 4)")
		g.exec("UPDATE k SET number = 5 WHERE id = 1")
		_, err := g.plain.ExecContext(t.Context(), "INSERT INTO k (id, parent, number) VALUES (5, 7, 4)")
		require.Error(t, err, "there is no such parent")
		_, err = g.plain.ExecContext(t.Context(), "INSERT INTO k (id, parent, number) VALUES (5, 1, -1)")
		require.Error(t, err, "the check holds")
		require.Equal(t, "4", g.text("SELECT count(*) FROM k WHERE p = parent AND n = number AND at <=> changed"))
		require.Equal(t, "2020-01-02 00:00:00", g.text("SELECT CAST(changed AS CHAR) FROM k WHERE id = 2"))
		require.Equal(t, "2020-01-03 00:00:00", g.text("SELECT CAST(at AS CHAR) FROM k WHERE id = 3"))
		require.NotEqual(t, "2020-01-01 00:00:00", g.text("SELECT CAST(changed AS CHAR) FROM k WHERE id = 1"))

		require.NoError(t, g.forward(migrate.Contract))
		g.exec("INSERT INTO k (id, parent, number) VALUES (6, 2, 6)")
		g.exec("UPDATE k SET number = 7 WHERE id = 2")
		_, err = g.plain.ExecContext(t.Context(), "INSERT INTO k (id, parent, number) VALUES (7, 7, 4)")
		require.Error(t, err, "there is no such parent")
		_, err = g.plain.ExecContext(t.Context(), "INSERT INTO k (id, parent, number) VALUES (7, 1, -1)")
		require.Error(t, err, "the check holds")
		require.NotEqual(t, "2020-01-02 00:00:00", g.text("SELECT CAST(changed AS CHAR) FROM k WHERE id = 2"))
		require.Equal(t, "5", g.text("SELECT count(*) FROM k WHERE switchback_old_p = parent AND switchback_old_n = number AND switchback_old_at <=> changed"))
		require.NoError(t, g.back())
		g.equal(filled, "after the rollback of contract")
		require.NoError(t, g.back())
		require.NoError(t, g.back())
		g.equal(start, "after the rollback of all")
		require.Equal(t, "5", g.text("SELECT count(*) FROM k WHERE n > 0 AND at IS NOT NULL"))

		require.NoError(t, g.forward(migrate.Expand, migrate.Backfill, migrate.Contract, migrate.Purge))
		k := g.model().Schemas[0].Table("k")
		require.NotNil(t, k.Constraint("k_p"))
		require.NotNil(t, k.Constraint("k_n"))
		require.Equal(t, "CURRENT_TIMESTAMP", k.Column("changed").Default)
		require.Equal(t, "CURRENT_TIMESTAMP", schema.Value(k.Column("changed").Options, "on update"))
		require.Len(t, k.Columns, 4)
	})
}

// TestLockersDates plans changes on a table with a check that compares a date with a constant. MySQL changes no column of it
// beside writers but for its default; MariaDB does.
func TestLockersDates(t *testing.T) {
	onLockers(t, func(t *testing.T, g *locker) {
		g.exec("CREATE TABLE items (id int PRIMARY KEY, d date NOT NULL, n int, CONSTRAINT lately CHECK (d > '1999-12-31'))")
		g.exec("INSERT INTO items VALUES (1, '2026-01-02', 3)")
		before := g.model()
		frozen := g.db.Dialect().Engine == migrate.MySQL
		for i, op := range []string{"set default items.n (7)", "add column items.m int default (5)", "set not null items.n", "rename column items.n m2", "drop not null items.d"} {
			o, err := recipe.Parse(op)
			require.NoError(t, err)
			writer, err := database.Writer(string(g.db.Dialect().Engine))
			require.NoError(t, err)
			_, err = recipe.Plan(before, []recipe.Operation{o}, recipe.Options{Engine: g.db.Dialect().Engine, Writer: writer, ID: "1"})
			if frozen && i > 1 {
				var refused *recipe.Error
				require.ErrorAs(t, err, &refused, op)
				require.Contains(t, refused.Reason, "check lately compares a date with a constant")
				require.NotEmpty(t, refused.Next)
				continue
			}
			require.NoError(t, err, op)
			g.plan(fmt.Sprintf("2026112409300%d_change", i), op)
			require.NoError(t, g.forward(migrate.Expand, migrate.Backfill, migrate.Contract), op)
			for range 3 {
				require.NoError(t, g.back(), op)
			}
			g.equal(before, op)
			require.NoError(t, os.RemoveAll(g.changes))
		}
	})
}

// TestLockersTriggerOrder has triggers of the application that build on each other, in an order that FOLLOWS and PRECEDES give
// them: they fire in it in every phase, and what they make of a row is in both shapes. One more comes in between.
func TestLockersTriggerOrder(t *testing.T) {
	onLockers(t, func(t *testing.T, g *locker) {
		g.exec("CREATE TABLE items (id int PRIMARY KEY, name varchar(40) NOT NULL DEFAULT '', note varchar(40), seen varchar(40))")
		g.exec("CREATE TABLE log (n int AUTO_INCREMENT PRIMARY KEY, who varchar(20), said varchar(40))")
		for _, event := range []string{"INSERT", "UPDATE"} {
			trigger := func(name, moment, place, body string) {
				g.exec(fmt.Sprintf("CREATE TRIGGER %s_%s %s %s ON items FOR EACH ROW %s %s", name, strings.ToLower(event), moment, event, strings.ReplaceAll(place, "$", "_"+strings.ToLower(event)), body))
			}
			trigger("trims", "BEFORE", "", "SET NEW.name = trim(NEW.name)")
			trigger("uppers", "BEFORE", "FOLLOWS trims$", "SET NEW.name = concat(upper(NEW.name), ' ')")
			trigger("marks", "BEFORE", "PRECEDES trims$", "SET NEW.seen = NEW.name")
			trigger("second", "AFTER", "", "INSERT INTO log (who, said) VALUES ('second', NEW.name)")
			trigger("third", "AFTER", "FOLLOWS second$", "INSERT INTO log (who, said) VALUES ('third', NEW.name)")
			trigger("first", "AFTER", "PRECEDES second$", "INSERT INTO log (who, said) VALUES ('first', NEW.name)")
		}
		g.exec("INSERT INTO items (id, name, note) VALUES (1, ' ada', 'x')")
		before := g.model()
		g.plan("20261124093000_text", "change type items.name varchar(80)", "rename column items.note body")
		check := func(when, other, note, want string) {
			t.Helper()
			for i, sql := range []string{"DELETE FROM items WHERE id = 2", "TRUNCATE log", "INSERT INTO items (id, name, " + note + ") VALUES (2, '  bob', 'n')", "UPDATE items SET name = ' eve', " + note + " = 'm' WHERE id = 2"} {
				g.exec(sql)
				if i == 2 {
					require.Equal(t, strings.Replace(want, "EVE", "BOB", 1)+"|  bob", g.text("SELECT concat(name, '|', seen) FROM items WHERE id = 2"), when)
				}
			}
			require.Equal(t, want+"| eve", g.text("SELECT concat(name, '|', seen) FROM items WHERE id = 2"), when)
			require.Equal(t, "first second third first second third", g.text("SELECT group_concat(who ORDER BY n SEPARATOR ' ') FROM log"), when)
			require.Equal(t, "2", g.text("SELECT count(DISTINCT said) FROM log"), when)
			if other != "" {
				require.Equal(t, "0", g.text("SELECT count(*) FROM items WHERE id = 2 AND NOT (BINARY name <=> BINARY "+other+")"), when)
			}
		}
		check("before", "", "note", "EVE ")
		for range 2 {
			require.NoError(t, g.forward(migrate.Expand))
			check("expand", "switchback_new_name", "body", "EVE ")
			check("expand, the old version", "switchback_new_name", "note", "EVE ")
			require.NoError(t, g.forward(migrate.Backfill))
			require.NoError(t, g.forward(migrate.Contract))
			check("contract", "switchback_old_name", "body", "EVE ")
			require.NoError(t, g.back())
			check("rollback of contract", "switchback_new_name", "note", "EVE ")
			require.NoError(t, g.back())
			require.NoError(t, g.back())
			check("rollback", "", "note", "EVE ")
			alike(t, before, g.model(), "after the rollback the schema is another one")
		}
		require.NoError(t, g.forward(migrate.Expand, migrate.Backfill))
		for _, event := range []string{"insert", "update"} {
			g.exec(fmt.Sprintf("CREATE TRIGGER late_%[1]s BEFORE %[1]s ON items FOR EACH ROW FOLLOWS trims_%[1]s SET NEW.name = concat(NEW.name, '!')", event))
		}
		check("another one", "switchback_new_name", "note", "EVE! ")
		require.NoError(t, g.forward(migrate.Contract))
		check("contract with another one", "switchback_old_name", "body", "EVE! ")
		require.NoError(t, g.back())
		check("rollback of contract with another one", "switchback_new_name", "note", "EVE! ")
		require.NoError(t, g.forward(migrate.Contract, migrate.Purge))
		check("purge", "", "body", "EVE! ")
	})
}

// TestLockersFate: what became of an interrupted statement is known also where it makes or drops what is Switchback's own by its
// name, which no model has.
func TestLockersFate(t *testing.T) {
	onLockers(t, func(t *testing.T, g *locker) {
		g.exec("CREATE TABLE items (id int PRIMARY KEY)")
		conn, err := g.db.DB().Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		for _, statement := range []string{
			"CREATE TABLE switchback_old_items (id int)", "CREATE SQL SECURITY INVOKER VIEW switchback_new_goods AS\nSELECT id FROM items",
			"DROP VIEW switchback_new_goods", "DROP TABLE `switchback_old_items`", "ALTER TABLE items ADD COLUMN n int", "DROP TABLE items",
		} {
			before, err := g.db.(interface {
				Fingerprint(context.Context, schema.Queryer) (string, error)
			}).Fingerprint(t.Context(), conn)
			require.NoError(t, err)
			for _, want := range []migrate.Fate{migrate.NoEffect, migrate.TookEffect} {
				fate, err := g.db.Settle(t.Context(), conn, statement, before)
				require.NoError(t, err)
				require.Equal(t, want, fate, statement)
				if want == migrate.NoEffect {
					g.exec(statement)
				}
			}
		}
	})
}
