package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// Change is one database change: a folder of paired scripts, resolved for one engine.
type Change struct {
	ID      string // the folder's name; changes run in the order of their IDs
	Path    string // the folder
	Meta    Meta
	scripts map[Phase]Pair
}

// Pair is the roll-forward script of a phase and the rollback script that undoes it. Rollback is nil
// where there is none: for a backfill, a purge, or a change that says it is irreversible.
type Pair struct {
	Forward  Script
	Rollback *Script
}

// Meta is the content of change.yaml.
type Meta struct {
	Description  string   `yaml:"description,omitempty"`
	Irreversible string   `yaml:"irreversible,omitempty"` // why there is no rollback script
	Operations   []string `yaml:"operations,omitempty"`   // what the scripts were planned from
	Attic        Attic    `yaml:"attic,omitempty"`
	Imported     Imported `yaml:"imported,omitempty"`
}

// Attic says how long contracted data is kept before purge may remove it.
type Attic struct {
	Retention time.Duration `yaml:"retention,omitempty"`
}

// DefaultRetention is how long the attic is kept when change.yaml does not say.
const DefaultRetention = 7 * 24 * time.Hour

// Imported says where a change came from that another tool's folder was adopted with.
type Imported struct {
	Tool    string `yaml:"tool,omitempty"`
	Version string `yaml:"version,omitempty"` // as the tool's version table has it
	File    string `yaml:"file,omitempty"`
}

// Pair returns the scripts of a phase, and whether the change has that phase.
func (c *Change) Pair(p Phase) (Pair, bool) {
	pair, ok := c.scripts[p]
	return pair, ok
}

// Phases returns the phases the change has, in their order.
func (c *Change) Phases() []Phase {
	var phases []Phase
	for _, p := range Phases() {
		if _, ok := c.scripts[p]; ok {
			phases = append(phases, p)
		}
	}
	return phases
}

// Retention is how long the attic of the change is kept.
func (c *Change) Retention() time.Duration {
	if c.Meta.Attic.Retention > 0 {
		return c.Meta.Attic.Retention
	}
	return DefaultRetention
}

// Folder is a folder of changes, read for one engine.
type Folder struct {
	Path    string
	Engine  Engine
	Changes []*Change // in the order of their IDs
}

// Change returns the change of that ID, or nil.
func (f *Folder) Change(id string) *Change {
	for _, c := range f.Changes {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// maxScript is the most a script may weigh, in bytes: more is a dump, not a change.
const maxScript = 64 << 20

var (
	changeID   = regexp.MustCompile(`^[0-9][0-9A-Za-z._-]*$`)
	scriptName = regexp.MustCompile(`^(expand|backfill|contract|purge)(\.rollback)?(?:\.(postgres|mysql|mariadb|sqlite))?\.sql$`)
)

// LoadFolder reads the changes below path as the given engine is to run them, and checks them against
// the integrity file. A folder that is wrong in any way is a *FolderError.
func LoadFolder(path string, engine Engine) (*Folder, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &FolderError{Path: path, Reason: "there is no such folder", Next: "switchback init"}
	}
	if err != nil {
		return nil, fmt.Errorf("read the changes in %s: %w", path, err)
	}
	folder := &Folder{Path: path, Engine: engine}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !e.IsDir() {
			continue
		}
		c, err := loadChange(filepath.Join(path, e.Name()), engine)
		if err != nil {
			return nil, err
		}
		folder.Changes = append(folder.Changes, c)
	}
	sort.Slice(folder.Changes, func(i, j int) bool { return folder.Changes[i].ID < folder.Changes[j].ID })
	return folder, CheckSum(path)
}

