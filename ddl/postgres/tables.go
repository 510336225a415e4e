package postgres

import (
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

func isPartition(t *schema.Table) bool        { return schema.Value(t.Options, "partition of") != "" }
func isInherited(c *schema.Column) bool       { return schema.Value(c.Options, "inherited") != "" }
func option(t *schema.Table, n string) string { return schema.Value(t.Options, n) }

// tableWay has a table made again when it becomes something else altogether.
func (p *plan) tableWay(n *node) action {
	from, to := n.from.(*schema.Table), n.to.(*schema.Table)
	switch {
	case otherwiseMadeAnew(from, to), p.moves[n.key] == nil && p.families.changesParents(from, to):
		return recreate
	}
	return alter
}

// columnWay has a generated column made again when its expression changes: what it holds is computed anew.
func columnWay(_ *node, from, to *schema.Column) action {
	if to.Generated != "" && from.Generated != to.Generated || strings.HasSuffix(from.Generated, " virtual") && to.Generated == "" {
		return recreate
	}
	return alter
}

func (p *plan) createTable(n *node, t *schema.Table) []ddl.Statement {
	var body []string
	var after []ddl.Statement
	full := qualified(n.key.Schema, t.Name)
	derived := isPartition(t) || option(t, "of type") != ""
	for _, c := range t.Columns {
		if isInherited(c) {
			continue
		}
		after = append(after, columnDetails(n, c)...)
		if parent := p.parentColumn(t, c.Name); parent != nil && parent.Default != "" && parent.Generated == "" && c.Default == "" && c.Generated == "" {
			after = append(after, ddl.Statement{SQL: "ALTER TABLE " + full + " ALTER COLUMN " + Identifier(c.Name) + " DROP DEFAULT", Comment: "Its parent's column has one."})
		}
		switch {
		case derived && option(t, "of type") != "":
			if c.Default != "" || c.NotNull {
				body = append(body, Identifier(c.Name)+" WITH OPTIONS"+columnRest(c, p.defaultInline(n, c), !namedNotNull(t, c)))
			}
		default:
			body = append(body, columnText(c, p.defaultInline(n, c), !namedNotNull(t, c)))
		}
	}
	for _, c := range n.children {
		if k, ok := c.to.(*schema.Constraint); ok && p.absorbedCreate(c) {
			body = append(body, "CONSTRAINT "+Identifier(k.Name)+" "+withStorage(k))
			after = append(after, commentPart(c, "CONSTRAINT", k.Name, k.Comment)...)
		}
	}
	s := ddl.Statement{SQL: tableHead(t, full, body)}
	return append(append([]ddl.Statement{s}, after...), append(tableDetails(full, t), p.dress(n)...)...)
}

func (p *plan) defaultInline(n *node, c *schema.Column) bool {
	d := p.nodes[schema.Key{Schema: n.key.Schema, Kind: kindDefault, Name: part(n.key.Name, c.Name)}]
	return d != nil && d.to != nil && p.absorbedCreate(d)
}

func namedNotNull(t *schema.Table, c *schema.Column) bool {
	for _, k := range t.Constraints {
		if k.Type == schema.NotNull && len(k.Columns) == 1 && k.Columns[0] == c.Name && !strings.HasSuffix(k.Definition, "NOT VALID") {
			return true
		}
	}
	for _, k := range t.Constraints {
		if k.Type == schema.NotNull && len(k.Columns) == 1 && k.Columns[0] == c.Name {
			return true
		}
	}
	return false
}

func tableHead(t *schema.Table, full string, body []string) string {
	var b strings.Builder
	b.WriteString("CREATE ")
	if option(t, "persistence") != "" {
		b.WriteString("UNLOGGED ")
	}
	if option(t, "foreign") != "" {
		b.WriteString("FOREIGN ")
	}
	b.WriteString("TABLE " + full)
	switch {
	case isPartition(t):
		b.WriteString(" PARTITION OF " + option(t, "partition of"))
	case option(t, "of type") != "":
		b.WriteString(" OF " + option(t, "of type"))
	}
	if len(body) > 0 {
		b.WriteString(" " + lines(body))
	} else if !isPartition(t) && option(t, "of type") == "" {
		b.WriteString(" ()")
	}
	if isPartition(t) {
		b.WriteString(" " + option(t, "partition bound"))
	}
	if v := option(t, "inherits"); v != "" {
		b.WriteString(" INHERITS (" + v + ")")
	}
	if v := option(t, "partition key"); v != "" {
		b.WriteString(" PARTITION BY " + v)
	}
	if v := option(t, "access method"); v != "" && option(t, "partition key") == "" {
		b.WriteString(" USING " + Identifier(v))
	}
	storage := splitOptions(option(t, "storage"))
	for _, o := range splitOptions(option(t, "toast storage")) {
		storage = append(storage, "toast."+o)
	}
	if len(storage) > 0 {
		b.WriteString(" WITH (" + strings.Join(storage, ", ") + ")")
	}
	if v := option(t, "tablespace"); v != "" {
		b.WriteString(" TABLESPACE " + Identifier(v))
	}
	if v := option(t, "server"); v != "" {
		b.WriteString(" SERVER " + Identifier(v))
		if o := option(t, "foreign options"); o != "" {
			b.WriteString(" OPTIONS (" + o + ")")
		}
	}
	return b.String()
}

func splitOptions(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ", ")
}

