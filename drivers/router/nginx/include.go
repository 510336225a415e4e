package nginx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/internal/filelock"
	"github.com/switchbackdb/switchback/internal/program"
	"github.com/switchbackdb/switchback/strategies"
)

// ErrNotRunning is wrapped by the errors about an NGINX that does not serve what it was given.
var ErrNotRunning = errors.New("NGINX is not running, or no longer includes what switchback wrote")

// include is a path that nginx.conf includes, with its generations: what a Router and Upstreams have in common.
type include struct {
	options Options
	kind    string // what the generations hold; empty for those of a Router
	files   files
	beacon  *beacon
	// first says what becomes of a first generation that passed NGINX's test but is not served: it stays, for an
	// NGINX that is started later, or it is taken away.
	first bool
}

func newInclude(o Options, kind string) include {
	return include{options: o, kind: kind, files: files{link: o.Include, dir: o.Include + ".d"}, beacon: newBeacon(o.Beacon)}
}

func (i *include) failed(what string, err error) error {
	return fmt.Errorf("%s NGINX with %s: %w", what, i.files.link, err)
}

// load is the command that has NGINX load its configuration, for people.
func (i *include) load() string { return strings.Join(i.options.Reload, " ") }

// lock keeps other processes out until it is closed.
func (i *include) lock(ctx context.Context) (*os.File, error) {
	if err := os.MkdirAll(i.files.dir, 0o755); err != nil {
		return nil, err
	}
	return filelock.Take(ctx, filepath.Join(i.files.dir, "lock"))
}

// state is what the last run left, of this kind.
func (i *include) state() (state, error) {
	s, err := i.files.state()
	if err != nil {
		return s, err
	}
	if s == (state{}) {
		s.Kind = i.kind
	}
	if s.Kind != i.kind {
		return s, fmt.Errorf("%s holds what the other of switchback release and switchback agent wrote: %w; give each an include of its own", i.files.dir, strategies.ErrForeignChange)
	}
	return s, nil
}