func loadChange(path string, engine Engine) (*Change, error) {
	c := &Change{ID: filepath.Base(path), Path: path, scripts: map[Phase]Pair{}}
	if !changeID.MatchString(c.ID) {
		return nil, &FolderError{Path: path, Reason: "the name of a change starts with digits, as in 20261124093000_add_email", Next: "rename the folder, or move it out of the changes"}
	}
	files, others, err := scriptFiles(path, engine)
	if err != nil {
		return nil, err
	}
	if c.Meta, err = ReadMeta(path); err != nil {
		return nil, err
	}
	if len(files) == 0 && others {
		// Written for other engines only: here it is a change that does nothing.
		c.scripts[Expand] = Pair{Forward: Script{Path: path}, Rollback: &Script{Path: path}}
		return c, nil
	}
	if len(files) == 0 {
		return nil, &FolderError{Path: path, Reason: "has no script", Next: "write expand.sql and expand.rollback.sql, or remove the folder"}
	}
	for _, p := range Phases() {
		if err := c.addPair(p, files); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// scriptFiles picks, for each script of a change, the file that the engine is to run. It also says
// whether there are scripts for other engines.
func scriptFiles(path string, engine Engine) (files map[string]string, others bool, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, false, fmt.Errorf("read change %s: %w", path, err)
	}
	files = map[string]string{}
	rank := map[string]int{}
	for _, e := range entries {
		name := e.Name()
		if name == "change.yaml" || strings.HasPrefix(name, ".") || strings.EqualFold(filepath.Ext(name), ".md") {
			continue
		}
		m := scriptName.FindStringSubmatch(name)
		if m == nil || !e.Type().IsRegular() {
			return nil, false, &FolderError{Path: filepath.Join(path, name), Reason: "is no script of a change", Next: "scripts are named PHASE.sql, PHASE.rollback.sql, or with an engine PHASE.mysql.sql; phases are expand, backfill, contract, purge"}
		}
		r := engineRank(engine, m[3])
		others = others || r == 0
		if key := m[1] + m[2]; r > rank[key] {
			files[key], rank[key] = filepath.Join(path, name), r
		}
	}
	return files, others, nil
}

// engineRank says how well a script for dialect suits the engine: 0 is not at all. MariaDB takes a
// script for MySQL before the one for everybody.
func engineRank(engine Engine, dialect string) int {
	switch {
	case dialect == string(engine):
		return 3
	case dialect == string(MySQL) && engine == MariaDB:
		return 2
	case dialect == "":
		return 1
	}
	return 0
}

func (c *Change) addPair(p Phase, files map[string]string) error {
	forward, hasForward := files[string(p)]
	back, hasBack := files[string(p)+".rollback"]
	switch {
	case !hasForward && hasBack:
		return &FolderError{Path: back, Reason: fmt.Sprintf("there is a rollback script but no %s script", p), Next: fmt.Sprintf("write %s.sql", p)}
	case !hasForward:
		return nil
	case hasBack && p == Purge:
		return &FolderError{Path: back, Reason: "purge has no way back", Next: "remove the file: a verified snapshot stands behind a purge"}
	case !hasBack && (p == Expand || p == Contract) && c.Meta.Irreversible == "":
		return &FolderError{Path: c.Path, Reason: fmt.Sprintf("%s has no rollback script", p), Next: fmt.Sprintf("write %s.rollback.sql, or say why there can be none: `irreversible: REASON` in change.yaml", p)}
	}
	var pair Pair
	var err error
	if pair.Forward, err = readScript(forward); err != nil {
		return err
	}
	if hasBack {
		s, err := readScript(back)
		if err != nil {
			return err
		}
		pair.Rollback = &s
	}
	c.scripts[p] = pair
	return nil
}

func readScript(path string) (Script, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Script{}, fmt.Errorf("read script: %w", err)
	}
	if info.Size() > maxScript {
		return Script{}, &FolderError{Path: path, Reason: fmt.Sprintf("is larger than %d MiB", maxScript>>20)}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Script{}, fmt.Errorf("read script: %w", err)
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return Script{}, &FolderError{Path: path, Reason: "is not UTF-8 text"}
	}
	return ParseScript(path, string(data))
}

// ReadMeta reads the change.yaml of the change in a folder. A missing one is empty; one that cannot be read is a
// *FolderError.
func ReadMeta(path string) (Meta, error) {
	file := filepath.Join(path, "change.yaml")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Meta{}, nil
	}
	if err != nil {
		return Meta{}, fmt.Errorf("read change.yaml: %w", err)
	}
	var m Meta
	if err := yaml.UnmarshalWithOptions(data, &m, yaml.Strict()); err != nil {
		return Meta{}, YAMLError(file, err)
	}
	return m, nil
}

// YAMLError turns what the YAML reader says of a file into a FolderError with the line.
func YAMLError(file string, err error) error {
	fe := &FolderError{Path: file, Reason: err.Error()}
	var ye yaml.Error
	if errors.As(err, &ye) {
		fe.Reason = ye.GetMessage()
		if t := ye.GetToken(); t != nil && t.Position != nil {
			fe.Line = t.Position.Line
		}
	}
	return fe
}
