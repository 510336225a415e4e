package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/drift/data"
	"github.com/switchbackdb/switchback/schema"
)

// rowReader implements data.Side: a read-only transaction that sees one state of the database.
type rowReader struct {
	conn    *sql.Conn
	formula string
}

var _ data.Side = (*rowReader)(nil)

// rowSettings make the text of a value the same on every server: times in UTC and as ISO writes them,
// floats so that they can be read back exactly. The search path keeps functions of the database's users
// out. With row_security off a query fails where a policy would hide rows from it. Parallel workers cost
// nothing in the planner's eyes, which else expects as many groups as rows and keeps to one process.
const rowSettings = `
SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1;
SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET search_path = pg_catalog; SET row_security = off; SET jit = off;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET statement_timeout = 0;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`

// RowReader begins a snapshot whose rows can be compared with those of another database.
func (d *Database) RowReader(ctx context.Context) (data.Side, error) {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	r := &rowReader{conn: conn}
	if _, err := simple(ctx, conn, rowSettings); err != nil {
		return nil, errors.Join(fmt.Errorf("begin a snapshot: %w", err), r.Close())
	}
	// Hashes are of bytes in the server's encoding and depend on its processor's byte order, so the
	// formula holds the one and a hash as a sample of the other.
	probe := "SELECT current_setting('server_encoding') || ' ' || hash_record_extended(ROW(1, 'x'::text), 0) || ' ' || hashtextextended('x' COLLATE \"C\", 0)"
	if err := conn.QueryRowContext(ctx, probe).Scan(&r.formula); err != nil {
		return nil, errors.Join(fmt.Errorf("begin a snapshot: %w", err), r.Close())
	}
	return r, nil
}

// Formula implements data.Side.
func (r *rowReader) Formula() string { return "postgres " + r.formula }

// Close implements data.Side. The connection has settings of its own, so it is not used again.
func (r *rowReader) Close() error {
	_ = r.conn.Raw(func(any) error { return driver.ErrBadConn })
	if err := r.conn.Close(); err != nil && !errors.Is(err, driver.ErrBadConn) && !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}

// Integer implements data.Side.
func (r *rowReader) Integer(t *schema.Table, column string) bool {
	c := t.Column(column)
	return c != nil && slices.Contains([]string{"smallint", "integer", "bigint"}, c.Type)
}

// Estimate implements data.Side, from the planner's statistics and the size of the table and its
// partitions: one that was never analysed has no statistics.
func (r *rowReader) Estimate(ctx context.Context, t data.Table) (int64, error) {
	var n int64
	err := r.conn.QueryRowContext(ctx, `
SELECT coalesce(sum(greatest(c.reltuples, pg_relation_size(c.oid) / 200)), 0)::bigint FROM pg_class c
WHERE c.relkind = 'r' AND (c.oid = $1::text::regclass OR c.oid IN (SELECT relid FROM pg_partition_tree($1::text::regclass)))`, rowTable(t)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("estimate the rows of %s: %w", t.Name, err)
	}
	return n, nil
}

// Span implements data.Side.
func (r *rowReader) Span(ctx context.Context, t data.Table) (low, high int64, any bool, err error) {
	var l, h sql.NullInt64
	key := quote(t.KeyColumns()[0].Name)
	if err := r.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT min(%s), max(%s) FROM %s", key, key, rowTable(t))).Scan(&l, &h); err != nil {
		return 0, 0, false, fmt.Errorf("read the least and greatest key of %s: %w", t.Name, err)
	}
	return l.Int64, h.Int64, l.Valid, nil
}

// Sums implements data.Side.
func (r *rowReader) Sums(ctx context.Context, t data.Table, p data.Part) (map[int64]data.Sum, error) {
	bucket := rowBucket(t, p.Bits)
	if p.Width > 0 {
		bucket = fmt.Sprintf("%s::bigint / %d", quote(t.KeyColumns()[0].Name), p.Width)
	}
	rows, err := r.conn.QueryContext(ctx, fmt.Sprintf("SELECT %s, count(*), sum(%s)::text FROM %s%s GROUP BY 1", bucket, rowHash(t), rowTable(t), t.Where(p, quote, rowBucket)))
	if err != nil {
		return nil, fmt.Errorf("add up the rows of %s: %w", t.Name, err)
	}
	defer rows.Close()
	sums := map[int64]data.Sum{}
	if err := errors.Join(data.AddSums(rows, sums), rows.Err()); err != nil {
		return nil, fmt.Errorf("add up the rows of %s: %w", t.Name, err)
	}
	return sums, nil
}

