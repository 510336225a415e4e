package mysql

import (
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

const lostDefinition = "Loses the definition: the script the other way brings it back. Statements that use it fail meanwhile."

// definer is the clause that names whose rights a program has; none for the account that runs the script.
func definer(owner string) string {
	if owner == "" {
		return ""
	}
	i := strings.LastIndex(owner, "@")
	if i < 0 { // a role
		return "DEFINER=" + Quote(owner) + " "
	}
	return "DEFINER=`" + strings.ReplaceAll(owner[:i], "`", "``") + "`@`" + owner[i+1:] + "` "
}

func create(definition, owner string) string { return begun("CREATE ", definition, owner) }

// begun is a definition that begins with another word than CREATE.
func begun(word, definition, owner string) string {
	return word + definer(owner) + strings.TrimPrefix(definition, "CREATE ")
}

func (s *script) routine(c diff.Change) {
	kind, name, _ := strings.Cut(c.Name, " ")
	on := strings.ToUpper(kind) + " " + Quote(name)
	switch {
	case c.Action == diff.Modify && s.mariadb:
		s.replaced(on, c)
		return
	case c.Action == diff.Modify && !slices.ContainsFunc(c.Properties, func(p diff.PropertyChange) bool { return p.Name != schema.PropertyComment }):
		if len(c.Properties) > 0 {
			s.add(phaseRoutine, c.Name, nil, s.comment(on, c.After.(*schema.Routine)))
		}
		s.grants(on, c)
		return
	case c.Action != diff.Add:
		s.add(phaseDropProgram, "drop "+c.Name, nil, ddl.Statement{SQL: "DROP " + on, Comment: lostDefinition, Destroys: true})
	}
	if c.Action == diff.Drop {
		return
	}
	r := c.After.(*schema.Routine)
	statements := []ddl.Statement{{SQL: create(r.Definition, r.Owner)}}
	if r.Comment != "" {
		statements = append(statements, s.comment(on, r))
	}
	s.sessions[c.Name] = s.of(r.Options)
	s.add(phaseRoutine, c.Name, nil, statements...)
	// Grants went with the old one.
	for _, g := range r.Grants {
		s.add(phaseGrant, "grant "+c.Name+" "+g.ObjectName(), nil, grant(list(g.Privileges), "", on, g.To, g.Grantable != ""))
	}
}

func (s *script) comment(on string, r *schema.Routine) ddl.Statement {
	return ddl.Statement{SQL: "ALTER " + on + " COMMENT " + Literal(r.Comment)}
}

// replaced replaces a routine at once, where the server can: who calls it has the old one or the new one.
func (s *script) replaced(on string, c diff.Change) {
	r := c.After.(*schema.Routine)
	var statements []ddl.Statement
	if slices.ContainsFunc(c.Properties, func(p diff.PropertyChange) bool { return p.Name != schema.PropertyComment }) {
		statements = append(statements, ddl.Statement{SQL: begun("CREATE OR REPLACE ", r.Definition, r.Owner), Comment: "Replaces it at once; its grants stay."})
		s.sessions[c.Name] = s.of(r.Options)
	}
	if _, ok := c.Property(schema.PropertyComment); ok || r.Comment != "" && len(statements) > 0 {
		statements = append(statements, s.comment(on, r))
	}
	if len(statements) > 0 {
		s.add(phaseRoutine, c.Name, nil, statements...)
	}
	s.grants(on, c)
}

func (s *script) event(c diff.Change) {
	word := "CREATE "
	switch {
	case c.Action == diff.Modify && s.mariadb:
		word = "CREATE OR REPLACE "
	case c.Action != diff.Add:
		s.add(phaseDropProgram, "drop event "+c.Name, nil, ddl.Statement{SQL: "DROP EVENT " + Quote(c.Name), Comment: lostDefinition, Destroys: true})
	}
	if c.Action == diff.Drop {
		return
	}
	e := c.After.(*schema.Item)
	definition := e.Definition
	if e.Comment != "" {
		definition = strings.Replace(definition, " DO\n", " COMMENT "+Literal(e.Comment)+" DO\n", 1)
	}
	id := "event " + c.Name
	s.sessions[id] = s.of(e.Options)
	s.add(phaseEvent, id, nil, ddl.Statement{SQL: begun(word, definition, e.Owner), Comment: "Runs by the server's event scheduler from the moment it is made."})
}

func (s *script) packageOf(c diff.Change) {
	name, body := strings.CutSuffix(c.Name, " body")
	kind := "PACKAGE "
	if body {
		kind = "PACKAGE BODY "
	}
	if c.Action != diff.Add {
		var after []string
		if !body {
			after = []string{"drop package " + name + " body"}
		}
		statement := ddl.Statement{SQL: "DROP " + kind + Quote(name), Comment: lostDefinition, Destroys: true}
		s.sessions["drop package "+c.Name] = s.of(c.Before.(*schema.Item).Options) // MariaDB 10.11 knows the words only in Oracle's mode
		s.add(phaseDropProgram, "drop package "+c.Name, after, statement)
	}
	if c.Action == diff.Drop {
		return
	}
	s.createPackage(c.After.(*schema.Item), kind, name)
	// A body goes with its package: one that stays as it is has to be made again.
	if !body && c.Action == diff.Modify {
		for _, i := range s.to.Items {
			if i.Of == schema.KindPackage && i.Name == name+" body" && !s.changed("package "+i.Name) {
				s.createPackage(i, "PACKAGE BODY ", name)
			}
		}
	}
}

func (s *script) createPackage(p *schema.Item, kind, name string) {
	id := "package " + p.Name
	if s.changed(id) {
		return
	}
	definition := p.Definition
	if p.Comment != "" {
		head := "CREATE " + kind + Quote(name)
		definition = strings.Replace(definition, head, head+" COMMENT "+Literal(p.Comment), 1)
	}
	s.sessions[id] = s.of(p.Options)
	s.add(phaseRoutine, id, []string{"package " + name}, ddl.Statement{SQL: create(definition, p.Owner)})
}

func (s *script) changed(id string) bool {
	return slices.ContainsFunc(s.steps, func(x ddl.Step) bool { return x.ID == id })
}

var words = regexp.MustCompile("`(?:[^`]|``)+`|[\\w$\\x{80}-\\x{10FFFF}]+")

// view makes or drops a view. Views that it names come before it.
func (s *script) view(c diff.Change) {
	if c.Action == diff.Drop {
		s.add(phaseDropView, "drop view "+c.Name, nil, ddl.Statement{SQL: "DROP VIEW " + Quote(c.Name), Comment: lostDefinition, Destroys: true})
		return
	}
	if c.Action == diff.Modify && len(c.Properties) == 0 {
		return
	}
	v := c.After.(*schema.View)
	query := v.Source
	if query == "" {
		query = v.Definition
	}
	if query == "" {
		s.notes = append(s.notes, "the query of the view "+v.Name+" could not be read, so the script does not make it")
		return
	}
	sql := "CREATE "
	comment := ""
	if c.Action == diff.Modify {
		sql, comment = "CREATE OR REPLACE ", "Replaces the view at once; its grants stay."
	}
	if a := schema.Value(v.Options, "algorithm"); a != "" {
		sql += "ALGORITHM=" + a + " "
	}
	sql += definer(v.Owner)
	if x := schema.Value(v.Options, "security"); x != "" {
		sql += "SQL SECURITY " + x + " "
	}
	sql += "VIEW " + Quote(v.Name) + " AS\n" + query
	if x := schema.Value(v.Options, "check option"); x != "" {
		sql += "\nWITH " + x + " CHECK OPTION"
	}
	id := "view " + v.Name
	var after []string
	for _, w := range words.FindAllString(v.Definition, -1) {
		if name := strings.ReplaceAll(strings.Trim(w, "`"), "``", "`"); name != v.Name {
			after = append(after, "view "+name)
		}
	}
	s.sessions[id] = s.of(v.Options)
	s.add(phaseView, id, s.trueNeeds(v.Name, after), ddl.Statement{SQL: sql, Comment: comment})
}

// trueNeeds leaves those out that name the view in turn: a column may have the name of a view, and the
// server has taken no view that needs itself.
func (s *script) trueNeeds(view string, after []string) []string {
	return slices.DeleteFunc(after, func(id string) bool {
		other := s.to.View(strings.TrimPrefix(id, "view "))
		if other == nil {
			return true
		}
		reads := regexp.MustCompile(`(?i)(from|join|,|\() *\(*` + regexp.QuoteMeta(Quote(other.Name)) + "[ )]|(from|join|,) *\\(*" + regexp.QuoteMeta(Quote(other.Name)) + "$")
		return !reads.MatchString(s.to.View(view).Definition)
	})
}

// triggers drops the triggers of a table that go or change, and makes those that come or change. What stays is
// left alone, so it fires at all times; what comes says behind or before which it fires.
func (s *script) triggers(name string, from, to *schema.Table) {
	before, after := groups(from), groups(to)
	for _, g := range sortedKeys(before, after) {
		old, new := before[g], after[g]
		stay := common(old, new)
		replaced := func(t *schema.Trigger) bool {
			return s.mariadb && !stay[t.Name] && slices.ContainsFunc(old, func(x *schema.Trigger) bool { return x.Name == t.Name }) && slices.ContainsFunc(new, func(x *schema.Trigger) bool { return x.Name == t.Name })
		}
		last := "" // of those that are dropped: it fired after the others, which need it least
		for _, t := range slices.Backward(old) {
			if stay[t.Name] || replaced(t) {
				continue
			}
			var first []string
			if last != "" {
				first = []string{"drop trigger " + last}
			}
			last = t.Name
			s.add(phaseDropProgram, "drop trigger "+t.Name, first, ddl.Statement{SQL: "DROP TRIGGER " + Quote(t.Name), Comment: "It does not fire until it is made again below, if it is. " + lostDefinition, Destroys: true})
		}
		for i, t := range new {
			if !stay[t.Name] {
				s.createTrigger(name, t, new[:i], new[i+1:], stay, replaced(t))
			}
		}
	}
}

// createTrigger makes a trigger that fires behind those before it in its group. A new one fires last: it names another
// only where there is one that it has to go before, so that the script also runs where others are gone by then.
func (s *script) createTrigger(table string, t *schema.Trigger, before, behind []*schema.Trigger, stay map[string]bool, replaces bool) {
	event, body, _ := strings.Cut(t.Definition, " FOR EACH ROW ")
	word, comment := "CREATE ", ""
	if replaces {
		word, comment = "CREATE OR REPLACE ", "Replaces the trigger at once: each write fires the old one or the new one."
	}
	sql := word + definer(schema.Value(t.Options, schema.PropertyOwner)) + "TRIGGER " + Quote(t.Name) + " " + event + " ON " + Quote(table) + " FOR EACH ROW"
	var after []string
	if len(before) > 0 {
		after = []string{"trigger " + before[len(before)-1].Name}
	}
	if next := slices.IndexFunc(behind, func(x *schema.Trigger) bool { return stay[x.Name] }); next >= 0 {
		sql += " PRECEDES " + Quote(behind[next].Name)
	}
	id := "trigger " + t.Name
	s.sessions[id] = s.of(t.Options)
	s.add(phaseTrigger, id, after, ddl.Statement{SQL: sql + "\n" + body, Comment: comment})
}

// common are the triggers that are the same in both lists, whatever they follow, and in the same order: as many as can be.
func common(old, new []*schema.Trigger) map[string]bool {
	bare := func(t *schema.Trigger) *schema.Trigger {
		c := *t
		c.Options = slices.DeleteFunc(slices.Clone(t.Options), func(p schema.Property) bool { return p.Name == "follows" || p.Value == "" })
		return &c
	}
	length := make([][]int, len(old)+1) // of the longest list in common, from here on
	for i := range length {
		length[i] = make([]int, len(new)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(new) - 1; j >= 0; j-- {
			length[i][j] = max(length[i+1][j], length[i][j+1])
			if equal(bare(old[i]), bare(new[j])) {
				length[i][j] = length[i+1][j+1] + 1
			}
		}
	}
	stay := map[string]bool{}
	for i, j := 0, 0; i < len(old) && j < len(new); {
		switch {
		case equal(bare(old[i]), bare(new[j])):
			stay[old[i].Name] = true
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return stay
}

// groups are the triggers of a table by the moment they fire at.
func groups(t *schema.Table) map[string][]*schema.Trigger {
	m := map[string][]*schema.Trigger{}
	if t != nil {
		for _, x := range t.Triggers {
			f := strings.Fields(x.Definition)
			m[f[0]+" "+f[1]] = append(m[f[0]+" "+f[1]], x)
		}
	}
	return m
}

func equal(a, b schema.Object) bool {
	return a.ObjectName() == b.ObjectName() && slices.Equal(a.Properties(), b.Properties())
}

func sortedKeys(maps ...map[string][]*schema.Trigger) []string {
	var keys []string
	for _, m := range maps {
		for k := range m {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
