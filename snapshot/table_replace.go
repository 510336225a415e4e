package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// ReplaceRows makes the rows of a live table those of the snapshot, in one transaction. Rows that are the same stay
// untouched. Without a session it only counts.
func (s *Store) ReplaceRows(ctx context.Context, session *migrate.Session, shelf Shelf, m *Manifest, actor string, o TableOptions) (*TableRestored, error) {
	return s.intoLive(ctx, session, shelf, m, actor, o, (*merging).replaceable, (*merging).replace)
}

// replaceable refuses what would break rows of other tables, or take them away: a foreign key may delete in its turn.
// Nobody writes to the table, or a row that points to it, from here on.
func (g *merging) replaceable(ctx context.Context, r *TableRestored) error {
	if g.dialect.Engine == migrate.Postgres {
		if _, err := g.exec(ctx, "LOCK TABLE "+g.live+" IN EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("lock %s: %w\n  next: the same when nothing writes to it, or with a longer --lock-timeout", r.Table, err)
		}
	}
	var broken []string
	others, cascades := 0, false
	for _, n := range g.model.Schemas {
		for _, t := range n.Tables {
			for _, k := range t.Constraints {
				switch {
				case !g.pointsHere(n.Name, k):
				case t == g.table:
					d := strings.ToUpper(k.Definition)
					cascades = cascades || strings.Contains(d, "ON DELETE CASCADE") || strings.Contains(d, "ON DELETE SET")
				default:
					others++
					orphans, err := g.wouldPointNowhere(ctx, n.Name, t, k)
					if err != nil {
						return err
					}
					if orphans > 0 {
						broken = append(broken, fmt.Sprintf("%d rows of %s", orphans, t.Name))
					}
				}
			}
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("%s point to rows that the snapshot does not have, or not by the primary key\n  next: --merge puts back what is missing, and leaves the others", strings.Join(broken, ", "))
	}
	if cascades && others > 0 {
		return fmt.Errorf("rows of %s that are deleted take others of it with them, and other tables point to those\n  next: --merge puts back what is missing, and leaves the others", r.Table)
	}
	return g.countOthers(ctx, r)
}

// wouldPointNowhere counts the rows of a table that point to a row which the snapshot does not have. Where they do
// not point to the primary key, any row that points here counts.
func (g *merging) wouldPointNowhere(ctx context.Context, namespace string, t *schema.Table, k *schema.Constraint) (int64, error) {
	to := k.References.Columns
	if len(to) == 0 {
		to = g.key
	}
	var set, same []string
	byKey := len(to) == len(g.key) && len(to) == len(k.Columns)
	for i, c := range k.Columns {
		column := "c." + g.dialect.Quote(c)
		set = append(set, column+" IS NOT NULL")
		if byKey {
			same = append(same, "s."+g.dialect.Quote(to[i])+" = "+column)
			byKey = slices.ContainsFunc(g.key, func(x string) bool { return strings.EqualFold(x, to[i]) })
		}
	}
	query := "SELECT count(*) FROM " + g.dialect.QuoteTable(namespace, t.Name) + " c WHERE " + strings.Join(set, " AND ")
	if byKey {
		query += " AND NOT EXISTS (SELECT 1 FROM " + g.staged + " s WHERE " + strings.Join(same, " AND ") + ")"
	}
	if g.mysql() {
		query += " LOCK IN SHARE MODE"
	}
	n, err := countRows(ctx, g.conn, query)
	if err != nil {
		return 0, fmt.Errorf("count the rows of %s that point here: %w", t.Name, err)
	}
	return n, nil
}

func (g *merging) mysql() bool {
	return g.dialect.Engine == migrate.MySQL || g.dialect.Engine == migrate.MariaDB
}

// countOthers counts the rows that are not in the snapshot, and those that are otherwise there.
func (g *merging) countOthers(ctx context.Context, r *TableRestored) (err error) {
	if len(g.key) == 0 {
		r.Missing = r.Rows
		r.Removed, err = countRows(ctx, g.conn, "SELECT count(*) FROM "+g.live)
		return err
	}
	if r.Removed, err = countRows(ctx, g.conn, "SELECT count(*) FROM "+g.live+" l WHERE "+g.added()); err != nil {
		return fmt.Errorf("count the rows of %s that are new: %w", r.Table, err)
	}
	r.Changed, err = g.differing(ctx)
	return err
}

// differing counts the rows that are otherwise in the snapshot.
func (g *merging) differing(ctx context.Context) (int64, error) {
	if len(g.values()) == 0 {
		return 0, nil
	}
	n, err := countRows(ctx, g.conn, "SELECT count(*) FROM "+g.live+" l JOIN "+g.staged+" s ON "+g.sameKey()+" WHERE "+g.differs())
	if err != nil {
		return 0, fmt.Errorf("count the rows that differ: %w", err)
	}
	return n, nil
}

// added is the condition on a live row l that the snapshot has none with its key.
func (g *merging) added() string {
	return "NOT EXISTS (SELECT 1 FROM " + g.staged + " s WHERE " + g.sameKey() + ")"
}

// values are the columns besides the key that can be written.
func (g *merging) values() []string {
	return slices.DeleteFunc(slices.Clone(g.columns), func(name string) bool {
		return slices.Contains(g.key, name) || strings.HasPrefix(strings.ToLower(g.column(name).Identity), "always")
	})
}

// differs is the condition that a value of a live row l and of one of the snapshot s are not the same, to the byte.
func (g *merging) differs() string {
	var list []string
	for _, c := range g.values() {
		l, s := "l."+g.dialect.Quote(c), "s."+g.dialect.Quote(c)
		switch {
		case g.dialect.Engine == migrate.Postgres:
			list = append(list, l+"::text IS DISTINCT FROM "+s+"::text")
		case g.mysql():
			list = append(list, "NOT ("+l+" <=> "+s+")", "NOT (CAST("+l+" AS BINARY) <=> CAST("+s+" AS BINARY))")
		default:
			list = append(list, l+" IS NOT "+s+" COLLATE BINARY", "typeof("+l+") <> typeof("+s+")")
		}
	}
	return "(" + strings.Join(list, " OR ") + ")"
}

// replace removes, changes and puts back, in an order in which the table's own keys hold.
func (g *merging) replace(ctx context.Context, r *TableRestored) error {
	self := slices.ContainsFunc(g.table.Constraints, func(k *schema.Constraint) bool { return g.pointsHere(g.schema, k) })
	order := []step{(*merging).remove, (*merging).change, (*merging).add}
	if self && len(g.key) > 0 { // what is pointed to has to be there first, and goes last
		slices.Reverse(order[1:])
		order = append(order[1:], order[0])
	}
	err := g.selfReferring(ctx, func() error {
		for _, f := range order {
			if err := f(g, ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("replace the rows: %w\n  next: the same without --replace, and take the rows from the copy", err)
	}
	n, err := countRows(ctx, g.conn, "SELECT count(*) FROM "+g.live)
	if err != nil {
		return fmt.Errorf("count the rows of %s: %w", r.Table, err)
	}
	if n != r.Rows {
		return fmt.Errorf("the table would have %d rows, not %d: a trigger or a rule has a hand in it\n  next: the same without --replace, and take the rows from the copy", n, r.Rows)
	}
	if len(g.key) > 0 {
		if r.Differ, err = g.differing(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (g *merging) remove(ctx context.Context, r *TableRestored) (err error) {
	statement := "DELETE FROM " + g.live
	if len(g.key) > 0 {
		statement += " AS l WHERE " + g.added()
		if g.mysql() {
			statement = "DELETE l FROM " + g.live + " AS l WHERE " + g.added()
		}
	}
	r.Removed, err = g.exec(ctx, statement)
	return err
}

func (g *merging) change(ctx context.Context, r *TableRestored) (err error) {
	if len(g.key) == 0 || len(g.values()) == 0 {
		return nil
	}
	var set []string
	for _, c := range g.values() {
		q := g.dialect.Quote(c)
		if g.mysql() {
			set = append(set, "l."+q+" = s."+q)
		} else {
			set = append(set, q+" = s."+q)
		}
	}
	list := strings.Join(set, ", ")
	statement := "UPDATE " + g.live + " AS l SET " + list + " FROM " + g.staged + " s WHERE " + g.sameKey() + " AND " + g.differs()
	if g.mysql() {
		statement = "UPDATE " + g.live + " l JOIN " + g.staged + " s ON " + g.sameKey() + " SET " + list + " WHERE " + g.differs()
	}
	r.Changed, err = g.exec(ctx, statement)
	return err
}

func (g *merging) add(ctx context.Context, r *TableRestored) (err error) {
	condition := "1 = 1"
	if len(g.key) > 0 {
		condition = g.missing()
	}
	r.Missing, err = g.insert(ctx, condition)
	return err
}
