package postgres

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

const notValid = " NOT VALID"

// constraintWay validates a constraint in place, and makes any other change by a new constraint.
func constraintWay(n *node, from, to *schema.Constraint) action {
	if !n.differs("definition") && !n.differs("type") && !n.differs("tablespace") {
		return alter
	}
	if from.Definition == to.Definition+notValid {
		return alter
	}
	return recreate
}

// withStorage puts the storage parameters of the index behind a constraint where they belong.
func withStorage(k *schema.Constraint) string {
	add := ""
	if v := schema.Value(k.Options, "storage"); v != "" {
		add += " WITH (" + v + ")"
	}
	if v := schema.Value(k.Options, "tablespace"); v != "" {
		add += " USING INDEX TABLESPACE " + Identifier(v)
	}
	if add == "" {
		return k.Definition
	}
	for _, word := range []string{" WHERE (", " DEFERRABLE", " INITIALLY"} {
		if i := strings.LastIndex(k.Definition, word); i > 0 {
			return k.Definition[:i] + add + k.Definition[i:]
		}
	}
	return k.Definition + add
}

func (p *plan) createConstraint(n *node, k *schema.Constraint) []ddl.Statement {
	t := n.parent.to.(*schema.Table)
	add := alterTable(n) + " ADD CONSTRAINT " + Identifier(k.Name) + " "
	comment := commentPart(n, "CONSTRAINT", k.Name, k.Comment)
	partitioned := option(t, "partition key") != ""
	fresh := n.parent.made() || option(t, "foreign") != ""
	switch {
	case p.renamesNotNull(n, k):
		return append([]ddl.Statement{renameNotNull(n, k, k.Name)}, comment...)
	case k.Type == schema.NotNull && !fresh && n.parent.from != nil && p.alreadyNotNull(n, k):
		return append([]ddl.Statement{{SQL: alterTable(n) + " ALTER COLUMN " + Identifier(k.Columns[0]) + " DROP NOT NULL", Comment: "It is set again, with its name."}, {SQL: add + k.Definition}}, comment...)
	case fresh || strings.HasSuffix(k.Definition, notValid) || strings.HasSuffix(k.Definition, "NOT ENFORCED"):
		return append(one(add+withStorage(k)), comment...)
	case (k.Type == schema.Check || k.Type == schema.ForeignKey) && !(partitioned && k.Type == schema.ForeignKey):
		return append([]ddl.Statement{
			{SQL: add + k.Definition + notValid, Comment: "From now on it is kept; rows that are there are not read yet."},
			{SQL: alterTable(n) + " VALIDATE CONSTRAINT " + Identifier(k.Name), Comment: "Reads the table while others write to it. It fails when a row is against it."},
		}, comment...)
	case (k.Type == schema.PrimaryKey || k.Type == schema.Unique) && !partitioned && !strings.Contains(k.Definition, "WITHOUT OVERLAPS") && option(t, "of type") == "" && !isPartition(t):
		return append(p.byIndex(n, k, add), comment...)
	}
	return append([]ddl.Statement{{SQL: add + withStorage(k), Comment: "The table is locked while it is read: there is no way around it for this kind."}}, comment...)
}

// renamesNotNull tells whether a column is and stays NOT NULL, so that nothing but the name of the rule
// changes: that of a key's column could not be dropped.
func (p *plan) renamesNotNull(n *node, k *schema.Constraint) bool {
	if k.Type != schema.NotNull || len(k.Columns) != 1 || k.Definition != "NOT NULL "+Identifier(k.Columns[0]) || n.parent.act != alter || n.act == recreate {
		return false
	}
	from, to := n.parent.from.(*schema.Table), n.parent.to.(*schema.Table)
	for _, t := range []*schema.Table{from, to} {
		if c := t.Column(k.Columns[0]); c == nil || !c.NotNull {
			return false
		}
		for _, x := range t.Constraints {
			if x.Type == schema.NotNull && slices.Equal(x.Columns, k.Columns) && x.Definition != k.Definition {
				return false
			}
		}
	}
	column := p.nodes[schema.Key{Schema: n.key.Schema, Kind: schema.KindColumn, Name: part(n.parent.key.Name, k.Columns[0])}]
	return column != nil && !column.gone()
}

