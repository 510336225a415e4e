package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	ddlpostgres "github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

var _ snapshot.Shelf = (*Database)(nil)

// Names implements snapshot.Shelf.
func (d *Database) Names(context.Context) (snapshot.Names, error) {
	return snapshot.Names{Lower: true, Public: "public", Bytes: nameLength}, nil
}

// PartsOf implements snapshot.Shelf: those of the table itself, and of its partitions.
func (d *Database) PartsOf(m *snapshot.Manifest, model *schema.Database, namespace, table string) []snapshot.Part {
	of := []string{quotedName(namespace, table)}
	var list []snapshot.Part
	for i := 0; i < len(of); i++ {
		for _, s := range model.Schemas {
			for _, t := range s.Tables {
				if schema.Value(t.Options, "partition of") == of[i] {
					of = append(of, quotedName(s.Name, t.Name))
				}
			}
		}
	}
	for _, p := range m.Parts {
		if p.Kind == snapshot.RowsPart && p.Table != "" && slices.Contains(of, quotedName(p.Schema, p.Table)) {
			list = append(list, p)
		}
	}
	return list
}

// laid is a table of a snapshot in a transaction that nobody else sees.
type laid struct {
	t       snapshot.LaidTable
	pool    *sql.DB
	conn    *sql.Conn
	path    string
	columns []string
}

// staged is the name of a table that goes with its transaction.
const staged = "switchback_restoring"

// tied are the options by which a table is bound to others, or to where it is.
var tied = []string{
	"partition key", "partition of", "partition bound", "inherits", "of type", "row security", "replica identity",
	"cluster on", "tablespace", "persistence", "inherited",
}

// Lay implements snapshot.Shelf. All of it is one transaction.
func (d *Database) Lay(ctx context.Context, t snapshot.LaidTable) (_ snapshot.Laid, err error) {
	l := &laid{t: t, pool: d.sessions(t.LockTimeout)}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close(context.WithoutCancel(ctx)))
		}
	}()
	name := t.As
	if name == "" {
		name = staged
	}
	if parent := partitionOf(t); parent != "" {
		return nil, fmt.Errorf("%s is a partition of %s\n  next: the same with --table %s", t.Table, parent, parent)
	}
	empty, one, err := snapshot.Bare(t.Model, t.Schema, t.Table, name, tied...)
	if err != nil {
		return nil, err
	}
	table := one.Schemas[0].Tables[0]
	if schema.Value(table.Options, "foreign") != "" {
		return nil, fmt.Errorf("%s is a foreign table, whose rows are elsewhere", t.Table)
	}
	if k := table.PrimaryKey(); k != nil {
		k.Name = automaticName(name, "", "pkey")
	}
	for _, c := range table.Columns {
		if c.Generated == "" {
			l.columns = append(l.columns, c.Name)
		}
	}
	statements, err := scriptOf(empty, one)
	if err != nil {
		return nil, err
	}
	l.path = quotedName(t.Schema, name)
	if t.As == "" {
		l.path = "pg_temp." + name
		for i, s := range statements {
			s = strings.Replace(s, "CREATE TABLE ", "CREATE TEMPORARY TABLE ", 1)
			statements[i] = strings.Replace(s, quotedName(t.Schema, name), l.path, 1)
		}
	}
	if l.conn, err = l.pool.Conn(ctx); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	for _, s := range append([]string{"BEGIN"}, statements...) {
		if _, err := simple(ctx, l.conn, s); err != nil {
			return nil, fmt.Errorf("make the table %s: %w", name, failed(s, err))
		}
	}
	return l, nil
}

// partitionOf is the table that a table of a snapshot is a partition of, or empty. The model has its columns there.
func partitionOf(t snapshot.LaidTable) string {
	s := t.Model.Schema(t.Schema)
	if s == nil || s.Table(t.Table) == nil {
		return ""
	}
	return schema.Value(s.Table(t.Table).Options, "partition of")
}

// Load implements snapshot.Laid.
func (l *laid) Load(ctx context.Context, p snapshot.Part, _ snapshot.Chunk, from io.Reader) error {
	columns := ""
	if len(p.Columns) > 0 {
		columns = " (" + columnList(p.Columns) + ")"
	}
	return copyFrom(ctx, l.conn, from, "COPY "+l.path+columns+" FROM STDIN")
}

// Rows implements snapshot.Laid. The settings of copying end here: triggers of the live table act under the
// database's own.
func (l *laid) Rows(ctx context.Context) (path string, columns []string, err error) {
	own := "ANALYZE " + l.path + "; RESET search_path; RESET datestyle; RESET intervalstyle; RESET timezone; RESET extra_float_digits; RESET bytea_output; RESET lc_monetary; RESET xmloption; RESET array_nulls"
	if _, err := simple(ctx, l.conn, own); err != nil {
		return "", nil, err
	}
	return l.path, l.columns, nil
}

// Conn implements snapshot.Laid.
func (l *laid) Conn() *sql.Conn { return l.conn }

// sequencesQuery lists the sequences from which columns of a table have their numbers, and by how much each counts.
const sequencesQuery = `
SELECT DISTINCT s.oid::regclass::text, quote_ident(a.attname), q.seqincrement::text
FROM pg_attribute a
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid
WHERE a.attrelid = $1::text::regclass
UNION
SELECT DISTINCT s.oid::regclass::text, quote_ident(a.attname), q.seqincrement::text
FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid
WHERE f.adrelid = $1::text::regclass AND a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)`

// Advance implements snapshot.Laid. A sequence never goes back.
func (l *laid) Advance(ctx context.Context, namespace, table string) error {
	live := quotedName(namespace, table)
	list, err := query(ctx, l.conn, sequencesQuery, live)
	if err != nil {
		return fmt.Errorf("list the sequences of %s: %w", live, err)
	}
	for _, r := range list {
		largest, beyond := "max", ">"
		if strings.HasPrefix(r[2], "-") {
			largest, beyond = "min", "<"
		}
		move := fmt.Sprintf("SELECT setval(%s, m) FROM (SELECT %s(%s) AS m FROM %s) t WHERE m %s (SELECT last_value FROM %s)",
			ddlpostgres.Literal(r[0]), largest, r[1], live, beyond, r[0])
		if _, err := simple(ctx, l.conn, move); err != nil {
			return fmt.Errorf("move the sequence %s on: %w", r[0], err)
		}
	}
	return nil
}

// Commit implements snapshot.Laid.
func (l *laid) Commit(ctx context.Context) error {
	if l.t.As == "" {
		if _, err := simple(ctx, l.conn, "DROP TABLE "+l.path); err != nil {
			return err
		}
	}
	_, err := simple(ctx, l.conn, "COMMIT")
	return err
}

// Close implements snapshot.Laid.
func (l *laid) Close(ctx context.Context) error {
	var err error
	if l.conn != nil {
		rollback(ctx, l.conn)
		err = l.conn.Close()
	}
	return errors.Join(err, l.pool.Close())
}
