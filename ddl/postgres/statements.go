package postgres

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

// noun is how statements call an object of the kind.
func noun(n *node) string {
	o := n.to
	if o == nil || n.from != nil && n.gone() && n.to == nil {
		o = n.from
	}
	return nounOf(o)
}

func nounOf(o schema.Object) string {
	switch o := o.(type) {
	case *schema.Schema:
		return "SCHEMA"
	case *schema.Table:
		if schema.Value(o.Options, "foreign") != "" {
			return "FOREIGN TABLE"
		}
		return "TABLE"
	case *schema.View:
		return viewNoun(o)
	case *schema.Type:
		if o.Form == schema.Domain {
			return "DOMAIN"
		}
		return "TYPE"
	case *schema.Sequence:
		return "SEQUENCE"
	case *schema.Routine:
		return strings.ToUpper(map[string]string{"procedure": "procedure", "aggregate": "aggregate"}[o.Form] + map[bool]string{true: "function"}[o.Form != "procedure" && o.Form != "aggregate"])
	case *schema.Item:
		if o.Of == schema.KindServer {
			return "SERVER"
		}
		return strings.ToUpper(string(o.Of))
	}
	return strings.ToUpper(string(o.Kind()))
}

// name is how statements name an object.
func name(n *node, o schema.Object) string {
	switch o := o.(type) {
	case *schema.Schema:
		return Identifier(o.Name)
	case *schema.Routine:
		return routineName(n.key.Schema, o)
	case *schema.Item:
		return itemName(n.key.Schema, o)
	}
	return qualified(n.key.Schema, o.ObjectName())
}

func (p *plan) dropStatements(n *node) []ddl.Statement {
	switch o := n.from.(type) {
	case *schema.Setting:
		return dropSetting(o)
	case *schema.Schema:
		return []ddl.Statement{{SQL: "DROP SCHEMA " + Identifier(o.Name), Comment: "The schema goes; all that was in it has gone already.", Destroys: true}}
	case *schema.Table:
		comment := "The table goes, with all its rows."
		if n.act == recreate {
			comment = "The table is made again: it cannot be changed to what it has to be. ITS ROWS ARE LOST: copy them first."
		}
		return []ddl.Statement{{SQL: "DROP " + nounOf(o) + " " + name(n, o), Comment: comment, Destroys: true}}
	case *schema.Type:
		if n.setAside() {
			return putAside(n, o)
		}
	case *schema.Sequence:
		if p.ownerGoes(n, o) {
			return nil
		}
	case *schema.Column:
		return []ddl.Statement{{SQL: alterTable(n) + " ALTER COLUMN " + Identifier(o.Name) + " DROP DEFAULT", Comment: "The column gets no value by itself any more" + again(n), Destroys: true}}
	case *schema.Constraint:
		return p.dropConstraint(n, o)
	case *schema.Index:
		return p.dropIndex(n, o)
	case *schema.Trigger, *schema.Policy, *schema.Rule:
		return []ddl.Statement{{SQL: "DROP " + nounOf(o) + " " + Identifier(o.ObjectName()) + " ON " + qualified(n.key.Schema, n.parent.key.Name), Comment: fmt.Sprintf("The %s no longer acts%s", o.Kind(), again(n)), Destroys: true}}
	case *schema.Item:
		return dropItem(n, o)
	}
	return []ddl.Statement{{SQL: "DROP " + nounOf(n.from) + " " + name(n, n.from), Comment: fmt.Sprintf("The %s goes%s", n.key.Kind, again(n)), Destroys: true}}
}

// again ends the comment on a drop.
func again(n *node) string {
	switch {
	case n.act != recreate:
		return ": its definition is lost."
	case n.change.Action == "":
		return " for a moment: it stands on something that changes, and is made again as it was."
	}
	return " for a moment: it is made again as it has to be."
}

func alterTable(n *node) string {
	o := n.parent.to
	if o == nil || n.parent.act == recreate {
		o = n.parent.from
	}
	return "ALTER " + nounOf(o) + " " + qualified(n.key.Schema, n.parent.key.Name)
}

func (p *plan) createStatements(n *node) []ddl.Statement {
	var list []ddl.Statement
	switch o := n.to.(type) {
	case *schema.Setting:
		return p.setSetting(o)
	case *schema.Schema:
		list = createSchema(o)
	case *schema.Table:
		return p.createTable(n, o)
	case *schema.View:
		list = createView(n, o)
	case *schema.Routine:
		list = one(o.Definition)
	case *schema.Type:
		list = createType(n, o)
	case *schema.Sequence:
		list = createSequence(n, o)
	case *schema.Column:
		return []ddl.Statement{{SQL: alterTable(n) + " ALTER COLUMN " + Identifier(o.Name) + " SET DEFAULT " + o.Default, Comment: "For rows to come: those that are there stay as they are."}}
	case *schema.Constraint:
		return p.createConstraint(n, o)
	case *schema.Index:
		return p.createIndex(n, o)
	case *schema.Trigger:
		return createTrigger(n, o)
	case *schema.Policy:
		return append(one("CREATE POLICY "+Identifier(o.Name)+" ON "+qualified(n.key.Schema, n.parent.key.Name)+" "+o.Definition), commentPart(n, "POLICY", o.Name, o.Comment)...)
	case *schema.Rule:
		list = append(one(o.Definition), enableRule(n, o)...)
		return append(list, commentPart(n, "RULE", o.Name, o.Comment)...)
	case *schema.Item:
		list = createItem(n, o)
	}
	return append(list, p.dress(n)...)
}

func one(sql string) []ddl.Statement { return []ddl.Statement{{SQL: sql}} }

