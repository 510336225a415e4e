package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

const recipeRows = 10_000_000

// recipeSizes are the tables on which a contract is rolled back.
var recipeSizes = []int{10_000, 1_000_000, recipeRows}

// recipeOperation is what is planned, and what its peers call that: pgroll a migration, gh-ost an alteration.
type recipeOperation struct{ operation, pgroll, ghost string }

var recipeOperations = []recipeOperation{
	{
		"rename column people.first_name given_name",
		`{"operations":[{"rename_column":{"table":"people","from":"first_name","to":"given_name"}}]}`,
		"CHANGE first_name given_name varchar(40) NOT NULL",
	},
	{
		"change type people.touched bigint",
		`{"operations":[{"alter_column":{"table":"people","column":"touched","type":"bigint","up":"touched","down":"touched::integer"}}]}`,
		"MODIFY touched bigint NOT NULL DEFAULT 0",
	},
}

// recipes takes a table of ten million rows through a rename and a change of type, end to end, while point
// updates go on; beside it pgroll or gh-ost, where a binary of that name is in the PATH. Then it rolls a contract
// back on tables of several sizes.
func recipes(ctx context.Context, b *bencher) error {
	for _, k := range []servers.Kind{servers.Postgres17, servers.MySQL9} {
		if !slices.Contains(b.engines, k.Engine) {
			continue
		}
		if err := withRoom(ctx, k, func() error { return recipesOn(ctx, b, k) }); err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return nil
}

func recipesOn(ctx context.Context, b *bencher, k servers.Kind) error {
	for _, o := range recipeOperations {
		if !strings.Contains(o.operation, b.part) {
			continue
		}
		if err := recipeOn(ctx, b, k, o); err != nil {
			return fmt.Errorf("%s: %w", o.operation, err)
		}
	}
	if !strings.Contains("rollback of contract", b.part) {
		return nil
	}
	return contractBack(ctx, b, k)
}

// withRoom runs f while MySQL has the memory that a server with such a table has, which it gives back: with the 128 MB that it
// comes with, each update reads a page and writes another, and two cores do not keep up with the load alone. PostgreSQL has the
// files in the system's memory.
func withRoom(ctx context.Context, k servers.Kind, f func() error) error {
	if k.Engine != "mysql" {
		return f()
	}
	give := func(ctx context.Context, room string) error {
		for _, setting := range []string{"innodb_buffer_pool_size", "innodb_redo_log_capacity"} {
			if err := onServer(ctx, k, "SET GLOBAL "+setting+" = "+room); err != nil {
				return fmt.Errorf("give the server %s for %s: %w", room, setting, err)
			}
		}
		return nil
	}
	err := give(ctx, "4294967296")
	if err == nil {
		err = f()
	}
	return errors.Join(err, give(context.WithoutCancel(ctx), "DEFAULT"))
}

// people makes the table of the case with n rows.
func people(ctx context.Context, k servers.Kind, n int) (url string, db *sql.DB, drop func() error, err error) {
	url, db, drop, err = fresh(ctx, &k)
	if err != nil {
		return "", nil, nil, err
	}
	if err := fill(ctx, db, k.Engine, n); err != nil {
		return "", nil, nil, errors.Join(err, drop())
	}
	return url, db, drop, nil
}

// beside are the figures of contenders that change a table of their own of n rows, by turns, while point updates go on.
type beside struct {
	kind     servers.Kind
	n        int
	rates    []*figure // rows a second
	tails    []*figure // of an update, milliseconds
	failures []string
}

func recipeOn(ctx context.Context, b *bencher, k servers.Kind, o recipeOperation) error {
	c := &beside{kind: k, n: b.amount(recipeRows)}
	if err := c.measure(ctx, "switchback", func(url string) error {
		_, err := changeWith(ctx, url, o.operation, migrate.Contract)
		return err
	}); err != nil {
		return err
	}
	peer := map[string]recipePeer{"postgres": {"pgroll", o.pgroll, pgrollWith}, "mysql": {"gh-ost", o.ghost, ghostWith}}[k.Engine]
	if path, err := exec.LookPath(peer.program); err == nil {
		if err := c.measure(ctx, peer.program, func(url string) error {
			limited, cancel := context.WithTimeout(ctx, b.patient)
			defer cancel()
			return peer.run(limited, path, url, peer.change)
		}); err != nil {
			return err
		}
	}
	b.report.table(fmt.Sprintf("%s, %d rows on %s, expand to contract, updates going on", o.operation, c.n, k.Engine), "rows/s", c.rates)
	b.report.table(fmt.Sprintf("a point update on %s meanwhile", k.Engine), "ms", c.tails)
	fmt.Fprintln(b.report.out, strings.Join(c.failures, "; "))
	return nil
}

// measure has a contender change a table. Of one that was ended counts what it had copied.
func (c *beside) measure(ctx context.Context, who string, change func(url string) error) (err error) {
	url, db, drop, err := people(ctx, c.kind, c.n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	locks, err := watchLocks(ctx, c.kind)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locks.end(ctx)) }()
	db.SetMaxIdleConns(0) // what filled the table knows nothing of that
	var took time.Duration
	rows := c.n
	busy, err := underUpdates(ctx, db, c.kind.Engine, c.n, func() (err error) {
		took, err = timed(func() error { return change(url) })
		if cut, ok := errors.AsType[unfinished](err); ok {
			rows, who, err = cut.rows, who+", ended after "+took.Round(time.Second).String(), nil
		}
		return err
	})
	if err != nil {
		return err
	}
	c.rates = append(c.rates, &figure{who: who, values: []float64{float64(rows) / took.Seconds()}})
	c.tails = append(c.tails,
		&figure{who: who + ", p50", values: []float64{busy.percentile(50)}},
		&figure{who: who + ", p99", values: []float64{busy.percentile(99)}},
		&figure{who: who + ", longest", values: []float64{busy.percentile(100)}})
	waits, err := locks.figures(ctx, db, who)
	if err != nil {
		return err
	}
	c.tails = append(c.tails, waits...)
	c.failures = append(c.failures, fmt.Sprintf("%s: %d of %d updates failed", who, busy.failed, busy.failed+len(busy.latencies)))
	return nil
}

