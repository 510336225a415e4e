package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	ddlpostgres "github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// Swap implements snapshot.Live. Databases change names; what the steps are, and what a run that is killed
// between them leaves:
//
//  1. our tables and the settings go from the live database into the one that was built: nothing has changed;
//  2. in one transaction, the live database is closed to new connections, and the other one is marked as the
//     one that will take its place: a later run that finds it so opens the live one again;
//  3. all sessions of the live database are ended, ours too;
//  4. in one transaction, both get their names, and their comments: done. The displaced one stays closed.
func (d *Database) Swap(ctx context.Context, session *migrate.Session, beside snapshot.Beside, displaced string, amend snapshot.Amend) error {
	b, ok := beside.(*built)
	if !ok {
		return fmt.Errorf("%T was not built beside a database of PostgreSQL", beside)
	}
	if err := d.Obstacles(ctx); err != nil {
		return err
	}
	if err := carry(ctx, session.Conn(), b.pool, amend); err != nil {
		return fmt.Errorf("carry the journal over: %w", err)
	}
	if err := d.carrySettings(ctx, b.d); err != nil {
		return fmt.Errorf("carry the settings of the database over: %w", err)
	}
	failpoint.Hit("restore: journal carried")
	b.shut()
	if err := d.exchange(ctx, session, b.name, displaced, fmt.Sprintf(buildingMark, b.manifest.ID, d.config.Database)); err != nil {
		return err
	}
	failpoint.Hit("restore: swapped")
	_, err := d.db.ExecContext(ctx, "DROP SCHEMA IF EXISTS "+restoreSchema+" CASCADE")
	if err != nil { // the next restore does it
		return nil //nolint:nilerr // the restore is done, and what is left is empty
	}
	return nil
}

// Return implements snapshot.Live: the same with a database that was displaced before.
func (d *Database) Return(ctx context.Context, session *migrate.Session, displaced, kept string, amend snapshot.Amend) (err error) {
	if err := d.Obstacles(ctx); err != nil {
		return err
	}
	mark, there, err := markOf(ctx, d.db, displaced)
	if err != nil {
		return err
	}
	wanted := fmt.Sprintf(displacedMark, d.config.Database)
	if !there || mark != wanted {
		return fmt.Errorf("there is no database %s that was displaced from the name %s", displaced, d.config.Database)
	}
	allow := func(ctx context.Context, yes bool) error {
		_, err := d.db.ExecContext(ctx, allowing(displaced, yes))
		return err
	}
	if err := allow(ctx, true); err != nil {
		return err
	}
	failpoint.Hit("undo: opened")
	if err := d.ready(ctx, session, displaced, amend); err != nil {
		return errors.Join(err, allow(context.WithoutCancel(ctx), false))
	}
	failpoint.Hit("restore: journal carried")
	if err := d.exchange(ctx, session, displaced, kept, wanted); err != nil {
		return errors.Join(err, allow(context.WithoutCancel(ctx), false))
	}
	failpoint.Hit("restore: swapped")
	return nil
}

// ready brings the journal and the settings into a database that comes back.
func (d *Database) ready(ctx context.Context, session *migrate.Session, name string, amend snapshot.Amend) error {
	other, err := d.neighbour(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = other.Close() }()
	if err := carry(ctx, session.Conn(), other.db, amend); err != nil {
		return fmt.Errorf("carry the journal over: %w", err)
	}
	if err := d.carrySettings(ctx, other); err != nil {
		return fmt.Errorf("carry the settings of the database over: %w", err)
	}
	return nil
}

