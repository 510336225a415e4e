package postgres

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

// theOwner is how a model names an object's owner in a grant.
const theOwner = "the owner"

// byItself is what everybody may do with a new object of the kind.
func byItself(n *node) string {
	switch {
	case n.key.Kind == schema.KindRoutine:
		return "EXECUTE"
	case n.key.Kind == schema.KindType, n.key.Kind == schema.KindLanguage, n.key.Kind == "" && n.key.Schema == "public":
		return "USAGE"
	}
	return ""
}

func grantsOf(o schema.Object) []*schema.Grant {
	var list []*schema.Grant
	for _, c := range o.Children() {
		if g, ok := c.(*schema.Grant); ok {
			list = append(list, g)
		}
	}
	return list
}

// grantNoun is how GRANT calls an object.
func grantNoun(n *node) string {
	switch noun(n) {
	case "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW":
		return "TABLE"
	case "AGGREGATE":
		return "FUNCTION"
	case "SERVER":
		return "FOREIGN SERVER"
	case "DOMAIN":
		return "TYPE"
	}
	return noun(n)
}

func (p *plan) newGrants(n *node) []ddl.Statement {
	if n.change.Action == "add" && !hasGrants(n) {
		return nil // the comparison left them out, or there are none
	}
	var list []ddl.Statement
	for _, g := range grantsOf(n.to) {
		list = append(list, p.give(n, g, byItself(n) != "" && g.To == "public" || g.To == theOwner)...)
	}
	return list
}

func hasGrants(n *node) bool {
	for _, c := range n.change.Children {
		if c.Kind == schema.KindGrant {
			return true
		}
	}
	return false
}

// changeGrants sets those rights anew that differ.
func (p *plan) changeGrants(n *node) []ddl.Statement {
	var list []ddl.Statement
	again := map[string]bool{} // grantees whose rights on columns go with those on the table
	for _, c := range n.change.Children {
		if c.Kind != schema.KindGrant {
			continue
		}
		before, _ := c.Before.(*schema.Grant)
		after, _ := c.After.(*schema.Grant)
		column := p.columnOf(n, c.Before, c.After)
		if column != nil && column.gone() {
			continue // the grant went with it; that on a new one comes below
		}
		if after == nil {
			after = &schema.Grant{To: before.To, Column: before.Column, Privileges: "none"}
			if before.Column == "" && before.To == "public" && byItself(n) != "" {
				after.Privileges = byItself(n)
			}
			if before.To == theOwner {
				after.Privileges = "ALL"
			}
		}
		if after.Column == "" {
			again[after.To] = true
		}
		list = append(list, p.give(n, after, before != nil || byItself(n) != "" && after.To == "public" || after.To == theOwner)...)
	}
	for _, g := range grantsOf(n.to) {
		column := p.columnOf(n, nil, g)
		if g.Column != "" && (again[g.To] || column != nil && column.act == recreate) {
			list = append(list, p.give(n, g, false)...)
		}
	}
	return list
}

// columnOf is the column that a grant is for, or nil.
func (p *plan) columnOf(n *node, before, after schema.Object) *node {
	for _, o := range []schema.Object{after, before} {
		if g, ok := o.(*schema.Grant); ok && g != nil && g.Column != "" {
			return p.nodes[schema.Key{Schema: n.key.Schema, Kind: schema.KindColumn, Name: part(n.key.Name, g.Column)}]
		}
	}
	return nil
}

// give writes the statements after which a grantee has those rights and no others.
func (p *plan) give(n *node, g *schema.Grant, has bool) []ddl.Statement {
	on, to := " ON "+grantNoun(n)+" "+name(n, n.to), Identifier(g.To)
	owner := schema.Value(n.to.Properties(), schema.PropertyOwner)
	switch {
	case g.To == "public":
		to = "PUBLIC"
	case g.To == theOwner && owner != "":
		to = Identifier(owner)
	case g.To == theOwner:
		to = ""
	}
	run := func(sql string) ddl.Statement {
		if to == "" {
			return databaseOwner(sql)
		}
		return ddl.Statement{SQL: sql + to}
	}
	with := func(privileges string) string {
		if g.Column == "" {
			return privileges
		}
		list := strings.Split(privileges, ", ")
		for i := range list {
			list[i] += " (" + Identifier(g.Column) + ")"
		}
		return strings.Join(list, ", ")
	}
	var list []ddl.Statement
	if has {
		list = append(list, run("REVOKE "+with("ALL")+on+" FROM "))
	}
	if g.Privileges == "none" {
		return list
	}
	grantable := strings.Split(g.Grantable, ", ")
	plain := strings.Join(slices.DeleteFunc(strings.Split(g.Privileges, ", "), func(x string) bool { return slices.Contains(grantable, x) }), ", ")
	if plain != "" {
		list = append(list, run("GRANT "+with(plain)+on+" TO "))
	}
	if g.Grantable != "" {
		s := run("GRANT " + with(g.Grantable) + on + " TO ")
		s.SQL += " WITH GRANT OPTION"
		list = append(list, s)
	}
	return list
}

// defaultPrivileges takes those away for the time of the script that would act on what it makes: the grants
// of new objects are all written down.
func (p *plan) defaultPrivileges() {
	makes := map[string]bool{}
	for _, n := range p.order {
		if !n.made() {
			continue
		}
		switch n.key.Kind {
		case schema.KindTable, schema.KindView:
			makes["tables"] = true
		case schema.KindSequence:
			makes["sequences"] = true
		case schema.KindRoutine:
			makes["functions"] = true
		case schema.KindType:
			makes["types"] = true
		case "":
			makes["schemas"] = true
		}
	}
	for _, n := range p.order {
		if n.key.Kind != schema.KindDefaultPrivileges || n.act != keep {
			continue
		}
		for objects := range makes {
			if strings.Contains(n.key.Name, " on "+objects+" to ") {
				n.act = recreate
			}
		}
	}
}
