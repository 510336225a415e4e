package recipes

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

// update tells whether the README is to be written anew.
var update = flag.Bool("update", false, "write the README with the matrix anew")

// thorough tells whether this is the long run: more rows, more time in each phase, a kill at every mark.
func thorough() bool { return os.Getenv("SWITCHBACK_MATRIX") == "long" }

// kinds are the servers of the matrix, by the names of its columns. SQLite needs none.
var kinds = map[string]servers.Kind{"postgres": servers.Postgres17, "mysql": servers.MySQL9, "mariadb": servers.MariaDB118}

// fresh returns the URL of an empty database of an engine.
func fresh(t *testing.T, engine string) string {
	t.Helper()
	if engine == "sqlite" {
		return servers.SQLite(t)
	}
	return freshAt(t, kinds[engine])
}

// freshAt returns the URL of an empty database on a kind of server. What its texts are like is the same on all.
func freshAt(t *testing.T, kind servers.Kind) string {
	t.Helper()
	url := servers.URL(t, kind)
	if kind.Engine == "postgres" {
		return url
	}
	db := servers.Open(t, url)
	defer db.Close()
	_, err := db.ExecContext(t.Context(), "ALTER DATABASE CHARACTER SET utf8mb4")
	require.NoError(t, err)
	return url
}

// TestMatrix takes each case through its phases on each engine, while clients of both versions work.
func TestMatrix(t *testing.T) {
	for _, engine := range engines() {
		if testing.Short() && engine != "sqlite" {
			continue
		}
		t.Run(engine, func(t *testing.T) {
			for _, c := range cases() {
				c = c.on(engine)
				t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
					t.Parallel()
					switch verdict := c.verdict(engine); {
					case strings.HasPrefix(verdict, works):
						walk(t, c, engine)
					case verdict == absent:
						require.Error(t, c.begin(t.Context(), engine, open(t, fresh(t, engine)).db.DB()), "the server takes it by now: take the verdict out of the table")
					case strings.HasPrefix(verdict, refused):
						g := open(t, fresh(t, engine))
						g.exec(c.before.on(engine))
						_, err := g.draft(c, engine)
						var wrong *recipe.Error
						require.ErrorAs(t, err, &wrong)
						require.Contains(t, wrong.Reason, strings.TrimPrefix(verdict, refused))
					default:
						g := open(t, fresh(t, engine))
						_, err := g.draft(c, engine)
						require.ErrorContains(t, err, "there are no recipes for", "it can be planned by now: take the verdict out of the table")
					}
				})
			}
		})
	}
}

// TestMatrixReadme keeps the matrix in the README what the table of cases says.
func TestMatrixReadme(t *testing.T) {
	const file = "README.md"
	text := readme()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	now, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, text, string(now), "the README is out of date: go test ./integration/recipes -run TestMatrixReadme -update")
}

