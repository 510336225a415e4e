package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// displacedNotes is the table of a displaced database that says whose it is and what its schema was: its views, routines,
// triggers and events are in there.
const displacedNotes = "switchback_displaced"

// swapNotes is the table of the live database that says what exchange is under way. A run that finds it finishes that
// first, or takes it back.
const swapNotes = "switchback_swap"

// exchange puts the tables of another database of the server in the place of the live ones, which go to a third, in
// one RENAME TABLE, which the servers do whole or not at all. The journal goes with them, as it is, with what
// amend adds: so the journal tells of the exchange exactly when it took place.
//
// Triggers do not move between databases, and views, routines and events not at all. On MySQL all is done under LOCK
// TABLES, which keeps everybody out until the new tables have their triggers. MariaDB renames no table that is locked: there
// writes that come in the moment around the rename find no triggers. Views, routines and events follow, with the script
// from what there is to what has to be; those that are the same in both are left alone.
func (d *Database) exchange(ctx context.Context, session *migrate.Session, from *Database, keep string, wanted *schema.Database, amend snapshot.Amend) error {
	if err := d.refuseInbound(ctx, from.name); err != nil {
		return err
	}
	x := &exchange{d: d, conn: session.Conn(), from: from, keep: keep}
	if err := x.prepare(ctx, wanted, amend); err != nil {
		return err
	}
	failpoint.Hit("restore: before")
	if err := x.swap(ctx); err != nil {
		return errors.Join(err, d.finishExchange(context.WithoutCancel(ctx), x.conn))
	}
	failpoint.Hit("restore: after")
	return d.finishExchange(ctx, x.conn)
}

// Obstacles implements snapshot.Obstructed.
func (d *Database) Obstacles(ctx context.Context) error {
	return d.refuseInbound(ctx, d.named("__restore"))
}

