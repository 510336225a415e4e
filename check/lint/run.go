package lint

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// Options say how lint looks.
type Options struct {
	Engine   migrate.Engine
	Observer Observer         // nil: only what needs no server
	Only     []string         // rules; empty for all
	Levels   map[string]Level // by rule, from the configuration
	// Sizes are those of the target's tables, for what a statement would touch there; may be empty.
	Sizes map[recipe.Table]recipe.Size
}

// Level is what the configuration says of a rule.
type Level struct {
	Severity string // error, warning, note, off; empty for the rule's own
	Reason   string // why it is off
}

// CheckNames returns an error for the first name that is no rule.
func CheckNames(names ...string) error {
	for _, n := range names {
		if _, ok := Find(n); !ok {
			return fmt.Errorf("there is no rule %q\n  next: switchback lint --explain all", n)
		}
	}
	return nil
}

// Run looks at scripts, which are in the order in which they run, each rollback script behind the script that
// it takes back.
func Run(ctx context.Context, scripts []Script, o Options) (check.Part, []check.Silence, error) {
	began := time.Now()
	l := &linter{options: o, rules: applicable(o)}
	var list []*script
	for _, s := range scripts {
		read, err := readScript(s, o.Engine)
		if err != nil {
			return check.Part{}, nil, err
		}
		list = append(list, read)
	}
	for _, s := range list {
		if err := l.read(ctx, s); err != nil {
			return check.Part{}, nil, err
		}
	}
	if o.Observer != nil {
		if err := l.observe(ctx, list); err != nil {
			return check.Part{}, nil, err
		}
	}
	l.looked(list)
	l.part.Name, l.part.Took = "lint", time.Since(began)
	return l.part, l.silenced, nil
}

// RunError is a script that does not run in the scratch database where it was to be observed.
type RunError struct {
	File string
	Line int // of the statement that failed; 0 where none did
	Err  error
}

// Error implements error.
func (e *RunError) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("run %s in a scratch database: %v\n  state: nothing but the scratch database was touched\n  next: correct the script, or look without --scratch when the folder does not make all that it needs", at, e.Err)
}

// Unwrap returns what the server said.
func (e *RunError) Unwrap() error { return e.Err }

// applicable are the rules for an engine that are asked for.
func applicable(o Options) []Rule {
	var list []Rule
	for _, r := range Rules() {
		if r.example(o.Engine) != nil && (len(o.Only) == 0 || slices.Contains(o.Only, r.Name)) {
			list = append(list, r)
		}
	}
	return list
}

type linter struct {
	options  Options
	rules    []Rule
	part     check.Part
	silenced []check.Silence
	observed int
}

// read looks at a script without a server.
func (l *linter) read(ctx context.Context, s *script) error {
	for _, r := range l.rules {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.script != nil {
			for _, h := range r.script(s) {
				l.add(r, s, nil, h)
			}
		}
		if r.statement == nil {
			continue
		}
		for _, st := range s.statements {
			for _, h := range r.statement(st) {
				l.add(r, s, st, h)
			}
		}
	}
	return nil
}

// observe runs the scripts in a scratch database: forward, and then what takes them back in the other order.
func (l *linter) observe(ctx context.Context, list []*script) error {
	var order []*script
	for _, s := range list {
		if !s.Back && s.Phase != migrate.Purge {
			order = append(order, s)
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Back {
			order = append(order, list[i])
		}
	}
	for _, s := range order {
		if err := l.observeScript(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (l *linter) observeScript(ctx context.Context, s *script) error {
	var run []*statement
	var texts []string
	for _, st := range s.statements {
		if !s.batched(st) && !s.asserts(st) {
			run, texts = append(run, st), append(texts, st.text)
		}
	}
	seen, err := l.options.Observer.Observe(ctx, texts, s.inTransaction())
	if err != nil {
		failed := &RunError{File: s.File, Err: err}
		if len(seen) < len(run) {
			failed.Line = run[len(seen)].line
		}
		return failed
	}
	for i, o := range seen {
		l.observed++
		for _, r := range l.rules {
			if r.observed == nil {
				continue
			}
			for _, h := range r.observed(run[i], o) {
				l.add(r, s, run[i], h)
			}
		}
	}
	return nil
}

// add notes a finding, or that it is silenced.
func (l *linter) add(r Rule, s *script, st *statement, h hit) {
	f := check.Finding{
		Rule: r.Name, Severity: r.Severity, Message: h.message, Object: h.object, Why: r.Why, Rewrite: h.rewrite, Touches: l.touches(r, st, h),
		Place: check.Place{Change: s.Change, Phase: s.Phase, Back: s.Back, File: s.File, Line: h.line},
	}
	if f.Rewrite == "" {
		if e := r.example(l.options.Engine); e != nil {
			f.Rewrite = "such as:\n" + e.Good
		}
	}
	if st != nil {
		f.Place.Text = st.text
		if f.Place.Line = st.line; s.offset != nil {
			f.Place.Line = s.offset(st.text, st.line)
		}
	}
	if reason, ok := l.silence(r, s, st, &f); ok {
		l.silenced = append(l.silenced, check.Silence{Finding: f, Reason: reason})
		return
	}
	l.part.Findings = append(l.part.Findings, f)
}

// silence tells whether a finding is switched off, by the configuration or above the statement, and why.
func (l *linter) silence(r Rule, s *script, st *statement, f *check.Finding) (string, bool) {
	for _, a := range s.directives.Allows {
		if a.Rule == r.Name && (st == nil || st.under(a.Line)) {
			return a.Reason, true
		}
	}
	level := l.options.Levels[r.Name]
	switch level.Severity {
	case "":
	case "off":
		return level.Reason, true
	default:
		f.Severity = check.Severity(level.Severity)
	}
	return "", false
}

// looked says what the part has looked at.
func (l *linter) looked(list []*script) {
	statements := 0
	for _, s := range list {
		statements += len(s.statements)
	}
	text := noun.Counted(statements, "statement") + " in " + noun.Counted(len(list), "script")
	if l.options.Observer != nil {
		text += fmt.Sprintf(", %d of them run in a scratch database", l.observed)
	} else if slices.ContainsFunc(l.rules, Rule.Observed) {
		text += "; " + strings.Join(observedNames(l.rules), ", ") + " need a scratch database"
	}
	l.part.Looked = text
}

func observedNames(rules []Rule) []string {
	var names []string
	for _, r := range rules {
		if r.Observed() {
			names = append(names, r.Name)
		}
	}
	return names
}
