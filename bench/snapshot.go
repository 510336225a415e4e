package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/snapshot"
)

const (
	snapshotRows    = 8_000_000 // about a gigabyte
	snapshotTables  = 200
	snapshotWorkers = 2
)

// snapshots takes snapshots of a gigabyte, in one table and in many, restores them, and does the same with the
// tools one would use: pg_dump and pg_restore with two jobs, mysqldump and mysql, and mydumper with myloader where
// they are installed. All of them are programs outside of the server's container, and reach it in the same way.
func snapshots(ctx context.Context, b *bencher) error {
	for _, k := range []servers.Kind{servers.Postgres17, servers.MySQL9} {
		if !slices.Contains(b.engines, k.Engine) {
			continue
		}
		for _, tables := range []int{1, snapshotTables} {
			if !strings.Contains(fmt.Sprintf("%d tables", tables), b.part) {
				continue
			}
			if err := snapshotsOn(ctx, b, k, tables); err != nil {
				return fmt.Errorf("%s: %w", k.Name, err)
			}
		}
	}
	return nil
}

// copier takes a copy of a database into a folder, and restores it into an empty one.
type copier struct {
	name                         string
	create                       func(ctx context.Context, url, dir string) error
	restore                      func(ctx context.Context, url, dir string) error
	ready                        func(ctx context.Context, url, dir string) error // what a restored database needs besides; nil for nothing
	created, restored, megabytes *figure
	used                         *figure // until it can be used: restored and made ready
}

