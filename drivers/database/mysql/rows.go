package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/drift/data"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// rowReader implements data.Side: a read-only transaction that sees one state of the database, as far as
// its tables are InnoDB's.
type rowReader struct {
	conn   *sql.Conn
	engine migrate.Engine
}

var _ data.Side = (*rowReader)(nil)

// rowSettings make the text of a value the same on every server. The comparison of a large table may take
// longer than the server lets a query run.
func (d *Database) rowSettings() []string {
	limit := "SET SESSION max_execution_time = 0"
	if d.engine == migrate.MariaDB {
		limit = "SET SESSION max_statement_time = 0"
	}
	return []string{
		"SET NAMES utf8mb4", "SET SESSION time_zone = '+00:00'", "SET SESSION sql_mode = ''", limit,
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
	}
}

// RowReader begins a snapshot whose rows can be compared with those of another database.
func (d *Database) RowReader(ctx context.Context) (data.Side, error) {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	r := &rowReader{conn: conn, engine: d.engine}
	for _, s := range d.rowSettings() {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return nil, errors.Join(fmt.Errorf("begin a snapshot (%s): %w", s, err), r.Close())
		}
	}
	return r, nil
}

// Formula implements data.Side.
func (r *rowReader) Formula() string { return string(r.engine) }

// Close implements data.Side. The connection has settings of its own, so it is not used again.
func (r *rowReader) Close() error {
	_ = r.conn.Raw(func(any) error { return driver.ErrBadConn })
	if err := r.conn.Close(); err != nil && !errors.Is(err, driver.ErrBadConn) && !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}

// wholeNumber are the types of whole numbers that fit in 64 bits with sign.
var wholeNumber = regexp.MustCompile(`^(tinyint|smallint|mediumint|int)\b|^bigint(\(\d+\))?$`)

// Integer implements data.Side.
func (r *rowReader) Integer(t *schema.Table, column string) bool {
	c := t.Column(column)
	return c != nil && wholeNumber.MatchString(c.Type)
}

// Estimate implements data.Side, from the engine's statistics and, where they lag behind, the size.
func (r *rowReader) Estimate(ctx context.Context, t data.Table) (int64, error) {
	var n int64
	err := r.conn.QueryRowContext(ctx, "SELECT coalesce(greatest(table_rows, data_length DIV 400), 0) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", t.Name).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("estimate the rows of %s: %w", t.Name, err)
	}
	return n, nil
}

// Span implements data.Side.
func (r *rowReader) Span(ctx context.Context, t data.Table) (low, high int64, any bool, err error) {
	var l, h sql.NullInt64
	key := quote(t.KeyColumns()[0].Name)
	if err := r.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT min(%s), max(%s) FROM %s", key, key, quote(t.Name))).Scan(&l, &h); err != nil {
		return 0, 0, false, fmt.Errorf("read the least and greatest key of %s: %w", t.Name, err)
	}
	return l.Int64, h.Int64, l.Valid, nil
}

// rangesAtOnce is how many ranges one statement adds up.
const rangesAtOnce = 32

// Sums implements data.Side. The servers group by an expression in a temporary table, which costs a sixth
// of the whole; ranges of a key that is indexed are added up one after the other instead, so that all in all
// the table is still read once, from its beginning to its end.
func (r *rowReader) Sums(ctx context.Context, t data.Table, p data.Part) (map[int64]data.Sum, error) {
	sums := map[int64]data.Sum{}
	if p.Width == 0 {
		return sums, r.sum(ctx, t, fmt.Sprintf("SELECT %s AS bucket, count(*), %s FROM %s%s GROUP BY bucket", rowBucket(t, p.Bits), r.check(t), quote(t.Name), rowWhere(t, p)), sums)
	}
	var list []string
	last := p.High / p.Width
	for b := p.Low / p.Width; ; b++ {
		within := data.Part{Bounded: true}
		within.Low, within.High = data.Edges(b, p.Width, p.Low, p.High)
		list = append(list, fmt.Sprintf("SELECT %d, count(*), %s FROM %s%s HAVING count(*) > 0", b, r.check(t), quote(t.Name), rowWhere(t, within)))
		if len(list) < rangesAtOnce && b < last {
			continue
		}
		if err := r.sum(ctx, t, strings.Join(list, " UNION ALL "), sums); err != nil {
			return nil, err
		}
		if list = list[:0]; b == last {
			return sums, nil
		}
	}
}

// sum runs a query that returns buckets with their sums.
func (r *rowReader) sum(ctx context.Context, t data.Table, query string, sums map[int64]data.Sum) error {
	rows, err := r.conn.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("add up the rows of %s: %w", t.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var b int64
		var s data.Sum
		if err := rows.Scan(&b, &s.Rows, &s.Check); err != nil {
			return fmt.Errorf("add up the rows of %s: %w", t.Name, err)
		}
		sums[b] = s
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("add up the rows of %s: %w", t.Name, err)
	}
	return nil
}

