package recipe

import (
	"fmt"
	"slices"
	"strings"
)

// Check is a question to the rows of the target before a change is written: which of them a conversion does
// not bring back as they were, or cannot take.
type Check struct {
	What  string // what it means when there are such rows
	Count string // query: how many there are
	Rows  string // query: a few of them, with their keys
	Fatal bool   // backfill would fail on them; else they are merely worth knowing
}

// check adds the questions about a rule.
func (p *planner) check(table Table, key []string, r *rule, required []string) {
	e := p.engine
	var lost []string
	for _, c := range r.old {
		if down, ok := r.down[c]; ok {
			lost = append(lost, e.distinct(e.quote(c), "("+r.thereAndBack(e, down)+")", r.types[c]))
		}
	}
	if len(lost) > 0 {
		p.ask(table, key, r, fmt.Sprintf("rows of %s do not come back as they were from %s; a rollback keeps what they had", table, strings.Join(r.names(r.new, after), ", ")), strings.Join(lost, " OR "), false)
	}
	var none []string
	for _, c := range required {
		none = append(none, "("+r.up[c]+") IS NULL")
	}
	if len(none) > 0 {
		p.ask(table, key, r, fmt.Sprintf("rows of %s get no value for %s, which has to have one", table, strings.Join(r.names(required, after), ", ")), strings.Join(none, " OR "), true)
	}
}

func (p *planner) ask(table Table, key []string, r *rule, what, where string, fatal bool) {
	e := p.engine
	columns := slices.Clone(key)
	for _, c := range r.old {
		if !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	for i, c := range columns {
		columns[i] = e.quote(c)
	}
	for _, c := range r.new {
		columns = append(columns, "("+r.up[c]+") AS "+e.quote(r.name(c, after)+"_new"))
	}
	from := fmt.Sprintf("FROM %s\nWHERE %s", e.table(table), where)
	p.draft.Checks = append(p.draft.Checks, Check{
		What: what, Fatal: fatal,
		Count: "SELECT count(*)\n" + from,
		Rows:  "SELECT " + strings.Join(columns, ", ") + "\n" + from + "\nLIMIT 5",
	})
}

// thereAndBack writes a down expression with what up gives in the place of the new columns.
func (r *rule) thereAndBack(e engine, down string) string {
	texts := map[string]string{}
	for _, c := range r.new {
		texts[c] = "(" + r.up[c] + ")"
	}
	return substituted(e, down, texts)
}
