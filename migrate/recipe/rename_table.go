package recipe

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// RenameTable gives a table another name. Until contract a view that can be written to has the new one.
type RenameTable struct {
	Table Table
	To    string
}

// String implements Operation.
func (o RenameTable) String() string { return fmt.Sprintf("rename table %s %s", o.Table, word(o.To)) }

type renameTable struct {
	nothing
	op    RenameTable
	table Table
	view  *schema.View
}

func (o RenameTable) on() Table { return o.Table }

func (o RenameTable) recipe(p *planner) (recipe, error) {
	table, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	if s := p.now.Schema(table.Schema); s.Table(o.To) != nil || s.View(o.To) != nil {
		return nil, &Error{o, fmt.Sprintf("there is a %s already", word(o.To)), ""}
	}
	if err := settledTable(o, table, t); err != nil {
		return nil, err
	}
	var columns []string
	for _, c := range t.Columns {
		columns = append(columns, p.engine.quote(c.Name))
	}
	v := &schema.View{
		Name: o.To, Owner: t.Owner, Grants: t.Grants, Definition: fmt.Sprintf("SELECT %s\nFROM %s", strings.Join(columns, ", "), p.engine.table(table)),
		Needs: []schema.Key{{Schema: table.Schema, Kind: schema.KindTable, Name: table.Name}},
	}
	p.engine.updatable(v)
	if w, ok := p.engine.(interface {
		updatableOver(v *schema.View, t *schema.Table, key []string)
	}); ok {
		key := viewKey(t)
		if key == nil {
			return nil, &Error{o, fmt.Sprintf("table %s has no primary key, so a view could not tell which of its rows is written", table), "give it a key first, in a change of its own"}
		}
		w.updatableOver(v, t, key)
		p.note("Until contract, %s is a view: there, RETURNING and last_insert_rowid() do not tell the key of a new row, and SQLite refuses ON CONFLICT clauses that name columns.", word(o.To))
	}
	return &renameTable{op: o, table: table, view: v}, nil
}

// settledTable refuses a table that another change has on its way or in the attic: the scripts which that one still
// has to run name the table.
func settledTable(op Operation, name Table, t *schema.Table) error {
	for _, o := range t.Children() {
		if isOurs(o) {
			return &Error{op, fmt.Sprintf("another change has not done with table %s: it made %s", name, word(o.ObjectName())), "finish that change first: contract it, and then, once nobody will go back, switchback purge; or roll it back"}
		}
	}
	return nil
}

func (r *renameTable) expand(p *planner) error {
	p.saying = "Both names are there: what is written to one is written to the other."
	defer func() { p.saying = "" }()
	return p.step(nil, func(e *edit) {
		s := e.schema(r.table.Schema)
		s.Views = append(s.Views, r.view)
	})
}

// settle is contract where each statement takes effect by itself: no moment may pass without either name.
func (r *renameTable) settle(p *planner) error {
	if !p.engine.locksGroups() {
		return nil
	}
	e := p.engine
	name := func(t string) string { return e.table(Table{r.table.Schema, t}) }
	view := func(called, of string) Statement {
		v := *r.view
		return Statement{
			SQL: fmt.Sprintf("CREATE SQL SECURITY INVOKER VIEW %s AS\n%s", name(called), strings.TrimSuffix(v.Definition, name(r.table.Name))+name(of)),
			Why: "Changes the catalogue only.",
		}
	}
	leaves := func(t string) string { return fit(e.limit(), oldPrefix, t) }
	comes := fit(e.limit(), newPrefix, r.op.To)
	const swap = "All at once: no statement finds a name missing."
	const gone = "Nobody reads it any more. No row is in it."
	without := newEdit(p.now)
	without.dropView(r.table.Schema, r.op.To)
	next, err := diff.Renamed(without.database, []diff.Rename{{Kind: schema.KindTable, Schema: r.table.Schema, From: r.table.Name, To: r.op.To}})
	if err != nil {
		return err
	}
	p.raw([]Statement{
		{SQL: fmt.Sprintf("RENAME TABLE %s TO %s, %s TO %s", name(r.op.To), name(leaves(r.op.To)), name(r.table.Name), name(r.op.To)), Why: swap},
		{SQL: "DROP VIEW " + name(leaves(r.op.To)), Why: gone},
	}, []Statement{
		view(r.table.Name, r.op.To),
		view(comes, r.table.Name),
		{SQL: fmt.Sprintf("RENAME TABLE %s TO %s, %s TO %s, %s TO %s", name(r.table.Name), name(leaves(r.table.Name)), name(r.op.To), name(r.table.Name), name(comes), name(r.op.To)), Why: swap},
		{SQL: "DROP VIEW " + name(leaves(r.table.Name)), Why: gone},
	}, func(d *edit) { d.database = next })
	return nil
}

