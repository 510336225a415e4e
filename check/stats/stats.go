// Package stats keeps how large the tables of a database are, so that CI can tell what a statement would touch in
// production without access to it. A file of it has names and numbers, and no data.
//
//	production ──drivers/database.Sizes──▶ Stats ──Save──▶ stats.json ──Read──▶ lint.Options.Sizes
package stats

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// version is that of the files that Save writes.
const version = 1

// maxFile is the largest file that Read reads, in bytes: a million tables.
const maxFile = 128 << 20

// Stats are the statistics of a database.
type Stats struct {
	Engine migrate.Engine
	Taken  time.Time
	Sizes  map[recipe.Table]recipe.Size
}

// file is how they are written.
type file struct {
	Version int            `json:"switchback_stats"`
	Engine  migrate.Engine `json:"engine"`
	Taken   time.Time      `json:"taken"`
	Tables  []table        `json:"tables"`
}

type table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"` // without indexes
}

// Save writes them as JSON, the tables by their names.
func (s Stats) Save(w io.Writer) error {
	f := file{Version: version, Engine: s.Engine, Taken: s.Taken.UTC().Truncate(time.Second), Tables: []table{}}
	for t, size := range s.Sizes {
		f.Tables = append(f.Tables, table{Schema: t.Schema, Name: t.Name, Rows: size.Rows, Bytes: size.Bytes})
	}
	slices.SortFunc(f.Tables, func(a, b table) int {
		return strings.Compare(a.Schema+"\x00"+a.Name, b.Schema+"\x00"+b.Name)
	})
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(f)
}

// Read reads what Save has written.
func Read(path string) (Stats, error) {
	s, err := read(path)
	if err != nil {
		return s, fmt.Errorf("read the statistics %s: %w\n  next: write them with switchback stats save", path, err)
	}
	return s, nil
}

func read(path string) (Stats, error) {
	in, err := os.Open(path) //nolint:gosec // the file that the user names
	if err != nil {
		return Stats{}, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return Stats{}, err
	}
	if len(text) > maxFile {
		return Stats{}, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return Stats{}, fmt.Errorf("it is no JSON of statistics: %w", err)
	}
	if f.Version != version || !slices.Contains(migrate.Engines(), f.Engine) {
		return Stats{}, errors.New("it holds no statistics that this version knows")
	}
	s := Stats{Engine: f.Engine, Taken: f.Taken, Sizes: map[recipe.Table]recipe.Size{}}
	for _, t := range f.Tables {
		if t.Rows < 0 || t.Bytes < 0 {
			return Stats{}, fmt.Errorf("table %s has less than nothing", t.Name)
		}
		s.Sizes[recipe.Table{Schema: t.Schema, Name: t.Name}] = recipe.Size{Rows: t.Rows, Bytes: t.Bytes}
	}
	return s, nil
}
