package lint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

// repair is how a statement is rewritten so that a rule fires no more and it comes to the same.
type repair struct {
	text          string // the statement anew
	before        string // a statement that goes before it
	noTransaction bool   // the script has to run statement by statement
	later         string // a statement that goes into the backfill phase of the same change
}

// Fixed is a file with what mechanical rewrites make of it.
type Fixed struct {
	File   string   `json:"file"`   // with slashes
	Before string   `json:"before"` // empty where there was no such file
	After  string   `json:"after"`  // differs from Before
	Rules  []string `json:"rules"`  // whose findings are gone
}

// maxPasses is how often a file is looked at again: a rewrite may be what another rule has a rewrite for.
const maxPasses = 5

// Fix rewrites what the rules find and can rewrite without asking. Nothing is written to disk. What is silenced, or
// would need more than the statement itself, stays; fixing again changes nothing.
func Fix(ctx context.Context, scripts []Script, o Options) ([]Fixed, error) {
	f := &fixer{options: o, files: map[string]*Fixed{}}
	for _, s := range scripts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := f.fix(s); err != nil {
			return nil, err
		}
	}
	var list []Fixed
	for _, name := range f.order {
		if file := f.files[name]; file.After != file.Before {
			slices.Sort(file.Rules)
			file.Rules = slices.Compact(file.Rules)
			list = append(list, *file)
		}
	}
	return list, nil
}

// fixer rewrites files.
type fixer struct {
	options Options
	files   map[string]*Fixed
	order   []string
}

// file is a file as it is by now.
func (f *fixer) file(name string) (*Fixed, error) {
	if file := f.files[name]; file != nil {
		return file, nil
	}
	text, err := os.ReadFile(name) //nolint:gosec // it was read as a script just now, or stands beside one
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	f.files[name] = &Fixed{File: name, Before: string(text), After: string(text)}
	f.order = append(f.order, name)
	return f.files[name], nil
}

// fix rewrites a script until nothing can be rewritten any more.
func (f *fixer) fix(s Script) error {
	file, err := f.file(s.File)
	if err != nil {
		return err
	}
	if !s.Foreign {
		s.SQL = file.After
	}
	for range maxPasses {
		read, err := readScript(s, f.options.Engine)
		if err != nil {
			return err
		}
		st, rule, r := f.next(read)
		if st == nil {
			return nil
		}
		again, ok := r.apply(s.SQL, st, false)
		inFile, fits := r.apply(file.After, st, s.Back)
		if !ok || !fits {
			return nil // the tool that it is for has altered what it read
		}
		s.SQL, file.After, file.Rules = again, inFile, append(file.Rules, rule)
		if r.later != "" {
			if err := f.append(s, rule, r.later); err != nil {
				return err
			}
		}
	}
	return nil
}

// next is the first statement that has a repair, with the rule that it is for.
func (f *fixer) next(s *script) (*statement, string, repair) {
	l := &linter{options: f.options}
	for _, st := range s.statements {
		for _, r := range applicable(f.options) {
			if r.fix == nil || !r.fires(s, st) {
				continue
			}
			if _, silenced := l.silence(r, s, st, &check.Finding{}); silenced {
				continue
			}
			if fix, ok := r.fix(st); ok {
				return st, r.Name, fix
			}
		}
	}
	return nil, "", repair{}
}

// fires tells whether the rule has something to say of a statement.
func (r Rule) fires(s *script, st *statement) bool {
	if r.statement != nil {
		return len(r.statement(st)) > 0
	}
	return r.script != nil && slices.ContainsFunc(r.script(s), func(h hit) bool { return h.line == st.line })
}

// apply rewrites a statement where it stands in a text; last says that of several that read the same it is the last.
func (r repair) apply(text string, st *statement, last bool) (string, bool) {
	at := strings.Index(text, st.text)
	if last {
		at = strings.LastIndex(text, st.text)
	}
	if at < 0 {
		return "", false
	}
	before, after := text[:at], text[at+len(st.text):]
	if r.before != "" {
		line := strings.LastIndexByte(before, '\n') + 1
		if strings.TrimSpace(before[line:]) != "" {
			return "", false // another statement stands on its line
		}
		before = before[:line] + r.before + ";\n" + before[line:]
	}
	if r.noTransaction && !st.script.directives.NoTransaction {
		before = "-- switchback:no-transaction\n" + before
	}
	return before + r.text + after, true
}

// append adds a statement to the script of the change's backfill phase.
func (f *fixer) append(s Script, rule, statement string) error {
	dir, base := path.Split(s.File)
	file, err := f.file(dir + strings.Replace(base, string(s.Phase), string(migrate.Backfill), 1))
	if err != nil {
		return err
	}
	if file.After != "" && !strings.HasSuffix(file.After, "\n") {
		file.After += "\n"
	}
	file.After += statement + ";\n"
	file.Rules = append(file.Rules, rule)
	return nil
}

// Fixable tells whether lint can rewrite what the rule finds.
func (r Rule) Fixable() bool { return r.fix != nil }

// behind writes a text behind the nth token of the statement.
func (s *statement) behind(n int, text string) string {
	end := s.tokens[n].End
	return s.text[:end] + text + s.text[end:]
}

// instead writes a text in place of a token.
func (s *statement) instead(t sqltoken.Token, text string) string {
	return s.text[:t.Start] + text + s.text[t.End:]
}

// concurrently builds or drops an index without keeping anybody out. The script goes without a transaction then, so it
// has to be one of nothing but indexes: what else is in it may have to be done as a whole.
func concurrently(s *statement) (repair, bool) {
	if s.script.Foreign || s.has("CASCADE") || s.verb == "DROP INDEX" && len(words(s.tokens).split()) > 1 {
		return repair{}, false
	}
	for _, other := range s.script.statements {
		if other.verb != "CREATE INDEX" && other.verb != "DROP INDEX" {
			return repair{}, false
		}
	}
	text := s.text
	if !s.has("CONCURRENTLY") {
		text = s.behind(words(s.tokens).find("INDEX"), " CONCURRENTLY")
	}
	return repair{text: text, noTransaction: true}, true
}

// notValid adds a constraint for new rows only, and has the backfill phase look at the others.
func notValid(s *statement) (repair, bool) {
	if s.script.Foreign || s.script.Back || s.script.Phase != migrate.Expand || len(s.actions) != 1 {
		return repair{}, false
	}
	a := s.actions[0]
	if !a.begin("ADD", "CONSTRAINT") || len(a) < 4 || a[2].Is("IF") {
		return repair{}, false
	}
	table := words(s.tokens)[2:].skip("IF", "EXISTS", "ONLY")
	name := s.text[table[0].Start:a[0].Start]
	return repair{
		text:  s.behind(len(s.tokens)-1, " NOT VALID"),
		later: "ALTER TABLE " + strings.TrimSpace(name) + " VALIDATE CONSTRAINT " + a[2].Raw,
	}, true
}

// lockTimeout sets one before the first statement that waits for a lock.
func lockTimeout(s *statement) (repair, bool) {
	set := "SET lock_timeout = '2s'"
	if isSecond(s.script.engine) {
		set = "SET lock_wait_timeout = 2"
	}
	return repair{text: s.text, before: set}, true
}

// innoDB has the table kept by the engine with transactions, where that of the statement does the same otherwise.
func innoDB(s *statement) (repair, bool) {
	w := words(s.tokens)
	w = w[w.find("ENGINE")+1:].skip("=")
	if !anyOf(w[:1], "MyISAM", "Aria") {
		return repair{}, false
	}
	return repair{text: s.instead(w[0], "InnoDB")}, true
}
