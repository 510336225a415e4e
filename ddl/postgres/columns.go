package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

// changeColumns drops, changes and adds the columns of a table that stays. Generated ones are computed from
// others: they go first and come last.
func (p *plan) changeColumns(n *node, from, to *schema.Table, full string) []ddl.Statement {
	var list []ddl.Statement
	each := func(do func(c *node) []ddl.Statement) {
		for _, c := range n.children {
			if c.key.Kind == schema.KindColumn {
				list = append(list, do(c)...)
			}
		}
	}
	each(func(c *node) []ddl.Statement {
		if !dropsExpression(c) {
			return nil
		}
		return []ddl.Statement{{SQL: full + " ALTER COLUMN " + Identifier(c.to.ObjectName()) + " DROP EXPRESSION", Comment: "The column keeps what was computed."}}
	})
	for _, generated := range []bool{true, false} {
		each(func(c *node) []ddl.Statement { return p.dropColumn(n, c, from, full, generated) })
	}
	each(func(c *node) []ddl.Statement {
		if after, ok := c.to.(*schema.Column); ok && c.act == alter && !isInherited(after) {
			return p.alterColumn(n, c, c.from.(*schema.Column), after, to, full+" ALTER COLUMN "+Identifier(after.Name))
		}
		return nil
	})
	for _, generated := range []bool{false, true} {
		each(func(c *node) []ddl.Statement { return p.addColumn(n, c, to, full, generated) })
	}
	return list
}

// dropsExpression tells whether a generated column becomes a plain one in place.
func dropsExpression(c *node) bool {
	before, _ := c.from.(*schema.Column)
	after, _ := c.to.(*schema.Column)
	return c.key.Kind == schema.KindColumn && before != nil && after != nil && c.act == alter && !isInherited(after) && before.Generated != "" && after.Generated == ""
}

func (p *plan) dropColumn(n, c *node, from *schema.Table, full string, generated bool) []ddl.Statement {
	before, _ := c.from.(*schema.Column)
	switch {
	case before == nil || !c.gone() || (before.Generated != "") != generated:
		return nil
	case isInherited(before) || p.stillTyped(n, from):
		return nil
	}
	s := ddl.Statement{SQL: full + " DROP COLUMN " + Identifier(before.Name), Comment: "The column goes, with all that is in it.", Destroys: true}
	if c.act == recreate {
		s.Comment = "The column is made anew: what is in it is computed again."
		if after, ok := c.to.(*schema.Column); ok && after.Generated == "" {
			s.Comment = "The column is made anew as a plain one: WHAT WAS COMPUTED IN IT IS LOST, copy it first."
		}
	}
	return []ddl.Statement{s}
}

func (p *plan) addColumn(n, c *node, to *schema.Table, full string, generated bool) []ddl.Statement {
	after, _ := c.to.(*schema.Column)
	switch {
	case after == nil || (after.Generated != "") != generated || p.stillTyped(n, to):
		return nil
	case isInherited(after) || !c.made():
		return nil
	}
	s := ddl.Statement{SQL: full + " ADD COLUMN " + columnText(after, p.defaultInlineAdd(n, after), !namedNotNull(to, after))}
	if after.NotNull && after.Default == "" && after.Identity == "" && after.Generated == "" {
		s.Comment = "It fails when the table has rows: give them a value first."
	}
	return append([]ddl.Statement{s}, columnDetails(n, after)...)
}

// defaultInlineAdd has the rows that are there get the default, unless it stands on what comes later. What the
// column's type needs comes before it anyway.
func (p *plan) defaultInlineAdd(n *node, c *schema.Column) bool {
	d := p.nodes[schema.Key{Schema: n.key.Schema, Kind: kindDefault, Name: part(n.key.Name, c.Name)}]
	return d != nil && !slices.ContainsFunc(d.needs.to, func(m *node) bool { return m.act != keep && !ofType(m.key) })
}

// likeParent sets a column of a partition or child back to what its parent says.
func (p *plan) likeParent(n *node, t *schema.Table, c *schema.Column) []ddl.Statement {
	parent := p.parentColumn(t, c.Name)
	if parent == nil {
		return nil
	}
	head := "ALTER TABLE " + qualified(n.key.Schema, n.key.Name) + " ALTER COLUMN " + Identifier(c.Name)
	var list []ddl.Statement
	if c.Default != parent.Default {
		if parent.Default == "" {
			list = append(list, one(head+" DROP DEFAULT")...)
		} else {
			list = append(list, one(head+" SET DEFAULT "+parent.Default)...)
		}
	}
	if c.NotNull && !parent.NotNull {
		list = append(list, one(head+" DROP NOT NULL")...)
	}
	if c.Comment != "" {
		list = append(list, commentOn("COLUMN "+qualified(n.key.Schema, n.key.Name)+"."+Identifier(c.Name), ""))
	}
	if schema.Value(c.Options, "statistics") != "" {
		list = append(list, one(head+" SET STATISTICS -1")...)
	}
	return list
}

