package integration

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestChinook takes Customer.FirstName and LastName to FullName on real data, through all phases, each
// of them back and forward again, while a writer of the old version and one of the new go on. At the
// end everything that was acknowledged is there and nothing else has changed, compared by the database.
func TestChinook(t *testing.T) {
	path := corpus(t, "chinook")
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		t.Parallel()
		g := open(t, url, migrate.Options{})
		loadChinook(g, path)
		g.change("20261124093000_full_name", scriptsOf(t, "../testdata/chinook/20261124093000_full_name"))
		tables := copyTables(g)
		empty := g.fingerprint()
		s := &shared{t: t, g: g, names: map[int]string{}}
		blue, green := s.writer("blue"), s.writer("green")

		blue.start()
		require.NoError(t, g.forward(migrate.Expand))
		green.start()
		s.more(blue, green)
		require.NoError(t, g.forward(migrate.Backfill))
		s.inStep()

		require.NoError(t, g.back(migrate.BackOptions{LastPhase: true}), "the backfill")
		green.stop()
		require.NoError(t, g.back(migrate.BackOptions{LastPhase: true}), "the expand")
		require.Equal(t, empty, g.fingerprint())
		s.more(blue)
		require.NoError(t, g.forward(migrate.Expand, migrate.Backfill))
		expanded := g.fingerprint()
		green.start()
		s.more(blue, green)

		for range 2 {
			blue.stop() // as a release does before it contracts
			require.NoError(t, g.forward(migrate.Contract))
			s.more(green)
			require.NoError(t, g.back(migrate.BackOptions{LastPhase: true}), "the contract")
			require.Equal(t, expanded, g.fingerprint())
			blue.start()
			s.more(blue, green)
			s.inStep()
		}

		green.stop()
		require.NoError(t, g.back(migrate.BackOptions{To: "0"}))
		require.Equal(t, empty, g.fingerprint())
		s.more(blue)
		blue.stop()
		require.NoError(t, g.again())
		green.start()
		s.more(green)
		require.NoError(t, g.back(migrate.BackOptions{LastPhase: true}))
		blue.start()
		s.more(blue, green)
		green.stop()
		require.NoError(t, g.back(migrate.BackOptions{To: "0"}))
		s.more(blue)
		blue.stop()
		require.Equal(t, empty, g.fingerprint())
		t.Logf("%d writes by blue, %d by green", blue.written(), green.written())
		s.compare(tables)
	})
}

// notForUs are the statements of chinook's files that make and choose a database of their own.
var notForUs = regexp.MustCompile(`(?i)^\s*(DROP DATABASE|CREATE DATABASE|USE|\\c)\b`)

func loadChinook(g *target, dir string) {
	file := map[migrate.Engine]string{migrate.Postgres: "PostgreSql.sql", migrate.SQLite: "Sqlite.sql"}[engineOf(g)]
	if file == "" {
		file = "MySql.sql"
	}
	data, err := os.ReadFile(filepath.Join(dir, file))
	require.NoError(g.t, err)
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), `\c chinook;`, "")
	statements, err := g.db.Scan(text)
	require.NoError(g.t, err)
	ctx := g.t.Context()
	conn, err := g.plain.Conn(ctx)
	require.NoError(g.t, err)
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, nil)
	require.NoError(g.t, err)
	for _, s := range statements {
		if notForUs.MatchString(migrate.TrimComments(s.Text)) {
			continue
		}
		_, err := tx.ExecContext(ctx, s.Text)
		require.NoError(g.t, err, "line %d", s.Line)
	}
	require.NoError(g.t, tx.Commit())
}

func scriptsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		files[e.Name()] = string(data)
	}
	return files
}

// names are chinook's own on each engine.
func (g *target) snake() bool { return engineOf(g) == migrate.Postgres }

func (g *target) customer() (table, id, first, last, full, email string) {
	if g.snake() {
		return "customer", "customer_id", "first_name", "last_name", "full_name", "email"
	}
	return "Customer", "CustomerId", "FirstName", "LastName", "FullName", "Email"
}

