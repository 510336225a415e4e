package recipe

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// Part is a column of the new shape, with the expression over the old columns that gives its value.
type Part struct {
	Name    string
	Type    string
	NotNull bool
	Up      string
}

func (c Part) String() string {
	text := word(c.Name) + " " + c.Type
	if c.NotNull {
		text += " not null"
	}
	return text + " = (" + c.Up + ")"
}

// SplitColumn replaces a column by several.
type SplitColumn struct {
	Table  Table
	Column string
	Into   []Part
	Down   string // expression over the new columns that gives the old value
}

// String implements Operation.
func (o SplitColumn) String() string {
	return fmt.Sprintf("split column %s.%s into %s down (%s)", o.Table, word(o.Column), join(o.Into, Part.String), o.Down)
}

func (o SplitColumn) on() Table { return o.Table }

func (o SplitColumn) recipe(p *planner) (recipe, error) {
	return replaceColumns(p, o, o.Table, []string{o.Column}, o.Into, only(o.Column, o.Down))
}

// MergeColumns replaces several columns by one.
type MergeColumns struct {
	Table   Table
	Columns []string
	Into    Part
	Down    []string // for each column, the expression over the new one that gives its value
}

// String implements Operation.
func (o MergeColumns) String() string {
	return fmt.Sprintf("merge columns %s (%s) into %s down %s", o.Table, join(o.Columns, word), o.Into, join(o.Down, func(x string) string { return "(" + x + ")" }))
}

func (o MergeColumns) on() Table { return o.Table }

func (o MergeColumns) recipe(p *planner) (recipe, error) {
	if len(o.Down) != len(o.Columns) {
		return nil, &Error{o, "each of the columns needs an expression for the way back", ""}
	}
	down := map[string]string{}
	for i, c := range o.Columns {
		down[c] = o.Down[i]
	}
	return replaceColumns(p, o, o.Table, o.Columns, []Part{o.Into}, down)
}

func replaceColumns(p *planner, op Operation, name Table, old []string, into []Part, down map[string]string) (recipe, error) {
	table, _, err := p.table(op, name)
	if err != nil {
		return nil, err
	}
	rule := &rule{old: old, down: down, up: map[string]string{}}
	var added []*schema.Column
	for _, c := range into {
		rule.new = append(rule.new, c.Name)
		rule.up[c.Name] = c.Up
		added = append(added, &schema.Column{Name: c.Name, Type: p.engine.canonical(c.Type), NotNull: c.NotNull})
	}
	return newReshape(p, op, table, rule, added)
}

func join[T any](list []T, text func(T) string) string { return joinBy(list, ", ", text) }

func joinBy[T any](list []T, separator string, text func(T) string) string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = text(x)
	}
	return strings.Join(out, separator)
}
