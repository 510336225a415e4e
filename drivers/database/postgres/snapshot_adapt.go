package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// clone copies a model, which is plain data.
func clone(d *schema.Database) (*schema.Database, error) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(d); err != nil {
		return nil, err
	}
	copied := &schema.Database{}
	return copied, json.NewDecoder(&b).Decode(copied)
}

// place is what a server and a database on it have, on which it depends what can be made there.
type place struct {
	owner       string          // of the database
	roles       map[string]bool // of the server
	tablespaces map[string]bool
	extensions  map[string]bool   // "name version" that can be made
	defaults    map[string]string // the version of an extension that is made when none is named
	settings    bool              // the settings of the database are made too
}

func placeOf(ctx context.Context, db *sql.DB) (*place, error) {
	w := &place{roles: map[string]bool{}, tablespaces: map[string]bool{}, extensions: map[string]bool{}, defaults: map[string]string{}}
	rows, err := query(ctx, db, `SELECT 'owner', pg_get_userbyid(datdba), '' FROM pg_database WHERE datname = current_database()
UNION ALL SELECT 'role', rolname, '' FROM pg_roles UNION ALL SELECT 'tablespace', spcname, '' FROM pg_tablespace
UNION ALL SELECT 'extension', name, version FROM pg_available_extension_versions UNION ALL SELECT 'default', name, default_version FROM pg_available_extensions`)
	if err != nil {
		return nil, fmt.Errorf("ask what the server has: %w", err)
	}
	for _, r := range rows {
		switch r[0] {
		case "owner":
			w.owner = r[1]
		case "role":
			w.roles[r[1]] = true
		case "tablespace":
			w.tablespaces[r[1]] = true
		case "extension":
			w.extensions[r[1]+" "+r[2]] = true
		case "default":
			w.defaults[r[1]] = r[2]
		}
	}
	return w, nil
}

// everybody are grantees that are no roles of the server.
func everybody(role string) bool { return role == "" || role == "public" || role == theOwner }

func (w *place) has(role string) bool { return everybody(role) || w.roles[role] }

// adapt makes a model one that can be made at the place, and says what is otherwise in it. What a server has
// not, its roles above all, is left out; so is what is no part of a restore.
func (w *place) adapt(d *schema.Database) (*schema.Database, []string, error) {
	d, err := clone(d)
	if err != nil {
		return nil, nil, err
	}
	var notes []string
	var missing []string
	for _, r := range rolesOf(d) {
		if !w.has(r) {
			missing = append(missing, r)
		}
	}
	if len(missing) > 0 {
		notes = append(notes, fmt.Sprintf("the server has no role %s: what it owns is the database owner's, and what it is granted is left out", strings.Join(missing, ", ")))
	}
	d.Settings = slices.DeleteFunc(d.Settings, func(s *schema.Setting) bool {
		return s.Fixed || !w.settings || s.Name == "connection limit" || !w.has(roleOfSetting(s.Name))
	})
	d.Items = w.items(d.Items, &notes)
	for _, s := range d.Schemas {
		w.adaptSchema(s)
	}
	return d, notes, nil
}

// items adapts what belongs to no schema. Default privileges come last in a script.
func (w *place) items(list []*schema.Item, notes *[]string) []*schema.Item {
	return slices.DeleteFunc(list, func(i *schema.Item) bool {
		i.Owner, i.Grants = w.ownerOf(i.Owner), w.grants(i.Grants, i.Owner)
		switch i.Of {
		case schema.KindSubscription:
			return true
		case schema.KindUserMapping:
			return slices.ContainsFunc(rolesOfItem(i), func(r string) bool { return !w.has(r) })
		case schema.KindDefaultPrivileges:
			return slices.ContainsFunc(rolesOfItem(i), func(r string) bool { return !w.has(r) })
		case schema.KindExtension:
			i.Owner = "" // no statement changes it
			version := schema.Value(i.Options, "version")
			if now := w.defaults[i.Name]; now != "" && !w.extensions[i.Name+" "+version] {
				*notes = append(*notes, fmt.Sprintf("the server has no version %s of extension %s: it is made in version %s", version, i.Name, now))
				for n := range i.Options {
					if i.Options[n].Name == "version" {
						i.Options[n].Value = now
					}
				}
			}
		}
		return false
	})
}

// ownerOf is empty for the owner of the database, as it is in every model.
func (w *place) ownerOf(owner string) string {
	if owner == w.owner || !w.has(owner) {
		return ""
	}
	return owner
}

// grants leaves out those to roles that are not there, and those to who is the owner here.
func (w *place) grants(list []*schema.Grant, owner string) []*schema.Grant {
	if owner = w.ownerOf(owner); owner == "" {
		owner = w.owner
	}
	return slices.DeleteFunc(list, func(g *schema.Grant) bool { return !w.has(g.To) || g.To == owner })
}

