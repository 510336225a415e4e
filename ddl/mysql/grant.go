package mysql

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// grants writes what changes in the grants on an object. Those on a table that is dropped are revoked: the
// servers would keep them for a table of that name to come.
func (s *script) grants(on string, c diff.Change) {
	// The right to hand on is one for all that an account has on the object, its columns among it.
	before, after := handsOn(c.Before), handsOn(c.After)
	for _, account := range slices.Sorted(maps.Keys(before)) {
		if !after[account] {
			s.add(phaseRevoke, "revoke option on "+on+" "+account, nil, ddl.Statement{SQL: fmt.Sprintf("REVOKE GRANT OPTION ON %s FROM %s", on, account), Comment: "The account can no longer hand its rights on."})
		}
	}
	for _, x := range c.Children {
		if x.Kind != schema.KindGrant {
			continue
		}
		id := "grant " + on + " " + x.Name
		var old, new []string
		var oldGrantable, newGrantable string
		to, column := "", ""
		if g, ok := x.Before.(*schema.Grant); ok {
			to, column, old, oldGrantable = g.To, g.Column, list(g.Privileges), g.Grantable
		}
		if g, ok := x.After.(*schema.Grant); ok {
			to, column, new, newGrantable = g.To, g.Column, list(g.Privileges), g.Grantable
		}
		if gone := without(old, new); len(gone) > 0 {
			s.add(phaseRevoke, "revoke "+id, nil, ddl.Statement{SQL: fmt.Sprintf("REVOKE %s ON %s FROM %s", privileges(gone, column), on, to), Comment: "The account loses these rights at once."})
			if column == "" && c.After != nil {
				s.columnGrants(on, to, c.After, gone)
			}
		}
		more := without(new, old)
		if newGrantable != oldGrantable && newGrantable != "" {
			more = new
		}
		if len(more) > 0 {
			s.add(phaseGrant, id, nil, grant(more, column, on, to, newGrantable != ""))
		}
	}
}

// columnGrants gives an account its rights to columns again: they go with the right to the table.
func (s *script) columnGrants(on, to string, table schema.Object, gone []string) {
	for _, x := range table.Children() {
		g, ok := x.(*schema.Grant)
		if !ok || g.To != to || g.Column == "" {
			continue
		}
		if again := without(gone, without(gone, list(g.Privileges))); len(again) > 0 {
			s.add(phaseGrant, "grant again "+on+" "+g.ObjectName(), nil, grant(again, g.Column, on, to, g.Grantable != ""))
		}
	}
}

// handsOn are the accounts that may hand on what they have on an object.
func handsOn(o schema.Object) map[string]bool {
	accounts := map[string]bool{}
	if o == nil {
		return accounts
	}
	for _, x := range o.Children() {
		if g, ok := x.(*schema.Grant); ok && g.Grantable != "" {
			accounts[g.To] = true
		}
	}
	return accounts
}

func grant(rights []string, column, on, to string, grantable bool) ddl.Statement {
	sql := fmt.Sprintf("GRANT %s ON %s TO %s", privileges(rights, column), on, to)
	if grantable {
		sql += " WITH GRANT OPTION"
	}
	return ddl.Statement{SQL: sql}
}

func privileges(rights []string, column string) string {
	if column == "" {
		return strings.Join(rights, ", ")
	}
	var out []string
	for _, r := range rights {
		out = append(out, r+" ("+Quote(column)+")")
	}
	return strings.Join(out, ", ")
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ", ")
}

func without(list, what []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return slices.Contains(what, x) })
}
