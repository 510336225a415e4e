package proof

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// column is a column with the values that are tried in it, as SQL.
type column struct {
	*schema.Column
	values []string
	choice int // of the values, in a row that varies another column
}

// In a value, fresh stands for a number that no other row has, and padded for the same of twelve digits. A column whose
// value is omitted is not named.
const (
	fresh   = "\x00n\x00"
	padded  = "\x00p\x00"
	omitted = ""
)

// numbered puts the number into a value.
func numbered(value string, n int) string {
	return strings.NewReplacer(fresh, strconv.Itoa(n), padded, fmt.Sprintf("%012d", n)).Replace(value)
}

func (c *column) index(value string) int { return max(0, slices.Index(c.values, value)) }

// optional says that the column takes NULL.
func (c *column) optional() bool { return slices.Contains(c.values, "NULL") }

// columns are the columns of a table that an INSERT may name.
func (f *filler) columns(t place) []*column {
	alone := map[string]bool{} // columns whose values have to differ
	points := map[string]string{}
	for _, k := range t.Constraints {
		switch {
		case k.Type == schema.PrimaryKey || k.Type == schema.Unique || k.Type == schema.Exclusion:
			for _, c := range k.Columns {
				alone[c] = true
			}
		case k.References != nil:
			f.pointed(t, k, points)
		}
	}
	for _, i := range t.Indexes {
		if i.Unique {
			for _, c := range i.Columns {
				alone[c] = true
			}
		}
	}
	var list []*column
	for _, c := range t.Columns {
		if c.Generated != "" || c.Identity == "always" || schema.Value(c.Options, "inherited") != "" {
			continue
		}
		list = append(list, &column{Column: c, values: f.values(c, alone[c.Name], points[c.Name])})
	}
	return list
}

// pointed notes for the columns of a foreign key an expression that finds a row to point to.
func (f *filler) pointed(t place, k *schema.Constraint, points map[string]string) {
	d := f.db.Dialect()
	to := k.References.Columns
	if len(to) != len(k.Columns) {
		return // it points to a key that the definition does not spell out
	}
	in := k.References.Schema
	if in == "" {
		in = t.in
	}
	var order []string
	for _, c := range to {
		order = append(order, d.Quote(c))
	}
	for i, c := range k.Columns {
		points[c] = fmt.Sprintf("(SELECT p FROM (SELECT %s AS p FROM %s ORDER BY %s LIMIT 1) AS q)", d.Quote(to[i]), d.QuoteTable(in, k.References.Table), strings.Join(order, ", "))
	}
}

// values are what is tried in a column, the likeliest first.
func (f *filler) values(c *schema.Column, alone bool, points string) []string {
	var list []string
	switch {
	case points != "":
		list = []string{points}
	case alone:
		list = append(fresher(c.Type), f.ofType(c)...)
	default:
		list = f.ofType(c)
	}
	if c.Default != "" || c.Identity != "" || schema.Value(c.Options, "auto_increment") != "" {
		list = append(list, omitted)
	}
	if !c.NotNull {
		list = append(list, "NULL")
	}
	return list
}

var (
	inParens  = regexp.MustCompile(`\((\d+)`)
	enumLabel = regexp.MustCompile(`'((?:[^']|'')*)'`)
)

// family is what a type is called without its modifiers, in lower case.
func family(typ string) string {
	name, _, _ := strings.Cut(strings.ToLower(typ), "(")
	return strings.TrimSpace(name)
}

func has(typ string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(family(typ), w) })
}

// fresher are values that differ from row to row.
func fresher(typ string) []string {
	number := fresh
	switch {
	case has(typ, "tinyint"):
		return []string{number}
	case has(typ, "int", "serial", "numeric", "decimal", "float", "double", "real", "number"):
		return []string{number}
	case has(typ, "uuid"):
		return []string{"'00000000-0000-4000-8000-" + padded + "'"}
	case has(typ, "date", "time"):
		return []string{"'2024-01-01 00:00:00'"}
	}
	return []string{"'k" + number + "'", number}
}

