package postgres

import (
	"github.com/switchbackdb/switchback/schema"
)

// Conditions that many queries share. A namespace is ours to read when it is neither the system's nor
// Switchback's; an object is when it does not belong to an extension.
const (
	userNamespace = `n.nspname NOT IN ('pg_catalog', 'information_schema', 'switchback') AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp%'`
)

func ofUser(oid, catalogue string) string {
	return userNamespace + " AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = " + oid + " AND e.classid = '" + catalogue + "'::regclass AND e.deptype = 'e')"
}

// parts are the queries, in an order in which a relation comes before what hangs on it.
func parts() []part {
	return []part{
		schemasPart(), relationsPart(""), columnsPart(""), constraintsPart(""), indexesPart(""), triggersPart(""),
		policiesPart(""), routinesPart(), typesPart(), sequencesPart(), censusPart(),
	}
}

func schemasPart() part {
	return part{
		name: "schemas",
		query: `SELECT n.nspname, obj_description(n.oid, 'pg_namespace') FROM pg_namespace n
WHERE ` + ofUser("n.oid", "pg_namespace") + ` ORDER BY 1`,
		row: func(in *inspection, r []string) { in.schema(r[0]).Comment = commentOf(r[0], r[1]) },
	}
}

// commentOf leaves out the comment that every schema "public" is made with.
func commentOf(name, comment string) string {
	if name == "public" && comment == "standard public schema" {
		return ""
	}
	return comment
}

func relationsPart(only string) part {
	return part{
		name: "tables and views", columns: 7,
		query: `SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, obj_description(c.oid, 'pg_class'),
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
  concat_ws(E'\n',
    'persistence=' || CASE c.relpersistence WHEN 'u' THEN 'unlogged' END,
    'partition key=' || pg_get_partkeydef(c.oid),
    'partition=' || CASE WHEN c.relispartition THEN (SELECT string_agg(inhparent::regclass::text, ', ') FROM pg_inherits WHERE inhrelid = c.oid) || ' ' || pg_get_expr(c.relpartbound, c.oid) END,
    'inherits=' || CASE WHEN NOT c.relispartition THEN (SELECT string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid) END,
    'row security=' || CASE WHEN c.relforcerowsecurity THEN 'forced' WHEN c.relrowsecurity THEN 'on' END,
    'replica identity=' || CASE c.relreplident WHEN 'f' THEN 'full' WHEN 'n' THEN CASE WHEN c.relkind = 'r' THEN 'nothing' END WHEN 'i' THEN (SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = c.oid AND indisreplident) END,
    'storage=' || array_to_string(c.reloptions, ', '),
    'tablespace=' || (SELECT spcname FROM pg_tablespace t WHERE t.oid = c.reltablespace),
    'of type=' || CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ` + ofUser("c.oid", "pg_class") + only + ` ORDER BY n.nspname, c.relname`,
		row: func(in *inspection, r []string) {
			s := in.schema(r[1])
			if kind := r[3]; kind == "v" || kind == "m" {
				v := &schema.View{Name: r[2], Materialized: kind == "m", Definition: r[5], Comment: r[4], Options: options(r[6])}
				s.Views = append(s.Views, v)
				in.relations[number(r[0])] = relation{view: v}
				return
			}
			t := &schema.Table{Name: r[2], Comment: r[4], Options: options(r[6])}
			if r[3] == "f" {
				t.Options = append(t.Options, property("foreign", "yes"))
			}
			s.Tables = append(s.Tables, t)
			in.relations[number(r[0])] = relation{table: t}
		},
	}
}

func columnsPart(only string) part {
	return part{
		name: "columns", columns: 10,
		// Options named pg_… are the server's own bookkeeping: they change with each ALTER TABLE.
		query: `SELECT a.attrelid::bigint, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
  CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
  CASE a.attgenerated WHEN 's' THEN pg_get_expr(d.adbin, d.adrelid) || ' stored' WHEN 'v' THEN pg_get_expr(d.adbin, d.adrelid) || ' virtual' END,
  CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
  CASE WHEN a.attcollation <> t.typcollation THEN (SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END,
  col_description(a.attrelid, a.attnum),
  concat_ws(E'\n',
    'storage=' || CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END,
    'compression=' || nullif(a.attcompression::text, ''),
    'statistics=' || nullif(a.attstattarget, -1),
    'options=' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\_%'))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f') AND ` + userNamespace + only + ` ORDER BY a.attrelid, a.attnum`,
		row: func(in *inspection, r []string) {
			t := in.table(r[0])
			t.Columns = append(t.Columns, &schema.Column{
				Name: r[1], Type: r[2], NotNull: yes(r[3]), Default: r[4], Generated: r[5], Identity: r[6],
				Collation: r[7], Comment: r[8], Options: options(r[9]),
			})
		},
	}
}