func (w *place) adaptSchema(s *schema.Schema) {
	s.Owner, s.Grants = w.ownerOf(s.Owner), w.grants(s.Grants, s.Owner)
	for _, t := range s.Types {
		t.Owner, t.Grants = w.ownerOf(t.Owner), w.grants(t.Grants, t.Owner)
	}
	for _, q := range s.Sequences {
		q.Owner, q.Grants = w.ownerOf(q.Owner), w.grants(q.Grants, q.Owner)
	}
	for _, r := range s.Routines {
		r.Owner, r.Grants = w.ownerOf(r.Owner), w.grants(r.Grants, r.Owner)
	}
	for _, v := range s.Views {
		v.Owner, v.Grants = w.ownerOf(v.Owner), w.grants(v.Grants, v.Owner)
		v.Options = w.options(v.Options)
		v.Indexes = w.indexes(v.Indexes)
	}
	s.Items = w.items(s.Items, new([]string))
	for _, t := range s.Tables {
		w.adaptTable(t)
	}
}

func (w *place) adaptTable(t *schema.Table) {
	t.Owner, t.Grants = w.ownerOf(t.Owner), w.grants(t.Grants, t.Owner)
	t.Options = w.options(t.Options)
	for _, k := range t.Constraints {
		k.Options = w.options(k.Options)
	}
	t.Indexes = w.indexes(t.Indexes)
	t.Policies = slices.DeleteFunc(t.Policies, func(p *schema.Policy) bool {
		head, roles, tail, ok := policyRoles(p.Definition)
		if !ok {
			return false
		}
		// Nobody is a role that is not there: a policy for it alone acts on nobody.
		roles = slices.DeleteFunc(roles, func(r string) bool { return !w.has(unquote(r)) })
		p.Definition = head + strings.Join(roles, ", ") + tail
		return len(roles) == 0
	})
}

func (w *place) options(list []schema.Property) []schema.Property {
	return slices.DeleteFunc(list, func(p schema.Property) bool { return p.Name == "tablespace" && !w.tablespaces[p.Value] })
}

// indexes leaves out those that are invalid, as pg_dump does.
func (w *place) indexes(list []*schema.Index) []*schema.Index {
	return slices.DeleteFunc(list, func(i *schema.Index) bool {
		i.Options = w.options(i.Options)
		return i.Invalid
	})
}

// roleOfSetting is the role that a setting of the database is for, or "".
func roleOfSetting(name string) string {
	if _, role, ok := strings.Cut(name, " for role "); ok {
		return role
	}
	role, _ := strings.CutPrefix(name, "privileges of ")
	if role == name {
		return ""
	}
	return role
}

const roleName = `"(?:[^"]|"")+"|[^\s",]+`

var (
	policyTo    = regexp.MustCompile(`(?s)^(.*?\bTO )((?:` + roleName + `)(?:, (?:` + roleName + `))*)((?: USING \(| WITH CHECK \().*)?$`)
	aRole       = regexp.MustCompile(roleName)
	defaultFor  = regexp.MustCompile(`^ALTER DEFAULT PRIVILEGES FOR ROLE (` + roleName + `)`)
	defaultTo   = regexp.MustCompile(` (?:TO|FROM) (` + roleName + `)(?: WITH GRANT OPTION)?$`)
	mappingUser = regexp.MustCompile(`^CREATE USER MAPPING FOR (` + roleName + `) SERVER`)
)

// policyRoles takes "FOR SELECT TO a, b USING (…)" apart.
func policyRoles(definition string) (head string, roles []string, tail string, ok bool) {
	m := policyTo.FindStringSubmatch(definition)
	if m == nil {
		return "", nil, "", false
	}
	return m[1], aRole.FindAllString(m[2], -1), m[3], true
}

// unquote is a role's name as the server keeps it; PUBLIC is everybody.
func unquote(name string) string {
	if name == "PUBLIC" {
		return "public"
	}
	return splitIdentifier(name)[0]
}

// rolesOfItem are the roles that an item's definition names.
func rolesOfItem(i *schema.Item) []string {
	var roles []string
	for _, e := range []*regexp.Regexp{defaultFor, defaultTo, mappingUser} {
		if m := e.FindStringSubmatch(i.Definition); m != nil && m[1] != "CURRENT_USER" {
			roles = append(roles, unquote(m[1]))
		}
	}
	return roles
}

// rolesOf are the roles that a model names, but for the owner of the database.
func rolesOf(d *schema.Database) []string {
	roles := map[string]bool{}
	add := func(list ...string) {
		for _, r := range list {
			if !everybody(r) {
				roles[r] = true
			}
		}
	}
	for _, s := range d.Settings {
		add(roleOfSetting(s.Name))
	}
	var walk func(o schema.Object)
	walk = func(o schema.Object) {
		add(schema.Value(o.Properties(), schema.PropertyOwner))
		switch o := o.(type) {
		case *schema.Grant:
			add(o.To)
		case *schema.Policy:
			if _, list, _, ok := policyRoles(o.Definition); ok {
				for _, r := range list {
					add(unquote(r))
				}
			}
		case *schema.Item:
			if o.Of == schema.KindDefaultPrivileges || o.Of == schema.KindUserMapping {
				add(rolesOfItem(o)...)
			}
		}
		for _, c := range o.Children() {
			walk(c)
		}
	}
	for _, o := range d.Objects() {
		if _, ok := o.(*schema.Setting); !ok {
			walk(o)
		}
	}
	return slices.Sorted(maps.Keys(roles))
}
