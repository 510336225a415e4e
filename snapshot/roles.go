package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/switchbackdb/switchback/schema"
)

// rolesPart is the name of the part that holds the roles.
const rolesPart = "roles.json"

// Role is a role or an account of a server, without its password. What a server says of it is in the engine's own words.
type Role struct {
	Name       string            `json:"name"`
	Attributes []schema.Property `json:"attributes,omitempty"` // those that are not as they are by default
	Settings   []schema.Property `json:"settings,omitempty"`   // of its sessions, in whichever database
	MemberOf   []schema.Property `json:"member_of,omitempty"`  // the roles it has, and with which options
}

// RoleTeller is a point that knows of the server's roles.
type RoleTeller interface {
	// Roles are those that the database's objects belong or are granted to, that these are members of, and that are
	// members of these.
	Roles(ctx context.Context) ([]Role, error)
}

// ErrNoRoles is returned for an engine that has no roles.
var ErrNoRoles = errors.New("the engine has no roles")

// copyRoles puts the roles into a part of their own.
func (w *copying) copyRoles(ctx context.Context) error {
	teller, ok := w.point.(RoleTeller)
	if !ok {
		return ErrNoRoles
	}
	roles, err := teller.Roles(ctx)
	if err != nil {
		return fmt.Errorf("read the roles: %w", err)
	}
	w.m.Content.Omitted = slices.DeleteFunc(slices.Clone(w.m.Content.Omitted), func(o Omitted) bool { return strings.HasPrefix(o.What, "roles ") })
	if len(roles) > 0 {
		names := make([]string, len(roles))
		for i, r := range roles {
			names[i] = r.Name
		}
		w.m.Content.Omitted = append(w.m.Content.Omitted, Omitted{What: "the passwords of " + strings.Join(names, ", "), Reason: "no password is copied: restore --roles makes roles that are missing, unable to log in"})
	}
	return w.ownPart(ctx, rolesPart, func(to io.Writer) error { return json.NewEncoder(to).Encode(roles) })
}

// Roles reads the roles of a snapshot; there are none unless they were asked for when it was taken.
func (s *Store) Roles(ctx context.Context, m *Manifest, keys []age.Identity) ([]Role, error) {
	text, there, err := s.ownText(ctx, m, keys, rolesPart)
	if err != nil || !there {
		return nil, err
	}
	var roles []Role
	if err := json.Unmarshal([]byte(text), &roles); err != nil {
		return nil, &DamagedError{m.ID, fmt.Sprintf("its roles cannot be read: %v", err)}
	}
	return roles, nil
}

// Related are those of all roles that are named, that have one of these, and that any of them is a member of.
func Related(all []Role, named []string) []Role {
	wanted := map[string]bool{}
	for _, n := range named {
		wanted[n] = true
	}
	for _, up := range []bool{false, true} { // who has a role may do what it may; and what a role is a member of, it may need
		for n := -1; n != len(wanted); {
			n = len(wanted)
			for _, r := range all {
				for _, m := range r.MemberOf {
					switch {
					case up && wanted[r.Name]:
						wanted[m.Name] = true
					case !up && wanted[m.Name]:
						wanted[r.Name] = true
					}
				}
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(r Role) bool { return !wanted[r.Name] })
}

// Unlike says what is otherwise with a role than it was.
func (r Role) Unlike(is Role) []string {
	var list []string
	compare := func(what string, was, is []schema.Property) {
		for _, p := range was {
			if now, ok := lookUp(is, p.Name); !ok || now != p.Value {
				list = append(list, strings.TrimSpace(fmt.Sprintf("%s%s was %s, is %s", what, p.Name, shown(p.Value, true), shown(now, ok))))
			}
		}
		for _, p := range is {
			if _, ok := lookUp(was, p.Name); !ok {
				list = append(list, strings.TrimSpace(fmt.Sprintf("%s%s was not set, is %s", what, p.Name, shown(p.Value, true))))
			}
		}
	}
	compare("", r.Attributes, is.Attributes)
	for _, p := range r.Settings { // a value may be a secret
		if now, ok := lookUp(is.Settings, p.Name); !ok || now != p.Value {
			list = append(list, "its setting "+p.Name+" has another value")
		}
	}
	for _, p := range is.Settings {
		if _, ok := lookUp(r.Settings, p.Name); !ok {
			list = append(list, "its setting "+p.Name+" was not set")
		}
	}
	compare("membership in ", r.MemberOf, is.MemberOf)
	return list
}

func lookUp(list []schema.Property, name string) (string, bool) {
	i := slices.IndexFunc(list, func(p schema.Property) bool { return p.Name == name })
	if i < 0 {
		return "", false
	}
	return list[i].Value, true
}

func shown(value string, there bool) string {
	switch {
	case !there:
		return "not set"
	case value == "":
		return "set"
	}
	return value
}
