package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// DataCopy is the site of a snapshot whose rows go into a database that has the tables already. It is built and proven
// in a file beside, from which the rows are taken over in one transaction once it is opened.
type DataCopy struct {
	Copy
	into *Database
}

var (
	_ snapshot.Site   = DataCopy{}
	_ snapshot.Opener = DataCopy{}
)

// NewDataCopy returns a site in an empty folder, whose rows go into a database.
func NewDataCopy(dir string, into *Database) DataCopy { return DataCopy{NewCopy(dir), into} }

// Open implements snapshot.Opener. Triggers do not act on the rows, and foreign keys are looked at when all are there.
func (c DataCopy) Open(ctx context.Context) (err error) {
	tables, err := c.ordinary(ctx)
	if err != nil {
		return err
	}
	conn, err := c.into.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "ATTACH ? AS "+attached, c.File()); err != nil {
		return fmt.Errorf("attach the copy: %w", err)
	}
	after := context.WithoutCancel(ctx)
	defer func() {
		_, derr := conn.ExecContext(after, "DETACH "+attached)
		err = errors.Join(err, derr)
	}()
	for _, s := range []string{"PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE"} {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
	}
	if err := takeOver(ctx, conn, tables); err != nil {
		_, rerr := conn.ExecContext(after, "ROLLBACK")
		return errors.Join(err, rerr)
	}
	failpoint.Hit("restore: rows taken over")
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// ordinary are the tables of the copy that have rows of their own, but for ours.
func (c DataCopy) ordinary(ctx context.Context) (list []*schema.Table, err error) {
	copied, err := Open(ctx, "sqlite:"+c.File()+"?_pragma=query_only(1)", Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	model, err := copied.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range model.Schemas[0].Tables {
		if schema.Value(t.Options, "virtual") != "" {
			return nil, fmt.Errorf("%s is a virtual table, whose rows are not taken over by themselves\n  next: restore all of the snapshot, --into sqlite:FILE without --data-only", t.Name)
		}
		list = append(list, t)
	}
	return list, nil
}

// takeOver copies the rows of the attached copy, in the transaction of a connection.
func takeOver(ctx context.Context, conn *sql.Conn, tables []*schema.Table) error {
	if err := takes(ctx, conn, tables); err != nil {
		return err
	}
	triggers, err := texts(ctx, conn, "SELECT name || char(0) || sql FROM main.sqlite_schema WHERE type = 'trigger' AND name NOT LIKE 'switchback\\_%' ESCAPE '\\'")
	if err != nil {
		return err
	}
	var statements []string
	for _, t := range triggers {
		name, _, _ := strings.Cut(t, "\x00")
		statements = append(statements, "DROP TRIGGER main."+quote(name))
	}
	for _, t := range tables {
		list := strings.Join(quoteAll(stored(t)), ", ")
		statements = append(statements, fmt.Sprintf("INSERT INTO main.%s (%s) SELECT %s FROM %s.%s", quote(t.Name), list, list, attached, quote(t.Name)))
	}
	counters, err := texts(ctx, conn, "SELECT name FROM "+attached+".sqlite_schema WHERE name = 'sqlite_sequence' AND EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence')")
	if err != nil {
		return err
	}
	if len(counters) > 0 {
		theirs := "name IN (SELECT name FROM main.sqlite_schema WHERE sql LIKE '%AUTOINCREMENT%') AND name NOT LIKE 'switchback\\_%' ESCAPE '\\'"
		statements = append(statements, "DELETE FROM main.sqlite_sequence WHERE "+theirs,
			"INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM "+attached+".sqlite_sequence WHERE "+theirs)
	}
	for _, t := range triggers {
		_, text, _ := strings.Cut(t, "\x00")
		statements = append(statements, text)
	}
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%w\n  in: %s", err, s)
		}
	}
	return same(ctx, conn, tables)
}

// takes refuses a database whose tables are not those of the copy, or have rows.
func takes(ctx context.Context, conn *sql.Conn, tables []*schema.Table) error {
	var missing, full []string
	for _, t := range tables {
		there, err := texts(ctx, conn, "SELECT name FROM main.pragma_table_xinfo('"+strings.ReplaceAll(t.Name, "'", "''")+"') WHERE hidden NOT IN (2, 3)")
		if err != nil {
			return fmt.Errorf("look for the table %s: %w", t.Name, err)
		}
		if len(there) == 0 {
			missing = append(missing, "table "+t.Name)
			continue
		}
		for _, c := range stored(t) {
			if !containsFold(there, c) {
				missing = append(missing, "column "+c+" of "+t.Name)
			}
		}
		rows, err := texts(ctx, conn, "SELECT 1 FROM main."+quote(t.Name)+" LIMIT 1")
		if err != nil {
			return fmt.Errorf("look for rows in %s: %w", t.Name, err)
		}
		if len(rows) > 0 {
			full = append(full, t.Name)
		}
	}
	return snapshot.Fit(missing, full)
}

func containsFold(list []string, name string) bool {
	for _, x := range list {
		if strings.EqualFold(x, name) {
			return true
		}
	}
	return false
}

// stored are the columns of a table that are not computed.
func stored(t *schema.Table) []string {
	var list []string
	for _, c := range t.Columns {
		if c.Generated == "" {
			list = append(list, c.Name)
		}
	}
	return list
}

// same proves that the rows are those of the copy, and that foreign keys hold.
func same(ctx context.Context, conn *sql.Conn, tables []*schema.Table) error {
	var wrong []string
	for _, t := range tables {
		list := strings.Join(quoteAll(stored(t)), ", ")
		is, was := "main."+quote(t.Name), attached+"."+quote(t.Name)
		found, err := texts(ctx, conn, fmt.Sprintf("SELECT 1 FROM (SELECT * FROM (SELECT %s FROM %s EXCEPT SELECT %s FROM %s) LIMIT 1) UNION ALL SELECT 1 WHERE (SELECT count(*) FROM %s) <> (SELECT count(*) FROM %s)",
			list, was, list, is, was, is))
		if err != nil {
			return fmt.Errorf("compare the rows of %s: %w", t.Name, err)
		}
		if len(found) > 0 {
			wrong = append(wrong, "rows of table "+t.Name+" are not those that were copied")
		}
	}
	broken, err := texts(ctx, conn, `SELECT count(*) || ' rows of ' || "table" || ' point to no row of ' || parent FROM main.pragma_foreign_key_check GROUP BY "table", parent`)
	if err != nil {
		return fmt.Errorf("look at the foreign keys: %w", err)
	}
	if wrong = append(wrong, broken...); len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// texts are the rows of a query of one column.
func texts(ctx context.Context, conn *sql.Conn, query string) (list []string, err error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}
