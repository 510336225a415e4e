package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

const (
	backfillRows  = 2_000_000
	updateWorkers = 4
	updateEvery   = 2 * time.Millisecond // of each worker: an open-loop load, which waits for nobody
	quietTime     = 10 * time.Second
)

// backfills fills a column of two million rows while point updates go on, and puts their latency beside
// what it is without the backfill. The plain UPDATE of the whole table is what a user would write
// instead; its updates wait for as long as it runs.
func backfills(ctx context.Context, b *bencher) error {
	for _, k := range []servers.Kind{servers.Postgres17, servers.MySQL9} {
		if err := backfillOn(ctx, b, k); err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return nil
}

func backfillOn(ctx context.Context, b *bencher, k servers.Kind) (err error) {
	n := b.amount(backfillRows)
	url, db, drop, err := fresh(ctx, &k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	if err := fill(ctx, db, k.Engine, n); err != nil {
		return err
	}
	quiet, err := underUpdates(ctx, db, k.Engine, n, func() error { return wait(ctx, time.Duration(float64(quietTime)*min(1, b.scale*5))) })
	if err != nil {
		return err
	}
	var took time.Duration
	busy, err := underUpdates(ctx, db, k.Engine, n, func() (err error) {
		took, err = timed(func() error { return backfillWith(ctx, url) })
		return err
	})
	if err != nil {
		return err
	}
	if busy.first != nil {
		return fmt.Errorf("%d updates failed beside the backfill: %w", busy.failed, busy.first)
	}
	var left int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM people WHERE full_name IS NULL").Scan(&left); err != nil || left > 0 {
		return errors.Join(err, fmt.Errorf("%d rows were not filled", left))
	}
	if _, err := db.ExecContext(ctx, "UPDATE people SET full_name = NULL"); err != nil {
		return err
	}
	var plain time.Duration
	once, err := underUpdates(ctx, db, k.Engine, n, func() (err error) {
		plain, err = timed(func() error {
			_, err := db.ExecContext(ctx, "UPDATE people SET full_name = concat(first_name, ' ', last_name) WHERE full_name IS NULL")
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	rate := func(d time.Duration) *figure { return &figure{values: []float64{float64(n) / d.Seconds()}} }
	ours, theirs := rate(took), rate(plain)
	ours.who, theirs.who = "switchback backfill", "one UPDATE"
	b.report.table(fmt.Sprintf("backfill of %d rows on %s, updates going on", n, k.Engine), "rows/s", []*figure{ours, theirs})
	b.report.table(fmt.Sprintf("a point update on %s meanwhile, p99", k.Engine), "ms", []*figure{
		{who: "during the backfill", values: []float64{busy.percentile(99)}},
		{who: "with no backfill", values: []float64{quiet.percentile(99)}},
		{who: "during one UPDATE", values: []float64{once.percentile(99)}},
	})
	return nil
}

func fill(ctx context.Context, db *sql.DB, engine string, n int) error {
	statements := []string{
		"CREATE TABLE people (id integer PRIMARY KEY, first_name varchar(40) NOT NULL, last_name varchar(40) NOT NULL, full_name varchar(81), touched integer NOT NULL DEFAULT 0)",
	}
	if engine == "postgres" {
		statements = append(statements, fmt.Sprintf("INSERT INTO people (id, first_name, last_name, touched) SELECT i, 'first' || i, 'last' || i, i FROM generate_series(1, %d) AS i", n), "ANALYZE people")
	} else {
		statements = append(statements, "SET SESSION cte_max_recursion_depth = 10000000",
			fmt.Sprintf("INSERT INTO people (id, first_name, last_name, touched) WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT i, concat('first', i), concat('last', i), i FROM s", n), "ANALYZE TABLE people")
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func backfillWith(ctx context.Context, url string) (err error) {
	dir, err := os.MkdirTemp("", "switchback-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	change := filepath.Join(dir, "1_full_name")
	err = errors.Join(writeFiles(map[string]string{
		filepath.Join(change, "expand.sql"):          "SELECT 1;\n",
		filepath.Join(change, "expand.rollback.sql"): "SELECT 1;\n",
		filepath.Join(change, "backfill.sql"):        "-- switchback:batch table=people key=id size=2000\nUPDATE people SET full_name = concat(first_name, ' ', last_name) WHERE full_name IS NULL AND :batch;\n",
	}), migrate.WriteSum(dir))
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	folder, err := migrate.LoadFolder(dir, db.Dialect().Engine)
	if err != nil {
		return err
	}
	_, err = migrate.NewRunner(db, migrate.Options{}).Run(ctx, "bench", func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanForward(folder, s, migrate.ForwardOptions{Phases: []migrate.Phase{migrate.Expand, migrate.Backfill}})
	})
	return err
}

// load is what became of updates that went on beside something else. A latency counts from when the update was due, so
// that one that has to wait is not left out.
type load struct {
	latencies []time.Duration
	failed    int
	first     error // of those that failed
}

// percentile is that of the latencies, in milliseconds.
func (l *load) percentile(p float64) float64 { return percentile(l.latencies, p) }

func (l *load) add(other load) {
	l.latencies = append(l.latencies, other.latencies...)
	l.failed += other.failed
	if l.first == nil {
		l.first = other.first
	}
}

// underUpdates runs f while workers update single rows.
func underUpdates(ctx context.Context, db *sql.DB, engine string, n int, f func() error) (*load, error) {
	const statement = "UPDATE people SET touched = touched + 1 WHERE id = "
	exec := func(ctx context.Context, id int) (sql.Result, error) {
		// With a parameter it would be prepared and closed each time: three messages, which two cores have no room for.
		return db.ExecContext(ctx, statement+strconv.Itoa(id))
	}
	if engine == "postgres" {
		exec = func(ctx context.Context, id int) (sql.Result, error) { return db.ExecContext(ctx, statement+"$1", id) }
	}
	db.SetMaxIdleConns(updateWorkers) // one for each: the pool keeps two, and the others would connect again and again

	var end atomic.Int64 // what is due after that is not asked any more; what is due before is waited for
	end.Store(math.MaxInt64)
	var wg sync.WaitGroup
	var mu sync.Mutex
	all := &load{}
	for range updateWorkers {
		wg.Go(func() {
			mine := update(ctx, exec, n, &end)
			mu.Lock()
			defer mu.Unlock()
			all.add(mine)
		})
	}
	err := f()
	end.Store(time.Now().UnixNano())
	wg.Wait()
	return all, errors.Join(err, context.Cause(ctx))
}

// pointUpdate updates the row of a key.
type pointUpdate func(ctx context.Context, id int) (sql.Result, error)

func update(ctx context.Context, exec pointUpdate, n int, end *atomic.Int64) (mine load) {
	for due := time.Now(); ; {
		due = due.Add(updateEvery)
		if due.UnixNano() > end.Load() || wait(ctx, time.Until(due)) != nil {
			return mine
		}
		if _, err := exec(ctx, 1+rand.IntN(n)); err != nil {
			mine.add(load{failed: 1, first: err})
			continue
		}
		mine.latencies = append(mine.latencies, time.Since(due))
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
