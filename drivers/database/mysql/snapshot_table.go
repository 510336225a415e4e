package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

var _ snapshot.Shelf = (*Database)(nil)

// Names implements snapshot.Shelf.
func (d *Database) Names(ctx context.Context) (snapshot.Names, error) {
	var how int
	if err := d.db.QueryRowContext(ctx, "SELECT @@lower_case_table_names").Scan(&how); err != nil {
		return snapshot.Names{}, fmt.Errorf("ask how names are compared: %w", err)
	}
	return snapshot.Names{Fold: how != 0, Chars: nameLength}, nil
}

// nameLength is how long a name may be, in characters.
const nameLength = 64

// PartsOf implements snapshot.Shelf.
func (d *Database) PartsOf(m *snapshot.Manifest, _ *schema.Database, _, table string) []snapshot.Part {
	var list []snapshot.Part
	for _, p := range m.Parts {
		if p.Kind == snapshot.RowsPart && p.Table == table {
			list = append(list, p)
		}
	}
	return list
}

// laid is a table of a snapshot under a name of ours, until all of it is there; or a temporary one.
type laid struct {
	t      snapshot.LaidTable
	site   *site
	conn   *sql.Conn
	rows   *rowsOf
	begun  bool // a transaction is open
	remove bool // the table under the name of ours has to go
}

// restoring begins the names of tables that are being laid.
const restoring = "switchback_restoring"

// tied are the options that a copy does not have: those of its place, its past and its rules, and its counter.
var tied = []string{"partitions", "system versioning", "period", "check", "auto_increment"}

// Lay implements snapshot.Shelf. A statement that makes a table cannot be taken back, so a new table has a name
// of ours until it is whole. One that a killed restore has left behind is dropped.
func (d *Database) Lay(ctx context.Context, t snapshot.LaidTable) (_ snapshot.Laid, err error) {
	l := &laid{t: t, site: d.site()}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close(context.WithoutCancel(ctx)))
		}
	}()
	name, options := restoring, append([]string{"options"}, tied...)
	if t.As != "" {
		sum := sha256.Sum256([]byte(t.As))
		name, options = restoring+"_"+hex.EncodeToString(sum[:8]), tied
	}
	empty, one, err := snapshot.Bare(t.Model, "main", t.Table, name, options...)
	if err != nil {
		return nil, err
	}
	table := one.Schemas[0].Tables[0]
	if newRowsOf(t.Model.Schemas[0].Table(t.Table), d.engine).history {
		return nil, fmt.Errorf("%s keeps the past of its rows, which is not restored by itself\n  next: restore the snapshot into an empty database, --into URL, and take the rows from there", t.Table)
	}
	script, err := scriptTo(empty, one)
	if err != nil {
		return nil, err
	}
	if l.conn, err = l.site.build.Conn(ctx); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if t.As == "" {
		for i := range script.Statements {
			script.Statements[i].SQL = strings.Replace(script.Statements[i].SQL, "CREATE TABLE ", "CREATE TEMPORARY TABLE ", 1)
		}
	} else if err := ddlOn(ctx, l.conn, "DROP TABLE IF EXISTS "+quote(name)); err != nil {
		return nil, fmt.Errorf("drop what a killed restore has left: %w", err)
	}
	l.remove = t.As != ""
	l.rows = newRowsOf(table, d.engine)
	for _, s := range script.Statements {
		if !strings.HasPrefix(s.SQL, "CREATE ") && !strings.HasPrefix(s.SQL, "ALTER ") {
			continue // it sets up the session
		}
		if err := ddlOn(ctx, l.conn, s.SQL); err != nil {
			return nil, fmt.Errorf("make the table %s: %w", name, explained(err))
		}
	}
	return l, nil
}

