package foreign

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// compare orders versions by their numbers: 2 before 10, and 1.2 before 1.10.
func compare(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if c := compareNumber(part(as, i), part(bs, i)); c != 0 {
			return c
		}
	}
	return 0
}

func part(parts []string, i int) string {
	if i < len(parts) {
		return strings.TrimLeft(parts[i], "0")
	}
	return ""
}

// compareNumber compares decimal numbers of any length, without leading zeros.
func compareNumber(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func (f *Folder) sort() {
	slices.SortFunc(f.Migrations, func(a, b Migration) int { return compare(a.Version, b.Version) })
}

// The least digits of a change's ID, of the first number of a version and of the others. With them the
// IDs stay in order when the folder grows and is imported again.
const (
	minFirst = 4
	minOther = 2
)

// ids gives each migration the ID of its change: 1 is 0001_name, and 1.5 is 0001p05_name. They sort as
// text the way the versions sort as numbers, and before the times that new changes are named by.
func (f *Folder) ids() []string {
	widths := []int{minFirst}
	last := ""
	for _, m := range f.Migrations {
		if m.Repeatable {
			continue
		}
		last = m.Version
		for i, p := range strings.Split(m.Version, ".") {
			if i == len(widths) {
				widths = append(widths, minOther)
			}
			widths[i] = max(widths[i], len(p))
		}
	}
	if pad(last, widths) >= "2" && widths[0] < 8 {
		widths[0]++ // no date: keep it below those of the changes to come
	}
	ids := make([]string, len(f.Migrations))
	repeatable := 0
	for i, m := range f.Migrations {
		version := pad(m.Version, widths)
		if m.Repeatable {
			repeatable++
			version = fmt.Sprintf("%sr%03d", pad(last, widths), repeatable)
		}
		ids[i] = version + "_" + slug(m.Name)
	}
	return ids
}

// pad writes a version so that it sorts as text. Trailing zeros say nothing, see compare.
func pad(version string, widths []int) string {
	parts := strings.Split(version, ".")
	for len(parts) > 1 && part(parts, len(parts)-1) == "" {
		parts = parts[:len(parts)-1]
	}
	for i := range parts {
		p := part(parts, i)
		parts[i] = strings.Repeat("0", max(0, widths[i]-len(p))) + p
	}
	return strings.Join(parts, "p") // sorts behind the _ in front of a name
}

var notInID = regexp.MustCompile(`[^0-9A-Za-z-]+`)

func slug(name string) string {
	if s := strings.Trim(notInID.ReplaceAllString(name, "_"), "_"); s != "" {
		return s
	}
	return "migration"
}
