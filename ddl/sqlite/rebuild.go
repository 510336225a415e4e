package sqlite

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// rebuilt makes the table anew under a name for the time being, copies the rows, drops the old table and
// gives its name to the new one. Views and triggers that name it are gone by now; foreign keys of other
// tables keep pointing to its name, since legacy_alter_table is on.
func (a *alteration) rebuilt(w *statements, temporary string) {
	s := sqliteddl.ParseTable(a.to.Name, a.to.Source)
	w.add(closed(s.As(temporary)), fmt.Sprintf("Table %s is rebuilt: %s, which SQLite cannot alter in place.", a.to.Name, a.why))
	c := a.copyOf()
	if len(c.into) > 0 {
		w.add(fmt.Sprintf("INSERT OR ABORT INTO %s (%s)\nSELECT %s\nFROM %s", sqliteddl.Quote(temporary), strings.Join(c.into, ", "), strings.Join(c.values, ", "), sqliteddl.Quote(a.from.Name)),
			strings.Join(append([]string{"All rows are copied. A row that the new table does not take makes this fail, and nothing is changed."}, c.remarks...), "\n"))
	}
	if autoincrement(a.from) && autoincrement(a.to) {
		w.add("DELETE FROM sqlite_sequence WHERE name = "+literal(temporary), "")
		w.add(fmt.Sprintf("INSERT INTO sqlite_sequence (name, seq)\nSELECT %s, seq FROM sqlite_sequence WHERE name = %s COLLATE NOCASE", literal(temporary), literal(a.from.Name)),
			"AUTOINCREMENT goes on where it was, so that no key of a deleted row is given out again.")
	}
	drop := "DROP TABLE " + sqliteddl.Quote(a.from.Name)
	if len(c.lost) > 0 {
		w.destroy(drop, fmt.Sprintf("The rows are in the new table, but for the values of %s, which are lost.", strings.Join(c.lost, ", ")))
	} else {
		w.add(drop, "All its rows are in the new table.")
	}
	w.add(fmt.Sprintf("ALTER TABLE %s RENAME TO %s", sqliteddl.Quote(temporary), sqliteddl.Quote(a.to.Name)), "")
}

// rowCopy is how the rows of a table get into its successor.
type rowCopy struct {
	into, values  []string // columns, and the expressions that fill them
	remarks, lost []string
}

func (a *alteration) copyOf() (c rowCopy) {
	if hasRowid(a.from) && hasRowid(a.to) && rowidColumn(a.from) == "" && rowidColumn(a.to) == "" &&
		indexFold(a.from.Columns, "rowid") < 0 && indexFold(a.to.Columns, "rowid") < 0 {
		c.into, c.values = []string{"rowid"}, []string{"rowid"}
	}
	for _, column := range a.to.Columns {
		if column.Generated != "" {
			continue
		}
		if i := indexFold(a.from.Columns, column.Name); i >= 0 {
			value, remark := a.value(a.from.Columns[i], column)
			c.into, c.values = append(c.into, sqliteddl.Quote(column.Name)), append(c.values, value)
			c.remark(remark)
		} else if column.NotNull && (column.Default == "" || strings.EqualFold(column.Default, "null")) {
			c.remark("Column " + column.Name + " is new, NOT NULL and has no default: this fails if there are rows. Give it a default, or fill it first.")
		}
	}
	for _, column := range a.from.Columns {
		if i := indexFold(a.to.Columns, column.Name); column.Generated == "" && (i < 0 || a.to.Columns[i].Generated != "") {
			c.lost = append(c.lost, "column "+column.Name)
		}
	}
	if len(c.into) == 1 && c.into[0] == "rowid" && len(a.to.Columns) == 0 {
		return rowCopy{lost: c.lost}
	}
	return c
}

func (c *rowCopy) remark(text string) {
	if text != "" {
		c.remarks = append(c.remarks, text)
	}
}

// value is the expression that a column is filled with. SQLite itself converts to the type of the column
// where that loses nothing, but for bytes, which a STRICT table does not convert.
func (a *alteration) value(from, to *schema.Column) (value, remark string) {
	value = sqliteddl.Quote(from.Name)
	if from.Type != to.Type {
		remark = fmt.Sprintf("Column %s was of type %s and is of type %s now: SQLite converts what it can without loss.", to.Name, orNone(from.Type), orNone(to.Type))
		if strict(a.to) && (to.Type == "BLOB" && from.Type != "ANY" || from.Type == "BLOB" && to.Type != "ANY") {
			value = "CAST(" + value + " AS " + to.Type + ")"
		}
	}
	if to.NotNull && !from.NotNull {
		if to.Default == "" || strings.EqualFold(to.Default, "null") {
			return value, join(remark, "Column "+to.Name+" is NOT NULL now and has no default: this fails if it is NULL anywhere.")
		}
		return "coalesce(" + value + ", " + defaultValue(to.Default) + ")", join(remark, "Column "+to.Name+" is NOT NULL now: where it is NULL it gets its default.")
	}
	return value, remark
}

// defaultValue writes a default as an expression. A default may be a bare name, which is then a text.
func defaultValue(text string) string {
	list := sqltoken.Split(text, sqltoken.Of("sqlite"))
	if len(list) == 1 && list[0].IsName() {
		switch strings.ToUpper(list[0].Name) {
		case "TRUE", "FALSE", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP":
		default:
			return literal(list[0].Name)
		}
	}
	return text
}

func strict(t *schema.Table) bool {
	return strings.Contains(schema.Value(t.Options, "options"), "STRICT")
}

func hasRowid(t *schema.Table) bool {
	return !isVirtual(t) && !strings.Contains(schema.Value(t.Options, "options"), "WITHOUT ROWID")
}

func autoincrement(t *schema.Table) bool {
	for _, c := range t.Constraints {
		if c.Type == schema.PrimaryKey && strings.HasSuffix(c.Definition, "AUTOINCREMENT") {
			return true
		}
	}
	return false
}

// rowidColumn returns the column that is the rowid, or nothing: the primary key alone, whose type is
// INTEGER and nothing else.
func rowidColumn(t *schema.Table) string {
	for _, c := range t.Constraints {
		if c.Type != schema.PrimaryKey || len(c.Columns) != 1 || strings.Contains(c.Definition, ") DESC") {
			continue
		}
		if i := indexFold(t.Columns, c.Columns[0]); i >= 0 && t.Columns[i].Type == "INTEGER" {
			return t.Columns[i].Name
		}
	}
	return ""
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "\n" + b
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// closed returns a statement behind which something can be written, also when it ends in a comment.
func closed(sql string) string {
	if sqltoken.EndsInComment(sql, sqltoken.Of("sqlite")) {
		return sql + "\n"
	}
	return sql
}
