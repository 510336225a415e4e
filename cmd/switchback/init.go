package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

const initialConfig = `# The databases, by name. ${NAME} stands for an environment variable, so that no password is in here.
environments:
  development:
    url: sqlite:development.db
#  staging:
#    url: ${STAGING_URL}
#  production:
#    url: ${PRODUCTION_URL}
`

func initCommand() *cli.Command {
	return &cli.Command{
		Name:  "init",
		Usage: "make a project: " + config.FileName + " and a folder of changes",
		Flags: outputFlags(),
		Action: func(c *cli.Context) error {
			p, err := openProject(c)
			if err != nil {
				return err
			}
			file := filepath.Join(c.String("dir"), config.FileName)
			if _, err := os.Stat(file); err == nil {
				return fmt.Errorf("%s is there already\n  state: nothing was changed\n  next: switchback new NAME", file)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err := os.MkdirAll(p.config.Changes, 0o755); err != nil {
				return fmt.Errorf("make the folder of changes: %w", err)
			}
			if err := migrate.WriteSum(p.config.Changes); err != nil {
				return err
			}
			if err := atomicfile.Write(file, []byte(initialConfig), 0o644); err != nil {
				return err
			}
			p.out.printf("made %s and %s\n  next: switchback new NAME", file, p.config.Changes)
			return p.out.document(map[string]string{"config": file, "changes": p.config.Changes})
		},
	}
}

func newCommand() *cli.Command {
	return &cli.Command{
		Name:      "new",
		Usage:     "make an empty change with the scripts of its phases",
		ArgsUsage: "NAME",
		Flags:     outputFlags(),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return fmt.Errorf("want one name, as in: switchback new add_email")
			}
			p, err := openProject(c)
			if err != nil {
				return err
			}
			path, err := newChange(p.config.Changes, c.Args().First(), time.Now())
			if err != nil {
				return err
			}
			p.out.printf("made %s\n  next: write its scripts, remove the phases it does not need, then: switchback sum; or write operations: into its change.yaml, then: switchback plan %s", path, c.Args().First())
			return p.out.document(map[string]string{"change": filepath.Base(path), "path": path})
		},
	}
}

// templates are the scripts of a new change.
var templates = map[string]string{
	"expand.sql":            "-- Add the new beside the old. The version that is running must not notice.\n",
	"expand.rollback.sql":   "-- Undo expand.sql.\n",
	"backfill.sql":          "-- Fill the new from the old, in batches:\n-- (write the directive as `-- switchback:` and then) batch table=TABLE key=id size=2000\n-- UPDATE TABLE SET new = old WHERE new IS NULL AND :batch;\n",
	"contract.sql":          "-- Take the old away, once no running version needs it: rename it into the attic.\n",
	"contract.rollback.sql": "-- Undo contract.sql: bring the old back from the attic.\n",
	"change.yaml":           "description: \n",
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// changePath is where a change of that name goes.
func changePath(changes, name string, now time.Time) (string, error) {
	slug := strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "_"), "_")
	if slug == "" {
		return "", fmt.Errorf("the name %q has no letter or digit in it", name)
	}
	return filepath.Join(changes, now.UTC().Format("20060102150405")+"_"+slug), nil
}

func newChange(changes, name string, now time.Time) (string, error) {
	path, err := changePath(changes, name, now)
	if err != nil {
		return "", err
	}
	var files []recipe.File
	for file, text := range templates {
		files = append(files, recipe.File{Name: file, Text: text})
	}
	return path, writeChange(changes, path, files)
}

func sumCommand() *cli.Command {
	return &cli.Command{
		Name:  "sum",
		Usage: "write " + migrate.SumFile + ": accept the changes as they are now",
		Flags: outputFlags(),
		Action: func(c *cli.Context) error {
			p, err := openProject(c)
			if err != nil {
				return err
			}
			if err := migrate.WriteSum(p.config.Changes); err != nil {
				return err
			}
			// Reading the folder finds what is wrong with it while its author is still there.
			for _, engine := range migrate.Engines() {
				if _, err := migrate.LoadFolder(p.config.Changes, engine); err != nil {
					return err
				}
			}
			file := filepath.Join(p.config.Changes, migrate.SumFile)
			p.out.printf("wrote %s", file)
			return p.out.document(map[string]string{"sum": file})
		},
	}
}