// tableDetails are what CREATE TABLE has no words for. What names an index comes with the index.
func tableDetails(full string, t *schema.Table) []ddl.Statement {
	var list []ddl.Statement
	if v := option(t, "access method"); v != "" && option(t, "partition key") != "" {
		list = append(list, one("ALTER TABLE "+full+" SET ACCESS METHOD "+Identifier(v))...)
	}
	for _, action := range rowSecurity(option(t, "row security")) {
		list = append(list, one("ALTER TABLE "+full+" "+action)...)
	}
	if v := option(t, "replica identity"); v == "full" || v == "nothing" {
		list = append(list, one("ALTER TABLE "+full+" REPLICA IDENTITY "+strings.ToUpper(v))...)
	}
	return list
}

func rowSecurity(value string) []string {
	var list []string
	if strings.HasPrefix(value, "on") {
		list = append(list, "ENABLE ROW LEVEL SECURITY")
	}
	if strings.HasSuffix(value, "forced") {
		list = append(list, "FORCE ROW LEVEL SECURITY")
	}
	return list
}

// columnText is a column as CREATE TABLE and ADD COLUMN want it.
func columnText(c *schema.Column, withDefault, notNull bool) string {
	text := Identifier(c.Name) + " " + c.Type
	if o := schema.Value(c.Options, "foreign options"); o != "" {
		text += " OPTIONS (" + o + ")"
	}
	if v := schema.Value(c.Options, "compression"); v != "" {
		text += " COMPRESSION " + v
	}
	if c.Collation != "" {
		text += " COLLATE " + c.Collation
	}
	return text + columnRest(c, withDefault, notNull)
}

func columnRest(c *schema.Column, withDefault, notNull bool) string {
	text := ""
	if c.NotNull && notNull {
		text += " NOT NULL"
	}
	switch {
	case c.Identity != "":
		text += " GENERATED " + strings.ToUpper(c.Identity) + " AS IDENTITY" + identityOptions(c)
	case c.Generated != "":
		text += " GENERATED ALWAYS AS (" + strings.TrimSuffix(strings.TrimSuffix(c.Generated, " stored"), " virtual") + ")"
		text += map[bool]string{true: " STORED", false: " VIRTUAL"}[strings.HasSuffix(c.Generated, " stored")]
	case c.Default != "" && withDefault:
		text += " DEFAULT " + c.Default
	}
	return text
}

func identityOptions(c *schema.Column) string {
	var list []string
	if v := schema.Value(c.Options, "sequence name"); v != "" {
		list = append(list, "SEQUENCE NAME "+v)
	}
	if v := schema.Value(c.Options, "sequence"); v != "" {
		_, rest, _ := strings.Cut(v, " INCREMENT") // its type is the column's
		list = append(list, "INCREMENT"+rest)
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, " ") + ")"
}

// columnDetails are what a new column is given by statements of their own.
func columnDetails(n *node, c *schema.Column) []ddl.Statement {
	var list []ddl.Statement
	head := "ALTER " + nounOf(n.to) + " " + qualified(n.key.Schema, n.key.Name) + " ALTER COLUMN " + Identifier(c.Name)
	if v := schema.Value(c.Options, "storage"); v != "" {
		list = append(list, one(head+" SET STORAGE "+strings.ToUpper(v))...)
	}
	if v := schema.Value(c.Options, "statistics"); v != "" {
		list = append(list, one(head+" SET STATISTICS "+v)...)
	}
	if v := schema.Value(c.Options, "options"); v != "" {
		list = append(list, one(head+" SET ("+v+")")...)
	}
	if c.Comment != "" {
		list = append(list, commentOn("COLUMN "+qualified(n.key.Schema, n.key.Name)+"."+Identifier(c.Name), c.Comment))
	}
	return list
}

// inheritedColumn sets a column that comes from a parent apart from it. Without one, nothing is known to be
// as it has to be.
func inheritedColumn(full string, parent, to *schema.Column) []ddl.Statement {
	head := "ALTER TABLE " + full + " ALTER COLUMN " + Identifier(to.Name)
	var list []ddl.Statement
	switch {
	case to.Generated != "" || parent != nil && parent.Default == to.Default:
	case to.Default != "":
		list = append(list, one(head+" SET DEFAULT "+to.Default)...)
	default:
		list = append(list, one(head+" DROP DEFAULT")...)
	}
	if to.NotNull && (parent == nil || !parent.NotNull) {
		list = append(list, one(head+" SET NOT NULL")...)
	}
	return list
}

