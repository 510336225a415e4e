package strategies

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Hook is a program of the user's that is run beside a step, and its twin that undoes what it did. It is plain data of
// the plan; what runs it is Machine.Hook. A step that was cut off is done again, and its hooks with it.
type Hook struct {
	Step    Kind          `json:"step"`
	Before  bool          `json:"before,omitempty"` // it runs before the step rather than after it
	Command []string      `json:"command,omitempty"`
	Back    []string      `json:"back,omitempty"` // where the step is undone: after that, of one that runs before it, else before that
	Within  time.Duration `json:"within"`         // how long either may take
}

func (h Hook) String() string {
	when := "after"
	if h.Before {
		when = "before"
	}
	return when + " " + string(h.Step)
}

// Kinds returns the kinds of step, in the order in which a release takes them.
func Kinds() []Kind {
	return []Kind{Preflight, Snapshot, Expand, Backfill, Start, Healthy, Register, Clear, Shift, Roll, Bake, Promote, Drain, Stop, Contract, Retire}
}

// CheckHooks tells whether hooks can be run at all.
func CheckHooks(hooks []Hook) error {
	for _, h := range hooks {
		switch {
		case !slices.Contains(Kinds(), h.Step):
			return fmt.Errorf("a hook is for the step %q; there are %s", h.Step, join(Kinds()))
		case len(h.Command) == 0 && len(h.Back) == 0:
			return fmt.Errorf("the hook %s runs nothing", h)
		case h.Within <= 0:
			return fmt.Errorf("the hook %s may take %s: want a time", h, h.Within)
		}
	}
	return nil
}

func join(kinds []Kind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// leavesTraces tells whether undoing a step does anything: the step's own undoing, or that of a hook.
func (p *Plan) leavesTraces(k Kind) bool {
	return k.leavesTraces() || slices.ContainsFunc(p.Hooks, func(h Hook) bool { return h.Step == k && len(h.Back) > 0 })
}

// hooked does or undoes a step with its hooks around it. note is what the step made, also when a hook fails after it.
func (m *Machine) hooked(ctx context.Context, s *migrate.Session, r *Release, i int) (note, said string, err error) {
	var words []string
	run := func(before bool) error {
		for n := range r.Plan.Hooks {
			if r.Back { // the way back begins at the end
				n = len(r.Plan.Hooks) - 1 - n
			}
			if h := r.Plan.Hooks[n]; h.Step != r.Plan.Steps[i].Kind || h.Before != before {
				continue
			}
			word, err := m.hook(ctx, s, r, i, n)
			if err != nil {
				return err
			}
			if word != "" {
				words = append(words, word)
			}
		}
		return nil
	}
	do := m.forward
	if r.Back {
		do = m.back
	}
	if err = run(!r.Back); err == nil {
		note, err = do(ctx, s, r, i)
	}
	if err == nil {
		err = run(r.Back)
	}
	return note, strings.Join(words, "; "), err
}

// hook runs the plan's nth hook, or on the way back its twin, while it listens to what is asked for from another
// terminal.
func (m *Machine) hook(ctx context.Context, s *migrate.Session, r *Release, i, n int) (note string, err error) {
	h := r.Plan.Hooks[n]
	command := h.Command
	if r.Back {
		command = h.Back
	}
	if len(command) == 0 {
		return "", nil
	}
	if m.Hook == nil {
		return "", errors.New("this release was planned with hooks, and nothing here runs them")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		says string
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		says, err := m.Hook(ctx, command, surroundings(s, r, i, n))
		ended <- outcome{says, err}
	}()
	var got outcome
	done, err := m.wait(ctx, s, r, h.Within, func() (bool, error) {
		select {
		case got = <-ended:
			return true, nil
		default:
			return false, nil
		}
	})
	if !done {
		cancel()
		got = <-ended
	}
	name := filepath.Base(command[0])
	switch {
	case err != nil:
		return "", err
	case !done:
		return "", fmt.Errorf("hook %s: it was ended after %s: %s", name, h.Within, got.says)
	case got.err != nil:
		return "", got.err
	case got.says == "":
		return name, nil
	}
	return name + ": " + got.says, nil
}

// surroundings are the variables that a hook finds in its environment.
func surroundings(s *migrate.Session, r *Release, i, n int) map[string]string {
	env := map[string]string{
		"SWITCHBACK_RELEASE": r.Plan.Release, "SWITCHBACK_APPLICATION": r.Plan.Application, "SWITCHBACK_VERSION": r.Plan.Candidate.Name,
		"SWITCHBACK_STRATEGY": r.Plan.Strategy, "SWITCHBACK_STEP": string(r.Plan.Steps[i].Kind), "SWITCHBACK_DIRECTION": "forward",
		"SWITCHBACK_OPERATION": operation(s, r, i, fmt.Sprint("hook ", n)).ID,
		"SWITCHBACK_STABLE":    "",
	}
	if r.Back {
		env["SWITCHBACK_DIRECTION"] = "back"
	}
	if r.Plan.Blue != nil {
		env["SWITCHBACK_STABLE"] = r.Plan.Blue.Version
	}
	if r.Plan.Steps[i].Kind == Shift {
		env["SWITCHBACK_SHARE"] = strconv.Itoa(r.Plan.Steps[i].Weight)
	}
	return env
}