// identityStep takes the identity from a column. It comes early: the name of its sequence may be used again.
func identityStep(n *node) ddl.Step {
	s := ddl.Step{ID: "drop identity of " + n.label(), Rank: rankDrop}
	before, _ := n.from.(*schema.Column)
	after, _ := n.to.(*schema.Column)
	if n.key.Kind == schema.KindColumn && n.act == alter && before.Identity != "" && after.Identity == "" {
		s.Statements = []ddl.Statement{{SQL: alterTable(n) + " ALTER COLUMN " + Identifier(before.Name) + " DROP IDENTITY", Comment: "The column is given no numbers any more.", Destroys: true}}
	}
	return s
}

// inheritedStep sets a column that comes from a parent apart from it, or back to what the parent says. It
// comes after what changes the parent, which changes its children too.
func (p *plan) inheritedStep(c *node) ddl.Step {
	s := ddl.Step{ID: "set apart " + c.label(), Rank: rankDetail}
	before, _ := c.from.(*schema.Column)
	after, _ := c.to.(*schema.Column)
	if c.key.Kind == schema.KindColumn && c.parent.act != drop && after != nil && !isInherited(after) && (before == nil || !isInherited(before)) {
		return p.ownStep(c, after)
	}
	if c.key.Kind != schema.KindColumn || c.parent.act == drop || (before == nil || !isInherited(before)) && (after == nil || !isInherited(after)) {
		return s
	}
	t := c.parent.to.(*schema.Table)
	name := c.key.Name[len(c.parent.key.Name)+1:]
	s.After = []string{c.parent.createID(), c.parent.alterID(), "attach " + c.parent.label()}
	changed := c.act != keep || c.parent.act == recreate
	for _, m := range p.parentNodes(t, name) {
		changed = changed || m.act != keep
		s.After = append(s.After, m.createID(), m.parent.createID(), m.parent.alterID())
	}
	for _, m := range c.needs.to {
		s.After = append(s.After, p.makers(m)...)
	}
	switch {
	case !changed:
	case after == nil:
		s.Statements = p.likeParent(c.parent, t, before)
	case before != nil && c.act == alter && c.parent.act != recreate:
		s.Statements = append(inheritedColumn(qualified(c.key.Schema, t.Name), nil, after), inheritedDetails(c, before, after)...)
	default:
		s.Statements = append(inheritedColumn(qualified(c.key.Schema, t.Name), p.parentColumn(t, name), after), columnDetails(c.parent, after)...)
	}
	return s
}

// ownStep keeps a column that a child has as its own too as it is, when its parent's changes: that changes
// the child's along with it.
func (p *plan) ownStep(c *node, after *schema.Column) ddl.Step {
	t := c.parent.to.(*schema.Table)
	s := ddl.Step{ID: "set apart " + c.label(), Rank: rankDetail, After: []string{c.parent.createID(), c.parent.alterID(), "attach " + c.parent.label()}}
	if p.moves[c.parent.key] != nil {
		return s
	}
	changed := false
	for _, m := range p.parentNodes(t, after.Name) {
		changed = changed || m.act == alter || m.key.Kind == kindDefault && m.act != keep
		s.After = append(s.After, m.createID(), m.dropID(), m.parent.createID(), m.parent.alterID())
	}
	if d := p.nodes[schema.Key{Schema: c.key.Schema, Kind: kindDefault, Name: c.key.Name}]; d != nil {
		s.After = append(s.After, d.createID(), d.dropID())
	}
	if changed {
		s.Statements = inheritedColumn(qualified(c.key.Schema, t.Name), nil, after)
	}
	return s
}

func inheritedDetails(c *node, before, after *schema.Column) []ddl.Statement {
	full := qualified(c.key.Schema, c.parent.key.Name)
	list := columnOptions(c, before, after, "ALTER TABLE "+full+" ALTER COLUMN "+Identifier(after.Name))
	if before.NotNull && !after.NotNull {
		list = append(list, one("ALTER TABLE "+full+" ALTER COLUMN "+Identifier(after.Name)+" DROP NOT NULL")...)
	}
	if c.differs(schema.PropertyComment) {
		list = append(list, commentOn("COLUMN "+full+"."+Identifier(after.Name), after.Comment))
	}
	return list
}

