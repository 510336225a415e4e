package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// sync is a table that has two shapes for a time, with what keeps them equal.
type sync struct {
	table Table
	key   []string // columns to walk by
	rules []*rule

	successors map[string]string   // an old column: the new one that takes its place
	retyped    map[string]string   // a type: the one that takes its place
	copied     map[schema.Key]bool // constraints and indexes that the new shape has as well
}

// rule keeps columns of the old shape and columns of the new one in step. Two passes over a row do that:
// the first, up, takes what the old shape says to the new one where the new one was not written; the
// second, down, takes what the new shape says back where that is not what up made of the old one. So a value
// that does not survive the way there and back stays as it was written. The passes of several rules and
// changes nest: up in their order, down in the reverse one.
//
// Whether a column was written is seen from its value: on INSERT a column that is written has another value
// than its default, on UPDATE another one than before. That is why the new columns have the defaults of the
// old ones. Where both have a value by themselves they are equal anyway.
type rule struct {
	old, new []string          // columns, by their names in the expanded table
	types    map[string]string // of all of them
	up       map[string]string // new column: expression over the old ones
	down     map[string]string // old column: expression over the new ones; none where old ones are not kept in step
	initial  map[string]string // new column: its default, where that is a constant
	quiet    map[string]string // new column that is NOT NULL without one: what a row may say there that is written without it; empty where it cannot be told
	begins   map[string]string // old column: the same; nil where no trigger of the application has to find it in step
	plain    bool              // each shape follows from the other, whatever the value: what is not filled is told from what is
	hidden   bool              // no version of the application knows the new columns before contract
	once     bool              // up gives a first value only: the old columns do not rule the new ones
	renamed  map[string]string // names that change at contract
	retyped  map[string]string // names of types that change at contract
	freed    []string          // old columns that are free of NOT NULL for as long as there are triggers, which see to it instead
}

// state says for which side of contract triggers are.
type state int

const (
	before state = iota // old and new are both written
	after               // the old columns are in the attic
)

// name is what a column is called in a state.
func (r *rule) name(column string, st state) string {
	if to, ok := r.renamed[column]; ok && st == after {
		return to
	}
	return column
}

// names are what columns are called in a state.
func (r *rule) names(columns []string, st state) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = r.name(c, st)
	}
	return out
}

// expression writes an expression of the rule with each column named as in the state and led by a prefix,
// such as NEW.
func (r *rule) expression(e engine, text string, st state, prefix string) string {
	d := sqltoken.Of(e.name())
	if st == after {
		text = recast(e, text, r.retyped)
	}
	return sqltoken.Replace(text, d, func(list []sqltoken.Token, i int) (string, bool) {
		if !list[i].IsName() || i > 0 && list[i-1].IsSign(".") || i+1 < len(list) && (list[i+1].IsSign(".") || list[i+1].IsSign("(") && list[i].Kind == sqltoken.Word) || sqltoken.InType(list, i) {
			return "", false
		}
		for _, c := range slices.Concat(r.old, r.new) {
			if list[i].Names(c, d) && !keyword(e, list, i) {
				return prefix + e.quote(r.name(c, st)), true
			}
		}
		return "", false
	})
}

// keyword tells whether a word that spells a column's name is no name: END is the column "end" in quotes only,
// and AT begins AT TIME ZONE.
func keyword(e engine, list []sqltoken.Token, i int) bool {
	if list[i].Kind != sqltoken.Word {
		return false
	}
	lower := strings.ToLower(list[i].Name)
	reserved := e.quote(lower) != lower && e.quote("a") == "a" // some engines quote everything
	return reserved || list[i].Is("at") && i+2 < len(list) && list[i+1].Is("time") && list[i+2].Is("zone")
}

// ups and downs tell which passes a state has.
func (r *rule) ups(st state) bool { return st == before }

func (r *rule) downs(st state) bool {
	return len(r.down) > 0 && (st == after || !r.hidden)
}

// sync returns the table's, made when there is none yet. The error is an *Error when the table has no key
// to walk by.
func (p *planner) sync(op Operation, name Table) (*sync, error) {
	for _, s := range p.syncs {
		if s.table == name {
			return s, nil
		}
	}
	key := walkKey(p.now.Schema(name.Schema).Table(name.Name))
	if key == nil {
		return nil, noKey(op, name)
	}
	s := &sync{table: name, key: key, successors: map[string]string{}, copied: map[schema.Key]bool{}}
	p.syncs = append(p.syncs, s)
	return s, nil
}

// walkKey returns the columns of the primary key or of a unique key without NULLs.
func walkKey(t *schema.Table) []string {
	if t.Source != "" { // SQLite's tables alone have that
		return sqliteKey(t)
	}
	for _, kind := range []string{schema.PrimaryKey, schema.Unique} {
		for _, k := range t.Constraints {
			if k.Type == kind && len(k.Columns) > 0 && (kind == schema.PrimaryKey || withoutNulls(t, k.Columns)) {
				return k.Columns
			}
		}
	}
	for _, x := range t.Indexes {
		if x.Unique && len(x.Columns) > 0 && withoutNulls(t, x.Columns) && !strings.Contains(strings.ToUpper(x.Definition), " WHERE ") && byColumns(x) {
			return x.Columns
		}
	}
	return nil
}

