package demo

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/migrate"
)

// shop is the application with its database.
type shop struct {
	db     *sql.DB
	writer *sql.DB
	queries
	close func()
}

// queries is how a version speaks to the database.
type queries struct {
	insert, update, get string
	returning           bool // an insert answers with the ID
	arguments           func(name string) []any
}

// connections is how many the shop opens to a server.
const connections = 16

// openShop opens the database for a version: a file of SQLite, or a URL.
func openShop(ctx context.Context, version, name string) (*shop, error) {
	if !strings.Contains(name, "://") {
		return openFile(version, name)
	}
	db, err := database.Open(ctx, name, database.Options{})
	if err != nil {
		return nil, err
	}
	q, err := queriesOf(version, db.Dialect())
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	db.DB().SetMaxOpenConns(connections)
	db.DB().SetMaxIdleConns(connections)
	return &shop{db: db.DB(), writer: db.DB(), queries: q, close: func() { _ = db.Close() }}, nil
}

// openFile opens a file of SQLite. Those who write share one connection, each in turn: SQLite lets one write at a time,
// and the others, each asking again and again, could wait for ever.
func openFile(version, file string) (*shop, error) {
	q, err := queriesOf(version, migrate.Dialect{Engine: migrate.SQLite, Placeholder: func(int) string { return "?" }})
	if err != nil {
		return nil, err
	}
	s := &shop{queries: q}
	for to, most := range map[**sql.DB]int{&s.db: 8, &s.writer: 1} {
		if *to, err = sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(20000)&_txlock=immediate"); err != nil {
			return nil, fmt.Errorf("open the shop's database %s: %w", file, err)
		}
		(*to).SetMaxOpenConns(most)
	}
	s.close = func() { _, _ = s.db.Close(), s.writer.Close() }
	return s, nil
}

// queriesOf are those of a version on an engine.
func queriesOf(version string, d migrate.Dialect) (queries, error) {
	q := queries{returning: d.Engine == migrate.Postgres}
	p := d.Placeholder
	switch version {
	case V1:
		name := "first_name || ' ' || last_name"
		if d.Engine == migrate.MySQL || d.Engine == migrate.MariaDB {
			name = "CONCAT(first_name, ' ', last_name)"
		}
		q.insert = fmt.Sprintf("INSERT INTO customers (first_name, last_name) VALUES (%s, %s)", p(1), p(2))
		q.update = fmt.Sprintf("UPDATE customers SET first_name = %s, last_name = %s WHERE id = %s", p(1), p(2), p(3))
		q.get = fmt.Sprintf("SELECT %s FROM customers WHERE id = %s", name, p(1))
		q.arguments = func(name string) []any {
			first, last, _ := strings.Cut(name, " ")
			return []any{first, last}
		}
	case V2:
		q.insert = fmt.Sprintf("INSERT INTO customers (full_name) VALUES (%s)", p(1))
		q.update = fmt.Sprintf("UPDATE customers SET full_name = %s WHERE id = %s", p(1), p(2))
		q.get = "SELECT full_name FROM customers WHERE id = " + p(1)
		q.arguments = func(name string) []any { return []any{name} }
	default:
		return q, fmt.Errorf("there is no version %q of the shop", version)
	}
	if q.returning {
		q.insert += " RETURNING id"
	}
	return q, nil
}

// add inserts a customer and returns the ID.
func (s *shop) add(ctx context.Context, name string) (id int64, err error) {
	if s.returning {
		err = s.writer.QueryRowContext(ctx, s.insert, s.arguments(name)...).Scan(&id)
		return id, err
	}
	result, err := s.writer.ExecContext(ctx, s.insert, s.arguments(name)...)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}
