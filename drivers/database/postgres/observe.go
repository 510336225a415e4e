package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/migrate"
)

// LintObserver returns what runs statements in this database and says what they lock, read and write anew. The
// database has to be a scratch one: what the statements do stays.
func (d *Database) LintObserver() lint.Observer { return observer{d} }

type observer struct{ db *Database }

// seenTable is a table as it is in a moment of a transaction.
type seenTable struct {
	name  string
	file  int64 // relfilenode: another one means that the table was written anew
	scans int64
	kind  string // relkind
}

// Observe implements lint.Observer.
func (o observer) Observe(ctx context.Context, statements []string, transaction bool) (seen []lint.Observation, err error) {
	conn, err := o.db.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the scratch database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if transaction {
		if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
			return nil, err
		}
	}
	existing, err := tables(ctx, conn)
	if err != nil {
		return nil, err
	}
	held := map[lint.Lock]bool{}
	for _, text := range statements {
		observation, err := o.one(ctx, conn, text, transaction, existing, held)
		if err != nil {
			if transaction {
				_, rerr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
				err = errors.Join(err, rerr)
			}
			return seen, err
		}
		seen = append(seen, observation)
	}
	if transaction {
		_, err = conn.ExecContext(ctx, "COMMIT")
	}
	return seen, err
}

// one observes a statement. What cannot run in a transaction is observed while it waits, by outside.
func (o observer) one(ctx context.Context, conn *sql.Conn, text string, transaction bool, existing map[int64]seenTable, held map[lint.Lock]bool) (result lint.Observation, err error) {
	own := !transaction && o.db.Classify(text) == migrate.Atomic
	if own {
		if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
			return result, err
		}
		defer func() {
			end := "COMMIT"
			if err != nil {
				end = "ROLLBACK"
			}
			_, eerr := conn.ExecContext(context.WithoutCancel(ctx), end)
			err = errors.Join(err, eerr)
		}()
	}
	before, err := tables(ctx, conn)
	if err != nil {
		return result, err
	}
	if !own && !transaction {
		if result.Locks, err = o.outside(ctx, conn, text, before); err != nil {
			return result, err
		}
	} else {
		if own {
			existing, held = before, map[lint.Lock]bool{}
		}
		if _, err := o.db.Execute(ctx, conn, text); err != nil {
			return result, err
		}
		if result.Locks, err = locks(ctx, conn, existing, held); err != nil {
			return result, err
		}
	}
	after, err := tables(ctx, conn)
	if err != nil {
		return result, err
	}
	for id, now := range after {
		was, there := before[id]
		if _, old := existing[id]; !old || !there {
			continue
		}
		if was.file != now.file {
			result.Rewritten = append(result.Rewritten, was.name)
		}
		if now.scans > was.scans && (own || transaction) { // outside of one they count at some time
			result.Scanned = append(result.Scanned, was.name)
		}
	}
	slices.Sort(result.Rewritten)
	slices.Sort(result.Scanned)
	return result, nil
}

// tables are those of the database's users, by their OID.
func tables(ctx context.Context, conn *sql.Conn) (map[int64]seenTable, error) {
	rows, err := conn.QueryContext(ctx, `SELECT c.oid::bigint, c.oid::regclass::text, coalesce(pg_relation_filenode(c.oid), 0)::bigint,
       coalesce(pg_stat_get_xact_numscans(c.oid), 0), c.relkind::text
FROM pg_class c
WHERE c.relkind IN ('r', 'p', 'm') AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  AND c.relpersistence <> 't'`)
	if err != nil {
		return nil, fmt.Errorf("read the scratch database's tables: %w", err)
	}
	defer rows.Close()
	list := map[int64]seenTable{}
	for rows.Next() {
		var id int64
		var t seenTable
		if err := rows.Scan(&id, &t.name, &t.file, &t.scans, &t.kind); err != nil {
			return nil, err
		}
		list[id] = t
	}
	return list, rows.Err()
}

// locks are those that the transaction holds on tables that were there before it, the strongest of each. What is
// in held was seen after a statement before.
func locks(ctx context.Context, conn *sql.Conn, existing map[int64]seenTable, held map[lint.Lock]bool) ([]lint.Lock, error) {
	rows, err := conn.QueryContext(ctx, `SELECT relation::bigint, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	if err != nil {
		return nil, fmt.Errorf("read the locks that the statement took: %w", err)
	}
	defer rows.Close()
	var list []lint.Lock
	for rows.Next() {
		var id int64
		var mode string
		if err := rows.Scan(&id, &mode); err != nil {
			return nil, err
		}
		t, ok := existing[id]
		if !ok {
			continue
		}
		l := lint.Lock{Table: t.name, Mode: manual(mode)}
		was := held[l]
		held[l] = true
		l.Mine = !was
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b lint.Lock) int { return strings.Compare(a.Table+a.Mode, b.Table+b.Mode) })
	return list, rows.Err()
}

// manual is a mode of pg_locks as the manual writes it: AccessExclusiveLock is ACCESS EXCLUSIVE.
func manual(mode string) string {
	var b strings.Builder
	for i, r := range strings.TrimSuffix(mode, "Lock") {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}
