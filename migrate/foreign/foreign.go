// Package foreign reads the migration folders of other tools as they are, and turns them into changes.
//
//	a folder ──Detect──▶ Tool ──Read──▶ []Migration ──Write──▶ change folders, switchback.sum
//	the tool's version table ──Applied──▶ versions ──▶ the journal's adopt entries
//
// A migration becomes a change with one phase, expand, and the script that takes it back, where the
// tool has one. Nothing of what a script does is altered; what only told the other tool how to run it
// (annotations, its own BEGIN and COMMIT) is turned into switchback's way of saying so.
package foreign

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/switchbackdb/switchback/migrate"
)

// Tool is another tool whose folders can be read.
type Tool string

// The tools.
const (
	GolangMigrate Tool = "golang-migrate" // VERSION_NAME.up.sql, VERSION_NAME.down.sql
	Goose         Tool = "goose"          // VERSION_NAME.sql with -- +goose Up
	Dbmate        Tool = "dbmate"         // VERSION_NAME.sql with -- migrate:up
	Flyway        Tool = "flyway"         // V1_2__NAME.sql, U1_2__NAME.sql, R__NAME.sql
	Pop           Tool = "pop"            // VERSION_NAME.DIALECT.up.sql before VERSION_NAME.up.sql
)

// Tools returns all tools, in the order in which they are listed to people.
func Tools() []Tool { return []Tool{GolangMigrate, Goose, Dbmate, Flyway, Pop} }

// ParseTool reads the name of a tool.
func ParseTool(name string) (Tool, error) {
	if t := Tool(name); slices.Contains(Tools(), t) {
		return t, nil
	}
	return "", fmt.Errorf("unknown format %q: there are %s", name, listTools(Tools()))
}