func constraintsPart(only string) part {
	return part{
		name: "constraints", columns: 5,
		query: `SELECT k.conrelid::bigint, k.conname,
  CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' WHEN 'x' THEN 'exclusion' WHEN 't' THEN 'trigger' ELSE k.contype::text END,
  pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint')
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype NOT IN ('n', 't') AND (k.coninhcount = 0 OR k.conislocal) AND k.conparentid = 0 AND ` + userNamespace + only + ` ORDER BY 1, 2`,
		row: func(in *inspection, r []string) {
			t := in.table(r[0])
			t.Constraints = append(t.Constraints, &schema.Constraint{Name: r[1], Type: r[2], Definition: r[3], Comment: r[4]})
		},
	}
}

func indexesPart(only string) part {
	return part{
		name: "indexes", columns: 5,
		query: `SELECT i.indrelid::bigint, x.relname, pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisclustered THEN ' clustered' ELSE '' END,
  NOT i.indisvalid AND x.relkind = 'i', obj_description(x.oid, 'pg_class')
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
  AND NOT EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = i.indexrelid) AND ` + userNamespace + only + ` ORDER BY 1, 2`,
		row: func(in *inspection, r []string) {
			index := &schema.Index{Name: r[1], Definition: r[2], Invalid: yes(r[3]), Comment: r[4]}
			if v := in.relations[number(r[0])].view; v != nil {
				v.Indexes = append(v.Indexes, index)
				return
			}
			t := in.table(r[0])
			t.Indexes = append(t.Indexes, index)
		},
	}
}

func triggersPart(only string) part {
	return part{
		name: "triggers", columns: 5,
		query: `SELECT g.tgrelid::bigint, g.tgname, pg_get_triggerdef(g.oid),
  CASE g.tgenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END, obj_description(g.oid, 'pg_trigger')
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND ` + userNamespace + only + ` ORDER BY 1, 2`,
		row: func(in *inspection, r []string) {
			trigger := &schema.Trigger{Name: r[1], Definition: r[2], Enabled: r[3], Comment: r[4]}
			if v := in.relations[number(r[0])].view; v != nil {
				v.Triggers = append(v.Triggers, trigger)
				return
			}
			t := in.table(r[0])
			t.Triggers = append(t.Triggers, trigger)
		},
	}
}

func policiesPart(only string) part {
	return part{
		name: "policies", columns: 3,
		query: `SELECT p.polrelid::bigint, p.polname,
  concat_ws(' ', CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
    CASE p.polcmd WHEN 'r' THEN 'for select' WHEN 'a' THEN 'for insert' WHEN 'w' THEN 'for update' WHEN 'd' THEN 'for delete' ELSE 'for all' END,
    'to ' || (SELECT string_agg(CASE WHEN r = 0 THEN 'public' ELSE pg_get_userbyid(r)::text END, ', ' ORDER BY r) FROM unnest(p.polroles) r),
    'using (' || pg_get_expr(p.polqual, p.polrelid) || ')', 'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ` + userNamespace + only + ` ORDER BY 1, 2`,
		row: func(in *inspection, r []string) {
			t := in.table(r[0])
			t.Policies = append(t.Policies, &schema.Policy{Name: r[1], Definition: r[2]})
		},
	}
}

func routinesPart() part {
	return part{
		name: "functions",
		query: `SELECT n.nspname, p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind <> 'a' AND ` + ofUser("p.oid", "pg_proc") + ` ORDER BY 1, 2`,
		row: func(in *inspection, r []string) {
			s := in.schema(r[0])
			s.Routines = append(s.Routines, &schema.Routine{Name: r[1], Definition: r[2], Comment: r[3]})
		},
	}
}