// look is the generation in force, in a state; an empty one before the first.
func (i *include) look(ctx context.Context, s state) (none generation, err error) {
	if err := i.files.untouched(s, i.load()); err != nil {
		return none, err
	}
	got, err := i.beacon.ask(ctx)
	if errors.Is(err, errSilent) {
		if s.Current == 0 {
			return none, nil
		}
		return none, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if err != nil {
		return none, err
	}
	if got.generation >= s.Current { // a later one is of a run that was cut off
		g, err := i.files.generation(got.generation)
		if err == nil && g.Mark == got.mark {
			return g, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return none, err
		}
	}
	return none, fmt.Errorf("NGINX serves a generation %d that is not the one of %s, which is %d: %w; load that with: %s",
		got.generation, i.files.dir, s.Current, strategies.ErrForeignChange, i.load())
}

// number is the one of the next generation. None is used twice.
func (i *include) number(s state) (int64, error) {
	used, err := i.files.numbers()
	if err != nil {
		return 0, err
	}
	next := max(s.Current, s.Next) + 1
	if n := len(used); n > 0 {
		next = max(next, used[n-1]+1)
	}
	return next, nil
}

// put puts the generation with the number s.Next in force. What was served until now is what it goes back to on a
// failure, also when the run that put it there was cut off.
func (i *include) put(ctx context.Context, s state, served int64, g generation, text string) error {
	if served > s.Current {
		s.Current = served
	}
	if s.Current != 0 {
		if err := i.files.point(s.Current); err != nil {
			return err
		}
	}
	if err := i.files.write(s.Next, g, text); err != nil {
		return err
	}
	failpoint.Hit("nginx: generation written")
	if err := i.files.setState(s); err != nil {
		return err
	}
	failpoint.Hit("nginx: generation announced")
	if err := i.enforce(ctx, s, g); err != nil {
		return err
	}
	s.Current, s.Next = s.Next, 0
	if err := i.files.setState(s); err != nil {
		return err
	}
	failpoint.Hit("nginx: generation kept")
	return i.files.prune(s)
}

// noProcess is what NGINX says of a signal when there is no process that it is for.
var noProcess = regexp.MustCompile(`invalid PID number|open\(\) "[^"]*" failed \(2:|kill\([0-9, ]*\) failed \(3:`)

// enforce flips the link to the next generation and has NGINX load it, or flips it back.
func (i *include) enforce(ctx context.Context, s state, g generation) error {
	if err := i.files.point(s.Next); err != nil {
		return i.back(ctx, s, false, err)
	}
	failpoint.Hit("nginx: link flipped")
	if err := i.run(ctx, i.options.Test); err != nil {
		return i.back(ctx, s, false, fmt.Errorf("generation %d was not loaded: %w", s.Next, err))
	}
	failpoint.Hit("nginx: tested")
	if err := i.run(ctx, i.options.Reload); err != nil {
		if noProcess.MatchString(err.Error()) {
			err = fmt.Errorf("NGINX does not run, or its pid file is another: %w", err)
			if s.Current == 0 && !i.first {
				err = fmt.Errorf("start it first, with its configuration as it is without include %s; %w", i.files.link, err)
			}
		}
		return i.back(ctx, s, true, fmt.Errorf("generation %d: %w", s.Next, err))
	}
	failpoint.Hit("nginx: reloaded")
	err := i.beacon.prove(ctx, answer{s.Next, g.Mark}, i.options.Timeout)
	if errors.Is(err, errSilent) {
		err = fmt.Errorf("%w; is there an include %s; in its http block?", err, i.files.link)
	}
	if err != nil {
		return i.back(ctx, s, true, fmt.Errorf("generation %d: %w", s.Next, err))
	}
	failpoint.Hit("nginx: proven")
	return nil
}

// back puts the proven generation in force again, also when the run was told to end meanwhile, and returns the
// cause, with what state NGINX is in. Where NGINX may have loaded the next generation, it is to load this one.
func (i *include) back(ctx context.Context, s state, reload bool, cause error) error {
	ctx = context.WithoutCancel(ctx)
	stuck := func(err error) error {
		return fmt.Errorf("%w; and the way back failed: %w; mend it, then: %s && %s", cause, err, strings.Join(i.options.Test, " "), i.load())
	}
	if s.Current == 0 && reload && i.first {
		if err := i.files.prune(s); err != nil {
			return stuck(err)
		}
		return fmt.Errorf("%w; NGINX finds %s when it is started or reloaded", cause, i.files.link)
	}
	if err := i.files.point(s.Current); err != nil {
		return stuck(err)
	}
	failpoint.Hit("nginx: link flipped back")
	if s.Current == 0 && reload {
		// There is nothing to go back to, and NGINX may yet load what it was told to: the state keeps both.
		return fmt.Errorf("%w; %s was taken away again", cause, i.files.link)
	}
	if reload {
		g, err := i.files.generation(s.Current)
		if err != nil {
			return stuck(err)
		}
		if err := i.run(ctx, i.options.Reload); err != nil {
			return stuck(err)
		}
		failpoint.Hit("nginx: reloaded back")
		if err := i.beacon.prove(ctx, answer{s.Current, g.Mark}, i.options.Timeout); err != nil {
			return stuck(err)
		}
	}
	kept := fmt.Sprintf("NGINX serves generation %d as before", s.Current)
	if s.Current == 0 {
		kept = "NGINX runs as before"
	}
	s.Next = 0
	if err := i.files.setState(s); err != nil {
		return stuck(err)
	}
	if err := i.files.prune(s); err != nil {
		return stuck(err)
	}
	return fmt.Errorf("%w; %s", cause, kept)
}

// run runs one of the commands that NGINX is driven by. What it said is part of the error, in one line.
func (i *include) run(ctx context.Context, argv []string) error {
	ctx, cancel := context.WithTimeout(ctx, i.options.Timeout)
	defer cancel()
	out := &bytes.Buffer{}
	err := program.Program{Command: argv, Output: out, Errors: out, Grace: time.Second}.Run(ctx)
	if err == nil {
		return nil
	}
	said := strings.Join(strings.FieldsFunc(out.String(), func(c rune) bool { return c == '\n' || c == '\r' }), "; ")
	const most = 2000
	if len(said) > most {
		said = said[:most] + "…"
	}
	return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, said)
}
