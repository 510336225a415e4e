package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	golangmigrate "github.com/golang-migrate/migrate/v4"
	migratedb "github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	migratesqlite "github.com/golang-migrate/migrate/v4/database/sqlite"
	_ "github.com/golang-migrate/migrate/v4/source/file" // the source "file"
	"github.com/pressly/goose/v3"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// tool applies all migrations of its folder, and rolls them all back.
type tool struct {
	name  string
	write func(dir string, n int) error
	open  func(ctx context.Context, dir, url string, db *sql.DB, engine string) (up, down func() error, err error)
}

// migrations applies 1,000 migrations of one CREATE TABLE each, and rolls them back.
func migrations(ctx context.Context, b *bencher) error {
	n := b.amount(1000)
	for _, k := range []*servers.Kind{nil, &servers.Postgres17} {
		engine := "sqlite"
		if k != nil {
			engine = k.Engine
		}
		tools := []tool{{"switchback", writeChanges, openSwitchback}, {"goose", writeGoose, openGoose}, {"goose Provider", writeGoose, openGooseProvider}, {"golang-migrate", writePairs, openGolangMigrate}}
		var ups, downs []*figure
		for _, t := range tools {
			ups, downs = append(ups, &figure{who: t.name}), append(downs, &figure{who: t.name})
		}
		for range b.rounds {
			for i, t := range tools {
				up, down, err := timeTool(ctx, t, n, k, engine)
				if err != nil {
					return fmt.Errorf("%s on %s: %w", t.name, engine, err)
				}
				ups[i].add(up.Seconds())
				downs[i].add(down.Seconds())
			}
		}
		b.report.table(fmt.Sprintf("%d migrations on %s, applied", n, engine), "s", ups)
		b.report.table(fmt.Sprintf("%d migrations on %s, rolled back", n, engine), "s", downs)
	}
	return nil
}

func timeTool(ctx context.Context, t tool, n int, k *servers.Kind, engine string) (up, down time.Duration, err error) {
	dir, err := os.MkdirTemp("", "switchback-bench-")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := t.write(dir, n); err != nil {
		return 0, 0, err
	}
	url, db, drop, err := fresh(ctx, k)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	forward, back, err := t.open(ctx, dir, url, db, engine)
	if err != nil {
		return 0, 0, err
	}
	if up, err = timed(forward); err != nil {
		return 0, 0, err
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf("SELECT 1 FROM t%d", n)); err != nil {
		return 0, 0, fmt.Errorf("not everything was applied: %w", err)
	}
	if down, err = timed(back); err != nil {
		return 0, 0, err
	}
	if _, err := db.ExecContext(ctx, "SELECT 1 FROM t1"); err == nil {
		return 0, 0, errors.New("not everything was rolled back")
	}
	return up, down, nil
}

func timed(f func() error) (time.Duration, error) {
	begun := time.Now()
	err := f()
	return time.Since(begun), err
}

func create(i int) string {
	return fmt.Sprintf("CREATE TABLE t%d (id integer PRIMARY KEY, name varchar(40) NOT NULL);\n", i)
}
func dropTable(i int) string { return fmt.Sprintf("DROP TABLE t%d;\n", i) }

func writeFiles(files map[string]string) error {
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func writeChanges(dir string, n int) error {
	files := map[string]string{}
	for i := 1; i <= n; i++ {
		change := filepath.Join(dir, fmt.Sprintf("%06d_t", i))
		files[filepath.Join(change, "expand.sql")] = create(i)
		files[filepath.Join(change, "expand.rollback.sql")] = dropTable(i)
	}
	return errors.Join(writeFiles(files), migrate.WriteSum(dir))
}

func openSwitchback(ctx context.Context, dir, url string, _ *sql.DB, _ string) (up, down func() error, err error) {
	db, err := database.Open(ctx, url, database.Options{Create: true})
	if err != nil {
		return nil, nil, err
	}
	runner := migrate.NewRunner(db, migrate.Options{})
	up = func() error {
		folder, err := migrate.LoadFolder(dir, db.Dialect().Engine)
		if err != nil {
			return err
		}
		_, err = runner.Run(ctx, "bench", func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
			return migrate.PlanForward(folder, s, migrate.ForwardOptions{Phases: []migrate.Phase{migrate.Expand}})
		})
		return err
	}
	down = func() error {
		_, err := runner.Run(ctx, "bench", func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
			return migrate.PlanBack(s, migrate.BackOptions{To: "0"})
		})
		return errors.Join(err, db.Close())
	}
	return up, down, nil
}

func writeGoose(dir string, n int) error {
	files := map[string]string{}
	for i := 1; i <= n; i++ {
		files[filepath.Join(dir, fmt.Sprintf("%06d_t.sql", i))] = "-- +goose Up\n" + create(i) + "-- +goose Down\n" + dropTable(i)
	}
	return writeFiles(files)
}

// openGoose is what goose's command does.
func openGoose(ctx context.Context, dir, _ string, db *sql.DB, engine string) (up, down func() error, err error) {
	goose.SetLogger(goose.NopLogger())
	if err := goose.SetDialect(engine); err != nil {
		return nil, nil, err
	}
	up = func() error { return goose.UpContext(ctx, db, dir) }
	down = func() error { return goose.DownToContext(ctx, db, dir, 0) }
	return up, down, nil
}

// openGooseProvider is goose's newer library, which does without some of what the command checks.
func openGooseProvider(ctx context.Context, dir, _ string, db *sql.DB, engine string) (up, down func() error, err error) {
	dialect := map[string]goose.Dialect{"sqlite": goose.DialectSQLite3, "postgres": goose.DialectPostgres}[engine]
	up = func() error {
		p, err := goose.NewProvider(dialect, db, os.DirFS(dir))
		if err != nil {
			return err
		}
		_, err = p.Up(ctx)
		return err
	}
	down = func() error {
		p, err := goose.NewProvider(dialect, db, os.DirFS(dir))
		if err != nil {
			return err
		}
		_, err = p.DownTo(ctx, 0)
		return err
	}
	return up, down, nil
}

func writePairs(dir string, n int) error {
	files := map[string]string{}
	for i := 1; i <= n; i++ {
		files[filepath.Join(dir, fmt.Sprintf("%06d_t.up.sql", i))] = create(i)
		files[filepath.Join(dir, fmt.Sprintf("%06d_t.down.sql", i))] = dropTable(i)
	}
	return writeFiles(files)
}

func openGolangMigrate(_ context.Context, dir, url string, _ *sql.DB, engine string) (up, down func() error, err error) {
	db, err := servers.Connect(url) // its Close closes the pool
	if err != nil {
		return nil, nil, err
	}
	var driver migratedb.Driver
	if engine == "sqlite" {
		driver, err = migratesqlite.WithInstance(db, &migratesqlite.Config{})
	} else {
		driver, err = migratepgx.WithInstance(db, &migratepgx.Config{})
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := golangmigrate.NewWithDatabaseInstance("file://"+dir, "bench", driver)
	if err != nil {
		return nil, nil, err
	}
	return m.Up, func() error {
		err := m.Down()
		serr, derr := m.Close()
		return errors.Join(err, serr, derr)
	}, nil
}
