package analysis

import (
	"context"
	"errors"
	"os/exec"
	"time"

	"github.com/switchbackdb/switchback/internal/program"
	"github.com/switchbackdb/switchback/strategies"
)

// judgement runs a program: exit code 0 is good, 75 (EX_TEMPFAIL of sysexits.h) is no data, any other is bad. What
// it says last is the reason.
type judgement struct {
	command []string
	dir     string
}

const tempFail = 75

func newProgram(command []string, dir string) (strategies.Judge, error) {
	if len(command) == 0 {
		return nil, errors.New("it has no command")
	}
	return &judgement{command, dir}, nil
}

// Judge implements strategies.Judge.
func (j *judgement) Judge(ctx context.Context, w strategies.Window) (v strategies.Verdict, err error) {
	args := make([]string, len(j.command))
	for i, a := range j.command {
		args[i] = filled(a, w)
	}
	last := &program.LastLine{}
	err = program.Program{Command: args, Dir: j.dir, Output: last, Errors: last, Grace: time.Second}.Run(ctx)
	says := last.String()
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
