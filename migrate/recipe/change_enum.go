package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// ChangeEnum gives an enum type other labels, or the same in another order. PostgreSQL can add labels to a type, and no
// more: the columns of the type get one of the new type beside them, as if the type of each was changed, and at contract
// the types change their names with the columns. Until then all versions of the application write the old labels.
type ChangeEnum struct {
	Type   Table // its schema and name
	Labels []string
	As     []Relabel // what becomes of labels that the type is not to have any more
}

// Relabel is a label and the one that rows have instead of it.
type Relabel struct{ From, To string }

// String implements Operation.
func (o ChangeEnum) String() string {
	quoted := func(label string) string { return "'" + strings.ReplaceAll(label, "'", "''") + "'" }
	text := fmt.Sprintf("change enum %s (%s)", o.Type, join(o.Labels, quoted))
	if len(o.As) > 0 {
		var pairs []string
		for _, a := range o.As {
			pairs = append(pairs, quoted(a.From)+" = "+quoted(a.To))
		}
		text += " as (" + strings.Join(pairs, ", ") + ")"
	}
	return text
}

func (ChangeEnum) on() Table { return Table{} }

// changeEnum is the new type, and the change of each column to it.
type changeEnum struct {
	nothing
	op         ChangeEnum
	in         string // the schema
	now        *schema.Type
	temp, past string // what the new type is called before contract, and the old one after it
	columns    []*reshape
}

func (o ChangeEnum) recipe(p *planner) (recipe, error) {
	if p.engine.name() != "postgres" {
		return nil, &Error{o, "an enum is a type with a name on PostgreSQL alone", "change the type of each column: change type TABLE.COLUMN TYPE"}
	}
	in, now, err := p.enum(o)
	if err != nil {
		return nil, err
	}
	o.Type.Schema = in
	r := &changeEnum{op: o, in: in, now: now, temp: fit(p.engine.limit(), newPrefix, now.Name), past: fit(p.engine.limit(), oldPrefix, now.Name)}
	for _, t := range p.now.Schema(in).Types {
		if t.Name == r.temp || t.Name == r.past {
			return nil, &Error{o, fmt.Sprintf("another change has made type %s already, in the place of %s or for it", word(t.Name), o.Type), "finish that change first: contract it, and then, once nobody will go back, switchback purge; or roll it back"}
		}
	}
	if err := r.labels(); err != nil {
		return nil, err
	}
	if err := r.users(p); err != nil {
		return nil, err
	}
	return r, nil
}

// enum finds the type.
func (p *planner) enum(o ChangeEnum) (in string, found *schema.Type, err error) {
	for _, s := range p.now.Schemas {
		if o.Type.Schema != "" && o.Type.Schema != s.Name {
			continue
		}
		for _, t := range s.Types {
			switch {
			case t.Name != o.Type.Name || t.Form != schema.Enum:
			case found != nil:
				return "", nil, &Error{o, fmt.Sprintf("there are types %s and %s", Table{in, t.Name}, Table{s.Name, t.Name}), "name the schema"}
			default:
				in, found = s.Name, t
			}
		}
	}
	if found == nil {
		return "", nil, &Error{o, fmt.Sprintf("there is no enum type %s", o.Type), "switchback schema show, for the types there are"}
	}
	return in, found, nil
}

// labels checks what is to become of each label.
func (r *changeEnum) labels() error {
	o := r.op
	for i, l := range o.Labels {
		if slices.Contains(o.Labels[:i], l) {
			return &Error{o, fmt.Sprintf("label %q is there twice", l), ""}
		}
	}
	for _, a := range o.As {
		switch {
		case !slices.Contains(r.now.Labels, a.From):
			return &Error{o, fmt.Sprintf("the type has no label %q", a.From), "the labels it has: " + strings.Join(r.now.Labels, ", ")}
		case !slices.Contains(o.Labels, a.To):
			return &Error{o, fmt.Sprintf("the type is to have no label %q", a.To), "rows get one of: " + strings.Join(o.Labels, ", ")}
		}
	}
	for _, l := range r.now.Labels {
		if _, ok := r.instead(l); !ok {
			return &Error{o, fmt.Sprintf("the type is not to have label %q any more: what do rows that have it get?", l), fmt.Sprintf("say it, as in: --op \"%s\"", ChangeEnum{o.Type, o.Labels, append(slices.Clone(o.As), Relabel{l, o.Labels[0]})})}
		}
	}
	if slices.Equal(r.now.Labels, o.Labels) {
		return &Error{o, "the type has these labels already", ""}
	}
	return nil
}

