package postgres

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// edge is a row of pg_depend: the object needs the other one, or a column of it.
type edge struct {
	from, to ref
	column   int
	part     int  // the column that needs it
	extends  bool // the object belongs to the other one, an extension
}

// needsPart reads all dependencies among objects that were made after initdb (whose oids are below
// 16384). Automatic ones on a table are those of what hangs on it, which the model knows already.
func needsPart() part {
	return part{
		name: "dependencies",
		query: `SELECT d.classid::regclass::text, d.objid::text, d.refclassid::regclass::text, d.refobjid::text, d.refobjsubid::text, d.deptype::text, d.objsubid::text
FROM pg_depend d
WHERE d.objid >= 16384 AND d.refobjid >= 16384 AND d.refclassid <> 'pg_namespace'::regclass AND NOT (d.deptype = 'a' AND d.refclassid = 'pg_class'::regclass AND d.classid <> 'pg_statistic_ext'::regclass)
UNION ALL SELECT 'pg_type', t.oid::text, 'pg_type', t.typelem::text, '0', 'm', '0' FROM pg_type t WHERE t.typcategory = 'A' AND t.oid >= 16384
UNION ALL SELECT 'pg_type', c.reltype::text, 'pg_class', c.oid::text, '0', 'm', '0' FROM pg_class c WHERE c.reltype <> 0 AND c.oid >= 16384
UNION ALL SELECT 'pg_publication', r.prpubid::text, 'pg_class', r.prrelid::text, '0', 'n', '0' FROM pg_publication_rel r
UNION ALL SELECT 'pg_publication', r.prpubid::text, 'pg_class', d.refobjid::text, d.refobjsubid::text, 'n', '0' FROM pg_publication_rel r
JOIN pg_depend d ON d.classid = 'pg_publication_rel'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0`,
		row: func(in *inspection, r []string) {
			class := func(s string) string { return strings.TrimPrefix(s, "pg_catalog.") }
			e := edge{from: ref{class(r[0]), number(r[1])}, to: ref{class(r[2]), number(r[3])}, column: int(number(r[4])), part: int(number(r[6])), extends: r[5] == "e"}
			if r[5] == "m" { // an array, or a table's row type, means the type or table itself
				in.aliases(e)
				return
			}
			in.edges = append(in.edges, e)
		},
	}
}

// aliases lets one type stand for what it is made of. The rows may come in any order, so that is looked up
// when all are there.
func (in *inspection) aliases(e edge) {
	if in.objects[e.from] == nil {
		in.objects[e.from] = &object{key: schema.Key{Kind: "alias"}}
		in.edges = append(in.edges, edge{from: e.from, to: e.to, column: -1})
	}
}

// resolve turns dependencies into the needs of the model's objects.
func (in *inspection) resolve() {
	means, member := map[ref]ref{}, map[ref]ref{}
	for _, e := range in.edges {
		switch {
		case e.from.class == "pg_amop" || e.from.class == "pg_amproc":
			// A member of an operator class or family stands for it.
			if o := in.objects[e.to]; o != nil && (e.to.class == "pg_opclass" || e.to.class == "pg_opfamily") {
				in.objects[e.from] = o
			}
		case e.extends:
			member[e.from] = e.to
		case e.column < 0:
			means[e.from] = e.to
		}
	}
	for oid, r := range in.relations {
		for _, parent := range r.parents {
			in.edges = append(in.edges, edge{from: ref{"pg_class", oid}, to: ref{"pg_class", parent}})
		}
	}
	for _, e := range in.edges {
		from := in.objects[e.from]
		if e.column < 0 || e.extends || from == nil || from.needs == nil {
			continue
		}
		to := e.to
		for range 3 { // an array of a table's row type is two steps away
			if next, ok := means[to]; ok {
				to = next
			}
		}
		if extension, ok := member[to]; ok {
			to = extension
		}
		object := in.objects[to]
		if object == nil || object.key == from.key {
			continue
		}
		if rel := in.relations[e.from.oid]; e.part > 0 && e.from.class == "pg_class" && rel != nil && rel.table != nil && rel.columns[e.part] != nil {
			c := rel.columns[e.part]
			from = in.columnObject(rel, c)
		}
		in.need(from, object.key)
		if rel := in.relations[to.oid]; e.column > 0 && to.class == "pg_class" && rel != nil && rel.columns[e.column] != nil {
			in.need(from, schema.Key{Schema: rel.schema, Kind: schema.KindColumn, Name: rel.name() + "." + rel.columns[e.column].Name})
		}
	}
	for _, o := range in.objects {
		if o.needs != nil {
			slices.SortFunc(*o.needs, func(a, b schema.Key) int {
				return strings.Compare(a.Schema+"\x00"+string(a.Kind)+"\x00"+a.Name, b.Schema+"\x00"+string(b.Kind)+"\x00"+b.Name)
			})
			*o.needs = slices.Compact(*o.needs)
		}
	}
}

// columnObject is a column as something that needs its type. It is registered so that its needs are put
// in order with the others.
func (in *inspection) columnObject(rel *relation, c *schema.Column) *object {
	at := ref{"column " + rel.schema + "." + rel.name() + "." + c.Name, 0}
	if in.objects[at] == nil {
		in.objects[at] = &object{key: schema.Key{Schema: rel.schema, Kind: schema.KindColumn, Name: rel.name() + "." + c.Name}, needs: &c.Needs}
	}
	return in.objects[at]
}

func (in *inspection) need(o *object, k schema.Key) {
	if k != o.key {
		*o.needs = append(*o.needs, k)
	}
}
