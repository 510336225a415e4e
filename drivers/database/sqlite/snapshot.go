package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

var _ snapshot.Live = (*Database)(nil)

// snapshotFile is the name of the one file of a snapshot.
const snapshotFile = "database.sqlite"

// backuper is the driver's connection.
type backuper interface {
	NewBackup(file string) (*sqlite.Backup, error)
	NewRestore(file string) (*sqlite.Backup, error)
}

// pieceSize is how much of the file is read at once, in bytes.
const pieceSize = 32 << 20

// OpenPoint implements snapshot.Source with SQLite's online backup: the database stays in use.
func (d *Database) OpenPoint(ctx context.Context, o snapshot.PointOptions) (snapshot.Point, error) {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", d.path, err)
	}
	defer conn.Close()
	copied := Copy{dir: o.Dir}
	if err := backup(ctx, conn, copied.File(), o.Progress); err != nil {
		return nil, fmt.Errorf("copy %s: %w", d.path, err)
	}
	if err := single(ctx, copied.File()); err != nil {
		return nil, err
	}
	return copied.OpenPoint(ctx, o)
}

// Copy is a copy of a database in a folder: the site that a snapshot is built at.
type Copy struct{ dir string }

var _ snapshot.Beside = Copy{}

// NewCopy returns the copy in an empty folder.
func NewCopy(dir string) Copy { return Copy{dir} }

// File is the path of the copy.
func (c Copy) File() string { return filepath.Join(c.dir, snapshotFile) }

// Close implements snapshot.Beside. Building it again takes no longer than finding out how far it had come.
func (c Copy) Close(bool) error { return os.RemoveAll(c.dir) }

// OpenPoint implements snapshot.Source for a copy that nobody writes to: it is examined, by SQLite's own
// integrity check, its foreign keys, and a count and hash of every table. The file is only read.
func (c Copy) OpenPoint(ctx context.Context, _ snapshot.PointOptions) (snapshot.Point, error) {
	content, model, err := c.examine(ctx)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(c.File())
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &point{copied: c, file: f, size: info.Size(), content: content, model: model}, nil
}

// point is a copy that is read.
type point struct {
	copied  Copy
	file    *os.File
	size    int64
	content snapshot.Content
	model   *schema.Database
}

func (p *point) Describe() (snapshot.Content, *schema.Database) { return p.content, p.model }

func (p *point) Parts() []snapshot.Part { return []snapshot.Part{{Name: snapshotFile}} }

func (p *point) Pieces() []snapshot.Piece {
	var pieces []snapshot.Piece
	for at := int64(0); at < p.size; at += pieceSize {
		pieces = append(pieces, snapshot.Piece{Offset: at, Bytes: min(pieceSize, p.size-at)})
	}
	return pieces
}

func (p *point) Read(_ context.Context, _ int, piece snapshot.Piece, to io.Writer) error {
	_, err := io.Copy(to, io.NewSectionReader(p.file, piece.Offset, piece.Bytes))
	return err
}

func (p *point) Close(context.Context) error { return p.file.Close() }