func listTools(tools []Tool) string {
	names := make([]string, len(tools))
	for i, t := range tools {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

// Migration is one migration of another tool.
type Migration struct {
	Version    string // as the tool's version table has it; empty for a repeatable migration of Flyway
	Name       string // the words of its file's name
	File       string // the file it came from, the roll-forward one where there are two
	Repeatable bool   // Flyway runs it again when it was edited
	Up, Down   Scripts
}

// Scripts is one script of a migration by engine; the one of engine "" is for the others. A nil map
// means that there is none.
type Scripts map[migrate.Engine]string

// For returns the script that the engine runs, and whether there is one. MariaDB takes the one for MySQL before
// the one for all.
func (s Scripts) For(e migrate.Engine) (string, bool) {
	if text, ok := s[e]; ok {
		return text, true
	}
	if e == migrate.MariaDB {
		if text, ok := s[migrate.MySQL]; ok {
			return text, true
		}
	}
	text, ok := s[""]
	return text, ok
}

// Folder is another tool's folder, read.
type Folder struct {
	Path       string
	Tool       Tool
	Migrations []Migration // in the order in which the tool runs them
	Notes      []string    // what people should know: files that were left out, and why
}

// Options say how a folder is to be read.
type Options struct {
	Tool         Tool              // empty to find out
	Placeholders map[string]string // values for Flyway's ${NAME} and goose's ${NAME}
}

// Read reads the migrations below path. A folder that cannot be taken over whole is a
// *migrate.FolderError: nothing is guessed.
func Read(path string, o Options) (*Folder, error) {
	files, err := list(path)
	if err != nil {
		return nil, err
	}
	if o.Tool == "" {
		if o.Tool, err = detect(path, files); err != nil {
			return nil, err
		}
	}
	f := &Folder{Path: path, Tool: o.Tool}
	switch o.Tool {
	case Goose:
		err = f.readAnnotated(files, gooseFormat(o.Placeholders))
	case Dbmate:
		err = f.readAnnotated(files, dbmateFormat())
	case Flyway:
		err = f.readFlyway(files, o.Placeholders)
	default:
		err = f.readPaired(files)
	}
	if err != nil {
		return nil, err
	}
	if len(f.Migrations) == 0 {
		return nil, &migrate.FolderError{Path: path, Reason: fmt.Sprintf("has no migration of %s", o.Tool), Next: "switchback import DIR --format with one of " + listTools(Tools())}
	}
	return f, nil
}

// Detect tells whose migrations are below path; it returns "" when they are nobody's that is known here.
// Files that could be of several tools are a *migrate.FolderError.
func Detect(path string) (Tool, error) {
	files, err := list(path)
	if err != nil {
		return "", err
	}
	if found := tools(files); len(found) == 0 {
		return "", nil
	}
	return detect(path, files)
}

// file is a file of a foreign folder.
type file struct {
	rel  string // below the folder
	text string // empty when it is not SQL
}

func (f file) base() string { return filepath.Base(f.rel) }

// Bounds of a foreign folder: what is larger is no folder of migrations.
const (
	maxFiles = 100_000
	maxFile  = 64 << 20
)

// list reads the files below path. Links are not followed.
func list(path string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != path && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case !e.Type().IsRegular() || strings.HasPrefix(e.Name(), "."):
			return nil
		case len(files) == maxFiles:
			return &migrate.FolderError{Path: path, Reason: fmt.Sprintf("has more than %d files", maxFiles)}
		}
		rel, err := filepath.Rel(path, name)
		if err != nil {
			return err
		}
		f := file{rel: filepath.ToSlash(rel)}
		if strings.HasSuffix(f.rel, ".sql") || strings.HasSuffix(f.rel, ".sql.conf") {
			if f.text, err = readText(name); err != nil {
				return err
			}
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the migrations in %s: %w", path, err)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].rel < files[j].rel })
	return files, nil
}

func readText(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if info.Size() > maxFile {
		return "", &migrate.FolderError{Path: name, Reason: fmt.Sprintf("is larger than %d MiB", maxFile>>20)}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return "", &migrate.FolderError{Path: name, Reason: "is not UTF-8 text", Next: "save it as UTF-8"}
	}
	return strings.ReplaceAll(string(data), "\r\n", "\n"), nil
}

var (
	pairedName = regexp.MustCompile(`^([0-9]+)_(.+)\.(up|down)\.sql$`)
	plainName  = regexp.MustCompile(`^([0-9]+)[_-]?(.*)\.sql$`)
	flywayName = regexp.MustCompile(`^([VURB])([0-9]+(?:[._][0-9]+)*)?__(.+)\.sql$`)
	gooseUp    = regexp.MustCompile(`(?im)^\s*--\s*\+goose\s+up\b`)
	dbmateUp   = regexp.MustCompile(`(?m)^\s*--\s*migrate:up\b`)
)

// detect tells which tool a folder belongs to.
func detect(path string, files []file) (Tool, error) {
	found := tools(files)
	switch len(found) {
	case 0:
		return "", &migrate.FolderError{Path: path, Reason: "holds no migrations of a tool that is known here", Next: "switchback import DIR --format with one of " + listTools(Tools())}
	case 1:
		return found[0], nil
	}
	return "", &migrate.FolderError{Path: path, Reason: "could be of several tools: " + listTools(found), Next: "say which: switchback import DIR --format NAME"}
}

// tools finds in names and annotations which tools the files may belong to.
func tools(files []file) []Tool {
	var found []Tool
	add := func(t Tool) {
		if !slices.Contains(found, t) {
			found = append(found, t)
		}
	}
	for _, f := range files {
		m := pairedName.FindStringSubmatch(f.base())
		switch {
		case m != nil && dialectOf(m[2]) != "":
			add(Pop)
		case m != nil:
			add(GolangMigrate)
		case flywayName.MatchString(f.base()):
			add(Flyway)
		case plainName.MatchString(f.base()) && gooseUp.MatchString(f.text):
			add(Goose)
		case plainName.MatchString(f.base()) && dbmateUp.MatchString(f.text):
			add(Dbmate)
		}
	}
	if slices.Contains(found, Pop) {
		// Its files for all dialects are named as golang-migrate names all of its files.
		found = slices.DeleteFunc(found, func(t Tool) bool { return t == GolangMigrate })
	}
	return found
}
