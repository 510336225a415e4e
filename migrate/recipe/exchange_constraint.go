package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// exchangeConstraint gives a constraint another definition at contract, in one statement or with another one in its place meanwhile,
// so that there is no moment without it. That is for engines on which none can be renamed, so that there cannot be two of it, one
// of which takes the other's name later; and for foreign keys that only act otherwise on the same rows: with both there, a delete
// by the old version would follow one of them.
type exchangeConstraint struct {
	addConstraint // as it is to be
	old           *schema.Constraint
}

// fill asks early whether a row is against it: until contract nothing keeps such rows away.
func (r *exchangeConstraint) fill(p *planner) error {
	if sameReference(r.table, r.old, &r.op.Constraint) {
		return nil
	}
	if s, ok := r.against(p); ok {
		p.scripts.step([]Statement{s}, nil)
	}
	return nil
}

// settle is where SQLite writes the table anew, in the transaction of contract.
func (r *exchangeConstraint) settle(p *planner) error {
	k := r.op.Constraint
	switch {
	case p.rebuilds():
		return p.step(nil, r.exchanged)
	case p.engine.name() == "postgres":
		k.Comment = p.commentOf(r.old, &k)
		p.raw(r.validated(p, &k), r.validated(p, r.old), func(e *edit) { exchange(e.table(r.table), &k) })
		return nil
	case k.Type == schema.ForeignKey:
		return r.guarded(p)
	}
	beside := false
	if p.engine.name() == "mariadb" {
		beside = p.copiesForChecks(r.table, k.Name)
	} else {
		p.note("MySQL copies %s for the check %s while writes wait, at contract and on the way back from it.", r.table, word(k.Name))
	}
	p.raw([]Statement{r.both(p, r.old, &k, beside)}, []Statement{r.both(p, &k, r.old, beside)}, r.exchanged)
	return nil
}

func (r *exchangeConstraint) exchanged(e *edit) {
	next := r.op.Constraint
	exchange(e.table(r.table), &next)
}

// exchange puts a constraint in the place of the one of its name.
func exchange(t *schema.Table, next *schema.Constraint) {
	for i, k := range t.Constraints {
		if k.Name == next.Name {
			t.Constraints[i] = next
		}
	}
}

// commentOf is the comment that a constraint has which takes another one's place: its own where the whole schema is wanted, and
// else that of the other.
func (p *planner) commentOf(old, next *schema.Constraint) string {
	if p.settles() {
		return next.Comment
	}
	return old.Comment
}

// commented gives a constraint of PostgreSQL the comment that went with the one before it.
func commented(p *planner, table Table, k *schema.Constraint) []Statement {
	if k.Comment == "" {
		return nil
	}
	return []Statement{{SQL: fmt.Sprintf("COMMENT ON CONSTRAINT %s ON %s IS %s", p.engine.quote(k.Name), p.engine.table(table), p.engine.literal(k.Comment))}}
}

// both drops a check and adds it in its other form.
func (r *exchangeConstraint) both(p *planner, from, to *schema.Constraint, beside bool) Statement {
	name := p.engine.quote(to.Name)
	lock, why := "SHARED", "The rule is never missing. The table is copied, and writes to it wait. Fails when a row is against it, and then nothing is changed."
	if beside {
		lock, why = "NONE", online
	}
	return Statement{
		SQL: fmt.Sprintf("ALTER TABLE %s\n  ALGORITHM=COPY,\n  LOCK=%s,\n  DROP CONSTRAINT %s,\n  ADD CONSTRAINT %s %s", p.engine.table(r.table), lock, p.engine.quote(from.Name), name, to.Definition),
		Why: why,
	}
}

// validated exchanges a foreign key on PostgreSQL. The rows obey both; reading them says so to the planner of queries.
func (r *exchangeConstraint) validated(p *planner, to *schema.Constraint) []Statement {
	table, name := p.engine.table(r.table), p.engine.quote(to.Name)
	return append([]Statement{
		{
			SQL: fmt.Sprintf("ALTER TABLE %s\n  DROP CONSTRAINT %s,\n  ADD CONSTRAINT %s %s NOT VALID", table, name, name, to.Definition),
			Why: "The rule is never missing: one takes the other's place. Rows that are there are not read yet.",
		},
		{
			SQL: fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", table, name), Outside: true,
			Why: "Reads the table while others write to it.",
		},
	}, commented(p, r.table, to)...)
}

// guarded exchanges a foreign key, each statement of which changes the catalogue only: another one like it stands in its place
// meanwhile. MySQL and MariaDB take no two of a name in one statement.
func (r *exchangeConstraint) guarded(p *planner) error {
	next := r.op.Constraint
	forward, ok := r.by(p, r.old, &next)
	back, known := r.by(p, &next, r.old)
	if !ok || !known {
		return p.step(nil, r.exchanged)
	}
	p.raw(forward, back, r.exchanged)
	return nil
}

func (r *exchangeConstraint) by(p *planner, from, to *schema.Constraint) ([]Statement, bool) {
	found, ok := (&addConstraint{op: AddConstraint{Constraint: *to}, table: r.table}).against(p)
	if !ok {
		return nil, false
	}
	name := fit(p.engine.limit(), newPrefix, to.Name)
	guard, added := addedInPlace(p.engine, r.table, name, to), addedInPlace(p.engine, r.table, to.Name, to)
	guard.Why = "Stands in for the other while that is exchanged. Rows that are there are not read."
	added.Why = "No row can be written that is against it; those that are there are not read yet."
	drop := func(name, why string) Statement {
		s := inPlace(p.engine, r.table, "DROP FOREIGN KEY "+p.engine.quote(name))
		s.Why = why
		return s
	}
	found.Why = "Rows that were there before. Reads both tables without a lock."
	return append(unchecked(guard, drop(from.Name, "Its stand-in keeps rows without a parent away."), added, drop(name, "It has done its work.")), found), true
}

// sameReference tells whether two constraints of a table are foreign keys that any row obeys both of, or none.
func sameReference(table Table, a, b *schema.Constraint) bool {
	valid := func(k *schema.Constraint) bool {
		return k.Type == schema.ForeignKey && k.References != nil && !strings.Contains(k.Definition, " MATCH ") && !strings.HasSuffix(k.Definition, " NOT VALID") && !strings.HasSuffix(k.Definition, " NOT ENFORCED")
	}
	return valid(a) && valid(b) && slices.Equal(a.Columns, b.Columns) && or(a.References.Schema, table.Schema) == or(b.References.Schema, table.Schema) &&
		a.References.Table == b.References.Table && slices.Equal(a.References.Columns, b.References.Columns)
}

// exchangeable refuses a constraint that cannot be exchanged.
func exchangeable(op ReplaceConstraint, old *schema.Constraint) error {
	k := op.Constraint
	switch {
	case old.Type != k.Type:
		return &Error{op, fmt.Sprintf("what is called so is of another kind: %s", strings.ToLower(old.Type)), "drop it and add the other, each in a change of its own"}
	case k.Type == schema.ForeignKey && !slices.Equal(k.Columns, old.Columns):
		return &Error{op, "it is on other columns", "drop it and add the other, each in a change of its own"}
	}
	return nil
}
