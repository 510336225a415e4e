package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/foreign"
)

// Script is a script to look at.
type Script struct {
	Change  string
	Phase   migrate.Phase
	Back    bool   // the rollback script of the phase
	File    string // as it is shown, with slashes
	SQL     string
	Foreign bool // of another tool, which neither sets lock timeouts nor knows phases
	OneWay  bool // there is no rollback script, and no reason for that
	offset  func(statement string, line int) int
}

// FromFolder returns the scripts of changes; of all of them where no ID is given.
func FromFolder(f *migrate.Folder, ids ...string) ([]Script, error) {
	wanted := map[string]bool{}
	for _, id := range ids {
		if f.Change(id) == nil {
			return nil, &migrate.FolderError{Path: f.Path, Reason: fmt.Sprintf("has no change %q", id), Next: "ls " + f.Path}
		}
		wanted[id] = true
	}
	var list []Script
	for _, c := range f.Changes {
		if len(ids) > 0 && !wanted[c.ID] {
			continue
		}
		for _, p := range c.Phases() {
			pair, _ := c.Pair(p)
			one := Script{Change: c.ID, Phase: p, File: filepath.ToSlash(pair.Forward.Path), SQL: pair.Forward.SQL}
			one.OneWay = pair.Rollback == nil && c.Meta.Irreversible == "" && (p == migrate.Expand || p == migrate.Contract)
			list = append(list, one)
			if pair.Rollback != nil && pair.Rollback.SQL != "" {
				list = append(list, Script{Change: c.ID, Phase: p, Back: true, File: filepath.ToSlash(pair.Rollback.Path), SQL: pair.Rollback.SQL})
			}
		}
	}
	return list, nil
}

// FromForeign returns the scripts of another tool's migrations.
func FromForeign(f *foreign.Folder, engine migrate.Engine) ([]Script, error) {
	var list []Script
	for _, m := range f.Migrations {
		up, ok := m.Up.For(engine)
		if !ok {
			continue
		}
		file := filepath.Join(f.Path, m.File)
		down, back := m.Down.For(engine)
		s := Script{Change: m.File, File: filepath.ToSlash(file), SQL: up, Foreign: true, OneWay: !back && !m.Repeatable, offset: lines(file)}
		list = append(list, s)
		if back && down != "" {
			backFile := downFile(file)
			list = append(list, Script{Change: m.File, Back: true, File: filepath.ToSlash(backFile), SQL: down, Foreign: true, offset: lines(backFile)})
		}
	}
	return list, nil
}

// downFile is the file that has a migration's way back: its own, where the tool keeps both in one.
func downFile(up string) string {
	dir, base := filepath.Split(up)
	candidates := []string{strings.Replace(base, ".up.sql", ".down.sql", 1)}
	if strings.HasPrefix(base, "V") {
		candidates = append(candidates, "U"+base[1:])
	}
	for _, c := range candidates {
		if _, err := os.Stat(filepath.Join(dir, c)); err == nil && c != base {
			return filepath.Join(dir, c)
		}
	}
	return up
}

// lines finds statements in a file of which only a part was read, or that was altered a little.
func lines(file string) func(statement string, line int) int {
	text, err := os.ReadFile(file) //nolint:gosec // it was read as a migration just now
	if err != nil {
		return nil
	}
	from := 0
	return func(statement string, _ int) int {
		i := strings.Index(string(text[from:]), statement)
		if i < 0 {
			return 0
		}
		from += i
		return 1 + strings.Count(string(text[:from]), "\n")
	}
}

// script is a Script, cut into statements.
type script struct {
	Script
	engine     migrate.Engine
	directives migrate.Directives
	statements []*statement
}

func readScript(s Script, engine migrate.Engine) (*script, error) {
	parsed, err := migrate.ParseScript(s.File, s.SQL)
	if err != nil {
		return nil, err
	}
	found, err := migrate.Scan(engine, s.SQL)
	if err != nil {
		return nil, &migrate.FolderError{Path: s.File, Reason: "cannot be cut into statements: " + err.Error(), Next: "look for a quote or a comment that is not closed"}
	}
	out := &script{Script: s, engine: engine, directives: parsed.Directives}
	after := 0
	for _, f := range found {
		st := newStatement(out, len(out.statements), f.Line, after, f.Text)
		// Directives are looked up by the line in the text that was read, findings are shown at that of the file.
		after = f.Line + strings.Count(f.Text, "\n")
		out.statements = append(out.statements, st)
	}
	return out, nil
}

// inTransaction tells whether the statements of the script share one.
func (s *script) inTransaction() bool { return !s.directives.NoTransaction && !isSecond(s.engine) }

// forward tells whether the script is one that goes forward and that both versions of the application live through.
func (s *script) forward() bool { return !s.Back && s.Phase != migrate.Purge }

// early tells whether the version of the application that knows nothing of the change may be running.
func (s *script) early() bool { return s.forward() && s.Phase != migrate.Contract }

// batched tells whether a statement runs in batches.
func (s *script) batched(st *statement) bool {
	return slices.ContainsFunc(s.directives.Batches, func(b migrate.Batch) bool { return st.under(b.Line) })
}

// asserts tells whether a statement is only a question.
func (s *script) asserts(st *statement) bool {
	return slices.ContainsFunc(s.directives.Asserts, func(a migrate.Assert) bool { return st.under(a.Line) })
}
