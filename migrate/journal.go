package migrate

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/schema"
)

// JournalVersion is the version of our tables that this package reads and writes. A database with a
// higher one is refused, never guessed at.
const JournalVersion = 1

// EntryKind says what a journal entry is about.
type EntryKind string

// The kinds of entry.
const (
	RunEntry       EntryKind = "run"       // a command that took the lock, with its plan
	PhaseEntry     EntryKind = "phase"     // one phase of one change, forward or back
	StatementEntry EntryKind = "statement" // one statement of a phase
	AdoptEntry     EntryKind = "adopt"     // a phase that another tool had applied before
	ReleaseEntry   EntryKind = "release"   // one step of a release
)

// Status says how far the thing an entry is about has come.
type Status string

// The statuses of an entry.
const (
	Started Status = "started" // the intent is journalled; whether it took effect is not known
	Done    Status = "done"    // it took effect, whole
	Failed  Status = "failed"  // it failed; Error says why
	Undone  Status = "undone"  // it failed, and what had taken effect was taken back
)

// Entry is one row of the journal. Times are UTC by the target's clock, in RFC 3339 form.
type Entry struct {
	Seq       int64     `json:"seq"`
	Parent    int64     `json:"parent,omitempty"` // the phase entry a statement belongs to
	Run       string    `json:"run"`
	Fence     int64     `json:"fence"`
	Kind      EntryKind `json:"kind"`
	Change    string    `json:"change,omitempty"`
	Phase     Phase     `json:"phase,omitempty"`
	Direction Direction `json:"direction,omitempty"`
	Statement int       `json:"statement,omitempty"` // its number in the script, from 1
	Action    string    `json:"action"`              // for people: the command, the statement's first line
	Status    Status    `json:"status"`
	Started   string    `json:"started"`
	Finished  string    `json:"finished,omitempty"`
	Actor     string    `json:"actor"`
	Rows      int64     `json:"rows,omitempty"`
	Before    string    `json:"fingerprint_before,omitempty"`
	After     string    `json:"fingerprint_after,omitempty"`
	Detail    string    `json:"detail,omitempty"` // JSON: a backfill's cursor, a release's step
	Error     string    `json:"error,omitempty"`
	Script    *string   `json:"-"` // the script that ran
	Rollback  *string   `json:"-"` // the script that will undo it; nil when there is none

	took time.Duration // of an entry that is only written once it is done: how long ago it started
}

// Journal reads and writes the journal's table.
type Journal struct {
	dialect Dialect
	actor   string
}

// NewJournal returns the journal of a database. The actor is who runs switchback, as user@host.
func NewJournal(d Dialect, actor string) *Journal { return &Journal{dialect: d, actor: actor} }

// execer runs statements: a *sql.DB or *sql.Conn.
type execer interface {
	schema.Queryer
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Install creates our tables where they are missing, and checks their version.
func (j *Journal) Install(ctx context.Context, q execer) error {
	installed, err := j.Installed(ctx, q)
	if err != nil || installed {
		return err
	}
	for _, s := range j.dialect.Install {
		if _, err := q.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("create the journal's tables (%s): %w", firstLine(s), err)
		}
	}
	meta := j.dialect.Table("meta")
	_, err = q.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (name, value) SELECT 'journal_version', '%d' WHERE NOT EXISTS (SELECT 1 FROM %s WHERE name = 'journal_version')", meta, JournalVersion, meta))
	if err != nil {
		return fmt.Errorf("record the journal's version: %w", err)
	}
	lock := j.dialect.Table("lock")
	_, err = q.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (fence, token, holder, command, session, host, pid, since, expires) SELECT 0, '', '', '', '', '', '', '', '' WHERE NOT EXISTS (SELECT 1 FROM %s)", lock, lock))
	if err != nil {
		return fmt.Errorf("create the lock: %w", err)
	}
	return nil
}

// Installed tells whether the journal's tables are there, and refuses those of a newer version.
func (j *Journal) Installed(ctx context.Context, q schema.Queryer) (bool, error) {
	var n int
	if err := queryRow(ctx, q, []any{&n}, j.dialect.Installed); err != nil {
		return false, fmt.Errorf("look for the journal: %w", err)
	}
	if n == 0 {
		return false, nil
	}
	var value string
	err := queryRow(ctx, q, []any{&value}, fmt.Sprintf("SELECT value FROM %s WHERE name = 'journal_version'", j.dialect.Table("meta")))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil // killed while installing: Install does the rest
	}
	if err != nil {
		return false, fmt.Errorf("read the journal's version: %w", err)
	}
	version, err := strconv.Atoi(value)
	if err != nil || version > JournalVersion {
		return false, fmt.Errorf("%w: it has version %s, this binary knows %d\n  state: nothing was changed\n  next: use the version of switchback that wrote it, or a later one", ErrJournalNewer, value, JournalVersion)
	}
	return true, nil
}

// columns of the journal that are written at once, in the order of Entry.values.
const entryColumns = "parent, run, fence, kind, change_id, phase, direction, statement, action, status, started_at, finished_at, actor, rows_affected, fingerprint_before, fingerprint_after, detail, error, script, rollback_script"

// Append writes an entry and returns its number. The server's clock fills an empty Started, and
// Finished when the entry is not of status Started.
func (j *Journal) Append(ctx context.Context, q execer, e Entry) (int64, error) {
	insert, args := j.insert(e, nil)
	if j.dialect.LastInsertID {
		r, err := q.ExecContext(ctx, insert, args...)
		if err != nil {
			return 0, fmt.Errorf("write the journal: %w", err)
		}
		return r.LastInsertId()
	}
	var seq int64
	if err := queryRow(ctx, q, []any{&seq}, insert+" RETURNING seq", args...); err != nil {
		return 0, fmt.Errorf("write the journal: %w", err)
	}
	return seq, nil
}

