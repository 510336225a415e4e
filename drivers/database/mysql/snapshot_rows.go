package mysql

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// rowsOf is how the rows of a table are read and loaded: as LOAD DATA's text, values with tabs between, rows
// with newlines, the backslash before both, before itself and for NULL (\N) and the zero byte. Texts, BLOBs, bits and
// geometry are their bytes as they are stored.
type rowsOf struct {
	table   *schema.Table
	columns []rowColumn
	history bool // of a table that keeps the past of its rows, which is read and loaded too
}

// rowColumn is a column that is copied.
type rowColumn struct {
	name   string
	read   string // the expression that is selected
	loaded string // the expression of a variable (%s) that holds what was read, or "" for the value as it is
}

// newRowsOf plans the copy of a table.
func newRowsOf(t *schema.Table, engine migrate.Engine) *rowsOf {
	r := &rowsOf{table: t, history: schema.Value(t.Options, "system versioning") != ""}
	add := func(name string) { r.columns = append(r.columns, rowColumn{name: name, read: quote(name)}) }
	for _, c := range t.Columns {
		if c.Generated != "" && !strings.HasPrefix(c.Generated, "ROW ") {
			continue
		}
		if strings.HasPrefix(c.Generated, "ROW ") && strings.HasPrefix(c.Type, "bigint") {
			r.history = false // by numbers of transactions, which mean nothing elsewhere
		}
		add(c.Name)
		last := &r.columns[len(r.columns)-1]
		last.read, last.loaded = rowExpressions(c, engine)
	}
	explicit := schema.Value(t.Options, "period") != "" && strings.HasPrefix(schema.Value(t.Options, "period"), "SYSTEM_TIME")
	if r.history && !explicit {
		add("row_start")
		add("row_end")
	}
	for i := range r.columns {
		if c := t.Column(r.columns[i].name); c == nil && r.columns[i].name == "row_end" || c != nil && strings.HasPrefix(c.Generated, "ROW END") {
			r.columns[i].read, r.columns[i].loaded = openEnd(r.columns[i].read)
		}
	}
	if !r.history { // the past is left out, and so is when rows began
		r.columns = deleteGenerated(r.columns, t)
	}
	return r
}

func deleteGenerated(list []rowColumn, t *schema.Table) []rowColumn {
	var kept []rowColumn
	for _, c := range list {
		if x := t.Column(c.name); x == nil || x.Generated == "" {
			kept = append(kept, c)
		}
	}
	return kept
}

// rowExpressions are how a value is read and loaded. A float is written with six digits unless it is made a double; a
// year that is read as a number would be two digits when it is 0; and some types take bytes without a character set for
// something else than text.
func rowExpressions(c *schema.Column, engine migrate.Engine) (read, loaded string) {
	column := quote(c.Name)
	switch word := typeWord.FindString(strings.ToLower(c.Type)); {
	case word == "float":
		return "CAST(" + column + " AS DOUBLE)", ""
	case word == "year":
		return "CAST(" + column + " AS CHAR)", ""
	case word == "json" && engine == migrate.MySQL:
		return column, "CONVERT(%s USING utf8mb4)"
	case word == "uuid", word == "inet4", word == "inet6":
		return column, "CONVERT(%s USING latin1)"
	}
	return column, ""
}

// openEnd are how the end of a row's time is read and loaded. A row that is valid now ends at the last moment that a
// server knows, which is 2038 before MariaDB 11.5 and 2106 since: another server would take it for one of the past.
func openEnd(column string) (read, loaded string) {
	const last = "'2038-01-19 03:14:07.999999'"
	return "IF(" + column + " >= " + last + ", " + last + ", " + column + ")", "IF(%[1]s >= " + last + ", COALESCE(FROM_UNIXTIME(4294967295.999999), " + last + "), %[1]s)"
}

func (r *rowsOf) part() snapshot.Part {
	p := snapshot.Part{Name: r.table.Name, Kind: snapshot.RowsPart, Table: r.table.Name}
	for _, c := range r.columns {
		p.Columns = append(p.Columns, c.name)
	}
	return p
}

// query reads the rows of a piece.
func (r *rowsOf) query(piece string) string {
	var list []string
	for _, c := range r.columns {
		list = append(list, c.read)
	}
	if len(list) == 0 {
		list = []string{"1"}
	}
	q := "SELECT " + strings.Join(list, ", ") + " FROM " + quote(r.table.Name)
	switch partition, ok := strings.CutPrefix(piece, partitionPiece); {
	case ok:
		q += " PARTITION (" + quote(partition) + ")"
	case r.history:
		q += " FOR SYSTEM_TIME ALL"
	}
	if piece != "" && !strings.HasPrefix(piece, partitionPiece) {
		q += " WHERE " + piece
	}
	return q
}

