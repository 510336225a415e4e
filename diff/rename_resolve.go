package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// Resolve reads a rename as people write it, and finds what it is about in both schemas:
//
//	users=customers                            a table, view or index
//	public.users.name=public.users.full_name   a column; the schema may be left out
//	users.name=full_name                       the same
//	label:mood.sad=unhappy                     a value of an enum; the kind helps where a name is that of two things
//
// A name with a dot in it stands in double quotes. The error says what was not found, or that the name is
// that of several things.
func Resolve(from, to *schema.Database, text string) (Rename, error) {
	fail := func(format string, args ...any) (Rename, error) {
		return Rename{}, fmt.Errorf("rename %q: %s", text, fmt.Sprintf(format, args...))
	}
	kind, rest := kindOf(text)
	sides := cut(rest, '=')
	if len(sides) != 2 {
		return fail("want old=new, such as users.name=users.full_name")
	}
	before, after := matching(places(from), kind, segments(sides[0])), matching(places(to), kind, segments(sides[1]))
	if len(before) == 0 {
		return fail("the first schema has no %s", sides[0])
	}
	var found []Rename
	for _, a := range before {
		for _, b := range after {
			if a.kind != b.kind || a.schema != b.schema {
				continue
			}
			found = append(found, Rename{Kind: a.kind, Schema: a.schema, Parent: b.parent, From: a.name, To: b.name})
		}
		if len(segments(sides[1])) == 1 && (a.kind == schema.KindColumn || a.kind == KindLabel) { // the same parent is meant
			found = slices.DeleteFunc(found, func(r Rename) bool { return r.Parent != a.parent && r.From == a.name && r.Kind == a.kind })
			if b := (place{a.kind, a.schema, a.parent, segments(sides[1])[0]}); slices.Contains(places(to), b) {
				found = append(found, Rename{Kind: a.kind, Schema: a.schema, Parent: a.parent, From: a.name, To: b.name})
			}
		}
	}
	slices.SortFunc(found, func(a, b Rename) int {
		return strings.Compare(string(a.Kind)+":"+a.String(), string(b.Kind)+":"+b.String())
	})
	found = slices.Compact(found)
	switch len(found) {
	case 0:
		if len(after) > 0 {
			return fail("%s is of kind %s in the first schema, %s of kind %s in the second", sides[0], before[0].kind, sides[1], after[0].kind)
		}
		return fail("the second schema has no %s", sides[1])
	case 1:
		return found[0], nil
	}
	var meant []string
	for _, r := range found {
		meant = append(meant, string(r.Kind)+":"+r.String())
	}
	return fail("it may mean any of %s", strings.Join(meant, ", "))
}

// ResolveAll reads several renames. What belongs to a table that an earlier one renames may be named by
// its old name or by its new one.
func ResolveAll(from, to *schema.Database, texts []string) ([]Rename, error) {
	var list []Rename
	now := from
	for _, text := range texts {
		r, err := Resolve(now, to, text)
		if err != nil {
			var before error
			if r, before = Resolve(from, to, text); before != nil {
				return nil, err
			}
		}
		list = append(list, r)
		if now, err = rename(from, to, list); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// kindOf takes a kind off the front of a rename.
func kindOf(text string) (schema.Kind, string) {
	for _, k := range []schema.Kind{schema.KindTable, schema.KindColumn, schema.KindIndex, schema.KindView, KindLabel} {
		if rest, ok := strings.CutPrefix(text, string(k)+":"); ok {
			return k, rest
		}
	}
	return "", text
}

// cut cuts a text at a sign outside double quotes.
func cut(text string, sign byte) []string {
	var parts []string
	quoted, from := false, 0
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == sign && !quoted:
			parts = append(parts, text[from:i])
			from = i + 1
		}
	}
	return append(parts, text[from:])
}

// segments cuts a path at its dots and takes the quotes away.
func segments(text string) []string {
	parts := cut(strings.TrimSpace(text), '.')
	for i, p := range parts {
		if len(p) >= 2 && p[0] == '"' && p[len(p)-1] == '"' {
			parts[i] = strings.ReplaceAll(p[1:len(p)-1], `""`, `"`)
		}
	}
	return parts
}

// matching returns the places that a path may name. Where none has the very name, case is not told apart.
func matching(all []place, kind schema.Kind, path []string) []place {
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		var found []place
		for _, p := range all {
			if (kind == "" || p.kind == kind) && p.named(path, same) {
				found = append(found, p)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// named tells whether a path names the place. A schema may be left out; an index goes by its name alone.
func (p place) named(path []string, same func(a, b string) bool) bool {
	full := []string{p.schema, p.parent, p.name}
	ways := [][]string{full, full[1:]}
	if p.parent == "" {
		ways = [][]string{{p.schema, p.name}, {p.name}}
	} else if p.kind == schema.KindIndex {
		ways = append(ways, []string{p.schema, p.name}, []string{p.name})
	}
	return slices.ContainsFunc(ways, func(way []string) bool { return slices.EqualFunc(way, path, same) })
}
