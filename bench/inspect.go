package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	atlasmigrate "ariga.io/atlas/sql/migrate"
	atlasmysql "ariga.io/atlas/sql/mysql"
	atlaspostgres "ariga.io/atlas/sql/postgres"
	atlas "ariga.io/atlas/sql/schema"
	atlassqlite "ariga.io/atlas/sql/sqlite"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// atlasTables is up to how many tables Atlas is asked: what it does grows faster than the number of them.
const atlasTables = 1000

// inspector reads a catalogue into the model.
type inspector interface {
	Inspect(ctx context.Context) (*schema.Database, error)
}

// inspections reads databases of 100, 1,000 and 10,000 tables, each with two secondary indexes and a key to
// another, and a view to every ten tables; and compares two of them that differ in one column. Beside it:
// Atlas, as a library, and on PostgreSQL pg_dump -s.
func inspections(ctx context.Context, b *bencher) error {
	for _, k := range []*servers.Kind{&servers.Postgres17, &servers.MySQL9, nil} {
		for _, tables := range []int{100, 1000, 10000} {
			if err := inspectOn(ctx, b, k, b.amount(tables)); err != nil {
				return err
			}
		}
	}
	return nil
}

func inspectOn(ctx context.Context, b *bencher, k *servers.Kind, tables int) (err error) {
	engine := "sqlite"
	if k != nil {
		engine = k.Engine
	}
	var urls [2]string
	var pools [2]*sql.DB
	for i := range urls {
		url, db, drop, err := fresh(ctx, k)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, drop()) }()
		if err := makeTables(ctx, db, engine, tables, i == 1); err != nil {
			return fmt.Errorf("make %d tables: %w", tables, err)
		}
		urls[i], pools[i] = url, db
	}
	read, compare, memory := &figure{who: "switchback"}, &figure{who: "switchback"}, &figure{who: "switchback"}
	reads, compares := []*figure{read}, []*figure{compare}
	atlasRead, atlasCompare := &figure{who: "Atlas"}, &figure{who: "Atlas"}
	if tables <= atlasTables {
		reads, compares = append(reads, atlasRead), append(compares, atlasCompare)
	}
	dump := &figure{who: "pg_dump -s"}
	if engine == "postgres" {
		reads = append(reads, dump)
	}
	for round := range b.rounds {
		took, held, err := readOurs(ctx, urls[0])
		if err != nil {
			return err
		}
		read.add(took.Seconds())
		memory.add(held)
		took, err = timed(func() error { return compareOurs(ctx, urls) })
		if err != nil {
			return err
		}
		compare.add(took.Seconds())
		if engine == "postgres" {
			took, err := timed(func() error { return dumps(ctx, *k, urls[0]) })
			if err != nil {
				return err
			}
			dump.add(took.Seconds())
		}
		if tables > atlasTables || round > 0 && tables >= atlasTables {
			continue // once is enough of what takes a minute
		}
		readTook, compareTook, err := atlasOn(ctx, engine, pools)
		if err != nil {
			return fmt.Errorf("read and compare with Atlas: %w", err)
		}
		atlasRead.add(readTook.Seconds())
		atlasCompare.add(compareTook.Seconds())
	}
	title := fmt.Sprintf("%d tables on %s", tables, engine)
	b.report.table(title+", read", "s", reads)
	b.report.table(title+", two of them read and compared", "s", compares)
	b.report.table(title+", memory of the model", "MiB", []*figure{memory})
	return nil
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

// readOurs reads a database, and says how many MiB the model then holds.
func readOurs(ctx context.Context, url string) (took time.Duration, held float64, err error) {
	before := heap()
	var d *schema.Database
	took, err = timed(func() error {
		d, err = inspectURL(ctx, url)
		return err
	})
	held = max(0, heap()-before)
	runtime.KeepAlive(d)
	return took, held, err
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

func inspectURL(ctx context.Context, url string) (*schema.Database, error) {
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return db.(inspector).Inspect(ctx)
}

func compareOurs(ctx context.Context, urls [2]string) error {
	from, err := inspectURL(ctx, urls[0])
	if err != nil {
		return err
	}
	to, err := inspectURL(ctx, urls[1])
	if err != nil {
		return err
	}
	r, err := diff.Compare(from, to, diff.Options{})
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

// atlasOn reads a database with Atlas's library, and reads and compares two.
func atlasOn(ctx context.Context, engine string, pools [2]*sql.DB) (read, compare time.Duration, err error) {
	open := map[string]func(atlas.ExecQuerier) (atlasmigrate.Driver, error){"postgres": atlaspostgres.Open, "mysql": atlasmysql.Open, "sqlite": atlassqlite.Open}[engine]
	var realms [2]*atlas.Schema
	var drivers [2]atlasmigrate.Driver
	for i, db := range pools {
		if drivers[i], err = open(db); err != nil {
			return 0, 0, err
		}
		took, err := timed(func() (err error) {
			name := map[string]string{"postgres": "public", "sqlite": "main"}[engine]
			realms[i], err = drivers[i].InspectSchema(ctx, name, nil)
			return err
		})
		if err != nil {
			return 0, 0, err
		}
		read = took
		compare += took
	}
	realms[1].Name = realms[0].Name // on MySQL they are two databases of one server
	took, err := timed(func() error {
		changes, err := drivers[0].SchemaDiff(realms[0], realms[1])
		if err == nil && len(changes) == 0 {
			err = errors.New("found no difference")
		}
		return err
	})
	return read, compare + took, err
}

// dumps runs the server's own pg_dump -s, in its container: that costs about a tenth of a second more.
func dumps(ctx context.Context, k servers.Kind, url string) error {
	cmd, err := servers.Command(ctx, k, url, "pg_dump", "--schema-only", "--file=/dev/null")
	if err != nil {
		return err
	}
	return cmd.Run()
}