func readme() string {
	var b strings.Builder
	b.WriteString(`# The matrix

Each kind of change on each engine, tried while a blue and a green version of an application write and read
without pause: single rows and many, upserts, transactions with savepoints. The change goes through
expand, backfill and contract, back from every phase, forward again and to purge. Neither version meets
an error; after every phase each row reads in both shapes as the conversions of the case, written in Go,
say; after a rollback the schema is what it was and no row that either version wrote is lost; after purge
the schema is the one that was wanted. What no operation is for is planned from the schema that is wanted.

Some cases are killed (kill -9) over and over in each phase while clients write; all of them, with more rows and
for longer, with ` + "`SWITCHBACK_MATRIX=long`" + `. On MySQL and MariaDB clients do again what a deadlock took back,
as applications there have to.

The table comes from ` + "`cases_test.go`" + `; the test fails where it and this page differ. To write it anew:

    go test ./integration/recipes -run TestMatrixReadme -update

`)
	b.WriteString("| change | " + strings.Join(engines(), " | ") + " |\n")
	b.WriteString("| --- |" + strings.Repeat(" --- |", len(engines())) + "\n")
	for _, c := range cases() {
		fmt.Fprintf(&b, "| %s |", c.name)
		for _, engine := range engines() {
			fmt.Fprintf(&b, " %s |", strings.ReplaceAll(c.verdict(engine), "|", `\|`))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// target is a database with a folder of changes.
type target struct {
	t       *testing.T
	url     string
	db      database.Database
	runner  *migrate.Runner
	changes string
	last    int // number of the last change

	unfinished []recipe.Unfinished // what is not contracted when one is planned; may be left out
}

func open(t *testing.T, url string) *target {
	t.Helper()
	db, err := database.Open(t.Context(), url, database.Options{Create: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return &target{t: t, url: url, db: db, runner: migrate.NewRunner(db, migrate.Options{}), changes: filepath.Join(t.TempDir(), "changes")}
}

// exec runs a script as an application's own migration would be.
func (g *target) exec(script string) {
	g.t.Helper()
	db := servers.Open(g.t, g.url)
	defer db.Close()
	_, err := db.ExecContext(g.t.Context(), script)
	require.NoError(g.t, err, script)
}

func (g *target) model() *schema.Database {
	g.t.Helper()
	m, err := (&scratch.Database{Database: g.db}).Inspect(g.t.Context())
	require.NoError(g.t, err)
	return m
}

// plan plans operations, one a line, as the command does, and writes the change.
func (g *target) plan(operations string) (*recipe.Draft, error) {
	g.t.Helper()
	return g.planOn(g.model(), operations)
}

// planOn plans operations on a schema.
func (g *target) planOn(m *schema.Database, operations string) (*recipe.Draft, error) {
	g.t.Helper()
	return g.planAll(m, g.parse(operations))
}

// draft plans a case.
func (g *target) draft(c *matrixCase, engine string) (*recipe.Draft, error) {
	g.t.Helper()
	return g.draftOn(g.model(), c, engine)
}

// draftOn plans a case on a schema, from its operations or from the difference to the schema that is wanted.
func (g *target) draftOn(m *schema.Database, c *matrixCase, engine string) (*recipe.Draft, error) {
	g.t.Helper()
	given := g.parse(c.operations.on(engine))
	if !c.fromSchema {
		return g.planAll(m, given)
	}
	wanted := open(g.t, fresh(g.t, engine))
	wanted.exec(c.after.on(engine))
	to := wanted.model()
	renames, err := diff.ResolveAll(m, to, c.renames)
	require.NoError(g.t, err)
	d, err := recipe.FromDiff(m, to, renames, given, migrate.Engine(engine))
	if err != nil {
		return nil, err
	}
	return g.planAll(m, d.Operations)
}

func (g *target) parse(operations string) []recipe.Operation {
	g.t.Helper()
	var list []recipe.Operation
	for _, text := range lines(operations) {
		op, err := recipe.Parse(text)
		require.NoError(g.t, err)
		list = append(list, op)
	}
	return list
}

func (g *target) planAll(m *schema.Database, list []recipe.Operation) (*recipe.Draft, error) {
	g.t.Helper()
	w, err := database.Writer(m.Engine)
	require.NoError(g.t, err)
	g.last++
	id := fmt.Sprintf("202611240930%02d_change", g.last)
	draft, err := recipe.Plan(m, list, recipe.Options{Engine: migrate.Engine(m.Engine), Writer: w, ID: id, Unfinished: g.unfinished})
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(g.changes, id)
	require.NoError(g.t, os.MkdirAll(dir, 0o755))
	for _, f := range draft.Files(migrate.Engine(m.Engine)) {
		require.NoError(g.t, os.WriteFile(filepath.Join(dir, f.Name), []byte(f.Text), 0o600))
	}
	return draft, migrate.WriteSum(g.changes)
}

func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// scripts is the planned change as text, for the message of a failure.
func (g *target) scripts() string {
	var b strings.Builder
	files, _ := filepath.Glob(filepath.Join(g.changes, "*", "*.sql"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		fmt.Fprintf(&b, "=== %s\n%s", filepath.Base(f), text)
	}
	return b.String()
}

func (g *target) run(plan migrate.Planner) error {
	ctx, cancel := context.WithTimeout(g.t.Context(), 2*time.Minute)
	defer cancel()
	_, err := g.runner.Run(ctx, "test", plan)
	return err
}

func (g *target) forward(phases ...migrate.Phase) error {
	g.t.Helper()
	folder, err := migrate.LoadFolder(g.changes, g.db.Dialect().Engine)
	require.NoError(g.t, err)
	return g.run(func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanForward(folder, s, migrate.ForwardOptions{Phases: phases})
	})
}

func (g *target) back(o migrate.BackOptions) error {
	return g.run(func(_ context.Context, s *migrate.State) ([]migrate.Step, error) { return migrate.PlanBack(s, o) })
}

// undo rolls a phase back, if the change has it.
func (g *target) undo(phase migrate.Phase) error {
	g.t.Helper()
	if !strings.HasSuffix(g.applied(), string(phase)) {
		return nil
	}
	return g.back(migrate.BackOptions{LastPhase: true})
}

// applied names the phases that are applied, in order.
func (g *target) applied() string {
	g.t.Helper()
	s, err := g.runner.State(g.t.Context())
	require.NoError(g.t, err)
	require.Nil(g.t, s.Interrupted())
	var list []string
	for _, a := range s.Applied() {
		list = append(list, string(a.Phase))
	}
	return strings.Join(list, " ")
}

// alike wants two models to have no difference.
func alike(t *testing.T, want, have *schema.Database, message string) {
	t.Helper()
	r, err := diff.Compare(want, have, diff.Options{})
	require.NoError(t, err)
	if r.Same() {
		return
	}
	var b strings.Builder
	require.NoError(t, diff.NewReport("want", "have", r, diff.Options{}).Text(&b, false))
	require.Fail(t, message, b.String())
}

// trip is a case under way on an engine.
type trip struct {
	*target
	c     *matrixCase
	book  *book
	fleet *fleet
	laps  int64
}

func begin(t *testing.T, c *matrixCase, engine string) *trip {
	t.Helper()
	rows := 600
	if thorough() {
		rows = 50_000
	}
	p := beginAt(t, c, engine, fresh(t, engine), rows)
	if thorough() {
		p.laps = 200
	}
	return p
}

// beginAt begins a case on an empty database, with some rows.
func beginAt(t *testing.T, c *matrixCase, engine, url string, rows int) *trip {
	t.Helper()
	p := &trip{target: open(t, url), c: c, book: &book{c: c}, laps: 5}
	p.exec(c.before.on(engine))
	db := servers.Open(t, c.address(p.url, engine))
	t.Cleanup(func() { db.Close() })
	p.fleet = &fleet{t: t, book: p.book, db: db, running: map[side][]*client{}, tongue: tongue{engine, p.db.Dialect().Quote}}
	p.seed(rows)
	t.Cleanup(p.fleet.close)
	return p
}

// seed writes the rows that are there before the change, as the old version does.
func (p *trip) seed(n int) {
	p.t.Helper()
	if p.c.blue.table == "" {
		return
	}
	conn, err := p.fleet.db.Conn(p.t.Context())
	require.NoError(p.t, err)
	defer conn.Close()
	c := &client{side: blue, book: p.book, tongue: p.fleet.tongue, conn: conn, rand: newRand(0)}
	for n > 0 {
		w := &work{client: c, ctx: p.t.Context()}
		size := min(n, 250)
		require.NoError(p.t, w.insert(size))
		w.unlock()
		n -= size
	}
}

// check reads the whole table in each shape that is there, and compares it with the book.
func (p *trip) check(sides ...side) {
	p.t.Helper()
	for _, s := range sides {
		if p.book.shape(s).table == "" {
			continue
		}
		found, err := readTable(p.t.Context(), p.fleet.db, p.fleet.tongue, p.book.shape(s), "")
		require.NoError(p.t, err)
		there := 0
		for _, r := range p.book.rows {
			if s == green && r.stale {
				delete(found, r.id)
				continue
			}
			if !r.gone {
				there++
			}
			require.Empty(p.t, p.book.compare(s, r, found[r.id]))
		}
		require.Len(p.t, found, there, "rows that nobody wrote")
		problem, err := p.book.c.view.read(p.t.Context(), p.fleet.db, p.fleet.tongue, p.book, s, p.book.rows, "")
		require.NoError(p.t, err)
		require.Empty(p.t, problem)
	}
}

// phase moves from one stage to another while the clients that run go on.
func (p *trip) phase(during, then stage, what string, do func() error, enter func(), sides ...side) {
	p.t.Helper()
	p.fleet.lap(p.laps)
	p.book.quiet(func() { p.book.stage = during })
	begun := time.Now()
	if err := do(); err != nil {
		require.NoError(p.t, err, "%s\n%s", what, p.scripts())
	}
	p.t.Log(what, time.Since(begun))
	p.book.quiet(func() {
		p.fleet.well()
		p.book.stage = then
		if enter != nil {
			enter()
		}
		p.check(sides...)
	})
	p.fleet.lap(p.laps)
}

func (p *trip) expand() {
	p.t.Helper()
	p.phase(expanding, expanded, "expand", func() error { return p.forward(migrate.Expand) }, p.book.expand, blue, green)
}

func (p *trip) backfill() {
	p.t.Helper()
	p.phase(expanded, expanded, "backfill", func() error { return p.forward(migrate.Backfill) }, p.book.fill, blue, green)
}

func (p *trip) contract() {
	p.t.Helper()
	p.phase(contracting, contracted, "contract", func() error { return p.forward(migrate.Contract) }, nil, green)
}

func (p *trip) uncontract() {
	p.t.Helper()
	p.phase(contracting, expanded, "rollback of contract", func() error { return p.undo(migrate.Contract) }, nil, blue, green)
}

func (p *trip) unexpand() {
	p.t.Helper()
	p.phase(expanding, plain, "rollback of expand", func() error { return p.back(migrate.BackOptions{To: "0"}) }, p.book.unexpand, blue)
}

// walk takes a case through all phases, back from each, and forward again.
func walk(t *testing.T, c *matrixCase, engine string) {
	p := begin(t, c, engine)
	before := p.model()
	draft, err := p.draft(c, engine)
	require.NoError(t, err)
	if strings.HasSuffix(c.verdict(engine), "as the plan says") {
		require.NotEmpty(t, draft.Notes)
	}
	const clients = 1
	p.fleet.start(blue, clients)

	p.expand()
	p.unexpand()
	alike(t, before, p.model(), "after the rollback of expand the schema is another one")

	p.expand()
	p.fleet.start(green, clients)
	p.fleet.lap(p.laps)
	p.backfill()
	p.fleet.end(blue)
	p.contract()
	p.uncontract()
	p.fleet.start(blue, clients)
	p.fleet.lap(p.laps)
	p.fleet.end(blue)
	p.contract()
	p.uncontract()
	p.fleet.start(blue, clients)
	p.fleet.lap(p.laps)
	p.fleet.end(green)
	p.phase(expanded, expanded, "rollback of backfill", func() error { return p.undo(migrate.Backfill) }, nil, blue)
	p.unexpand()
	alike(t, before, p.model(), "after the rollback of everything the schema is another one")

	// Forward again, all at once: blue is stopped, green not yet there.
	p.fleet.end(blue)
	p.phase(plain, contracted, "rollforward", func() error {
		return p.run(func(_ context.Context, s *migrate.State) ([]migrate.Step, error) { return migrate.PlanAgain(s) })
	},
		func() {
			p.book.expand()
			p.book.fill()
			if c.late != "" {
				p.exec("BEGIN; " + c.late + "; ROLLBACK")
			}
		}, green)
	p.fleet.start(green, clients)
	p.phase(contracted, contracted, "purge", func() error { return p.forward(migrate.Purge) }, nil, green)
	p.fleet.end(green)

	wanted := open(t, fresh(t, engine))
	wanted.exec(c.after.on(engine))
	alike(t, wanted.model(), p.model(), "after purge the schema is not the one that was wanted")
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(20261124, seed)) }