// insert is the statement that writes an entry, with its arguments. With a lock it writes nothing unless
// that is still held, and keeps it from being taken over until the transaction ends.
func (j *Journal) insert(e Entry, l *Lock) (string, []any) {
	var sets []string
	var args []any
	add := func(v any) { args = append(args, v); sets = append(sets, j.dialect.Placeholder(len(args))) }
	clock := func(v string, now bool, ago time.Duration) {
		switch {
		case v == "" && now && ago > 0:
			sets = append(sets, j.dialect.Later(-ago))
		case v == "" && now:
			sets = append(sets, j.dialect.Now)
		default:
			add(v)
		}
	}
	for _, v := range []any{e.Parent, e.Run, e.Fence, string(e.Kind), e.Change, string(e.Phase), string(e.Direction), e.Statement, e.Action, string(e.Status)} {
		add(v)
	}
	clock(e.Started, true, e.took)
	clock(e.Finished, e.Status != Started, 0)
	for _, v := range []any{j.actor, e.Rows, e.Before, e.After, e.Detail, e.Error, e.Script, e.Rollback} {
		add(v)
	}
	insert := fmt.Sprintf("INSERT INTO %s (%s) ", j.dialect.Table("journal"), entryColumns)
	if l == nil {
		insert += "VALUES (" + strings.Join(sets, ", ") + ")"
	} else {
		p := j.dialect.Placeholder
		insert += fmt.Sprintf("SELECT %s FROM %s WHERE fence = %s AND token = %s%s", strings.Join(sets, ", "), j.dialect.Table("lock"), p(len(args)+1), p(len(args)+2), j.dialect.ShareLock)
		args = append(args, l.Fence, l.token)
	}
	return insert, args
}

// Finish records the outcome of an entry: status, rows, fingerprint after, detail and error of e.
func (j *Journal) Finish(ctx context.Context, q execer, e Entry) error {
	p := j.dialect.Placeholder
	update := fmt.Sprintf("UPDATE %s SET status = %s, finished_at = %s, rows_affected = %s, fingerprint_after = %s, detail = %s, error = %s WHERE seq = %s",
		j.dialect.Table("journal"), p(1), j.dialect.Now, p(2), p(3), p(4), p(5), p(6))
	if _, err := q.ExecContext(ctx, update, string(e.Status), e.Rows, e.After, e.Detail, e.Error, e.Seq); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// Progress records how far an entry of status Started has come.
func (j *Journal) Progress(ctx context.Context, q execer, e Entry) error {
	p := j.dialect.Placeholder
	update := fmt.Sprintf("UPDATE %s SET rows_affected = %s, detail = %s WHERE seq = %s", j.dialect.Table("journal"), p(1), p(2), p(3))
	if _, err := q.ExecContext(ctx, update, e.Rows, e.Detail, e.Seq); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// Filter chooses journal entries. Zero values choose all.
type Filter struct {
	Kinds   []EntryKind
	Change  string
	Parent  int64
	Since   int64 // the entry of that number and those after it
	Scripts bool  // read the scripts too
}

// Entries returns the entries the filter chooses, in the order in which they were written.
func (j *Journal) Entries(ctx context.Context, q schema.Queryer, f Filter) ([]Entry, error) {
	columns := "seq, " + entryColumns
	if !f.Scripts {
		columns = strings.Replace(columns, "script, rollback_script", "NULL, NULL", 1)
	}
	var where []string
	var args []any
	add := func(v any) string { args = append(args, v); return j.dialect.Placeholder(len(args)) }
	if len(f.Kinds) > 0 {
		var in []string
		for _, k := range f.Kinds {
			in = append(in, add(string(k)))
		}
		where = append(where, "kind IN ("+strings.Join(in, ", ")+")")
	}
	if f.Change != "" {
		where = append(where, "change_id = "+add(f.Change))
	}
	if f.Parent != 0 {
		where = append(where, "parent = "+add(f.Parent))
	}
	if f.Since != 0 {
		where = append(where, "seq >= "+add(f.Since))
	}
	query := "SELECT " + columns + " FROM " + j.dialect.Table("journal")
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	rows, err := q.QueryContext(ctx, query+" ORDER BY seq", args...)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer rows.Close()
	var entries []Entry
	for rows.Next() {
		var e Entry
		if err := rows.Scan(&e.Seq, &e.Parent, &e.Run, &e.Fence, &e.Kind, &e.Change, &e.Phase, &e.Direction, &e.Statement, &e.Action, &e.Status,
			&e.Started, &e.Finished, &e.Actor, &e.Rows, &e.Before, &e.After, &e.Detail, &e.Error, &e.Script, &e.Rollback); err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return entries, nil
}

// rows sums up the rows that the statements of a phase entry touched.
func (j *Journal) rows(ctx context.Context, q schema.Queryer, parent int64) (int64, error) {
	var n int64
	query := fmt.Sprintf("SELECT coalesce(sum(rows_affected), 0) FROM %s WHERE parent = %s", j.dialect.Table("journal"), j.dialect.Placeholder(1))
	if err := queryRow(ctx, q, []any{&n}, query, parent); err != nil {
		return 0, fmt.Errorf("read the journal: %w", err)
	}
	return n, nil
}

// queryRow runs a query and scans its first row. No row is sql.ErrNoRows.
func queryRow(ctx context.Context, q schema.Queryer, into []any, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	return rows.Close()
}

// encode writes a detail as JSON. Details are our own plain structs, which always encode.
func encode(detail any) string {
	data, err := json.Marshal(detail)
	if err != nil {
		return "{}"
	}
	return string(data)
}
