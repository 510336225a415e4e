package recipe

import (
	"fmt"
	"slices"
	"strings"

	writer "github.com/switchbackdb/switchback/ddl/mysql"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// remake gives the operation of a table that the server would otherwise write anew while nobody uses it, for what no other
// operation is about. Where there are others on the table, a note says what contract keeps waiting.
func (t *tableDiffer) remake() {
	because := t.anew()
	if len(because) == 0 {
		return
	}
	op := Remake{Table: t.name, Form: t.after, Because: because}
	for _, other := range t.out.Operations {
		if other.on() == t.name {
			t.out.Notes = append(t.out.Notes, op.inPlace(fmt.Sprintf("%q is about the same table, and a second one beside it would not have it", other), "plan the two one after the other, each in a change of its own"))
			return
		}
	}
	t.add(op)
}

// anew says what differs for which the server would write a table anew.
func (t *tableDiffer) anew() []string {
	switch t.engine.name() {
	case "postgres":
		return t.anewOnPostgres()
	case "mysql", "mariadb":
		return t.anewOnMySQL()
	}
	return nil
}

func (t *tableDiffer) anewOnPostgres() []string {
	var out []string
	for _, c := range byName(t.after.Columns) {
		b := t.before.Column(c.Name)
		switch {
		case b == nil || inherited(c.Options) || inherited(b.Options):
		case b.Generated != "" && stored(c) && (b.Generated != c.Generated || b.Type != c.Type || b.Collation != c.Collation):
			out = append(out, "what "+word(c.Name)+" is computed by")
		case b.Collation != c.Collation && b.Type == c.Type && b.Generated == "" && c.Generated == "" && t.builtOn(c.Name):
			out = append(out, "the collation of "+word(c.Name))
		}
	}
	for _, name := range remadeOptions() {
		if schema.Value(t.before.Options, name) != schema.Value(t.after.Options, name) && schema.Value(t.before.Options, "partition key") == "" {
			out = append(out, "its "+name)
		}
	}
	return out
}

func stored(c *schema.Column) bool { return strings.HasSuffix(c.Generated, " stored") }

// builtOn tells whether an index, a constraint or a generated column goes by a column: where its collation changes, they
// are built or proven again.
func (t *tableDiffer) builtOn(column string) bool {
	d := sqltoken.Of(t.engine.name())
	for _, x := range t.before.Indexes {
		if mentions(x.Definition, column, d) {
			return true
		}
	}
	for _, k := range t.before.Constraints {
		if k.Type != schema.NotNull && mentions(k.Definition, column, d) {
			return true
		}
	}
	return slices.ContainsFunc(t.before.Columns, func(c *schema.Column) bool { return c.Generated != "" && mentions(c.Generated, column, d) })
}

func (t *tableDiffer) anewOnMySQL() []string {
	if schema.Value(t.before.Options, "engine") != "InnoDB" || schema.Value(t.after.Options, "engine") != "InnoDB" {
		return nil
	}
	var out []string
	old, parts := schema.Value(t.before.Options, "partitions"), schema.Value(t.after.Options, "partitions")
	if _, only := writer.AddedPartitions(old, parts); old != parts && !only && t.engine.name() == "mysql" {
		out = append(out, "its partitions")
	}
	before, after := schema.Value(t.before.Options, "collation"), schema.Value(t.after.Options, "collation")
	for _, c := range byName(t.after.Columns) {
		b := t.before.Column(c.Name)
		switch {
		case b == nil:
		case b.Generated != "" && c.Generated != "" && (b.Generated != c.Generated || b.Type != c.Type):
			if stored(b) || stored(c) || t.builtOn(c.Name) { // what is computed when it is read is exchanged at once
				out = append(out, "what "+word(c.Name)+" is computed by")
			}
		case byBytes.MatchString(c.Type) && c.Type != "json" && b.Type == c.Type && or(b.Collation, before) != or(c.Collation, after):
			out = append(out, "the collation of "+word(c.Name))
		}
	}
	return out
}