func (p *plan) alterTable(n *node, from, to *schema.Table) []ddl.Statement {
	full := "ALTER " + nounOf(to) + " " + qualified(n.key.Schema, to.Name)
	list := p.changeColumns(n, from, to, full)
	if n.differs("persistence") {
		list = append(list, ddl.Statement{SQL: full + map[bool]string{true: " SET UNLOGGED", false: " SET LOGGED"}[option(to, "persistence") != ""], Comment: "The table is written anew; it is locked meanwhile."})
	}
	if n.differs("access method") {
		method := option(to, "access method")
		if method == "" {
			method = "heap"
		}
		list = append(list, ddl.Statement{SQL: full + " SET ACCESS METHOD " + Identifier(method), Comment: "The table is written anew; it is locked meanwhile."})
	}
	if n.differs("tablespace") {
		space := option(to, "tablespace")
		if space == "" {
			space = "pg_default"
		}
		list = append(list, ddl.Statement{SQL: full + " SET TABLESPACE " + Identifier(space), Comment: "The table is copied; it is locked meanwhile."})
	}
	list = append(list, changeStorage(full, "", option(from, "storage"), option(to, "storage"))...)
	list = append(list, changeStorage(full, "toast.", option(from, "toast storage"), option(to, "toast storage"))...)
	if n.differs("row security") {
		list = append(list, changeRowSecurity(full, option(from, "row security"), option(to, "row security"))...)
	}
	if n.differs("replica identity") {
		if v := option(to, "replica identity"); !strings.HasPrefix(v, "index") {
			list = append(list, one(full+" REPLICA IDENTITY "+map[string]string{"": "DEFAULT", "full": "FULL", "nothing": "NOTHING"}[v])...)
		}
	}
	if n.differs("cluster on") && option(to, "cluster on") == "" {
		list = append(list, one(full+" SET WITHOUT CLUSTER")...)
	}
	if n.differs("foreign options") {
		list = append(list, changeForeignOptions(full, option(from, "foreign options"), option(to, "foreign options"))...)
	}
	return list
}

func changeRowSecurity(full, from, to string) []ddl.Statement {
	var list []ddl.Statement
	if a, b := strings.HasPrefix(from, "on"), strings.HasPrefix(to, "on"); a != b {
		list = append(list, one(full+map[bool]string{true: " ENABLE", false: " DISABLE"}[b]+" ROW LEVEL SECURITY")...)
	}
	if a, b := strings.HasSuffix(from, "forced"), strings.HasSuffix(to, "forced"); a != b {
		list = append(list, one(full+map[bool]string{true: " FORCE", false: " NO FORCE"}[b]+" ROW LEVEL SECURITY")...)
	}
	return list
}

// changeStorage sets and resets storage parameters.
func changeStorage(head, prefix, from, to string) []ddl.Statement {
	if from == to {
		return nil
	}
	var set, reset []string
	wanted := map[string]bool{}
	for _, o := range splitOptions(to) {
		name, _, _ := strings.Cut(o, "=")
		wanted[name] = true
		set = append(set, prefix+o)
	}
	for _, o := range splitOptions(from) {
		if name, _, _ := strings.Cut(o, "="); !wanted[name] {
			reset = append(reset, prefix+name)
		}
	}
	var list []ddl.Statement
	if len(reset) > 0 {
		list = append(list, one(head+" RESET ("+strings.Join(reset, ", ")+")")...)
	}
	if len(set) > 0 {
		list = append(list, one(head+" SET ("+strings.Join(set, ", ")+")")...)
	}
	return list
}

// attachStep puts a table where it belongs among its parents, and names the indexes that say how it is
// replicated and clustered, when those are there.
func (p *plan) attachStep(n *node, t *schema.Table) ddl.Step {
	s := ddl.Step{ID: "attach " + n.label(), Rank: rankDetail + 1, After: []string{n.createID(), n.alterID(), detachID(n)}}
	full := "ALTER TABLE " + qualified(n.key.Schema, t.Name)
	s.Statements = p.attach(n, t)
	fresh := func(index string) bool {
		for _, c := range n.children {
			if c.made() && (c.key.Kind == schema.KindIndex || c.key.Kind == schema.KindConstraint) && Identifier(c.to.ObjectName()) == index {
				return true
			}
		}
		return false
	}
	for _, c := range n.children {
		s.After = append(s.After, c.dropID(), c.createID(), c.alterID())
	}
	if index, ok := strings.CutPrefix(option(t, "replica identity"), "index "); ok && (n.made() || n.differs("replica identity") || fresh(index)) {
		s.Statements = append(s.Statements, one(full+" REPLICA IDENTITY USING INDEX "+index)...)
	}
	if index := option(t, "cluster on"); index != "" && (n.made() || n.differs("cluster on") || fresh(index)) {
		s.Statements = append(s.Statements, one(full+" CLUSTER ON "+index)...)
	}
	for _, m := range n.needs.to {
		s.After = append(s.After, p.makers(m)...)
	}
	return s
}