// refuseInbound refuses when tables of other databases have foreign keys into this one: these would follow what is
// displaced.
func (d *Database) refuseInbound(ctx context.Context, except string) error {
	var found []string
	err := show(ctx, d.db, []string{"SELECT DISTINCT table_schema, table_name FROM information_schema.key_column_usage WHERE referenced_table_schema = DATABASE() AND table_schema <> DATABASE()"},
		func(_ int, r []string) {
			if r[0] != except {
				found = append(found, r[0]+"."+r[1])
			}
		})
	if err != nil {
		return fmt.Errorf("look for foreign keys of other databases: %w", err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%s: tables of other databases have foreign keys into %s, which would follow what is displaced\n  next: drop these keys, restore, and add them again", strings.Join(found, ", "), d.name)
	}
	return nil
}

// exchange is one under way.
type exchange struct {
	d             *Database
	conn          *sql.Conn // the session's: whoever loses the lock loses it
	from          *Database
	keep          string
	rename        string // the statement
	lock          string // the statement
	drop, trigger *ddl.Script
}

// prepare does all that can be done before anything of the live database changes.
func (x *exchange) prepare(ctx context.Context, wanted *schema.Database, amend snapshot.Amend) error {
	if err := x.carry(ctx, amend); err != nil {
		return fmt.Errorf("carry the journal over: %w", err)
	}
	all, err := x.d.inspectAll(ctx)
	if err != nil {
		return err
	}
	before, after := visible(all), clone(wanted)
	grantsOf(after, before)
	if err := x.plan(ctx, all, after); err != nil {
		return err
	}
	if err := x.d.createDatabase(ctx, x.keep); err != nil {
		return fmt.Errorf("make the database that keeps what is displaced: %w", err)
	}
	was, err := document(before)
	if err != nil {
		return err
	}
	is, err := document(after)
	if err != nil {
		return err
	}
	if err := writeNotes(ctx, x.d.db, quote(x.keep)+"."+displacedNotes, map[string]string{"of": x.d.name, "model": was}); err != nil {
		return err
	}
	return writeNotes(ctx, x.d.db, swapNotes, map[string]string{"from": x.from.name, "keep": x.keep, "before": was, "after": is})
}

func document(model *schema.Database) (string, error) {
	var text strings.Builder
	err := model.Save(&text)
	return text.String(), err
}

// carry makes the journal that will be live: the live one, with what amend adds. The lock keeps others from writing to
// it.
func (x *exchange) carry(ctx context.Context, amend snapshot.Amend) error {
	live := quote(x.d.name) + ".switchback_journal"
	for _, s := range []string{
		"DROP TABLE IF EXISTS switchback_journal, switchback_meta, switchback_lock",
		"CREATE TABLE switchback_journal LIKE " + live,
		"INSERT INTO switchback_journal SELECT * FROM " + live,
	} {
		if err := ddlOn(ctx, x.from.db, s); err != nil {
			return err
		}
	}
	if amend == nil {
		return nil
	}
	return amend(ctx, x.from.db)
}

// moved tells whether a table moves with the contents. Of our own these are the journal and the attic.
func moved(name string) bool { return copied(name) && name != "switchback_meta" }

// plan writes the statements of the swap.
func (x *exchange) plan(ctx context.Context, all, after *schema.Database) error {
	before := visible(all)
	built, err := x.from.inspectQuiet(ctx)
	if err != nil {
		return err
	}
	var renames, locks []string
	add := func(name, from, to string) {
		renames = append(renames, fmt.Sprintf("%s.%s TO %s.%s", quote(from), quote(name), quote(to), quote(name)))
	}
	for _, side := range []struct {
		model    *schema.Database
		from, to string
	}{{all, x.d.name, x.keep}, {built, x.from.name, x.d.name}} {
		for _, t := range side.model.Schemas[0].Tables {
			if moved(t.Name) {
				add(t.Name, side.from, side.to)
				locks = append(locks, quote(side.from)+"."+quote(t.Name)+" WRITE")
			}
		}
		for _, q := range side.model.Schemas[0].Sequences {
			add(q.Name, side.from, side.to)
		}
	}
	x.rename, x.lock = "RENAME TABLE "+strings.Join(renames, ", "), "LOCK TABLES "+strings.Join(locks, ", ")
	// What was built has its triggers, to prove them. They are made again where it goes.
	// A run that is killed here finds them missing.
	if _, err := x.from.db.ExecContext(ctx, fmt.Sprintf("DELETE FROM %s WHERE name = 'stage %d'", ledger, stagePrograms)); err != nil && !isError(err, 1146) {
		return err
	}
	shown := visible(built)
	if err := runOn(ctx, x.from.db, shown, withoutTriggers(shown)); err != nil {
		return err
	}
	if x.drop, err = scriptTo(before, withoutTriggers(before)); err != nil {
		return err
	}
	x.trigger, err = scriptTo(withoutTriggers(after), after)
	return err
}

func withoutTriggers(model *schema.Database) *schema.Database {
	m := clone(model)
	for _, t := range m.Schemas[0].Tables {
		t.Triggers = nil
	}
	return m
}

// runOn runs the script from one model to another on a connection of its own.
func runOn(ctx context.Context, db *sql.DB, from, to *schema.Database) error {
	script, err := scriptTo(from, to)
	if err != nil {
		return err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer discard(c)
	return runScript(ctx, c, script)
}

// swap is the part that others wait for. Where a lock is not had in time, they have their turn before it is tried
// again.
func (x *exchange) swap(ctx context.Context) error {
	for try := 1; ; try++ {
		err := x.once(ctx)
		if err == nil || !x.d.IsLockTimeout(err) || try == tries {
			return err
		}
		if err := pause(ctx, time.Duration(try)*100*time.Millisecond); err != nil {
			return err
		}
	}
}

func (x *exchange) once(ctx context.Context) (err error) {
	locked := x.d.engine == migrate.MySQL
	if locked {
		if _, err := x.conn.ExecContext(ctx, x.lock); err != nil {
			return fmt.Errorf("lock the tables: %w", err)
		}
		defer func() {
			_, uerr := x.conn.ExecContext(context.WithoutCancel(ctx), "UNLOCK TABLES")
			err = errors.Join(err, uerr)
		}()
	}
	if err := x.dropTriggers(ctx); err != nil {
		return err
	}
	failpoint.Hit("restore: triggers dropped")
	if _, err := x.conn.ExecContext(ctx, x.rename); err != nil {
		if !locked {
			return fmt.Errorf("rename the tables: %w", err)
		}
		// Those who wait find the triggers as they were.
		return errors.Join(fmt.Errorf("rename the tables: %w", err), x.undrop(context.WithoutCancel(ctx)))
	}
	failpoint.Hit("restore: renamed")
	if err := runScript(ctx, x.conn, x.trigger); err != nil {
		return fmt.Errorf("make the triggers: %w", err)
	}
	return nil
}

// dropTriggers drops those that are there: an earlier try may have dropped some.
func (x *exchange) dropTriggers(ctx context.Context) error {
	for _, st := range x.drop.Statements {
		if !strings.HasPrefix(st.SQL, "DROP TRIGGER ") {
			continue
		}
		if err := ddlOn(ctx, x.conn, st.SQL); err != nil && !isError(err, 1360) {
			return fmt.Errorf("drop the triggers: %w", err)
		}
	}
	return nil
}

// undrop makes the dropped triggers again.
func (x *exchange) undrop(ctx context.Context) error {
	notes, err := readNotes(ctx, x.d.db, swapNotes)
	if err != nil {
		return err
	}
	before, err := readModel(notes["before"])
	if err != nil {
		return err
	}
	script, err := scriptTo(withoutTriggers(before), before)
	if err != nil {
		return err
	}
	return runScript(ctx, x.conn, script)
}

// finishExchange finishes an exchange that is under way: once the tables were renamed, the rest is made to what has to be,
// else to what was. Without one it does nothing.
func (d *Database) finishExchange(ctx context.Context, conn *sql.Conn) error {
	notes, err := readNotes(ctx, d.db, swapNotes)
	if isError(err, 1146) {
		return nil
	}
	if err != nil {
		return err
	}
	to := ""
	if len(notes) > 0 {
		if to, err = d.sideOf(ctx, notes); err != nil {
			return err
		}
		wanted, err := readModel(notes[to])
		if err != nil {
			return err
		}
		is, err := d.Inspect(ctx)
		if err != nil {
			return err
		}
		script, err := scriptTo(is, wanted)
		if err != nil {
			return err
		}
		if err := runScript(ctx, conn, script); err != nil {
			return fmt.Errorf("make views, routines, triggers and events (the tables are those of %s the exchange): %w", to, err)
		}
	}
	failpoint.Hit("restore: programs made")
	// What holds no table any more goes, so that nobody takes it for something that can be live.
	empty := map[string]string{"before": notes["keep"], "after": notes["from"]}[to]
	if empty != "" {
		if err := ddlOn(ctx, d.db, "DROP DATABASE IF EXISTS "+quote(empty)); err != nil {
			return err
		}
	}
	return ddlOn(ctx, d.db, "DROP TABLE "+swapNotes)
}

// sideOf tells on which side of the rename the tables are, by where the journal is.
func (d *Database) sideOf(ctx context.Context, notes map[string]string) (string, error) {
	var n int
	err := d.db.QueryRowContext(ctx, "SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = 'switchback_journal'", notes["keep"]).Scan(&n)
	if n > 0 {
		return "after", err
	}
	return "before", err
}

// writeNotes makes a table of names and texts, with these in it or empty.
func writeNotes(ctx context.Context, db *sql.DB, table string, notes map[string]string) error {
	if err := ddlOn(ctx, db, "CREATE TABLE IF NOT EXISTS "+table+" (name VARCHAR(64) PRIMARY KEY, value LONGTEXT NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"); err != nil {
		return fmt.Errorf("note what is under way: %w", err)
	}
	var rows []string
	var values []any
	for name, value := range notes {
		rows, values = append(rows, "(?, ?)"), append(values, name, value)
	}
	if _, err := db.ExecContext(ctx, "REPLACE INTO "+table+" VALUES "+strings.Join(rows, ", "), values...); err != nil {
		return fmt.Errorf("note what is under way: %w", err)
	}
	return nil
}

func readNotes(ctx context.Context, db *sql.DB, table string) (map[string]string, error) {
	m := map[string]string{}
	return m, show(ctx, db, []string{"SELECT name, value FROM " + table}, func(_ int, r []string) { m[r[0]] = r[1] })
}