// Read implements snapshot.Point.
func (p *point) Read(ctx context.Context, worker int, piece snapshot.Piece, to io.Writer) error {
	query := p.tables[piece.Part].query(piece.Range)
	err := p.workers[worker].Raw(func(conn any) error { return readRows(ctx, conn.(driver.QueryerContext), p.wires[worker], query, to) })
	if isError(err, 1412, 1146, 1054) {
		return fmt.Errorf("the table was altered or dropped during the copy, so it can't be read as it was: %w\n  next: the same command again, when nothing alters the database", err)
	}
	if err != nil {
		return err
	}
	return letGo(ctx, p.workers[worker])
}

// readRows writes the rows of a query: from below the driver, where packets go over the connection as they are.
func readRows(ctx context.Context, conn driver.QueryerContext, below *wire, query string, to io.Writer) error {
	if !below.plain {
		rows, err := conn.QueryContext(ctx, query, nil)
		if err != nil {
			return err
		}
		return errors.Join(writeRows(rows, to), rows.Close())
	}
	below.frame(true)
	defer below.frame(false)
	rows, err := conn.QueryContext(ctx, query, nil)
	if err != nil {
		return err
	}
	if err := takeRows(rows, below, to); err != nil {
		// The driver does not know which packets it has not seen: this connection is no more use.
		_, _ = below.Close(), rows.Close()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return rows.Close()
}

// flushAt is how many bytes of rows are written at once.
const flushAt = 256 << 10

// takeRows writes rows that are taken from below the driver, which is left what comes behind them.
func takeRows(rows driver.Rows, below *wire, to io.Writer) error {
	out := lines{to: to, buf: make([]byte, 0, 2*flushAt), forms: formsOf(rows)}
	if err := below.rows(out.add); err != nil {
		return fmt.Errorf("read the rows: %w", err)
	}
	if err := rows.Next(make([]driver.Value, len(out.forms))); !errors.Is(err, io.EOF) {
		return cmp.Or(err, errors.New("read the rows: there are rows behind the last one"))
	}
	return out.flush()
}

// form is how a value is written that the server sent as text.
type form int

const (
	textForm   form = iota // with the backslash before what needs it
	wholeForm              // a whole number, without the zeros that ZEROFILL puts before it
	doubleForm             // a number as Go writes it
	floatForm
)

// formsOf tells how the values of a result are written.
func formsOf(rows driver.Rows) []form {
	forms := make([]form, len(rows.Columns()))
	types := rows.(driver.RowsColumnTypeDatabaseTypeName)
	for i := range forms {
		switch word := types.ColumnTypeDatabaseTypeName(i); {
		case word == "DOUBLE":
			forms[i] = doubleForm
		case word == "FLOAT":
			forms[i] = floatForm
		case strings.HasSuffix(word, "INT"), word == "YEAR":
			forms[i] = wholeForm
		}
	}
	return forms
}

// lines writes rows as lines.
type lines struct {
	to    io.Writer
	buf   []byte
	forms []form
}

// errTorn is the error of a row whose values are longer than itself.
var errTorn = errors.New("the server sent a row that is no row")

// add adds a row as the server sends it: of each value the length, and the value.
func (l *lines) add(row []byte) error {
	buf := l.buf
	for i, f := range l.forms {
		if i > 0 {
			buf = append(buf, '\t')
		}
		if len(row) == 0 {
			return errTorn
		}
		if row[0] == nullValue {
			buf, row = append(buf, '\\', 'N'), row[1:]
			continue
		}
		n, head := valueLength(row)
		if head == 0 || n > uint64(len(row)-head) {
			return errTorn
		}
		var err error
		if buf, err = f.append(buf, row[head:head+int(n)]); err != nil {
			return err
		}
		row = row[head+int(n):]
	}
	l.buf = append(buf, '\n')
	if len(l.buf) < flushAt {
		return nil
	}
	return l.flush()
}

func (l *lines) flush() error {
	_, err := l.to.Write(l.buf)
	l.buf = l.buf[:0]
	return err
}

// valueLength reads the length of a value, and how many bytes that takes: none when it is cut off.
func valueLength(row []byte) (n uint64, head int) {
	switch first := row[0]; {
	case first < nullValue:
		return uint64(first), 1
	case first == 0xfc && len(row) >= 3:
		return uint64(binary.LittleEndian.Uint16(row[1:])), 3
	case first == 0xfd && len(row) >= 4:
		return uint64(row[1]) | uint64(row[2])<<8 | uint64(row[3])<<16, 4
	case first == 0xfe && len(row) >= 9:
		return binary.LittleEndian.Uint64(row[1:]), 9
	}
	return 0, 0
}

func (f form) append(buf, v []byte) ([]byte, error) {
	switch f {
	case wholeForm:
		for len(v) > 1 && v[0] == '0' {
			v = v[1:]
		}
		return append(buf, v...), nil
	case doubleForm, floatForm:
		size := 64
		if f == floatForm {
			size = 32
		}
		number, err := strconv.ParseFloat(string(v), size)
		return strconv.AppendFloat(buf, number, 'g', -1, size), err
	}
	return appendEscaped(buf, v), nil
}

// writeRows writes rows that the driver has made values of.
func writeRows(rows driver.Rows, to io.Writer) error {
	values := make([]driver.Value, len(rows.Columns()))
	buf := make([]byte, 0, 2*flushAt)
	for {
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			_, err = to.Write(buf)
			return err
		}
		if err != nil {
			return err
		}
		for i, v := range values {
			if i > 0 {
				buf = append(buf, '\t')
			}
			if buf, err = appendValue(buf, v); err != nil {
				return err
			}
		}
		buf = append(buf, '\n')
		if len(buf) >= flushAt {
			if _, err := to.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
}

func appendValue(buf []byte, v driver.Value) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(buf, '\\', 'N'), nil
	case []byte:
		return appendEscaped(buf, v), nil
	case int64:
		return strconv.AppendInt(buf, v, 10), nil
	case uint64:
		return strconv.AppendUint(buf, v, 10), nil
	case float64:
		return strconv.AppendFloat(buf, v, 'g', -1, 64), nil
	case float32:
		return strconv.AppendFloat(buf, float64(v), 'g', -1, 32), nil
	case string:
		return appendEscaped(buf, []byte(v)), nil
	}
	return buf, fmt.Errorf("the driver gave a value of the unexpected type %T", v)
}