// copyTables makes a copy of every table, and returns the tables' names.
func copyTables(g *target) []string {
	g.t.Helper()
	query := "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = 'public'"
	switch engineOf(g) {
	case migrate.SQLite:
		query = "SELECT name FROM sqlite_schema WHERE type = 'table'"
	case migrate.MySQL, migrate.MariaDB:
		query = "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = DATABASE()"
	}
	tables := g.list(query)
	require.Len(g.t, tables, 11)
	rows := 0
	for _, name := range tables {
		g.exec(fmt.Sprintf("CREATE TABLE copy_%s AS SELECT * FROM %s", name, g.db.Dialect().Quote(name)))
		var n int
		require.NoError(g.t, g.plain.QueryRowContext(g.t.Context(), "SELECT count(*) FROM copy_"+name).Scan(&n))
		rows += n
	}
	require.Greater(g.t, rows, 15_000)
	return tables
}

// list is the one column of a query.
func (g *target) list(query string) []string {
	g.t.Helper()
	rows, err := g.plain.QueryContext(g.t.Context(), query)
	require.NoError(g.t, err)
	defer rows.Close()
	var list []string
	for rows.Next() {
		var s string
		require.NoError(g.t, rows.Scan(&s))
		list = append(list, s)
	}
	require.NoError(g.t, rows.Err())
	return list
}

// shared is what the writers know of the customers: the last name of each that was acknowledged.
type shared struct {
	t       *testing.T
	g       *target
	mu      sync.Mutex
	names   map[int]string // "first last" by ID
	rows    [64]sync.Mutex // a row is written by one at a time, so that there is a last name
	newest  int
	writers []*writer
}

// writer is one version of an application.
type writer struct {
	shared         *shared
	label          string
	db             *sql.DB
	insert, update string
	arguments      func(name string) []any
	cancel         context.CancelFunc
	ended          chan error
	mu             sync.Mutex
	count          int
}

func (s *shared) writer(label string) *writer {
	table, id, first, last, full, email := s.g.customer()
	p := s.g.db.Dialect().Placeholder
	w := &writer{shared: s, label: label, db: servers.Open(s.t, s.g.url)}
	s.t.Cleanup(func() { require.NoError(s.t, w.db.Close()) })
	if label == "blue" {
		w.insert = fmt.Sprintf("INSERT INTO %s (%s, %s, %s, %s) VALUES (%s, %s, %s, 'x')", table, id, first, last, email, p(1), p(2), p(3))
		w.update = fmt.Sprintf("UPDATE %s SET %s = %s, %s = %s WHERE %s = %s", table, first, p(1), last, p(2), id, p(3))
		w.arguments = func(name string) []any {
			first, last, _ := strings.Cut(name, " ")
			return []any{first, last}
		}
	} else {
		w.insert = fmt.Sprintf("INSERT INTO %s (%s, %s, %s) VALUES (%s, %s, 'x')", table, id, full, email, p(1), p(2))
		w.update = fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s = %s", table, full, p(1), id, p(2))
		w.arguments = func(name string) []any { return []any{name} }
	}
	s.writers = append(s.writers, w)
	return w
}

func (w *writer) start() {
	ctx, cancel := context.WithCancel(w.shared.t.Context())
	w.cancel, w.ended = cancel, make(chan error, 1)
	go func() { w.ended <- w.run(ctx) }()
}

// stop waits until the write under way is acknowledged, as a drained application does.
func (w *writer) stop() {
	w.shared.t.Helper()
	w.cancel()
	require.NoError(w.shared.t, <-w.ended, w.label)
	w.ended = nil
}

func (w *writer) run(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := w.write(n); err != nil {
			return err
		}
		w.mu.Lock()
		w.count++
		w.mu.Unlock()
	}
	return nil
}

