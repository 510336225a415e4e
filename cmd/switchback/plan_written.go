package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// planWritten plans the operations that somebody wrote into the change.yaml of a change, and writes its scripts.
func (p *project) planWritten(c *cli.Context) error {
	if len(c.StringSlice("rename")) > 0 || len(c.StringSlice("allow")) > 0 {
		return errors.New("--rename and --allow go with --to")
	}
	path, err := findChange(p.config.Changes, c.Args().First())
	if err != nil {
		return err
	}
	id := filepath.Base(path)
	meta, err := migrate.ReadMeta(path)
	switch {
	case err != nil:
		return err
	case len(meta.Operations) == 0:
		return fmt.Errorf("nothing to plan: %s has no operations\n  state: nothing was written\n  next: write them there, as in: operations: [\"rename column users.name full_name\"]; switchback plan --help lists what there is", filepath.Join(path, "change.yaml"))
	}
	there, err := scriptsOf(path)
	if err != nil {
		return err
	}
	if written := slices.DeleteFunc(slices.Clone(there), isTemplate); len(written) > 0 && !c.Bool("overwrite") && !c.Bool("explain") {
		return fmt.Errorf("change %s has scripts already: %s\n  state: nothing was written\n  next: look at the new ones with --explain; if they are to take the place of all that are there: --overwrite", id, strings.Join(names(written), ", "))
	}
	given, err := readOperations(meta.Operations)
	if err != nil {
		return err
	}
	w, err := p.operations(c, given)
	if err != nil {
		return err
	}
	return p.planTo(c, w, path, func(files []recipe.File) error { return p.fillChange(path, there, files) })
}

// findChange returns the folder of the change with that ID, or of the only one with that name behind its number.
func findChange(changes, name string) (string, error) {
	entries, err := os.ReadDir(changes)
	if err != nil {
		return "", fmt.Errorf("read the changes: %w", err)
	}
	slug := strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "_"), "_")
	var found []string
	for _, e := range entries {
		_, rest, _ := strings.Cut(e.Name(), "_")
		switch {
		case !e.IsDir() || strings.HasPrefix(e.Name(), "."):
		case e.Name() == name:
			return filepath.Join(changes, name), nil
		case rest == slug:
			found = append(found, e.Name())
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("nothing to plan: there is no change %s, and neither --to nor --op\n  next: say what, as in: --to schema.sql, or --op 'rename column users.name full_name'; switchback plan --help lists the operations. Or make the change with switchback new %s, and write operations into its change.yaml", name, name)
	case 1:
		return filepath.Join(changes, found[0]), nil
	}
	return "", fmt.Errorf("there are changes %s\n  next: say which, by its whole name", strings.Join(found, ", "))
}

// scriptsOf reads the scripts that a change has.
func scriptsOf(path string) ([]recipe.File, error) {
	list, err := filepath.Glob(filepath.Join(path, "*.sql"))
	if err != nil {
		return nil, err
	}
	var files []recipe.File
	for _, file := range list {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read script: %w", err)
		}
		files = append(files, recipe.File{Name: filepath.Base(file), Text: string(text)})
	}
	return files, nil
}

// isTemplate tells whether a script is as `new` makes it: nobody has written it yet.
func isTemplate(f recipe.File) bool { return templates[f.Name] == f.Text }

func names(files []recipe.File) []string {
	var list []string
	for _, f := range files {
		list = append(list, f.Name)
	}
	return list
}

// fillChange puts scripts into a change in the place of those that are there. Its change.yaml is its author's, and
// stays. Killed in the middle, it leaves files that the integrity file does not know.
func (p *project) fillChange(path string, there, files []recipe.File) error {
	if err := migrate.CheckOthers(p.config.Changes, filepath.Base(path)); err != nil {
		return err
	}
	for _, f := range there {
		if err := os.Remove(filepath.Join(path, f.Name)); err != nil {
			return fmt.Errorf("write the scripts: %w", err)
		}
	}
	for _, f := range files {
		if f.Name == "change.yaml" {
			continue
		}
		if err := atomicfile.Write(filepath.Join(path, f.Name), []byte(f.Text), 0o644); err != nil {
			return fmt.Errorf("write the scripts: %w", err)
		}
	}
	return migrate.WriteSum(p.config.Changes)
}
