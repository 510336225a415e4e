package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

var _ snapshot.RoleTeller = (*point)(nil)

// Roles implements snapshot.RoleTeller.
func (p *point) Roles(ctx context.Context) ([]snapshot.Role, error) {
	all, err := readAccounts(ctx, p.db)
	if isError(err, 1142, 1044, 1227) {
		return nil, fmt.Errorf("%w\n  next: an account with SELECT on the database mysql, or the same without --roles", err)
	}
	named, _ := granteesOf(p.model)
	return snapshot.Related(all, named), err
}

// The attributes of an account, in the words of the statement that makes it.
const (
	locked      = "ACCOUNT LOCK"
	require     = "REQUIRE"
	expires     = "PASSWORD EXPIRE INTERVAL"
	isRole      = "ROLE"
	defaultRole = "DEFAULT ROLE"
)

// maxima are what an account may do at most, in the order of the queries.
var maxima = []string{"MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS"}

// readAccounts reads all accounts and roles of a server, without what authenticates them.
func readAccounts(ctx context.Context, d *Database) ([]snapshot.Role, error) {
	if d.engine == migrate.MariaDB {
		return readAccountsMariaDB(ctx, d)
	}
	a := &accounts{at: map[string]int{}}
	err := show(ctx, d.reader, []string{
		`SELECT user, host, account_locked, max_questions, max_updates, max_connections, max_user_connections, CAST(ssl_type AS CHAR), coalesce(password_lifetime, 0) FROM mysql.user WHERE user NOT LIKE 'mysql.%' ORDER BY user, host`,
		`SELECT user, host, default_role_user, default_role_host FROM mysql.default_roles ORDER BY 1, 2, 3, 4`,
		`SELECT to_user, to_host, from_user, from_host, with_admin_option FROM mysql.role_edges ORDER BY 1, 2, 3, 4`,
	}, func(n int, r []string) {
		name := accountName(r[0], r[1])
		switch n {
		case 0:
			a.add(name, r[2] == "Y", r[3:7], map[string]string{"ANY": "SSL", "X509": "X509", "SPECIFIED": "X509"}[r[7]], r[8])
		case 1:
			a.attribute(name, defaultRole, accountName(r[2], r[3]))
		case 2:
			a.member(name, accountName(r[2], r[3]), r[4] == "Y")
		}
	})
	return a.list, err
}

// privMariaDB is what MariaDB keeps of an account. What authenticates it is not looked at.
type privMariaDB struct {
	IsRole      bool        `json:"is_role"`
	Locked      bool        `json:"account_locked"`
	Questions   json.Number `json:"max_questions"`
	Updates     json.Number `json:"max_updates"`
	Connections json.Number `json:"max_connections"`
	User        json.Number `json:"max_user_connections"`
	SSL         int         `json:"ssl_type"`
	Lifetime    int         `json:"password_lifetime"`
	DefaultRole string      `json:"default_role"`
}

func readAccountsMariaDB(ctx context.Context, d *Database) ([]snapshot.Role, error) {
	a, wrong := &accounts{at: map[string]int{}}, error(nil)
	err := show(ctx, d.reader, []string{
		`SELECT user, host, priv FROM mysql.global_priv WHERE user <> 'mariadb.sys' ORDER BY user, host`,
		`SELECT user, host, role, admin_option FROM mysql.roles_mapping WHERE concat(user, '@', host) <> CURRENT_USER() ORDER BY 1, 2, 3`, // who makes a role has it
	}, func(n int, r []string) {
		name := accountName(r[0], r[1])
		if n == 1 {
			a.member(name, accountName(r[2], ""), r[3] == "Y")
			return
		}
		var p privMariaDB
		if err := json.Unmarshal([]byte(r[2]), &p); err != nil {
			wrong = fmt.Errorf("read what %s is: %w", name, err)
			return
		}
		lifetime := ""
		if p.Lifetime > 0 {
			lifetime = fmt.Sprint(p.Lifetime)
		}
		a.add(name, p.Locked, []string{p.Questions.String(), p.Updates.String(), p.Connections.String(), p.User.String()}, map[int]string{1: "SSL", 2: "X509", 3: "X509"}[p.SSL], lifetime)
		if p.IsRole {
			a.attribute(name, isRole, "")
		}
		if p.DefaultRole != "" {
			a.attribute(name, defaultRole, accountName(p.DefaultRole, ""))
		}
	})
	if err == nil {
		err = wrong
	}
	return a.list, err
}

// accountName writes an account as grants name it. A role of MariaDB has no host.
func accountName(user, host string) string { return "'" + user + "'@'" + host + "'" }

// accounts collects what is read of them.
type accounts struct {
	list []snapshot.Role
	at   map[string]int
}

