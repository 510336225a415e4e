package recipes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
)

// fleet is the clients of both versions of the application.
type fleet struct {
	t       *testing.T
	book    *book
	tongue  tongue
	db      *sql.DB
	running map[side][]*client
	seed    uint64
}

// tongue is how an engine wants its statements.
type tongue struct {
	engine string
	quote  func(string) string
}

func (g tongue) parameter(n int) string {
	if g.engine == "postgres" {
		return fmt.Sprintf("$%d", n)
	}
	return "?"
}

// text reads an expression as text.
func (g tongue) text(expression string) string {
	if g.engine == "mysql" || g.engine == "mariadb" {
		return "CAST(" + expression + " AS char)"
	}
	return "CAST(" + expression + " AS text)"
}

// otherwise is what an INSERT does with a row that is there.
func (g tongue) otherwise(key string, names []string) string {
	before, value := " ON DUPLICATE KEY UPDATE ", "VALUES(%s)"
	if g.engine != "mysql" && g.engine != "mariadb" {
		before, value = " ON CONFLICT ("+g.quote(key)+") DO UPDATE SET ", "excluded.%s"
	}
	if len(names) == 0 {
		names = []string{key}
	}
	var sets []string
	for _, n := range names {
		sets = append(sets, g.quote(n)+" = "+fmt.Sprintf(value, g.quote(n)))
	}
	return before + strings.Join(sets, ", ")
}

func (g tongue) begin() string {
	if g.engine == "sqlite" {
		return "BEGIN IMMEDIATE"
	}
	return "START TRANSACTION"
}

// client is one connection that works without pause.
type client struct {
	side   side
	book   *book
	tongue tongue
	conn   *sql.Conn
	rand   *rand.Rand
	stop   chan struct{}
	ended  chan struct{}
	done   atomic.Int64
	err    error // once it has ended
}

// start lets n clients of a side work until they are stopped.
func (f *fleet) start(s side, n int) {
	f.t.Helper()
	if f.book.shape(s).table == "" {
		return
	}
	for range n {
		conn, err := f.db.Conn(f.t.Context())
		require.NoError(f.t, err)
		f.seed++
		c := &client{side: s, book: f.book, tongue: f.tongue, conn: conn, rand: rand.New(rand.NewPCG(20261124, f.seed)), stop: make(chan struct{}), ended: make(chan struct{})}
		f.running[s] = append(f.running[s], c)
		go c.run(context.WithoutCancel(f.t.Context()))
	}
}

// end stops the clients of a side, and wants none to have met an error.
func (f *fleet) end(s side) {
	f.t.Helper()
	for _, c := range f.running[s] {
		close(c.stop)
	}
	for _, c := range f.running[s] {
		<-c.ended
		require.NoError(f.t, c.err, "%s met an error", s)
		require.NoError(f.t, c.conn.Close())
	}
	delete(f.running, s)
}

// close ends what is still there when a test has failed.
func (f *fleet) close() {
	for _, list := range f.running {
		for _, c := range list {
			close(c.stop)
		}
		for _, c := range list {
			<-c.ended
			_ = c.conn.Close()
		}
	}
	clear(f.running)
}

// well wants no client to have met an error.
func (f *fleet) well() {
	f.t.Helper()
	for s, list := range f.running {
		for _, c := range list {
			select {
			case <-c.ended:
				require.NoError(f.t, c.err, "%s met an error", s)
			default:
			}
		}
	}
}

// lap waits until each client has done n more pieces of work.
func (f *fleet) lap(n int64) {
	f.t.Helper()
	for s, list := range f.running {
		for _, c := range list {
			for want := c.done.Load() + n; c.done.Load() < want; {
				select {
				case <-c.ended:
					require.NoError(f.t, c.err, "%s met an error", s)
				case <-time.After(time.Millisecond):
				}
			}
		}
	}
}

