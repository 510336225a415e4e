package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	atlasmigrate "ariga.io/atlas/sql/migrate"
	atlasmysql "ariga.io/atlas/sql/mysql"
	atlaspostgres "ariga.io/atlas/sql/postgres"
	atlas "ariga.io/atlas/sql/schema"
	atlassqlite "ariga.io/atlas/sql/sqlite"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/source"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// inspections reads databases of 100, 1,000 and 10,000 tables, each with two secondary indexes and a key to
// another, and a view to every ten tables; and compares two of them that differ in one column. Beside it: Atlas, as
// a library, and on PostgreSQL pg_dump -s and, where it is installed, pg-schema-diff. Each measurement is a process
// of its own, for its peak of memory; one that takes longer than the limit is ended, and who took so long is not
// asked about more tables.
func inspections(ctx context.Context, b *bencher) error {
	for _, k := range []*servers.Kind{&servers.Postgres17, &servers.MySQL9, nil} {
		in := &inspectBench{bencher: b, kind: k, engine: "sqlite", slow: map[string]bool{}}
		if k != nil {
			in.engine = k.Engine
		}
		if !slices.Contains(b.engines, in.engine) {
			continue
		}
		for _, tables := range b.tables {
			if in.engine == "sqlite" && tables > sqliteTables {
				continue
			}
			if err := in.run(ctx, tables); err != nil {
				return err
			}
		}
		in.growth()
	}
	return nil
}

// sqliteTables is up to how many tables SQLite is asked for: it reads its whole schema anew for each that is made.
const sqliteTables = 1000

// inspectBench is what is measured on one engine.
type inspectBench struct {
	*bencher
	kind   *servers.Kind
	engine string
	slow   map[string]bool // who took longer than the limit
	sizes  []size
}

// size are our own medians with a number of tables.
type size struct {
	tables                             int
	read, readMemory, both, bothMemory float64
}

// run makes two databases of some tables and measures everybody on them, by turns.
func (in *inspectBench) run(ctx context.Context, tables int) (err error) {
	var urls [2]string
	for i := range urls {
		url, db, drop, err := fresh(ctx, in.kind)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, drop()) }()
		if err := makeTables(ctx, db, in.engine, tables, i == 1); err != nil {
			return fmt.Errorf("make %d tables: %w", tables, err)
		}
		urls[i] = url
	}
	contenders := in.contenders(urls)
	for round := range in.rounds {
		for _, c := range contenders {
			if round > 0 && c.last > in.limit/10 {
				continue // once is enough of what takes that long
			}
			if err := in.measure(ctx, c); err != nil {
				return fmt.Errorf("%s with %d tables on %s: %w", c.time.who, tables, in.engine, err)
			}
		}
	}
	title := fmt.Sprintf("%d tables on %s", tables, in.engine)
	of := func(w what, pick func(*contender) *figure) (list []*figure) {
		for _, c := range contenders {
			if f := pick(c); c.what == w && (len(f.values) > 0 || f == c.time) {
				list = append(list, f)
			}
		}
		return list
	}
	times, memories := func(c *contender) *figure { return c.time }, func(c *contender) *figure { return c.memory }
	in.report.table(title+", one read", "s", of(readsOne, times))
	in.report.table(title+", one read, peak memory", "MiB", of(readsOne, memories))
	in.report.table(title+", two read and compared", "s", of(comparesTwo, times))
	in.report.table(title+", two read and compared, peak memory", "MiB", of(comparesTwo, memories))
	in.report.table(title+", compared alone", "s", of(comparesTwo, func(c *contender) *figure { return c.alone }))
	one, two := contenders[0], contenders[1]
	in.sizes = append(in.sizes, size{tables, one.time.median(), one.memory.median(), two.time.median(), two.memory.median()})
	return nil
}

// growth prints what a table costs at each size.
func (in *inspectBench) growth() {
	fmt.Fprintf(in.report.out, "growth on %s: for each table\n", in.engine)
	w := tabwriter.NewWriter(in.report.out, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "tables\tread (ms)\tpeak (KiB)\ttwo compared (ms)\tpeak (KiB)\t")
	for _, s := range in.sizes {
		n := float64(s.tables)
		fmt.Fprintf(w, "%d\t%.3f\t%.1f\t%.3f\t%.1f\t\n", s.tables, s.read*1000/n, s.readMemory*1024/n, s.both*1000/n, s.bothMemory*1024/n)
	}
	_ = w.Flush()
}

// what is measured.
type what string

const (
	readsOne    what = "read"
	comparesTwo what = "compare"
)