func (a *accounts) add(name string, isLocked bool, limits []string, tls, lifetime string) {
	a.at[name] = len(a.list)
	a.list = append(a.list, snapshot.Role{Name: name})
	if tls != "" {
		a.attribute(name, require, tls)
	}
	for i, n := range limits {
		if n != "" && n != "0" {
			a.attribute(name, maxima[i], n)
		}
	}
	if lifetime != "" && lifetime != "0" {
		a.attribute(name, expires, lifetime)
	}
	if isLocked {
		a.attribute(name, locked, "")
	}
}

// attribute sets one; of several default roles it makes a list.
func (a *accounts) attribute(name, what, value string) {
	i, there := a.at[name]
	if !there {
		return
	}
	r := &a.list[i]
	if n := slices.IndexFunc(r.Attributes, func(p schema.Property) bool { return p.Name == what }); n >= 0 {
		r.Attributes[n].Value += ", " + value
		return
	}
	r.Attributes = append(r.Attributes, schema.Property{Name: what, Value: value})
}

func (a *accounts) member(name, of string, admin bool) {
	i, there := a.at[name]
	if !there {
		return
	}
	option := ""
	if admin {
		option = "WITH ADMIN OPTION"
	}
	a.list[i].MemberOf = append(a.list[i].MemberOf, schema.Property{Name: of, Value: option})
}

// makeAccounts makes those that a snapshot has or a grant names, and the server does not; it says which, and what is
// otherwise with those that are there.
func (s *site) makeAccounts(ctx context.Context, grantees []string) error {
	there, err := readAccounts(ctx, s.db)
	if err != nil {
		return fmt.Errorf("ask which accounts there are: %w", err)
	}
	want := slices.Clone(s.known)
	for _, name := range grantees {
		if !slices.ContainsFunc(want, func(r snapshot.Role) bool { return r.Name == name }) {
			want = append(want, snapshot.Role{Name: name})
		}
	}
	var last []string
	for n, r := range want {
		i := slices.IndexFunc(there, func(x snapshot.Role) bool { return x.Name == r.Name })
		if i >= 0 {
			if differs := r.Unlike(there[i]); len(differs) > 0 && n < len(s.known) {
				s.notes = append(s.notes, fmt.Sprintf("the account %s is there, and left as it is: %s", r.Name, strings.Join(differs, "; ")))
			}
			continue
		}
		if err := ddlOn(ctx, s.build, createAccount(r)); err != nil {
			return fmt.Errorf("make the account %s: %w", r.Name, err)
		}
		last = append(last, s.roleGrants(r)...)
		if _, role := hasAttribute(r, isRole); role {
			s.notes = append(s.notes, "made the role "+inGrant(r.Name))
			continue
		}
		note := "made the account " + r.Name + ", which is locked and has no password"
		if _, was := hasAttribute(r, locked); !was && n < len(s.known) {
			note += "; it was not locked: ALTER USER " + r.Name + " IDENTIFIED BY … ACCOUNT UNLOCK"
		}
		s.notes = append(s.notes, note)
	}
	for _, st := range last {
		if err := ddlOn(ctx, s.build, st); err != nil {
			return fmt.Errorf("%s: %w", st, err)
		}
	}
	return nil
}

func hasAttribute(r snapshot.Role, name string) (value string, has bool) {
	for _, p := range r.Attributes {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// createAccount makes an account that nobody can log in with.
func createAccount(r snapshot.Role) string {
	if _, role := hasAttribute(r, isRole); role || inGrant(r.Name) != r.Name {
		return "CREATE ROLE " + inGrant(r.Name)
	}
	statement := "CREATE USER " + r.Name
	if tls, is := hasAttribute(r, require); is {
		statement += " REQUIRE " + tls
	}
	with := " WITH"
	for _, m := range maxima {
		if n, is := hasAttribute(r, m); is {
			statement, with = statement+with+" "+m+" "+n, ""
		}
	}
	if days, is := hasAttribute(r, expires); is {
		statement += " PASSWORD EXPIRE INTERVAL " + days + " DAY"
	}
	return statement + " ACCOUNT LOCK"
}

// roleGrants are the statements that give an account its roles.
func (s *site) roleGrants(r snapshot.Role) []string {
	var list []string
	for _, m := range r.MemberOf {
		list = append(list, strings.TrimSpace("GRANT "+inGrant(m.Name)+" TO "+inGrant(r.Name)+" "+m.Value))
	}
	if value, is := hasAttribute(r, defaultRole); is {
		to := " TO "
		var roles []string
		for _, name := range strings.Split(value, ", ") {
			roles = append(roles, inGrant(name))
		}
		if s.db.engine == migrate.MariaDB {
			to = " FOR "
		}
		list = append(list, "SET DEFAULT ROLE "+strings.Join(roles, ", ")+to+r.Name)
	}
	return list
}

// inGrant is how a statement names an account: a role of MariaDB without a host.
func inGrant(name string) string {
	if role, is := strings.CutSuffix(name, "'@''"); is {
		return quote(strings.TrimPrefix(role, "'"))
	}
	return name
}
