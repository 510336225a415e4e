package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchbackdb/switchback/schema"
)

// named is a name as a user writes it.
type named struct {
	text   string
	quoted bool
}

var errName = errors.New("want a table as TABLE or SCHEMA.TABLE, with quotes where SQL would need them")

// parseName splits a name at its dots. Quotes are those of SQL, of MySQL and of SQL Server, and twice for one.
func parseName(text string) ([]named, error) {
	var list []named
	for rest := strings.TrimSpace(text); ; {
		n, after, err := firstName(rest)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		list = append(list, n)
		if after == "" {
			break
		}
		if after[0] != '.' {
			return nil, fmt.Errorf("%q: %w", text, errName)
		}
		rest = after[1:]
	}
	if len(list) > 2 {
		return nil, fmt.Errorf("%q: %w", text, errName)
	}
	return list, nil
}

func firstName(text string) (n named, rest string, err error) {
	if text == "" {
		return named{}, "", errName
	}
	end, ok := map[byte]byte{'"': '"', '`': '`', '[': ']'}[text[0]]
	if !ok {
		at := strings.IndexByte(text, '.')
		if at < 0 {
			at = len(text)
		}
		if at == 0 {
			return named{}, "", errName
		}
		return named{text: text[:at]}, text[at:], nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != end:
			b.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] == end:
			b.WriteByte(end)
			i++
		case b.Len() == 0:
			return named{}, "", errName
		default:
			return named{b.String(), true}, text[i+1:], nil
		}
	}
	return named{}, "", errName
}

// same tells whether two names are the same for the engine.
func (n Names) same(a, b string) bool { return a == b || n.Fold && strings.EqualFold(a, b) }

// meant is what the engine takes a name for.
func (n Names) meant(x named) string {
	if n.Lower && !x.quoted {
		return strings.ToLower(x.text)
	}
	return x.text
}

// place is a table with its schema, which is empty where the engine has none.
type place struct{ schema, table string }

func (p place) String() string {
	if p.schema == "" {
		return p.table
	}
	return p.schema + "." + p.table
}

// places are the tables of a snapshot that are not ours.
func places(m *Manifest, model *schema.Database, names Names) []place {
	var list []place
	if model == nil {
		for _, t := range m.Content.Tables {
			list = append(list, place{table: t.Name})
		}
	} else {
		for _, s := range model.Schemas {
			for _, t := range s.Tables {
				p := place{table: t.Name}
				if names.Public != "" {
					p.schema = s.Name
				}
				list = append(list, p)
			}
		}
	}
	return slices.DeleteFunc(list, func(p place) bool {
		return p.schema == "switchback" || strings.HasPrefix(p.table, "switchback_") && !strings.HasPrefix(p.table, "switchback_old_")
	})
}

// tableNamed finds the table of a snapshot that a name means by the engine's rules.
func tableNamed(m *Manifest, model *schema.Database, names Names, text string) (namespace, table string, err error) {
	list, err := parseName(text)
	if err != nil {
		return "", "", err
	}
	all := places(m, model, names)
	last := names.meant(list[len(list)-1])
	var hits []place
	for _, p := range all {
		if !names.same(p.table, last) {
			continue
		}
		if len(list) == 2 && names.Public != "" && p.schema != names.meant(list[0]) {
			continue
		}
		hits = append(hits, p)
	}
	if len(list) == 2 && names.Public == "" && !names.same(list[0].text, "main") && !strings.HasSuffix(m.Source, "/"+list[0].text) {
		hits = nil // another database
	}
	if len(list) == 1 && len(hits) > 1 {
		if i := slices.Index(hits, place{names.Public, last}); i >= 0 {
			hits = hits[i : i+1]
		}
	}
	switch len(hits) {
	case 1:
		return hits[0].schema, hits[0].table, nil
	case 0:
		return "", "", unknownTable(m, all, text, last)
	}
	return "", "", fmt.Errorf("snapshot %s has several tables %s\n  next: name one of them: --table %s", m.ID, last, joined(hits, " or --table "))
}

// nearest is how many names an error proposes at most.
const nearest = 5

// unknownTable proposes names that are near.
func unknownTable(m *Manifest, all []place, text, last string) error {
	far := func(p place) int { return distance(strings.ToLower(p.table), strings.ToLower(last)) }
	near := slices.DeleteFunc(slices.Clone(all), func(p place) bool {
		return far(p) > max(2, len(last)/3) && !strings.Contains(strings.ToLower(p.table), strings.ToLower(last))
	})
	slices.SortStableFunc(near, func(a, b place) int {
		return cmp.Or(cmp.Compare(far(a), far(b)), strings.Compare(a.String(), b.String()))
	})
	if len(near) == 0 {
		return fmt.Errorf("snapshot %s has no table %s\n  next: switchback snapshot show %s lists its %d tables", m.ID, text, m.ID, len(all))
	}
	return fmt.Errorf("snapshot %s has no table %s\n  next: one of those it has: %s", m.ID, text, joined(near[:min(len(near), nearest)], ", "))
}

func joined(list []place, between string) string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return strings.Join(texts, between)
}

// distance is how many letters have to be put in, left out or replaced to make one text the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// copyName is the name of the copy: the user's own, or the table's with when the snapshot was taken, cut to what
// the engine takes.
func (f *found) copyName(as string) (string, error) {
	if as == "" {
		day, _, _ := strings.Cut(f.manifest.ID, "T")
		suffix := "_restored_" + day + "_" + f.manifest.ID[len(f.manifest.ID)-6:]
		name := f.name
		for !f.names.fits(name + suffix) {
			_, size := utf8.DecodeLastRuneInString(name)
			name = name[:len(name)-size]
		}
		return name + suffix, nil
	}
	list, err := parseName(as)
	if err != nil {
		return "", fmt.Errorf("--as %w", err)
	}
	name := f.names.meant(list[len(list)-1])
	switch {
	case len(list) == 2 && f.names.meant(list[0]) != f.schema:
		return "", fmt.Errorf("--as %s: the copy is made beside the table\n  next: --as with a name alone", as)
	case !f.names.fits(name):
		return "", fmt.Errorf("--as %s: the name is longer than the %d that the engine takes\n  next: --as with a shorter one", as, cmp.Or(f.names.Bytes, f.names.Chars))
	case strings.HasPrefix(strings.ToLower(name), "switchback_"), strings.HasPrefix(strings.ToLower(name), "sqlite_"):
		return "", fmt.Errorf("--as %s: names that begin so are not the user's\n  next: --as with another one", as)
	}
	return name, nil
}

// fits tells whether the engine takes a name of this length.
func (n Names) fits(name string) bool {
	return (n.Bytes == 0 || len(name) <= n.Bytes) && (n.Chars == 0 || utf8.RuneCountInString(name) <= n.Chars)
}