// Prepare implements snapshot.Site. The schema is in the file.
func (c Copy) Prepare(context.Context, *snapshot.Manifest, *schema.Database) error {
	f, err := os.OpenFile(c.File(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Loaded implements snapshot.Site.
func (c Copy) Loaded(context.Context) (map[string]bool, error) { return nil, nil }

// Load implements snapshot.Site.
func (c Copy) Load(_ context.Context, _ int, p snapshot.Part, chunk snapshot.Chunk, from io.Reader) error {
	if p.Name != snapshotFile {
		return fmt.Errorf("a snapshot of SQLite has no part %q", p.Name)
	}
	f, err := os.OpenFile(c.File(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(f, chunk.Offset), from)
	return errors.Join(err, f.Close())
}

// Finish implements snapshot.Site.
func (c Copy) Finish(context.Context, *snapshot.Manifest, *schema.Database, int) error {
	f, err := os.OpenFile(c.File(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// pages is how many pages a backup copies at a time.
const pages = 2048

// backup copies the database of a connection into a new file. With a write-ahead log a read
// transaction keeps the copied state still, and writers go on. Without one, a reader would keep them
// out, so the copy goes in small steps and begins anew when somebody wrote in between; after a few
// such beginnings it is finished in one step, which keeps writers waiting until it is done.
func backup(ctx context.Context, conn *sql.Conn, file string, progress func(done, total int64)) error {
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode == "wal" {
		if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
		defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") }()
		var n int
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n); err != nil {
			return err
		}
	}
	return conn.Raw(func(driverConn any) error {
		b, err := driverConn.(backuper).NewBackup(file)
		if err != nil {
			return err
		}
		return errors.Join(steps(ctx, b, progress), b.Finish())
	})
}

// restarts is how often a backup may begin anew before it is done in one step.
const restarts = 3

func steps(ctx context.Context, b *sqlite.Backup, progress func(done, total int64)) error {
	left, again := math.MaxInt, 0
	for n := int32(pages); ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		more, err := step(ctx, b, n)
		if err != nil || !more {
			return err
		}
		if progress != nil {
			progress(int64(b.PageCount()-b.Remaining()), int64(b.PageCount()))
		}
		if b.Remaining() >= left {
			again++
		}
		left = b.Remaining()
		if again == restarts {
			n = -1
		}
	}
}

// busyWait is how long a step of a backup waits for a writer to end its transaction.
const busyWait = 10 * time.Second

func step(ctx context.Context, b *sqlite.Backup, n int32) (more bool, err error) {
	for deadline := time.Now().Add(busyWait); ; {
		more, err := b.Step(n)
		if err == nil || !(&Database{}).IsLockTimeout(err) || time.Now().After(deadline) {
			return more, err
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// single makes a copied database one file, without a write-ahead log beside it.
func single(ctx context.Context, file string) error {
	db, err := Open(ctx, "sqlite:"+file, Options{})
	if err != nil {
		return err
	}
	_, err = db.db.ExecContext(ctx, "PRAGMA journal_mode = DELETE")
	return errors.Join(err, db.Close())
}

// Ask implements snapshot.Asker.
func (c Copy) Ask(ctx context.Context, query string, limit int) (answer [][]string, err error) {
	copied, err := Open(ctx, "sqlite:"+c.File()+"?_pragma=query_only(1)", Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	rows, err := copied.db.QueryContext(ctx, query) //nolint:rowserrcheck // Answer does
	if err != nil {
		return nil, err
	}
	return snapshot.Answer(rows, limit)
}

func (c Copy) examine(ctx context.Context) (is snapshot.Content, _ *schema.Database, err error) {
	copied, err := Open(ctx, "sqlite:"+c.File()+"?_pragma=query_only(1)", Options{})
	if err != nil {
		return is, nil, err
	}
	defer copied.Close()
	is.Method = "online backup"
	if is.Broken, err = copied.broken(ctx); err != nil {
		return is, nil, err
	}
	if is.Fingerprint, err = copied.Fingerprint(ctx, copied.db); err != nil {
		return is, nil, err
	}
	if is.Applied, err = copied.appliedPhases(ctx); err != nil {
		return is, nil, err
	}
	tables, err := copied.tables(ctx)
	if err != nil {
		return is, nil, err
	}
	for _, name := range tables {
		t, err := copied.hashTable(ctx, name)
		if err != nil {
			return is, nil, fmt.Errorf("hash table %s: %w", name, err)
		}
		is.Tables = append(is.Tables, t)
	}
	model, err := copied.Inspect(ctx)
	return is, model, err
}

// appliedPhases replays the journal that is in the copy: what was applied at the very moment of it.
func (d *Database) appliedPhases(ctx context.Context) ([]snapshot.Applied, error) {
	state, err := migrate.NewRunner(d, migrate.Options{}).State(ctx)
	if err != nil {
		return nil, err
	}
	list := []snapshot.Applied{}
	for _, a := range state.Applied() {
		list = append(list, snapshot.Applied{Change: a.Change, Phase: a.Phase, Script: a.Script, Rollback: a.Rollback})
	}
	return list, nil
}

// broken lists what the integrity check and the foreign keys have to say.
func (d *Database) broken(ctx context.Context) ([]string, error) {
	var found []string
	rows, err := d.db.QueryContext(ctx, "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok' "+
		`UNION ALL SELECT count(*) || ' rows of ' || "table" || ' point to no row of ' || parent FROM pragma_foreign_key_check GROUP BY "table", parent`)
	if err != nil {
		return nil, fmt.Errorf("check integrity: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, fmt.Errorf("check integrity: %w", err)
		}
		found = append(found, s)
	}
	return found, rows.Err()
}

// tables names the tables that hold rows, our own journal included. Shadow tables of virtual tables are
// listed as what they are, tables; the virtual tables over them are not read twice.
func (d *Database) tables(ctx context.Context) ([]string, error) {
	rows, err := d.db.QueryContext(ctx, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

// hashTable adds up the hashes of a table's rows, so that their order does not matter.
func (d *Database) hashTable(ctx context.Context, name string) (snapshot.Table, error) {
	t := snapshot.Table{Name: name}
	rows, err := d.db.QueryContext(ctx, "SELECT * FROM "+quote(name))
	if err != nil {
		return t, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return t, err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	var total [4]uint64
	row := sha256.New()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return t, err
		}
		row.Reset()
		for _, v := range values {
			hashValue(row, v)
		}
		h := row.Sum(nil)
		for i := range total {
			total[i] += binary.LittleEndian.Uint64(h[8*i:])
		}
		t.Rows++
	}
	var out []byte
	for _, n := range total {
		out = binary.LittleEndian.AppendUint64(out, n)
	}
	t.Hash = hex.EncodeToString(out)
	return t, rows.Err()
}

// hashValue hashes a value with its kind and length, so that no two rows run together.
func hashValue(h hash.Hash, v any) {
	put := func(kind byte, data []byte) {
		var head [9]byte
		head[0] = kind
		binary.LittleEndian.PutUint64(head[1:], uint64(len(data)))
		h.Write(head[:])
		h.Write(data)
	}
	switch v := v.(type) {
	case nil:
		put('n', nil)
	case int64:
		put('i', binary.LittleEndian.AppendUint64(nil, uint64(v)))
	case float64:
		put('f', binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
	case string:
		put('s', []byte(v))
	case []byte:
		put('b', v)
	default: // times and booleans, which the driver makes of columns declared as such
		put('o', fmt.Append(nil, v))
	}
}

// Swap implements snapshot.Live: it writes the copy into the live database. The session's connection has no transaction
// open. What is done, in this order:
//
//   - the live database is copied to the file displaced;
//   - our own tables go from the live database into the copy: history is not rolled back with the data;
//   - amend may add to the copy, the journal's account of what is applied now for instance;
//   - the copy's pages are written into the live file, in one transaction.
//
// Other writers are kept out meanwhile, or all of it is done again behind them that they may have changed. Killed at any point,
// the live file is as it was or as it should be.
func (d *Database) Swap(ctx context.Context, session *migrate.Session, built snapshot.Beside, displaced string, amend snapshot.Amend) error {
	swap, err := d.PrepareSwap(ctx, session, built, displaced, amend)
	if err != nil {
		return err
	}
	return swap(ctx)
}

// PrepareSwap implements snapshot.Preparer: the live database is copied, and compared with the copy, while it is used.
func (d *Database) PrepareSwap(ctx context.Context, session *migrate.Session, built snapshot.Beside, displaced string, amend snapshot.Amend) (func(context.Context) error, error) {
	copied, ok := built.(Copy)
	if !ok {
		return nil, fmt.Errorf("%T was not built beside an SQLite file", built)
	}
	return d.replacing(ctx, session.Conn(), copied.File(), displaced, amend)
}

// Return implements snapshot.Live. The displaced file stays where it is: a copy of it becomes live.
func (d *Database) Return(ctx context.Context, session *migrate.Session, displaced, kept string, amend snapshot.Amend) (err error) {
	dir, err := d.scratch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	old, err := Open(ctx, "sqlite:"+displaced, Options{})
	if err != nil {
		return err
	}
	conn, err := old.db.Conn(ctx)
	if err != nil {
		return errors.Join(err, old.Close())
	}
	copied := Copy{dir}
	err = backup(ctx, conn, copied.File(), nil)
	if err = errors.Join(err, conn.Close(), old.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", displaced, err)
	}
	swap, err := d.replacing(ctx, session.Conn(), copied.File(), kept, amend)
	if err != nil {
		return err
	}
	return swap(ctx)
}

// replacing returns what writes a file into the live database, and keeps what was there.
func (d *Database) replacing(ctx context.Context, conn *sql.Conn, file, displaced string, amend snapshot.Amend) (func(context.Context) error, error) {
	r := restoration{database: d, conn: conn, file: file, displaced: displaced, amend: amend}
	if fits, err := r.fits(ctx); err != nil {
		return nil, err
	} else if fits {
		return r.byPages(ctx)
	}
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, err
	}
	if mode == "wal" {
		return r.besideReaders, nil
	}
	return r.alone, nil
}

// restoration is a restore under way.
type restoration struct {
	database        *Database
	conn            *sql.Conn
	file, displaced string
	amend           snapshot.Amend
}

// alone restores a database with a rollback journal: nobody else may read it meanwhile.
func (r restoration) alone(ctx context.Context) error {
	if err := r.database.lockOut(ctx, r.conn); err != nil {
		return fmt.Errorf("lock %s: %w", r.database.path, err)
	}
	defer func() { _ = r.database.letIn(context.WithoutCancel(ctx), r.conn) }()
	if err := r.prepare(ctx, r.conn); err != nil {
		return err
	}
	return r.write(func(b *sqlite.Backup) error {
		_, err := b.Step(-1)
		return err
	})
}

// besideReaders restores a database with a write-ahead log, which applications keep open all the time:
// the first page that is written locks other writers out, and what was committed before can still be
// read, so it is copied only then. The backup notices by itself that the copy it reads was written to.
func (r restoration) besideReaders(ctx context.Context) error {
	reader, err := r.database.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer reader.Close()
	return r.write(func(b *sqlite.Backup) error {
		if _, err := step(ctx, b, 1); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		if err := r.prepare(ctx, reader); err != nil {
			return err
		}
		_, err := b.Step(-1)
		return err
	})
}

// prepare keeps the displaced database and makes the copy ready to take its place.
func (r restoration) prepare(ctx context.Context, from *sql.Conn) error {
	if err := backup(ctx, from, r.displaced, nil); err != nil {
		return errors.Join(fmt.Errorf("keep the displaced database as %s: %w", r.displaced, err), os.Remove(r.displaced))
	}
	if err := single(ctx, r.displaced); err != nil {
		return fmt.Errorf("keep the displaced database as %s: %w", r.displaced, err)
	}
	failpoint.Hit("restore: displaced kept")
	return carryOver(ctx, r.file, r.displaced, r.amend)
}

func (r restoration) write(f func(*sqlite.Backup) error) error {
	err := r.conn.Raw(func(driverConn any) error {
		b, err := driverConn.(backuper).NewRestore(r.file)
		if err != nil {
			return err
		}
		failpoint.Hit("restore: before")
		err = f(b)
		return errors.Join(err, b.Finish())
	})
	if err != nil {
		return fmt.Errorf("write the snapshot into %s: %w", r.database.path, err)
	}
	failpoint.Hit("restore: after")
	return nil
}

// lockOut keeps all other connections out, with no transaction open afterwards: in exclusive mode SQLite
// keeps a lock that it has. It is in that mode only once it has the lock: one that is still waiting would
// keep its shared lock too, and so keep the writer it waits for from committing.
func (d *Database) lockOut(ctx context.Context, conn *sql.Conn) error {
	for _, s := range []string{"BEGIN EXCLUSIVE", "PRAGMA locking_mode = EXCLUSIVE", "UPDATE switchback_lock SET fence = fence", "COMMIT"} {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			_, _ = conn.ExecContext(ctx, "ROLLBACK")
			return errors.Join(err, d.letIn(ctx, conn))
		}
	}
	return nil
}

func (d *Database) letIn(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "PRAGMA locking_mode = NORMAL"); err != nil {
		return err
	}
	var n int // the lock is given back by the next access
	return conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n)
}

// carryOver replaces our own tables of a copy by those of the displaced database, and lets amend add
// to them.
func carryOver(ctx context.Context, file, displaced string, amend snapshot.Amend) (err error) {
	copied, err := Open(ctx, "sqlite:"+file, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	copied.db.SetMaxOpenConns(1) // ATTACH is the connection's
	exec := func(statement string, args ...any) {
		if err == nil {
			if _, err = copied.db.ExecContext(ctx, statement, args...); err != nil {
				err = fmt.Errorf("carry the journal over (%s): %w", statement, err)
			}
		}
	}
	exec("ATTACH ? AS displaced", displaced)
	exec("BEGIN IMMEDIATE")
	for _, name := range []string{"switchback_meta", "switchback_journal", "switchback_lock"} {
		exec("DROP TABLE IF EXISTS main." + name)
	}
	for _, create := range copied.Dialect().Install {
		exec(create)
	}
	for _, name := range []string{"switchback_meta", "switchback_journal", "switchback_lock"} {
		exec(fmt.Sprintf("INSERT INTO main.%s SELECT * FROM displaced.%s", name, name))
	}
	// The lock may have run out of time meanwhile; nobody could take it, so it is still ours.
	exec("UPDATE main.switchback_lock SET expires = " + copied.Dialect().Later(time.Minute))
	exec("COMMIT")
	exec("DETACH displaced")
	if err == nil && amend != nil {
		err = amend(ctx, copied.db)
	}
	return err
}

// Identity implements snapshot.Live: a file is known by its path.
func (d *Database) Identity(context.Context) (name, identity string, err error) {
	path, err := filepath.Abs(d.path)
	return "sqlite:" + path, "sqlite:" + path, err
}

// Beside implements snapshot.Live, in a folder beside the database: what is restored has the same size.
func (d *Database) Beside(context.Context, *snapshot.Manifest) (snapshot.Beside, error) {
	dir, err := d.scratch()
	return Copy{dir}, err
}

func (d *Database) scratch() (string, error) {
	dir, prefix := filepath.Dir(d.path), ".switchback-restore-"+filepath.Base(d.path)+"-"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		// The rest of the name is a number; anything else belongs to a database with a longer name.
		if rest, ok := strings.CutPrefix(e.Name(), prefix); ok && e.IsDir() && strings.Trim(rest, "0123456789") == "" {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return "", err
			}
		}
	}
	return os.MkdirTemp(dir, prefix)
}

// Displaced is the name of the file that a database displaced by a restore is kept in.
func (d *Database) Displaced(now time.Time) string {
	return strings.TrimSuffix(d.path, ".displaced") + ".displaced-" + now.UTC().Format("20060102T150405.000Z")
}