// escapes are the letters behind the backslash.
var escapes = [256]byte{0: '0', '\t': 't', '\n': 'n', '\\': '\\'}

// appendEscaped passes over eight bytes at once when none of them may need the backslash.
func appendEscaped(buf, v []byte) []byte {
	begun := 0
	for i := 0; i < len(v); {
		end := min(i+8, len(v))
		if end-i == 8 && !mayNeedEscape(binary.LittleEndian.Uint64(v[i:])) {
			i = end
			continue
		}
		for ; i < end; i++ {
			if e := escapes[v[i]]; e != 0 {
				buf = append(append(buf, v[begun:i]...), '\\', e)
				begun = i + 1
			}
		}
	}
	return append(buf, v[begun:]...)
}

// mayNeedEscape tells whether one of eight bytes is the backslash, or less than 11, as the others are that need one.
func mayNeedEscape(x uint64) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	backslash := x ^ '\\'*each
	return ((x-11*each)&^x|(backslash-each)&^backslash)&high != 0
}

// load is the statement that loads rows of these columns of a table from a reader of the driver.
func (r *rowsOf) load(reader string) string {
	var list, set []string
	for i, c := range r.columns {
		if c.loaded == "" {
			list = append(list, quote(c.name))
			continue
		}
		variable := fmt.Sprintf("@switchback_%d", i)
		list = append(list, variable)
		set = append(set, quote(c.name)+" = "+fmt.Sprintf(c.loaded, variable))
	}
	s := "LOAD DATA LOCAL INFILE 'Reader::" + reader + "' INTO TABLE " + quote(r.table.Name) +
		` CHARACTER SET binary FIELDS TERMINATED BY '\t' ENCLOSED BY '' ESCAPED BY '\\' LINES TERMINATED BY '\n' (` + strings.Join(list, ", ") + ")"
	if len(list) == 0 {
		s = strings.TrimSuffix(s, "()") + "(@switchback_0)"
	}
	if len(set) > 0 {
		s += " SET " + strings.Join(set, ", ")
	}
	return s
}

// insert begins the statement that inserts rows.
func (r *rowsOf) insert() string {
	var list []string
	for _, c := range r.columns {
		list = append(list, quote(c.name))
	}
	return "INSERT INTO " + quote(r.table.Name) + " (" + strings.Join(list, ", ") + ") VALUES "
}

// appendRow adds a row, a line without its newline, to such a statement. What the backslash says in the line it says in a
// literal too; the quote is doubled.
func (r *rowsOf) appendRow(statement []byte, line string) []byte {
	statement = append(statement, '(')
	for i, c := range r.columns {
		var value string
		value, line, _ = strings.Cut(line, "\t")
		if i > 0 {
			statement = append(statement, ',')
		}
		literal := "NULL"
		if value != `\N` {
			literal = "_binary'" + strings.ReplaceAll(value, "'", "''") + "'"
		}
		if c.loaded != "" {
			literal = fmt.Sprintf(c.loaded, literal)
		}
		statement = append(statement, literal...)
	}
	return append(statement, ')')
}
