package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Merge puts those rows of a table back that are missing in the live one by their primary key, in one transaction.
// Without a session it only counts.
func (s *Store) Merge(ctx context.Context, session *migrate.Session, shelf Shelf, m *Manifest, actor string, o TableOptions) (*TableRestored, error) {
	return s.intoLive(ctx, session, shelf, m, actor, o, (*merging).keyed, (*merging).putBack)
}

// step is something that is done with a live table.
type step func(g *merging, ctx context.Context, r *TableRestored) error

// intoLive does something to the rows of a live table, if it may be done, in one transaction with its entry in the
// journal.
func (s *Store) intoLive(ctx context.Context, session *migrate.Session, shelf Shelf, m *Manifest, actor string, o TableOptions, may, do step) (*TableRestored, error) {
	begun := time.Now()
	r := &TableRestored{ID: m.ID, Table: o.Table, DryRun: session == nil}
	err := func() error {
		if m.Masked != "" {
			return errors.New("its rows were masked, and do not go into a live table\n  next: the same without --merge and --replace makes a copy beside it")
		}
		f, err := s.find(ctx, shelf, m, o)
		if err != nil {
			return err
		}
		model, err := shelf.Inspect(ctx)
		if err != nil {
			return err
		}
		t := f.live(model)
		if t == nil {
			return fmt.Errorf("there is no live table %s\n  next: the same without --merge and --replace, --as %s", f, f.name)
		}
		r.Table, r.Rows = f.String(), f.rows
		return s.lay(ctx, shelf, f, "", o, func(l Laid, path string, columns []string) error {
			g, err := newMerging(shelf, f, l, t, model, path, columns)
			if err != nil {
				return err
			}
			if err := may(g, ctx, r); err != nil {
				return err
			}
			if err := g.count(ctx, r); err != nil || session == nil {
				return err
			}
			if err := do(g, ctx, r); err != nil {
				return err
			}
			if err := l.Advance(ctx, f.schema, t.Name); err != nil {
				return err
			}
			failpoint.Hit("restore table: rows written")
			e := migrate.Entry{
				Kind: migrate.RunEntry, Status: migrate.Done,
				Action: fmt.Sprintf("restore table %s of snapshot %s: %d rows back, %d changed, %d removed", r.Table, m.ID, r.Missing, r.Changed, r.Removed),
			}
			if err := amend(shelf, session, []migrate.Entry{e}, actor)(ctx, l.Conn()); err != nil {
				return err
			}
			failpoint.Hit("restore table: before commit")
			if err := l.Commit(ctx); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
			failpoint.Hit("restore table: committed")
			return nil
		})
	}()
	if err != nil {
		return nil, tableFailed(m, o.Table, err)
	}
	r.Finished = since(begun)
	return r, nil
}

// merging is a live table with the rows of a snapshot beside it, in a transaction.
type merging struct {
	dialect migrate.Dialect
	conn    *sql.Conn
	model   *schema.Database
	schema  string
	table   *schema.Table
	live    string   // as SQL names it
	staged  string   // the same of the snapshot's rows
	columns []string // that both have, as the live table writes them
	key     []string // the primary key; empty when there is none
}

// newMerging refuses a table whose columns of then it does not have any more.
func newMerging(shelf Shelf, f *found, l Laid, t *schema.Table, model *schema.Database, staged string, columns []string) (*merging, error) {
	d := shelf.Dialect()
	g := &merging{dialect: d, conn: l.Conn(), model: model, schema: f.schema, table: t, live: d.QuoteTable(f.schema, t.Name), staged: staged}
	if d.Engine == migrate.SQLite {
		g.live = "main." + g.live
	}
	var gone []string
	for _, name := range columns {
		c := g.column(name)
		if c == nil || c.Generated != "" {
			gone = append(gone, name)
			continue
		}
		g.columns = append(g.columns, c.Name)
	}
	if len(gone) > 0 {
		return nil, fmt.Errorf("the live table has no columns %s any more, or computes them\n  next: the same without --merge and --replace makes a copy beside it", strings.Join(gone, ", "))
	}
	g.key = t.KeyColumns()
	for _, k := range g.key {
		if !slices.Contains(g.columns, k) {
			return nil, fmt.Errorf("the column %s of the primary key was not in the snapshot, so rows cannot be told apart\n  next: the same without --merge and --replace makes a copy beside it", k)
		}
	}
	return g, nil
}

// column is a column of the live table. Only PostgreSQL tells case apart.
func (g *merging) column(name string) *schema.Column {
	for _, c := range g.table.Columns {
		if c.Name == name || g.dialect.Engine != migrate.Postgres && strings.EqualFold(c.Name, name) {
			return c
		}
	}
	return nil
}

// count counts what the live table has, and which rows of the snapshot are missing there.
func (g *merging) count(ctx context.Context, r *TableRestored) error {
	now, err := countRows(ctx, g.conn, "SELECT count(*) FROM "+g.live)
	if err != nil {
		return fmt.Errorf("count the rows of %s: %w", r.Table, err)
	}
	r.RowsNow = &now
	if len(g.key) == 0 {
		return nil
	}
	if r.Missing, err = countRows(ctx, g.conn, "SELECT count(*) FROM "+g.staged+" s WHERE "+g.missing()); err != nil {
		return fmt.Errorf("count the missing rows of %s: %w", r.Table, err)
	}
	return nil
}