// instead is what becomes of a label of the old type.
func (r *changeEnum) instead(label string) (string, bool) {
	for _, a := range r.op.As {
		if a.From == label {
			return a.To, true
		}
	}
	return label, slices.Contains(r.op.Labels, label)
}

func (r *changeEnum) key(name string) schema.Key {
	return schema.Key{Schema: r.in, Kind: schema.KindType, Name: name}
}

func (r *changeEnum) full(p *planner, name string) string { return p.engine.table(Table{r.in, name}) }

// users finds the columns of the type. What else is bound to it would be so to the old one for ever.
func (r *changeEnum) users(p *planner) error {
	for _, s := range p.now.Schemas {
		for _, t := range s.Tables {
			for _, c := range t.Columns {
				if !slices.Contains(c.Needs, r.key(r.now.Name)) || inherited(c.Options) {
					continue
				}
				if err := r.add(p, Table{s.Name, t.Name}, t, c); err != nil {
					return err
				}
			}
		}
	}
	if len(r.columns) == 0 {
		return &Error{r.op, "no column is of the type", "make it anew in a change of your own: switchback new"}
	}
	return r.bound(p)
}

// bound refuses what is bound to the type, other than columns and what reads these.
func (r *changeEnum) bound(p *planner) error {
	var again []string
	for _, v := range p.dependentsOf(r.moves()).views {
		again = append(again, v.in.String())
	}
	var err error
	eachObject(p.now, func(k schema.Key, o schema.Object) {
		name := Table{k.Schema, k.Name}.String()
		if err == nil && k.Kind != schema.KindTable && slices.Contains(needsOf(o), r.key(r.now.Name)) && !slices.Contains(again, name) {
			err = &Error{r.op, fmt.Sprintf("%s %s is bound to the type, and would stay so to the one in the attic", k.Kind, k.Schema+"."+k.Name), "drop it in a change of its own before, and make it again after this one"}
		}
	})
	return err
}

// add plans a column of the type.
func (r *changeEnum) add(p *planner, table Table, t *schema.Table, c *schema.Column) error {
	full := r.full(p, r.now.Name)
	if c.Type != full || c.Generated != "" {
		return &Error{r.op, fmt.Sprintf("column %s.%s is %s, which is bound to the type", table, word(c.Name), c.Type), "give it another type, such as text, in a change of its own"}
	}
	for _, op := range p.draft.Operations {
		if on, _, err := p.table(op, op.on()); err == nil && on == table && slices.Contains(replaces(op), c.Name) {
			return &Error{r.op, fmt.Sprintf("the same change has: %s", op), "make changes of their own of them, one after the other"}
		}
	}
	temp := fit(p.engine.limit(), newPrefix, c.Name)
	added := successor(c, temp)
	added.Type, added.Needs = r.full(p, r.temp), []schema.Key{r.key(r.temp)}
	added.Default = r.constant(p, c.Default)
	s, err := newReshape(p, r.op, table, &rule{
		old: []string{c.Name}, new: []string{temp}, hidden: true, renamed: only(temp, c.Name),
		up: only(temp, r.up(p, c.Name)), down: only(c.Name, r.down(p, temp, c.NotNull)),
		retyped: map[string]string{full: r.full(p, r.past), r.full(p, r.temp): full},
	}, columns(added))
	if err != nil {
		return err
	}
	for _, k := range t.Constraints {
		if err := r.known(p, table, "constraint "+word(k.Name), k.Definition); err != nil {
			return err
		}
	}
	for _, x := range t.Indexes {
		if err := r.known(p, table, "index "+word(x.Name), x.Definition); err != nil {
			return err
		}
	}
	s.total, s.same[c.Name] = true, temp
	r.columns = append(r.columns, s)
	return nil
}

