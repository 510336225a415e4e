package proof

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// The rules of the workload.
const (
	GreenBreaks   = "green-query-breaks"
	OtherResult   = "plan-changes-result-type" // a query gives other columns than before
	BrokenAlready = "query-broken-before"      // it does not work without the changes either
	LosesIndex    = "query-loses-index"        // it looked rows up, and reads a whole table now
)

// Workload proves that both versions work: blue before the changes and after each expand and backfill, green after
// all of these and after each contract, in the order in which a release runs the phases.
func (p *Proof) Workload(ctx context.Context, load workload.Load) (_ check.Part, err error) {
	begun := time.Now()
	r := &run{Proof: p, named: map[string]bool{}}
	one, err := r.build(ctx, 0)
	if err != nil {
		return check.Part{}, err
	}
	defer func() { err = errors.Join(err, one.close()) }()
	w := &asked{run: r, one: one, model: one.model, blue: workload.Distinct(load.Blue), green: workload.Distinct(load.Green), known: map[string][]string{}, reached: map[string][]workload.Access{}, told: map[string]bool{}}
	if err := w.all(ctx); err != nil {
		return check.Part{}, err
	}
	part := check.Part{Name: "workload", Took: time.Since(begun), Findings: r.findings}
	part.Looked = fmt.Sprintf("%s of blue and %d of green, prepared %s", noun.Counted(len(w.blue), "query"), len(w.green), noun.Counted(w.prepared, "time"))
	if w.left > 0 {
		part.Looked += fmt.Sprintf("; %d that a log or a server remembers cannot be asked again", w.left)
	}
	return part, nil
}

// asked is a workload being proven.
type asked struct {
	*run
	one         *subject
	model       *schema.Database // as it was when queries were asked last
	blue, green []workload.Query
	known       map[string][]string          // by query: the columns that it gave at first
	reached     map[string][]workload.Access // by query: how it reached its tables at first
	told        map[string]bool              // queries that something was found about
	prepared    int
	left        int // recalled ones that cannot be asked again
}

func (w *asked) all(ctx context.Context) error {
	if err := w.ask(ctx, touched{all: true}, w.blue, BrokenAlready, check.Place{}, "before the changes"); err != nil {
		return err
	}
	for _, p := range []migrate.Phase{migrate.Expand, migrate.Backfill} {
		if on, err := w.each(ctx, p, w.blue, BlueBreaks); err != nil || !on {
			return err
		}
	}
	last := w.Changes[len(w.Changes)-1]
	w.known, w.reached = map[string][]string{}, map[string][]workload.Access{}
	if err := w.ask(ctx, touched{all: true}, w.green, GreenBreaks, scriptOf(last, migrate.Backfill, false), "when the new version starts, after expand and backfill"); err != nil {
		return err
	}
	_, err := w.each(ctx, migrate.Contract, w.green, GreenBreaks)
	return err
}