// contender is one who reads a database, or reads and compares two.
type contender struct {
	what                what
	time, alone, memory *figure // seconds, those of the comparison alone, MiB
	last                time.Duration
	run                 func(ctx context.Context) (outcome, error)
}

// outcome is one measurement; what is not known is 0.
type outcome struct {
	Seconds float64 // of everything
	Alone   float64 // of them, of the comparison
	memory  float64
}

// contenders are all who can do it; the first two are ourselves.
func (in *inspectBench) contenders(urls [2]string) []*contender {
	var list []*contender
	add := func(who string, w what, run func(ctx context.Context) (outcome, error)) {
		list = append(list, &contender{what: w, time: &figure{who: who}, alone: &figure{who: who}, memory: &figure{who: who}, run: run})
	}
	for _, who := range []string{"switchback", "Atlas"} {
		for _, w := range []what{readsOne, comparesTwo} {
			add(who, w, func(ctx context.Context) (outcome, error) { return in.self(ctx, who, w, urls) })
		}
	}
	if in.engine != "postgres" {
		return list
	}
	add("pg_dump -s", readsOne, func(ctx context.Context) (outcome, error) { return dumps(ctx, *in.kind, urls[0]) })
	if tool, err := exec.LookPath("pg-schema-diff"); err == nil {
		add("pg-schema-diff", comparesTwo, func(ctx context.Context) (outcome, error) {
			begun := time.Now()
			_, memory, err := output(exec.CommandContext(ctx, tool, "plan", "--from-dsn", urls[0], "--to-dsn", urls[1], "--disable-plan-validation"))
			return outcome{Seconds: time.Since(begun).Seconds(), memory: memory}, err
		})
	}
	return list
}

// measure adds one measurement of a contender. The others have until the limit.
func (in *inspectBench) measure(ctx context.Context, c *contender) error {
	over := fmt.Sprintf("> %g", in.limit.Seconds())
	id := c.time.who + " " + string(c.what)
	if in.slow[id] {
		c.time.none = "not asked"
		return nil
	}
	limited, cancel := ctx, func() {}
	if c.time.who != "switchback" {
		limited, cancel = context.WithTimeout(ctx, in.limit)
	}
	defer cancel()
	begun := time.Now()
	o, err := c.run(limited)
	c.last = time.Since(begun)
	if limited.Err() != nil && ctx.Err() == nil {
		in.slow[id], c.time.none = true, over
		return nil
	}
	if err != nil {
		return err
	}
	c.time.add(o.Seconds)
	if o.Alone > 0 {
		c.alone.add(o.Alone)
	}
	if o.memory > 0 {
		c.memory.add(o.memory)
	}
	return nil
}

// self runs this program once more, to do one thing: see inspectOnce.
func (in *inspectBench) self(ctx context.Context, who string, w what, urls [2]string) (o outcome, err error) {
	program, err := os.Executable()
	if err != nil {
		return o, err
	}
	out, memory, err := output(exec.CommandContext(ctx, program, "once", who, string(w), in.engine, urls[0], urls[1]))
	if err != nil {
		return o, err
	}
	o.memory = memory
	return o, json.Unmarshal(out, &o)
}

// output runs a program and returns what it prints and its peak of memory, in MiB.
func output(cmd *exec.Cmd) (out []byte, memory float64, err error) {
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err = cmd.Output()
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(problems.String()))
	}
	return out, peak(cmd.ProcessState), nil
}