func snapshotsOn(ctx context.Context, b *bencher, k servers.Kind, tables int) (err error) {
	url, db, drop, err := fresh(ctx, &k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	if err := fillForSnapshot(ctx, db, k.Engine, b.amount(snapshotRows), tables); err != nil {
		return err
	}
	copiers := append([]*copier{ours(k)}, peers(k)...)
	verified, proven := &figure{who: "verify --level stored"}, &figure{who: "zstd -t"}
	for range b.rounds {
		for i, c := range copiers {
			if err := copyOnce(ctx, k, c, url, i == 0, verified, proven); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	title := fmt.Sprintf("%d rows in %d tables on %s", b.amount(snapshotRows), tables, k.Engine)
	show := func(what, unit string, of func(*copier) *figure) {
		var list []*figure
		for _, c := range copiers {
			list = append(list, of(c))
		}
		b.report.table(title+", "+what, unit, list)
	}
	show("copied", "s", func(c *copier) *figure { return c.created })
	show("restored", "s", func(c *copier) *figure { return c.restored })
	show("restored, ours proven by row hashes, PostgreSQL with its statistics", "s", func(c *copier) *figure { return c.used })
	show("size", "MB", func(c *copier) *figure { return c.megabytes })
	b.report.table(title+", checksums", "s", []*figure{verified, proven})
	return nil
}

// copyOnce copies and restores once, each into something new.
func copyOnce(ctx context.Context, k servers.Kind, c *copier, from string, isOurs bool, verified, unpacked *figure) (err error) {
	dir, err := os.MkdirTemp("", "switchback-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o777); err != nil { // a container's user writes there
		return err
	}
	took, err := timed(func() error { return c.create(ctx, from, dir) })
	if err != nil {
		return err
	}
	c.created.add(took.Seconds())
	c.megabytes.add(float64(weight(dir)) / 1e6)
	if isOurs {
		if err := checksums(ctx, dir, verified, unpacked); err != nil {
			return err
		}
	}
	into, _, drop, err := fresh(ctx, &k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	if took, err = timed(func() error { return c.restore(ctx, into, dir) }); err != nil {
		return err
	}
	c.restored.add(took.Seconds())
	more := time.Duration(0)
	if c.ready != nil {
		more, err = timed(func() error { return c.ready(ctx, into, dir) })
	}
	c.used.add((took + more).Seconds())
	return err
}

// weight is how many bytes the files of a folder have.
func weight(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// checksums reads back what is stored, as we do and as zstd does.
func checksums(ctx context.Context, dir string, verified, unpacked *figure) error {
	store, m, err := only(ctx, dir)
	if err != nil {
		return err
	}
	took, err := timed(func() error {
		v, err := store.Verify(ctx, m.ID, snapshot.LevelStored, snapshot.VerifyOptions{Workers: snapshotWorkers})
		if err == nil && !v.OK {
			err = errors.New(strings.Join(v.Found, "; "))
		}
		return err
	})
	if err != nil {
		return err
	}
	verified.add(took.Seconds())
	tool, err := exec.LookPath("zstd")
	if err != nil {
		unpacked.none = "not installed"
		return nil //nolint:nilerr // it is measured where it is installed
	}
	files, err := filepath.Glob(filepath.Join(dir, m.ID, "chunks", "*.zst"))
	if err != nil {
		return err
	}
	took, err = timed(func() error {
		return exec.CommandContext(ctx, tool, append([]string{"-t", "-q"}, files...)...).Run()
	})
	unpacked.add(took.Seconds())
	return err
}

// only is the one snapshot of a store.
func only(ctx context.Context, dir string) (*snapshot.Store, *snapshot.Manifest, error) {
	store := snapshot.NewStore(snapshot.Folder(dir))
	list, err := store.List(ctx)
	if err != nil || len(list) != 1 || list[0].Manifest == nil {
		return nil, nil, errors.Join(err, fmt.Errorf("want one snapshot in %s, not %d", dir, len(list)))
	}
	return store, list[0].Manifest, nil
}

func newCopier(name string, create, restore func(ctx context.Context, url, dir string) error) *copier {
	return &copier{name: name, create: create, restore: restore, created: &figure{who: name}, restored: &figure{who: name}, megabytes: &figure{who: name}, used: &figure{who: name}}
}

// ours takes a snapshot with checksums and row hashes, reads it back, and builds it. Then it proves what was built, and
// has it analysed where the server does not by itself.
func ours(k servers.Kind) *copier {
	c := newCopier("switchback", func(ctx context.Context, url, dir string) (err error) {
		db, err := database.Open(ctx, url, database.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		live, ok := db.(snapshot.Source)
		if !ok {
			return snapshot.ErrUnsupported
		}
		_, err = snapshot.NewStore(snapshot.Folder(dir)).Create(ctx, live, snapshot.About{Engine: k.Engine}, snapshot.CreateOptions{Workers: snapshotWorkers, LockTimeout: 5 * time.Second})
		return err
	}, func(ctx context.Context, url, dir string) error {
		return atSite(ctx, url, dir, func(store *snapshot.Store, m *snapshot.Manifest, site snapshot.Site) error {
			return store.Build(ctx, m, site, snapshot.BuildOptions{Workers: snapshotWorkers})
		})
	})
	c.ready = func(ctx context.Context, url, dir string) error {
		return atSite(ctx, url, dir, func(store *snapshot.Store, m *snapshot.Manifest, site snapshot.Site) error {
			found, err := store.Compare(ctx, m.Content, site, snapshotWorkers)
			if err == nil && len(found) > 0 {
				err = errors.New(strings.Join(found, "; "))
			}
			if a, ok := site.(snapshot.Analyzer); ok && err == nil {
				err = a.Analyze(ctx, m, snapshotWorkers)
			}
			return err
		})
	}
	return c
}

// atSite does something with a database and the snapshot that is for it.
func atSite(ctx context.Context, url, dir string, do func(*snapshot.Store, *snapshot.Manifest, snapshot.Site) error) (err error) {
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	site, err := database.Site(db)
	if err != nil {
		return err
	}
	store, m, err := only(ctx, dir)
	if err != nil {
		return err
	}
	return do(store, m, site)
}

// peers are the other tools.
func peers(k servers.Kind) []*copier {
	if k.Engine == "postgres" {
		tools := newCopier("pg_dump, pg_restore", func(ctx context.Context, url, dir string) error {
			return outside(ctx, k, url, dir, "pg_dump -Fd -j2 --compress=zstd -f /copy/dump")
		}, func(ctx context.Context, url, dir string) error {
			return outside(ctx, k, url, dir, "pg_restore -j2 -d \"$PGDATABASE\" /copy/dump")
		})
		tools.ready = func(ctx context.Context, url, dir string) error {
			return outside(ctx, k, url, dir, "vacuumdb --analyze-only -j2 \"$PGDATABASE\"")
		}
		return []*copier{tools}
	}
	list := []*copier{newCopier("mysqldump, mysql", func(ctx context.Context, url, dir string) error {
		return outside(ctx, k, url, dir, "mysqldump --single-transaction --no-tablespaces --set-gtid-purged=OFF $TARGET > /copy/dump.sql")
	}, func(ctx context.Context, url, dir string) error {
		return outside(ctx, k, url, dir, "mysql $TARGET < /copy/dump.sql")
	})}
	if _, err := exec.LookPath("mydumper"); err == nil {
		list = append(list, newCopier("mydumper, myloader", func(ctx context.Context, url, dir string) error {
			return mydumper(ctx, url, "mydumper", "--compress", "--rows=500000", "--outputdir="+dir+"/dump")
		}, func(ctx context.Context, url, dir string) error {
			return mydumper(ctx, url, "myloader", "--directory="+dir+"/dump")
		}))
	}
	return list
}

// outside runs a script with the client programs of the server's image, in a container of their own that has the
// host's network and the folder as /copy.
func outside(ctx context.Context, k servers.Kind, target, dir, script string) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	password, _ := u.User.Password()
	name := strings.TrimPrefix(u.Path, "/")
	env := []string{"PGHOST=" + u.Hostname(), "PGPORT=" + u.Port(), "PGUSER=" + u.User.Username(), "PGPASSWORD=" + password, "PGDATABASE=" + name, "MYSQL_PWD=" + password}
	args := []string{"run", "--rm", "--network", "host", "--volume", dir + ":/copy", "--entrypoint", "sh"}
	cmd := exec.CommandContext(ctx, "docker")
	for _, e := range env {
		key, _, _ := strings.Cut(e, "=")
		args = append(args, "--env", key) // the value comes from docker's own environment, not from its arguments
	}
	cmd.Env = append(os.Environ(), env...)
	script = strings.ReplaceAll(script, "$TARGET", fmt.Sprintf("--host=%s --port=%s --user=%s %s", u.Hostname(), u.Port(), u.User.Username(), name))
	cmd.Args = append(append([]string{"docker"}, args...), k.Image, "-c", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Fields(script)[0], err, out)
	}
	return nil
}

func mydumper(ctx context.Context, target, tool string, args ...string) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	password, _ := u.User.Password()
	args = append(args, "--threads=2", "--host="+u.Hostname(), "--port="+u.Port(), "--user="+u.User.Username(), "--password="+password, "--database="+strings.TrimPrefix(u.Path, "/"))
	if out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", tool, err, out)
	}
	return nil
}

// fillForSnapshot fills tables with rows of several types, with a secondary index each.
func fillForSnapshot(ctx context.Context, db *sql.DB, engine string, rows, tables int) error {
	each := max(1, rows/tables)
	for i := range tables {
		create := fmt.Sprintf("CREATE TABLE t%d (id bigint PRIMARY KEY, name varchar(60) NOT NULL, amount decimal(12,2), made timestamp NULL, note text)", i)
		fill := fmt.Sprintf("INSERT INTO t%d SELECT n, 'customer ' || n, n * 0.01, timestamp '2026-01-01 00:00:00' + n * interval '1 second', md5(n::text) || ' ' || md5((n + 1)::text) FROM generate_series(1, %d) n", i, each)
		if engine == "sqlite" {
			fill = fmt.Sprintf("INSERT INTO t%d WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n, 'customer ' || n, n * 0.01, datetime('2026-01-01', n || ' seconds'), printf('%%064x', n) FROM s", i, each)
		}
		if engine == "mysql" {
			fill = fmt.Sprintf("INSERT INTO t%d WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n, concat('customer ', n), n * 0.01, timestamp '2026-01-01 00:00:00' + interval n second, concat(left(sha2(n, 256), 32), ' ', left(sha2(n + 1, 256), 32)) FROM s", i, each)
		}
		for _, s := range []string{create, fill, fmt.Sprintf("CREATE INDEX t%d_name ON t%d (name)", i, i)} {
			conn, err := db.Conn(ctx)
			if err != nil {
				return err
			}
			if engine == "mysql" {
				_, err = conn.ExecContext(ctx, "SET cte_max_recursion_depth = 4294967295")
			}
			if err == nil {
				_, err = conn.ExecContext(ctx, s)
			}
			if err = errors.Join(err, conn.Close()); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
	}
	return nil
}
