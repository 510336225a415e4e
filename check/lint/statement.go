package lint

import (
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

// statement is a statement of a script, cut as far as the rules need it.
type statement struct {
	script  *script
	number  int // in the script, from 0
	line    int
	after   int // the line after the statement before: directives from there on are this one's
	text    string
	tokens  []sqltoken.Token
	verb    string // ALTER TABLE, CREATE INDEX, DROP TABLE, UPDATE …
	table   string // that it is about, as name gives it
	actions []words
	columns []column // that it makes
}

// words are some tokens in a row.
type words []sqltoken.Token

// column is the definition of a column.
type column struct {
	name string
	rest words // behind the name
}

// newStatement reads a statement.
func newStatement(script *script, number, line, after int, text string) *statement {
	s := &statement{script: script, number: number, line: line, after: after, text: text}
	s.tokens = sqltoken.Split(text, sqltoken.Of(string(script.engine)))
	w := words(s.tokens)
	switch {
	case w.begin("ALTER", "TABLE"):
		s.alterTable(w[2:])
	case w.begin("CREATE"):
		s.create(w[1:])
	case w.begin("DROP"):
		s.verb = "DROP " + w.upper(1)
	case w.begin("UPDATE"), w.begin("TRUNCATE"):
		s.verb = w.upper(0)
		s.table, _ = w[1:].skip("LOW_PRIORITY", "IGNORE", "TABLE", "ONLY").name()
	case w.begin("DELETE"), w.begin("INSERT"):
		s.verb = w.upper(0)
		s.table, _ = w[1:].skip("LOW_PRIORITY", "IGNORE", "INTO", "FROM", "ONLY").name()
	default:
		s.verb = strings.TrimSpace(w.upper(0) + " " + w.upper(1))
	}
	return s
}

func (s *statement) alterTable(w words) {
	s.verb = "ALTER TABLE"
	var rest words
	s.table, rest = w.skip("IF", "EXISTS", "ONLY").name()
	s.actions = rest.split()
	for _, a := range s.actions {
		if !a.begin("ADD") {
			continue
		}
		a = a[1:].skip("COLUMN", "IF", "NOT", "EXISTS")
		if isColumn(a) {
			s.columns = append(s.columns, column{name: a[0].Name, rest: a[1:]})
		}
	}
}

func (s *statement) create(w words) {
	w = w.skip("OR", "REPLACE", "GLOBAL", "LOCAL", "UNLOGGED", "UNIQUE", "FULLTEXT", "SPATIAL", "DEFINER")
	s.verb = "CREATE " + w.upper(0)
	switch {
	case w.begin("TABLE"):
		var rest words
		s.table, rest = w[1:].skip("IF", "NOT", "EXISTS").name()
		for _, item := range rest.inside().split() {
			if isColumn(item) {
				s.columns = append(s.columns, column{name: item[0].Name, rest: item[1:]})
			}
		}
	case w.begin("MATERIALIZED", "VIEW"):
		s.table, _ = w[2:].skip("IF", "NOT", "EXISTS").name()
	case w.begin("INDEX"):
		if i := w.find("ON"); i >= 0 {
			s.table, _ = w[i+1:].skip("ONLY").name()
		}
	}
}

// isColumn tells whether an item of a table's definition is a column.
func isColumn(w words) bool {
	if len(w) < 2 || !w[0].IsName() {
		return false
	}
	for _, other := range []string{"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE", "INDEX", "KEY", "FULLTEXT", "SPATIAL", "LIKE", "PARTITION", "PERIOD"} {
		if w[0].Kind == sqltoken.Word && w[0].Is(other) {
			return false
		}
	}
	return true
}

// under tells whether a directive on that line of the script is about this statement.
func (s *statement) under(line int) bool { return line >= s.after && line <= s.line }

// has tells whether the words stand in the statement, in a row.
func (s *statement) has(keywords ...string) bool { return words(s.tokens).find(keywords...) >= 0 }

// isNew tells whether the script itself made the table before: it is empty, and nobody uses it.
func (s *statement) isNew(table string) bool {
	for _, other := range s.script.statements[:s.number] {
		if (other.verb == "CREATE TABLE" || other.verb == "CREATE MATERIALIZED") && sameName(other.table, table) {
			return true
		}
	}
	return false
}

// plain tells whether the statement changes a table that is in use.
func (s *statement) plain() bool { return s.verb == "ALTER TABLE" && !s.isNew(s.table) }

// begin tells whether the keywords are the first words.
func (w words) begin(keywords ...string) bool {
	if len(w) < len(keywords) {
		return false
	}
	for i, k := range keywords {
		if w[i].Kind == sqltoken.Quoted || w[i].Kind == sqltoken.Text || !w[i].Is(k) && w[i].Raw != k {
			return false
		}
	}
	return true
}

// find returns where the keywords stand in a row, or -1.
func (w words) find(keywords ...string) int {
	for i := range w {
		if w[i:].begin(keywords...) {
			return i
		}
	}
	return -1
}

func (w words) has(keywords ...string) bool { return w.find(keywords...) >= 0 }

// upper is the nth word as a keyword.
func (w words) upper(n int) string {
	if n >= len(w) || w[n].Kind != sqltoken.Word {
		return ""
	}
	return strings.ToUpper(w[n].Raw)
}

// skip leaves out the given keywords at the beginning.
func (w words) skip(keywords ...string) words {
	for {
		n := len(w)
		for _, k := range keywords {
			if w.begin(k) {
				w = w[1:]
			}
		}
		if len(w) == n {
			return w
		}
	}
}

// name reads a name with its schema, and returns what is behind it.
func (w words) name() (string, words) {
	var parts []string
	for len(w) > 0 && w[0].IsName() {
		part := w[0].Name
		if w[0].Kind == sqltoken.Word {
			part = strings.ToLower(part)
		}
		parts = append(parts, part)
		if w = w[1:]; len(w) < 2 || !w[0].IsSign(".") {
			break
		}
		w = w[1:]
	}
	return strings.Join(parts, "."), w
}

// split cuts at the commas that stand in no parentheses.
func (w words) split() []words {
	var list []words
	depth, start := 0, 0
	for i, t := range w {
		switch {
		case t.IsSign("("):
			depth++
		case t.IsSign(")"):
			depth--
		case t.IsSign(",") && depth == 0:
			list, start = append(list, w[start:i]), i+1
		}
	}
	if start < len(w) {
		list = append(list, w[start:])
	}
	return list
}

// inside is what the first parentheses hold.
func (w words) inside() words {
	depth, start := 0, -1
	for i, t := range w {
		switch {
		case t.IsSign("("):
			if depth++; start < 0 {
				start = i + 1
			}
		case t.IsSign(")"):
			if depth--; depth == 0 && start >= 0 {
				return w[start:i]
			}
		}
	}
	return nil
}

// sameName tells whether two names may be of one object: one of them may leave out the schema.
func sameName(a, b string) bool {
	if strings.Contains(a, ".") != strings.Contains(b, ".") {
		a, b = a[strings.LastIndexByte(a, '.')+1:], b[strings.LastIndexByte(b, '.')+1:]
	}
	return a != "" && strings.EqualFold(a, b)
}

// ours tells whether a name was given by the planner to what it keeps in step or puts into the attic.
func ours(name string) bool {
	return strings.HasPrefix(strings.ToLower(name[strings.LastIndexByte(name, '.')+1:]), "switchback_")
}

// isSecond tells whether the engine is of the family of MySQL.
func isSecond(e migrate.Engine) bool { return e == migrate.MySQL || e == migrate.MariaDB }
