package recipe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// copiesOnline tells whether a server of MariaDB copies a table beside readers and writers: it does from 11.2 on.
func copiesOnline(version string) bool {
	numbers := strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if len(numbers) < 2 {
		return false
	}
	major, _ := strconv.Atoi(numbers[0])
	minor, _ := strconv.Atoi(numbers[1])
	return major > 11 || major == 11 && minor >= 2
}

const online = "The server copies the table, and takes what is written meanwhile to the copy; or it refuses, and nothing is changed."

// besideWriters is a step for which MariaDB copies a table, beside readers and writers.
func (p *planner) besideWriters(table Table, change func(*edit)) error {
	forward, back := len(p.scripts.Forward), len(p.scripts.Back)
	if err := p.step(nil, change); err != nil {
		return err
	}
	for _, list := range [][]Statement{p.scripts.Forward[forward:], p.scripts.Back[:len(p.scripts.Back)-back]} {
		for i, s := range list {
			head := "ALTER TABLE " + p.engine.table(table)
			clauses, ok := strings.CutPrefix(s.SQL, head)
			if !ok || strings.Contains(clauses, "ALGORITHM=") {
				continue
			}
			list[i].SQL, list[i].Why = head+"\n  ALGORITHM=COPY,\n  LOCK=NONE,\n  "+strings.TrimLeft(clauses, " \n"), online
		}
	}
	return nil
}

// copiesForChecks tells whether MariaDB copies a table beside writers for a check; a note says why it does not.
func (p *planner) copiesForChecks(table Table, check string) bool {
	t := p.now.Schema(table.Schema).Table(table.Name)
	var reason string
	switch {
	case !copiesOnline(p.begun.Version):
		reason = "from version 11.2 on it does not have them wait"
	case cascades(t) || schema.Value(t.Options, "partitions") != "" || schema.Value(t.Options, "system versioning") != "" || schema.Value(t.Options, "engine") != "InnoDB":
		reason = "as it has partitions or a past, its rows change by foreign keys, or it is not in InnoDB"
	default:
		return true
	}
	p.note("MariaDB copies %s for the check %s while writes wait: %s.", table, word(check), reason)
	return false
}

// copied is contract where the server copies the table by itself.
func (r *second) copied(p *planner) error {
	if err := p.besideWriters(r.table, func(e *edit) {
		t := e.table(r.table)
		next := *r.next
		*t = next
	}); err != nil {
		return err
	}
	e := p.engine
	var lost []string
	for _, c := range r.columns {
		if r.back[c] == e.quote(c) {
			continue
		}
		there := substituted(e, r.there[c], map[string]string{c: "(" + r.back[c] + ")"})
		lost = append(lost, e.distinct(e.quote(c), there, r.types[1][c]))
	}
	if len(lost) > 0 {
		p.scripts.step(nil, []Statement{{
			SQL: fmt.Sprintf("SELECT *\nFROM %s\nWHERE %s\nLIMIT 5", e.table(r.table), strings.Join(lost, "\n   OR ")), Why: "Reads the table without a lock.",
			Assert: fmt.Sprintf("rows of %s cannot be as they were before: the way back would lose them", r.table),
		}})
	}
	return nil
}

// cascades tells whether foreign keys of a table change or delete its rows by themselves: then MariaDB does not copy it
// beside writers.
func cascades(t *schema.Table) bool {
	return slices.ContainsFunc(t.Constraints, func(k *schema.Constraint) bool {
		text := strings.ToUpper(k.Definition)
		return k.Type == schema.ForeignKey && (strings.Contains(text, " CASCADE") || strings.Contains(text, " SET NULL") || strings.Contains(text, " SET DEFAULT"))
	})
}
