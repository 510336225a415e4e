package mysql

import (
	"context"
	"regexp"
	"slices"
	"strings"

	ddlmysql "github.com/switchbackdb/switchback/ddl/mysql"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

var _ snapshot.RoleMaker = (*site)(nil)

// MakeRoles implements snapshot.RoleMaker: accounts are made locked.
func (s *site) MakeRoles(known []snapshot.Role) { s.accounts, s.known = true, known }

// Warnings say what is otherwise than it was.
func (s *site) Warnings() []string { return s.notes }

// anAccount is how an account is written in a grant. A role of MariaDB has no host.
var anAccount = regexp.MustCompile(`^'[^'\\]*'@'[^'\\]*'$`)

// nameRoles names the roles in a model's grants as statements do.
func nameRoles(model *schema.Database) {
	eachGrant(model, func(g *schema.Grant) { g.To = inGrant(g.To) })
}

// grant gives what was granted in the database that was copied, to accounts that are made where they are missing.
func (s *site) grant(ctx context.Context) error {
	all, err := s.db.inspectQuiet(ctx)
	if err != nil {
		return err
	}
	is := visible(all)
	to := clone(is)
	grantsOf(to, s.model)
	grantees, odd := granteesOf(to)
	if len(odd) > 0 {
		s.accounts = false // what is compared must not ask for them
		s.notes = append(s.notes, "what was granted to "+strings.Join(odd, ", ")+" is left out, with all other grants: these are no accounts")
		return nil
	}
	if err := s.makeAccounts(ctx, grantees); err != nil {
		return err
	}
	nameRoles(is)
	nameRoles(to)
	r, err := diff.Compare(is, to, diff.Options{})
	if err != nil {
		return err
	}
	script, err := ddlmysql.Writer{}.Script(r)
	if err != nil {
		return err
	}
	return s.run(ctx, script)
}

// granteesOf are the accounts that a model grants something to, and those among them that are none.
func granteesOf(model *schema.Database) (accounts, odd []string) {
	eachGrant(model, func(g *schema.Grant) {
		if slices.Contains(accounts, g.To) {
			return
		}
		accounts = append(accounts, g.To)
		if !anAccount.MatchString(g.To) {
			odd = append(odd, g.To)
		}
	})
	return accounts, odd
}

func eachGrant(model *schema.Database, do func(g *schema.Grant)) {
	var walk func(o schema.Object)
	walk = func(o schema.Object) {
		if g, ok := o.(*schema.Grant); ok {
			do(g)
		}
		for _, c := range o.Children() {
			walk(c)
		}
	}
	for _, o := range model.Objects() {
		walk(o)
	}
}
