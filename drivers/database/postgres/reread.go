package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/switchbackdb/switchback/schema"
)

// memory keeps the rows that were read of the catalogue, for a database that is read over and over and that nobody else
// changes meanwhile. Each reading first asks the server for stamps, which sum up the versions of the catalogue's rows: of
// each table and view, of what else their definitions may name, and of the rest. Only what may have changed with one of
// them is asked for again; the model is put together anew each time, from the same rows as if all had been read.
type memory struct {
	mu     sync.Mutex
	stamps map[string]string                // by the oid of a table or view; those of the rest are below
	rows   map[string][][]string            // by part
	tables map[string]map[string][][]string // by part and oid, of the parts of perTable
}

// The stamps that are of no table: no table has such an oid.
const (
	namedByTables = "0" // types, functions and whatever else the parts of perTable may name
	allElse       = "1"
)

// namingTables are the parts that name tables and columns, or have a row for each of them, beside those of perTable. Like
// these they are asked for when a table has changed.
func namingTables() []part {
	return []part{relationsPart(""), grantsPart(""), routinesPart(), statisticsPart(), {name: "publications"}}
}

// Scratch tells the database that it is one: nobody else changes it, and it is dropped in the end. Readings of its catalogue
// read no more of tables and views than has changed since the one before, and its journal has no fingerprints.
func (d *Database) Scratch() { d.memory = &memory{} }

// perTable are the parts whose rows begin with the oid of the table that they belong to: all of them, or those of some
// tables. The condition is on the column that leads to the fewest rows.
func perTable(oids []string) []part {
	only := func(column string) string {
		if len(oids) == 0 {
			return ""
		}
		return " AND " + column + " IN (" + strings.Join(oids, ", ") + ")"
	}
	return []part{
		columnsPart(only("a.attrelid")), constraintsPart(only("k.conrelid")), indexesPart(only("i.indrelid")),
		triggersPart(only("g.tgrelid")), policiesPart(only("p.polrelid")), rulesPart(only("w.ev_class")),
	}
}

