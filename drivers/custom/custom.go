// Package custom is a service and a router of the user's own: switchback says in JSON what is to be done, and whatever
// the user has written does it and answers. docs/custom.md is the contract, for those who write the other side.
//
//	strategies.Service ─▶ Service ─┐                   ┌─▶ exec.Transport ─▶ a program
//	                               ├─ request, answer ─┤
//	strategies.Router  ─▶ Router ──┘                   └─▶ webhook.Transport ─▶ an HTTP server
//
// The other side is not trusted to be right: what it answers is bounded, checked against what was asked, and nothing of
// it is taken for done that it has not said. A call whose outcome is unknown is made again, with the same operation.
package custom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/program"
	"github.com/switchbackdb/switchback/internal/secret"
	"github.com/switchbackdb/switchback/strategies"
)

// Protocol is the version of the contract. It grows when the other side has to change.
const Protocol = 1

// MaxAnswer is how many bytes an answer may have.
const MaxAnswer = 1 << 20

// Outcome is what is known of a call.
type Outcome int

// The outcomes.
const (
	Done    Outcome = iota // it was carried out; the answer says with what result
	Failed                 // it was refused, for good
	Unknown                // it may have been carried out or not: the same call is made again
)

// Reply is what a transport brings back.
type Reply struct {
	Outcome Outcome
	Answer  []byte // JSON; after Failed and Unknown it may be anything
	Says    string // for people: the exit code, the status, what was written beside the answer
}

// Transport carries a call to the other side.
type Transport interface {
	// Call carries a request, as JSON, and returns what came of it, or the error that kept it from being made at all.
	// It gives up when ctx ends. port and verb are in the request too.
	Call(ctx context.Context, port, verb string, request []byte) (Reply, error)
	// String names the other side, for messages.
	String() string
}

// Options are what both ports of the other side have in common.
type Options struct {
	Transport   Transport
	Application string
	Settings    map[string]string // handed on as they are
	Timeout     time.Duration     // how long a call may take; DefaultTimeout when 0
}

// DefaultTimeout is how long a call may take.
const DefaultTimeout = 30 * time.Second

// The pauses before a call whose outcome is unknown is made again: the first, and the longest. Each is twice the one
// before, less a part that chance takes so that not all come back at once.
const (
	attempts     = 5
	firstPause   = 250 * time.Millisecond
	longestPause = 4 * time.Second
)

// caller makes the calls of one port.
type caller struct {
	Options
	port string
}

// call makes a call and returns its answer. more is how much longer than others it may take.
func (c caller) call(ctx context.Context, verb string, r request, more time.Duration) (answer, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	timeout += more
	r.Protocol, r.Port, r.Verb, r.Application, r.Settings = Protocol, c.port, verb, c.Application, c.Settings
	r.Seconds = timeout.Seconds()
	hidden := c.secrets(r)
	pause := firstPause
	for r.Attempt = 1; ; r.Attempt++ {
		a, again, err := c.once(ctx, timeout, r)
		if err == nil || ctx.Err() != nil || !again || r.Attempt == attempts {
			if again && r.Attempt > 1 {
				err = fmt.Errorf("tried %d times: %w", r.Attempt, err)
			}
			return a, hidden.In(err)
		}
		wait := time.NewTimer(pause - rand.N(pause/4)) //nolint:gosec // it is no secret
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return a, hidden.In(errors.Join(context.Cause(ctx), err))
		}
		pause = min(2*pause, longestPause)
	}
}

// secrets are what must not be in a message: the values of the application's environment, and of the settings.
func (c caller) secrets(r request) secret.Values {
	all := map[string]string{}
	for name, value := range c.Settings {
		all["settings."+name] = value
	}
	if r.Version != nil {
		for name, value := range r.Version.Env {
			all[name] = value
		}
	}
	return secret.Hide(all)
}

// once makes one attempt, and tells of one that failed whether the same may be tried again.
func (c caller) once(ctx context.Context, timeout time.Duration, r request) (a answer, again bool, err error) {
	failed := func(err error) error { return fmt.Errorf("%s %s by %s: %w", r.Port, r.Verb, c.Transport, err) }
	text, err := json.Marshal(r)
	if err != nil {
		return a, false, failed(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer after %s", timeout))
	defer cancel()
	reply, err := c.Transport.Call(ctx, r.Port, r.Verb, text)
	if err != nil {
		return a, ctx.Err() != nil, failed(err) // its time was over
	}
	switch reply.Outcome {
	case Done:
		if a, err = decode(reply.Answer); err != nil {
			return a, false, failed(err)
		}
		return a, false, nil
	case Failed:
		return a, false, failed(refusal(reply))
	default:
		return a, true, failed(refusal(reply))
	}
}

// decode reads the answer of a call that was carried out.
func decode(text []byte) (a answer, err error) {
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("its answer is not the JSON of the contract (docs/custom.md): %w: %q", err, start(string(text)))
	}
	if a.Error != nil {
		return a, fmt.Errorf("it answers with success and with the error %q (docs/custom.md)", start(a.Error.Message))
	}
	return a, nil
}

// refusal is the error that a reply tells of, in the words that the state machine knows.
func refusal(r Reply) error {
	var a answer
	said := errors.New(start(r.Says))
	if json.Unmarshal(r.Answer, &a) != nil || a.Error == nil {
		return said
	}
	if a.Error.Message != "" {
		said = errors.New(start(a.Error.Message))
	}
	if kind, ok := kinds[a.Error.Code]; ok {
		return fmt.Errorf("%w: %w", said, kind)
	}
	return said
}

// kinds are the codes of errors that mean something to a release.
var kinds = map[string]error{
	"stale-fence": strategies.ErrStaleFence,
	"conflict":    strategies.ErrForeignChange,
	"not-found":   strategies.ErrNotFound,
	"invalid":     strategies.ErrInvalidRouting,
}

// longest is how much of a text of the other side is shown, in bytes.
const longest = 1000

// start is the beginning of a text, without what would act on a terminal.
func start(text string) string {
	clean := strings.Map(func(c rune) rune {
		if c != '\n' && c != '\t' && (c < ' ' || c == 0x7f) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(strings.TrimSpace(text), ""))
	if len(clean) > longest {
		clean = strings.ToValidUTF8(clean[:longest], "") + "…"
	}
	return clean
}

// Kept returns what a transport keeps of a text beside the answer: the end of it.
func Kept() *program.Tail { return &program.Tail{Most: longest} }
