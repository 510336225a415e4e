package recipe

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// replaceKey gives a table of PostgreSQL another primary key. There cannot be two, but its index can be there before: built while
// others write, and taken for the key by the statement that drops the old one. So rows are never without a key, nor do statements
// with ON CONFLICT look for one in vain (https://www.postgresql.org/docs/current/sql-altertable.html has it as an example).
type replaceKey struct {
	nothing
	op    ReplaceConstraint
	table Table
	old   *schema.Constraint
}

// plainKey is a primary key that is nothing but its index. The first group is what the index is on.
var plainKey = regexp.MustCompile(`(?is)^PRIMARY KEY (\([^()]+\)(?: INCLUDE \([^()]+\))?)$`)

// keyReplaceable tells whether a primary key can be replaced without a moment without one: it is the only one that knows of its
// index, and the index can be built while others write.
func keyReplaceable(e engine, d *schema.Database, table Table, t *schema.Table, old, next *schema.Constraint) bool {
	plain := func(k *schema.Constraint) bool {
		return k.Type == schema.PrimaryKey && len(k.Options) == 0 && plainKey.MatchString(k.Definition) && !strings.Contains(k.Definition, " WITHOUT OVERLAPS")
	}
	if e.name() != "postgres" || !plain(old) || !plain(next) {
		return false
	}
	for _, option := range []string{"partition key", "partition of", "of type", "replica identity", "cluster on"} { // the last two may name the index
		if schema.Value(t.Options, option) != "" {
			return false
		}
	}
	free := true
	eachForeignKey(d, func(_ Table, _ *schema.Constraint, to Table) { free = free && to != table })
	return free
}

func newReplaceKey(p *planner, o ReplaceConstraint, table Table, t *schema.Table, old *schema.Constraint) (recipe, error) {
	if !p.settles() { // which sets them NOT NULL before
		for _, name := range o.Constraint.Columns {
			if t.Column(name) == nil {
				return nil, &Error{o, fmt.Sprintf("table %s has no column %s", table, word(name)), "switchback schema show " + table.String()}
			}
		}
		if err := demandsValues(o, t, o.Constraint.Columns); err != nil {
			return nil, err
		}
	}
	r := &replaceKey{op: o, table: table, old: old}
	return r, p.vacant(o, table, old.Name, r.temporary(p, newPrefix), r.temporary(p, oldPrefix))
}

// keyIndex is the index of a key, under a name.
func (r *replaceKey) keyIndex(p *planner, k *schema.Constraint, name string) string {
	return fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s USING btree %s", p.engine.quote(name), p.engine.table(r.table), plainKey.FindStringSubmatch(k.Definition)[1])
}

func (r *replaceKey) temporary(p *planner, prefix string) string {
	return fit(p.engine.limit(), prefix, r.op.Constraint.Name)
}

func (r *replaceKey) index(p *planner) error {
	k := r.op.Constraint
	name := r.temporary(p, newPrefix)
	x := &schema.Index{Name: name, Definition: r.keyIndex(p, &k, name), Unique: true, Columns: k.Columns}
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Indexes = append(t.Indexes, x)
	})
}

// settle exchanges the keys. The way back builds the old one's index first, and the new one's again behind it, since that is there
// before contract.
func (r *replaceKey) settle(p *planner) error {
	k := r.op.Constraint
	next, old := r.temporary(p, newPrefix), r.temporary(p, oldPrefix)
	build := func(k *schema.Constraint, name, why string) Statement {
		return Statement{SQL: strings.Replace(r.keyIndex(p, k, name), "INDEX ", "INDEX CONCURRENTLY ", 1), Why: why, Outside: true}
	}
	take := func(index string) Statement {
		name := p.engine.quote(k.Name)
		return Statement{
			SQL: fmt.Sprintf("ALTER TABLE %s\n  DROP CONSTRAINT %s,\n  ADD CONSTRAINT %s PRIMARY KEY USING INDEX %s", p.engine.table(r.table), name, name, p.engine.quote(index)),
			Why: "One key takes the other's place, and its index the key's name. The index is there already: the lock is short.",
		}
	}
	back := []Statement{
		build(r.old, old, "Built while others read and write."), take(old),
		{SQL: "DROP INDEX CONCURRENTLY IF EXISTS " + p.engine.table(Table{r.table.Schema, next}), Why: "It is there only where contract did not come to take it.", Outside: true},
		build(&k, next, "It is there before contract. Built while others read and write."),
	}
	k.Comment = p.commentOf(r.old, &k)
	p.raw(append([]Statement{take(next)}, commented(p, r.table, &k)...), append(back, commented(p, r.table, r.old)...), func(e *edit) {
		t := e.table(r.table)
		t.Indexes = slices.DeleteFunc(t.Indexes, func(x *schema.Index) bool { return x.Name == next })
		exchange(t, &k)
	})
	return nil
}
