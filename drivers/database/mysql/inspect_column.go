package mysql

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	ddl "github.com/switchbackdb/switchback/ddl/mysql"
	"github.com/switchbackdb/switchback/schema"
)

func (in *inspection) columnsPart() part {
	srid := "c.srs_id"
	if in.mariadb {
		srid = "NULL"
	}
	return part{
		name: "columns",
		// Not joined to the tables, which are known: MariaDB would open each table for it once more.
		query: fmt.Sprintf(`SELECT c.table_name, c.column_name, c.column_type, c.is_nullable, c.column_default IS NOT NULL, c.column_default, c.extra, c.generation_expression,
  c.collation_name, c.column_comment, %s, c.collation_name
FROM information_schema.columns c WHERE c.table_schema = DATABASE() ORDER BY c.table_name, c.ordinal_position`, srid),
		row: func(r []string) {
			t := in.tables[r[0]]
			if t == nil { // a view or a sequence
				return
			}
			if r[8] == schema.Value(t.Options, "collation") {
				r[8] = ""
			}
			t.Columns = append(t.Columns, in.column(r))
		},
	}
}

func (in *inspection) column(r []string) *schema.Column {
	typ, compressed := columnType(r[2])
	c := &schema.Column{Name: r[1], Type: typ, NotNull: r[3] == "NO", Collation: r[8], Comment: r[9]}
	extra := strings.ToLower(r[6])
	set := func(name, value string, yes bool) {
		if yes {
			c.Options = append(c.Options, property(name, value))
		}
	}
	if r[4] == "1" && r[7] == "" {
		c.Default = in.defaultOf(typ, r[5], extra)
	}
	if r[7] != "" {
		c.Generated = in.generated(r[7], extra)
	}
	set("auto_increment", "yes", strings.Contains(extra, "auto_increment"))
	set("invisible", "yes", strings.Contains(extra, "invisible"))
	set("without system versioning", "yes", strings.Contains(extra, "without system versioning"))
	set("compressed", "yes", compressed)
	set("srid", r[10], r[10] != "")
	if _, update, ok := strings.Cut(extra, "on update "); ok {
		set("on update", moment(strings.Split(update, ",")[0]), true)
	}
	// Kept until the checks are read, to know JSON by it.
	set("character set", r[11], r[11] != "")
	return c
}

func (in *inspection) generated(expression, extra string) string {
	if expression == "ROW START" || expression == "ROW END" {
		return expression
	}
	if !in.mariadb {
		expression = unescape(expression)
	}
	kind := " virtual"
	if strings.Contains(extra, "stored") || strings.Contains(extra, "persistent") {
		kind = " stored"
	}
	return "(" + in.expression(expression) + ")" + kind
}

var (
	width = regexp.MustCompile(`^(tinyint|smallint|mediumint|int|bigint|year)\((\d+)\)( unsigned)?$`)
	hint  = regexp.MustCompile(`\s*/\*.*?\*/`)
)

// columnType is a type in the words of MySQL 8 and later, which have no display width unless someone chose one.
func columnType(text string) (typ string, compressed bool) {
	compressed = strings.Contains(text, "COMPRESSED")
	text = hint.ReplaceAllString(text, "")
	if m := width.FindStringSubmatch(text); m != nil {
		usual := map[string]string{
			"tinyint": "4", "smallint": "6", "mediumint": "9", "int": "11", "bigint": "20", "year": "4",
			"tinyint unsigned": "3", "smallint unsigned": "5", "mediumint unsigned": "8", "int unsigned": "10", "bigint unsigned": "20",
		}
		if usual[m[1]+m[3]] == m[2] {
			text = m[1] + m[3]
		}
	}
	if text == "geomcollection" {
		text = "geometrycollection"
	}
	return text, compressed
}

var (
	number = regexp.MustCompile(`^-?[0-9.]+(e[-+]?[0-9]+)?$`)
	now    = regexp.MustCompile(`(?i)^current_timestamp(\((\d*)\))?$`)
)

// moment writes the current time as MySQL does.
func moment(text string) string {
	m := now.FindStringSubmatch(strings.TrimSpace(text))
	switch {
	case m == nil:
		return text
	case m[2] == "":
		return "CURRENT_TIMESTAMP"
	}
	return "CURRENT_TIMESTAMP(" + m[2] + ")"
}

// defaultOf writes a default as it stands in a statement: a literal, CURRENT_TIMESTAMP or an expression in
// parentheses. MariaDB gives it so, but for the parentheses; MySQL gives the bare value unless it was
// an expression.
func (in *inspection) defaultOf(typ, value, extra string) string {
	if now.MatchString(value) && (in.mariadb || strings.Contains(extra, "default_generated")) {
		return moment(value)
	}
	if !in.mariadb {
		switch {
		case strings.Contains(extra, "default_generated"):
			return "(" + in.expression(unescape(value)) + ")"
		case numeric(typ) && number.MatchString(value), strings.HasPrefix(typ, "bit"), isBinary(typ) && strings.HasPrefix(value, "0x"):
			return value
		}
		return ddl.Literal(value)
	}
	tokens := scan(value)
	switch {
	case value == "NULL":
		return ""
	case number.MatchString(value) && numeric(typ), strings.HasPrefix(value, "b'"):
		return value
	case number.MatchString(value):
		return ddl.Literal(value)
	case isBinary(typ) && strings.HasPrefix(value, "x'"):
		return "0x" + strings.ToUpper(strings.Trim(value[1:], "'"))
	case len(tokens) == 1 && tokens[0].kind == 's' && isBinary(typ):
		return "0x" + strings.ToUpper(hex.EncodeToString([]byte(tokens[0].value())))
	case len(tokens) == 1 && tokens[0].kind == 's' && number.MatchString(tokens[0].value()) && numeric(typ):
		return tokens[0].value()
	case len(tokens) == 1 && tokens[0].kind == 's':
		return ddl.Literal(tokens[0].value())
	}
	return "(" + in.expression(value) + ")"
}

func isBinary(typ string) bool {
	return strings.HasPrefix(typ, "binary") || strings.HasPrefix(typ, "varbinary")
}

func numeric(typ string) bool {
	for _, n := range []string{"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double"} {
		if strings.HasPrefix(typ, n) {
			return true
		}
	}
	return false
}
