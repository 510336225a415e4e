// Package exec carries the calls of drivers/custom to a program: its arguments are the port and the verb, its standard
// input is the request, its standard output the answer.
package exec

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/switchbackdb/switchback/drivers/custom"
	"github.com/switchbackdb/switchback/internal/program"
)

// again is the exit code after which the same call is made again: EX_TEMPFAIL of sysexits.h.
const again = 75

// grace is how long a program whose time is over may take to end.
const grace = 5 * time.Second

// Transport implements custom.Transport with a program.
type Transport struct {
	Command []string // the program, and arguments before ours
	Dir     string   // where it runs
}

var _ custom.Transport = Transport{}

func (t Transport) String() string { return filepath.Base(t.Command[0]) }

// Call implements custom.Transport. A program that was killed may have done what it was asked or not, as may one that
// ends with 75; any other exit code but 0 is a refusal. One that cannot be run at all is an error.
func (t Transport) Call(ctx context.Context, port, verb string, request []byte) (custom.Reply, error) {
	out, problems := &program.Head{Most: custom.MaxAnswer}, custom.Kept()
	err := program.Program{
		Command: append(t.Command[:len(t.Command):len(t.Command)], port, verb), Dir: t.Dir,
		Input: request, Output: out, Errors: problems, Grace: grace,
	}.Run(ctx)
	answer, whole := out.Bytes()
	reply := custom.Reply{Answer: answer}
	if err != nil {
		reply.Says = program.Said(err, problems.String()).Error()
	}
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return reply, err
	case !whole:
		return custom.Reply{Outcome: custom.Failed, Says: fmt.Sprintf("its answer has more than %d bytes", custom.MaxAnswer)}, nil
	case err == nil:
		return reply, nil
	case program.Killed(err), program.ExitCode(err) == again:
		reply.Outcome = custom.Unknown
	case errors.As(err, &ended):
		reply.Outcome = custom.Failed
	case errors.Is(err, exec.ErrWaitDelay):
		reply.Outcome, reply.Says = custom.Failed, "it has ended, but what it has started holds on to its standard output"
	default:
		return reply, err
	}
	return reply, nil
}
