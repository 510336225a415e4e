package postgres

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// Conditions that many queries share. A namespace is ours to read when it is neither the system's nor
// Switchback's; an object is when it does not belong to an extension.
const (
	userNamespace = `n.nspname NOT IN ('pg_catalog', 'information_schema', 'switchback', '` + restoreSchema + `') AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp%'`
)

func ofUser(oid, catalogue string) string {
	return userNamespace + " AND " + notOfExtension(oid, catalogue)
}

// notOfExtension looks up what belongs to extensions once for all rows.
func notOfExtension(oid, catalogue string) string {
	return oid + " NOT IN (SELECT ext.objid FROM pg_depend ext WHERE ext.classid = '" + catalogue + "'::regclass AND ext.refclassid = 'pg_extension'::regclass AND ext.deptype = 'e')"
}

// ownerOf is empty for the owner of the database, who may also be called pg_database_owner (oid 6171).
func ownerOf(column string) string {
	return "CASE WHEN " + column + " NOT IN (6171, (SELECT datdba FROM pg_database WHERE datname = current_database())) THEN pg_get_userbyid(" + column + ")::text END"
}

// commentOn joins the comment on an object as description. A join costs less than a call of
// obj_description for each row.
func commentOn(oid, catalogue, number string) string {
	return " LEFT JOIN pg_description cd ON cd.objoid = " + oid + " AND cd.classoid = '" + catalogue + "'::regclass AND cd.objsubid = " + number + " "
}

// fdwOptions writes options as OPTIONS (…) wants them, without those that are secrets. Few objects have any,
// and a sub-select for each row of the others takes longer than the rest of its query.
func fdwOptions(column string) string {
	return `CASE WHEN ` + column + ` IS NOT NULL THEN (SELECT string_agg(quote_ident(split_part(o, '=', 1)) || ' ' || quote_literal(substr(o, strpos(o, '=') + 1)), ', ' ORDER BY o) FROM unnest(` + column + `) o WHERE split_part(o, '=', 1) !~* '(password|passwd|secret|token)') END`
}

// parts are the queries, in an order in which a relation comes before what hangs on it.
func parts(version int) []part {
	list := []part{
		settingsPart(version), databaseGrantsPart(), schemasPart(), typesPart(version), relationsPart(""), columnsPart(""), constraintsPart(""), domainConstraintsPart(),
		indexesPart(""), triggersPart(""), policiesPart(""), rulesPart(""), routinesPart(), aggregatesPart(), sequencesPart(),
	}
	list = append(list, itemParts(version)...)
	return append(list, grantsPart(""), defaultPrivilegesPart(), needsPart(), censusPart())
}

func schemasPart() part {
	return part{
		name: "schemas",
		query: `SELECT n.oid::text, n.nspname, ` + ownerOf("n.nspowner") + `, cd.description
FROM pg_namespace n` + commentOn("n.oid", "pg_namespace", "0") + `WHERE ` + ofUser("n.oid", "pg_namespace") + ` ORDER BY 2`,
		row: func(in *inspection, r []string) {
			s := in.schema(r[1])
			s.Owner, s.Comment = r[2], commentOf(r[1], r[3])
			in.register("pg_namespace", r[0], object{key: schema.Key{Schema: r[1]}, grants: &s.Grants})
		},
	}
}

// commentOf leaves out the comment that every schema "public" is made with.
func commentOf(name, comment string) string {
	if name == "public" && comment == "standard public schema" {
		return ""
	}
	return comment
}

// The options of tables and views, in the order in which relationsPart reads them.
var (
	tableOptions = []string{
		"foreign", "server", "foreign options", "persistence", "access method", "partition key", "partition of", "partition bound",
		"inherits", "of type", "row security", "replica identity", "cluster on", "storage", "toast storage", "tablespace",
	}
)