func (c *client) run(ctx context.Context) {
	defer close(c.ended)
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		if err := c.piece(ctx); err != nil {
			c.err = err
			return
		}
		c.done.Add(1)
		if c.tongue.engine == "sqlite" { // whoever asks again first is served, and the others starve
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// piece is one piece of work. Long ones have a limit, so that a hang is an error that says where.
func (c *client) piece(ctx context.Context) error {
	c.book.gate.RLock()
	defer c.book.gate.RUnlock()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	switch n := c.rand.IntN(100); {
	case n < 20:
		return c.transaction(ctx)
	case n < 40:
		return c.look(ctx)
	default:
		w := &work{client: c, ctx: ctx}
		defer w.unlock()
		return w.given(w.write())
	}
}

// given is what became of a write. MySQL and MariaDB end transactions that hold the gaps between each other's
// keys: what an application there does again is not done here.
func (w *work) given(err error) error {
	var back *mysql.MySQLError
	if errors.As(err, &back) && (back.Number == 1213 || back.Number == 1305 && w.book.c.missing) {
		w.restore(0)
		return nil
	}
	return err
}

// look reads rows one by one and together.
func (c *client) look(ctx context.Context) error {
	w := &work{client: c, ctx: ctx}
	defer w.unlock()
	return w.read(w.pick(1 + c.rand.IntN(5)))
}

// transaction writes several times, takes some of it back by a savepoint, and may take back everything.
func (c *client) transaction(ctx context.Context) error {
	w := &work{client: c, ctx: ctx}
	defer w.unlock()
	// Rows are taken in one order by all, and before the database's lock: this is about the change, not about
	// deadlocks of the application.
	w.stock = append([]*record{}, w.pick(6)...)
	if _, err := w.exec(c.tongue.begin()); err != nil {
		return err
	}
	err := func() error {
		if err := w.write(); err != nil {
			return err
		}
		if _, err := w.exec("SAVEPOINT a"); err != nil {
			return err
		}
		point := len(w.before)
		if err := w.write(); err != nil {
			return err
		}
		if c.rand.IntN(2) == 0 {
			if _, err := w.exec("ROLLBACK TO SAVEPOINT a"); err != nil {
				return err
			}
			w.restore(point)
		}
		if err := w.write(); err != nil {
			return err
		}
		return w.read(w.present(w.locked))
	}()
	if err != nil {
		_, _ = c.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return w.given(err)
	}
	if c.rand.IntN(4) == 0 {
		_, err = w.exec("ROLLBACK")
		w.restore(0)
		return err
	}
	_, err = w.exec("COMMIT")
	return err
}

// work is what a client does with rows that it has locked in the book.
type work struct {
	*client
	ctx    context.Context
	locked []*record
	stock  []*record // rows for the writes of a transaction; nil outside of one
	before []earlier
}

// earlier is a row as it was before a write.
type earlier struct {
	r           *record
	gone, stale bool
	blue, green values
}

func (w *work) unlock() {
	for _, r := range w.locked {
		r.Unlock()
	}
}

func (w *work) remember(r *record) {
	w.before = append(w.before, earlier{r, r.gone, r.stale, r.blue.clone(), r.green.clone()})
}

// restore takes writes back in the book.
func (w *work) restore(to int) {
	for _, e := range slices.Backward(w.before[to:]) {
		e.r.gone, e.r.stale, e.r.blue, e.r.green = e.gone, e.stale, e.blue, e.green
	}
	w.before = w.before[:to]
}

func (w *work) exec(statement string, args ...any) (sql.Result, error) {
	result, err := w.conn.ExecContext(w.ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("%s, %s %v: %w", w.side, statement, args, err)
	}
	return result, nil
}

// present returns the rows of a list that the side can work with.
func (w *work) present(list []*record) []*record {
	var out []*record
	for _, r := range list {
		if !r.gone && (w.side == blue || !r.stale) {
			out = append(out, r)
		}
	}
	return out
}

// pick takes up to n rows that are there, and locks them. In a transaction it takes them from its stock.
func (w *work) pick(n int) []*record {
	if w.stock != nil {
		taken := w.stock[:min(n, len(w.stock))]
		w.stock = w.stock[len(taken):]
		return w.present(taken)
	}
	all := w.book.all()
	chosen := map[*record]bool{}
	for range min(n, len(all)) {
		chosen[all[w.rand.IntN(len(all))]] = true
	}
	list := slices.SortedFunc(maps.Keys(chosen), func(a, b *record) int { return int(a.id - b.id) })
	for _, r := range list {
		r.Lock()
	}
	w.locked = append(w.locked, list...)
	return w.present(list)
}

func (w *work) write() error {
	switch n := w.rand.IntN(10); {
	case n < 3:
		return w.insert(1)
	case n < 4:
		return w.insert(2 + w.rand.IntN(9))
	case n < 7:
		return w.update(w.pick(1))
	case n < 8:
		return w.update(w.pick(2 + w.rand.IntN(4)))
	case n < 9:
		return w.upsert(w.pick(1))
	default:
		return w.remove(w.pick(1 + w.rand.IntN(3)))
	}
}

// value is what the side writes to a column.
func (w *work) value(c column) any {
	n := int(w.book.number.Add(1))
	switch {
	case w.side == green && w.book.hides(c.name):
		return w.book.c.blue.column(c.name).values(n)
	case w.book.stage == contracted && c.late != nil && w.rand.IntN(3) == 0:
		return c.late(n)
	}
	return c.values(n)
}

// some makes values for some of the columns, for an insert at least for those that must be there.
func (w *work) some(insert bool, all bool) values {
	set := values{}
	columns := w.book.shape(w.side).columns
	for _, c := range columns {
		if c.values == nil {
			continue
		}
		if all || w.book.stage == contracting || insert && w.book.definition(w.side, c.name).required || w.rand.IntN(3) > 0 {
			set[c.name] = w.value(c)
		}
	}
	return set
}

// plain leaves the rows that a write means the same to, whichever side of contract it finds itself on.
func (w *work) plain(rows []*record, set values) []*record {
	if w.book.stage != contracting {
		return rows
	}
	return slices.DeleteFunc(rows, func(r *record) bool { return !w.book.plainly(r, set) })
}

func (w *work) columns(set values) []string {
	return slices.DeleteFunc(w.book.shape(w.side).names(), func(c string) bool { _, ok := set[c]; return !ok })
}

func (w *work) insert(n int) error {
	first := w.some(true, false)
	if w.book.stage == contracting && !w.book.plainly(&record{gone: true}, first) {
		return nil
	}
	rows := w.book.create(n)
	w.locked = append(w.locked, rows...)
	sets := []values{first}
	names := w.columns(first)
	for range n - 1 {
		next := values{}
		for _, name := range names {
			c := w.book.shape(w.side).column(name)
			next[name] = w.value(*c)
		}
		if w.book.stage == contracting && !w.book.plainly(&record{gone: true}, next) {
			next = first
			for _, c := range w.book.shape(w.side).columns {
				if c.unique {
					next[c.name] = w.value(c)
				}
			}
		}
		sets = append(sets, next)
	}
	return w.insertRows(rows, names, sets, false)
}

// insertRows writes rows, with upsert such as may be there.
func (w *work) insertRows(rows []*record, names []string, sets []values, upsert bool) error {
	s := w.book.shape(w.side)
	here, aside := s.parted(names)
	if err := w.insertInto(s.table, "id", rows, here, sets, upsert); err != nil {
		return err
	}
	if len(aside) > 0 {
		if err := w.insertInto(s.aside.table, s.aside.key, rows, aside, sets, upsert); err != nil {
			return err
		}
	}
	for i, r := range rows {
		w.remember(r)
		w.book.writes(w.side, r, sets[i])
	}
	return nil
}

func (w *work) insertInto(table, key string, rows []*record, names []string, sets []values, upsert bool) error {
	quoted := []string{w.tongue.quote(key)}
	for _, n := range names {
		quoted = append(quoted, w.tongue.quote(n))
	}
	var tuples []string
	var args []any
	for i, r := range rows {
		places := []string{}
		args = append(args, r.id)
		places = append(places, w.tongue.parameter(len(args)))
		for _, n := range names {
			args = append(args, sets[i][n])
			places = append(places, w.written(n, len(args)))
		}
		tuples = append(tuples, "("+strings.Join(places, ", ")+")")
	}
	behind := ""
	if upsert {
		behind = w.tongue.otherwise(key, names)
	}
	_, err := w.exec(fmt.Sprintf("INSERT INTO %s (%s) VALUES %s%s", w.tongue.quote(table), strings.Join(quoted, ", "), strings.Join(tuples, ", "), behind), args...)
	return err
}

// written is the expression that a column is written by.
func (w *work) written(name string, n int) string {
	if c := w.book.shape(w.side).column(name); c.call != "" {
		return fmt.Sprintf(c.call, w.tongue.parameter(n))
	}
	return w.tongue.parameter(n)
}

// upsert writes a row that is there, as one that may not be.
func (w *work) upsert(rows []*record) error {
	set := w.some(true, true)
	rows = w.plain(rows, set)
	if len(rows) == 0 || w.book.c.upsertless {
		return nil
	}
	names := w.columns(set)
	return w.insertRows(rows, names, []values{set}, true)
}

func (w *work) update(rows []*record) error {
	set := w.some(false, false)
	if len(rows) != 1 {
		for _, c := range w.book.shape(w.side).columns {
			if c.unique {
				delete(set, c.name)
			}
		}
	}
	rows = w.plain(rows, set)
	if len(rows) == 0 || len(set) == 0 {
		return nil
	}
	here, aside := w.book.shape(w.side).parted(w.columns(set))
	if err := w.updateHere(rows, here, set); err != nil {
		return err
	}
	if err := w.updateAside(rows, aside, set); err != nil {
		return err
	}
	for _, r := range rows {
		w.remember(r)
		w.book.writes(w.side, r, set)
	}
	return nil
}

func (w *work) updateHere(rows []*record, names []string, set values) error {
	if len(names) == 0 {
		return nil
	}
	var sets []string
	var args []any
	for _, n := range names {
		args = append(args, set[n])
		sets = append(sets, w.tongue.quote(n)+" = "+w.written(n, len(args)))
	}
	where, args := w.where("id", rows, args)
	_, err := w.exec(fmt.Sprintf("UPDATE %s SET %s WHERE %s", w.tongue.quote(w.book.shape(w.side).table), strings.Join(sets, ", "), where), args...)
	return err
}

func (w *work) remove(rows []*record) error {
	if len(rows) == 0 {
		return nil
	}
	if err := w.removeAside(rows); err != nil {
		return err
	}
	where, args := w.where("id", rows, nil)
	if _, err := w.exec(fmt.Sprintf("DELETE FROM %s WHERE %s", w.tongue.quote(w.book.shape(w.side).table), where), args...); err != nil {
		return err
	}
	for _, r := range rows {
		w.remember(r)
		r.gone = true
	}
	return nil
}

// where names rows by their keys.
func (w *work) where(key string, rows []*record, args []any) (string, []any) {
	var places []string
	for _, r := range rows {
		args = append(args, r.id)
		places = append(places, w.tongue.parameter(len(args)))
	}
	if len(places) == 1 {
		return w.tongue.quote(key) + " = " + places[0], args
	}
	return w.tongue.quote(key) + " IN (" + strings.Join(places, ", ") + ")", args
}

// read reads rows and compares them with the book.
func (w *work) read(rows []*record) error {
	if len(rows) == 0 {
		return nil
	}
	where, args := w.where("id", rows, nil)
	found, err := readTable(w.ctx, w.conn, w.tongue, w.book.shape(w.side), where, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", w.side, err)
	}
	for _, r := range rows {
		if problem := w.book.compare(w.side, r, found[r.id]); problem != "" {
			return errors.New(problem)
		}
	}
	problem, err := w.book.c.view.read(w.ctx, w.conn, w.tongue, w.book, w.side, rows, where, args...)
	if err == nil && problem != "" {
		err = errors.New(problem)
	}
	return err
}

// compare tells what is wrong with a row as a side reads it.
func (b *book) compare(s side, r *record, found values) string {
	want := b.reads(s, r)
	names := b.shape(s).names()
	if r.gone {
		want = nil
	}
	switch {
	case found == nil && want == nil:
		return ""
	case found == nil || want == nil:
		return fmt.Sprintf("%s, stage %d, id %d: read %v, want %v", s, b.stage, r.id, found, want)
	}
	if s == blue {
		b.settle(r, found)
	}
	filled := r.blue.clone()
	if b.c.back != nil {
		b.c.back(filled)
	}
	for _, name := range names {
		other := want[name]
		switch {
		case b.stage == contracting && b.hides(name):
			other = r.green[name]
		case b.stage == expanding:
			other = filled[name]
		}
		if found[name] != want[name] && found[name] != other {
			return fmt.Sprintf("%s, stage %d, id %d: read %s = %v, want %v; the row is %v, the book has blue %v, green %v", s, b.stage, r.id, name, show(found[name]), show(want[name]), found, r.blue, r.green)
		}
	}
	return ""
}

func show(v any) string {
	if v == nil {
		return "NULL"
	}
	return fmt.Sprintf("%q", v)
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readTable reads rows of a shape by their keys.
func readTable(ctx context.Context, q queryer, g tongue, s shape, where string, args ...any) (map[int64]values, error) {
	list := []string{g.quote("id")}
	for _, c := range s.columns {
		list = append(list, g.text(s.reads(g, c)))
	}
	query := fmt.Sprintf("SELECT %s FROM %s", strings.Join(list, ", "), g.quote(s.table)+s.joins(g))
	if where != "" {
		query += " WHERE " + where
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	out := map[int64]values{}
	for rows.Next() {
		var id int64
		texts := make([]sql.NullString, len(s.columns))
		into := []any{&id}
		for i := range texts {
			into = append(into, &texts[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
		row := values{}
		for i, c := range s.columns {
			row[c.name] = nil
			if texts[i].Valid {
				row[c.name] = texts[i].String
			}
		}
		out[id] = row
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	return out, nil
}