// Load implements snapshot.Laid.
func (l *laid) Load(ctx context.Context, p snapshot.Part, c snapshot.Chunk, from io.Reader) (err error) {
	rows, err := l.rows.only(p.Columns)
	if err != nil {
		return err
	}
	tx, err := l.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	n, err := l.site.rowsInto(ctx, tx, rows, from)
	if err == nil && n != c.Rows {
		err = fmt.Errorf("the table took %d of %d rows", n, c.Rows)
	}
	if err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// Rows implements snapshot.Laid. What is done to live tables is checked as the server does by default: the settings
// that take everything end here.
func (l *laid) Rows(ctx context.Context) (path string, columns []string, err error) {
	own := []string{
		"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'",
		"SET SESSION foreign_key_checks = 1", "SET SESSION time_zone = @@GLOBAL.time_zone",
		fmt.Sprintf("SET SESSION innodb_lock_wait_timeout = %d", max(1, int(l.t.LockTimeout.Seconds()))),
	}
	if l.site.db.engine == "mariadb" {
		own = append(own, "SET SESSION check_constraint_checks = 1")
	}
	for _, s := range append(own, "START TRANSACTION") {
		if _, err := l.conn.ExecContext(ctx, s); err != nil {
			return "", nil, fmt.Errorf("begin: %w", err)
		}
	}
	l.begun = true
	for _, c := range l.rows.columns {
		columns = append(columns, c.name)
	}
	return quote(l.name()), columns, nil
}

// Conn implements snapshot.Laid.
func (l *laid) Conn() *sql.Conn { return l.conn }

// fromSequence finds the sequence that a default takes numbers from.
var fromSequence = regexp.MustCompile("(?i)\\bnextval\\(((?:`(?:[^`]|``)+`\\.)?`(?:[^`]|``)+`)\\)")

// Advance implements snapshot.Laid. InnoDB moves AUTO_INCREMENT by itself; a sequence of MariaDB from which a default
// takes its numbers is moved here, and never goes back.
func (l *laid) Advance(ctx context.Context, _, table string) error {
	if l.site.db.engine != migrate.MariaDB {
		return nil
	}
	columns := map[string]string{}
	err := show(ctx, l.conn, []string{"SELECT column_name, column_default FROM information_schema.columns WHERE table_schema = DATABASE() AND column_default LIKE '%nextval(%' AND table_name = '" + strings.ReplaceAll(table, "'", "''") + "'"},
		func(_ int, r []string) {
			if m := fromSequence.FindStringSubmatch(r[1]); m != nil {
				columns[r[0]] = m[1]
			}
		})
	if err != nil {
		return fmt.Errorf("list the sequences of %s: %w", table, err)
	}
	for column, sequence := range columns {
		var reached sql.NullString
		if err := l.conn.QueryRowContext(ctx, "SELECT IF((SELECT increment FROM "+sequence+") < 0, min("+quote(column)+"), max("+quote(column)+")) FROM "+quote(table)).Scan(&reached); err != nil {
			return fmt.Errorf("read how far %s of %s has come: %w", column, table, err)
		}
		if !reached.Valid {
			continue
		}
		if _, err := l.conn.ExecContext(ctx, "DO SETVAL("+sequence+", "+reached.String+")"); err != nil {
			return fmt.Errorf("move the sequence %s on: %w", sequence, err)
		}
	}
	return nil
}

// Commit implements snapshot.Laid. A new table gets its name only now.
func (l *laid) Commit(ctx context.Context) error {
	if l.t.As == "" {
		_, err := l.conn.ExecContext(ctx, "COMMIT")
		return err
	}
	if err := ddlOn(ctx, l.conn, "RENAME TABLE "+quote(l.name())+" TO "+quote(l.t.As)); err != nil {
		return err
	}
	l.remove = false
	return nil
}

// name is under which name the rows are until they are committed.
func (l *laid) name() string { return l.rows.table.Name }

// Close implements snapshot.Laid.
func (l *laid) Close(ctx context.Context) error {
	if l.conn == nil {
		return nil
	}
	if l.begun {
		_, _ = l.conn.ExecContext(ctx, "ROLLBACK")
	}
	var err error
	if l.remove && l.rows != nil {
		err = ddlOn(ctx, l.conn, "DROP TABLE IF EXISTS "+quote(l.name()))
	}
	discard(l.conn)
	return err
}