func relationsPart(only string) part {
	return part{
		name: "tables and views", columns: 8 + len(tableOptions),
		query: `SELECT c.oid::text, n.nspname, c.relname, c.relkind::text, ` + ownerOf("c.relowner") + `, cd.description,
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
  inh.oids,
  CASE WHEN c.relkind = 'f' THEN 'yes' END,
  s.srvname, ` + fdwOptions("ft.ftoptions") + `,
  CASE c.relpersistence WHEN 'u' THEN 'unlogged' END,
  CASE WHEN c.relkind IN ('r', 'm') AND am.amname <> 'heap' OR c.relkind = 'p' THEN am.amname END,
  pg_get_partkeydef(c.oid),
  CASE WHEN c.relispartition THEN inh.names END,
  pg_get_expr(c.relpartbound, c.oid),
  CASE WHEN NOT c.relispartition THEN inh.names END,
  CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
  CASE WHEN c.relrowsecurity AND c.relforcerowsecurity THEN 'on, forced' WHEN c.relrowsecurity THEN 'on' WHEN c.relforcerowsecurity THEN 'off, forced' END,
  CASE WHEN c.relkind IN ('r', 'p', 'm') THEN CASE c.relreplident WHEN 'f' THEN 'full' WHEN 'n' THEN 'nothing'
    WHEN 'i' THEN 'index ' || (SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisreplident) END END,
  cl.name,
  CASE WHEN c.reloptions IS NOT NULL THEN (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(c.reloptions) o) END,
  CASE WHEN toast.reloptions IS NOT NULL THEN (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(toast.reloptions) o) END,
  ts.spcname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace` + commentOn("c.oid", "pg_class", "0") + `
LEFT JOIN pg_am am ON am.oid = c.relam LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid AND toast.reloptions IS NOT NULL
LEFT JOIN pg_foreign_table ft ON ft.ftrelid = c.oid LEFT JOIN pg_foreign_server s ON s.oid = ft.ftserver
LEFT JOIN (SELECT h.inhrelid, string_agg(h.inhparent::text, ',' ORDER BY h.inhseqno) AS oids, string_agg(h.inhparent::regclass::text, ', ' ORDER BY h.inhseqno) AS names FROM pg_inherits h GROUP BY 1) inh ON inh.inhrelid = c.oid
LEFT JOIN (SELECT i.indrelid, quote_ident(x.relname) AS name FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indisclustered) cl ON cl.indrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ` + ofUser("c.oid", "pg_class") + only + ` ORDER BY n.nspname, c.relname`,
		row: func(in *inspection, r []string) {
			s, rel := in.schema(r[1]), &relation{schema: r[1], columns: map[int]*schema.Column{}, own: map[*schema.Column]bool{}}
			in.relations[number(r[0])] = rel
			for _, parent := range strings.Split(r[7], ",") {
				if parent != "" {
					rel.parents = append(rel.parents, number(parent))
				}
			}
			set := options(r[8:], tableOptions...)
			if r[3] == "v" || r[3] == "m" {
				v := &schema.View{
					Name: r[2], Owner: r[4], Comment: r[5], Materialized: r[3] == "m",
					Definition: strings.TrimSuffix(r[6], ";"), Options: set,
				}
				s.Views, rel.view = append(s.Views, v), v
				in.register("pg_class", r[0], object{schema.Key{Schema: r[1], Kind: schema.KindView, Name: r[2]}, &v.Grants, &v.Needs})
				return
			}
			t := &schema.Table{Name: r[2], Owner: r[4], Comment: r[5], Options: set}
			s.Tables, rel.table = append(s.Tables, t), t
			in.register("pg_class", r[0], object{schema.Key{Schema: r[1], Kind: schema.KindTable, Name: r[2]}, &t.Grants, &t.Needs})
		},
	}
}

var columnOptions = []string{"storage", "compression", "statistics", "options", "foreign options", "sequence", "sequence name"}

