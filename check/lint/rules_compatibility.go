package lint

import (
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// compatibilityRules are about the version of the application that knows nothing of the change.
func compatibilityRules() []Rule {
	return []Rule{
		{
			Name: "renames-in-place", Severity: check.Error, Summary: "renames what the running version uses",
			Why: "The running version of the application fails at once; switchback plan --op 'rename column …' keeps both names until it is gone",
			Examples: on(Example{
				Bad:  "ALTER TABLE users RENAME COLUMN name TO full_name;",
				Good: "ALTER TABLE users ADD COLUMN full_name varchar(100);",
			}, migrate.Engines()...),
			statement: eachAction(func(s *statement, a words) []hit {
				if !s.script.early() {
					return nil
				}
				what, old, name := renamed(a)
				if name == "" || ours(old) || ours(name) || ours(s.table) {
					return nil
				}
				return one(what+" "+s.table, "renames "+what+" "+strings.TrimPrefix(s.table+"."+old, "."))
			}),
		},
		{
			Name: "changes-type-in-place", Severity: check.Error, Summary: "changes the type of a column that is in use",
			cost: cost{time: recipe.Size.CopyTime, lock: "ACCESS EXCLUSIVE"},
			Why:  "The table is locked while its rows are written anew, what the new type cannot hold is lost, and the running version of the application may not understand it; switchback plan --op 'change type …' keeps both columns in step",
			Examples: append(
				on(Example{Bad: "ALTER TABLE users ALTER COLUMN age TYPE bigint;", Good: "ALTER TABLE users ADD COLUMN age_long bigint;"}, migrate.Postgres),
				on(Example{Bad: "ALTER TABLE users MODIFY COLUMN age bigint;", Good: "ALTER TABLE users ADD COLUMN age_long bigint;"}, migrate.MySQL, migrate.MariaDB)...),
			statement: eachAction(func(s *statement, a words) []hit {
				column, typ := retyped(s, a)
				if !s.script.early() || column == "" || ours(column) || len(typ) == 1 && typ.begin("TEXT") {
					return nil
				}
				return one("column "+s.table+"."+column, "changes the type of column "+column+" where it stands")
			}),
		},
		{
			Name: "narrows-type", Severity: check.Warning, Summary: "changes a column to a type that holds less",
			Why: "Values that do not fit make the statement fail, or are cut",
			Examples: append(
				on(Example{Bad: "ALTER TABLE users ALTER COLUMN age TYPE smallint;", Good: "ALTER TABLE users ADD COLUMN age_short smallint;", Also: []string{"changes-type-in-place"}}, migrate.Postgres),
				on(Example{Bad: "ALTER TABLE users MODIFY COLUMN age smallint;", Good: "ALTER TABLE users ADD COLUMN age_short smallint;", Also: []string{"changes-type-in-place"}}, migrate.MySQL, migrate.MariaDB)...),
			statement: eachAction(func(s *statement, a words) []hit {
				column, typ := retyped(s, a)
				if !s.script.early() || column == "" || len(typ) == 0 || !anyOf(typ[:1], "SMALLINT", "INT2", "TINYINT", "REAL", "FLOAT4", "DATE") {
					return nil
				}
				return one("column "+s.table+"."+column, "column "+column+" becomes "+strings.ToLower(typ[0].Raw))
			}),
		},
		{
			Name: "drops-column-in-use", Severity: check.Error, Summary: "drops a column before nobody needs it for certain",
			Why: "The running version of the application fails, and no rollback script brings the values back; switchback plan --op 'drop column …' puts the column into the attic until purge",
			Examples: on(Example{
				Bad:  "ALTER TABLE users DROP COLUMN age;",
				Good: "ALTER TABLE users RENAME COLUMN age TO switchback_old_age;",
			}, migrate.Engines()...),
			statement: eachAction(func(s *statement, a words) []hit {
				if !s.script.forward() || !a.begin("DROP") {
					return nil
				}
				a = a[1:].skip("COLUMN", "IF", "EXISTS")
				if !isColumn(append(a[:len(a):len(a)], a...)) || ours(a[0].Name) || anyOf(a[:1], "DEFAULT", "INDEX", "KEY", "PRIMARY", "EXPRESSION", "IDENTITY") || s.computedAgain(a[0].Name) {
					return nil
				}
				return one("column "+s.table+"."+a[0].Name, "drops column "+a[0].Name+" with its values")
			}),
		},
		{
			Name: "drops-table-in-use", Severity: check.Error, Summary: "drops a table before nobody needs it for certain",
			Why: "The running version of the application fails, and no rollback script brings the rows back; switchback plan --op 'drop table …' puts the table into the attic until purge",
			Examples: on(Example{
				Bad:  "DROP TABLE users;",
				Good: "ALTER TABLE users RENAME TO switchback_old_users;",
			}, migrate.Engines()...),
			statement: func(s *statement) []hit {
				if !s.script.forward() || s.verb != "DROP TABLE" {
					return nil
				}
				var hits []hit
				for _, part := range words(s.tokens)[2:].skip("IF", "EXISTS").split() {
					name, _ := part.name()
					if !s.isNew(name) && !ours(name) && !s.comesBack(name) {
						hits = append(hits, one("table "+name, "drops table "+name+" with its rows")...)
					}
				}
				return hits
			},
		},
	}
}

// comesBack tells whether a later statement gives the name to another table: one was written anew.
func (s *statement) comesBack(table string) bool {
	for _, later := range s.script.statements[s.number+1:] {
		for _, a := range later.actions {
			if what, _, name := renamed(a); what == "table" && sameName(name, table) {
				return true
			}
		}
	}
	return false
}

// computedAgain tells whether the column is made again, by this statement or a later one, as one that is computed from the
// others: no value of its own is lost with it.
func (s *statement) computedAgain(name string) bool {
	for _, later := range s.script.statements[s.number:] {
		if !sameName(later.table, s.table) {
			continue
		}
		for _, c := range later.columns {
			for i, w := range c.rest {
				if strings.EqualFold(c.name, name) && w.Is("AS") && i+1 < len(c.rest) && c.rest[i+1].IsSign("(") {
					return true
				}
			}
		}
	}
	return false
}

// renamed reads an action that renames a column or the table; name is empty for any other.
func renamed(a words) (what, old, name string) {
	switch {
	case a.begin("CHANGE"):
		if a = a[1:].skip("COLUMN"); len(a) > 2 && !strings.EqualFold(a[0].Name, a[1].Name) {
			return "column", a[0].Name, a[1].Name
		}
	case a.begin("RENAME", "TO"), a.begin("RENAME", "AS"):
		name, _ = a[2:].name()
		return "table", "", name
	case a.begin("RENAME") && !a.begin("RENAME", "CONSTRAINT") && !a.begin("RENAME", "INDEX") && !a.begin("RENAME", "KEY"):
		if a = a[1:].skip("COLUMN"); len(a) >= 3 && a[1].Is("TO") {
			return "column", a[0].Name, a[2].Name
		}
	}
	return "", "", ""
}

// retyped reads an action that gives a column a type; the column is empty for any other. One that the server is
// told to carry out without writing rows is none.
func retyped(s *statement, a words) (column string, typ words) {
	switch {
	case a.begin("ALTER"):
		a = a[1:].skip("COLUMN")
		if len(a) > 2 && a[1].Is("TYPE") {
			return a[0].Name, a[2:]
		}
		if len(a) > 4 && a[1:].begin("SET", "DATA", "TYPE") {
			return a[0].Name, a[4:]
		}
	case s.has("ALGORITHM", "=", "INSTANT"), s.has("ALGORITHM", "=", "INPLACE"):
	case a.begin("MODIFY"):
		if a = a[1:].skip("COLUMN", "IF", "EXISTS"); len(a) > 1 {
			return a[0].Name, a[1:]
		}
	case a.begin("CHANGE"):
		if a = a[1:].skip("COLUMN", "IF", "EXISTS"); len(a) > 2 {
			return a[0].Name, a[2:]
		}
	}
	return "", nil
}