// changeWith plans an operation and runs it up to a phase. It returns what rolls that phase back.
func changeWith(ctx context.Context, url, operation string, to migrate.Phase) (back func() error, err error) {
	op, err := recipe.Parse(operation)
	if err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	from, err := db.(rowDatabase).Inspect(ctx)
	if err != nil {
		return nil, err
	}
	engine := db.Dialect().Engine
	writer, err := database.Writer(string(engine))
	if err != nil {
		return nil, err
	}
	draft, err := recipe.Plan(from, []recipe.Operation{op}, recipe.Options{Engine: engine, Writer: writer, ID: "1"})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "switchback-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	files := map[string]string{}
	for _, f := range draft.Files(engine) {
		files[filepath.Join(dir, "1_bench", f.Name)] = f.Text
	}
	if err := errors.Join(writeFiles(files), migrate.WriteSum(dir)); err != nil {
		return nil, err
	}
	folder, err := migrate.LoadFolder(dir, engine)
	if err != nil {
		return nil, err
	}
	phases := migrate.Phases()
	phases = phases[:slices.Index(phases, to)+1]
	_, err = migrate.NewRunner(db, migrate.Options{}).Run(ctx, "bench", func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanForward(folder, s, migrate.ForwardOptions{Phases: phases})
	})
	return func() error { return rollBack(ctx, url) }, err
}

// rollBack takes the last phase back.
func rollBack(ctx context.Context, url string) (err error) {
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = migrate.NewRunner(db, migrate.Options{}).Run(ctx, "bench", func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanBack(s, migrate.BackOptions{LastPhase: true})
	})
	return err
}

// recipePeer is a program that does what a recipe does: the change as it writes it, and how it is run.
type recipePeer struct {
	program, change string
	run             func(ctx context.Context, path, url, change string) error
}

// unfinished says that a peer was ended, and how many rows it had copied.
type unfinished struct{ rows int }

func (u unfinished) Error() string { return fmt.Sprintf("ended when it had copied %d rows", u.rows) }

// copied is what gh-ost says of its progress.
var copied = regexp.MustCompile(`Copy: (\d+)/`)

// ghostWith runs gh-ost on the server itself, without a replica, as its documentation has it for that, with chunks of the
// size that our batches begin with.
func ghostWith(ctx context.Context, path, url, alter string) error {
	target, err := neturl.Parse(url)
	if err != nil {
		return err
	}
	socket := filepath.Join(os.TempDir(), "bench-gh-ost.sock")
	_ = os.Remove(socket) // of one that was ended
	password, _ := target.User.Password()
	command := exec.CommandContext(ctx, path, "--host="+target.Hostname(), "--port="+target.Port(), "--user="+target.User.Username(), "--password="+password,
		"--database="+strings.Trim(target.Path, "/"), "--table=people", "--alter="+alter, "--approve-renamed-columns",
		"--allow-on-master", "--assume-rbr", "--aliyun-rds", // its port is not the one that the server knows
		"--chunk-size=2000", "--ok-to-drop-table", "--serve-socket-file="+socket, "--execute")
	out, err := command.CombinedOutput()
	if said := copied.FindAllSubmatch(out, -1); ctx.Err() != nil && said != nil {
		rows, err := strconv.Atoi(string(said[len(said)-1][1]))
		return errors.Join(unfinished{rows}, err)
	}
	if err != nil {
		return fmt.Errorf("gh-ost: %w: %s", err, out)
	}
	return nil
}

func pgrollWith(ctx context.Context, path, url, migration string) (err error) {
	dir, err := os.MkdirTemp("", "switchback-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "bench.json")
	if err := writeFiles(map[string]string{file: migration}); err != nil {
		return err
	}
	for _, args := range [][]string{{"init"}, {"start", file}, {"complete"}} {
		command := exec.CommandContext(ctx, path, append([]string{"--postgres-url", url}, args...)...)
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("pgroll %s: %w: %s", args[0], err, out)
		}
	}
	return nil
}

// contractBack rolls a contract back on tables of several sizes.
func contractBack(ctx context.Context, b *bencher, k servers.Kind) error {
	var list []*figure
	for _, size := range recipeSizes {
		n := b.amount(size)
		f := &figure{who: fmt.Sprintf("%d rows", n)}
		if err := contractBackAt(ctx, k, n, f); err != nil {
			return err
		}
		list = append(list, f)
	}
	b.report.table("rollback of a contract on "+k.Engine, "s", list)
	return nil
}

func contractBackAt(ctx context.Context, k servers.Kind, n int, f *figure) (err error) {
	url, _, drop, err := people(ctx, k, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	back, err := changeWith(ctx, url, recipeOperations[0].operation, migrate.Contract)
	if err != nil {
		return err
	}
	took, err := timed(back)
	f.values = append(f.values, took.Seconds())
	return err
}
