package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/foreign"
)

// named is a source that was found, and not read yet.
type named struct {
	name string // as the user wrote it
	kind Kind
	path string // the URL, path or ID
	upTo string // of a folder of changes: the last change, CHANGE or CHANGE:PHASE; empty for all
}

// scripted tells whether the source has to be run in a scratch database.
func (n named) scripted() bool {
	return n.kind == SQL || n.kind == HCL || n.kind == Changes || n.kind == Migrations
}

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// what finds out what a name names.
func (r *Reader) what(name string) (named, error) {
	before, rest, _ := strings.Cut(name, ":")
	switch before {
	case "empty":
		if rest == "" {
			return named{name: name, kind: Empty}, nil
		}
	case "sqlite", "postgres", "postgresql", "mysql", "mariadb":
		return named{name: name, kind: Live, path: name}, nil
	case "env":
		if r.Environment == nil {
			return named{}, fmt.Errorf("%s: there is no configuration here", name)
		}
		url, err := r.Environment(rest)
		return named{name: name, kind: Live, path: url}, err
	case "snapshot":
		return named{name: name, kind: Snapshot, path: rest}, nil
	case "changes":
		if _, err := os.Stat(name); err != nil || rest != "" {
			return r.changes(name, rest)
		}
	}
	if strings.Contains(name, "://") {
		return named{}, fmt.Errorf("unknown engine %q: want sqlite, postgres, mysql or mariadb", before)
	}
	return onDisk(name)
}

// changes reads changes, changes:DIR and changes:DIR@CHANGE:PHASE.
func (r *Reader) changes(name, rest string) (named, error) {
	dir, upTo, _ := strings.Cut(rest, "@")
	if dir == "" {
		dir = r.Changes
	}
	return named{name: name, kind: Changes, path: dir, upTo: upTo}, nil
}

// onDisk looks at a file or folder.
func onDisk(name string) (named, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint := "a source is a database URL, env:NAME, snapshot:ID, empty, or a file or folder"
		if scheme.MatchString(name) {
			hint = "known are sqlite:, postgres:, mysql:, mariadb:, env:, snapshot:, changes:"
		}
		return named{}, fmt.Errorf("there is no file or folder %s\n  next: %s", Redact(name), hint)
	case err != nil:
		return named{}, fmt.Errorf("look at the source %s: %w", name, err)
	case info.IsDir():
		return folder(name)
	case !info.Mode().IsRegular():
		return named{}, fmt.Errorf("%s is no regular file", name)
	}
	n := named{name: name, path: name, kind: SQL}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		n.kind = Saved
	case ".hcl":
		n.kind = HCL
	case ".db", ".sqlite", ".sqlite3":
		return named{}, fmt.Errorf("%s looks like a database file\n  next: write sqlite:%s", name, name)
	}
	return n, nil
}

// folder finds out whose folder it is.
func folder(name string) (named, error) {
	n := named{name: name, path: name}
	if _, err := os.Stat(filepath.Join(name, migrate.SumFile)); err == nil {
		n.kind = Changes
		return n, nil
	}
	tool, err := foreign.Detect(name)
	if err != nil {
		return n, err
	}
	if tool != "" {
		n.kind = Migrations
		return n, nil
	}
	hcl, err := filepath.Glob(filepath.Join(escapeGlob(name), "*.hcl"))
	if err == nil && len(hcl) > 0 {
		n.kind = HCL
		return n, nil
	}
	n.kind = SQL
	return n, nil
}

var globMeta = regexp.MustCompile(`[*?\[\\]`)

func escapeGlob(path string) string { return globMeta.ReplaceAllString(path, `\$0`) }