// missing is the condition on a row s of the snapshot that the live table has none with its key.
func (g *merging) missing() string {
	return "NOT EXISTS (SELECT 1 FROM " + g.live + " l WHERE " + g.sameKey() + ")"
}

// sameKey joins a live row l and one of the snapshot s.
func (g *merging) sameKey() string {
	equal := " = "
	if g.dialect.Engine == migrate.SQLite { // a key that is no whole number may be null there
		equal = " IS "
	}
	list := make([]string, len(g.key))
	for i, k := range g.key {
		list[i] = "l." + g.dialect.Quote(k) + equal + "s." + g.dialect.Quote(k)
	}
	return strings.Join(list, " AND ")
}

// insert inserts rows of the snapshot for which a condition holds.
func (g *merging) insert(ctx context.Context, condition string) (int64, error) {
	quoted := make([]string, len(g.columns))
	for i, c := range g.columns {
		quoted[i] = g.dialect.Quote(c)
	}
	list, overriding := strings.Join(quoted, ", "), ""
	if g.dialect.Engine == migrate.Postgres {
		overriding = " OVERRIDING SYSTEM VALUE"
	}
	return g.exec(ctx, fmt.Sprintf("INSERT INTO %s (%s)%s SELECT %s FROM %s s WHERE %s%s", g.live, list, overriding, list, g.staged, condition, g.unlessThere()))
}

// unlessThere passes over a row whose key somebody else has inserted just now, where the engine can tell that from
// another unique key.
func (g *merging) unlessThere() string {
	deferrable := slices.ContainsFunc(g.table.Constraints, func(k *schema.Constraint) bool {
		return k.Type == schema.PrimaryKey && strings.Contains(k.Definition, "DEFERRABLE")
	})
	if g.dialect.Engine != migrate.Postgres || len(g.key) == 0 || deferrable {
		return ""
	}
	list := make([]string, len(g.key))
	for i, k := range g.key {
		list[i] = g.dialect.Quote(k)
	}
	return " ON CONFLICT (" + strings.Join(list, ", ") + ") DO NOTHING"
}

func (g *merging) exec(ctx context.Context, statement string) (int64, error) {
	result, err := g.conn.ExecContext(ctx, statement)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// keyed refuses a table without a primary key.
func (g *merging) keyed(_ context.Context, r *TableRestored) error {
	if len(g.key) == 0 {
		return fmt.Errorf("%s has no primary key, so it cannot be told which rows are missing\n  next: the same without --merge makes a copy beside it, to compare by hand", r.Table)
	}
	return nil
}

// putBack inserts the rows that are missing. A row that another unique key or a foreign key keeps out is an error:
// nothing is left out in silence.
func (g *merging) putBack(ctx context.Context, r *TableRestored) error {
	err := g.selfReferring(ctx, func() (err error) {
		r.Missing, err = g.insert(ctx, g.missing())
		return err
	})
	if err != nil {
		return fmt.Errorf("put the rows back: %w\n  next: restore the table first that they point to; or the same without --merge, and take the rows from the copy", err)
	}
	return nil
}

// selfReferring runs f, which writes rows of a table that may point to each other. MySQL checks that row by row, in
// whatever order they come, so there it is checked afterwards.
func (g *merging) selfReferring(ctx context.Context, f func() error) error {
	if !g.mysql() || !slices.ContainsFunc(g.table.Constraints, func(k *schema.Constraint) bool { return g.pointsHere(g.schema, k) }) {
		return f()
	}
	before, err := g.orphans(ctx)
	if err != nil {
		return err
	}
	if _, err := g.exec(ctx, "SET SESSION foreign_key_checks = 0"); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	if _, err := g.exec(ctx, "SET SESSION foreign_key_checks = 1"); err != nil {
		return err
	}
	after, err := g.orphans(ctx)
	if err == nil && after > before {
		err = fmt.Errorf("%d rows point to rows that are not there", after-before)
	}
	return err
}

// orphans counts live rows that point to nothing, and keeps those they point to.
func (g *merging) orphans(ctx context.Context) (int64, error) {
	var total int64
	for _, k := range g.table.Constraints {
		if k.Type != schema.ForeignKey || k.References == nil {
			continue
		}
		var set, same []string
		for i, c := range k.Columns {
			set = append(set, "c."+g.dialect.Quote(c)+" IS NOT NULL")
			same = append(same, "p."+g.dialect.Quote(k.References.Columns[i])+" = c."+g.dialect.Quote(c))
		}
		parent := g.dialect.Quote(k.References.Table)
		if k.References.Schema != "" && k.References.Schema != "main" {
			parent = g.dialect.Quote(k.References.Schema) + "." + parent
		}
		n, err := countRows(ctx, g.conn, fmt.Sprintf("SELECT count(*) FROM %s c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s LOCK IN SHARE MODE)",
			g.live, strings.Join(set, " AND "), parent, strings.Join(same, " AND ")))
		if err != nil {
			return 0, fmt.Errorf("count the rows that point to nothing: %w", err)
		}
		total += n
	}
	return total, nil
}

// pointsHere tells whether a constraint of a table in that schema is a foreign key to this table.
func (g *merging) pointsHere(from string, k *schema.Constraint) bool {
	if k.Type != schema.ForeignKey || k.References == nil {
		return false
	}
	to := k.References.Schema
	if to == "" {
		to = from
	}
	if g.dialect.Engine != migrate.Postgres {
		return (to == "" || to == from) && strings.EqualFold(k.References.Table, g.table.Name)
	}
	return to == g.schema && k.References.Table == g.table.Name
}
