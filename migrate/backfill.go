package migrate

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
)

// The batched statement says where the range of a batch goes with the placeholder :batch, as in
//
//	-- switchback:batch table=customers key=id size=2000
//	UPDATE customers SET full_name = first_name || ' ' || last_name WHERE full_name IS NULL AND :batch;
//
// It is a keyset walk: each batch takes the next rows by key, so no batch gets slower than the one
// before it. A batch and the cursor behind it are one transaction: killed at any point, the walk goes
// on exactly where it was.
const batchPlaceholder = ":batch"

var batchPattern = regexp.MustCompile(`(^|[^:\w]):batch\b`)

// cursor is where a walk stands: the detail of its journal entry.
type cursor struct {
	Key     []keyValue `json:"key,omitempty"` // the last key done; empty before the first batch
	Batches int64      `json:"batches"`
	Walked  int64      `json:"walked"` // rows walked over
	Total   int64      `json:"total"`  // about how many there are
	Hash    string     `json:"script"` // of the statement, to tell whether a later run may go on
}

// keyValue is one column of a key, with its Go type kept through JSON.
type keyValue struct{ value any }

func (k keyValue) MarshalJSON() ([]byte, error) {
	switch v := k.value.(type) {
	case int64:
		return json.Marshal(map[string]int64{"int": v})
	case float64:
		return json.Marshal(map[string]float64{"float": v})
	case []byte:
		return json.Marshal(map[string]string{"bytes": base64.StdEncoding.EncodeToString(v)})
	case string:
		return json.Marshal(map[string]string{"text": v})
	default:
		return nil, fmt.Errorf("a key of type %T cannot be kept", v)
	}
}

