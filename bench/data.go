package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/switchbackdb/switchback/drift/data"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

const (
	dataRows    = 10_000_000
	dataDiffers = 10
)

// rowDatabase is what the comparison of rows needs of a driver.
type rowDatabase interface {
	database.Database
	Inspect(ctx context.Context) (*schema.Database, error)
	RowReader(ctx context.Context) (data.Side, error)
}

// dataComparison compares two copies of a table of ten million rows that differ in ten. Beside it stands one
// sequential scan of each copy, both at once as ours are, that reads every column as text and keeps nothing:
// the least that anything has to do which looks at all values of both sides. The scan adds up lengths
// rather than count columns, for a count does not even unpack a value; and it runs in the server, since to
// send the rows to a client takes several times as long. The lower bound, a scan that unpacks the columns
// and does nothing with them, is printed too.
func dataComparison(ctx context.Context, b *bencher) error {
	for _, k := range []servers.Kind{servers.Postgres17, servers.MySQL9} {
		if err := dataOn(ctx, b, k); err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return nil
}

func dataOn(ctx context.Context, b *bencher, k servers.Kind) (err error) {
	n := b.amount(dataRows)
	var dbs [2]*sql.DB
	var targets [2]rowDatabase
	for i := range dbs {
		url, db, drop, err := fresh(ctx, &k)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, drop()) }()
		if err := fillData(ctx, db, k.Engine, n, i == 1); err != nil {
			return err
		}
		target, err := database.Open(ctx, url, database.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, target.Close()) }()
		dbs[i], targets[i] = db, target.(rowDatabase)
	}
	text, unpack := "SELECT sum(length(t::text)) FROM t", "SELECT count(code), count(name), count(amount), count(rate), count(active), count(day), count(at) FROM t"
	if k.Engine == "mysql" {
		text = "SELECT sum(length(concat_ws(',', id, code, name, amount, rate, active, day, at))) FROM t"
	}
	ours, theirs, least := &figure{who: "switchback drift --data"}, &figure{who: "one scan of all columns as text"}, &figure{who: "one scan of all columns"}
	for range b.rounds {
		for _, m := range []struct {
			figure *figure
			run    func() error
		}{
			{ours, func() error { return compareData(ctx, targets, int64(n)) }},
			{theirs, func() error { return scanBoth(ctx, dbs, text) }},
			{least, func() error { return scanBoth(ctx, dbs, unpack) }},
		} {
			took, err := timed(m.run)
			if err != nil {
				return err
			}
			m.figure.add(took.Seconds())
		}
	}
	b.report.table(fmt.Sprintf("two tables of %d rows on %s that differ in %d, both sides at once", n, k.Engine, dataDiffers), "s", []*figure{ours, theirs, least})
	return nil
}

// fillData makes the table. Its types are those of everyday tables.
func fillData(ctx context.Context, db *sql.DB, engine string, n int, changed bool) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	statements := []string{
		"CREATE TABLE t (id bigint PRIMARY KEY, code varchar(20) NOT NULL, name text NOT NULL, amount numeric(12,2) NOT NULL, rate double precision, active boolean NOT NULL, day date NOT NULL, at timestamptz NOT NULL)",
		fmt.Sprintf("INSERT INTO t SELECT i, 'C' || i %% 1000, 'customer number ' || i, i %% 100000 / 100.0, i / 7.0, i %% 2 = 0, date '2020-01-01' + i %% 1000, timestamptz '2020-01-01' + i * interval '1 second' FROM generate_series(1, %d) i", n),
		"VACUUM ANALYZE t",
	}
	if engine == "mysql" {
		statements = []string{
			"SET SESSION cte_max_recursion_depth = 10000000", "SET SESSION sql_log_bin = 0", "SET time_zone = '+00:00'",
			"CREATE TABLE t (id bigint PRIMARY KEY, code varchar(20) NOT NULL, name text NOT NULL, amount decimal(12,2) NOT NULL, rate double, active boolean NOT NULL, day date NOT NULL, at timestamp(6) NOT NULL)",
			fmt.Sprintf("INSERT INTO t WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT i, concat('C', i %% 1000), concat('customer number ', i), (i %% 100000) / 100, i / 7.0, i %% 2, date '2020-01-01' + interval (i %% 1000) day, timestamp '2020-01-01 00:00:00' + interval i second FROM s", n),
			"ANALYZE TABLE t",
		}
	}
	if changed {
		statements = append(statements, fmt.Sprintf("UPDATE t SET amount = amount + 1 WHERE id %% %d = 1", max(1, n/dataDiffers)))
	}
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// compareData compares the two, and checks that all that differs was found.
func compareData(ctx context.Context, targets [2]rowDatabase, n int64) (err error) {
	var tables [2]*schema.Table
	var sides [2]data.Side
	var name string
	for i, target := range targets {
		model, err := target.Inspect(ctx)
		if err != nil {
			return err
		}
		name, tables[i] = model.Schemas[0].Name, model.Schemas[0].Table("t")
		if sides[i], err = target.RowReader(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sides[i].Close()) }()
	}
	plan := data.NewPlan(name, tables[0], tables[1], func(column string) bool {
		return sides[0].Integer(tables[0], column) && sides[1].Integer(tables[1], column)
	})
	d, err := data.Compare(ctx, sides[0], sides[1], plan, data.Options{Sample: 20})
	if err == nil && (d.Differed != dataDiffers || d.RowsFrom != n || d.RowsTo != n) {
		return fmt.Errorf("found %d differences in %d and %d rows", d.Differed, d.RowsFrom, d.RowsTo)
	}
	return err
}

// scanBoth runs a query on both at once.
func scanBoth(ctx context.Context, dbs [2]*sql.DB, query string) error {
	var wg sync.WaitGroup
	var failed [2]error
	for i, db := range dbs {
		wg.Go(func() {
			rows, err := db.QueryContext(ctx, query)
			if err != nil {
				failed[i] = err
				return
			}
			defer rows.Close()
			for rows.Next() {
			}
			failed[i] = rows.Err()
		})
	}
	wg.Wait()
	return errors.Join(failed[:]...)
}