// ofType are values of a type, its edges among them.
func (f *filler) ofType(c *schema.Column) []string {
	typ := c.Type
	if labels := f.labels(c); len(labels) > 0 {
		return labels
	}
	switch {
	case strings.HasSuffix(typ, "[]"):
		return []string{"'{}'"}
	case has(typ, "bool"), family(typ) == "tinyint" && strings.HasPrefix(strings.ToLower(typ), "tinyint(1)"):
		return []string{"TRUE", "FALSE"}
	case family(typ) == "bit":
		return []string{"B'" + strings.Repeat("1", size(typ, 1)) + "'"}
	case has(typ, "point", "polygon", "geometry", "linestring", "line", "lseg", "path", "circle", "box"):
		return []string{"'(1,2)'", "'(1,2),(3,4)'", "ST_GeomFromText('POINT(1 2)')", "'{1,2,3}'", "'<(1,2),3>'"}
	case has(typ, "interval"):
		return []string{"'1 day'", "'0'"}
	case has(typ, "int", "serial", "number"):
		return []string{"42", "0", "1"}
	case has(typ, "numeric", "decimal", "float", "double", "real", "money"):
		return []string{"1.5", "0", "1"}
	case has(typ, "timestamp", "datetime"):
		return []string{"'2024-02-29 12:34:56'", "'1999-12-31 23:59:59'"}
	case has(typ, "date"):
		return []string{"'2024-02-29'", "'1999-12-31'"}
	case has(typ, "year"):
		return []string{"2024"}
	case has(typ, "time"):
		return []string{"'12:34:56'", "'00:00:00'"}
	case has(typ, "uuid"):
		return []string{"'6d5f3a1e-0b1c-4f6e-9a55-0d3d4b1c2a11'"}
	case has(typ, "json"):
		return []string{`'{"a": [1, null, "ä"]}'`, "'[]'"}
	case has(typ, "bytea"):
		return []string{`'\x00ff'`, "''"}
	case has(typ, "blob", "binary"):
		return []string{"X'00ff'", "X''"}
	case has(typ, "inet", "cidr"):
		return []string{"'10.0.0.1'", "'10.0.0.0/8'"}
	case has(typ, "tsvector"):
		return []string{"'a b'"}
	case has(typ, "range"):
		return []string{"'empty'"}
	case has(typ, "char", "text", "clob", "name"):
		return texts(typ)
	}
	return []string{"'a'", "1", "'1'", "'{}'", "'2024-02-29'", "'(1,2)'"} // a domain, an extension's type, anything on SQLite
}

// texts are strings as long as the type takes, and odd ones.
func texts(typ string) []string {
	n := size(typ, 0)
	list := []string{"'Ada'", "''", "'Zoë ☃ O''Brien'", "' two words '"}
	if n > 0 {
		list = append(list, "'"+strings.Repeat("x", min(n, 300))+"'")
	}
	return slices.DeleteFunc(list, func(text string) bool { return n > 0 && len([]rune(text))-2 > n+strings.Count(text, "''") })
}

// size is the number behind a type, or the standard one.
func size(typ string, standard int) int {
	if m := inParens.FindStringSubmatch(typ); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return n
		}
	}
	return standard
}

// labels are those of an enum: of MySQL in the type itself, of PostgreSQL in a type of that name.
func (f *filler) labels(c *schema.Column) []string {
	var list []string
	if engine := f.db.Dialect().Engine; engine == migrate.MySQL || engine == migrate.MariaDB {
		if name := family(c.Type); name == "enum" || name == "set" {
			list = enumLabel.FindAllString(c.Type, -1)
		}
		return list
	}
	for _, in := range f.model.Schemas {
		for _, t := range in.Types {
			if c.Type != t.Name && c.Type != in.Name+"."+t.Name && !strings.HasSuffix(c.Type, `."`+t.Name+`"`) {
				continue
			}
			for _, l := range t.Labels {
				list = append(list, "'"+strings.ReplaceAll(l, "'", "''")+"'")
			}
		}
	}
	return list
}
