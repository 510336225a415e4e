package proof

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/schema"
)

// touched says which queries a step may have had an effect on, so that the others need not be asked again: what they say
// reaches nothing that it has changed. It works with names alone, whatever schema they are of, and where that is not
// certain everything is touched.
type touched struct {
	all    bool
	reads  names // those that a query which only reads has to name to be touched
	writes names // the same, and what foreign keys lead to
}

// names are those of tables, views, types and routines, in lower case.
type names map[string]bool

// plainName is a name that is found in a text as a word of it.
var plainName = regexp.MustCompile(`^[\pL_][\pL\pN_$]*$`)

// anywhere are statements in a script of which nothing says what they reach, or that change how all queries are planned.
var anywhere = names{"do": true, "call": true, "execute": true, "exec": true, "analyze": true, "analyse": true, "pragma": true, "vacuum": true, "optimize": true, "global": true, "system": true}

// touchedBy compares the schema from before a step with the one after it. The script is what the step ran: the tables it
// names may have other rows now.
func touchedBy(before, now *schema.Database, script string) touched {
	words := wordsOf(script)
	for w := range words {
		if anywhere[w] {
			return touched{all: true}
		}
	}
	changed, ok := changedTables(before, now)
	if !ok {
		return touched{all: true}
	}
	g := &naming{}
	for _, d := range []*schema.Database{before, now} {
		if !g.add(d) {
			return touched{all: true}
		}
	}
	for name := range g.relations {
		if words[name] {
			changed[name] = true
		}
	}
	if len(changed) == 0 {
		return touched{}
	}
	for name := range g.routines { // what they reach is not known
		changed[name] = true
	}
	t := touched{reads: g.spread(changed, false), writes: g.spread(changed, true)}
	for name := range t.writes {
		if !plainName.MatchString(name) { // it is not found as a word
			return touched{all: true}
		}
	}
	return t
}

// query tells whether a query may be touched.
func (t touched) query(q workload.Query) bool {
	if t.all {
		return true
	}
	words, of := wordsOf(q.Text), t.reads
	if words["u"] && strings.Contains(strings.ToLower(q.Text), "u&") { // a name may be spelled in numbers
		return true
	}
	for _, w := range []string{"insert", "update", "delete", "merge", "replace", "into", "call", "execute"} {
		if words[w] {
			of = t.writes
		}
	}
	for w := range words {
		if of[w] {
			return true
		}
	}
	return false
}

// wordsOf are the words of a text in lower case, wherever they stand: in comments and texts too.
func wordsOf(text string) names {
	list := names{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && r != '_' && r != '$'
	}) {
		list[w] = true
	}
	return list
}

// changedTables are the tables and views that differ. ok is false where anything else does.
func changedTables(before, now *schema.Database) (changed names, ok bool) {
	changed = names{}
	if !reflect.DeepEqual(before.Settings, now.Settings) || !reflect.DeepEqual(before.Items, now.Items) || !reflect.DeepEqual(before.Uncovered, now.Uncovered) || len(before.Schemas) != len(now.Schemas) {
		return nil, false
	}
	for _, a := range before.Schemas {
		b := now.Schema(a.Name)
		if b == nil {
			return nil, false
		}
		one, other := *a, *b
		one.Tables, one.Views, other.Tables, other.Views = nil, nil, nil, nil
		if !reflect.DeepEqual(one, other) {
			return nil, false
		}
		differing(changed, a.Tables, b.Tables)
		differing(changed, a.Views, b.Views)
	}
	return changed, true
}

// differing adds the names of objects that are in one list alone, or otherwise in the other, in whatever field.
func differing[T schema.Object](into names, a, b []T) {
	of := map[string]T{}
	for _, o := range a {
		of[o.ObjectName()] = o
	}
	for _, o := range b {
		if known, ok := of[o.ObjectName()]; !ok || !reflect.DeepEqual(known, o) {
			into[strings.ToLower(o.ObjectName())] = true
		}
		delete(of, o.ObjectName())
	}
	for name := range of {
		into[strings.ToLower(name)] = true
	}
}

// naming is who names whom in a schema.
type naming struct {
	relations names // tables and views
	routines  names
	of        []mention
}

// mention is an object with the words of its definition.
type mention struct {
	name  string
	words names // without those of its foreign keys
	keys  names // those of its foreign keys
	above names // the tables whose rows are found in it as well
}

// harmless are kinds of item that no query reaches by anything but their tables.
var harmless = []schema.Kind{
	schema.KindExtension, schema.KindPublication, schema.KindSubscription, schema.KindDefaultPrivileges, schema.KindCollation,
	schema.KindStatistics, schema.KindEvent,
}

// add takes a schema in. It is false for one that holds what queries reach without naming it, such as operators.
func (g *naming) add(d *schema.Database) bool {
	if g.relations == nil {
		g.relations, g.routines = names{}, names{}
	}
	items := slices.Clone(d.Items)
	for _, in := range d.Schemas {
		items = append(items, in.Items...)
		for _, r := range in.Routines {
			name, _, _ := strings.Cut(r.Name, "(")
			g.routines[strings.ToLower(name)] = true
		}
		for _, t := range in.Types {
			g.object(t, nil)
		}
		for _, t := range in.Tables {
			if schema.Value(t.Options, "virtual") != "" {
				return false // it is made of others
			}
			g.relations[strings.ToLower(t.Name)] = true
			g.object(t, t.Options)
		}
		for _, v := range in.Views {
			g.relations[strings.ToLower(v.Name)] = true
			g.object(v, v.Options)
		}
	}
	return !slices.ContainsFunc(items, func(i *schema.Item) bool { return !slices.Contains(harmless, i.Of) })
}

// object notes what an object and all that hangs on it say.
func (g *naming) object(o schema.Object, options []schema.Property) {
	m := mention{name: strings.ToLower(o.ObjectName()), words: names{}, keys: names{}, above: names{}}
	var walk func(o schema.Object)
	walk = func(o schema.Object) {
		into := m.words
		if k, ok := o.(*schema.Constraint); ok && k.Type == schema.ForeignKey {
			into = m.keys
		}
		for _, p := range o.Properties() {
			for w := range wordsOf(p.Value) {
				into[w] = true
			}
		}
		for _, c := range o.Children() {
			walk(c)
		}
	}
	walk(o)
	for _, name := range []string{"inherits", "partition of"} {
		for w := range wordsOf(schema.Value(options, name)) {
			m.above[w] = true
		}
	}
	g.of = append(g.of, m)
}

// spread adds to names all whose definitions mention one of them, and what those are parts of, over and over. With keys,
// foreign keys lead in both directions.
func (g *naming) spread(from names, keys bool) names {
	all := names{}
	for name := range from {
		all[name] = true
	}
	for grown := true; grown; {
		grown = false
		reach := func(name string) {
			if !all[name] {
				all[name], grown = true, true
			}
		}
		for _, m := range g.of {
			if !all[m.name] && (overlap(m.words, all) || keys && overlap(m.keys, all)) {
				reach(m.name)
			}
			if !all[m.name] {
				continue
			}
			for w := range m.above {
				reach(w)
			}
			if !keys {
				continue
			}
			for w := range m.keys {
				if g.relations[w] {
					reach(w)
				}
			}
		}
	}
	return all
}

func overlap(a, b names) bool {
	if len(b) < len(a) {
		a, b = b, a
	}
	for w := range a {
		if b[w] {
			return true
		}
	}
	return false
}
