package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/migrate"
)

// File is a file of a change folder.
type File struct {
	Name string // such as expand.rollback.sql
	Text string
}

// titles say at the head of a script what it is for.
var titles = map[string]string{
	"expand.sql":            "Adds the new shape. Nothing that the running version uses changes.",
	"expand.rollback.sql":   "Takes the new shape away again.",
	"backfill.sql":          "Fills the new shape while both versions go on; each statement takes effect by itself.",
	"backfill.rollback.sql": "Takes back what backfill added once the rows were filled. The rows stay filled.",
	"contract.sql":          "Puts the old shape into the attic. Only the new version runs from here on.",
	"contract.rollback.sql": "Takes the old shape out of the attic, with all that was written since in it.",
	"purge.sql":             "Empties the attic. There is no way back from here but a snapshot.",
}

// Files writes the draft as the scripts of a change folder, in the order of the phases. The same draft gives
// the same bytes.
func (d *Draft) Files(engine migrate.Engine) []File {
	var files []File
	for _, phase := range migrate.Phases() {
		s := d.Phase(phase)
		if s == nil {
			continue
		}
		files = append(files, d.file(engine, string(phase)+".sql", s.Forward, len(files) == 0))
		if len(s.Back) > 0 || phase == migrate.Expand || phase == migrate.Contract {
			files = append(files, d.file(engine, string(phase)+".rollback.sql", s.Back, false))
		}
	}
	return files
}

// file writes a script. The first one that there is says at its head what all of them are for.
func (d *Draft) file(engine migrate.Engine, name string, statements []Statement, first bool) File {
	var b strings.Builder
	ddl.Comment(&b, titles[name])
	if first {
		for _, op := range d.Operations {
			ddl.Comment(&b, "  "+op.String())
		}
		for _, note := range d.Notes {
			ddl.Comment(&b, "NOTE: "+note)
		}
	}
	if slices.ContainsFunc(statements, func(s Statement) bool { return s.Outside || s.Batch != nil }) || strings.HasPrefix(name, "backfill.") {
		b.WriteString("-- switchback:no-transaction\n")
	}
	if slices.ContainsFunc(statements, func(s Statement) bool { return s.Unchecked }) {
		b.WriteString("-- switchback:foreign-keys off\n")
	}
	for i, s := range statements {
		b.WriteByte('\n')
		if s.Together && (i == 0 || !statements[i-1].Together) {
			b.WriteString(strings.TrimRight("-- switchback:together "+wordList(locks(statements[i:])), " ") + "\n")
		}
		s.write(&b, engine)
		if s.Together && (i+1 == len(statements) || !statements[i+1].Together) {
			b.WriteString("-- switchback:apart\n")
		}
	}
	return File{Name: name, Text: b.String()}
}

func (s Statement) write(b *strings.Builder, engine migrate.Engine) {
	ddl.Comment(b, s.Why)
	ddl.Comment(b, s.Effect)
	switch {
	case s.Batch != nil:
		fmt.Fprintf(b, "-- switchback:batch table=%s key=%s\n", wordList([]string{s.Batch.Table}), wordList(s.Batch.Key))
	case s.Assert != "":
		fmt.Fprintf(b, "-- switchback:assert %s\n", s.Assert)
	case s.Resumed:
		b.WriteString("-- switchback:resumed\n")
	}
	if (engine == migrate.MySQL || engine == migrate.MariaDB) && strings.Contains(s.SQL, ";") {
		fmt.Fprintf(b, "DELIMITER //\n%s//\nDELIMITER ;\n", s.SQL)
		return
	}
	fmt.Fprintf(b, "%s;\n", s.SQL)
}

// locks are the tables that a group locks that begins with the first of some statements.
func locks(statements []Statement) []string {
	var list []string
	for _, s := range statements {
		if !s.Together {
			break
		}
		list = append(list, s.Locks...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// wordList writes names as a directive takes them: with commas between them, in quotes where one has to be.
func wordList(names []string) string {
	list := slices.Clone(names)
	for i, n := range list {
		if n == "" || strings.ContainsAny(n, "\", \t=") {
			list[i] = `"` + strings.ReplaceAll(n, `"`, `""`) + `"`
		}
	}
	return strings.Join(list, ",")
}