func columnsPart(only string) part {
	return part{
		name: "columns", columns: 13 + len(columnOptions),
		// Options named pg_… are the server's own bookkeeping: they change with each ALTER TABLE.
		query: `SELECT a.attrelid::text, a.attnum::text, d.oid::text, a.attislocal::text, (c.relkind IN ('v', 'm'))::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
  CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
  CASE a.attgenerated WHEN 's' THEN pg_get_expr(d.adbin, d.adrelid) || ' stored' WHEN 'v' THEN pg_get_expr(d.adbin, d.adrelid) || ' virtual' END,
  CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
  CASE WHEN a.attcollation <> t.typcollation AND c.relkind NOT IN ('v', 'm') THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END,
  cd.description,
  CASE WHEN a.attstorage <> t.typstorage AND c.relkind NOT IN ('v', 'm', 'c') THEN CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'x' THEN 'extended' ELSE 'main' END END,
  CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
  nullif(a.attstattarget, -1)::text,
  CASE WHEN a.attoptions[1] NOT LIKE 'pg\_%' OR a.attoptions[2] IS NOT NULL THEN (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\_%') END,
  ` + fdwOptions("a.attfdwoptions") + `,
  CASE WHEN q.seqrelid IS NOT NULL AND (q.seqincrement, q.seqmin, q.seqstart, q.seqcache, q.seqcycle) IS DISTINCT FROM (1, 1, 1, 1, false)
      OR q.seqmax <> CASE q.seqtypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE 9223372036854775807 END
    THEN ` + sequenceText + ` END,
  quote_ident(sn.nspname) || '.' || quote_ident(sc.relname)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation co ON co.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
LEFT JOIN (pg_sequence q JOIN pg_depend sd ON sd.objid = q.seqrelid JOIN pg_class sc ON sc.oid = q.seqrelid JOIN pg_namespace sn ON sn.oid = sc.relnamespace) ON a.attidentity <> '' AND sd.refobjid = a.attrelid AND sd.refobjsubid = a.attnum AND sd.refclassid = 'pg_class'::regclass AND sd.classid = 'pg_class'::regclass AND sd.deptype = 'i'` +
			commentOn("a.attrelid", "pg_class", "a.attnum") + `
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c') AND ` + userNamespace + only + ` ORDER BY a.attrelid, a.attnum`,
		row: func(in *inspection, r []string) {
			rel := in.relation(r[0])
			c := &schema.Column{
				Name: r[5], Type: r[6], NotNull: yes(r[7]), Default: r[8], Generated: r[9], Identity: r[10], Collation: r[11], Comment: r[12],
			}
			if c.Identity != "" && r[19] == quoteNeeded(rel.schema)+"."+quoteNeeded(automaticName(rel.name(), c.Name, "seq")) {
				r[19] = "" // the name that the server gives
			}
			c.Options = options(r[13:], columnOptions...)
			rel.columns[int(number(r[1]))], rel.own[c] = c, yes(r[3])
			switch {
			case rel.table != nil:
				rel.table.Columns = append(rel.table.Columns, c)
			case rel.view != nil:
				rel.view.Columns = append(rel.view.Columns, c)
			default:
				rel.typ.Attributes = append(rel.typ.Attributes, c)
			}
			if r[2] != "" {
				in.register("pg_attrdef", r[2], object{key: schema.Key{Schema: rel.schema, Kind: schema.KindColumn, Name: rel.name() + "." + c.Name}, needs: &c.Needs})
			}
		},
	}
}

// sequenceText writes a sequence's options as CREATE SEQUENCE and ALTER SEQUENCE want them.
const sequenceText = `concat_ws(' ', 'AS ' || format_type(q.seqtypid, NULL), 'INCREMENT BY ' || q.seqincrement, 'MINVALUE ' || q.seqmin, 'MAXVALUE ' || q.seqmax, 'START WITH ' || q.seqstart, 'CACHE ' || q.seqcache, CASE WHEN q.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)`

// dropInherited takes the columns out that a table has from its parents and in which it differs in nothing
// from them. The others stay, with an option that says that the column itself is the parent's.
func (in *inspection) dropInherited(r *relation) {
	if len(r.parents) == 0 || r.table == nil {
		return
	}
	r.table.Columns = slices.DeleteFunc(r.table.Columns, func(c *schema.Column) bool {
		if r.own[c] {
			return false
		}
		for _, oid := range r.parents {
			parent := in.relations[oid]
			if parent == nil {
				continue
			}
			for _, p := range parent.columns {
				if p.Name == c.Name && sameColumn(p, c) {
					return true
				}
			}
		}
		return false
	})
	for _, c := range r.table.Columns {
		if !r.own[c] {
			c.Options = append(c.Options, schema.Property{Name: "inherited", Value: "yes"})
		}
	}
}

// sameColumn compares what a partition or a child may have otherwise than its parent. A comment on the
// parent's column is no comment on the child's; nor are identity and statistics handed down.
func sameColumn(parent, child *schema.Column) bool {
	if child.Comment != "" || child.Default != parent.Default || child.NotNull != parent.NotNull || child.Generated != parent.Generated {
		return false
	}
	for _, name := range columnOptions {
		v := schema.Value(child.Options, name)
		if strings.HasPrefix(name, "sequence") {
			continue
		}
		if v != schema.Value(parent.Options, name) && (v != "" || name == "storage" || name == "compression") {
			return false
		}
	}
	return true
}

