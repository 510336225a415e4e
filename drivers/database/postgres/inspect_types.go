package postgres

import (
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

var typeForms = map[string]string{"e": schema.Enum, "d": schema.Domain, "c": schema.Composite, "r": schema.Range}

func typesPart(int) part {
	return part{
		name: "types",
		query: `SELECT t.oid::text, t.typrelid::text, r.rngmultitypid::text, n.nspname, t.typname, t.typtype::text, ` + ownerOf("t.typowner") + `, cd.description,
  (SELECT string_agg(length(enumlabel) || ':' || enumlabel, '' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
  CASE t.typtype
    WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) || CASE WHEN t.typcollation <> b.typcollation THEN ' COLLATE ' || quote_ident(cn.nspname) || '.' || quote_ident(co.collname) ELSE '' END
    WHEN 'r' THEN concat_ws(', ', 'SUBTYPE = ' || format_type(r.rngsubtype, NULL),
      CASE WHEN NOT opc.opcdefault THEN 'SUBTYPE_OPCLASS = ' || quote_ident(opcn.nspname) || '.' || quote_ident(opc.opcname) END,
      CASE WHEN r.rngcollation <> 0 AND r.rngcollation <> rs.typcollation THEN 'COLLATION = ' || quote_ident(rcn.nspname) || '.' || quote_ident(rc.collname) END,
      'CANONICAL = ' || nullif(r.rngcanonical::oid, 0)::regproc, 'SUBTYPE_DIFF = ' || nullif(r.rngsubdiff::oid, 0)::regproc,
      'MULTIRANGE_TYPE_NAME = ' || quote_ident(mn.nspname) || '.' || quote_ident(m.typname))
  END,
  CASE WHEN t.typnotnull THEN 'yes' END, CASE WHEN t.typtype = 'd' THEN coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)) END
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
LEFT JOIN pg_type b ON b.oid = t.typbasetype LEFT JOIN pg_collation co ON co.oid = t.typcollation LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
LEFT JOIN pg_range r ON r.rngtypid = t.oid LEFT JOIN pg_type rs ON rs.oid = r.rngsubtype LEFT JOIN pg_collation rc ON rc.oid = r.rngcollation LEFT JOIN pg_namespace rcn ON rcn.oid = rc.collnamespace
LEFT JOIN pg_opclass opc ON opc.oid = r.rngsubopc LEFT JOIN pg_namespace opcn ON opcn.oid = opc.opcnamespace
LEFT JOIN pg_type m ON m.oid = r.rngmultitypid LEFT JOIN pg_namespace mn ON mn.oid = m.typnamespace` + commentOn("t.oid", "pg_type", "0") + `
WHERE t.typtype IN ('e', 'd', 'c', 'r') AND (t.typtype <> 'c' OR c.relkind = 'c') AND ` + ofUser("t.oid", "pg_type") + ` ORDER BY n.nspname, t.typname`,
		row: func(in *inspection, r []string) {
			s := in.schema(r[3])
			t := &schema.Type{
				Name: r[4], Form: typeForms[r[5]], Owner: r[6], Comment: r[7], Labels: labels(r[8]), Definition: r[9], Options: options(r[10:], "not null", "default"),
			}
			s.Types = append(s.Types, t)
			o := object{schema.Key{Schema: r[3], Kind: schema.KindType, Name: r[4]}, &t.Grants, &t.Needs}
			in.register("pg_type", r[0], o)
			if r[2] != "" {
				in.register("pg_type", r[2], o) // the multirange
			}
			if t.Form == schema.Composite {
				in.register("pg_class", r[1], o)
				in.relations[number(r[1])] = &relation{schema: r[3], typ: t, columns: map[int]*schema.Column{}, own: map[*schema.Column]bool{}}
			}
		},
	}
}

// labels takes "4:good3:bad" apart: labels may hold anything. The numbers count characters.
func labels(text string) []string {
	var list []string
	for rest := []rune(text); len(rest) > 0; {
		head, _, _ := strings.Cut(string(rest[:min(len(rest), 8)]), ":")
		n, err := strconv.Atoi(head)
		if err != nil {
			return list
		}
		begin := len(head) + 1
		list, rest = append(list, string(rest[begin:begin+n])), rest[begin+n:]
	}
	return list
}

// domainConstraintsPart reads checks alone: NOT NULL is an option of the domain, whatever name version 18 gives it.
func domainConstraintsPart() part {
	return part{
		name: "constraints of domains",
		query: `SELECT k.contypid::text, k.oid::text, k.conname, pg_get_constraintdef(k.oid), cd.description
FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace` + commentOn("k.oid", "pg_constraint", "0") + `
WHERE k.contype = 'c' AND ` + userNamespace + ` ORDER BY t.typname, k.conname`,
		row: func(in *inspection, r []string) {
			o := in.objects[ref{"pg_type", number(r[0])}]
			if o == nil {
				return
			}
			t := in.schema(o.key.Schema).Type(o.key.Name)
			k := &schema.Constraint{Name: r[2], Type: schema.Check, Definition: r[3], Comment: r[4]}
			t.Constraints = append(t.Constraints, k)
			in.register("pg_constraint", r[1], object{key: schema.Key{Schema: o.key.Schema, Kind: schema.KindConstraint, Name: t.Name + "." + k.Name}, needs: &k.Needs})
		},
	}
}

// notInternal leaves out what the server makes for another object, such as the constructors of a range type.
func notInternal(oid, catalogue string) string {
	return "NOT EXISTS (SELECT 1 FROM pg_depend i WHERE i.objid = " + oid + " AND i.classid = '" + catalogue + "'::regclass AND i.deptype = 'i')"
}

// routinesPart names a routine by the types of its arguments alone: their names may change.
func routinesPart() part {
	return part{
		name: "functions", of: []string{"pg_proc"},
		query: `SELECT p.oid::text, n.nspname, p.proname || '(' || CASE WHEN p.prokind = 'p' THEN pg_get_function_identity_arguments(p.oid) ELSE oidvectortypes(p.proargtypes) END || ')', CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window' ELSE 'function' END,
  ` + ownerOf("p.proowner") + `, rtrim(pg_get_functiondef(p.oid), E'\n'), cd.description
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace` + commentOn("p.oid", "pg_proc", "0") + `
WHERE p.prokind <> 'a' AND ` + ofUser("p.oid", "pg_proc") + ` AND ` + notInternal("p.oid", "pg_proc") + ` ORDER BY 2, 3`,
		row: routineRow,
	}
}

func aggregatesPart() part {
	return part{
		name: "aggregates", of: []string{"pg_proc"},
		query: `SELECT p.oid::text, n.nspname, p.proname || '(' || coalesce(nullif(pg_get_function_identity_arguments(p.oid), ''), '*') || ')', 'aggregate', ` + ownerOf("p.proowner") + `,
  'CREATE AGGREGATE ' || quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '(' || coalesce(nullif(pg_get_function_arguments(p.oid), ''), '*') || ') (' || concat_ws(', ',
    'SFUNC = ' || a.aggtransfn, 'STYPE = ' || format_type(a.aggtranstype, NULL), 'SSPACE = ' || nullif(a.aggtransspace, 0),
    'FINALFUNC = ' || nullif(a.aggfinalfn::oid, 0)::regproc, CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
    CASE WHEN a.aggfinalmodify <> CASE WHEN a.aggkind = 'n' THEN 'r' ELSE 'w' END THEN 'FINALFUNC_MODIFY = ' || CASE a.aggfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END,
    'COMBINEFUNC = ' || nullif(a.aggcombinefn::oid, 0)::regproc, 'SERIALFUNC = ' || nullif(a.aggserialfn::oid, 0)::regproc, 'DESERIALFUNC = ' || nullif(a.aggdeserialfn::oid, 0)::regproc,
    'INITCOND = ' || quote_literal(a.agginitval), 'MSFUNC = ' || nullif(a.aggmtransfn::oid, 0)::regproc, 'MINVFUNC = ' || nullif(a.aggminvtransfn::oid, 0)::regproc,
    'MSTYPE = ' || CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END, 'MSSPACE = ' || nullif(a.aggmtransspace, 0), 'MFINALFUNC = ' || nullif(a.aggmfinalfn::oid, 0)::regproc,
    CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
    CASE WHEN a.aggmfinalfn <> 0 AND a.aggmfinalmodify <> CASE WHEN a.aggkind = 'n' THEN 'r' ELSE 'w' END THEN 'MFINALFUNC_MODIFY = ' || CASE a.aggmfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END,
    'MINITCOND = ' || quote_literal(a.aggminitval), 'SORTOP = ' || (SELECT 'OPERATOR(' || quote_ident(opn.nspname) || '.' || o.oprname || ')' FROM pg_operator o JOIN pg_namespace opn ON opn.oid = o.oprnamespace WHERE o.oid = a.aggsortop),
    CASE p.proparallel WHEN 's' THEN 'PARALLEL = SAFE' WHEN 'r' THEN 'PARALLEL = RESTRICTED' END, CASE WHEN a.aggkind = 'h' THEN 'HYPOTHETICAL' END) || ')', cd.description
FROM pg_proc p JOIN pg_aggregate a ON a.aggfnoid = p.oid JOIN pg_namespace n ON n.oid = p.pronamespace` + commentOn("p.oid", "pg_proc", "0") + `
WHERE ` + ofUser("p.oid", "pg_proc") + ` ORDER BY 2, 3`,
		row: routineRow,
	}
}

func routineRow(in *inspection, r []string) {
	s := in.schema(r[1])
	routine := &schema.Routine{Name: r[2], Form: r[3], Owner: r[4], Definition: r[5], Comment: r[6]}
	s.Routines = append(s.Routines, routine)
	in.register("pg_proc", r[0], object{schema.Key{Schema: r[1], Kind: schema.KindRoutine, Name: r[2]}, &routine.Grants, &routine.Needs})
}

// sequencesPart leaves those of identity columns to their columns.
func sequencesPart() part {
	return part{
		name: "sequences",
		query: `SELECT c.oid::text, n.nspname, c.relname, ` + ownerOf("c.relowner") + `, ` + sequenceText + `, cd.description, CASE c.relpersistence WHEN 'u' THEN 'unlogged' END,
  d.refobjid::regclass::text || '.' || quote_ident(a.attname)
FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid` + commentOn("c.oid", "pg_class", "0") + `
WHERE coalesce(d.deptype, 'a') = 'a' AND ` + ofUser("c.oid", "pg_class") + ` ORDER BY 2, 3`,
		row: func(in *inspection, r []string) {
			s := in.schema(r[1])
			q := &schema.Sequence{Name: r[2], Owner: r[3], Definition: r[4], Comment: r[5], Options: options(r[6:], "persistence", "owned by")}
			s.Sequences = append(s.Sequences, q)
			in.register("pg_class", r[0], object{key: schema.Key{Schema: r[1], Kind: schema.KindSequence, Name: r[2]}, grants: &q.Grants})
		},
	}
}
