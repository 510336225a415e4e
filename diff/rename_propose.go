package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// likeness is how much an object that is dropped looks like one that is added.
type likeness struct {
	score    float64 // 0 is not at all, 1 is the same
	evidence string
}

// enough is the score from which two objects look like one with another name.
const enough = 0.6

// propose finds drops and adds that look like renames: those where each is clearly the other's best match.
func propose(changes []Change) []Rename {
	var found []Rename
	for _, c := range changes {
		if c.Kind == schema.KindSchema && c.Action == Modify {
			found = append(found, proposeIn(c)...)
		}
	}
	return found
}

func proposeIn(namespace Change) []Rename {
	found := pairs(namespace.Children, schema.KindTable, alikeTables)
	found = append(found, pairs(namespace.Children, schema.KindView, alikeViews)...)
	for _, c := range namespace.Children {
		if c.Action != Modify {
			continue
		}
		var below []Rename
		switch c.Kind {
		case schema.KindTable:
			before, after := c.Before.(*schema.Table), c.After.(*schema.Table)
			below = pairs(c.Children, schema.KindColumn, func(a, b Change) likeness {
				return alikeColumns(before, after, a.Before.(*schema.Column), b.After.(*schema.Column))
			})
			below = append(below, pairs(c.Children, schema.KindIndex, alikeIndexes)...)
		case schema.KindView:
			below = pairs(c.Children, schema.KindIndex, alikeIndexes)
		case schema.KindType:
			below = labels(c.Before.(*schema.Type), c.After.(*schema.Type))
		}
		for i := range below {
			below[i].Parent = c.Name
		}
		found = append(found, below...)
	}
	for i := range found {
		found[i].Schema = namespace.Name
	}
	return found
}

// pairs finds the drops and adds of a kind that are each other's best match, and says when another comes
// close. Where two are as good, none is proposed.
func pairs(changes []Change, kind schema.Kind, alike func(drop, add Change) likeness) []Rename {
	var drops, adds []Change
	for _, c := range changes {
		switch {
		case c.Kind != kind:
		case c.Action == Drop:
			drops = append(drops, c)
		case c.Action == Add:
			adds = append(adds, c)
		}
	}
	table := make([][]likeness, len(drops))
	for i, d := range drops {
		for _, a := range adds {
			table[i] = append(table[i], alike(d, a))
		}
	}
	var found []Rename
	for i, d := range drops {
		for j, a := range adds {
			l := table[i][j]
			rival, name := rivals(table, i, j, drops, adds)
			if l.score < enough || rival >= l.score {
				continue
			}
			if rival >= enough {
				l.evidence += fmt.Sprintf("; but %s is like it too", name)
			}
			found = append(found, Rename{Kind: kind, From: d.Name, To: a.Name, Evidence: l.evidence})
		}
	}
	return found
}

// rivals returns the best score of another pair that has one of the two in it, and the other of that pair.
func rivals(table [][]likeness, i, j int, drops, adds []Change) (best float64, name string) {
	for k := range adds {
		if s := table[i][k].score; k != j && s > best {
			best, name = s, adds[k].Name
		}
	}
	for k := range drops {
		if s := table[k][j].score; k != i && s > best {
			best, name = s, drops[k].Name
		}
	}
	return best, name
}

func sameProperties(a, b schema.Object) bool { return slices.Equal(a.Properties(), b.Properties()) }

// alikeTables compares by the share of columns that are equal, and by the primary key.
func alikeTables(drop, add Change) likeness {
	a, b := drop.Before.(*schema.Table), add.After.(*schema.Table)
	same := 0
	for _, c := range a.Columns {
		if d := b.Column(c.Name); d != nil && sameProperties(c, d) {
			same++
		}
	}
	all := max(len(a.Columns), len(b.Columns))
	if all == 0 || same == 0 {
		return likeness{}
	}
	l := likeness{float64(same) / float64(all), fmt.Sprintf("%d of %d columns equal", same, all)}
	if key := primaryKey(a); key != "" && key == primaryKey(b) {
		l.evidence += ", same primary key"
	} else {
		l.score -= 0.05
	}
	if strings.EqualFold(a.Name, b.Name) {
		l.evidence += ", same name but for its case"
	}
	if all == 1 && len(a.Constraints)+len(b.Constraints) == 0 { // a single column is not much to go by
		l.score /= 2
	}
	return l
}