func (r *renameTable) contract(p *planner) error {
	if p.engine.locksGroups() {
		return nil
	}
	p.saying = "The view makes room for the table. No row is in it."
	defer func() { p.saying = "" }()
	if err := p.step(nil, func(e *edit) { e.dropView(r.table.Schema, r.op.To) }); err != nil {
		return err
	}
	p.saying = "Changes the catalogue only."
	return p.rename([]diff.Rename{{Kind: schema.KindTable, Schema: r.table.Schema, From: r.table.Name, To: r.op.To}})
}

// DropTable drops a table: at contract it goes to the attic, under another name, until purge.
type DropTable struct{ Table Table }

// String implements Operation.
func (o DropTable) String() string { return fmt.Sprintf("drop table %s", o.Table) }

type dropTable struct {
	nothing
	op    DropTable
	table Table
	attic string
}

func (o DropTable) on() Table { return o.Table }

func (o DropTable) recipe(p *planner) (recipe, error) {
	table, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	if err := settledTable(o, table, t); err != nil {
		return nil, err
	}
	attic := fit(p.engine.limit(), oldPrefix, table.Name)
	if p.now.Schema(table.Schema).Table(attic) != nil {
		return nil, &Error{o, fmt.Sprintf("the attic holds a table %s already", word(table.Name)), "switchback purge, for the change that put it there"}
	}
	for _, in := range p.now.Schemas {
		for _, t := range in.Tables {
			for _, k := range t.Constraints {
				here := Table{in.Name, t.Name}
				if p.target == nil && here != table && k.References != nil && k.References.Table == table.Name && or(k.References.Schema, in.Name) == table.Schema {
					return nil, &Error{o, fmt.Sprintf("foreign key %s of %s points to it", word(k.Name), here), fmt.Sprintf("drop constraint %s.%s first, in a change of its own", here, word(k.Name))}
				}
			}
		}
	}
	return &dropTable{op: o, table: table, attic: attic}, nil
}

// ready drops the table's foreign keys, or rows of the tables they point to could not be deleted any more. It is done by
// itself, so that the rollback proves them without the lock that the name needs.
func (r *dropTable) ready(p *planner) error {
	if p.rebuilds() { // it is one transaction
		return nil
	}
	return p.dropForeignKeys(r.table, r.foreignKeys(p))
}

func (r *dropTable) foreignKeys(p *planner) (keys []*schema.Constraint) {
	for _, k := range p.now.Schema(r.table.Schema).Table(r.table.Name).Constraints {
		if k.Type == schema.ForeignKey {
			keys = append(keys, k)
		}
	}
	return keys
}

func (r *dropTable) contract(p *planner) error {
	if p.locks != nil { // a table that is locked by its name cannot get another one
		return nil
	}
	return r.putAway(p)
}

func (r *dropTable) settle(p *planner) error {
	if p.now.Schema(r.table.Schema).Table(r.table.Name) == nil {
		return nil // it is done
	}
	return r.putAway(p)
}

func (r *dropTable) putAway(p *planner) error {
	if p.rebuilds() {
		if err := p.dropForeignKeys(r.table, r.foreignKeys(p)); err != nil {
			return err
		}
	}
	p.saying = "Into the attic, with all its rows. Changes the catalogue only."
	defer func() { p.saying = "" }()
	return p.rename([]diff.Rename{{Kind: schema.KindTable, Schema: r.table.Schema, From: r.table.Name, To: r.attic}})
}

func (r *dropTable) purge(p *planner) error {
	return p.step(nil, func(e *edit) { e.dropTable(Table{r.table.Schema, r.attic}) })
}
