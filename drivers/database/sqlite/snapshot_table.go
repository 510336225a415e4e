package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

var _ snapshot.Shelf = (*Database)(nil)

// Names implements snapshot.Shelf.
func (d *Database) Names(context.Context) (snapshot.Names, error) {
	return snapshot.Names{Fold: true}, nil
}

// PartsOf implements snapshot.Shelf: the rows of every table are in the file.
func (d *Database) PartsOf(m *snapshot.Manifest, _ *schema.Database, _, _ string) []snapshot.Part {
	return slices.DeleteFunc(slices.Clone(m.Parts), func(p snapshot.Part) bool { return p.Name != snapshotFile })
}

// laid is a table of a copy that is attached to the live database.
type laid struct {
	t      snapshot.LaidTable
	copied Copy
	conn   *sql.Conn
}

// attached is the name of the copy in the connection.
const attached = "switchback_restoring"

// Lay implements snapshot.Shelf. The whole copy is written beside the live file, and goes afterwards.
func (d *Database) Lay(ctx context.Context, t snapshot.LaidTable) (snapshot.Laid, error) {
	dir, err := d.scratch()
	if err != nil {
		return nil, err
	}
	l := &laid{t: t, copied: Copy{dir}}
	if err := l.copied.Prepare(ctx, nil, nil); err != nil {
		return nil, errors.Join(err, l.Close(ctx))
	}
	if l.conn, err = d.db.Conn(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", d.path, err), l.Close(ctx))
	}
	return l, nil
}

// Load implements snapshot.Laid.
func (l *laid) Load(ctx context.Context, p snapshot.Part, c snapshot.Chunk, from io.Reader) error {
	return l.copied.Load(ctx, 0, p, c, from)
}

// Rows implements snapshot.Laid.
func (l *laid) Rows(ctx context.Context) (path string, columns []string, err error) {
	table, err := l.table(ctx)
	if err != nil {
		return "", nil, err
	}
	if _, err := l.conn.ExecContext(ctx, "ATTACH ? AS "+attached, l.copied.File()); err != nil {
		return "", nil, fmt.Errorf("attach the copy: %w", err)
	}
	for _, s := range []string{"PRAGMA foreign_keys = ON", "BEGIN IMMEDIATE"} {
		if _, err := l.conn.ExecContext(ctx, s); err != nil {
			return "", nil, fmt.Errorf("begin: %w", err)
		}
	}
	path = attached + "." + quote(l.t.Table)
	for _, c := range table.Columns {
		if c.Generated == "" {
			columns = append(columns, c.Name)
		}
	}
	if l.t.As == "" {
		return path, columns, nil
	}
	list := strings.Join(quoteAll(columns), ", ")
	for _, s := range []string{sqliteddl.Rewrite(table), fmt.Sprintf("INSERT INTO main.%s (%s) SELECT %s FROM %s", quote(l.t.As), list, list, path)} {
		if _, err := l.conn.ExecContext(ctx, s); err != nil {
			return "", nil, fmt.Errorf("make the table %s: %w", l.t.As, err)
		}
	}
	return "main." + quote(l.t.As), columns, nil
}

// table is the model of what is made.
func (l *laid) table(ctx context.Context) (_ *schema.Table, err error) {
	copied, err := Open(ctx, "sqlite:"+l.copied.File()+"?_pragma=query_only(1)", Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	model, err := copied.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	_, one, err := snapshot.Bare(model, "main", l.t.Table, l.t.As)
	if err != nil {
		return nil, err
	}
	table := one.Schemas[0].Tables[0]
	for _, k := range table.Constraints {
		k.Definition = strings.Replace(k.Definition, " AUTOINCREMENT", "", 1)
	}
	if schema.Value(table.Options, "virtual") != "" {
		return nil, fmt.Errorf("%s is a virtual table, which is not restored by itself\n  next: restore the snapshot into a file, --into sqlite:FILE, and take the rows from there", l.t.Table)
	}
	return table, nil
}

// Conn implements snapshot.Laid.
func (l *laid) Conn() *sql.Conn { return l.conn }

// Advance implements snapshot.Laid. SQLite does so by itself.
func (l *laid) Advance(context.Context, string, string) error { return nil }

// Commit implements snapshot.Laid.
func (l *laid) Commit(ctx context.Context) error {
	_, err := l.conn.ExecContext(ctx, "COMMIT")
	return err
}

// Close implements snapshot.Laid. The connection is not used again, and what it has not committed is not done.
func (l *laid) Close(context.Context) error {
	var err error
	if l.conn != nil {
		_ = l.conn.Raw(func(any) error { return driver.ErrBadConn })
		if err = l.conn.Close(); errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) {
			err = nil
		}
	}
	return errors.Join(err, os.RemoveAll(l.copied.dir))
}