// each runs a phase of each change and asks after it those queries that it may have touched. on is false where one does not run: the proof of the rollback
// says why.
func (w *asked) each(ctx context.Context, p migrate.Phase, queries []workload.Query, rule string) (on bool, err error) {
	for _, c := range w.Changes {
		if !slices.Contains(w.phases(c), p) {
			continue
		}
		if err := w.one.forward(ctx, c, []migrate.Phase{p}); err != nil {
			return false, w.failure(ctx, slices.Index(w.Changes, c), err, ForwardFails)
		}
		now, err := w.one.db.Inspect(ctx)
		if err != nil {
			return false, err
		}
		pair, _ := c.Pair(p)
		by := touchedBy(w.model, now, pair.Forward.SQL)
		w.model = now
		if err := w.ask(ctx, by, queries, rule, scriptOf(c, p, false), "after "+string(p)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// ask prepares the queries that were touched, in a transaction that comes to nothing.
func (w *asked) ask(ctx context.Context, by touched, queries []workload.Query, rule string, cause check.Place, when string) error {
	conn, err := w.one.db.DB().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, q := range queries {
		if w.told[q.Text] || !by.query(q) {
			continue
		}
		w.prepared++
		columns, err := w.prepare(ctx, conn, q)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		before, again := w.known[q.Text]
		switch {
		case err != nil && q.Recalled && !again && (rule == BrokenAlready || !w.one.db.IsMissing(err)):
			w.told[q.Text] = true
			w.left++
		case err != nil:
			w.broken(q, rule, cause, when, err)
		case again && len(before) > 0 && !slices.Equal(before, columns):
			w.told[q.Text] = true
			w.found(check.Finding{
				Rule: OtherResult, Severity: check.Warning, Place: placeOfQuery(q, cause), Object: label(q),
				Message:  fmt.Sprintf("%s gives other columns %s%s", label(q), when, of(cause)),
				Why:      "An application that has it prepared is told that the cached plan must not change its result type (PostgreSQL), or reads another column than it means.",
				Rewrite:  "Name the columns instead of *.",
				Evidence: "before: " + strings.Join(before, ", ") + "\nnow:    " + strings.Join(columns, ", "),
			})
		default:
			w.known[q.Text] = columns
			if err := w.lookUp(ctx, conn, q, cause, when); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookUp sees whether a query that looked rows up by an index at first still can.
func (w *asked) lookUp(ctx context.Context, conn *sql.Conn, q workload.Query, cause check.Place, when string) error {
	engine := w.one.db.Dialect().Engine
	if mysqls := engine != migrate.Postgres && engine != migrate.SQLite; mysqls && q.Recalled && strings.Count(strings.ToLower(q.Text), "select") > 1 {
		return nil // EXPLAIN carries out there what stands in some subqueries
	}
	parameters := 0
	number := positional(engine)
	text := replaced(q.Text, engine, func(n int) string {
		parameters = max(parameters, n)
		return number(n)
	})
	now, err := w.one.db.Accesses(ctx, conn, text, parameters)
	if err != nil {
		return ctx.Err() // there is no plan of everything that can be prepared
	}
	before, again := w.reached[q.Text]
	if !again {
		w.reached[q.Text] = now
		return nil
	}
	for _, b := range before {
		whole := slices.ContainsFunc(now, func(a workload.Access) bool { return a.Table == b.Table && a.Index == "" })
		if b.Index == "" || !whole || slices.Contains(before, workload.Access{Table: b.Table}) {
			continue
		}
		w.told[q.Text] = true
		w.found(check.Finding{
			Rule: LosesIndex, Severity: check.Warning, Place: placeOfQuery(q, cause), Object: label(q),
			Message:  fmt.Sprintf("%s reads the whole of %s %s%s", label(q), b.Table, when, of(cause)),
			Why:      "It looked rows up by an index before. On a big table it takes the longer the more rows there are, and with it all that waits for the server.",
			Rewrite:  "Make the index for the new shape in expand, and drop the old one when no version asks for it any more.",
			Evidence: q.Display() + "\nbefore: " + b.Index,
		})
		return nil
	}
	return nil
}

func (w *asked) broken(q workload.Query, rule string, cause check.Place, when string, err error) {
	w.told[q.Text] = true
	f := check.Finding{Rule: rule, Severity: check.Error, Place: placeOfQuery(q, cause), Object: label(q), Evidence: q.Display() + "\n" + err.Error()}
	f.Message = fmt.Sprintf("%s does not work %s%s: %s", label(q), when, of(cause), firstLine(err.Error()))
	switch rule {
	case BrokenAlready:
		f.Severity, f.Why = check.Warning, "It says nothing of the changes, and is not looked at in their phases."
	case BlueBreaks:
		f.Why = "The old version of the application still runs then."
	case GreenBreaks:
		f.Why = "The new version of the application runs then."
	}
	w.found(f)
}

// of names the change that the queries were asked after.
func of(cause check.Place) string {
	if cause.Change == "" {
		return ""
	}
	return " of " + cause.Change
}

func placeOfQuery(q workload.Query, cause check.Place) check.Place {
	return check.Place{Change: cause.Change, Phase: cause.Phase, File: q.File, Line: q.Line, Text: q.Display()}
}

func label(q workload.Query) string {
	if q.Name != "" {
		return "query " + q.Name
	}
	return "the query"
}

// prepare has the server understand a query, and returns the columns that it gives, with their types, where that can
// be seen without doing any harm: nothing that the query does is kept.
func (w *asked) prepare(ctx context.Context, conn *sql.Conn, q workload.Query) (columns []string, err error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	engine := w.one.db.Dialect().Engine
	tokens := sqltoken.Split(q.Text, sqltoken.Of(string(engine)))
	prepared, err := tx.PrepareContext(ctx, replaced(q.Text, engine, positional(engine)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = prepared.Close() }()
	if len(tokens) == 0 || !tokens[0].Is("select") && !tokens[0].Is("with") && !tokens[0].Is("values") && !tokens[0].Is("table") {
		return nil, nil
	}
	query := replaced(q.Text, engine, func(int) string { return "NULL" })
	switch {
	case engine == migrate.Postgres, engine == migrate.SQLite:
		query = "SELECT * FROM (" + query + "\n) AS the_query LIMIT 0" // of which nothing is carried out
	case q.Recalled:
		return nil, nil // MySQL does carry it out: what a log remembers may sleep, or hold a lock
	}
	if columns, err = columnsOf(ctx, tx, query); err != nil {
		return nil, ctx.Err() // LIMIT NULL and such: it was prepared, that is enough
	}
	return columns, ctx.Err()
}

// columnsOf are the columns that a query gives, with their types.
func columnsOf(ctx context.Context, tx *sql.Tx, query string) (columns []string, err error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		columns = append(columns, strings.TrimSpace(t.Name()+" "+t.DatabaseTypeName()+modifiers(t)))
	}
	return columns, rows.Err()
}

// modifiers are the length or the digits of a type, which are of a plan's result on PostgreSQL. Other drivers do not say.
func modifiers(t *sql.ColumnType) string {
	if precision, scale, ok := t.DecimalSize(); ok && precision < math.MaxInt64 {
		return fmt.Sprintf("(%d,%d)", precision, scale)
	}
	if length, ok := t.Length(); ok && length > 0 && length < math.MaxInt64 {
		return fmt.Sprintf("(%d)", length)
	}
	return ""
}

// positional writes the nth parameter, from 1, as the engine has them.
func positional(engine migrate.Engine) func(n int) string {
	if engine == migrate.Postgres {
		return func(n int) string { return fmt.Sprintf("$%d", n) }
	}
	return func(int) string { return "?" }
}

// replaced writes the parameters of a query in another way: $1, ? and :name become what parameter says of their
// number.
func replaced(text string, engine migrate.Engine, parameter func(n int) string) string {
	d := sqltoken.Of(string(engine))
	numbers, last := map[string]int{}, 0
	number := func(name string) int {
		if name == "?" || numbers[name] == 0 { // each ? is another
			last++
			numbers[name] = last
		}
		return numbers[name]
	}
	skip := -1
	return sqltoken.Replace(text, d, func(list []sqltoken.Token, i int) (string, bool) {
		t := list[i]
		if i == skip {
			return "", true
		}
		next := func(kind sqltoken.Kind) bool {
			return i+1 < len(list) && list[i+1].Start == t.End && list[i+1].Kind == kind
		}
		switch {
		case t.IsSign("?") && engine != migrate.Postgres:
			return parameter(number("?")), true
		case t.IsSign("$") && next(sqltoken.Number), t.IsSign(":") && next(sqltoken.Word) && (i == 0 || !list[i-1].IsSign(":")):
			skip = i + 1
			return parameter(number(t.Raw + list[i+1].Raw)), true
		}
		return "", false
	})
}
