package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// OpenPoint implements snapshot.Source. The moment is fixed while nobody can commit, which takes as long as it
// takes to begin the workers' transactions:
//
//   - MySQL: FLUSH TABLES WITH READ LOCK keeps writers out for the moment. It waits for statements that run, while
//     others queue behind it, so it is not begun while one has been running for longer than the lock timeout.
//     LOCK INSTANCE FOR BACKUP keeps DDL out for the whole copy, and lets everything else pass.
//   - MariaDB: BACKUP STAGE BLOCK_COMMIT keeps writers out for the moment. DDL is not kept out afterwards: InnoDB refuses
//     to read a table that is younger than the transaction, and the copy fails.
//   - Without the rights for these: LOCK TABLES … READ on all tables for the moment. That the position of the binary log
//     is the same before and after would not do: a transaction is in the log before its rows can be seen.
func (d *Database) OpenPoint(ctx context.Context, o snapshot.PointOptions) (snapshot.Point, error) {
	p := &point{db: d, timeout: o.LockTimeout}
	err := p.connect(ctx, max(o.Workers, 1))
	if err == nil {
		err = p.freeze(ctx)
	}
	if err == nil {
		err = p.describe(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// point is one moment of a database: as many transactions that see it as there are workers.
type point struct {
	db      *Database
	timeout time.Duration
	guard   *sql.Conn // has what keeps DDL out
	staged  bool      // the guard is in a stage of MariaDB's backup
	workers []*sql.Conn
	pools   []*sql.DB // of the workers
	wires   []*wire   // below the workers
	content snapshot.Content
	model   *schema.Database
	tables  []*rowsOf // with the index of their parts
	pieces  []snapshot.Piece
}

func (p *point) Describe() (snapshot.Content, *schema.Database) { return p.content, p.model }

func (p *point) Parts() []snapshot.Part {
	var parts []snapshot.Part
	for _, t := range p.tables {
		parts = append(parts, t.part())
	}
	return parts
}

func (p *point) Pieces() []snapshot.Piece { return p.pieces }

// Close implements snapshot.Point. The connections have settings of their own, so they are not used again. A
// connection that is closed gives all back that it has.
func (p *point) Close(ctx context.Context) error {
	var err error
	if p.staged {
		_, err = p.guard.ExecContext(ctx, "BACKUP STAGE END")
	}
	for _, c := range append(p.workers, p.guard) {
		if c != nil {
			discard(c)
		}
	}
	for _, pool := range p.pools {
		err = errors.Join(err, pool.Close())
	}
	p.workers, p.pools, p.wires, p.guard, p.staged = nil, nil, nil, nil, false
	return err
}

// discard closes a connection for good.
func discard(c *sql.Conn) {
	_ = c.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.Close()
}

// readerSettings are those of a connection that rows are read by. Texts come as they are stored, in the
// character set of their column. The server gives up on a reader that is slow after a minute by default.
func (p *point) readerSettings() []string {
	limit := "SET SESSION max_execution_time = 0, information_schema_stats_expiry = 0"
	if p.db.engine == migrate.MariaDB {
		limit = "SET SESSION max_statement_time = 0"
	}
	return []string{
		"SET NAMES utf8mb4", "SET SESSION character_set_results = NULL", "SET SESSION time_zone = '+00:00'", "SET SESSION sql_mode = ''", limit,
		"SET SESSION net_write_timeout = 3600, wait_timeout = 604800", p.lockWait(),
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
	}
}

// lockWait limits how long a lock is waited for. The servers count whole seconds.
func (p *point) lockWait() string {
	return fmt.Sprintf("SET SESSION lock_wait_timeout = %d", p.seconds())
}

func (p *point) seconds() int { return max(1, int(p.timeout/time.Second)) }

func (p *point) connect(ctx context.Context, workers int) error {
	one := func(pool *sql.DB, settings []string) (*sql.Conn, error) {
		c, err := pool.Conn(ctx)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		for _, s := range settings {
			if _, err := c.ExecContext(ctx, s); err != nil {
				discard(c)
				return nil, fmt.Errorf("set up a session (%s): %w", s, err)
			}
		}
		return c, nil
	}
	var err error
	if p.guard, err = one(p.db.db, []string{"SET SESSION wait_timeout = 604800", p.lockWait()}); err != nil {
		return err
	}
	for range workers {
		pool, below, err := p.db.dialReader()
		if err != nil {
			return err
		}
		p.pools = append(p.pools, pool)
		c, err := one(pool, p.readerSettings())
		if err != nil {
			return err
		}
		p.workers, p.wires = append(p.workers, c), append(p.wires, below())
	}
	return nil
}

// begin begins the workers' transactions.
func (p *point) begin(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range p.workers {
		group.Go(func() error {
			_, err := c.ExecContext(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
			if err == nil {
				_, err = c.ExecContext(ctx, "SAVEPOINT switchback")
			}
			return err
		})
	}
	return group.Wait()
}

// letGo gives the tables back that a worker has read, which the transaction would hold to its end: DDL that waits for one
// keeps all who come after it waiting.
func letGo(ctx context.Context, c *sql.Conn) error {
	_, err := c.ExecContext(ctx, "ROLLBACK TO SAVEPOINT switchback")
	return err
}

// denied tells the errors of missing rights: to a command, to a privilege, to what only some may do.
func denied(err error) bool { return isError(err, 1227, 1044, 1045, 1142, 1370) }

// tries is how often a lock is tried for that others have.
const tries = 20

// retried runs a statement that waits for a lock until it gets it. In between others have their turn.
func (p *point) retried(ctx context.Context, statement string) error {
	for try := 1; ; try++ {
		_, err := p.guard.ExecContext(ctx, statement)
		if err == nil || denied(err) || !p.db.IsLockTimeout(err) {
			return err
		}
		if try == tries {
			return fmt.Errorf("%s: not had in %d tries of %d s: %w\n  next: wait until the statement that has it is done, or end it; SHOW PROCESSLIST names it", statement, tries, p.seconds(), err)
		}
		if err := pause(ctx, time.Duration(try)*100*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func (p *point) freeze(ctx context.Context) error {
	by := p.freezeMySQL
	if p.db.engine == migrate.MariaDB {
		by = p.freezeMariaDB
	}
	err := by(ctx)
	if denied(err) {
		return p.freezeTables(ctx)
	}
	return err
}

// moment begins the workers and notes the position. The session has made sure that nobody commits meanwhile, and lets
// others go on by the release.
func (p *point) moment(ctx context.Context, session *sql.Conn, since time.Time, release string) (err error) {
	defer func() {
		_, rerr := session.ExecContext(context.WithoutCancel(ctx), release)
		p.content.Locked = time.Since(since).Round(100 * time.Microsecond).String()
		err = errors.Join(err, rerr)
	}()
	if err := p.begin(ctx); err != nil {
		return err
	}
	p.content.Position, err = p.db.position(ctx, session)
	return err
}

// freezeMySQL keeps DDL out last, while nobody has begun any: DDL that waits for the instance's lock would keep the global
// one from being had.
func (p *point) freezeMySQL(ctx context.Context) error {
	p.content.Method = "FLUSH TABLES WITH READ LOCK for a moment; LOCK INSTANCE FOR BACKUP"
	for try := 1; ; try++ {
		if err := p.nothingLong(ctx); err != nil {
			return err
		}
		since := time.Now()
		_, err := p.guard.ExecContext(ctx, "FLUSH TABLES WITH READ LOCK")
		if err == nil {
			if _, err = p.guard.ExecContext(ctx, "LOCK INSTANCE FOR BACKUP"); err == nil {
				err = p.moment(ctx, p.guard, since, "UNLOCK TABLES")
			} else {
				_, uerr := p.guard.ExecContext(ctx, "UNLOCK TABLES")
				err = errors.Join(err, uerr)
			}
		}
		if err == nil {
			p.model, err = p.db.inspectAll(ctx)
			return err
		}
		if denied(err) || !p.db.IsLockTimeout(err) || try == tries {
			return fmt.Errorf("keep writers out for a moment (FLUSH TABLES WITH READ LOCK, try %d of %d): %w", try, tries, err)
		}
		if err := pause(ctx, time.Duration(try)*100*time.Millisecond); err != nil {
			return err
		}
	}
}

// nothingLong waits until no statement has been running for longer than the lock timeout: the global lock would wait
// for it, and everybody else behind that.
func (p *point) nothingLong(ctx context.Context) error {
	const query = `SELECT id, time FROM performance_schema.processlist
WHERE command IN ('Query', 'Execute') AND time >= ? AND id <> CONNECTION_ID() ORDER BY time DESC LIMIT 1`
	for try := 1; ; try++ {
		var id, seconds int64
		err := p.guard.QueryRowContext(ctx, query, p.seconds()).Scan(&id, &seconds)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("ask what is running: %w", err)
		}
		if try == tries {
			return fmt.Errorf("session %d has been running one statement for %d s: writers would have to wait for it to fix a moment\n  next: wait until it is done, or end it (KILL %d); or a longer --lock-timeout", id, seconds, id)
		}
		if err := pause(ctx, time.Duration(try)*100*time.Millisecond); err != nil {
			return err
		}
	}
}

// freezeMariaDB holds no stage for longer than the moment: an ALTER TABLE that has begun may hold its table, and waits for
// BLOCK_DDL to end before it lets go. That the schema is the one of the moment is told by its checksum, before and after.
func (p *point) freezeMariaDB(ctx context.Context) error {
	p.content.Method = "BACKUP STAGE BLOCK_COMMIT for a moment; DDL is noticed, not kept out"
	return p.betweenStamps(ctx, p.blockCommit)
}

// betweenStamps reads the schema and fixes the moment, until nothing has altered the schema meanwhile.
func (p *point) betweenStamps(ctx context.Context, fix func(context.Context) error) error {
	for try := 1; ; try++ {
		before, err := p.db.stamp(ctx)
		if err != nil {
			return err
		}
		if p.model, err = p.db.inspectAll(ctx); err != nil {
			return err
		}
		err = fix(ctx)
		if denied(err) {
			return err
		}
		after, serr := p.db.stamp(ctx)
		if serr != nil {
			return errors.Join(err, serr)
		}
		if err == nil && before == after {
			return nil
		}
		if err != nil && !p.db.IsLockTimeout(err) && !p.db.IsMissing(err) {
			return err
		}
		if try == tries {
			return fmt.Errorf("fix a moment in %d tries: the schema was altered meanwhile, or a lock not had: %w\n  next: the same command again, when nothing alters the database", try, errors.Join(err, errAltered))
		}
		if err := p.rollback(ctx); err != nil {
			return err
		}
		if err := pause(ctx, time.Duration(try)*100*time.Millisecond); err != nil {
			return err
		}
	}
}

// errAltered is the reason when nothing else went wrong.
var errAltered = errors.New("the schema keeps changing")

// blockCommit fixes the moment. A server has one backup at a time.
func (p *point) blockCommit(ctx context.Context) (err error) {
	if err := p.retried(ctx, "BACKUP STAGE START"); err != nil {
		return err
	}
	p.staged = true
	defer func() {
		if p.staged {
			_, eerr := p.guard.ExecContext(context.WithoutCancel(ctx), "BACKUP STAGE END")
			p.staged, err = false, errors.Join(err, eerr)
		}
	}()
	if _, err := p.guard.ExecContext(ctx, "BACKUP STAGE BLOCK_DDL"); err != nil {
		return err
	}
	since := time.Now()
	if _, err := p.guard.ExecContext(ctx, "BACKUP STAGE BLOCK_COMMIT"); err != nil {
		return err
	}
	p.staged = false
	return p.moment(ctx, p.guard, since, "BACKUP STAGE END")
}

// rollback ends the workers' transactions, which see another moment than the schema that was read.
func (p *point) rollback(ctx context.Context) error {
	for _, c := range p.workers {
		if _, err := c.ExecContext(ctx, "ROLLBACK"); err != nil {
			return err
		}
	}
	return nil
}

// freezeTables fixes the moment with the rights that the account has on the database alone. DDL is not kept out afterwards:
// it makes the copy fail, for a table that was altered can no longer be read as it was.
func (p *point) freezeTables(ctx context.Context) error {
	p.content.Method = "LOCK TABLES READ for a moment; DDL is noticed, not kept out"
	err := p.betweenStamps(ctx, func(ctx context.Context) error {
		since := time.Now()
		if _, err := p.guard.ExecContext(ctx, "LOCK TABLES "+strings.Join(lockList(p.model), ", ")); err != nil {
			return err
		}
		return p.moment(ctx, p.guard, since, "UNLOCK TABLES")
	})
	if denied(err) {
		return fmt.Errorf("fix a moment: %w\n  next: GRANT BACKUP_ADMIN, RELOAD ON *.* (MariaDB: RELOAD), or GRANT LOCK TABLES on the database", err)
	}
	return err
}

func lockList(model *schema.Database) []string {
	var list []string
	for _, t := range model.Schemas[0].Tables {
		if t.Name != "switchback_lock" { // whoever has our lock renews it
			list = append(list, quote(t.Name)+" READ")
		}
	}
	if len(list) == 0 {
		list = append(list, "information_schema.tables READ")
	}
	return list
}

// position is where the server's binary log stands. What may not be asked, or is not there, is left out.
func (d *Database) position(ctx context.Context, c *sql.Conn) (map[string]string, error) {
	at := map[string]string{}
	gtid, status := "SELECT @@GLOBAL.gtid_executed", []string{"SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"}
	if d.engine == migrate.MariaDB {
		gtid, status = "SELECT @@GLOBAL.gtid_current_pos", []string{"SHOW MASTER STATUS"}
	}
	var set string
	if err := c.QueryRowContext(ctx, gtid).Scan(&set); err != nil {
		return nil, fmt.Errorf("ask for the GTID position: %w", err)
	}
	if set = strings.ReplaceAll(set, "\n", ""); set != "" {
		at["gtid"] = set
	}
	for _, s := range status {
		err := show(ctx, c, []string{s}, func(_ int, r []string) { at["binlog"] = r[0] + ":" + r[1] })
		if err == nil {
			break
		}
		if !denied(err) && !isError(err, 1064) {
			return nil, fmt.Errorf("ask for the position of the binary log: %w", err)
		}
	}
	return at, nil
}

// describe finds out the rest about the moment that was fixed.
func (p *point) describe(ctx context.Context) error {
	if err := p.refuseEngines(); err != nil {
		return err
	}
	all := p.model
	p.model = visible(all)
	c := &p.content
	c.Fingerprint = p.model.Fingerprint()
	var err error
	if c.Database, err = p.db.settings(ctx); err != nil {
		return err
	}
	if c.Applied, err = p.applied(ctx, all); err != nil {
		return err
	}
	for _, u := range p.model.Uncovered {
		c.Omitted = append(c.Omitted, snapshot.Omitted{What: strings.TrimSpace(string(u.Kind) + " " + strings.Join(u.Names, ", ")), Reason: u.Why})
	}
	if err := p.planTables(ctx, all); err != nil {
		return err
	}
	if c.Sequences, err = p.db.sequences(ctx, all); err != nil {
		return err
	}
	if err := p.orphans(ctx); err != nil {
		return err
	}
	for _, w := range p.workers {
		if err := letGo(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// refuseEngines refuses tables that no transaction sees at one moment.
func (p *point) refuseEngines() error {
	var names []string
	for _, t := range p.model.Schemas[0].Tables {
		if e := schema.Value(t.Options, "engine"); e != "InnoDB" {
			names = append(names, t.Name+" ("+e+")")
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%s: not of InnoDB, so they can't be read at one moment beside writers\n  next: ALTER TABLE … ENGINE=InnoDB, or copy the database with a tool that locks these tables for the whole copy", strings.Join(names, ", "))
}

// settings are what has to be known of the database and its server to judge the rows.
func (d *Database) settings(ctx context.Context) (map[string]string, error) {
	m := map[string]string{}
	err := show(ctx, d.db, []string{`SELECT s.default_character_set_name, s.default_collation_name, @@GLOBAL.sql_mode, @@lower_case_table_names, @@GLOBAL.time_zone, VERSION()
FROM information_schema.schemata s WHERE s.schema_name = DATABASE()`}, func(_ int, r []string) {
		for i, name := range []string{"character_set", "collation", "sql_mode", "lower_case_table_names", "time_zone", "version"} {
			m[name] = r[i]
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the settings of the database: %w", err)
	}
	return m, nil
}

// applied replays the journal as it was at the moment.
func (p *point) applied(ctx context.Context, all *schema.Database) ([]snapshot.Applied, error) {
	list := []snapshot.Applied{}
	if all.Schemas[0].Table("switchback_journal") == nil {
		return list, nil
	}
	// The journal is read as text, so by a session that gets it as such.
	c := p.workers[0]
	if _, err := c.ExecContext(ctx, "SET SESSION character_set_results = utf8mb4"); err != nil {
		return nil, err
	}
	entries, err := migrate.NewJournal(p.db.Dialect(), "").Entries(ctx, c, migrate.Filter{
		Kinds: []migrate.EntryKind{migrate.RunEntry, migrate.PhaseEntry, migrate.AdoptEntry}, Scripts: true,
	})
	if err != nil {
		return nil, err
	}
	for _, a := range migrate.Replay(entries).Applied() {
		list = append(list, snapshot.Applied{Change: a.Change, Phase: a.Phase, Script: a.Script, Rollback: a.Rollback})
	}
	_, err = c.ExecContext(ctx, "SET SESSION character_set_results = NULL")
	return list, err
}

// sequences are the next values of AUTO_INCREMENT, by table, and of MariaDB's sequences. They are never less than they
// were at the moment.
func (d *Database) sequences(ctx context.Context, all *schema.Database) ([]snapshot.Sequence, error) {
	var list []snapshot.Sequence
	c, err := d.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer discard(c)
	if d.engine == migrate.MySQL {
		if _, err := c.ExecContext(ctx, "SET SESSION information_schema_stats_expiry = 0"); err != nil {
			return nil, err
		}
	}
	next := map[string]string{}
	err = show(ctx, c, []string{"SELECT table_name, auto_increment FROM information_schema.tables WHERE table_schema = DATABASE() AND auto_increment IS NOT NULL"}, func(_ int, r []string) { next[r[0]] = r[1] })
	if err != nil {
		return nil, fmt.Errorf("read the next values of AUTO_INCREMENT: %w", err)
	}
	for _, t := range all.Schemas[0].Tables {
		if next[t.Name] != "" && copied(t.Name) {
			list = append(list, snapshot.Sequence{Name: t.Name, Value: next[t.Name]})
		}
	}
	for _, s := range all.Schemas[0].Sequences {
		err := show(ctx, c, []string{"SELECT next_not_cached_value, cycle_count FROM " + quote(s.Name)}, func(_ int, r []string) {
			list = append(list, snapshot.Sequence{Name: s.Name, Value: r[0] + "/" + r[1]})
		})
		if err != nil {
			return nil, fmt.Errorf("read the sequence %s: %w", s.Name, err)
		}
	}
	slices.SortFunc(list, func(a, b snapshot.Sequence) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// orphans counts the rows that point to no row: with foreign_key_checks off anybody can write such.
func (p *point) orphans(ctx context.Context) error {
	var keys []func(context.Context, *sql.Conn) error
	found := map[string]string{}
	results := make(chan [2]string, 16)
	for _, t := range p.model.Schemas[0].Tables {
		for _, k := range t.Constraints {
			if k.Type != schema.ForeignKey || k.References.Schema != "" {
				continue
			}
			keys = append(keys, func(ctx context.Context, c *sql.Conn) error {
				var n int64
				if err := c.QueryRowContext(ctx, orphanQuery(t, k)).Scan(&n); err != nil {
					return fmt.Errorf("look for rows of %s without a parent in %s: %w", t.Name, k.References.Table, err)
				}
				if n > 0 {
					results <- [2]string{t.Name + "." + k.Name, fmt.Sprintf("%d rows of %s point to no row of %s (%s)", n, t.Name, k.References.Table, k.Name)}
				}
				return nil
			})
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r := range results {
			found[r[0]] = r[1]
		}
	}()
	next := make(chan func(context.Context, *sql.Conn) error, len(keys))
	for _, k := range keys {
		next <- k
	}
	close(next)
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range p.workers {
		group.Go(func() error {
			for k := range next {
				if err := k(ctx, c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	close(results)
	<-done
	for _, text := range found {
		p.content.Broken = append(p.content.Broken, text)
	}
	slices.Sort(p.content.Broken)
	return err
}

func orphanQuery(t *schema.Table, k *schema.Constraint) string {
	var on, set []string
	for i, c := range k.Columns {
		on = append(on, fmt.Sprintf("p.%s = c.%s", quote(k.References.Columns[i]), quote(c)))
		set = append(set, "c."+quote(c)+" IS NOT NULL")
	}
	return fmt.Sprintf("SELECT count(*) FROM %s c LEFT JOIN %s p ON %s WHERE %s AND p.%s IS NULL",
		quote(t.Name), quote(k.References.Table), strings.Join(on, " AND "), strings.Join(set, " AND "), quote(k.References.Columns[0]))
}
