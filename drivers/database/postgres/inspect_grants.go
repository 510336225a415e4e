package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// theOwner stands for an object's owner in a grant: it has lost a right that owners have from the start.
const theOwner = "the owner"

// grantee is empty for the owner, and "public" for everybody.
const privilegesOf = `
CROSS JOIN LATERAL (SELECT 'now' AS kind, x.* FROM aclexplode(o.acl) x UNION ALL SELECT 'default', x.* FROM aclexplode(o.standard) x) AS p`

const granteeOf = `CASE WHEN p.grantee = 0 THEN 'public' WHEN p.grantee = o.owner THEN '` + theOwner + `' ELSE pg_get_userbyid(p.grantee)::text END`

// grantsPart reads what differs from the rights that objects are made with, which acldefault tells.
func grantsPart(only string) part {
	columns := `SELECT 'pg_class' AS class, c.oid AS oid, a.attname::text AS col, a.attacl AS acl, NULL::aclitem[] AS standard, c.relowner AS owner
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND ` + userNamespace + only
	relations := `SELECT 'pg_class', c.oid, NULL, c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner), c.relowner
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relacl IS NOT NULL AND ` + userNamespace + only
	objects := columns + " UNION ALL " + relations
	if only == "" {
		objects += ` UNION ALL SELECT 'pg_namespace', n.oid, NULL, n.nspacl, CASE WHEN n.nspname = 'public' THEN acldefault('n', n.nspowner) || makeaclitem(0, n.nspowner, 'USAGE', false) ELSE acldefault('n', n.nspowner) END, n.nspowner
  FROM pg_namespace n WHERE (n.nspacl IS NOT NULL OR n.nspname = 'public') AND ` + userNamespace + `
UNION ALL SELECT 'pg_proc', p.oid, NULL, p.proacl, acldefault('f', p.proowner), p.proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.proacl IS NOT NULL AND ` + userNamespace + `
UNION ALL SELECT 'pg_type', t.oid, NULL, t.typacl, acldefault('T', t.typowner), t.typowner FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typacl IS NOT NULL AND ` + userNamespace + `
UNION ALL SELECT 'pg_language', l.oid, NULL, l.lanacl, acldefault('l', l.lanowner), l.lanowner FROM pg_language l WHERE l.lanacl IS NOT NULL
UNION ALL SELECT 'pg_foreign_data_wrapper', f.oid, NULL, f.fdwacl, acldefault('F', f.fdwowner), f.fdwowner FROM pg_foreign_data_wrapper f WHERE f.fdwacl IS NOT NULL
UNION ALL SELECT 'pg_foreign_server', s.oid, NULL, s.srvacl, acldefault('S', s.srvowner), s.srvowner FROM pg_foreign_server s WHERE s.srvacl IS NOT NULL`
	}
	return part{
		name: "grants", columns: 5,
		// One row for each grantee that has not what is given by itself. A grantee who lost all has "none".
		query: `SELECT class, oid::text, col, grantee, now || '|' || grantable FROM (
  SELECT o.class, o.oid, o.col, ` + granteeOf + ` AS grantee,
    coalesce(string_agg(DISTINCT p.privilege_type, ', ' ORDER BY p.privilege_type) FILTER (WHERE p.kind = 'now'), 'none') AS now,
    coalesce(string_agg(DISTINCT p.privilege_type, ', ' ORDER BY p.privilege_type) FILTER (WHERE p.kind = 'now' AND p.is_grantable AND p.grantee <> o.owner), '') AS grantable,
    coalesce(string_agg(DISTINCT p.privilege_type, ', ' ORDER BY p.privilege_type) FILTER (WHERE p.kind = 'default'), 'none') AS standard
  FROM (` + objects + `) AS o` + privilegesOf + ` GROUP BY 1, 2, 3, 4) AS g WHERE now <> standard OR grantable <> '' ORDER BY class, oid, col, grantee`,
		row: func(in *inspection, r []string) {
			o := in.objects[ref{r[0], number(r[1])}]
			if o == nil || o.grants == nil {
				return
			}
			privileges, grantable, _ := strings.Cut(r[4], "|")
			*o.grants = append(*o.grants, &schema.Grant{To: r[3], Column: r[2], Privileges: privileges, Grantable: grantable})
		},
	}
}

