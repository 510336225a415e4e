package mysql

import (
	"context"
	"database/sql/driver"
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
	err := p.workers[worker].Raw(func(conn any) error {
		rows, err := conn.(driver.QueryerContext).QueryContext(ctx, query, nil)
		if err != nil {
			return err
		}
		return errors.Join(writeRows(rows, to), rows.Close())
	})
	if isError(err, 1412, 1146, 1054) {
		return fmt.Errorf("the table was altered or dropped during the copy, so it can't be read as it was: %w\n  next: the same command again, when nothing alters the database", err)
	}
	if err != nil {
		return err
	}
	return letGo(ctx, p.workers[worker])
}

// flushAt is how many bytes of rows are written at once.
const flushAt = 256 << 10

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

func appendEscaped(buf, v []byte) []byte {
	begun := 0
	for i, b := range v {
		if e := escapes[b]; e != 0 {
			buf = append(append(buf, v[begun:i]...), '\\', e)
			begun = i + 1
		}
	}
	return append(buf, v[begun:]...)
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
