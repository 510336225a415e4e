package graph

import (
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// name is an identifier in a constraint's definition, with or without quotes.
const name = "(\"(?:[^\"]|\"\")+\"|`(?:[^`]|``)+`|\\[[^\\]]+\\]|[\\pL_][\\pL\\pN_$]*)"

var (
	firstList = regexp.MustCompile(`(?s)\(([^()]*)\)`)
	anyName   = regexp.MustCompile(name)
	refersTo  = regexp.MustCompile(`(?i)\bREFERENCES\s+(?:` + name + `\s*\.\s*)?` + name)
)

// columnsOf are the columns of a key. An inspector that does not tell them apart has them in the definition.
func columnsOf(c *schema.Constraint) []string {
	if len(c.Columns) > 0 || c.Type == schema.Check || c.Type == schema.Exclusion {
		return c.Columns
	}
	list := firstList.FindStringSubmatch(c.Definition)
	if list == nil {
		return nil
	}
	var columns []string
	for _, part := range strings.Split(list[1], ",") {
		if found := anyName.FindString(part); found != "" {
			columns = append(columns, unquote(found))
		}
	}
	return columns
}

// referenceOf is what a foreign key refers to, or nil.
func referenceOf(c *schema.Constraint) *schema.Reference {
	if c.Type != schema.ForeignKey || c.References != nil {
		return c.References
	}
	m := refersTo.FindStringSubmatch(c.Definition)
	if m == nil {
		return nil
	}
	return &schema.Reference{Schema: unquote(m[1]), Table: unquote(m[2])}
}

func unquote(name string) string {
	if len(name) < 2 {
		return name
	}
	switch q := name[:1]; q {
	case `"`, "`":
		return strings.ReplaceAll(name[1:len(name)-1], q+q, q)
	case "[":
		return name[1 : len(name)-1]
	}
	return name
}