// dress gives a new object its owner, comment and grants.
func (p *plan) dress(n *node) []ddl.Statement {
	var list []ddl.Statement
	if owner := schema.Value(n.to.Properties(), schema.PropertyOwner); owner != "" && p.keepsOwners(n) {
		list = append(list, one("ALTER "+noun(n)+" "+name(n, n.to)+" OWNER TO "+Identifier(owner))...)
	} else if n.act == replace && n.differs(schema.PropertyOwner) {
		list = append(list, setOwner(n, owner))
	}
	comment := schema.Value(n.to.Properties(), schema.PropertyComment)
	if comment != "" || n.act == replace && n.differs(schema.PropertyComment) {
		list = append(list, commentOn(noun(n)+" "+name(n, n.to), comment))
	}
	list = append(list, p.viewColumns(n)...)
	if n.act == replace {
		return append(list, p.changeGrants(n)...)
	}
	return append(list, p.newGrants(n)...)
}

// keepsOwners is false where the comparison left owners out.
func (p *plan) keepsOwners(n *node) bool {
	return n.change.Action != "add" || n.differs(schema.PropertyOwner)
}

// setOwner lets the owner of the database be one without its name, which may differ.
func setOwner(n *node, owner string) ddl.Statement {
	head := "ALTER " + noun(n) + " " + name(n, n.to) + " OWNER TO "
	if owner != "" {
		return ddl.Statement{SQL: head + Identifier(owner)}
	}
	return databaseOwner(head)
}

// databaseOwner runs a statement that ends with the name of the database's owner.
func databaseOwner(head string) ddl.Statement {
	return ddl.Statement{
		SQL:     "DO $do$ BEGIN EXECUTE " + Literal(head) + " || (SELECT quote_ident(pg_get_userbyid(datdba)) FROM pg_database WHERE datname = current_database()); END $do$",
		Comment: "Owned by the owner of the database.",
	}
}

func commentOn(what, comment string) ddl.Statement {
	if comment == "" {
		return ddl.Statement{SQL: "COMMENT ON " + what + " IS NULL"}
	}
	return ddl.Statement{SQL: "COMMENT ON " + what + " IS " + Literal(comment)}
}

// commentPart comments on a new part of a table or view.
func commentPart(n *node, noun, name, comment string) []ddl.Statement {
	if comment == "" {
		return nil
	}
	return []ddl.Statement{commentOn(noun+" "+Identifier(name)+" ON "+qualified(n.key.Schema, n.parent.key.Name), comment)}
}

func (p *plan) alterStatements(n *node) []ddl.Statement {
	var list []ddl.Statement
	switch o := n.to.(type) {
	case *schema.Setting:
		return p.setSetting(o)
	case *schema.Table:
		list = p.alterTable(n, n.from.(*schema.Table), o)
	case *schema.View:
		list = alterView(n, o)
	case *schema.Type:
		list = alterType(n, n.from.(*schema.Type), o)
	case *schema.Sequence:
		list = alterSequence(n, o)
	case *schema.Constraint:
		return alterConstraint(n, o)
	case *schema.Index:
		return alterIndex(n, n.from.(*schema.Index), o)
	case *schema.Trigger:
		return alterTrigger(n, o)
	case *schema.Policy:
		return alterPart(n, "POLICY", o.Name, o.Comment)
	case *schema.Rule:
		if n.differs("enabled") {
			list = enable(n, "RULE", o.Name, o.Enabled)
		}
		return append(list, alterPart(n, "RULE", o.Name, o.Comment)...)
	case *schema.Item:
		list = p.alterItem(n, n.from.(*schema.Item), o)
	}
	if n.differs(schema.PropertyOwner) {
		list = append(list, setOwner(n, schema.Value(n.to.Properties(), schema.PropertyOwner)))
	}
	if n.differs(schema.PropertyComment) {
		list = append(list, commentOn(noun(n)+" "+name(n, n.to), schema.Value(n.to.Properties(), schema.PropertyComment)))
	}
	list = append(list, p.viewColumns(n)...)
	return append(list, p.changeGrants(n)...)
}

func alterPart(n *node, noun, name, comment string) []ddl.Statement {
	if !n.differs(schema.PropertyComment) {
		return nil
	}
	return []ddl.Statement{commentOn(noun+" "+Identifier(name)+" ON "+qualified(n.key.Schema, n.parent.key.Name), comment)}
}

// enable switches a trigger or rule on, off or to what else it has to be.
func enable(n *node, noun, name, state string) []ddl.Statement {
	verb := map[string]string{"": "ENABLE", "no": "DISABLE", "replica": "ENABLE REPLICA", "always": "ENABLE ALWAYS"}[state]
	return one("ALTER TABLE " + qualified(n.key.Schema, n.parent.key.Name) + " " + verb + " " + noun + " " + Identifier(name))
}

func enableRule(n *node, o *schema.Rule) []ddl.Statement {
	if o.Enabled == "" {
		return nil
	}
	return enable(n, "RULE", o.Name, o.Enabled)
}

func createTrigger(n *node, o *schema.Trigger) []ddl.Statement {
	list := one(o.Definition)
	if o.Enabled != "" {
		list = append(list, enable(n, "TRIGGER", o.Name, o.Enabled)...)
	}
	return append(list, commentPart(n, "TRIGGER", o.Name, o.Comment)...)
}

func alterTrigger(n *node, o *schema.Trigger) (list []ddl.Statement) {
	if n.differs("enabled") {
		list = enable(n, "TRIGGER", o.Name, o.Enabled)
	}
	return append(list, alterPart(n, "TRIGGER", o.Name, o.Comment)...)
}