var constraintTypes = map[string]string{
	"p": schema.PrimaryKey, "u": schema.Unique, "c": schema.Check, "f": schema.ForeignKey, "x": schema.Exclusion, "n": schema.NotNull,
}

func constraintsPart(only string) part {
	return part{
		name: "constraints", columns: 12,
		query: `SELECT k.conrelid::text, k.oid::text, k.conname, k.contype::text, pg_get_constraintdef(k.oid), cd.description,
  array_to_string(k.conkey, ','), k.confrelid::text, array_to_string(k.confkey, ','), k.conindid::text,
  CASE WHEN k.contype IN ('p', 'u', 'x') AND x.reloptions IS NOT NULL THEN (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(x.reloptions) o) END, CASE WHEN k.contype IN ('p', 'u', 'x') THEN ts.spcname END
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class x ON x.oid = k.conindid LEFT JOIN pg_tablespace ts ON ts.oid = x.reltablespace` + commentOn("k.oid", "pg_constraint", "0") + `
WHERE k.contype <> 't' AND (k.coninhcount = 0 OR k.conislocal AND NOT c.relispartition) AND k.conparentid = 0 AND ` + userNamespace + only + ` ORDER BY c.relname, k.conname`,
		row: func(in *inspection, r []string) {
			rel := in.relation(r[0])
			k := &schema.Constraint{Name: r[2], Type: constraintTypes[r[3]], Definition: r[4], Comment: r[5], Options: options(r[10:], "storage", "tablespace")}
			k.Columns = rel.columnNames(r[6])
			if rel.table == nil || automaticNotNull(k) {
				return
			}
			key := schema.Key{Schema: rel.schema, Kind: schema.KindConstraint, Name: rel.name() + "." + k.Name}
			in.register("pg_constraint", r[1], object{key: key, needs: &k.Needs})
			switch k.Type {
			case schema.ForeignKey:
				k.References = in.reference(rel, r[7], r[8])
			case schema.PrimaryKey, schema.Unique, schema.Exclusion:
				in.register("pg_class", r[9], object{key: key, needs: &k.Needs}) // its index
			}
			rel.table.Constraints = append(rel.table.Constraints, k)
		},
	}
}

// automaticNotNull tells whether a constraint is no more than a column's NOT NULL: it has no options, and a
// name that the server gives. That name stays when the table or the column gets another one, so it is told
// by its end alone: else each table that was ever renamed would differ from one that was not.
func automaticNotNull(k *schema.Constraint) bool {
	return k.Type == schema.NotNull && len(k.Columns) == 1 && k.Comment == "" &&
		strings.HasSuffix(strings.TrimRight(k.Name, "0123456789"), "_not_null") &&
		k.Definition == "NOT NULL "+quoteNeeded(k.Columns[0])
}