// databaseGrantsPart reads the rights on the database itself, which are settings of it.
func databaseGrantsPart() part {
	return part{
		name: "grants on the database",
		query: `SELECT grantee, now FROM (SELECT ` + granteeOf + ` AS grantee,
    coalesce(string_agg(DISTINCT p.privilege_type, ', ' ORDER BY p.privilege_type) FILTER (WHERE p.kind = 'now'), 'none') AS now,
    coalesce(string_agg(DISTINCT p.privilege_type, ', ' ORDER BY p.privilege_type) FILTER (WHERE p.kind = 'default'), 'none') AS standard
  FROM (SELECT datacl AS acl, acldefault('d', datdba) AS standard, datdba AS owner FROM pg_database WHERE datname = current_database() AND datacl IS NOT NULL) AS o` + privilegesOf + `
  GROUP BY 1) AS g WHERE now <> standard ORDER BY 1`,
		row: func(in *inspection, r []string) {
			in.settings = append(in.settings, &schema.Setting{Name: "privileges of " + r[0], Value: r[1]})
		},
	}
}

// defaultPrivilegesPart reads what objects made from now on are given. Where it holds for all schemas, it
// stands instead of what the server gives by itself.
func defaultPrivilegesPart() part {
	return part{
		name: "default privileges", of: []string{"pg_default_acl"},
		query: `SELECT role, coalesce(ns, ''), objects, grantee, now, standard, grantable FROM (
  SELECT o.role, o.ns, o.objects, ` + granteeOf + ` AS grantee,
    coalesce(string_agg(DISTINCT p.privilege_type, ', ' ORDER BY p.privilege_type) FILTER (WHERE p.kind = 'now'), '') AS now,
    coalesce(string_agg(DISTINCT p.privilege_type, ', ' ORDER BY p.privilege_type) FILTER (WHERE p.kind = 'default'), '') AS standard,
    coalesce(string_agg(DISTINCT p.privilege_type, ', ' ORDER BY p.privilege_type) FILTER (WHERE p.kind = 'now' AND p.is_grantable AND p.grantee <> o.owner), '') AS grantable
  FROM (SELECT pg_get_userbyid(d.defaclrole)::text AS role, n.nspname::text AS ns, d.defaclacl AS acl, d.defaclrole AS owner,
      CASE WHEN n.oid IS NULL THEN acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END::"char", d.defaclrole) ELSE NULL::aclitem[] END AS standard,
      CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END AS objects
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace) AS o` + privilegesOf + `
  GROUP BY 1, 2, 3, 4) AS g WHERE now <> standard OR grantable <> '' ORDER BY 1, 2, 3, 4`,
		row: func(in *inspection, r []string) {
			role, ns, objects, grantee := r[0], r[1], r[2], r[3]
			head := "ALTER DEFAULT PRIVILEGES FOR ROLE " + quoteNeeded(role)
			name := "for " + role
			if ns != "" {
				head += " IN SCHEMA " + quoteNeeded(ns)
				name += " in schema " + ns
			}
			to := quoteNeeded(grantee)
			switch grantee {
			case "public":
				to = "PUBLIC"
			case theOwner:
				to = quoteNeeded(role)
			}
			add := func(definition, suffix string) {
				i := &schema.Item{Of: schema.KindDefaultPrivileges, Name: name + " on " + strings.ToLower(objects) + " to " + grantee + suffix, Definition: head + definition}
				if ns != "" {
					i.Needs = []schema.Key{{Schema: ns}}
				}
				in.items = append(in.items, i)
			}
			given, taken := without(r[4], r[5]), without(r[5], r[4])
			if plain := without(given, r[6]); plain != "" {
				add(fmt.Sprintf(" GRANT %s ON %s TO %s", plain, objects, to), "")
			}
			if r[6] != "" {
				add(fmt.Sprintf(" GRANT %s ON %s TO %s WITH GRANT OPTION", r[6], objects, to), " with grant option")
			}
			if taken != "" {
				add(fmt.Sprintf(" REVOKE %s ON %s FROM %s", taken, objects, to), " revoked")
			}
		},
	}
}

// without returns the privileges of a list that are not in the other.
func without(list, other string) string {
	taken := strings.Split(other, ", ")
	return strings.Join(slices.DeleteFunc(strings.Split(list, ", "), func(p string) bool { return p == "" || slices.Contains(taken, p) }), ", ")
}