// inspect reads the catalogue as Inspect does, with what is remembered where that can be used.
func (m *memory) inspect(ctx context.Context, db *sql.DB) (*schema.Database, error) {
	if m == nil {
		return Inspect(ctx, db)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	in := newInspection()
	if err := m.read(ctx, in, conn); err != nil {
		m.stamps = nil
		return nil, err
	}
	in.finish()
	return in.database(), nil
}

// read reads what may have changed, and takes everything in.
func (m *memory) read(ctx context.Context, in *inspection, conn *sql.Conn) error {
	if err := in.send(ctx, conn, versionPart()); err != nil {
		return err
	}
	under := func(parts ...part) []part {
		return append(append([]part{set(readUnder(), false)}, parts...), set(in.before, false))
	}
	stamps := map[string]string{}
	if err := in.send(ctx, conn, under(stampsPart(stamps))...); err != nil {
		return err
	}
	// What a role may not see of these it cannot sum up either.
	hidden := in.made["pg_subscription"] || in.made["pg_foreign_server"]
	all := m.stamps == nil || m.stamps[namedByTables] != stamps[namedByTables]
	rest := all || hidden || m.stamps[allElse] != stamps[allElse]
	var changed []string
	for oid, stamp := range stamps {
		if !all && oid != namedByTables && oid != allElse && m.stamps[oid] != stamp {
			changed = append(changed, oid)
		}
	}
	if len(changed) > 0 {
		if err := in.send(ctx, conn, under(dependentsPart(changed, &changed))...); err != nil {
			return err
		}
	}
	gone := slices.ContainsFunc(slices.Collect(maps.Keys(m.stamps)), func(oid string) bool { return stamps[oid] == "" })
	touched := all || gone || len(changed) > 0
	named := func(list []part, p part) bool {
		return slices.ContainsFunc(list, func(o part) bool { return o.name == p.name })
	}
	bound, list := perTable(changed), in.parts()
	var asked []part
	read := map[string][][]string{}
	for _, p := range list {
		name := p.name
		switch at := slices.IndexFunc(bound, func(o part) bool { return o.name == name }); {
		case at >= 0 && (all || len(changed) > 0):
			p = bound[at]
		case at >= 0, !rest && (!touched || !named(namingTables(), p)):
			continue
		}
		p.row = func(_ *inspection, r []string) { read[name] = append(read[name], r) }
		asked, read[name] = append(asked, p), nil
	}
	if len(asked) > 0 {
		if err := in.send(ctx, conn, under(asked...)...); err != nil {
			return err
		}
	}
	m.keep(stamps, all, changed, bound, read)
	for _, p := range list {
		rows := m.rows[p.name]
		if named(bound, p) {
			rows = nil
			for _, of := range m.tables[p.name] {
				rows = append(rows, of...)
			}
		}
		for _, r := range rows {
			p.row(in, slices.Clone(r))
		}
	}
	return nil
}

// keep remembers what was read in place of what it stands for.
func (m *memory) keep(stamps map[string]string, all bool, changed []string, bound []part, read map[string][][]string) {
	if all {
		m.rows, m.tables = map[string][][]string{}, map[string]map[string][][]string{}
	}
	for _, p := range bound {
		of := m.tables[p.name]
		if of == nil {
			of = map[string][][]string{}
			m.tables[p.name] = of
		}
		maps.DeleteFunc(of, func(oid string, _ [][]string) bool { return stamps[oid] == "" || slices.Contains(changed, oid) })
		for _, r := range read[p.name] {
			of[r[0]] = append(of[r[0]], r)
		}
		delete(read, p.name)
	}
	maps.Copy(m.rows, read)
	m.stamps = stamps
}

// stampsPart sums up which versions of rows the catalogue consists of. A row that is written has another place and another
// transaction, however it looks. What the server was made with, by transaction 1, is as it was.
func stampsPart(stamps map[string]string) part {
	seed := 0
	from := func(of, alias, tables string) string {
		seed++
		return fmt.Sprintf("SELECT %s AS oid, hash_record_extended(ROW(%s.ctid, %s.xmin), %d) AS stamp FROM %s", of, alias, alias, seed, tables)
	}
	branches := []string{
		from("c.oid", "c", "pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.oid >= 16384"),
		from("a.attrelid", "a", "pg_attribute a WHERE a.attrelid >= 16384"),
		from("d.adrelid", "d", "pg_attrdef d"),
		from("k.conrelid", "k", "pg_constraint k WHERE k.conrelid <> 0"),
		from("i.indrelid", "i", "pg_index i WHERE i.indrelid >= 16384"),
		from("i.indrelid", "x", "pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid >= 16384"),
		from("i.indrelid", "a", "pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid WHERE i.indrelid >= 16384"),
		from("g.tgrelid", "g", "pg_trigger g"),
		from("p.polrelid", "p", "pg_policy p"),
		from("w.ev_class", "w", "pg_rewrite w WHERE w.ev_class >= 16384"),
		"SELECT " + namedByTables + "::oid, hashtextextended(oid::text || ' ' || rolname, 0) FROM pg_roles",
		from(namedByTables+"::oid", "c", "pg_class c WHERE c.relkind = 'S' AND c.oid >= 16384"),
		from(allElse+"::oid", "c", "pg_class c WHERE c.relkind = 't' AND c.oid >= 16384"),
		from(allElse+"::oid", "k", "pg_constraint k WHERE k.contypid <> 0"),
		from(allElse+"::oid", "d", "pg_depend d WHERE d.objid >= 16384"),
		from(allElse+"::oid", "d", "pg_database d WHERE d.datname = current_database()"),
	}
	rest := func(of, names string) {
		for _, name := range strings.Fields(names) {
			branches = append(branches, from(of+"::oid", "o", "pg_"+name+" o WHERE o.xmin <> '1'::xid"))
		}
	}
	rest(namedByTables, `namespace type proc collation operator opclass opfamily am tablespace sequence inherits description language ts_config
ts_dict extension foreign_server`)
	rest(allElse, `db_role_setting shdescription cast transform conversion event_trigger publication publication_rel publication_namespace
seclabel shseclabel largeobject_metadata default_acl foreign_data_wrapper foreign_table statistic_ext enum range aggregate amop amproc
ts_parser ts_template ts_config_map`)
	return part{
		name: "stamps", query: "SELECT oid::text, count(*) || ' ' || sum(stamp) FROM (" + strings.Join(branches, "\nUNION ALL ") + ") AS s GROUP BY oid",
		row: func(_ *inspection, r []string) { stamps[r[0]] = r[1] },
	}
}

// dependentsPart adds the tables and views whose own definitions name one of those: by a foreign key, say, which has another
// text when that one is renamed.
func dependentsPart(of []string, into *[]string) part {
	names := strings.Join(of, ", ")
	hanging := func(catalogue, oid, table string) string {
		return "SELECT o." + table + " FROM pg_depend d JOIN " + catalogue + " o ON o." + oid + " = d.objid WHERE d.classid = '" + catalogue + "'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN (" + names + ")"
	}
	query := strings.Join([]string{
		hanging("pg_constraint", "oid", "conrelid"), hanging("pg_rewrite", "oid", "ev_class"), hanging("pg_policy", "oid", "polrelid"),
		hanging("pg_trigger", "oid", "tgrelid"), hanging("pg_attrdef", "oid", "adrelid"), hanging("pg_index", "indexrelid", "indrelid"),
		"SELECT d.objid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN (" + names + ")",
	}, " UNION ")
	return part{
		name: "dependents", query: "SELECT DISTINCT x.oid::text FROM (" + query + ") AS x (oid) WHERE x.oid <> 0",
		row: func(_ *inspection, r []string) {
			if !slices.Contains(*into, r[0]) {
				*into = append(*into, r[0])
			}
		},
	}
}