// parentNodes are the column of that name in all tables above, and its defaults.
func (p *plan) parentNodes(t *schema.Table, name string) []*node {
	var list []*node
	for _, k := range t.Needs {
		if k.Kind != schema.KindTable {
			continue
		}
		for _, kind := range []schema.Kind{schema.KindColumn, kindDefault} {
			if m := p.nodes[schema.Key{Schema: k.Schema, Kind: kind, Name: part(k.Name, name)}]; m != nil {
				list = append(list, m)
			}
		}
		if s := p.result.To.Schema(k.Schema); s != nil && s.Table(k.Name) != nil {
			list = append(list, p.parentNodes(s.Table(k.Name), name)...)
		}
	}
	return list
}

// parentColumn finds the column of that name in one of the table's parents or theirs.
func (p *plan) parentColumn(t *schema.Table, name string) *schema.Column {
	for _, k := range t.Needs {
		if k.Kind != schema.KindTable {
			continue
		}
		s := p.result.To.Schema(k.Schema)
		if s == nil || s.Table(k.Name) == nil {
			continue
		}
		parent := s.Table(k.Name)
		if c := parent.Column(name); c != nil {
			return c
		}
		if c := p.parentColumn(parent, name); c != nil {
			return c
		}
	}
	return nil
}

func (p *plan) alterColumn(n, c *node, before, after *schema.Column, to *schema.Table, head string) []ddl.Statement {
	var list []ddl.Statement
	if c.differs("type") || c.differs("collation") || c.retype {
		list = append(list, changeType(to, c, before, after, head)...)
	}
	if c.differs("not null") && option(to, "of type") == "" || c.differs("not null") {
		list = append(list, changeNotNull(n, after, to, head)...)
	}
	switch {
	case c.differs("identity") && after.Identity != "" && before.Identity == "":
		table := qualified(n.key.Schema, n.key.Name)
		list = append(list, one(head+" ADD GENERATED "+strings.ToUpper(after.Identity)+" AS IDENTITY"+identityOptions(after))...)
		list = append(list, ddl.Statement{
			SQL:     NumbersBehind(table, after.Name, "pg_get_serial_sequence("+Literal(table)+", "+Literal(after.Name)+")::regclass"),
			Comment: "The numbers go on behind those that rows have. Reads the end of the column's index; without one, the table.",
		})
	case after.Identity != "" && (c.differs("identity") || c.differs("sequence")):
		list = append(list, changeIdentity(before, after, head)...)
	}
	list = append(list, columnOptions(c, before, after, head)...)
	if c.differs(schema.PropertyComment) {
		list = append(list, commentOn("COLUMN "+qualified(n.key.Schema, n.key.Name)+"."+Identifier(after.Name), after.Comment))
	}
	return list
}

// changeType converts by the cast that assignment would use, else by way of text.
func changeType(n *schema.Table, c *node, before, after *schema.Column, head string) []ddl.Statement {
	sql := head + " SET DATA TYPE " + after.Type
	if after.Collation != "" {
		sql += " COLLATE " + after.Collation
	}
	s := ddl.Statement{SQL: sql, Comment: "The table is locked while its rows are written anew, unless the types are stored alike."}
	name := Identifier(after.Name)
	switch {
	case option(n, "foreign") != "":
		s.Comment = "The rows are not here: they are read as the new type from now on."
	case after.Generated != "":
	case c.retype:
		s.SQL += " USING " + name + "::text::" + after.Type
		s.Comment = "From the old type to the new by way of text; it fails when a value is none of the new type."
	case before.Type != after.Type:
		s.SQL += " USING " + name + "::" + castBy(before, after) + after.Type
		s.Comment += " It fails when a value is none of the new type."
	}
	return []ddl.Statement{s}
}

// castBy is "text::" where the types may have no cast of their own.
func castBy(before, after *schema.Column) string {
	builtIn := func(t string) bool { return !strings.Contains(t, ".") && !strings.HasSuffix(t, "[]") }
	numeric := func(t string) bool {
		t, _, _ = strings.Cut(t, "(")
		return strings.Contains(" smallint integer bigint numeric real double precision ", " "+t+" ")
	}
	textual := func(t string) bool { return strings.HasPrefix(t, "character") || t == "text" }
	if numeric(before.Type) && numeric(after.Type) || textual(after.Type) && builtIn(before.Type) {
		return ""
	}
	return "text::"
}

