package mysql

import (
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// column is the whole definition of a column, as CREATE TABLE, ADD COLUMN and MODIFY COLUMN take it.
func (s *script) column(t *schema.Table, c *schema.Column) string {
	b := []string{Quote(c.Name), c.Type}
	add := func(yes bool, words string) {
		if yes {
			b = append(b, words)
		}
	}
	has := func(option string) bool { return schema.Value(c.Options, option) != "" }
	add(has("compressed") && s.mariadb, "COMPRESSED")
	if isText(c.Type) {
		collation := c.Collation
		if collation == "" {
			collation = schema.Value(t.Options, "collation")
		}
		// Said even where it is the table's, so that a change of the table's own changes no column by the way.
		add(collation != "" && (c.Collation != "" || s.explicit), "CHARACTER SET "+charset(collation)+" COLLATE "+collation)
	}
	expression, kind := generated(c)
	switch {
	case kind == "ROW":
		add(true, "GENERATED ALWAYS AS "+expression)
	case kind != "":
		add(true, "GENERATED ALWAYS AS "+expression+" "+strings.ToUpper(kind))
	}
	nullable := "NULL"
	if !strings.HasPrefix(c.Type, "timestamp") {
		nullable = ""
	}
	switch {
	case kind == "ROW", kind != "" && s.mariadb:
	case c.NotNull:
		add(true, "NOT NULL")
	default:
		add(nullable != "" && kind == "", nullable)
	}
	add(has("srid") && !s.mariadb, "SRID "+schema.Value(c.Options, "srid"))
	add(c.Default != "", "DEFAULT "+c.Default)
	add(has("on update"), "ON UPDATE "+schema.Value(c.Options, "on update"))
	add(has("auto_increment"), "AUTO_INCREMENT")
	add(has("invisible"), "INVISIBLE")
	add(has("without system versioning"), "WITHOUT SYSTEM VERSIONING")
	add(c.Comment != "", "COMMENT "+Literal(c.Comment))
	add(has("check"), "CHECK ("+schema.Value(c.Options, "check")+")")
	return strings.Join(b, " ")
}

// generated splits what a column is generated from: its expression and "virtual", "stored", "ROW" for the
// time of a version of a row, or "".
func generated(c *schema.Column) (expression, kind string) {
	if strings.HasPrefix(c.Generated, "ROW ") {
		return c.Generated, "ROW"
	}
	for _, kind := range []string{"virtual", "stored"} {
		if e, ok := strings.CutSuffix(c.Generated, " "+kind); ok {
			return e, kind
		}
	}
	return "", ""
}

func isText(typ string) bool {
	for _, p := range []string{"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"} {
		if strings.HasPrefix(typ, p) {
			return true
		}
	}
	return false
}

// isPlace tells the types of geometry, to and from which nothing else is converted.
func isPlace(typ string) bool {
	for _, p := range []string{"geom", "point", "linestring", "polygon", "multi"} {
		if strings.HasPrefix(typ, p) {
			return true
		}
	}
	return false
}
