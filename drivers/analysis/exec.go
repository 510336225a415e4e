package analysis

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// program runs a program: exit code 0 is good, 75 (EX_TEMPFAIL of sysexits.h) is no data, any other is bad. What
// it says last is the reason.
type program struct {
	command []string
	dir     string
}

const tempFail = 75

func newProgram(command []string, dir string) (strategies.Judge, error) {
	if len(command) == 0 {
		return nil, errors.New("it has no command")
	}
	return &program{command, dir}, nil
}

// Judge implements strategies.Judge.
func (j *program) Judge(ctx context.Context, w strategies.Window) (v strategies.Verdict, err error) {
	args := make([]string, len(j.command))
	for i, a := range j.command {
		args[i] = filled(a, w)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.WaitDelay = j.dir, time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	says := lastLine(out.String())
	var ended *exec.ExitError
	switch {
	case err == nil:
		return strategies.Verdict{Outcome: strategies.Good, Says: or(says, "exit code 0")}, nil
	case ctx.Err() != nil, !errors.As(err, &ended):
		return v, err
	case ended.ExitCode() == tempFail:
		return strategies.Verdict{Outcome: strategies.NoData, Says: or(says, err.Error())}, nil
	}
	return strategies.Verdict{Outcome: strategies.Bad, Says: or(says, err.Error())}, nil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// lastLine is the last line that says something, cut where it is too long for a journal.
func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if most := 200; len(last) > most {
		last = strings.ToValidUTF8(last[:most], "") + "…"
	}
	return last
}