// renameNotNull gives the NOT NULL of a column another name. The one it has may be the server's choice.
func renameNotNull(n *node, k *schema.Constraint, name string) ddl.Statement {
	full := qualified(n.key.Schema, n.parent.key.Name)
	return ddl.Statement{
		SQL: "DO $do$ BEGIN EXECUTE (SELECT pg_catalog.format(" + Literal("ALTER TABLE "+escape(full)+" RENAME CONSTRAINT %I TO "+escape(Identifier(name))) + ", k.conname)\n" +
			"  FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]\n" +
			"  WHERE k.conrelid = " + Literal(full) + "::pg_catalog.regclass AND k.contype = 'n' AND a.attname = " + Literal(k.Columns[0]) + "); END $do$",
		Comment: "The column stays NOT NULL; its rule has another name. No row is read.",
	}
}

// dropConstraint keeps a NOT NULL whose column stays so: under the name that is wanted, or that of the server.
func (p *plan) dropConstraint(n *node, k *schema.Constraint) []ddl.Statement {
	if n.act == drop && p.renamesNotNull(n, k) {
		for _, x := range n.parent.to.(*schema.Table).Constraints {
			if x.Type == schema.NotNull && slices.Equal(x.Columns, k.Columns) {
				return nil
			}
		}
		table, column := n.parent.key.Name, k.Columns[0]
		return []ddl.Statement{renameNotNull(n, k, table[:min(len(table), 26)]+"_"+column[:min(len(column), 26)]+"_not_null")}
	}
	return []ddl.Statement{{SQL: alterTable(n) + " DROP CONSTRAINT " + Identifier(k.Name), Comment: "The rule is no longer kept" + again(n), Destroys: true}}
}

func (p *plan) alreadyNotNull(n *node, k *schema.Constraint) bool {
	t := n.parent.from.(*schema.Table)
	c := t.Column(k.Columns[0])
	return c != nil && c.NotNull
}

// byIndex builds the index of a key while others write, then takes it for the constraint.
func (p *plan) byIndex(n *node, k *schema.Constraint, add string) []ddl.Statement {
	kind, rest, _ := strings.Cut(k.Definition, "(")
	columns, tail := "("+rest, ""
	for _, word := range []string{" DEFERRABLE", " INITIALLY"} {
		if i := strings.Index(columns, word); i > 0 {
			columns, tail = columns[:i], columns[i:]
			break
		}
	}
	if strings.Contains(kind, "NULLS NOT DISTINCT") {
		kind = strings.Replace(kind, "NULLS NOT DISTINCT ", "", 1)
		columns += " NULLS NOT DISTINCT"
	}
	if v := schema.Value(k.Options, "storage"); v != "" {
		columns += " WITH (" + v + ")"
	}
	if v := schema.Value(k.Options, "tablespace"); v != "" {
		columns += " TABLESPACE " + Identifier(v)
	}
	build := ddl.Statement{SQL: "CREATE UNIQUE INDEX CONCURRENTLY " + Identifier(k.Name) + " ON " + qualified(n.key.Schema, n.parent.key.Name) + " " + columns, Comment: "Built while others read and write. When it fails, drop the invalid index it leaves and run it again.", Outside: true}
	if p.alone {
		build = ddl.Statement{SQL: strings.Replace(build.SQL, "CONCURRENTLY ", "", 1)}
	}
	return []ddl.Statement{
		build,
		{SQL: add + strings.TrimSpace(kind) + " USING INDEX " + Identifier(k.Name) + tail, Comment: "The index is there already: the lock is short."},
	}
}

func alterConstraint(n *node, k *schema.Constraint) []ddl.Statement {
	var list []ddl.Statement
	if n.differs("definition") {
		list = append(list, ddl.Statement{SQL: alterTable(n) + " VALIDATE CONSTRAINT " + Identifier(k.Name), Comment: "Reads the table while others write to it. It fails when a row is against it."})
	}
	if n.differs("storage") {
		list = append(list, changeStorage("ALTER INDEX "+qualified(n.key.Schema, k.Name), "", schema.Value(n.from.(*schema.Constraint).Options, "storage"), schema.Value(k.Options, "storage"))...)
	}
	return append(list, alterPart(n, "CONSTRAINT", k.Name, k.Comment)...)
}

