package foreign

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

var flywayPlaceholder = regexp.MustCompile(`\$\{([A-Za-z0-9_.:-]+)\}`)

// readFlyway reads Flyway's versioned, undo and repeatable migrations, in subfolders too, see
// https://documentation.red-gate.com/flyway/flyway-concepts/migrations.
func (f *Folder) readFlyway(files []file, placeholders map[string]string) error {
	r := flywayReader{folder: f, versions: map[string]*Migration{}, undo: map[string]Scripts{}, conf: map[string]string{}, placeholders: placeholders}
	for _, x := range files {
		if name, ok := strings.CutSuffix(x.rel, ".conf"); ok {
			r.conf[name] = x.text
		}
	}
	for _, x := range files {
		if err := r.read(x); err != nil {
			return err
		}
	}
	for version, down := range r.undo {
		m := r.versions[version]
		if m == nil {
			return &migrate.FolderError{Path: f.Path, Reason: fmt.Sprintf("there is an undo migration of version %s, but no migration", version), Next: "write the missing file, or remove the undo"}
		}
		m.Down = down
	}
	for _, m := range r.versions {
		f.Migrations = append(f.Migrations, *m)
	}
	f.sort()
	f.Migrations = append(f.Migrations, r.repeatable...)
	return nil
}

type flywayReader struct {
	folder       *Folder
	versions     map[string]*Migration
	undo         map[string]Scripts
	repeatable   []Migration
	conf         map[string]string // script configuration files by the name of their script
	placeholders map[string]string
}

func (r *flywayReader) read(x file) error {
	m := flywayName.FindStringSubmatch(x.base())
	if m == nil {
		if !strings.HasSuffix(x.rel, ".conf") {
			r.folder.leftOut(x)
		}
		return nil
	}
	kind, version, name := m[1], strings.ReplaceAll(m[2], "_", "."), m[3]
	if (kind == "R") != (version == "") {
		return &migrate.FolderError{Path: x.rel, Reason: "is named as no migration of Flyway is", Next: "V1__name.sql, U1__name.sql and R__name.sql are"}
	}
	if kind == "B" {
		r.folder.Notes = append(r.folder.Notes, x.rel+" is a baseline, which stands for the migrations up to its version; it was left out, they are taken over one by one")
		return nil
	}
	text, err := substitute(x.text, r.placeholders, flywayPlaceholder)
	if err != nil {
		return &migrate.FolderError{Path: x.rel, Reason: err.Error()}
	}
	conf := strings.ToLower(strings.ReplaceAll(r.conf[x.rel], " ", ""))
	text, err = plainScript(file{rel: x.rel, text: text}, strings.Contains(conf, "executeintransaction=false"))
	if err != nil {
		return err
	}
	switch kind {
	case "U":
		if _, ok := r.undo[version]; ok {
			return twice(x, version)
		}
		r.undo[version] = Scripts{"": text}
	case "R":
		r.repeatable = append(r.repeatable, Migration{Name: name, File: x.rel, Repeatable: true, Up: Scripts{"": text}})
		r.folder.Notes = append(r.folder.Notes, x.rel+" is repeatable: it is taken over as it is now, as the last of the changes; from now on write a new change for each edit")
	default:
		if _, ok := r.versions[version]; ok {
			return twice(x, version)
		}
		r.versions[version] = &Migration{Version: version, Name: name, File: x.rel, Up: Scripts{"": text}}
	}
	return nil
}

func twice(x file, version string) error {
	return &migrate.FolderError{Path: filepath.ToSlash(x.rel), Reason: fmt.Sprintf("there is another file of its kind with the version %s", version), Next: "give one of them another version"}
}
