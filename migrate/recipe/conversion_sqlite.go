package recipe

import (
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/internal/sqltoken"
)

// affinity is what SQLite makes of a declared type: https://www.sqlite.org/datatype3.html#determination_of_column_affinity.
func affinity(typ string) string {
	typ = strings.ToUpper(typ)
	has := func(list ...string) bool {
		for _, x := range list {
			if strings.Contains(typ, x) {
				return true
			}
		}
		return false
	}
	switch {
	case has("INT"):
		return "INTEGER"
	case has("CHAR", "CLOB", "TEXT"):
		return "TEXT"
	case typ == "", has("BLOB"):
		return "BLOB"
	case has("REAL", "FLOA", "DOUB"): //nolint:misspell // SQLite's rule for the affinity of a type
		return "REAL"
	}
	return "NUMERIC"
}

// conversion goes by affinities: the words of a type beyond that are no concern of SQLite's. A value that is
// none of the new type becomes NULL.
func (g *sqlite) conversion(column, converted, from, to string) (up, down string, total, ok bool) {
	a, b := affinity(from), affinity(to)
	old, now := g.quote(column), g.quote(converted)
	if a == b {
		return old, now, true, true
	}
	up, there := converting(old, a, b)
	down, back := converting(now, b, a)
	return up, down, false, there && back
}

// converting is the expression that takes a value from an affinity to another.
func converting(x, from, to string) (expression string, ok bool) {
	cast := "CAST(" + x + " AS " + to + ")"
	switch {
	case from == "BLOB" && to != "TEXT", to == "BLOB" && from != "TEXT":
		return "", false // bytes, or anything at all
	case to == "TEXT", to == "BLOB":
		return cast, true
	case to == "NUMERIC":
		return x, true // storing it does that
	case from == "TEXT":
		return "CASE WHEN " + cast + " = " + x + " THEN " + cast + " END", true
	case to == "REAL" && from == "INTEGER":
		return cast, true
	case to == "INTEGER" && from == "REAL":
		return "CAST(round(" + x + ") AS INTEGER)", true
	case to == "INTEGER":
		return "CASE typeof(" + x + ") WHEN 'integer' THEN " + x + " WHEN 'real' THEN CAST(round(" + x + ") AS INTEGER) END", true
	}
	return "CASE WHEN typeof(" + x + ") IN ('integer', 'real') THEN " + cast + " END", true
}

// retype keeps a constant that the new type takes: SQLite converts it as it does any value.
func (g *sqlite) retype(constant, from, to string) string {
	text := constant
	if strings.HasPrefix(text, "'") {
		text = strings.ReplaceAll(strings.Trim(text, "'"), "''", "'")
	}
	_, noNumber := strconv.ParseFloat(text, 64)
	_, noInteger := strconv.ParseInt(text, 10, 64)
	switch b := affinity(to); {
	case affinity(from) != b && (b == "INTEGER" && noInteger != nil || b == "REAL" && noNumber != nil || b == "BLOB"):
		return ""
	}
	return constant
}

func (g *sqlite) zero(typ string) string {
	switch affinity(typ) {
	case "TEXT":
		return "''"
	case "BLOB":
		if typ == "" {
			return ""
		}
		return "x''"
	}
	return "0"
}

func (g *sqlite) canonical(typ string) string {
	s := sqliteddl.ParseTable("t", "CREATE TABLE t (c "+typ+")")
	if len(s.Columns) != 1 {
		return typ
	}
	return s.Columns[0].Type
}

// constant writes a default as an expression: a bare name there is a text, and TRUE is 1.
func (g *sqlite) constant(text string) string {
	list := sqltoken.Split(text, sqltoken.Of("sqlite"))
	if len(list) != 1 || !list[0].IsName() {
		return text
	}
	switch strings.ToUpper(list[0].Name) {
	case "NULL", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP":
		return text
	case "TRUE":
		return "1"
	case "FALSE":
		return "0"
	}
	return g.literal(list[0].Name)
}
