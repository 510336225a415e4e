package recipe

import (
	"slices"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// edit is a model being changed: a copy of what is touched, the rest is shared with the model before.
type edit struct {
	database *schema.Database
	schemas  map[string]*schema.Schema
	tables   map[Table]*schema.Table
}

func newEdit(d *schema.Database) *edit {
	out := *d
	out.Schemas = slices.Clone(d.Schemas)
	return &edit{database: &out, schemas: map[string]*schema.Schema{}, tables: map[Table]*schema.Table{}}
}

// schema returns a schema that may be changed.
func (e *edit) schema(name string) *schema.Schema {
	if s := e.schemas[name]; s != nil {
		return s
	}
	i := slices.IndexFunc(e.database.Schemas, func(s *schema.Schema) bool { return s.Name == name })
	s := *e.database.Schemas[i]
	s.Types, s.Sequences, s.Tables = slices.Clone(s.Types), slices.Clone(s.Sequences), slices.Clone(s.Tables)
	s.Views, s.Routines, s.Items = slices.Clone(s.Views), slices.Clone(s.Routines), slices.Clone(s.Items)
	e.database.Schemas[i], e.schemas[name] = &s, &s
	return &s
}

// table returns a table that may be changed.
func (e *edit) table(name Table) *schema.Table {
	if t := e.tables[name]; t != nil {
		return t
	}
	s := e.schema(name.Schema)
	i := slices.IndexFunc(s.Tables, func(t *schema.Table) bool { return t.Name == name.Name })
	t := *s.Tables[i]
	t.Columns, t.Constraints, t.Indexes = slices.Clone(t.Columns), slices.Clone(t.Constraints), slices.Clone(t.Indexes)
	t.Triggers, t.Policies, t.Rules, t.Grants = slices.Clone(t.Triggers), slices.Clone(t.Policies), slices.Clone(t.Rules), slices.Clone(t.Grants)
	s.Tables[i], e.tables[name] = &t, &t
	return &t
}

// column returns a column that may be changed.
func (e *edit) column(name Table, column string) *schema.Column {
	t := e.table(name)
	i := slices.IndexFunc(t.Columns, func(c *schema.Column) bool { return c.Name == column })
	c := *t.Columns[i]
	t.Columns[i] = &c
	return &c
}

func (e *edit) dropColumn(name Table, column string) {
	t := e.table(name)
	t.Columns = slices.DeleteFunc(t.Columns, func(c *schema.Column) bool { return c.Name == column })
}

// freeColumn drops the constraints, indexes and grants that stand on a column.
func (e *edit) freeColumn(name Table, column string) {
	t := e.table(name)
	d := sqltoken.Of(e.database.Engine)
	about := func(columns []string, definition string) bool {
		return slices.Contains(columns, column) || sqltoken.Mentions(sqltoken.Split(definition, d), column, d)
	}
	t.Constraints = slices.DeleteFunc(t.Constraints, func(k *schema.Constraint) bool { return about(k.Columns, k.Definition) })
	t.Indexes = slices.DeleteFunc(t.Indexes, func(x *schema.Index) bool { return about(x.Columns, x.Definition) })
	t.Grants = slices.DeleteFunc(t.Grants, func(g *schema.Grant) bool { return g.Column == column })
}

// purgeColumn drops a column with what stands on it.
func (e *edit) purgeColumn(name Table, column string) {
	e.freeColumn(name, column)
	e.dropColumn(name, column)
}

func (e *edit) renameConstraint(name Table, from, to string) {
	t := e.table(name)
	for i, k := range t.Constraints {
		if k.Name == from {
			named := *k
			named.Name = to
			t.Constraints[i] = &named
		}
	}
}

func (e *edit) dropTrigger(name Table, trigger string) {
	t := e.table(name)
	t.Triggers = slices.DeleteFunc(t.Triggers, func(g *schema.Trigger) bool { return g.Name == trigger })
}

func (e *edit) dropRoutine(in, routine string) {
	s := e.schema(in)
	s.Routines = slices.DeleteFunc(s.Routines, func(r *schema.Routine) bool { return r.Name == routine })
}

func (e *edit) replaceRoutine(in string, routine *schema.Routine) {
	s := e.schema(in)
	s.Routines[slices.IndexFunc(s.Routines, func(r *schema.Routine) bool { return r.Name == routine.Name })] = routine
}

func (e *edit) dropView(in, view string) {
	s := e.schema(in)
	s.Views = slices.DeleteFunc(s.Views, func(v *schema.View) bool { return v.Name == view })
}

func (e *edit) dropTable(name Table) {
	s := e.schema(name.Schema)
	s.Tables = slices.DeleteFunc(s.Tables, func(t *schema.Table) bool { return t.Name == name.Name })
}

func (e *edit) dropPolicy(name Table, policy string) {
	t := e.table(name)
	t.Policies = slices.DeleteFunc(t.Policies, func(k *schema.Policy) bool { return k.Name == policy })
}
