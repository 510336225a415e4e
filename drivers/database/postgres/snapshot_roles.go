package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	ddlpostgres "github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

var (
	_ snapshot.RoleMaker  = (*site)(nil)
	_ snapshot.RoleTeller = (*point)(nil)
)

// rolesQuery reads what roles are. pg_roles has no passwords.
const rolesQuery = `SELECT r.rolname, r.rolsuper::text, r.rolinherit::text, r.rolcreaterole::text, r.rolcreatedb::text, r.rolcanlogin::text,
  r.rolreplication::text, r.rolbypassrls::text, r.rolconnlimit::text, CASE WHEN r.rolvaliduntil < 'infinity' THEN r.rolvaliduntil::text END
FROM pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1`

// settingsQuery reads what roles set for their sessions in whichever database.
const settingsQuery = `SELECT r.rolname, c.setting FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole CROSS JOIN LATERAL unnest(s.setconfig) AS c (setting)
WHERE s.setdatabase = 0 AND r.rolname !~ '^pg_' ORDER BY 1, 2`

// membersQuery reads who is a member of which role; the options are those of the version, and several grants are one. Who
// makes a role may become its member by that.
const membersQuery = `SELECT m.rolname, g.rolname, bool_or(a.admin_option)::text, coalesce(bool_or((to_jsonb(a) ->> 'inherit_option')::boolean), m.rolinherit)::text,
  coalesce(bool_or((to_jsonb(a) ->> 'set_option')::boolean), true)::text
FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid WHERE m.rolname !~ '^pg_' AND m.rolname <> current_user GROUP BY m.rolname, g.rolname, m.rolinherit ORDER BY 1, 2`

// Roles implements snapshot.RoleTeller.
func (p *point) Roles(ctx context.Context) ([]snapshot.Role, error) {
	all, err := readRoles(ctx, p.lead)
	if err != nil {
		return nil, err
	}
	return snapshot.Related(all, slices.DeleteFunc(rolesOf(p.model), serversOwn)), nil
}

// serversOwn tells whether a role is one that every server has.
func serversOwn(role string) bool { return strings.HasPrefix(role, "pg_") }

// roleAttributes are those that a role has or not, in the order of the query. INHERIT is noted when it is missing.
var roleAttributes = []string{"SUPERUSER", "INHERIT", "CREATEROLE", "CREATEDB", "LOGIN", "REPLICATION", "BYPASSRLS"}

// byHand are the attributes that no restore gives, because they reach beyond the database: it says them.
var byHand = []string{"SUPERUSER", "LOGIN", "REPLICATION", "BYPASSRLS"}

// readRoles reads all roles of a server but its own.
func readRoles(ctx context.Context, q interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
},
) ([]snapshot.Role, error) {
	rows, err := query(ctx, q, rolesQuery)
	if err != nil {
		return nil, err
	}
	var roles []snapshot.Role
	at := map[string]int{}
	for _, r := range rows {
		role := snapshot.Role{Name: r[0]}
		for i, a := range roleAttributes {
			switch {
			case a == "INHERIT" && !yes(r[i+1]):
				role.Attributes = append(role.Attributes, schema.Property{Name: "NOINHERIT"})
			case a != "INHERIT" && yes(r[i+1]):
				role.Attributes = append(role.Attributes, schema.Property{Name: a})
			}
		}
		if r[8] != "-1" {
			role.Attributes = append(role.Attributes, schema.Property{Name: "CONNECTION LIMIT", Value: r[8]})
		}
		if r[9] != "" {
			role.Attributes = append(role.Attributes, schema.Property{Name: "VALID UNTIL", Value: r[9]})
		}
		at[role.Name] = len(roles)
		roles = append(roles, role)
	}
	if rows, err = query(ctx, q, settingsQuery); err != nil {
		return nil, err
	}
	for _, r := range rows {
		name, value, _ := strings.Cut(r[1], "=")
		role := &roles[at[r[0]]]
		role.Settings = append(role.Settings, schema.Property{Name: name, Value: value})
	}
	if rows, err = query(ctx, q, membersQuery); err != nil {
		return nil, err
	}
	for _, r := range rows {
		role := &roles[at[r[0]]]
		role.MemberOf = append(role.MemberOf, schema.Property{Name: r[1], Value: fmt.Sprintf("ADMIN %t, INHERIT %t, SET %t", yes(r[2]), yes(r[3]), yes(r[4]))})
	}
	return roles, nil
}

