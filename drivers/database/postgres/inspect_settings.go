package postgres

import (
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// settingsPart reads what the database was made with, which is fixed, and what ALTER DATABASE and ALTER
// ROLE … IN DATABASE have set.
func settingsPart(version int) part {
	locale, rules := "daticulocale", "NULL"
	if version >= 160000 {
		rules = "daticurules"
	}
	if version >= 170000 {
		locale = "datlocale"
	}
	return part{
		name: "settings",
		query: `WITH d AS (SELECT * FROM pg_database WHERE datname = current_database())
SELECT name, value, fixed FROM (
SELECT 'encoding' AS name, pg_encoding_to_char(encoding)::text AS value, 'yes' AS fixed FROM d
UNION ALL SELECT 'collate', datcollate::text, 'yes' FROM d UNION ALL SELECT 'ctype', datctype::text, 'yes' FROM d
UNION ALL SELECT 'locale provider', CASE datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' ELSE 'builtin' END, 'yes' FROM d
UNION ALL SELECT 'locale', ` + locale + `::text, 'yes' FROM d UNION ALL SELECT 'locale rules', ` + rules + `::text, 'yes' FROM d
UNION ALL SELECT 'connection limit', nullif(datconnlimit, -1)::text, '' FROM d
UNION ALL SELECT 'comment', shobj_description(oid, 'pg_database'), '' FROM d
UNION ALL SELECT 'set ' || split_part(c, '=', 1) || CASE WHEN s.setrole = 0 THEN '' ELSE ' for role ' || pg_get_userbyid(s.setrole) END, substr(c, strpos(c, '=') + 1), '' FROM d, pg_db_role_setting s, unnest(s.setconfig) c WHERE s.setdatabase = d.oid
) AS x WHERE value IS NOT NULL ORDER BY name`,
		row: func(in *inspection, r []string) {
			in.settings = append(in.settings, &schema.Setting{Name: r[0], Value: r[1], Fixed: yes(r[2]) || r[2] == "yes"})
		},
	}
}

// censusPart counts what the model does not cover and what the role may not see, so that nothing is
// silently missed.
func censusPart() part {
	return part{
		name: "census",
		query: `SELECT kind, why, count(*)::text, string_agg(name, E'\n' ORDER BY name) FILTER (WHERE n <= 5) FROM (
  SELECT kind, why, name, row_number() OVER (PARTITION BY kind, why ORDER BY name) AS n FROM (
    SELECT 'base type' AS kind, '' AS why, n.nspname || '.' || t.typname AS name FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
      WHERE (t.typtype = 'b' AND NOT EXISTS (SELECT 1 FROM pg_type el WHERE el.typarray = t.oid) OR t.typtype = 'p') AND ` + ofUser("t.oid", "pg_type") + `
    UNION ALL SELECT 'security label', '', l.objtype || ' ' || l.objname FROM pg_seclabels l
    UNION ALL SELECT 'large object', '', m.oid::text FROM pg_largeobject_metadata m
    UNION ALL SELECT 'user mapping', 'no right to read the options', m.usename || ' on server ' || m.srvname FROM pg_user_mappings m WHERE m.umoptions IS NULL AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AND m.usename <> current_user
    UNION ALL SELECT 'subscription', 'the connection string is not compared, since it may hold a password', u.subname FROM pg_subscription u JOIN pg_database d ON d.oid = u.subdbid AND d.datname = current_database()
  ) AS found) AS numbered GROUP BY kind, why ORDER BY kind, why`,
		row: func(in *inspection, r []string) {
			in.uncovered = append(in.uncovered, schema.Census{Kind: schema.Kind(r[0]), Why: r[1], Count: int(number(r[2])), Names: strings.Split(r[3], "\n")})
		},
	}
}