func (k *keyValue) UnmarshalJSON(data []byte) error {
	var v struct {
		Int   *int64   `json:"int"`
		Float *float64 `json:"float"`
		Bytes *[]byte  `json:"bytes"`
		Text  *string  `json:"text"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	switch {
	case v.Int != nil:
		k.value = *v.Int
	case v.Float != nil:
		k.value = *v.Float
	case v.Bytes != nil:
		k.value = *v.Bytes
	case v.Text != nil:
		k.value = *v.Text
	default:
		return errors.New("a key without a value")
	}
	return nil
}

// walk is one batched statement under way.
type walk struct {
	s     *Session
	step  Step
	batch Batch
	entry Entry
	at    cursor
	sql   string   // the statement, cut at the placeholder
	types []string // of the key columns, as the server writes them
	pace  pace
	span  int64 // rows of the batch under way
}

// backfill runs a batched statement from where an earlier run left it to the end.
func (s *Session) backfill(ctx context.Context, step Step, e Entry, st *Statement, b Batch, prior *Entry) error {
	w := &walk{s: s, step: step, batch: b, entry: e, sql: st.Text, pace: newPace(b, s.opts.BatchTime)}
	if n := len(batchPattern.FindAllString(st.Text, -1)); n != 1 {
		return fmt.Errorf("a batched statement needs the placeholder %s once, as in WHERE … AND %s; here it stands %d times", batchPlaceholder, batchPlaceholder, n)
	}
	if err := w.prepare(ctx, prior); err != nil {
		return err
	}
	if err := s.yield(ctx, step, true); err != nil {
		return err
	}
	defer func() { s.yields = false }()
	resumed := w.at.Batches > 0
	begun, walked := time.Now(), w.at.Walked
	told := func() Progress { return progress(w.at, walked, time.Since(begun), resumed) }
	kept := s.keptWaiting(ctx)
	defer kept.end()
	lag := lagWatch{s: s}
	for {
		if err := lag.hold(ctx, func(l Lag) {
			p := told()
			p.Batch, p.Lag = w.pace.size, &l
			s.opts.Observer.Progress(step, p)
		}); err != nil {
			return err
		}
		took, more, err := w.next(ctx)
		if err != nil {
			return w.blame(ctx, err)
		}
		waiters := kept.since()
		pause := w.pace.after(took, waiters)
		p := told()
		p.Batch, p.Kept = w.pace.size, waiters
		s.opts.Observer.Progress(step, p)
		if !more {
			break
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	if err := s.yield(ctx, step, false); err != nil {
		return err
	}
	w.entry.Status = Done
	return s.Finish(ctx, w.entry)
}

// yieldingTimeout is less than PostgreSQL waits before it looks for a deadlock, of which it would end either side.
const yieldingTimeout = 400 * time.Millisecond

// yield lets a batch and a write of the application that wait for each other's rows end with the batch giving
// way, on the server that would otherwise end either of them. The statements behind it have their own timeout
// again.
func (s *Session) yield(ctx context.Context, step Step, yes bool) error {
	s.yields = yes && s.db.Dialect().Engine == Postgres
	return s.settings(ctx, step)
}

// progress says how far a walk is, from what this run walked since it began.
func progress(at cursor, before int64, since time.Duration, resumed bool) Progress {
	p := Progress{Rows: at.Walked, Total: max(at.Total, at.Walked), Resume: resumed}
	if sec := since.Seconds(); sec > 0 {
		p.Rate = float64(at.Walked-before) / sec
	}
	if p.Rate > 0 && at.Total > at.Walked {
		p.Left = time.Duration(float64(at.Total-at.Walked) / p.Rate * float64(time.Second))
	}
	return p
}

// prepare writes the walk's entry, or takes up the cursor of an earlier run.
func (w *walk) prepare(ctx context.Context, prior *Entry) error {
	s := w.s
	for _, column := range w.batch.Key {
		t, err := s.db.ColumnType(ctx, s.conn, w.batch.Table, column)
		if err != nil {
			return fmt.Errorf("key %s of the batch over %s: %w", column, w.batch.Table, err)
		}
		w.types = append(w.types, t)
	}
	if prior == nil {
		total, err := s.db.EstimateRows(ctx, s.conn, w.batch.Table)
		if err != nil {
			return fmt.Errorf("estimate the rows of %s: %w", w.batch.Table, err)
		}
		w.at = cursor{Total: total, Hash: hash(w.sql)}
		if err := w.takeUp(ctx); err != nil {
			return err
		}
		w.entry.Status, w.entry.Detail = Started, encode(w.at)
		w.entry.Seq, err = s.Append(ctx, w.entry)
		failpoint.Hit("backfill: after intent")
		return err
	}
	w.entry = *prior
	if err := json.Unmarshal([]byte(prior.Detail), &w.at); err != nil {
		return fmt.Errorf("read the cursor of the backfill: %w", err)
	}
	return nil
}

// takeUp continues the walk of a step that failed, when the statement is still the same.
func (w *walk) takeUp(ctx context.Context) error {
	entries, err := w.s.journal.Entries(ctx, w.s.conn, Filter{Kinds: []EntryKind{PhaseEntry, StatementEntry}, Change: w.entry.Change})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Phase != w.entry.Phase {
			continue
		}
		if e.Kind == PhaseEntry && e.Status == Done {
			w.at = cursor{Total: w.at.Total, Hash: w.at.Hash} // finished or rolled back since
		}
		var c cursor
		if e.Kind == StatementEntry && e.Statement == w.entry.Statement && e.Status == Started &&
			json.Unmarshal([]byte(e.Detail), &c) == nil && c.Hash == w.at.Hash {
			w.at, w.entry.Rows = c, e.Rows
		}
	}
	return nil
}

// next runs one batch. more is false when it came to the end of the table. Rows that are written behind it from then
// on are no concern of the walk, or it would run after an application that adds rows for ever.
func (w *walk) next(ctx context.Context) (took time.Duration, more bool, err error) {
	s := w.s
	begun := time.Now()
	at, rows := w.at, w.entry.Rows
	err = s.retry(ctx, w.step, func() error {
		w.at, w.entry.Rows = at, rows
		return s.guarded(ctx, func() error {
			more, err = w.run(ctx)
			return err
		})
	})
	failpoint.Hit("batch: committed")
	return time.Since(begun), more, err
}

// run does the work of a batch inside its transaction.
func (w *walk) run(ctx context.Context) (more bool, err error) {
	upper, n, err := w.upper(ctx, w.pace.size)
	if err != nil || n == 0 {
		return false, err
	}
	w.span = n
	statement, args := w.statement(upper)
	result, err := w.s.conn.ExecContext(ctx, statement, args...)
	if err != nil {
		return false, &batchError{err}
	}
	touched, err := result.RowsAffected()
	if err != nil {
		return false, err
	}
	failpoint.Hit("batch: before cursor")
	w.at.Key, w.at.Batches, w.at.Walked = upper, w.at.Batches+1, w.at.Walked+n
	w.entry.Rows += touched
	w.entry.Detail = encode(w.at)
	return n >= int64(w.pace.size), w.s.journal.Progress(ctx, w.s.conn, w.entry)
}

// upper returns the last key of the next batch and how many rows it spans. The batch at the end of the table, which
// has fewer, is looked for on its own.
func (w *walk) upper(ctx context.Context, size int) ([]keyValue, int64, error) {
	d := w.s.db.Dialect()
	var read, order []string
	for i, column := range w.batch.Key {
		q := d.Quote(column)
		read = append(read, d.Key("k."+q, w.types[i]))
		order = append(order, q)
	}
	where, args := "", []any(nil)
	if len(w.at.Key) > 0 {
		where, args = w.bound(">", w.at.Key, 0)
		where = " WHERE " + where
	}
	columns, table := strings.Join(order, ", "), quoteTable(d, w.batch.Table)
	// In a query of its own, or the text that is selected would be what it is ordered by.
	inner := fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s", columns, table, where, columns)
	key, n, err := w.key(ctx, fmt.Sprintf("SELECT %s, %d FROM (%s LIMIT 1 OFFSET %d) AS k", strings.Join(read, ", "), size, inner, size-1), args)
	if err != nil || n > 0 {
		return key, n, err
	}
	reverse := make([]string, len(order))
	for i, q := range order {
		reverse[i] = "k." + q + " DESC"
	}
	inner += fmt.Sprintf(" LIMIT %d", size)
	if !numbered(d) {
		args = append(args, args...)
	}
	return w.key(ctx, fmt.Sprintf("SELECT %s, (SELECT count(*) FROM (%s) AS b) FROM (%s) AS k ORDER BY %s LIMIT 1", strings.Join(read, ", "), inner, inner, strings.Join(reverse, ", ")), args)
}

// key reads a key and how many rows of its table end with it; no row is no key.
func (w *walk) key(ctx context.Context, query string, args []any) ([]keyValue, int64, error) {
	values := make([]any, len(w.batch.Key))
	into := make([]any, 0, len(values)+1)
	for i := range values {
		into = append(into, &values[i])
	}
	var n int64
	into = append(into, &n)
	err := queryRow(ctx, w.s.conn, into, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("find the next batch of %s: %w", w.batch.Table, err)
	}
	key := make([]keyValue, len(values))
	for i, v := range values {
		if b, ok := v.([]byte); ok {
			v = append([]byte(nil), b...)
		}
		key[i] = keyValue{v}
	}
	return key, n, nil
}

// numbered tells whether the dialect's parameters carry their number, and so can stand in a statement
// twice.
func numbered(d Dialect) bool { return d.Placeholder(1) != d.Placeholder(2) }

// statement puts the range of the batch into the statement.
func (w *walk) statement(upper []keyValue) (string, []any) {
	var parts []string
	var args []any
	if len(w.at.Key) > 0 {
		text, a := w.bound(">", w.at.Key, 0)
		parts, args = append(parts, text), append(args, a...)
	}
	text, a := w.bound("<=", upper, len(args))
	parts, args = append(parts, text), append(args, a...)
	at := batchPattern.FindStringIndex(w.sql)
	from := strings.Index(w.sql[at[0]:], batchPlaceholder) + at[0]
	return w.sql[:from] + "(" + strings.Join(parts, " AND ") + ")" + w.sql[from+len(batchPlaceholder):], args
}

// bound compares the key columns with a key, column by column from the left; offset is how many
// parameters stand before. A row comparison would do, but MySQL does not use an index for it.
func (w *walk) bound(op string, key []keyValue, offset int) (string, []any) {
	d := w.s.db.Dialect()
	var args []any
	param := func(i int) string {
		args = append(args, key[i].value)
		return d.KeyParameter(offset+len(args), w.types[i])
	}
	strict := op[:1]
	var alternatives []string
	for i := range key {
		var all []string
		for j := range i {
			all = append(all, d.Quote(w.batch.Key[j])+" = "+param(j))
		}
		use := strict
		if i == len(key)-1 {
			use = op
		}
		all = append(all, d.Quote(w.batch.Key[i])+" "+use+" "+param(i))
		alternatives = append(alternatives, strings.Join(all, " AND "))
	}
	if len(alternatives) == 1 {
		return alternatives[0], args
	}
	return "((" + strings.Join(alternatives, ") OR (") + "))", args
}

// quoteTable quotes a table that may carry its schema, as in sales.orders.
func quoteTable(d Dialect, table string) string {
	if d.Engine == SQLite {
		return d.Quote(strings.TrimPrefix(table, "main."))
	}
	parts := strings.Split(table, ".")
	for i := range parts {
		parts[i] = d.Quote(parts[i])
	}
	return strings.Join(parts, ".")
}