// carry replaces our own tables by those of the live database, in one transaction. The lock comes with its
// fence, so that fences go on growing, and is given back there.
func carry(ctx context.Context, live *sql.Conn, into *sql.DB, amend snapshot.Amend) error {
	conn, err := into.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	dialect := (&Database{}).Dialect()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "DROP SCHEMA IF EXISTS switchback CASCADE"); err != nil {
		return err
	}
	for _, statement := range dialect.Install {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	for _, table := range []string{"meta", "journal", "lock"} {
		if err := carryTable(ctx, live, conn, dialect.Table(table)); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	for _, statement := range []string{
		"SELECT setval('switchback.journal_seq_seq', greatest((SELECT max(seq) FROM switchback.journal), 1))",
		"UPDATE switchback.lock SET token = '', session = '', expires = ''",
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if amend != nil {
		if err := amend(ctx, tx); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// carryTable copies the rows of a table from one connection to another.
func carryTable(ctx context.Context, from, to *sql.Conn, table string) error {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := copyTo(ctx, from, w, "COPY "+table+" TO STDOUT")
		_ = w.CloseWithError(err)
		done <- err
	}()
	err := copyFrom(ctx, to, r, "COPY "+table+" FROM STDIN")
	_ = r.CloseWithError(err)
	return errors.Join(<-done, err)
}

// carrySettings gives a database the rights, the limits and the settings of the live one, but for the comment,
// by which it is known until it has the name.
func (d *Database) carrySettings(ctx context.Context, to *Database) error {
	is, err := to.changeable(ctx)
	if err != nil {
		return err
	}
	want, err := d.changeable(ctx)
	if err != nil {
		return err
	}
	statements, err := scriptOf(is, want)
	if err != nil || len(statements) == 0 {
		return err
	}
	conn, err := to.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return together(ctx, conn, statements)
}

// changeable are the settings of the database that can be changed, but for the comment.
func (d *Database) changeable(ctx context.Context) (*schema.Database, error) {
	in := newInspection()
	if err := in.read(ctx, d.db, versionPart()); err != nil {
		return nil, err
	}
	for _, p := range []part{settingsPart(in.version), databaseGrantsPart()} {
		if err := in.read(ctx, d.db, p); err != nil {
			return nil, err
		}
	}
	return &schema.Database{Engine: "postgres", Settings: slices.DeleteFunc(in.settings, func(s *schema.Setting) bool { return s.Fixed || s.Name == "comment" })}, nil
}

// swapLock is the key of the lock of a swap in the database that it is done from.
func swapLock(name string) string {
	return fmt.Sprintf("%d, hashtext(%s)", lockKey>>32, ddlpostgres.Literal(name))
}

// exchange gives a database the name of the live one, which gets another.
func (d *Database) exchange(ctx context.Context, session *migrate.Session, other, displaced, mark string) error {
	home, err := maintenance(ctx, d.config)
	if err != nil {
		return err
	}
	defer func() { _ = home.Close() }()
	conn, err := home.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var alone bool
	if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock("+swapLock(d.config.Database)+")").Scan(&alone); err != nil {
		return err
	}
	if !alone {
		return errors.New("another run is swapping this database")
	}
	comment, _, err := markOf(ctx, d.db, d.config.Database)
	if err != nil {
		return err
	}
	return d.exchangeFrom(ctx, session, conn, renaming{live: d.config.Database, other: other, displaced: displaced, mark: mark, comment: comment})
}

// renaming says which databases get which names.
type renaming struct {
	live, other string
	displaced   string // the name that the live one gets
	mark        string // the comment on the other, which it keeps when nothing comes of it
	comment     string // on the live one, which goes on with the name
}

// exchangeFrom does so from a connection to another database. Once the live one is closed, nothing but the end
// of the process keeps it from being opened again.
func (d *Database) exchangeFrom(ctx context.Context, session *migrate.Session, conn *sql.Conn, r renaming) (err error) {
	session.Leave()
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*endingFor)
	defer cancel()
	defer func() {
		if err != nil {
			err = d.takenBack(work, r, err)
		}
	}()
	if err := together(work, conn, []string{allowing(r.live, false), commentOnDatabase(r.other, fmt.Sprintf(swappingMark, r.live)+r.mark)}); err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	failpoint.Hit("restore: closed")
	d.letGo()
	if err := vacate(ctx, work, conn, r.live, r.other); err != nil {
		return err
	}
	failpoint.Hit("restore: sessions ended")
	err = together(work, conn, []string{
		"ALTER DATABASE " + ddlpostgres.Identifier(r.live) + " RENAME TO " + ddlpostgres.Identifier(r.displaced),
		"ALTER DATABASE " + ddlpostgres.Identifier(r.other) + " RENAME TO " + ddlpostgres.Identifier(r.live),
		commentOnDatabase(r.live, r.comment), commentOnDatabase(r.displaced, fmt.Sprintf(displacedMark, r.live)),
	})
	if err != nil {
		return fmt.Errorf("rename the databases: %w", err)
	}
	return nil
}

// takenBack opens the live database again after an error. Where the answer to the renaming was lost, but not
// the renaming, there is none.
func (d *Database) takenBack(ctx context.Context, r renaming, because error) error {
	home, err := maintenance(ctx, d.config)
	if err != nil {
		return errors.Join(because, err)
	}
	defer func() { _ = home.Close() }()
	mark, there, err := markOf(ctx, home.db, r.displaced)
	if err == nil && there && mark == fmt.Sprintf(displacedMark, r.live) {
		return nil
	}
	conn, cerr := home.db.Conn(ctx)
	if cerr != nil {
		return errors.Join(because, cerr)
	}
	defer conn.Close()
	return errors.Join(because, together(ctx, conn, []string{allowing(r.live, true), commentOnDatabase(r.other, r.mark)}))
}

// allowing lets a database accept connections, or not.
func allowing(name string, yes bool) string {
	return fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS %t", ddlpostgres.Identifier(name), yes)
}

func commentOnDatabase(name, text string) string {
	if text == "" {
		return "COMMENT ON DATABASE " + ddlpostgres.Identifier(name) + " IS NULL"
	}
	return "COMMENT ON DATABASE " + ddlpostgres.Identifier(name) + " IS " + ddlpostgres.Literal(text)
}

// letGo closes the connections of the pool that nobody uses.
func (d *Database) letGo() {
	d.db.SetMaxIdleConns(0)
	d.db.SetMaxIdleConns(2)
}

// The sessions of a database are asked to end again and again, for so long.
const (
	endingFor   = 30 * time.Second
	endingEvery = 100 * time.Millisecond
)

// vacate ends all sessions of databases, until ctx ends; the work is done in a context that goes on. The
// sessions of the server itself, such as a vacuum, end when a database is renamed.
func vacate(ctx, work context.Context, conn *sql.Conn, names ...string) error {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = ddlpostgres.Literal(n)
	}
	deadline := time.Now().Add(endingFor)
	for {
		rows, err := query(work, conn, "SELECT pid::text, coalesce(usename, backend_type) || coalesce(' (' || nullif(application_name, '') || ')', ''), pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname IN ("+strings.Join(quoted, ", ")+") AND backend_type NOT LIKE 'autovacuum%'")
		if code(err) == notPermitted {
			return fmt.Errorf("end the sessions of the database: %w\n  next: as an administrator: GRANT pg_signal_backend TO this role; sessions of superusers have to be ended by one", err)
		}
		if err != nil {
			return fmt.Errorf("end the sessions of the database: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			var left []string
			for _, r := range rows {
				left = append(left, "process "+r[0]+" of "+r[1])
			}
			return fmt.Errorf("sessions of the database did not end in %s: %s", endingFor, strings.Join(left, ", "))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(endingEvery):
		}
	}
}

// reopen opens a database that a swap, killed before it was done, has closed. One that somebody else has
// closed stays so.
func reopen(ctx context.Context, config *pgx.ConnConfig) error {
	home, err := maintenance(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = home.Close() }()
	conn, err := home.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	prefix := fmt.Sprintf(swappingMark, config.Database)
	waiting, err := query(ctx, conn, "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE starts_with(shobj_description(oid, 'pg_database'), $1)", prefix)
	if err != nil || len(waiting) == 0 {
		return err
	}
	var alone bool
	if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock("+swapLock(config.Database)+")").Scan(&alone); err != nil {
		return err
	}
	if !alone {
		return errors.New("a restore is putting another database in the place of this one just now")
	}
	statements := []string{allowing(config.Database, true)}
	for _, w := range waiting {
		mark := strings.TrimPrefix(w[1], prefix)
		statements = append(statements, commentOnDatabase(w[0], mark))
		if mark == fmt.Sprintf(displacedMark, config.Database) {
			statements = append(statements, allowing(w[0], false))
		}
	}
	if err := together(ctx, conn, statements); err != nil {
		return fmt.Errorf("open the database again that a restore, which was killed, has closed: %w", err)
	}
	return nil
}