// inspectOnce is what the other processes do: one reads a database, or reads and compares two, and prints
// the outcome.
func inspectOnce(ctx context.Context, args []string) (err error) {
	who, w, engine, urls := args[0], what(args[1]), args[2], args[3:]
	if w == readsOne {
		urls = urls[:1]
	}
	var read, compare func() error
	if who == "Atlas" {
		a := &atlasReader{engine: engine}
		defer func() { err = errors.Join(err, a.close()) }()
		read, compare = func() error { return a.readAll(ctx, urls) }, a.compare
	} else {
		o := &ourReader{}
		read, compare = func() error { return o.read(ctx, urls) }, o.compare
	}
	var o outcome
	took, err := timed(read)
	if err != nil {
		return err
	}
	o.Seconds = took.Seconds()
	if w == comparesTwo {
		took, err := timed(compare)
		if err != nil {
			return err
		}
		o.Alone = took.Seconds()
		o.Seconds += o.Alone
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}

// makeTables makes the tables. In the other database one column has another type.
func makeTables(ctx context.Context, db *sql.DB, engine string, n int, other bool) error {
	const batch = 200
	var statements []string
	flush := func() error {
		_, err := db.ExecContext(ctx, strings.Join(statements, ";\n"))
		statements = statements[:0]
		return err
	}
	for i := range n {
		note := "varchar(40)"
		if other && i == n/2 {
			note = "integer"
		}
		columns := fmt.Sprintf("id integer PRIMARY KEY, parent integer REFERENCES t%05d (id), name varchar(100) NOT NULL, amount decimal(10,2) DEFAULT 0 NOT NULL, note %s, made timestamp", max(0, i-1), note)
		if engine == "mysql" { // where each statement is a transaction of its own, the fewer the better
			columns += fmt.Sprintf(", INDEX t%05d_name (name), INDEX t%05d_made (made, amount)", i, i)
			statements = append(statements, fmt.Sprintf("CREATE TABLE t%05d (%s)", i, columns))
		} else {
			statements = append(statements, fmt.Sprintf("CREATE TABLE t%05d (%s)", i, columns),
				fmt.Sprintf("CREATE INDEX t%05d_name ON t%05d (name)", i, i),
				fmt.Sprintf("CREATE INDEX t%05d_made ON t%05d (made, amount)", i, i))
		}
		if i%10 == 0 {
			statements = append(statements, fmt.Sprintf("CREATE VIEW v%05d AS SELECT a.id, a.name, b.amount FROM t%05d a JOIN t%05d b ON b.id = a.parent", i, i, max(0, i-1)))
		}
		if len(statements) >= batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(statements) == 0 {
		return nil
	}
	return flush()
}

// ourReader reads with what is measured here.
type ourReader struct{ models []*schema.Database }

// read reads one database, or two as the command diff does.
func (o *ourReader) read(ctx context.Context, urls []string) error {
	var r source.Reader
	if len(urls) == 1 {
		s, err := r.Read(ctx, urls[0])
		if err != nil {
			return err
		}
		o.models = append(o.models, s.Database)
		return nil
	}
	a, b, err := r.ReadPair(ctx, urls[0], urls[1])
	if err != nil {
		return err
	}
	o.models = append(o.models, a.Database, b.Database)
	return nil
}

func (o *ourReader) compare() error {
	r, err := diff.Compare(o.models[0], o.models[1], diff.Options{})
	if err != nil {
		return err
	}
	found := 0
	diff.Walk(r.Changes, func(string, diff.Change) { found++ })
	if found != 1 {
		return fmt.Errorf("found %d differences where one was made", found)
	}
	return nil
}

// readAll reads one database after the other: the library has nothing that reads two.
func (a *atlasReader) readAll(ctx context.Context, urls []string) error {
	for _, url := range urls {
		if err := a.read(ctx, url); err != nil {
			return err
		}
	}
	return nil
}

// atlasReader reads with Atlas's library.
type atlasReader struct {
	engine string
	pools  []*sql.DB
	driver atlasmigrate.Driver
	models []*atlas.Schema
}

func (a *atlasReader) read(ctx context.Context, url string) error {
	db, err := servers.Connect(url)
	if err != nil {
		return err
	}
	a.pools = append(a.pools, db)
	open := map[string]func(atlas.ExecQuerier) (atlasmigrate.Driver, error){"postgres": atlaspostgres.Open, "mysql": atlasmysql.Open, "sqlite": atlassqlite.Open}[a.engine]
	if a.driver, err = open(db); err != nil {
		return err
	}
	name := map[string]string{"postgres": "public", "sqlite": "main"}[a.engine]
	model, err := a.driver.InspectSchema(ctx, name, nil)
	a.models = append(a.models, model)
	return err
}

func (a *atlasReader) compare() error {
	a.models[1].Name = a.models[0].Name // on MySQL they are two databases of one server
	changes, err := a.driver.SchemaDiff(a.models[0], a.models[1])
	if err == nil && len(changes) == 0 {
		err = errors.New("found no difference")
	}
	return err
}

func (a *atlasReader) close() (err error) {
	for _, db := range a.pools {
		err = errors.Join(err, db.Close())
	}
	return err
}

// dumps runs the server's own pg_dump -s, in its container, where its time is taken.
func dumps(ctx context.Context, k servers.Kind, url string) (o outcome, err error) {
	cmd, err := servers.Command(ctx, k, url, "bash", "-c", "TIMEFORMAT=%R; time pg_dump --schema-only --file=/dev/null 2>&1")
	if err != nil {
		return o, err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return o, fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	o.Seconds, err = strconv.ParseFloat(string(bytes.TrimSpace(out)), 64)
	return o, err
}
