package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"unicode/utf8"
)

// files are those of a source: one, or all of a folder. Nothing outside of the folder is ever opened, by
// whatever name and through whatever link.
type files struct {
	dir  string
	root *os.Root
	list []string // to be run, by their path below the folder
}

// maxSQL is the most a file may weigh, in bytes. A dump without rows is far smaller.
const maxSQL = 512 << 20

func openFiles(name string) (*files, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("open the source %s: %w", name, err)
	}
	f := &files{dir: name}
	if !info.IsDir() {
		f.dir, f.list = filepath.Dir(name), []string{filepath.Base(name)}
	}
	if f.root, err = os.OpenRoot(f.dir); err != nil {
		return nil, fmt.Errorf("open the source %s: %w", name, err)
	}
	if info.IsDir() {
		if err := f.find(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// find lists the SQL files of the folder in the order of their names. Those of folders below it run only
// where one includes them.
func (f *files) find() error {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("read the folder %s: %w", f.dir, err)
	}
	for _, e := range entries {
		if strings.HasSuffix(strings.ToLower(e.Name()), ".sql") && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			f.list = append(f.list, e.Name())
		}
	}
	sort.Strings(f.list)
	if len(f.list) == 0 {
		return &FileError{File: f.dir, Reason: "the folder holds no SQL file", Next: "give a folder with files that end in .sql, of changes, or of another tool's migrations"}
	}
	return nil
}

// Close closes the folder.
func (f *files) Close() error { return f.root.Close() }

// shown is a file's name as the user would write it.
func (f *files) shown(name string) string { return filepath.Join(f.dir, name) }

// has tells whether there is such a file in the folder.
func (f *files) has(name string) bool {
	info, err := f.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// read reads a file as text.
func (f *files) read(name string) (string, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", f.shown(name), err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSQL+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", f.shown(name), err)
	}
	if len(text) > maxSQL {
		return "", &FileError{File: f.shown(name), Reason: fmt.Sprintf("is larger than %d MiB", maxSQL>>20), Next: "dump the schema without its rows"}
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	switch {
	case bytes.HasPrefix(text, []byte("PGDMP")):
		return "", &FileError{File: f.shown(name), Reason: "is an archive of pg_dump, not SQL", Next: "pg_restore --schema-only -f schema.sql " + f.shown(name)}
	case bytes.HasPrefix(text, []byte("SQLite format 3\x00")):
		return "", &FileError{File: f.shown(name), Reason: "is an SQLite database, not SQL", Next: "write sqlite:" + f.shown(name)}
	case bytes.IndexByte(text, 0) >= 0:
		return "", &FileError{File: f.shown(name), Reason: "is no text"}
	case !utf8.Valid(text):
		return "", &FileError{File: f.shown(name), Reason: "is not UTF-8 text", Next: "save it as UTF-8, or dump the schema without its rows"}
	}
	return string(text), nil
}
