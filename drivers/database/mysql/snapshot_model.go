package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	ddlmysql "github.com/switchbackdb/switchback/ddl/mysql"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// tableStatement begins the names under which a manifest keeps the statements of our own tables, which are no part of
// the model.
const tableStatement = "table "

// ours tells whether a table is one of ours, or one that a contract has put away.
func ours(name string) bool { return strings.HasPrefix(name, "switchback_") }

// copied tells whether the rows of a table are part of a snapshot: of our own the journal is, and the attic.
func copied(name string) bool {
	return !ours(name) || name == "switchback_journal" || name == "switchback_meta" || strings.HasPrefix(name, "switchback_old_")
}

// inspectAll is Inspect with our own tables.
func (d *Database) inspectAll(ctx context.Context) (*schema.Database, error) {
	return d.inspectStable(ctx, true)
}

// inspectQuiet is inspectAll where nobody else alters anything.
func (d *Database) inspectQuiet(ctx context.Context) (*schema.Database, error) {
	return inspect(ctx, d.reader, true)
}

// visible is the part of a model that Inspect shows.
func visible(all *schema.Database) *schema.Database {
	model := clone(all)
	s := model.Schemas[0]
	s.Tables = slices.DeleteFunc(s.Tables, func(t *schema.Table) bool { return ours(t.Name) })
	s.Views = slices.DeleteFunc(s.Views, func(v *schema.View) bool { return ours(v.Name) })
	s.Sequences = slices.DeleteFunc(s.Sequences, func(q *schema.Sequence) bool { return ours(q.Name) })
	s.Items = slices.DeleteFunc(s.Items, func(i *schema.Item) bool { return ours(i.Name) })
	s.Routines = slices.DeleteFunc(s.Routines, func(r *schema.Routine) bool {
		_, name, _ := strings.Cut(r.Name, " ")
		return ours(name)
	})
	return model
}

// clone copies a model. It is plain data, so its document is all of it.
func clone(d *schema.Database) *schema.Database {
	text, err := json.Marshal(d)
	if err != nil {
		panic(err) // of nothing but texts, numbers and lists
	}
	c := &schema.Database{}
	if err := json.Unmarshal(text, c); err != nil {
		panic(err)
	}
	if len(c.Schemas) == 0 {
		c.Schemas = []*schema.Schema{{Name: "main"}}
	}
	return c
}

// The stages in which a database is made: of its tables before the rows, then what follows them.
const (
	stageBare     = iota // tables with primary keys and checks, sequences, and the functions that these need
	stageIndexes         // and all indexes
	stageKeys            // and foreign keys
	stagePrograms        // and views, routines, triggers and events, which are switched off
)

// cutTo is the model as it is at a stage. Tables for which full is true have their indexes from the beginning.
func cutTo(model *schema.Database, stage int, full func(table string) bool) *schema.Database {
	m := clone(model)
	s := m.Schemas[0]
	for _, t := range s.Tables {
		if stage < stageIndexes && !full(t.Name) {
			t.Indexes = slices.DeleteFunc(t.Indexes, func(x *schema.Index) bool { return !needed(t, x) })
		}
		t.Constraints = slices.DeleteFunc(t.Constraints, func(c *schema.Constraint) bool { return c.Type == schema.ForeignKey && stage < stageKeys })
		if stage < stagePrograms {
			t.Triggers = nil
		}
	}
	if stage < stagePrograms {
		s.Views, s.Routines = nil, nil
		s.Items = slices.DeleteFunc(s.Items, func(i *schema.Item) bool { return i.Of == schema.KindEvent || i.Of == schema.KindPackage })
	}
	for _, i := range s.Items {
		switchOff(i)
	}
	// A routine that is made gets its grants with it, and the accounts may not be there.
	for _, r := range s.Routines {
		r.Grants = nil
	}
	return m
}

// needed tells whether a table cannot be made without an index: one that begins with the column that
// counts by itself, unless the primary key does, and that of a period.
func needed(t *schema.Table, x *schema.Index) bool {
	if strings.Contains(x.Definition, "OVERLAPS") {
		return true
	}
	if len(x.Columns) == 0 {
		return false
	}
	c := t.Column(x.Columns[0])
	if c == nil || schema.Value(c.Options, "auto_increment") == "" {
		return false
	}
	key := t.Constraint("PRIMARY")
	return key == nil || key.Columns[0] != c.Name
}

// switchOff makes an event one that does not run.
func switchOff(i *schema.Item) {
	if i.Of != schema.KindEvent || strings.Contains(i.Definition, " DISABLE") {
		return
	}
	i.Definition = strings.Replace(i.Definition, " DO\n", " DISABLE DO\n", 1)
}

// scriptTo is the script that turns one model into another, without grants: those belong to the accounts of a
// server, and stay as they are there.
func scriptTo(from, to *schema.Database) (*ddl.Script, error) {
	r, err := diff.Compare(from, to, diff.Options{NoGrants: true})
	if err != nil {
		return nil, err
	}
	s, err := ddlmysql.Writer{}.Script(r)
	if err != nil {
		return nil, err
	}
	if len(s.Notes) > 0 {
		return nil, fmt.Errorf("the schema cannot be made: %s", strings.Join(s.Notes, "; "))
	}
	return s, nil
}

// grantsOf gives a model the grants of another.
func grantsOf(model, from *schema.Database) {
	s, f := model.Schemas[0], from.Schemas[0]
	s.Grants = f.Grants
	for _, t := range s.Tables {
		t.Grants = nil
		if x := f.Table(t.Name); x != nil {
			t.Grants = x.Grants
		}
	}
	for _, v := range s.Views {
		v.Grants = nil
		if x := f.View(v.Name); x != nil {
			v.Grants = x.Grants
		}
	}
	for _, r := range s.Routines {
		r.Grants = nil
		for _, x := range f.Routines {
			if x.Name == r.Name {
				r.Grants = x.Grants
			}
		}
	}
	for _, q := range s.Sequences {
		q.Grants = nil
		for _, x := range f.Sequences {
			if x.Name == q.Name {
				q.Grants = x.Grants
			}
		}
	}
}

// switchOnLike switches those events on that are switched off in a model for no other reason than that it is a site's.
func switchOnLike(model, from *schema.Database) {
	for _, i := range model.Schemas[0].Items {
		for _, x := range from.Schemas[0].Items {
			off := *x
			if switchOff(&off); x.Of == i.Of && x.Name == i.Name && off.Definition == i.Definition {
				i.Definition = x.Definition
			}
		}
	}
}
