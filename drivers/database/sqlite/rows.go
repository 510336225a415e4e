package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/drift/data"
	"github.com/switchbackdb/switchback/schema"
)

// rowReader implements data.Side: a read transaction that sees one state of the file. SQLite has no function
// that hashes, and each row that is hashed outside of it has to be read anyway, so it has no checksums: the
// rows of both sides are merged as they are read.
type rowReader struct{ conn *sql.Conn }

var _ data.Side = (*rowReader)(nil)

// RowReader begins a snapshot whose rows can be compared with those of another database.
func (d *Database) RowReader(ctx context.Context) (data.Side, error) {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.path, err)
	}
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return nil, errors.Join(fmt.Errorf("begin a snapshot of %s: %w", d.path, err), conn.Close())
	}
	// The transaction begins to see one state with the first thing it reads.
	var n int
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n); err != nil {
		return nil, errors.Join(fmt.Errorf("begin a snapshot of %s: %w", d.path, err), conn.Close())
	}
	return &rowReader{conn: conn}, nil
}

// Formula implements data.Side: there are no checksums.
func (r *rowReader) Formula() string { return "" }

// Close implements data.Side.
func (r *rowReader) Close() error {
	_, err := r.conn.ExecContext(context.WithoutCancel(context.Background()), "ROLLBACK")
	return errors.Join(err, r.conn.Close())
}

// Integer implements data.Side. Any column may hold values of any type, but for the one that is another
// name of the rowid.
func (r *rowReader) Integer(t *schema.Table, column string) bool {
	c := t.Column(column)
	if c == nil || !strings.EqualFold(c.Type, "integer") || strings.Contains(strings.ToUpper(t.Source), "WITHOUT") {
		return false
	}
	k := t.PrimaryKey()
	return k != nil && len(k.Columns) == 1 && k.Columns[0] == column && !strings.Contains(strings.ToUpper(k.Definition), "DESC")
}

// Estimate implements data.Side. It is only asked where there are checksums.
func (r *rowReader) Estimate(context.Context, data.Table) (int64, error) { return 0, nil }

// errNoSums is returned to callers that ask for sums although the formula is empty.
var errNoSums = errors.New("SQLite has no checksums of rows")

// Span implements data.Side.
func (r *rowReader) Span(context.Context, data.Table) (low, high int64, any bool, err error) {
	return 0, 0, false, errNoSums
}

// Sums implements data.Side.
func (r *rowReader) Sums(context.Context, data.Table, data.Part) (map[int64]data.Sum, error) {
	return nil, errNoSums
}

// Rows implements data.Side. It reads the whole table.
func (r *rowReader) Rows(ctx context.Context, t data.Table, _ data.Part) (data.Cursor, error) {
	var keys, values []string
	for _, c := range t.KeyColumns() {
		keys = append(keys, rowKey(c.Name))
	}
	for _, c := range t.Columns {
		values = append(values, "+"+quote(c.Name)) // an expression has no declared type, so the driver makes no time of it
	}
	key, order := strings.Join(keys, " || ',' || "), "1"
	if t.Integer {
		key = quote(t.KeyColumns()[0].Name)
	}
	if len(keys) == 0 {
		key = "''"
	}
	if !t.Integer && len(t.Key) > 0 {
		// Keys of old tables may be null, and then stand there more than once.
		for _, c := range t.Columns {
			order += ", " + rowKey(c.Name)
		}
	}
	rows, err := r.conn.QueryContext(ctx, fmt.Sprintf("SELECT %s AS switchback_key, %s FROM %s ORDER BY %s", key, strings.Join(append(values, "NULL"), ", "), quote(t.Name), order)) //nolint:rowserrcheck // the cursor does
	if err != nil {
		return nil, fmt.Errorf("read the rows of %s: %w", t.Name, err)
	}
	return &rowCursor{rows: rows, integer: t.Integer, width: len(t.Columns)}, nil
}

// rowKey is a value as text that is of one value only. A text may hold a zero byte, at which quote ends.
func rowKey(column string) string {
	c := quote(column)
	return "CASE typeof(" + c + ") WHEN 'text' THEN 't' || hex(" + c + ") ELSE quote(" + c + ") END"
}

// rowCursor reads rows whose values have the types they happen to have.
type rowCursor struct {
	rows    *sql.Rows
	integer bool
	width   int
	row     data.Row
	values  []any
	into    []any
}

// Next implements data.Cursor.
func (c *rowCursor) Next() (*data.Row, bool, error) {
	if !c.rows.Next() {
		return nil, false, c.rows.Err()
	}
	if c.into == nil {
		c.row.Values, c.values = make([]sql.NullString, c.width), make([]any, c.width+1)
		c.into = []any{&c.row.Key}
		if c.integer {
			c.into[0] = &c.row.Int
		}
		for i := range c.values {
			c.into = append(c.into, &c.values[i])
		}
	}
	if err := c.rows.Scan(c.into...); err != nil {
		return nil, false, fmt.Errorf("read a row: %w", err)
	}
	for i := range c.row.Values {
		c.row.Values[i] = literal(c.values[i])
	}
	return &c.row, true, nil
}

// Close implements data.Cursor.
func (c *rowCursor) Close() error { return c.rows.Close() }

// literal is a value as text: as SQL writes it, but for texts, which are quoted only where they would be
// taken for something else.
func literal(v any) sql.NullString {
	valid := func(s string) sql.NullString { return sql.NullString{String: s, Valid: true} }
	switch v := v.(type) {
	case nil:
		return sql.NullString{}
	case int64:
		return valid(strconv.FormatInt(v, 10))
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(text, ".eIN") {
			text += ".0"
		}
		return valid(text)
	case []byte:
		return valid(fmt.Sprintf("X'%X'", v))
	case string:
		if _, err := strconv.ParseFloat(v, 64); err == nil || strings.HasPrefix(v, "X'") || strings.HasPrefix(v, "'") {
			return valid("'" + strings.ReplaceAll(v, "'", "''") + "'")
		}
		return valid(v)
	}
	return valid(fmt.Sprint(v))
}