// changeNotNull has the rows checked without a lock that stops others from writing: SET NOT NULL believes
// a valid check.
func changeNotNull(n *node, after *schema.Column, to *schema.Table, head string) []ddl.Statement {
	if !after.NotNull {
		return []ddl.Statement{{SQL: head + " DROP NOT NULL", Comment: "Nothing is read or written for it."}}
	}
	if namedNotNull(to, after) {
		return nil // its constraint is added
	}
	table := "ALTER TABLE " + qualified(n.key.Schema, n.key.Name)
	if option(to, "foreign") != "" {
		return one(head + " SET NOT NULL")
	}
	check := Identifier("switchback_" + after.Name + "_not_null")
	return []ddl.Statement{
		{SQL: table + " ADD CONSTRAINT " + check + " CHECK (" + Identifier(after.Name) + " IS NOT NULL) NOT VALID", Comment: "From now on no row is without a value; those that are there are not read yet."},
		{SQL: table + " VALIDATE CONSTRAINT " + check, Comment: "Reads the table while others write to it. It fails when a row is without a value."},
		{SQL: head + " SET NOT NULL", Comment: "The check proves it: the table is not read again."},
		{SQL: table + " DROP CONSTRAINT " + check, Comment: "The check has done its work."},
	}
}

// NumbersBehind is a query that moves a sequence behind the numbers that a column has, never back.
func NumbersBehind(table, column, sequence string) string {
	c := Identifier(column)
	return fmt.Sprintf(`SELECT setval(q.seqrelid::regclass, CASE WHEN q.seqincrement > 0 THEN n.highest ELSE n.lowest END)
FROM (SELECT max(%[1]s) AS highest, min(%[1]s) AS lowest FROM %[2]s) AS n, pg_sequence AS q
WHERE q.seqrelid = %[3]s
  AND CASE WHEN q.seqincrement > 0
    THEN n.highest >= greatest(q.seqstart, pg_sequence_last_value(q.seqrelid))
    ELSE n.lowest <= least(q.seqstart, pg_sequence_last_value(q.seqrelid)) END`, c, table, sequence)
}

func changeIdentity(before, after *schema.Column, head string) []ddl.Statement {
	var list []ddl.Statement
	if before.Identity != after.Identity {
		list = append(list, one(head+" SET GENERATED "+strings.ToUpper(after.Identity))...)
	}
	if v := schema.Value(after.Options, "sequence"); v != schema.Value(before.Options, "sequence") {
		if v == "" {
			top := map[string]string{"smallint": "32767", "integer": "2147483647"}[after.Type]
			if top == "" {
				top = "9223372036854775807"
			}
			v = "AS x INCREMENT BY 1 MINVALUE 1 MAXVALUE " + top + " START WITH 1 CACHE 1 NO CYCLE"
		}
		for _, o := range sequenceOptions(v) {
			head += " SET " + o
		}
		list = append(list, one(head)...)
	}
	return list
}

// sequenceOptions takes the options of a sequence apart, without its type.
func sequenceOptions(text string) []string {
	_, text, _ = strings.Cut(text, " INCREMENT BY ")
	text = "INCREMENT BY " + text
	var list []string
	for _, word := range []string{" MINVALUE ", " MAXVALUE ", " START WITH ", " CACHE "} {
		one, rest, _ := strings.Cut(text, word)
		list, text = append(list, one), strings.TrimPrefix(word, " ")+rest
	}
	cache, cycle, _ := strings.Cut(strings.TrimPrefix(text, "CACHE "), " ")
	return append(list, "CACHE "+cache, cycle)
}

func columnOptions(c *node, before, after *schema.Column, head string) []ddl.Statement {
	var list []ddl.Statement
	value := func(name string) string { return schema.Value(after.Options, name) }
	if c.differs("storage") || c.differs("type") && value("storage") != "" {
		v := value("storage")
		if v == "" {
			v = "default"
		}
		list = append(list, one(head+" SET STORAGE "+storageWord(v, after))...)
	}
	if c.differs("compression") {
		v := value("compression")
		if v == "" {
			v = "default"
		}
		list = append(list, one(head+" SET COMPRESSION "+v)...)
	}
	if c.differs("statistics") {
		v := value("statistics")
		if v == "" {
			v = "-1"
		}
		list = append(list, one(head+" SET STATISTICS "+v)...)
	}
	list = append(list, changeStorage(head, "", schema.Value(before.Options, "options"), value("options"))...)
	if c.differs("foreign options") {
		list = append(list, changeForeignOptions(head, schema.Value(before.Options, "foreign options"), value("foreign options"))...)
	}
	return list
}

// storageWord names the storage; DEFAULT is a word of version 16, so that of common types is named.
func storageWord(v string, c *schema.Column) string {
	if v != "default" {
		return strings.ToUpper(v)
	}
	if strings.HasPrefix(c.Type, "numeric") {
		return "MAIN"
	}
	return "EXTENDED"
}
