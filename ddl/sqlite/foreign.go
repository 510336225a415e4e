package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

// foreignKeyCheck makes up for foreign keys being off: the script fails if more rows point to nothing
// than before. The pragma foreign_key_check only reports, so its count goes into a table that refuses it.
type foreignKeyCheck struct{ old, now []string }

// foreignKeyCheck finds the tables to check: those that are altered or made, and those whose foreign keys
// point to one that is altered or dropped. It leaves out tables with keys that SQLite refuses to look at.
// It is nil when there are none.
func (p *plan) foreignKeyCheck() *foreignKeyCheck {
	if !p.foreignKeysOff {
		return nil
	}
	touched := map[string]bool{}
	for _, a := range p.alters {
		touched[strings.ToLower(a.to.Name)] = a.rebuild || a.addsForeignKey
	}
	for _, t := range p.drops {
		touched[strings.ToLower(t.Name)] = true
	}
	c := &foreignKeyCheck{}
	for _, t := range p.to.Tables {
		if !concerned(t, touched) || !wellFormed(p.to, t) {
			continue
		}
		if i := indexFold(p.from.Tables, t.Name); i >= 0 {
			if !wellFormed(p.from, p.from.Tables[i]) {
				continue
			}
			c.old = append(c.old, p.nameOf(p.from.Tables[i]))
		}
		c.now = append(c.now, t.Name)
	}
	if len(c.now) == 0 {
		return nil
	}
	return c
}

// concerned tells whether a table has foreign keys and is touched, or they point to one that is.
func concerned(t *schema.Table, touched map[string]bool) bool {
	for _, c := range t.Constraints {
		if c.References != nil && (touched[strings.ToLower(t.Name)] || touched[strings.ToLower(c.References.Table)]) {
			return true
		}
	}
	return false
}

// wellFormed tells whether what the foreign keys of a table point to is a key, by the rules of
// https://www.sqlite.org/foreignkeys.html#fk_indexes. SQLite reports a mismatch for others.
func wellFormed(s *schema.Schema, t *schema.Table) bool {
	for _, c := range t.Constraints {
		if c.References == nil {
			continue
		}
		if indexFold(s.Views, c.References.Table) >= 0 {
			return false
		}
		if i := indexFold(s.Tables, c.References.Table); i >= 0 && !isKey(s.Tables[i], c.References.Columns, len(c.Columns)) {
			return false
		}
	}
	return true
}

// isKey tells whether columns, or the primary key where none are named, are a key of n columns.
func isKey(t *schema.Table, columns []string, n int) bool {
	same := func(a []string) bool {
		return len(a) == len(columns) && !slices.ContainsFunc(a, func(x string) bool {
			return !slices.ContainsFunc(columns, func(y string) bool { return strings.EqualFold(x, y) })
		})
	}
	for _, c := range t.Constraints {
		switch {
		case c.Type == schema.PrimaryKey && len(columns) == 0:
			return len(c.Columns) == n
		case c.Type != schema.PrimaryKey && c.Type != schema.Unique, strings.Contains(c.Definition, "COLLATE"):
		case same(c.Columns):
			return len(columns) == n
		}
	}
	for _, x := range t.Indexes {
		if x.Unique && same(x.Columns) && !strings.Contains(x.Definition, "WHERE") && !strings.Contains(x.Definition, "COLLATE") {
			return len(columns) == n
		}
	}
	return false
}

const brokenRows = "temp.switchback_broken_rows"

func (c *foreignKeyCheck) before() []ddl.Statement {
	return []ddl.Statement{
		{
			SQL:     "CREATE TEMP TABLE switchback_broken_rows (n INTEGER, at_most INTEGER, CHECK (n <= at_most))",
			Comment: "Foreign keys are off, so the script itself sees to it that no more rows point to nothing than before.",
		},
		{SQL: "INSERT INTO " + brokenRows + "\nSELECT 0, " + sum(c.old)},
	}
}

func (c *foreignKeyCheck) after() []ddl.Statement {
	return []ddl.Statement{
		{
			SQL:     "UPDATE " + brokenRows + "\nSET n = " + sum(c.now),
			Comment: "This fails, and nothing is changed, if rows point to nothing that did not before: PRAGMA foreign_key_check names them.",
		},
		{SQL: "DROP TABLE " + brokenRows},
	}
}

// sum is the number of rows of the tables that point to nothing.
func sum(tables []string) string {
	if len(tables) == 0 {
		return "0"
	}
	var parts []string
	for _, t := range tables {
		parts = append(parts, fmt.Sprintf("(SELECT count(*) FROM pragma_foreign_key_check(%s))", literal(t)))
	}
	return strings.Join(parts, "\n  + ")
}