func (r *relation) columnNames(numbers string) []string {
	var names []string
	for _, n := range strings.FieldsFunc(numbers, func(r rune) bool { return r == ',' || r == ' ' }) {
		if c := r.columns[int(number(n))]; c != nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// reference is nil until a table is known, as in a partial inspection.
func (in *inspection) reference(from *relation, oid, columns string) *schema.Reference {
	to := in.relations[number(oid)]
	if to == nil {
		return nil
	}
	ref := &schema.Reference{Table: to.name(), Columns: to.columnNames(columns)}
	if to.schema != from.schema {
		ref.Schema = to.schema
	}
	return ref
}

func indexesPart(only string) part {
	return part{
		name: "indexes", columns: 10,
		query: `SELECT i.indrelid::text, x.oid::text, x.relname, pg_get_indexdef(i.indexrelid), (NOT i.indisvalid AND x.relkind = 'i')::text, cd.description,
  i.indisunique::text, i.indkey::text,
  CASE WHEN i.indexprs IS NOT NULL THEN (SELECT string_agg(a.attnum || ' ' || a.attstattarget, ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = x.oid AND a.attstattarget >= 0) END,
  ts.spcname
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_tablespace ts ON ts.oid = x.reltablespace` + commentOn("x.oid", "pg_class", "0") + `
WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
  AND NOT EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = i.indexrelid) AND ` + userNamespace + only + ` ORDER BY c.relname, x.relname`,
		row: func(in *inspection, r []string) {
			rel := in.relation(r[0])
			index := &schema.Index{
				Name: r[2], Definition: r[3], Invalid: yes(r[4]), Comment: r[5], Unique: yes(r[6]), Columns: rel.columnNames(r[7]),
				Options: options(r[8:], "statistics", "tablespace"),
			}
			in.register("pg_class", r[1], object{key: schema.Key{Schema: rel.schema, Kind: schema.KindIndex, Name: rel.name() + "." + index.Name}, needs: &index.Needs})
			if rel.view != nil {
				rel.view.Indexes = append(rel.view.Indexes, index)
				return
			}
			rel.table.Indexes = append(rel.table.Indexes, index)
		},
	}
}

func triggersPart(only string) part {
	return part{
		name: "triggers", columns: 6,
		query: `SELECT g.tgrelid::text, g.oid::text, g.tgname, pg_get_triggerdef(g.oid),
  CASE g.tgenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END, cd.description
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace` + commentOn("g.oid", "pg_trigger", "0") + `
WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND ` + userNamespace + only + ` ORDER BY c.relname, g.tgname`,
		row: func(in *inspection, r []string) {
			rel := in.relation(r[0])
			trigger := &schema.Trigger{Name: r[2], Definition: r[3], Enabled: r[4], Comment: r[5]}
			in.register("pg_trigger", r[1], object{key: schema.Key{Schema: rel.schema, Kind: schema.KindTrigger, Name: rel.name() + "." + r[2]}, needs: &trigger.Needs})
			if rel.view != nil {
				rel.view.Triggers = append(rel.view.Triggers, trigger)
				return
			}
			rel.table.Triggers = append(rel.table.Triggers, trigger)
		},
	}
}

func policiesPart(only string) part {
	return part{
		name: "policies", of: []string{"pg_policy"}, columns: 5,
		query: `SELECT p.polrelid::text, p.oid::text, p.polname,
  concat_ws(' ', CASE WHEN NOT p.polpermissive THEN 'AS RESTRICTIVE' END,
    CASE p.polcmd WHEN 'r' THEN 'FOR SELECT' WHEN 'a' THEN 'FOR INSERT' WHEN 'w' THEN 'FOR UPDATE' WHEN 'd' THEN 'FOR DELETE' END,
    'TO ' || (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ' ORDER BY CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END) FROM unnest(p.polroles) r),
    'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', 'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'), cd.description
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace` + commentOn("p.oid", "pg_policy", "0") + `
WHERE ` + userNamespace + only + ` ORDER BY c.relname, p.polname`,
		row: func(in *inspection, r []string) {
			rel := in.relation(r[0])
			p := &schema.Policy{Name: r[2], Definition: r[3], Comment: r[4]}
			in.register("pg_policy", r[1], object{key: schema.Key{Schema: rel.schema, Kind: schema.KindPolicy, Name: rel.name() + "." + r[2]}, needs: &p.Needs})
			if rel.table != nil {
				rel.table.Policies = append(rel.table.Policies, p)
			}
		},
	}
}

// rulesPart also reads the rules that views consist of, since dependencies are theirs.
func rulesPart(only string) part {
	return part{
		name: "rules", columns: 6,
		query: `SELECT w.ev_class::text, w.oid::text, w.rulename, CASE WHEN w.rulename <> '_RETURN' THEN rtrim(pg_get_ruledef(w.oid), ';') END,
  CASE w.ev_enabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END, cd.description
FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace` + commentOn("w.oid", "pg_rewrite", "0") + `
WHERE ` + userNamespace + only + ` ORDER BY c.relname, w.rulename`,
		row: func(in *inspection, r []string) {
			rel := in.relation(r[0])
			if r[2] == "_RETURN" && rel.view != nil {
				in.register("pg_rewrite", r[1], object{key: schema.Key{Schema: rel.schema, Kind: schema.KindView, Name: rel.name()}, needs: &rel.view.Needs})
				return
			}
			rule := &schema.Rule{Name: r[2], Definition: r[3], Enabled: r[4], Comment: r[5]}
			in.register("pg_rewrite", r[1], object{key: schema.Key{Schema: rel.schema, Kind: schema.KindRule, Name: rel.name() + "." + r[2]}, needs: &rule.Needs})
			if rel.view != nil {
				rel.view.Rules = append(rel.view.Rules, rule)
				return
			}
			rel.table.Rules = append(rel.table.Rules, rule)
		},
	}
}