// Rows implements data.Side. Rows are ordered by the bytes of their key, as the other side orders them
// whatever its collation.
func (r *rowReader) Rows(ctx context.Context, t data.Table, p data.Part) (data.Cursor, error) {
	key := "convert_to(" + rowText(t.KeyColumns()) + ", 'UTF8')"
	if t.Integer {
		key = quote(t.KeyColumns()[0].Name)
	}
	list := []string{key + " AS switchback_key"}
	for _, c := range t.Columns {
		list = append(list, quote(c.Name)+"::text")
	}
	rows, err := r.conn.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s%s ORDER BY 1", strings.Join(list, ", "), rowTable(t), t.Where(p, quote, rowBucket))) //nolint:rowserrcheck // the cursor does
	if err != nil {
		return nil, fmt.Errorf("read the rows of %s: %w", t.Name, err)
	}
	return data.NewCursor(rows, t.Integer)
}

func rowTable(t data.Table) string { return quote(t.Schema) + "." + quote(t.Name) }

// rowBucket is the bucket of a row by the hash of its key, or of all of it.
func rowBucket(t data.Table, bits int) string {
	return fmt.Sprintf("(hashtextextended(%s COLLATE \"C\", 0) & %d)", rowText(t.KeyColumns()), int64(1)<<bits-1)
}

// rowText is the text of a row, in which null and the empty text differ.
func rowText(columns []data.Column) string {
	var list []string
	for _, c := range columns {
		list = append(list, quote(c.Name)+"::text")
	}
	return "ROW(" + strings.Join(list, ", ") + ")::text"
}

// rowHash hashes a row. The hash of a record is a sum of those of its columns, and sums of such sums stay
// the same when rows swap their values of a column; so it is hashed once more. As a numeric, because the
// server's hash of a bigint is that of its halves, folded into one.
func rowHash(t data.Table) string {
	var list []string
	for _, c := range t.Columns {
		list = append(list, hashed(c))
	}
	return "hash_numeric_extended(hash_record_extended(ROW(" + strings.Join(list, ", ") + "), 0)::numeric, 0)"
}

// exact are the types for which values are the same by their hash when, and only when, their texts are.
// Hashing them as they are saves writing them as text, which is most of the cost. Others are not exact:
// an interval of a day is equal to one of 24 hours, a numeric 1.0 to 1.00, an enum has another number in
// another database.
var exact = regexp.MustCompile(`^(smallint|integer|boolean|uuid|date|bytea|numeric\(\d+,\d+\))$`)

// binary are the types that are hashed as the bytes that the server sends, and the function that makes them.
// Those of 64 bits are folded when they are hashed as they are: 1 is then the same as 2³², -1 as 2³²-1.
var binary = []struct {
	types    *regexp.Regexp
	function string
}{
	{regexp.MustCompile(`^bigint$`), "int8send"},
	{regexp.MustCompile(`^double precision$`), "float8send"},
	{regexp.MustCompile(`^real$`), "float4send"},
	{regexp.MustCompile(`^timestamp(\(\d\))? with time zone$`), "timestamptz_send"},
	{regexp.MustCompile(`^timestamp(\(\d\))? without time zone$`), "timestamp_send"},
	{regexp.MustCompile(`^time(\(\d\))? without time zone$`), "time_send"},
}

func hashed(c data.Column) string {
	column := quote(c.Name)
	if c.Alike && exact.MatchString(c.Type) {
		return column
	}
	for _, b := range binary {
		if c.Alike && b.types.MatchString(c.Type) {
			return b.function + "(" + column + ")"
		}
	}
	return column + "::text COLLATE \"C\""
}