func typesPart() part {
	return part{
		name: "types",
		query: `SELECT n.nspname, t.typname,
  CASE t.typtype
    WHEN 'e' THEN 'enum (' || (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid) || ')'
    WHEN 'd' THEN concat_ws(' ', 'domain', format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault,
      (SELECT string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))
    WHEN 'c' THEN 'composite (' || (SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = t.typrelid AND NOT attisdropped) || ')'
    WHEN 'r' THEN 'range of ' || (SELECT format_type(rngsubtype, NULL) FROM pg_range WHERE rngtypid = t.oid)
  END, obj_description(t.oid, 'pg_type')
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE t.typtype IN ('e', 'd', 'c', 'r') AND (t.typtype <> 'c' OR c.relkind = 'c') AND ` + ofUser("t.oid", "pg_type") + ` ORDER BY 1, 2`,
		row: func(in *inspection, r []string) {
			s := in.schema(r[0])
			s.Types = append(s.Types, &schema.Type{Name: r[1], Definition: r[2], Comment: r[3]})
		},
	}
}

func sequencesPart() part {
	return part{
		name: "sequences",
		query: `SELECT n.nspname, c.relname,
  concat_ws(' ', format_type(q.seqtypid, NULL), 'start', q.seqstart, 'increment', q.seqincrement, 'min', q.seqmin, 'max', q.seqmax, 'cache', q.seqcache, CASE WHEN q.seqcycle THEN 'cycle' END,
    'owned by ' || (SELECT d.refobjid::regclass::text || '.' || quote_ident(a.attname) FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
      WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))),
  obj_description(c.oid, 'pg_class')
FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ` + ofUser("c.oid", "pg_class") + ` ORDER BY 1, 2`,
		row: func(in *inspection, r []string) {
			s := in.schema(r[0])
			s.Sequences = append(s.Sequences, &schema.Sequence{Name: r[1], Definition: r[2], Comment: r[3]})
		},
	}
}

// censusPart counts what the model does not cover, so that nothing is silently missed.
func censusPart() part {
	return part{
		name: "census",
		query: `SELECT kind, count(*), string_agg(name, ', ' ORDER BY name) FILTER (WHERE n <= 5) FROM (
  SELECT kind, name, row_number() OVER (PARTITION BY kind ORDER BY name) AS n FROM (
    SELECT 'extension' AS kind, extname || ' ' || extversion AS name FROM pg_extension WHERE extname <> 'plpgsql'
    UNION ALL SELECT 'aggregate', p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prokind = 'a' AND ` + ofUser("p.oid", "pg_proc") + `
    UNION ALL SELECT 'rule', c.oid::regclass::text || '.' || w.rulename FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace WHERE w.rulename <> '_RETURN' AND ` + userNamespace + `
    UNION ALL SELECT 'event trigger', evtname FROM pg_event_trigger
    UNION ALL SELECT 'publication', pubname FROM pg_publication
    UNION ALL SELECT 'foreign data wrapper', fdwname FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'foreign server', srvname FROM pg_foreign_server
    UNION ALL SELECT 'collation', o.collname FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace WHERE ` + userNamespace + `
    UNION ALL SELECT 'operator', o.oid::regoperator::text FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE ` + ofUser("o.oid", "pg_operator") + `
    UNION ALL SELECT 'text search configuration', o.cfgname FROM pg_ts_config o JOIN pg_namespace n ON n.oid = o.cfgnamespace WHERE ` + userNamespace + `
    UNION ALL SELECT 'statistics object', o.stxname FROM pg_statistic_ext o JOIN pg_namespace n ON n.oid = o.stxnamespace WHERE ` + userNamespace + `
    UNION ALL SELECT 'default privilege', pg_get_userbyid(defaclrole)::text FROM pg_default_acl
    UNION ALL SELECT 'large object', '' FROM pg_largeobject_metadata) AS found) AS numbered
GROUP BY kind ORDER BY kind`,
		row: func(in *inspection, r []string) {
			in.uncovered = append(in.uncovered, schema.Census{Kind: schema.Kind(r[0]), Count: int(number(r[1])), Names: []string{r[2]}})
		},
	}
}
