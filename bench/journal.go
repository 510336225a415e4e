package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

const journalSteps = 500

// journals writes what a step of a release does to the journal, before and after, each in a transaction in which the
// lock is known to be held; and beside it the least that could do: a row inserted, and updated.
func journals(ctx context.Context, b *bencher) error {
	for _, k := range []*servers.Kind{nil, &servers.Postgres17, &servers.MySQL9, &servers.MariaDB118} {
		if err := journalOf(ctx, b, k); err != nil {
			return err
		}
	}
	return nil
}

func journalOf(ctx context.Context, b *bencher, k *servers.Kind) (err error) {
	url, plain, drop, err := fresh(ctx, k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	if _, err := plain.ExecContext(ctx, "CREATE TABLE notes (id integer PRIMARY KEY, status varchar(20), detail text)"); err != nil {
		return err
	}
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	n := b.amount(journalSteps)
	ours, bare := &figure{who: "switchback"}, &figure{who: "INSERT, UPDATE"}
	for round := range b.rounds {
		took, err := timed(func() error { return journalled(ctx, db, n) })
		if err != nil {
			return err
		}
		ours.add(float64(took.Microseconds()) / 1000 / float64(n))
		if took, err = timed(func() error { return noted(ctx, plain, round*n, n) }); err != nil {
			return err
		}
		bare.add(float64(took.Microseconds()) / 1000 / float64(n))
	}
	b.report.table(fmt.Sprintf("the journal of a step of a release on %s", db.Dialect().Engine), "ms", []*figure{ours, bare})
	return nil
}

func journalled(ctx context.Context, db migrate.Database, n int) error {
	return migrate.NewRunner(db, migrate.Options{}).Hold(ctx, "bench", func(ctx context.Context, s *migrate.Session) (err error) {
		for range n {
			e := migrate.Entry{Kind: migrate.ReleaseEntry, Direction: migrate.Forward, Action: "release bench: shift 100%", Status: migrate.Started, Detail: `{"release":"bench","step":7}`}
			if e.Seq, err = s.Append(ctx, e); err != nil {
				return err
			}
			e.Status = migrate.Done
			if err := s.Finish(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func noted(ctx context.Context, db *sql.DB, first, n int) error {
	for i := range n {
		insert := fmt.Sprintf("INSERT INTO notes VALUES (%d, 'started', '')", first+i)
		update := fmt.Sprintf("UPDATE notes SET status = 'done', detail = '%s' WHERE id = %d", time.Now().Format(time.RFC3339Nano), first+i)
		for _, statement := range []string{insert, update} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}