func primaryKey(t *schema.Table) string {
	if key := t.PrimaryKey(); key != nil {
		return key.Definition
	}
	return ""
}

// alikeColumns wants the same properties; the place among the other columns, and what stands on the
// column, decide.
func alikeColumns(before, after *schema.Table, a, b *schema.Column) likeness {
	if !sameProperties(a, b) {
		return likeness{}
	}
	l := likeness{enough, "same type " + a.Type}
	if a.Type == "" {
		l.evidence = "same properties"
	}
	left, right := neighbours(before, a.Name)
	otherLeft, otherRight := neighbours(after, b.Name)
	switch {
	case left == otherLeft && right == otherRight:
		l.score += 0.2
		l.evidence += ", same position" + between(left, right)
	case slices.IndexFunc(before.Columns, func(c *schema.Column) bool { return c == a }) == slices.IndexFunc(after.Columns, func(c *schema.Column) bool { return c == b }):
		l.score += 0.1
		l.evidence += ", same position"
	}
	if uses := usesOf(before, a.Name); uses != "" && uses == usesOf(after, b.Name) {
		l.score += 0.1
		l.evidence += ", used by the same " + uses
	}
	if strings.EqualFold(a.Name, b.Name) {
		l.score += 0.1
		l.evidence += ", same name but for its case"
	}
	return l
}

// neighbours returns the names of the columns before and after one.
func neighbours(t *schema.Table, name string) (left, right string) {
	i := slices.IndexFunc(t.Columns, func(c *schema.Column) bool { return c.Name == name })
	if i > 0 {
		left = t.Columns[i-1].Name
	}
	if i+1 < len(t.Columns) {
		right = t.Columns[i+1].Name
	}
	return left, right
}

func between(left, right string) string {
	switch {
	case left != "" && right != "":
		return " between " + left + " and " + right
	case left != "":
		return " after " + left
	case right != "":
		return " before " + right
	}
	return ""
}

// usesOf names the indexes and constraints that have the column in them, by what stays the same when it
// gets another name.
func usesOf(t *schema.Table, column string) string {
	var uses []string
	for _, x := range t.Indexes {
		if slices.Contains(x.Columns, column) {
			uses = append(uses, "index "+x.Name)
		}
	}
	for _, c := range t.Constraints {
		switch {
		case !slices.Contains(c.Columns, column):
		case c.Unnamed:
			uses = append(uses, c.Type)
		default:
			uses = append(uses, c.Type+" "+c.Name)
		}
	}
	return strings.Join(uses, ", ")
}

// alikeIndexes wants the same definition but for the name.
func alikeIndexes(drop, add Change) likeness {
	a, b := drop.Before.(*schema.Index), add.After.(*schema.Index)
	if withoutName(a) != withoutName(b) || a.Invalid != b.Invalid {
		return likeness{}
	}
	return likeness{1, "same definition"}
}

func withoutName(x *schema.Index) string {
	done := false
	return sqltoken.Replace(x.Definition, sqltoken.Dialect{Backticks: true}, func(list []sqltoken.Token, i int) (string, bool) {
		if done || !list[i].IsName() || list[i].Name != x.Name || i > 5 {
			return "", false
		}
		done = true
		return "", true
	})
}

// alikeViews wants the same query.
func alikeViews(drop, add Change) likeness {
	if !sameProperties(drop.Before, add.After) {
		return likeness{}
	}
	return likeness{1, "same query"}
}

// labels finds the values of an enum that another has taken the place of, where nothing else moved.
func labels(a, b *schema.Type) []Rename {
	if len(a.Labels) != len(b.Labels) {
		return nil
	}
	var found []Rename
	for i, label := range a.Labels {
		switch other := b.Labels[i]; {
		case label == other:
		case slices.Contains(b.Labels, label), slices.Contains(a.Labels, other):
			return nil
		default:
			left, right := "", ""
			if i > 0 {
				left = a.Labels[i-1]
			}
			if i+1 < len(a.Labels) {
				right = a.Labels[i+1]
			}
			found = append(found, Rename{Kind: KindLabel, From: label, To: other, Evidence: "same position" + between(left, right) + ", no other value moved"})
		}
	}
	return found
}
