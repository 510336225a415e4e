package mysql

import (
	"context"
	"fmt"
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
func (s *site) MakeRoles() { s.accounts = true }

// Warnings say what is otherwise than it was.
func (s *site) Warnings() []string { return s.notes }

// anAccount is how an account is written in a grant. A role of MariaDB has no host, and is not made here.
var anAccount = regexp.MustCompile(`^'[^'\\]*'@'[^'\\]+'$`)

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
	for _, account := range grantees {
		var n int
		user, host, _ := strings.Cut(strings.Trim(account, "'"), "'@'")
		if err := s.build.QueryRowContext(ctx, "SELECT count(*) FROM mysql.user WHERE user = ? AND host = ?", user, host).Scan(&n); err != nil {
			return fmt.Errorf("ask whether there is an account %s: %w", account, err)
		}
		if n > 0 {
			continue
		}
		if err := ddlOn(ctx, s.build, "CREATE USER "+account+" ACCOUNT LOCK"); err != nil {
			return fmt.Errorf("make the account %s: %w", account, err)
		}
		s.notes = append(s.notes, "made the account "+account+", which is locked and has no password")
	}
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
	var walk func(o schema.Object)
	walk = func(o schema.Object) {
		if g, ok := o.(*schema.Grant); ok && !slices.Contains(accounts, g.To) {
			accounts = append(accounts, g.To)
			if !anAccount.MatchString(g.To) {
				odd = append(odd, g.To)
			}
		}
		for _, c := range o.Children() {
			walk(c)
		}
	}
	for _, o := range model.Objects() {
		walk(o)
	}
	return accounts, odd
}
