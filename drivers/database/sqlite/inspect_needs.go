package sqlite

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/schema"
)

// resolveNeeds says of each table, view and trigger which others it names. A view's column may have the
// name of a table, so it can be too many.
func (in *inspection) resolveNeeds() {
	for _, t := range in.schema.Tables {
		for _, c := range t.Constraints {
			if c.References != nil && !strings.EqualFold(c.References.Table, t.Name) {
				t.Needs = append(t.Needs, in.named(map[string]bool{strings.ToLower(c.References.Table): true}, "")...)
			}
		}
		t.Needs = compact(t.Needs)
		in.triggerNeeds(t.Triggers, t.Name)
	}
	for _, v := range in.schema.Views {
		v.Needs = in.named(sqliteddl.Mentions(v.Source), v.Name)
		in.triggerNeeds(v.Triggers, v.Name)
	}
}

func (in *inspection) triggerNeeds(triggers []*schema.Trigger, parent string) {
	for _, t := range triggers {
		t.Needs = in.named(sqliteddl.Mentions(t.Source), parent)
	}
}

// named returns the tables and views of those names, but for one.
func (in *inspection) named(names map[string]bool, but string) []schema.Key {
	var keys []schema.Key
	for n := range names {
		switch {
		case n == strings.ToLower(but):
		case in.tables[n] != nil:
			keys = append(keys, schema.Key{Schema: in.schema.Name, Kind: schema.KindTable, Name: in.tables[n].Name})
		case in.views[n] != nil:
			keys = append(keys, schema.Key{Schema: in.schema.Name, Kind: schema.KindView, Name: in.views[n].Name})
		}
	}
	return compact(keys)
}

func compact(keys []schema.Key) []schema.Key {
	slices.SortFunc(keys, func(a, b schema.Key) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(keys)
}

// firstNames is how many names a census gives.
const firstNames = 10

// uncovered counts what is not in the model: virtual tables of modules that this program has not, so that
// it can neither read nor make them, and the tables that virtual tables keep their content in.
func (in *inspection) uncovered() []schema.Census {
	var out []schema.Census
	for _, module := range slices.Sorted(maps.Keys(in.unknown)) {
		names := in.unknown[module]
		out = append(out, schema.Census{
			Kind: "virtual table", Count: len(names), Names: names[:min(len(names), firstNames)],
			Why: "the module " + module + " is no part of this program; tables whose names begin with theirs may belong to them",
		})
	}
	var shadows []string
	for _, r := range in.records {
		if r.kind == "table" && in.shadows[strings.ToLower(r.name)] {
			shadows = append(shadows, r.name)
		}
	}
	if len(shadows) > 0 {
		slices.Sort(shadows)
		out = append(out, schema.Census{
			Kind: "shadow table", Count: len(shadows), Names: shadows[:min(len(shadows), firstNames)],
			Why: "virtual tables make them and keep their content in them",
		})
	}
	return out
}