// byColumns tells whether an index is over columns alone, or what they begin with: its expressions tell rows apart that its
// columns do not.
func byColumns(x *schema.Index) bool {
	list := sqltoken.Split(behind(x.Definition), sqltoken.Of("postgres"))
	depth := 0
	for i, t := range list {
		switch {
		case t.IsSign("("):
			depth++
			if length := i+2 < len(list) && list[i+1].Kind == sqltoken.Number && list[i+2].IsSign(")"); depth > 1 && !length {
				return false
			}
		case t.IsSign(")"):
			if depth--; depth == 0 {
				return true
			}
		}
	}
	return true
}

func withoutNulls(t *schema.Table, columns []string) bool {
	for _, c := range columns {
		if column := t.Column(c); column == nil || !column.NotNull {
			return false
		}
	}
	return true
}

// walk fills the new shape of all rows, batch by batch, and makes sure that none is left.
func (p *planner) walk(s *sync) error {
	e := p.engine
	var sets, conditions, wrong []string
	alone := len(s.rules) == 1
	for _, r := range s.rules {
		left := p.unfilled(r)
		conditions = append(conditions, left)
		for _, c := range r.new {
			value := r.up[c]
			if !alone {
				value = fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", left, r.up[c], e.quote(c))
			}
			sets = append(sets, e.quote(c)+" = "+value)
		}
		if !r.once {
			wrong = append(wrong, p.outOfStep(r))
		} else {
			wrong = append(wrong, left)
		}
	}
	where := strings.Join(conditions, "\n    OR ")
	if !alone {
		where = "(" + where + ")"
	}
	update := fmt.Sprintf("UPDATE %s\nSET %s\nWHERE %s\n  AND :batch", e.table(s.table), strings.Join(sets, ",\n    "), where)
	columns := slices.Clone(s.key)
	for _, r := range s.rules {
		columns = append(columns, r.old...)
		columns = append(columns, r.new...)
	}
	var quoted []string
	for _, c := range columns {
		if q := e.quote(c); !slices.Contains(quoted, q) {
			quoted = append(quoted, q)
		}
	}
	check := fmt.Sprintf("SELECT %s\nFROM %s\nWHERE %s\nLIMIT 5", strings.Join(quoted, ", "), e.table(s.table), strings.Join(wrong, "\n   OR "))
	p.scripts.step([]Statement{
		{SQL: update, Why: "Fills the rows that were there before the triggers were, a batch a transaction: no write waits longer than for one batch.", Batch: &Batch{Table: e.walkName(s.table), Key: s.key}},
		{SQL: check, Why: "Reads the table without a lock.", Assert: "rows of " + s.table.String() + " are not the same in both shapes"},
	}, nil)
	return nil
}

// unfilled is the condition of rows that up has yet to fill.
func (p *planner) unfilled(r *rule) string {
	e := p.engine
	var any []string
	for _, c := range r.new {
		q := e.quote(c)
		stands := q + " IS NULL"
		if d, ok := r.initial[c]; ok {
			stands = "(" + stands + " OR NOT " + e.distinct(q, d, r.types[c]) + ")"
		}
		if g, ok := e.(*mysql); ok && r.plain && r.quiet[c] != "" {
			stands = "(" + stands + " OR " + g.same(q, r.quiet[c], r.types[c]) + ")"
		}
		differs := e.distinct(q, r.up[c], r.types[c])
		if r.hidden {
			any = append(any, differs+p.notBack(r, c))
		} else {
			any = append(any, stands+" AND "+differs)
		}
	}
	if len(any) == 1 {
		return any[0]
	}
	return "(" + strings.Join(any, " OR ") + ")"
}

// outOfStep is the condition of rows in which neither shape follows from the other.
func (p *planner) outOfStep(r *rule) string {
	up := p.differ(r, r.new, r.up)
	switch {
	case len(r.down) == 0:
		return up
	case r.hidden:
		return up + p.notBack(r, r.new[0])
	}
	return "(" + up + ") AND (" + p.differ(r, r.old, r.down) + ")"
}

// notBack leaves out rows whose old value follows from the new one: after a rollback of contract the new column
// holds what the new version wrote, which the old type may not be able to say.
func (p *planner) notBack(r *rule, column string) string {
	back := p.differ(r, r.old, r.down)
	if back == "" {
		return ""
	}
	return " AND (" + p.engine.quote(column) + " IS NULL OR " + back + ")"
}

func (p *planner) differ(r *rule, columns []string, expressions map[string]string) string {
	var any []string
	for _, c := range columns {
		if x, ok := expressions[c]; ok {
			any = append(any, p.engine.distinct(p.engine.quote(c), x, r.types[c]))
		}
	}
	return strings.Join(any, " OR ")
}
