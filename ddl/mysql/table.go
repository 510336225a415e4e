package mysql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

func (s *script) table(c diff.Change) {
	switch c.Action {
	case diff.Add:
		t := c.After.(*schema.Table)
		s.add(phaseTable, "table "+c.Name, nil, ddl.Statement{SQL: s.create(t)})
		s.triggers(c.Name, nil, t)
	case diff.Drop:
		s.add(phaseDropTable, "drop table "+c.Name, nil, ddl.Statement{SQL: "DROP TABLE " + Quote(c.Name), Comment: "Loses all rows of the table, its indexes and its triggers.", Destroys: true})
	default:
		before, after := c.Before.(*schema.Table), c.After.(*schema.Table)
		s.alter(c, before, after)
		s.triggers(c.Name, before, after)
	}
}

// create is the statement that makes a table, without its foreign keys.
func (s *script) create(t *schema.Table) string {
	var lines []string
	for _, c := range t.Columns {
		lines = append(lines, s.column(t, c))
	}
	for _, c := range t.Constraints {
		if c.Type == schema.PrimaryKey {
			lines = append(lines, s.constraint(c))
		}
	}
	if p := schema.Value(t.Options, "period"); p != "" {
		lines = append(lines, "PERIOD FOR "+p)
	}
	for _, x := range t.Indexes {
		lines = append(lines, s.index(x))
	}
	for _, c := range t.Constraints {
		if c.Type == schema.Check {
			lines = append(lines, s.constraint(c))
		}
	}
	sql := "CREATE TABLE " + Quote(t.Name) + " (\n  " + strings.Join(lines, ",\n  ") + "\n)"
	if e := schema.Value(t.Options, "engine"); e != "" {
		sql += " ENGINE=" + e
	}
	if c := schema.Value(t.Options, "collation"); c != "" {
		sql += " DEFAULT CHARACTER SET=" + charset(c) + " COLLATE=" + c
	}
	if o := schema.Value(t.Options, "options"); o != "" {
		sql += " " + o
	}
	if t.Comment != "" {
		sql += " COMMENT=" + Literal(t.Comment)
	}
	if schema.Value(t.Options, "system versioning") != "" {
		sql += " WITH SYSTEM VERSIONING"
	}
	if p := schema.Value(t.Options, "partitions"); p != "" {
		sql += "\nPARTITION " + p
	}
	return sql
}

// index is an index as CREATE TABLE and ADD take it.
func (s *script) index(x *schema.Index) string {
	kind, rest, _ := strings.Cut(x.Definition, "INDEX ")
	if s.mariadb {
		rest = strings.Replace(rest, " INVISIBLE", " IGNORED", 1)
	} else {
		rest = strings.Replace(rest, " IGNORED", " INVISIBLE", 1)
	}
	sql := kind + "INDEX " + Quote(x.Name) + " " + rest
	if x.Comment != "" {
		sql += " COMMENT " + Literal(x.Comment)
	}
	return sql
}

func (s *script) constraint(c *schema.Constraint) string {
	if c.Type == schema.PrimaryKey {
		sql := c.Definition
		if c.Comment != "" {
			sql += " COMMENT " + Literal(c.Comment)
		}
		return sql
	}
	return "CONSTRAINT " + Quote(c.Name) + " " + c.Definition
}

// foreignKeys drops those that go or change, or whose columns or indexes change beneath them, before the
// tables are altered, and adds them afterwards.
func (s *script) foreignKeys() {
	for _, t := range s.from.Tables {
		after := s.to.Table(t.Name)
		for _, k := range keysOf(t) {
			var same *schema.Constraint
			if after != nil {
				same = after.Constraint(k.Name)
			}
			if same != nil && equal(k, same) && !s.touched(t, k) {
				continue
			}
			comment := "Changes the catalogue only. Rows without a parent can be written from here on."
			if after == nil {
				comment = "Its table is dropped below."
			}
			s.add(phaseDropKey, "drop key "+t.Name+" "+k.Name, nil, ddl.Statement{SQL: "ALTER TABLE " + Quote(t.Name) + " DROP FOREIGN KEY " + Quote(k.Name), Comment: comment})
		}
	}
	for _, t := range s.to.Tables {
		before := s.from.Table(t.Name)
		for _, k := range keysOf(t) {
			if before != nil {
				if old := before.Constraint(k.Name); old != nil && equal(old, k) && !s.touched(before, k) {
					continue
				}
			}
			comment := ""
			if before != nil {
				comment = "Checks every row: the table is copied, and writes to it wait. Fails when a row has no parent."
			}
			s.add(phaseKey, "key "+t.Name+" "+k.Name, nil, ddl.Statement{SQL: "ALTER TABLE " + Quote(t.Name) + " ADD " + s.constraint(k), Comment: comment})
		}
	}
}

func keysOf(t *schema.Table) []*schema.Constraint {
	return slices.DeleteFunc(slices.Clone(t.Constraints), func(c *schema.Constraint) bool { return c.Type != schema.ForeignKey })
}

// touched tells whether columns, keys or indexes change that a foreign key needs as they are.
func (s *script) touched(t *schema.Table, k *schema.Constraint) bool {
	return s.tableTouched(t.Name, k.Columns) || k.References.Schema == "" && s.tableTouched(k.References.Table, k.References.Columns)
}

func (s *script) tableTouched(name string, columns []string) bool {
	from, to := s.from.Table(name), s.to.Table(name)
	if from == nil || to == nil {
		return true
	}
	for _, o := range []string{"engine", "collation", "partitions"} {
		if schema.Value(from.Options, o) != schema.Value(to.Options, o) {
			return true
		}
	}
	if blocksChange(from, to) {
		return true
	}
	for _, c := range columns {
		a, b := from.Column(c), to.Column(c)
		if a == nil || b == nil || !equal(a, b) {
			return true
		}
	}
	overlaps := func(list []string) bool {
		return slices.ContainsFunc(list, func(c string) bool { return slices.Contains(columns, c) })
	}
	for _, pair := range [][2]*schema.Table{{from, to}, {to, from}} {
		for _, x := range pair[0].Indexes {
			if y := pair[1].Index(x.Name); overlaps(x.Columns) && (y == nil || !equal(x, y)) {
				return true
			}
		}
		for _, x := range pair[0].Constraints {
			if y := pair[1].Constraint(x.Name); x.Type == schema.PrimaryKey && overlaps(x.Columns) && (y == nil || !equal(x, y)) {
				return true
			}
		}
	}
	return false
}

func id(t string) string { return fmt.Sprintf("table %s", t) }
