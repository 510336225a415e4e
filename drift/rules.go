package drift

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// Rule says that a difference is no finding.
type Rule struct {
	Object   string    // a pattern as of diff.Options; a part of a table is named with its kind: column:public.users.note, its rows as rows:public.users
	Property string    // only this property, of rows this column; empty: the object with all below it
	Reason   string    // for the reader of the report
	Until    time.Time // the first moment at which it does not hold any more; zero: it holds for ever
}

// dateLayout is how the last day of a rule is written.
const dateLayout = "2006-01-02"

// NewRule makes a rule of its text. until is the last day on which it holds, in UTC, or empty.
func NewRule(object, property, reason, until string) (Rule, error) {
	r := Rule{Object: object, Property: property, Reason: strings.TrimSpace(reason)}
	if object == "" {
		return r, errors.New("an ignore rule has no object: want one such as table:public.tmp_*")
	}
	if err := diff.CheckPattern(object); err != nil {
		return r, fmt.Errorf("ignore rule %s: %w", object, err)
	}
	if r.Reason == "" {
		return r, fmt.Errorf("ignore rule %s has no reason: say why it may differ", object)
	}
	if until == "" {
		return r, nil
	}
	day, err := time.Parse(dateLayout, until)
	if err != nil {
		return r, fmt.Errorf("ignore rule %s: until: %q is no date such as 2027-01-31", object, until)
	}
	r.Until = day.AddDate(0, 0, 1)
	return r, nil
}

func (r Rule) expired(now time.Time) bool { return !r.Until.IsZero() && !now.Before(r.Until) }

// matches tells whether a rule is about an object. Parts of a table are only meant where the rule names
// their kind: else a rule for a table "note" would be about all columns of that name.
func (r Rule) matches(c diff.Change, namespace string, depth int) bool {
	if depth > 0 && !strings.Contains(r.Object, ":") {
		return false
	}
	return diff.Match(r.Object, c.Kind, namespace, c.Name)
}

// verdict is what rules say of changes.
type verdict struct {
	rules   []Rule
	now     time.Time
	matched []int // by rule, how many objects it is about
	kept    []diff.Change
	ignored []diff.Ignored
}

func applyRules(changes []diff.Change, rules []Rule, now time.Time) *verdict {
	v := &verdict{rules: rules, now: now, matched: make([]int, len(rules))}
	v.kept = v.apply(changes, "", "", 0)
	return v
}

// apply returns the changes that no rule ignores. above is the path of what they are in, as diff.Walk
// writes it.
func (v *verdict) apply(changes []diff.Change, above, namespace string, depth int) []diff.Change {
	var kept []diff.Change
	for _, c := range changes {
		path := pathOf(c, above, namespace)
		if v.whole(c, path, namespace, depth) {
			continue
		}
		c.Properties = v.properties(c, path, namespace, depth)
		if c.Action == diff.Modify {
			inside, deeper := joined(namespace, c.Name), depth+1
			if c.Kind == schema.KindSchema {
				path, deeper = "", 0
			}
			c.Children = v.apply(c.Children, path, inside, deeper)
			if len(c.Properties)+len(c.Children) == 0 {
				continue
			}
		}
		kept = append(kept, c)
	}
	return kept
}

func joined(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}

func pathOf(c diff.Change, above, namespace string) string {
	if above != "" {
		return above + ", " + string(c.Kind) + " " + c.Name
	}
	return string(c.Kind) + " " + joined(namespace, c.Name)
}

// whole ignores an object with all below it where a rule says so.
func (v *verdict) whole(c diff.Change, path, namespace string, depth int) bool {
	for i, r := range v.rules {
		if r.Property != "" || !r.matches(c, namespace, depth) {
			continue
		}
		v.matched[i]++
		if r.expired(v.now) {
			continue
		}
		v.ignored = append(v.ignored, diff.Ignored{Path: path, Action: c.Action, Rule: r.Object, Reason: r.Reason, Until: r.Until})
		return true
	}
	return false
}

// properties are those of a change that no rule ignores.
func (v *verdict) properties(c diff.Change, path, namespace string, depth int) []diff.PropertyChange {
	if c.Action != diff.Modify {
		return c.Properties
	}
	var kept []diff.PropertyChange
	for _, p := range c.Properties {
		if !v.property(c, p.Name, path, namespace, depth) {
			kept = append(kept, p)
		}
	}
	return kept
}

func (v *verdict) property(c diff.Change, name, path, namespace string, depth int) bool {
	for i, r := range v.rules {
		if r.Property != name || !r.matches(c, namespace, depth) {
			continue
		}
		v.matched[i]++
		if r.expired(v.now) {
			continue
		}
		v.ignored = append(v.ignored, diff.Ignored{Path: path + ", " + name, Action: c.Action, Rule: r.Object, Reason: r.Reason, Until: r.Until})
		return true
	}
	return false
}

// kindRows is the kind by which rules name the rows of a table. Rules that name no kind are not about rows:
// they say how schemas may differ.
const kindRows schema.Kind = "rows"

// rows ignores the rows of a table, which differ, where a rule says so.
func (v *verdict) rows(name, namespace, table string) bool {
	return v.whole(diff.Change{Action: diff.Modify, Kind: kindRows, Name: table}, "rows of "+name, namespace, 1)
}

// column tells whether a rule leaves a column out of the comparison of rows, and why.
func (v *verdict) column(namespace, table, column string) (reason string, out bool) {
	for i, r := range v.rules {
		if r.Property != column || !r.matches(diff.Change{Kind: kindRows, Name: table}, namespace, 1) {
			continue
		}
		v.matched[i]++
		if !r.expired(v.now) {
			return r.Reason, true
		}
	}
	return "", false
}

// sections tell of the rules that do nothing.
func (v *verdict) sections() []diff.Section {
	expired := diff.Section{Title: "Rules that have expired", Intro: "What they are about is reported again.", Head: []string{"object", "reason", "until", "matches"}}
	unused := diff.Section{Title: "Rules that match nothing", Intro: "They can be removed from the configuration.", Head: []string{"object", "reason"}}
	for i, r := range v.rules {
		object := r.Object
		if r.Property != "" {
			object += ", " + r.Property
		}
		switch {
		case r.expired(v.now):
			expired.Rows = append(expired.Rows, []string{object, r.Reason, r.Until.AddDate(0, 0, -1).Format(dateLayout), fmt.Sprint(v.matched[i])})
		case v.matched[i] == 0:
			unused.Rows = append(unused.Rows, []string{object, r.Reason})
		}
	}
	var sections []diff.Section
	for _, s := range []diff.Section{expired, unused} {
		if len(s.Rows) > 0 {
			sections = append(sections, s)
		}
	}
	return sections
}
