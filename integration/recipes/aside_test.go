package recipes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// aside is a second table that has some of a version's columns, by a key of its own. Where it has no row, a column says
// what a row starts with.
type aside struct {
	table, key string
	columns    []string
}

// parted tells the columns of a version's table from those of the second one.
func (s shape) parted(names []string) (here, aside []string) {
	for _, n := range names {
		if slices.Contains(s.aside.columns, n) {
			aside = append(aside, n)
		} else {
			here = append(here, n)
		}
	}
	return here, aside
}

// reads is the expression that a version reads a column by.
func (s shape) reads(g tongue, c column) string {
	if !slices.Contains(s.aside.columns, c.name) {
		return g.quote(c.name)
	}
	initial := "NULL"
	if c.initial != nil {
		initial = fmt.Sprintf("'%s'", c.initial)
	}
	return fmt.Sprintf("CASE WHEN n.%s IS NULL THEN %s ELSE n.%s END", g.quote(s.aside.key), initial, g.quote(c.name))
}

// joins adds the second table to what is read.
func (s shape) joins(g tongue) string {
	if s.aside.table == "" {
		return ""
	}
	return fmt.Sprintf(" LEFT JOIN %s AS n ON n.%s = %s.id", g.quote(s.aside.table), g.quote(s.aside.key), g.quote(s.table))
}

// updateAside writes columns of the second table: rows that are not there, and none where nothing is left to say.
func (w *work) updateAside(rows []*record, names []string, set values) error {
	if len(names) == 0 {
		return nil
	}
	s := w.book.shape(w.side)
	silent := len(names) == len(s.aside.columns) && !slices.ContainsFunc(names, func(n string) bool { return set[n] != s.column(n).initial })
	if silent {
		return w.removeAside(rows)
	}
	sets := slices.Repeat([]values{set}, len(rows))
	return w.insertInto(s.aside.table, s.aside.key, rows, names, sets, true)
}

// removeAside removes rows of the second table, as a version does that cannot rely on its foreign key.
func (w *work) removeAside(rows []*record) error {
	s := w.book.shape(w.side)
	if s.aside.table == "" {
		return nil
	}
	where, args := w.where(s.aside.key, rows, nil)
	_, err := w.exec(fmt.Sprintf("DELETE FROM %s WHERE %s", w.tongue.quote(s.aside.table), where), args...)
	return err
}

// movedCase splits a table.
func movedCase() *matrixCase {
	const id, columns = "CREATE TABLE items (id bigint PRIMARY KEY, ", "bio varchar(60), tel varchar(60) DEFAULT 'none' NOT NULL, "
	const contacts = `CREATE TABLE contacts (item_id bigint NOT NULL, bio varchar(60), tel varchar(60) DEFAULT 'none' NOT NULL,
CONSTRAINT contacts_pkey PRIMARY KEY (item_id),
CONSTRAINT contacts_item_id_fkey FOREIGN KEY (item_id) REFERENCES items (id) ON UPDATE CASCADE ON DELETE CASCADE);`
	here := strings.NewReplacer("bigint NOT NULL", "integer", "bigint", "integer") // a bigint may be NULL in SQLite, key or not
	moved := []column{{name: "bio", values: maybe}, {name: "tel", values: cycle("none", "0049", "", "none", "1"), initial: "none"}}
	names := []string{"bio", "tel"}
	also := func(from values) values { return values{"bio": from["bio"], "tel": from["tel"]} }
	return &matrixCase{
		name:       "move columns to another table",
		verdicts:   map[string]string{"mariadb": refused + "MariaDB runs a write that waited while a trigger was made without the tables that the trigger names"},
		operations: every("move columns items (bio, tel) to contacts (item_id)"),
		before:     text{"": id + columns + "note varchar(60));", "sqlite": here.Replace(id + columns + "note varchar(60));")},
		after:      text{"": id + "note varchar(60));" + contacts, "sqlite": here.Replace(id + "note varchar(60));" + contacts)},
		blue:       shape{table: "items", columns: append(slices.Clone(moved), note)},
		green:      shape{table: "items", columns: append(slices.Clone(moved), note), aside: aside{"contacts", "item_id", names}},
		relations:  []relation{{old: names, new: names, up: also, down: also}},
	}
}

// TestMoveColumnsRefused plans moves that would lose rows, or stop the new version.
func TestMoveColumnsRefused(t *testing.T) {
	for _, x := range []struct{ table, operation, reason string }{
		{"CREATE TABLE items (id text PRIMARY KEY, bio text)", "move columns items (bio) to bios (item_id)", "may be NULL"},
		{"CREATE TABLE items (id integer PRIMARY KEY, at text DEFAULT (datetime('now')))", "move columns items (at) to moments (item_id)", "a default that is computed"},
		{"CREATE TABLE items (id integer PRIMARY KEY, bio text)", "move columns items (bio) to items (id)", "has to be a new table"},
		{"CREATE TABLE items (id integer PRIMARY KEY, bio text)", "move columns items (bio) to bios (item_id, other)", "as many columns as are named"},
		{"CREATE TABLE items (id integer PRIMARY KEY, bio text)", "move columns items (id) to bios (item_id)", "part of a key"},
	} {
		g := open(t, servers.SQLite(t))
		g.exec(x.table)
		_, err := g.plan(x.operation)
		var wrong *recipe.Error
		require.ErrorAs(t, err, &wrong, x.operation)
		require.Contains(t, wrong.Reason, x.reason)
	}
}