// known refuses a definition with a label that the type is not to have.
func (r *changeEnum) known(p *planner, table Table, what, definition string) error {
	for _, l := range r.now.Labels {
		if !slices.Contains(r.op.Labels, l) && strings.Contains(definition, p.engine.literal(l)+"::"+r.full(p, r.now.Name)) {
			return &Error{r.op, fmt.Sprintf("%s of %s names %s, which the type is not to have any more", what, table, p.engine.literal(l)), "drop or replace it in a change of its own first"}
		}
	}
	return nil
}

// constant is a default of the new type.
func (r *changeEnum) constant(p *planner, text string) string {
	for _, l := range r.now.Labels {
		if text == p.engine.literal(l)+"::"+r.full(p, r.now.Name) {
			to, _ := r.instead(l)
			return p.engine.literal(to) + "::" + r.full(p, r.temp)
		}
	}
	return recast(p.engine, text, map[string]string{r.full(p, r.now.Name): r.full(p, r.temp)})
}

// up is the new label of a row.
func (r *changeEnum) up(p *planner, column string) string {
	return r.relabelled(p, column, r.now.Labels, r.instead, r.full(p, r.temp))
}

// down is the old label of a row. One that the old type does not have becomes NULL, or its first.
func (r *changeEnum) down(p *planner, column string, notNull bool) string {
	text := r.relabelled(p, column, r.op.Labels, func(l string) (string, bool) { return l, slices.Contains(r.now.Labels, l) }, r.full(p, r.now.Name))
	if notNull && slices.ContainsFunc(r.op.Labels, func(l string) bool { return !slices.Contains(r.now.Labels, l) }) {
		return fmt.Sprintf("coalesce(%s, CAST(%s AS %s))", text, p.engine.literal(r.now.Labels[0]), r.full(p, r.now.Name))
	}
	return text
}

// relabelled is a column by way of text, with another label for those that change; none for those that go nowhere.
func (*changeEnum) relabelled(p *planner, column string, labels []string, to func(string) (string, bool), typ string) string {
	words := "CAST(" + p.engine.quote(column) + " AS text)"
	var whens []string
	for _, l := range labels {
		switch now, ok := to(l); {
		case !ok:
			whens = append(whens, fmt.Sprintf("WHEN %s THEN NULL", p.engine.literal(l)))
		case now != l:
			whens = append(whens, fmt.Sprintf("WHEN %s THEN %s", p.engine.literal(l), p.engine.literal(now)))
		}
	}
	if len(whens) > 0 {
		words = fmt.Sprintf("CASE %s %s ELSE %s END", words, strings.Join(whens, " "), words)
	}
	return fmt.Sprintf("CAST(%s AS %s)", words, typ)
}

func (r *changeEnum) expand(p *planner) error {
	p.saying = "It takes the other's name at contract."
	err := p.step(nil, func(e *edit) {
		next := *r.now
		next.Name, next.Labels = r.temp, r.op.Labels
		in := e.schema(r.in)
		in.Types = append(in.Types, &next)
	})
	p.saying = ""
	if err != nil {
		return err
	}
	return r.each(func(c *reshape) error {
		if err := c.expand(p); err != nil {
			return err
		}
		s, err := p.sync(r.op, c.table)
		if err != nil {
			return err
		}
		s.retyped = map[string]string{r.full(p, r.now.Name): r.full(p, r.temp)}
		r.count(p, c, s.key)
		return nil
	})
}

// count has the rows counted that get another label. The new type is not there yet, so they are asked for by their text.
func (r *changeEnum) count(p *planner, c *reshape, key []string) {
	if len(r.op.As) == 0 {
		return
	}
	text := "CAST(" + p.engine.quote(c.rule.old[0]) + " AS text)"
	gone := join(r.op.As, func(a Relabel) string { return p.engine.literal(a.From) })
	from := fmt.Sprintf("FROM %s\nWHERE %s IN (%s)", p.engine.table(c.table), text, gone)
	p.draft.Checks = append(p.draft.Checks, Check{
		What:  fmt.Sprintf("rows of %s have a label in %s that goes, and get another; a rollback keeps what they had", c.table, word(c.rule.old[0])),
		Count: "SELECT count(*)\n" + from,
		Rows:  fmt.Sprintf("SELECT %s\n%s\nLIMIT 5", join(append(slices.Clone(key), c.rule.old[0]), p.engine.quote), from),
	})
}

