package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/postgres"
	atlasschema "ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/migrate"
)

// runHCL evaluates Atlas's schema files, lets Atlas plan what makes that schema, and runs the plan.
func runHCL(ctx context.Context, db *scratch.Database, n named) error {
	parser, err := parseHCL(n.path)
	if err != nil {
		return err
	}
	engine := db.Dialect().Engine
	driver, evaluate, err := atlasFor(engine, db)
	if err != nil {
		return fmt.Errorf("read %s: %w", n.path, err)
	}
	var wanted atlasschema.Realm
	if err := evaluate(parser, &wanted); err != nil {
		return &FileError{File: n.path, Reason: "Atlas cannot read it as a schema of " + engineName(engine) + ": " + err.Error(), Next: "--scratch with a server of the engine that it is for"}
	}
	if engine == migrate.MySQL || engine == migrate.MariaDB {
		if err := intoScratch(&wanted, db.Name()); err != nil {
			return &FileError{File: n.path, Reason: err.Error()}
		}
	}
	var names []string
	for _, s := range wanted.Schemas {
		names = append(names, s.Name)
	}
	now, err := driver.InspectRealm(ctx, &atlasschema.InspectRealmOption{Schemas: names})
	if err != nil {
		return fmt.Errorf("read %s: %w", n.path, err)
	}
	changes, err := driver.RealmDiff(now, &wanted)
	if err != nil {
		return fmt.Errorf("plan what %s says: %w", n.path, err)
	}
	plan, err := driver.PlanChanges(ctx, "scratch", changes)
	if err != nil {
		return fmt.Errorf("plan what %s says: %w", n.path, err)
	}
	for _, c := range plan.Changes {
		if _, err := db.DB().ExecContext(ctx, c.Cmd, c.Args...); err != nil {
			return &FileError{File: n.path, Reason: fmt.Sprintf("%s: %s", firstWords(c.Cmd), serverMessage(err))}
		}
	}
	return nil
}

// firstWords shortens a statement that comes from no file.
func firstWords(sql string) string {
	if r := []rune(sql); len(r) > maxShown {
		return string(r[:maxShown]) + "…"
	}
	return sql
}

// parseHCL reads a file, or those of a folder.
func parseHCL(path string) (*hclparse.Parser, error) {
	files := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(escapeGlob(path), "*.hcl")); err != nil {
			return nil, fmt.Errorf("list the files of %s: %w", path, err)
		}
		sort.Strings(files)
	}
	parser := hclparse.NewParser()
	for _, f := range files {
		if _, problems := parser.ParseHCLFile(f); problems.HasErrors() {
			p := problems.Errs()[0]
			return nil, &FileError{File: f, Reason: strings.TrimPrefix(p.Error(), f+":")}
		}
	}
	return parser, nil
}

// evaluator turns files into Atlas's model.
type evaluator func(parser *hclparse.Parser, realm *atlasschema.Realm) error

func atlasFor(engine migrate.Engine, db *scratch.Database) (atlas.Driver, evaluator, error) {
	var driver atlas.Driver
	var err error
	var eval func(p *hclparse.Parser, realm *atlasschema.Realm) error
	switch engine {
	case migrate.Postgres:
		driver, err = postgres.Open(db.DB())
		eval = func(p *hclparse.Parser, realm *atlasschema.Realm) error { return postgres.EvalHCL.Eval(p, realm, nil) }
	case migrate.SQLite:
		driver, err = sqlite.Open(db.DB())
		eval = func(p *hclparse.Parser, realm *atlasschema.Realm) error { return sqlite.EvalHCL.Eval(p, realm, nil) }
	case migrate.MariaDB:
		driver, err = mysql.Open(db.DB())
		eval = func(p *hclparse.Parser, realm *atlasschema.Realm) error {
			return mysql.EvalMariaHCL.Eval(p, realm, nil)
		}
	default:
		driver, err = mysql.Open(db.DB())
		eval = func(p *hclparse.Parser, realm *atlasschema.Realm) error { return mysql.EvalHCL.Eval(p, realm, nil) }
	}
	return driver, eval, err
}

// intoScratch makes the one schema of a file, which is a database on these servers, the scratch.
func intoScratch(realm *atlasschema.Realm, name string) error {
	if len(realm.Schemas) > 1 {
		return fmt.Errorf("it makes %d databases, and a scratch is one", len(realm.Schemas))
	}
	for _, s := range realm.Schemas {
		s.Name = name
	}
	return nil
}