// check is a checksum of rows. CRC32 would be cheaper, but it is linear: two rows that swap their values of
// a column leave sums of it as they are. MySQL folds whole digests with BIT_XOR, MariaDB numbers only. Rows
// that are there twice fold to nothing, so where there is no key they are added up.
func (r *rowReader) check(t data.Table) string {
	row := rowText(t.Columns)
	switch {
	case len(t.Key) == 0:
		return "CAST(SUM(CAST(CONV(LEFT(SHA2(" + row + ", 224), 16), 16, 10) AS UNSIGNED)) AS CHAR)"
	case r.engine == migrate.MySQL: // MD5 and SHA1 are gone from MySQL 9
		return "HEX(BIT_XOR(UNHEX(SHA2(" + row + ", 224))))"
	}
	return "CAST(BIT_XOR(CAST(CONV(LEFT(MD5(" + row + "), 16), 16, 10) AS UNSIGNED)) AS CHAR)"
}

// Rows implements data.Side. The server orders by no more than the first bytes of a long text
// (max_sort_length), so rows are ordered by the digest of their key.
func (r *rowReader) Rows(ctx context.Context, t data.Table, p data.Part) (data.Cursor, error) {
	key := "SHA2(" + rowText(t.KeyColumns()) + ", 224)"
	if t.Integer {
		key = quote(t.KeyColumns()[0].Name)
	}
	list := []string{key + " AS switchback_key"}
	for _, c := range t.Columns {
		value, _ := rowValue(c)
		list = append(list, value)
	}
	rows, err := r.conn.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s%s ORDER BY switchback_key", strings.Join(list, ", "), quote(t.Name), rowWhere(t, p))) //nolint:rowserrcheck // the cursor does
	if err != nil {
		return nil, fmt.Errorf("read the rows of %s: %w", t.Name, err)
	}
	return data.NewCursor(rows, t.Integer)
}

// rowWhere chooses the rows of a part.
func rowWhere(t data.Table, p data.Part) string {
	switch {
	case p.Bounded:
		return fmt.Sprintf(" WHERE %s BETWEEN %d AND %d", quote(t.KeyColumns()[0].Name), p.Low, p.High)
	case p.Buckets != nil:
		var list []string
		for _, b := range p.Buckets {
			list = append(list, strconv.FormatInt(b, 10))
		}
		return fmt.Sprintf(" WHERE %s IN (%s)", rowBucket(t, p.Bits), strings.Join(list, ", "))
	}
	return ""
}

// rowBucket is the bucket of a row by the hash of its key, or of all of it. It need be even, no more.
func rowBucket(t data.Table, bits int) string {
	return fmt.Sprintf("(CRC32(%s) & %d)", rowText(t.KeyColumns()), int64(1)<<bits-1)
}

// rowText is the text of a row. No value runs into the next: texts are quoted, all others have no comma,
// and a null is a word that no value is.
func rowText(columns []data.Column) string {
	var list []string
	for _, c := range columns {
		value, kind := rowValue(c)
		switch kind {
		case textValue:
			list = append(list, "QUOTE("+value+")")
		case longValue: // what does not fit in a packet would make the whole row null
			list = append(list, "IFNULL(SHA2("+value+", 224), 'null')")
		default:
			list = append(list, "IFNULL("+value+", 'null')")
		}
	}
	return "CONCAT_WS(',', " + strings.Join(list, ", ") + ")"
}

// kindOfValue says what the text of a value may hold.
type kindOfValue int

const (
	plainValue kindOfValue = iota // a number, a time or hexadecimal digits
	textValue
	longValue
)

// rowValue is a value as text. A float is written with six digits unless it is made a double.
func rowValue(c data.Column) (string, kindOfValue) {
	column, word := quote(c.Name), typeWord.FindString(strings.ToLower(c.Type))
	switch {
	case word == "float":
		return "CAST(" + column + " AS DOUBLE)", plainValue
	case slices.Contains([]string{"mediumtext", "longtext", "json"}, word):
		return "CONVERT(" + column + " USING utf8mb4)", longValue
	case slices.Contains([]string{"mediumblob", "longblob"}, word):
		return "HEX(" + column + ")", longValue
	case slices.Contains([]string{"char", "varchar", "tinytext", "text", "enum", "set", "uuid", "inet4", "inet6"}, word):
		return "CONVERT(" + column + " USING utf8mb4)", textValue
	case plainType.MatchString(word):
		return column, plainValue
	}
	return "HEX(" + column + ")", plainValue // binary, blob, bit, geometry, vector
}

var (
	typeWord  = regexp.MustCompile(`^[a-z0-9]+`)
	plainType = regexp.MustCompile(`^(tinyint|smallint|mediumint|int|bigint|decimal|double|date|datetime|timestamp|time|year)$`)
)