func (w *writer) written() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// write inserts a customer, or gives one a new name: one of chinook's, or one that either wrote.
func (w *writer) write(n int) error {
	s := w.shared
	name := fmt.Sprintf("%s%d Written%d", w.label, w.written(), n)
	const original, first = 59, 1000
	s.mu.Lock()
	id := 1 + n%original
	fresh := n%3 == 0 && s.newest < 500
	if fresh {
		s.newest++
		id = first + s.newest
	} else if n%3 == 1 && s.newest > 0 {
		id = first + 1 + n%s.newest
	}
	s.mu.Unlock()
	row := &s.rows[id%len(s.rows)]
	row.Lock()
	defer row.Unlock()
	statement, args := w.update, append(w.arguments(name), id)
	if fresh {
		statement, args = w.insert, append([]any{id}, w.arguments(name)...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	result, err := w.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	if changed, err := result.RowsAffected(); err != nil || changed != 1 {
		// The other writer may not have inserted that one yet.
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[id] = name
	return nil
}

// more waits until each of the writers has written some more.
func (s *shared) more(writers ...*writer) {
	s.t.Helper()
	for _, w := range writers {
		from := w.written()
		require.Eventually(s.t, func() bool {
			select {
			case err := <-w.ended:
				w.ended <- err
				require.NoError(s.t, err, w.label)
				return true
			default:
				return w.written() >= from+20
			}
		}, 30*time.Second, time.Millisecond)
	}
}

// inStep wants both shapes to be equal in every row.
func (s *shared) inStep() {
	s.t.Helper()
	table, _, first, last, full, _ := s.g.customer()
	joined := first + " || ' ' || " + last
	if e := engineOf(s.g); e == migrate.MySQL || e == migrate.MariaDB {
		joined = "concat(" + first + ", ' ', " + last + ")"
	}
	require.Equal(s.t, "0", s.g.text(fmt.Sprintf("SELECT count(*) FROM %s WHERE %s IS NULL OR %s <> %s", table, full, full, joined)))
}

// compare brings the copy of the customers to what was acknowledged, and lets the database compare
// every table with its copy.
func (s *shared) compare(tables []string) {
	s.t.Helper()
	g := s.g
	table, id, first, last, _, email := g.customer()
	p := g.db.Dialect().Placeholder
	var changed int64
	for n, name := range s.names {
		a, b, _ := strings.Cut(name, " ")
		r, err := g.plain.ExecContext(s.t.Context(), fmt.Sprintf("UPDATE copy_%s SET %s = %s, %s = %s WHERE %s = %s", table, first, p(1), last, p(2), id, p(3)), a, b, n)
		require.NoError(s.t, err)
		if changed, err = r.RowsAffected(); changed == 0 {
			_, err = g.plain.ExecContext(s.t.Context(), fmt.Sprintf("INSERT INTO copy_%s (%s, %s, %s, %s) VALUES (%s, %s, %s, 'x')", table, id, first, last, email, p(1), p(2), p(3)), n, a, b)
		}
		require.NoError(s.t, err)
	}
	for _, name := range tables {
		columns := strings.Join(g.columns(name), ", ")
		now := fmt.Sprintf("SELECT %s FROM %s", columns, g.db.Dialect().Quote(name))
		then := fmt.Sprintf("SELECT %s FROM copy_%s", columns, name)
		for _, query := range []string{now + " EXCEPT " + then, then + " EXCEPT " + now} {
			require.Equal(s.t, "0", g.text("SELECT count(*) FROM ("+query+") AS d"), query)
		}
	}
}

// columns are those of a table, so that they compare byte by byte.
func (g *target) columns(table string) []string {
	switch engineOf(g) {
	case migrate.SQLite:
		return g.list("SELECT '\"' || name || '\"' FROM pragma_table_info('" + table + "')")
	case migrate.Postgres:
		return g.list("SELECT column_name FROM information_schema.columns WHERE table_name = '" + table + "' AND table_schema = 'public' ORDER BY 1")
	}
	return g.list("SELECT concat('CAST(`', column_name, '` AS BINARY)') FROM information_schema.columns WHERE table_name = '" + table + "' AND table_schema = DATABASE() ORDER BY 1")
}