func (r *changeEnum) each(do func(*reshape) error) error {
	for _, c := range r.columns {
		if err := do(c); err != nil {
			return fmt.Errorf("column %s.%s: %w", c.table, c.rule.old[0], err)
		}
	}
	return nil
}

func (r *changeEnum) fill(p *planner) error {
	return r.each(func(c *reshape) error { return c.fill(p) })
}

func (r *changeEnum) moves() []move {
	var out []move
	for _, c := range r.columns {
		out = append(out, c.moves()...)
	}
	return out
}

func (r *changeEnum) contract(p *planner) error {
	if err := r.each(func(c *reshape) error { return c.contract(p) }); err != nil {
		return err
	}
	rename := func(from, to string) Statement {
		return Statement{SQL: fmt.Sprintf("ALTER TYPE %s RENAME TO %s", r.full(p, from), p.engine.quote(to)), Why: "Changes the catalogue only."}
	}
	p.raw(
		[]Statement{rename(r.now.Name, r.past), rename(r.temp, r.now.Name)},
		[]Statement{rename(r.now.Name, r.temp), rename(r.past, r.now.Name)},
		func(e *edit) {
			e.renameType(p.engine, r.in, r.now.Name, r.past)
			e.renameType(p.engine, r.in, r.temp, r.now.Name)
		})
	return nil
}

func (r *changeEnum) settle(p *planner) error {
	return r.each(func(c *reshape) error { return c.settle(p) })
}

func (r *changeEnum) purge(p *planner) error {
	if err := r.each(func(c *reshape) error { return c.purge(p) }); err != nil {
		return err
	}
	return p.step(nil, func(e *edit) {
		in := e.schema(r.in)
		in.Types = slices.DeleteFunc(in.Types, func(t *schema.Type) bool { return t.Name == r.past })
	})
}

// renameType gives a type another name, also where tables name it.
func (e *edit) renameType(g engine, in, from, to string) {
	s := e.schema(in)
	for i, t := range s.Types {
		if t.Name == from {
			named := *t
			named.Name = to
			s.Types[i] = &named
		}
	}
	names := map[string]string{g.table(Table{in, from}): g.table(Table{in, to})}
	key := schema.Key{Schema: in, Kind: schema.KindType, Name: from}
	for _, s := range e.database.Schemas {
		for _, t := range s.Tables {
			if slices.ContainsFunc(t.Columns, func(c *schema.Column) bool { return slices.Contains(c.Needs, key) }) {
				e.retype(g, Table{s.Name, t.Name}, key, to, names)
			}
		}
	}
}

// retype has a table name a type by another name.
func (e *edit) retype(g engine, name Table, key schema.Key, to string, names map[string]string) {
	t := e.table(name)
	for _, c := range slices.Clone(t.Columns) {
		i := slices.Index(c.Needs, key)
		if i < 0 {
			continue
		}
		own := e.column(name, c.Name)
		own.Needs = slices.Clone(c.Needs)
		own.Needs[i].Name = to
		if now, ok := names[own.Type]; ok {
			own.Type = now
		}
		own.Default = recast(g, own.Default, names)
	}
	for i, k := range t.Constraints {
		if text := recast(g, k.Definition, names); text != k.Definition {
			own := *k
			own.Definition = text
			t.Constraints[i] = &own
		}
	}
	for i, x := range t.Indexes {
		if text := recast(g, x.Definition, names); text != x.Definition {
			own := *x
			own.Definition = text
			t.Indexes[i] = &own
		}
	}
}

// recast writes a text with other types in its casts. Types are named with their schemas, as the server writes them.
func recast(g engine, text string, names map[string]string) string {
	if len(names) == 0 {
		return text
	}
	d := sqltoken.Of(g.name())
	return sqltoken.Replace(text, d, func(list []sqltoken.Token, i int) (string, bool) {
		if i < 3 || !list[i].IsName() || !list[i-1].IsSign(".") || !list[i-3].IsSign("::") && !list[i-3].IsSign(":") && !list[i-3].Is("as") {
			return "", false
		}
		for from, to := range names {
			if list[i-2].Raw+"."+list[i].Raw == from {
				return strings.TrimPrefix(to, list[i-2].Raw+"."), true
			}
		}
		return "", false
	})
}
