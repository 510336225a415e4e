package mysql

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
		return sums, r.sum(ctx, t, fmt.Sprintf("SELECT %s AS bucket, count(*), %s FROM %s%s GROUP BY bucket", rowBucket(t, p.Bits), r.check(t), quote(t.Name), t.Where(p, quote, rowBucket)), sums)
	}
	var list []string
	last := p.High / p.Width
	for b := p.Low / p.Width; ; b++ {
		within := data.Part{Bounded: true}
		within.Low, within.High = data.Edges(b, p.Width, p.Low, p.High)
		list = append(list, fmt.Sprintf("SELECT %d, count(*), %s FROM %s%s HAVING count(*) > 0", b, r.check(t), quote(t.Name), t.Where(within, quote, rowBucket)))
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
	if err := errors.Join(data.AddSums(rows, sums), rows.Err()); err != nil {
		return fmt.Errorf("add up the rows of %s: %w", t.Name, err)
	}
	return nil
}

// check is a checksum of rows. A sum of anything linear, as CRC32 is, would not do: two rows that swap their
// values of a column leave it as it is. MySQL folds whole digests with BIT_XOR, MariaDB numbers only; there a
// number made of a digest costs as much as reading the row, so it is the product of two checksums of the row,
// whose text is made once. Were the factors worked out the other way round, sums would differ for nothing,
// and no difference would be missed. Rows that are there twice fold to nothing, so where there is no key they
// are added up.
func (r *rowReader) check(t data.Table) string {
	row := rowText(t.Columns)
	switch {
	case len(t.Key) == 0:
		return "CAST(SUM(CAST(CONV(LEFT(SHA2(" + row + ", 224), 16), 16, 10) AS UNSIGNED)) AS CHAR)"
	case r.engine == migrate.MySQL: // MD5 and SHA1 are gone from MySQL 9
		return "HEX(BIT_XOR(UNHEX(SHA2(" + row + ", 224))))"
	}
	return "CAST(BIT_XOR(CRC32(@switchback_row := " + row + ") * CRC32C(@switchback_row)) AS CHAR)"
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
		list = append(list, rowValue(c))
	}
	rows, err := r.conn.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s%s ORDER BY switchback_key", strings.Join(list, ", "), quote(t.Name), t.Where(p, quote, rowBucket))) //nolint:rowserrcheck // the cursor does
	if err != nil {
		return nil, fmt.Errorf("read the rows of %s: %w", t.Name, err)
	}
	return data.NewCursor(rows, t.Integer)
}

// rowBucket is the bucket of a row by the hash of its key, or of all of it. It need be even, no more.
func rowBucket(t data.Table, bits int) string {
	return fmt.Sprintf("(CRC32(%s) & %d)", rowText(t.KeyColumns()), int64(1)<<bits-1)
}

// rowText is the text of a row as bytes, from which its values can be told: which are null, how long the
// texts are, the values that have no comma, and the texts. The last text needs no length, for it goes to
// the end. The separator is binary, and explicitly so, or it would give way to the columns: the server joins
// the bytes it has and converts nothing, which costs more than all the rest, as quoting texts does, or
// putting a word for a null.
func rowText(columns []data.Column) string {
	var nulls, lengths, plain, texts []string
	for _, c := range columns {
		if c.Nullable {
			nulls = append(nulls, quote(c.Name)+" IS NULL")
		}
		value, text := rowPart(c)
		if !text {
			plain = append(plain, value)
			continue
		}
		if len(texts) > 0 {
			lengths = append(lengths, "LENGTH("+texts[len(texts)-1]+")")
		}
		texts = append(texts, value)
	}
	list := append(append(append(rowFlags(nulls), lengths...), plain...), texts...)
	if len(list) == 0 {
		return "''"
	}
	return "CONCAT_WS(_binary',' COLLATE `binary`, " + strings.Join(list, ", ") + ")"
}

// flagsAtOnce is how many conditions make a number, which is cheaper than as many numbers.
const flagsAtOnce = 60

// rowFlags are conditions as bits of numbers.
func rowFlags(conditions []string) []string {
	var numbers []string
	for some := range slices.Chunk(conditions, flagsAtOnce) {
		for i := range some {
			some[i] = fmt.Sprintf("(%s) << %d", some[i], i)
		}
		numbers = append(numbers, strings.Join(some, " | "))
	}
	return numbers
}

// rowPart is what the text of a row has of a value, and whether there may be a comma in it. Values of
// columns that are not alike are made comparable, which is slow, and then hashed. So are values so long that
// a row of them may not fit in a packet: its text would be null.
func rowPart(c data.Column) (value string, text bool) {
	column, word := quote(c.Name), typeWord.FindString(strings.ToLower(c.Type))
	switch {
	case !c.Alike, c.Recoded && encoded(word):
		return "SHA2(CONVERT(" + rowValue(c) + " USING utf8mb4), 224)", false
	case slices.Contains([]string{"mediumtext", "longtext", "json", "mediumblob", "longblob"}, word):
		return "SHA2(" + column + ", 224)", false
	case slices.Contains([]string{"char", "varchar", "tinytext", "text", "enum", "set", "binary", "varbinary", "tinyblob", "blob"}, word):
		return column, true
	}
	return rowValue(c), false
}

// encoded tells whether a type has a character set.
func encoded(word string) bool {
	return slices.Contains([]string{"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"}, word)
}

// rowValue is a value as text. A float is written with six digits unless it is made a double.
func rowValue(c data.Column) string {
	column, word := quote(c.Name), typeWord.FindString(strings.ToLower(c.Type))
	switch {
	case word == "float":
		return "CAST(" + column + " AS DOUBLE)"
	case encoded(word), slices.Contains([]string{"json", "uuid", "inet4", "inet6"}, word):
		return "CONVERT(" + column + " USING utf8mb4)"
	case plainType.MatchString(word):
		return column
	}
	return "HEX(" + column + ")" // binary, blob, bit, geometry, vector
}

var (
	typeWord  = regexp.MustCompile(`^[a-z0-9]+`)
	plainType = regexp.MustCompile(`^(tinyint|smallint|mediumint|int|bigint|decimal|double|date|datetime|timestamp|time|year)$`)
)
