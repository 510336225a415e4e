package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

// swapSizes are numbers of rows; the last is about a gigabyte.
var swapSizes = []int{80_000, 800_000, snapshotRows}

// swaps restores snapshots of several sizes over the live database, and measures what an application meets of it: one that
// reads a row of it every millisecond, and connects anew where it is refused.
func swaps(ctx context.Context, b *bencher) error {
	for _, k := range []*servers.Kind{nil, &servers.Postgres17, &servers.MySQL9} {
		engine := "sqlite"
		if k != nil {
			engine = k.Engine
		}
		if !slices.Contains(b.engines, engine) {
			continue
		}
		var took, away []*figure
		measure := func(rows, tables int, meanwhile string) error {
			who := fmt.Sprintf("%d rows in %d tables", rows, tables)
			if meanwhile != "" {
				who += ", each row changed since"
			}
			swapped, longest := &figure{who: who}, &figure{who: who}
			took, away = append(took, swapped), append(away, longest)
			for range b.rounds {
				if err := swapOnce(ctx, k, rows, tables, meanwhile, swapped, longest); err != nil {
					return fmt.Errorf("%s, %s: %w", engine, who, err)
				}
			}
			return nil
		}
		for _, rows := range swapSizes {
			if err := measure(b.amount(rows), 1, ""); err != nil {
				return err
			}
		}
		if err := measure(b.amount(snapshotRows), snapshotTables, ""); err != nil {
			return err
		}
		if k == nil { // where it matters what differs
			if err := measure(b.amount(snapshotRows), 1, "UPDATE t0 SET note = printf('%064x', -id)"); err != nil {
				return err
			}
		}
		b.report.table("swap on "+engine, "ms", took)
		b.report.table("the longest that a reader was not answered for, on "+engine, "ms", away)
	}
	return nil
}

// swapOnce takes a snapshot of a database and restores it over it. In between a statement may change it.
func swapOnce(ctx context.Context, k *servers.Kind, rows, tables int, meanwhile string, swapped, longest *figure) (err error) {
	url, db, drop, err := fresh(ctx, k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	engine := "sqlite"
	if k != nil {
		engine = k.Engine
	}
	if err := fillForSnapshot(ctx, db, engine, rows, tables); err != nil {
		return err
	}
	if err := db.Close(); err != nil { // restoring ends an application's connections; the reader has its own
		return err
	}
	dir, err := os.MkdirTemp("", "switchback-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	end := readOn(ctx, url)
	restored, took, err := restoreOverItself(ctx, url, dir, engine, meanwhile)
	if longestGap, rerr := end(); err == nil && rerr == nil {
		swapped.add(float64(took.Microseconds()) / 1000)
		longest.add(float64(longestGap.Microseconds()) / 1000)
	} else {
		err = errors.Join(err, rerr)
	}
	if err == nil && k != nil {
		err = onServer(ctx, *k, "DROP DATABASE "+restored.Displaced)
	}
	return err
}

// restoreOverItself takes a snapshot and restores it over the database that it is of, which the statement has changed, if there is one.
func restoreOverItself(ctx context.Context, url, dir, engine, meanwhile string) (r *snapshot.Restored, took time.Duration, err error) {
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	live, ok := db.(snapshot.Live)
	if !ok {
		return nil, 0, snapshot.ErrUnsupported
	}
	store := snapshot.NewStore(snapshot.Folder(dir))
	err = migrate.NewRunner(db, migrate.Options{}).Hold(ctx, "bench", func(ctx context.Context, s *migrate.Session) error {
		name, identity, err := live.Identity(ctx)
		if err != nil {
			return err
		}
		m, err := store.Create(ctx, live, snapshot.About{Engine: engine, Source: name, Identity: identity}, snapshot.CreateOptions{Workers: snapshotWorkers, LockTimeout: 5 * time.Second})
		if err == nil && meanwhile != "" {
			_, err = db.DB().ExecContext(ctx, meanwhile)
		}
		if err != nil {
			return err
		}
		r, err = store.Restore(ctx, s, live, m, "bench", snapshot.BuildOptions{Workers: snapshotWorkers})
		return err
	})
	if err == nil {
		took, err = time.ParseDuration(r.Swapped)
	}
	return r, took, err
}

// readOn is an application that reads until end, which returns the longest that passed between two answers.
func readOn(ctx context.Context, url string) (end func() (time.Duration, error)) {
	ctx, stop := context.WithCancel(ctx)
	var longest time.Duration
	var err error
	var done sync.WaitGroup
	done.Go(func() { longest, err = reads(ctx, url) })
	return func() (time.Duration, error) {
		stop()
		done.Wait()
		return longest, err
	}
}

func reads(ctx context.Context, url string) (longest time.Duration, err error) {
	db, err := servers.Connect(url)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	answered := time.Now()
	for ctx.Err() == nil {
		var name string
		if db.QueryRowContext(ctx, "SELECT name FROM t0 WHERE id = 1").Scan(&name) == nil {
			longest = max(longest, time.Since(answered))
			answered = time.Now()
		}
		time.Sleep(time.Millisecond)
	}
	return longest, nil
}