// MakeRoles implements snapshot.RoleMaker.
func (s *site) MakeRoles(known []snapshot.Role) { s.roles, s.known = true, known }

// makeRoles makes the roles that a model names or a snapshot has, and the server does not, and says which, and what is
// otherwise with those that are there.
func (s *site) makeRoles(ctx context.Context, model *schema.Database) (notes []string, err error) {
	there, err := readRoles(ctx, s.pool)
	if err != nil {
		return nil, fmt.Errorf("ask which roles there are: %w", err)
	}
	is := func(name string) int {
		return slices.IndexFunc(there, func(r snapshot.Role) bool { return r.Name == name })
	}
	want := slices.Clone(s.known)
	for _, name := range rolesOf(model) {
		if !slices.ContainsFunc(want, func(r snapshot.Role) bool { return r.Name == name }) && !serversOwn(name) {
			want = append(want, snapshot.Role{Name: name})
		}
	}
	known := map[string]bool{}
	for _, r := range s.known {
		known[r.Name] = true
	}
	var statements, last []string
	for _, r := range want {
		if i := is(r.Name); i >= 0 {
			if differs := r.Unlike(there[i]); len(differs) > 0 && known[r.Name] {
				notes = append(notes, fmt.Sprintf("the role %s is there, and left as it is: %s", r.Name, strings.Join(differs, "; ")))
			}
			continue
		}
		made, later, note := s.makes(r)
		statements, last, notes = append(statements, made...), append(last, later...), append(notes, note)
	}
	if statements = append(statements, last...); len(statements) == 0 {
		return notes, nil
	}
	if err := s.make(ctx, statements); err != nil {
		return nil, fmt.Errorf("make the roles: %w", err)
	}
	return notes, nil
}

// makes are the statements that make a role, those that follow when all are made, and what is to be said of it.
func (s *site) makes(r snapshot.Role) (first, last []string, note string) {
	name := ddlpostgres.Identifier(r.Name)
	create, told := "CREATE ROLE "+name+" NOLOGIN", []string(nil)
	for _, a := range r.Attributes {
		switch {
		case slices.Contains(byHand, a.Name):
			told = append(told, a.Name)
		case a.Name == "VALID UNTIL":
			create += " VALID UNTIL " + ddlpostgres.Literal(a.Value)
		default:
			create += strings.TrimRight(" "+a.Name+" "+a.Value, " ")
		}
	}
	first = append(first, create)
	for _, p := range r.Settings {
		first = append(first, ddlpostgres.RoleSetting(r.Name, p.Name, p.Value))
	}
	for _, m := range r.MemberOf {
		grant := "GRANT " + ddlpostgres.Identifier(m.Name) + " TO " + name
		if majorOf(s.d.version) >= "16" {
			grant += " WITH " + strings.NewReplacer("true", "TRUE", "false", "FALSE").Replace(m.Value)
		} else if strings.HasPrefix(m.Value, "ADMIN true") {
			grant += " WITH ADMIN OPTION"
		}
		last = append(last, grant)
	}
	note = "made the role " + r.Name + ", which has no password and cannot log in"
	if len(told) > 0 {
		note += fmt.Sprintf("; it was %s: ALTER ROLE %s %s", strings.Join(told, ", "), name, strings.Join(told, " "))
	}
	return first, last, note
}