func (p *plan) createIndex(n *node, o *schema.Index) []ddl.Statement {
	s := ddl.Statement{SQL: o.Definition}
	partitioned := false
	if t, ok := n.parent.to.(*schema.Table); ok {
		partitioned = option(t, "partition key") != ""
	}
	beside := !n.parent.made() && !p.alone // others write to the table
	switch {
	case partitioned:
		s.SQL = strings.Replace(s.SQL, " ON ONLY ", " ON ", 1)
		if beside { // where it cannot be built partition by partition
			s.Comment = "Of a partitioned table: its partitions cannot be written to meanwhile. Where that takes too long, build the index of each partition CONCURRENTLY first."
		}
	case beside:
		s.SQL = strings.Replace(s.SQL, " INDEX ", " INDEX CONCURRENTLY ", 1)
		s.Comment, s.Outside = "Built while others read and write. When it fails, drop the invalid index it leaves and run it again.", true
	}
	if v := schema.Value(o.Options, "tablespace"); v != "" {
		i := strings.LastIndex(s.SQL, " WHERE ")
		if i < 0 {
			i = len(s.SQL)
		}
		s.SQL = s.SQL[:i] + " TABLESPACE " + Identifier(v) + s.SQL[i:]
	}
	if o.Invalid {
		p.notes = append(p.notes, "Index "+qualified(n.key.Schema, o.Name)+" is invalid in the second schema; the script makes a valid one.")
	}
	list := []ddl.Statement{s}
	if partitioned && beside {
		if each, ok := p.onPartitions(n, o, s.SQL); ok {
			list = each
		}
	}
	list = append(list, indexStatistics(n, nil, o)...)
	if o.Comment != "" {
		list = append(list, commentOn("INDEX "+qualified(n.key.Schema, o.Name), o.Comment))
	}
	return list
}

// indexStatistics sets the targets of an index's expressions, which the model writes as "1 300, 2 500".
func indexStatistics(n *node, from, to *schema.Index) []ddl.Statement {
	var list []ddl.Statement
	head := "ALTER INDEX " + qualified(n.key.Schema, to.Name) + " ALTER COLUMN "
	wanted := map[string]bool{}
	for _, o := range splitOptions(schema.Value(to.Options, "statistics")) {
		column, target, _ := strings.Cut(o, " ")
		wanted[column] = true
		list = append(list, one(head+column+" SET STATISTICS "+target)...)
	}
	if from == nil {
		return list
	}
	for _, o := range splitOptions(schema.Value(from.Options, "statistics")) {
		if column, _, _ := strings.Cut(o, " "); !wanted[column] {
			list = append(list, one(head+column+" SET STATISTICS -1")...)
		}
	}
	return list
}

func alterIndex(n *node, from, to *schema.Index) []ddl.Statement {
	var list []ddl.Statement
	if n.differs("statistics") {
		list = indexStatistics(n, from, to)
	}
	if n.differs(schema.PropertyComment) {
		list = append(list, commentOn("INDEX "+qualified(n.key.Schema, to.Name), to.Comment))
	}
	return list
}

func (p *plan) dropIndex(n *node, o *schema.Index) []ddl.Statement {
	s := ddl.Statement{SQL: "DROP INDEX CONCURRENTLY " + qualified(n.key.Schema, o.Name), Comment: "Dropped without a lock that stops others; queries that used it become slower" + again(n), Destroys: true, Outside: true}
	of, _ := n.parent.from.(*schema.Table)
	if of != nil && option(of, "partition key") != "" || n.parent.gone() || p.alone {
		s.SQL, s.Outside = strings.Replace(s.SQL, "CONCURRENTLY ", "", 1), false
		s.Comment = "Queries that used it become slower" + again(n)
	}
	return []ddl.Statement{s}
}
