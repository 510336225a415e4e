package recipe

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// turned are the tables whose triggers of the application the wanted schema has otherwise, and that a group has to lock for
// it: MySQL drops a trigger before it makes the next one, and meanwhile writes would fire none. MariaDB replaces one at once,
// so it needs the group only where columns move that the triggers name.
func (p *planner) turned() []Table {
	if p.target == nil || !p.engine.locksGroups() {
		return nil
	}
	moves := p.leaving()
	var list []Table
	for _, s := range p.now.Schemas {
		for _, t := range s.Tables {
			at := Table{s.Name, t.Name}
			wanted := p.wantedTable(at)
			moved := slices.ContainsFunc(moves, func(m move) bool { return m.table == at })
			if wanted == nil || p.engine.name() == "mariadb" && !moved {
				continue
			}
			if slices.ContainsFunc(t.Triggers, func(x *schema.Trigger) bool { return !isOurs(x) && !hasTrigger(wanted.Triggers, x) }) {
				list = append(list, at)
			}
		}
	}
	return list
}

func (p *planner) wantedTable(at Table) *schema.Table {
	if s := p.target.Schema(at.Schema); s != nil {
		return s.Table(at.Name)
	}
	return nil
}

// hasTrigger tells whether a trigger is in a list as it is, whatever it follows.
func hasTrigger(list []*schema.Trigger, x *schema.Trigger) bool {
	return slices.ContainsFunc(list, func(y *schema.Trigger) bool {
		return y.Name == x.Name && slices.Equal(unordered(x), unordered(y))
	})
}

func unordered(x *schema.Trigger) []schema.Property {
	return slices.DeleteFunc(slices.Clone(x.Properties()), func(o schema.Property) bool { return o.Name == "follows" || o.Value == "" })
}

// turn makes the triggers as the wanted schema has them, before columns move: what they name is there by then. On MySQL
// each has a stand-in between the two statements, so that no write is without either where a run dies there.
func (p *planner) turn(tables []Table) error {
	replaces := p.engine.name() == "mariadb"
	if !replaces {
		if err := p.eachTurned(tables, "Stands in for a trigger that is made anew below.", func(t, wanted *schema.Table) {
			t.Triggers = arranged(t, append(theirs(t.Triggers), p.standIns(t, wanted)...))
		}); err != nil {
			return err
		}
	}
	if err := p.eachTurned(tables, "Nobody writes to the table meanwhile.", func(t, wanted *schema.Table) {
		t.Triggers = arranged(t, wanted.Triggers)
	}); err != nil || replaces {
		return err
	}
	return p.eachTurned(tables, "It has stood in.", func(t, _ *schema.Table) {
		t.Triggers = slices.DeleteFunc(t.Triggers, func(x *schema.Trigger) bool { return strings.HasPrefix(x.Name, p.standIn()) })
	})
}

// standIn is what the names of the triggers begin with that stand in for others.
func (p *planner) standIn() string { return "switchback_" + p.id + "_turn_" }

func (p *planner) standIns(t, wanted *schema.Table) []*schema.Trigger {
	var list []*schema.Trigger
	for _, x := range wanted.Triggers {
		if hasTrigger(t.Triggers, x) || !slices.ContainsFunc(t.Triggers, func(y *schema.Trigger) bool { return y.Name == x.Name }) {
			continue
		}
		other := *x
		other.Name = fit(p.engine.limit(), p.standIn(), x.Name)
		list = append(list, &other)
	}
	return list
}

// arranged are triggers of a table in the place of the application's. Those of changes fire ahead or behind.
func arranged(t *schema.Table, list []*schema.Trigger) []*schema.Trigger {
	ours := func(ahead bool) []*schema.Trigger {
		return slices.DeleteFunc(slices.Clone(t.Triggers), func(x *schema.Trigger) bool { return !isOurs(x) || firesAhead(x.Name) != ahead })
	}
	return slices.Concat(ours(true), list, ours(false))
}

func (p *planner) eachTurned(tables []Table, saying string, change func(t, wanted *schema.Table)) error {
	if len(tables) == 0 {
		return nil
	}
	p.saying = saying
	defer func() { p.saying = "" }()
	return p.step(nil, func(e *edit) {
		for _, at := range tables {
			change(e.table(at), p.wantedTable(at))
		}
	})
}

// interrupted says which routines are missing for a moment, as the server cannot replace one.
func (p *planner) interrupted(to *schema.Database) {
	if p.engine.name() != "mysql" {
		return
	}
	for _, s := range p.now.Schemas {
		wanted := to.Schema(s.Name)
		if wanted == nil {
			continue
		}
		for _, r := range s.Routines {
			i := slices.IndexFunc(wanted.Routines, func(x *schema.Routine) bool { return x.Name == r.Name })
			if i >= 0 && (wanted.Routines[i].Definition != r.Definition || !slices.Equal(wanted.Routines[i].Options, r.Options)) {
				kind, name, _ := strings.Cut(r.Name, " ")
				p.note("MySQL cannot replace the %s %s: it is dropped at contract and made again, and calls between the two statements fail with error 1305. Have the application do them again, or give the new one another name.", kind, name)
			}
		}
	}
}
