package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/snapshot"
)

// read is how the rows of a part are read.
type read struct {
	table string // as SQL names it; empty for what is read by a query of its own
	query string // with the place %s for a condition
	plain string // a COPY of the whole table, which is quicker than one of a query; may be empty
}

// statement is the COPY of a piece. A range is a condition on the rows.
func (r read) statement(rows string) string {
	if rows == "" && r.plain != "" {
		return r.plain
	}
	return "COPY (" + strings.Replace(r.query, "%s", cmp.Or(rows, "true"), 1) + ") TO STDOUT"
}

// The names of the parts of large objects. That of their rights is no table of the manifest: it holds names of
// roles, which another server may not have.
const (
	largeObjects      = "large objects"
	largeObjectRights = "rights of large objects"
)

// pieceBytes is about how much of a table is read at once.
const pieceBytes = 64 << 20

// ourTables are those of Switchback's own schema that a snapshot has.
const ourTables = "'meta', 'journal', 'lock'"

// tablesQuery lists the tables that have rows: with their size, their blocks where those can be read by
// ranges, the columns that are stored, and the condition that an extension sets for its own tables. Columns
// are in the order of their names: a partition that was attached has them otherwise than one that was made.
const tablesQuery = `
SELECT n.nspname, c.relname, pg_table_size(c.oid)::text,
  CASE WHEN am.amname = 'heap' THEN pg_relation_size(c.oid) / current_setting('block_size')::int ELSE 0 END::text,
  (SELECT coalesce(json_agg(a.attname ORDER BY a.attname COLLATE "C"), '[]') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')::text,
  CASE WHEN x.oid IS NOT NULL THEN x.extcondition[array_position(x.extconfig, c.oid)] END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam
LEFT JOIN pg_depend e ON e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e'
LEFT JOIN pg_extension x ON x.oid = e.refobjid
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '` + restoreSchema + `')
  AND (n.nspname <> 'switchback' OR c.relname IN (` + ourTables + `)) AND (x.oid IS NULL OR c.oid = ANY (x.extconfig))
ORDER BY 1, 2`

// readParts finds out what rows there are and how they are read.
func (p *point) readParts(ctx context.Context) error {
	rows, err := query(ctx, p.lead, tablesQuery)
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	for _, r := range rows {
		part := snapshot.Part{Name: partName(r[0], r[1]), Kind: snapshot.RowsPart, Schema: r[0], Table: r[1]}
		if err := json.Unmarshal([]byte(r[4]), &part.Columns); err != nil {
			return fmt.Errorf("list the columns of %s: %w", part.Name, err)
		}
		p.addTable(part, number(r[2]), number(r[3]), r[5])
	}
	if err := p.addLargeObjects(ctx); err != nil {
		return fmt.Errorf("list the large objects: %w", err)
	}
	slices.SortStableFunc(p.pieces, func(a, b snapshot.Piece) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return nil
}

// partName is "schema.table", quoted where that would not be clear.
func partName(namespace, table string) string {
	if strings.Contains(namespace+table, ".") {
		return quotedName(namespace, table)
	}
	return namespace + "." + table
}

// columnList writes columns between commas.
func columnList(columns []string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = postgres.Identifier(c)
	}
	return strings.Join(list, ", ")
}

// addTable adds the rows of a table, in pieces when it is large.
func (p *point) addTable(part snapshot.Part, bytes, blocks int64, condition string) {
	r := read{table: quotedName(part.Schema, part.Table)}
	r.query = "SELECT " + columnList(part.Columns) + " FROM ONLY " + r.table + " WHERE %s"
	if condition != "" { // it begins with WHERE
		r.query = "SELECT " + columnList(part.Columns) + " FROM ONLY " + r.table + " " + condition + " AND %s"
		blocks = 0
	} else if len(part.Columns) > 0 {
		r.plain = "COPY " + r.table + " (" + columnList(part.Columns) + ") TO STDOUT"
	}
	n := p.addPart(part, r)
	count := min(bytes/pieceBytes, blocks)
	if count < 2 {
		p.pieces = append(p.pieces, snapshot.Piece{Part: n, Bytes: bytes})
		return
	}
	for i := range count {
		rows := fmt.Sprintf("ctid >= '(%d,0)'", i*blocks/count)
		if i < count-1 { // the last is open: blocks may have been added
			rows += fmt.Sprintf(" AND ctid < '(%d,0)'", (i+1)*blocks/count)
		}
		p.pieces = append(p.pieces, snapshot.Piece{Part: n, Range: rows, Bytes: bytes / count})
	}
}

func (p *point) addPart(part snapshot.Part, r read) int {
	p.parts, p.reads = append(p.parts, part), append(p.reads, r)
	if part.Name != largeObjectRights {
		p.content.Tables = append(p.content.Tables, snapshot.Table{Name: part.Name})
	}
	return len(p.parts) - 1
}

// largeObjectQuery reads large objects page by page. Their size is where their end is.
const largeObjectQuery = `SELECT m.oid, g.page, lo_get(m.oid, g.page * 1048576, 1048576) FROM pg_largeobject_metadata m
CROSS JOIN LATERAL generate_series(0, greatest(lo_lseek64(lo_open(m.oid, 262144), 0, 2) - 1, 0) / 1048576) AS g (page) WHERE %s`

const largeObjectRightsQuery = `SELECT m.oid, pg_get_userbyid(m.lomowner), obj_description(m.oid, 'pg_largeobject'), CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
FROM pg_largeobject_metadata m LEFT JOIN LATERAL aclexplode(m.lomacl) a ON a.grantee <> m.lomowner WHERE %s`

// addLargeObjects adds two parts, if there are large objects.
func (p *point) addLargeObjects(ctx context.Context) error {
	starts, err := query(ctx, p.lead, `SELECT oid::text, (SELECT pg_table_size('pg_largeobject'))::text FROM (SELECT oid, row_number() OVER (ORDER BY oid) AS n FROM pg_largeobject_metadata) m WHERE n % 1000 = 1 ORDER BY m.n`)
	if err != nil || len(starts) == 0 {
		return err
	}
	data := p.addPart(snapshot.Part{Name: largeObjects, Kind: snapshot.RowsPart, Columns: []string{"oid", "page", "data"}}, read{query: largeObjectQuery})
	rights := p.addPart(snapshot.Part{Name: largeObjectRights, Kind: snapshot.RowsPart, Columns: []string{"oid", "owner", "comment", "grantee", "privilege", "grantable"}}, read{query: largeObjectRightsQuery})
	for i, s := range starts {
		rows := "m.oid >= " + s[0]
		if i < len(starts)-1 {
			rows += " AND m.oid < " + starts[i+1][0]
		}
		p.pieces = append(p.pieces, snapshot.Piece{Part: data, Range: rows, Bytes: number(s[1]) / int64(len(starts))})
	}
	p.pieces = append(p.pieces, snapshot.Piece{Part: rights})
	return nil
}
