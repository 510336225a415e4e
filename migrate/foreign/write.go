package foreign

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/migrate"
)

// Imported is what became of one migration.
type Imported struct {
	Migration Migration `json:"-"`
	Version   string    `json:"version,omitempty"`
	File      string    `json:"file"`
	Change    string    `json:"change"`            // the ID of its change
	There     bool      `json:"there,omitempty"`   // the change was there already, and was left as it is
	OneWay    bool      `json:"one_way,omitempty"` // there is no script that takes it back
}

// Plan says which change each migration becomes in the folder of changes, without writing anything. A
// migration that was imported before is recognised by tool and version, so that an import can be
// repeated, and a migration taken over by hand counts.
func Plan(f *Folder, changes string) ([]Imported, error) {
	known, taken, err := importedBefore(changes, f.Tool)
	if err != nil {
		return nil, err
	}
	var list []Imported
	for i, id := range f.ids() {
		m := f.Migrations[i]
		one := Imported{Migration: m, Version: m.Version, File: m.File, Change: id, OneWay: m.irreversible()}
		if before, ok := known[key(m.Version, m.File)]; ok {
			one.Change, one.There = before, true
		} else if taken[id] {
			return nil, &migrate.FolderError{Path: filepath.Join(changes, id), Reason: fmt.Sprintf("is there already, and not from %s of %s", m.File, f.Tool), Next: "rename it, or import into a new folder of changes"}
		}
		list = append(list, one)
	}
	return list, nil
}

// key is what a migration is recognised by: its version, or its file where it has none.
func key(version, file string) string {
	if version == "" {
		return "file " + file
	}
	return "version " + version
}

func importedBefore(changes string, tool Tool) (known map[string]string, taken map[string]bool, err error) {
	known, taken = map[string]string{}, map[string]bool{}
	if _, err := os.Stat(changes); os.IsNotExist(err) {
		return known, taken, nil
	}
	folder, err := migrate.LoadFolder(changes, migrate.SQLite) // of the scripts nothing is used
	if err != nil {
		return nil, nil, err
	}
	for _, c := range folder.Changes {
		taken[c.ID] = true
		if from := c.Meta.Imported; from.Tool == string(tool) {
			known[key(from.Version, from.File)] = c.ID
		}
	}
	return known, taken, nil
}

// Write writes the planned changes that are not there yet, and the integrity file. They are written
// beside the folder's changes first and read again for every engine; only then do they move in.
func Write(f *Folder, plan []Imported, changes string) error {
	if err := os.MkdirAll(changes, 0o755); err != nil {
		return fmt.Errorf("make the folder of changes: %w", err)
	}
	staging, err := os.MkdirTemp(changes, ".import-")
	if err != nil {
		return fmt.Errorf("write the changes: %w", err)
	}
	defer func() { _ = os.RemoveAll(staging) }()
	for _, p := range plan {
		if p.There {
			continue
		}
		if err := writeChange(f, p, filepath.Join(staging, p.Change)); err != nil {
			return fmt.Errorf("write the change for %s: %w", p.File, err)
		}
	}
	if err := migrate.WriteSum(staging); err != nil {
		return err
	}
	for _, e := range migrate.Engines() {
		if _, err := migrate.LoadFolder(staging, e); err != nil {
			return fmt.Errorf("read what was written: %w", err)
		}
	}
	for _, p := range plan {
		if p.There {
			continue
		}
		if err := os.Rename(filepath.Join(staging, p.Change), filepath.Join(changes, p.Change)); err != nil {
			return fmt.Errorf("write the changes: %w", err)
		}
	}
	return migrate.WriteSum(changes)
}

func writeChange(f *Folder, p Imported, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	m := p.Migration
	meta := migrate.Meta{
		Description: strings.ReplaceAll(m.Name, "_", " "),
		Imported:    migrate.Imported{Tool: string(f.Tool), Version: m.Version, File: m.File},
	}
	if p.OneWay {
		meta.Irreversible = fmt.Sprintf("%s of %s came without a script that takes it back", m.File, f.Tool)
	}
	text, err := yaml.Marshal(meta)
	if err != nil {
		return err
	}
	files := map[string]string{"change.yaml": string(text)}
	for engine, sql := range m.Up {
		files[scriptFile("expand", engine)] = sql
	}
	for engine, sql := range m.Down {
		files[scriptFile("expand.rollback", engine)] = sql
	}
	for name, sql := range files {
		if err := atomicfile.Write(filepath.Join(dir, name), []byte(sql), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func scriptFile(script string, engine migrate.Engine) string {
	if engine != "" {
		script += "." + string(engine)
	}
	return script + ".sql"
}
