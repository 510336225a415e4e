package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// grantParts are the grants on this database and on what is in it. Those on patterns of names, and those
// on everything, are the server's and not the database's.
func (in *inspection) grantParts() []part {
	name := `replace(replace(table_schema, '\\_', '_'), '\\%', '%') = DATABASE()`
	return []part{
		{
			name:  "grants on the database",
			query: "SELECT '', grantee, '', privilege_type, is_grantable FROM information_schema.schema_privileges WHERE " + name + " ORDER BY grantee, privilege_type",
			row:   func(r []string) { in.schema.Grants = granted(in.schema.Grants, r) },
		},
		{
			name:  "grants on tables",
			query: "SELECT table_name, grantee, '', privilege_type, is_grantable FROM information_schema.table_privileges WHERE table_schema = DATABASE() ORDER BY table_name, grantee, privilege_type",
			row:   in.grantOnTable,
		},
		{
			name:  "grants on columns",
			query: "SELECT table_name, grantee, column_name, privilege_type, is_grantable FROM information_schema.column_privileges WHERE table_schema = DATABASE() ORDER BY table_name, grantee, column_name, privilege_type",
			row:   in.grantOnTable,
		},
	}
}

func (in *inspection) grantOnTable(r []string) {
	if t := in.tables[r[0]]; t != nil {
		t.Grants = granted(t.Grants, r)
	}
	for _, v := range in.schema.Views {
		if v.Name == r[0] {
			v.Grants = granted(v.Grants, r)
		}
	}
	for _, s := range in.schema.Sequences {
		if s.Name == r[0] {
			s.Grants = granted(s.Grants, r)
		}
	}
}

// granted adds a privilege to the grants of an object.
func granted(list []*schema.Grant, r []string) []*schema.Grant {
	i := slices.IndexFunc(list, func(g *schema.Grant) bool { return g.To == r[1] && g.Column == r[2] })
	if i < 0 {
		list = append(list, &schema.Grant{To: r[1], Column: r[2]})
		i = len(list) - 1
	}
	g := list[i]
	add := func(to *string, privilege string) {
		if *to != "" {
			*to += ", "
		}
		*to += privilege
	}
	if r[3] != "USAGE" {
		add(&g.Privileges, r[3])
	}
	if r[4] == "YES" {
		add(&g.Grantable, r[3])
	}
	return list
}

// routineGrants reads who may run or alter which routine, which only the system's own tables tell.
func (in *inspection) routineGrants(ctx context.Context, q schema.Queryer) error {
	return read(ctx, q, part{
		name: "grants on routines",
		query: `SELECT routine_name, concat('''', user, '''@''', host, ''''), routine_type, proc_priv FROM mysql.procs_priv
WHERE db = DATABASE() ORDER BY routine_name, routine_type, user, host`,
		row: func(r []string) {
			for _, p := range in.schema.Routines {
				if p.Name != strings.ToLower(r[2])+" "+r[0] {
					continue
				}
				rights := strings.Split(strings.ToUpper(r[3]), ",")
				slices.Sort(rights)
				grantable := slices.Contains(rights, "GRANT")
				for _, right := range rights {
					if right != "GRANT" {
						p.Grants = granted(p.Grants, []string{"", r[1], "", right, map[bool]string{true: "YES"}[grantable]})
					}
				}
			}
		},
	})
}

// hide notes an object of which not all can be read.
func (in *inspection) hide(kind schema.Kind, name string) {
	in.hidden[kind] = append(in.hidden[kind], name)
}

// readRights says what the account cannot see. information_schema leaves it out without a word.
func (in *inspection) readRights(ctx context.Context, q schema.Queryer) error {
	miss := func(kind schema.Kind, names []string, why string) {
		in.uncovered = append(in.uncovered, schema.Census{Kind: kind, Count: len(names), Names: names[:min(len(names), 10)], Why: why})
	}
	if err := in.routineGrants(ctx, q); isError(err, 1142, 1044, 1146, 1227) {
		miss(schema.KindGrant, nil, "the account "+in.account+" may not read the system's tables of grants: only its own grants are seen")
	} else if err != nil {
		return err
	}
	if names := in.hidden[schema.KindView]; len(names) > 0 {
		miss(schema.KindView, names, "their queries cannot be read without the rights SHOW VIEW and SELECT on them")
	}
	if names := in.hidden[schema.KindRoutine]; len(names) > 0 {
		miss(schema.KindRoutine, names, "their bodies cannot be read: that takes to be their definer, or SHOW_ROUTINE (MySQL), SELECT on mysql.proc (MariaDB)")
	}
	rights, err := in.rights(ctx, q)
	if err != nil {
		return err
	}
	for _, x := range []struct {
		kind  schema.Kind
		right []string
		what  string
	}{
		{schema.KindTable, []string{"SELECT", "INSERT", "UPDATE", "DELETE", "ALTER", "CREATE", "DROP", "INDEX", "REFERENCES", "SHOW VIEW", "TRIGGER"}, "tables and views"},
		{schema.KindTrigger, []string{"TRIGGER"}, "triggers"},
		{schema.KindEvent, []string{"EVENT"}, "events"},
		{schema.KindRoutine, []string{"EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE", "SHOW_ROUTINE"}, "routines"},
	} {
		if !slices.ContainsFunc(x.right, func(r string) bool { return rights[r] }) && !rights["ALL PRIVILEGES"] {
			miss(x.kind, nil, fmt.Sprintf("the account %s has no right %s on the whole database: %s that it has no right of its own on are not shown to it", in.account, x.right[0], x.what))
		}
	}
	return nil
}

// rights are those that the account has on everything or on the whole database, by itself or by its
// active roles.
func (in *inspection) rights(ctx context.Context, q schema.Queryer) (map[string]bool, error) {
	rights := map[string]bool{}
	err := read(ctx, q, part{name: "rights", query: "SHOW GRANTS", row: func(r []string) {
		privileges, on, ok := strings.Cut(strings.TrimPrefix(r[0], "GRANT "), " ON ")
		if !ok {
			return
		}
		on, _, _ = strings.Cut(on, " TO ")
		database := strings.ReplaceAll(strings.TrimSuffix(strings.Trim(on, "`"), "`.*"), `\`, "")
		if on != "*.*" && database != in.name {
			return
		}
		for _, p := range strings.Split(privileges, ",") {
			rights[strings.TrimSpace(p)] = true
		}
	}})
	return rights, err
}
