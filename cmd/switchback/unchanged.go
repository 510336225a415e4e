package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// unchangedError is an error from before anything was done. It says so, and what to do, where the error itself does not.
type unchangedError struct {
	err  error
	next string // what to do where the error does not say; "" adds nothing
}

func (e *unchangedError) Error() string {
	text := e.err.Error()
	if !strings.Contains(text, "\n  state:") {
		says, next, found := strings.Cut(text, "\n  next:")
		text = says + "\n  state: nothing was changed"
		if found {
			text += "\n  next:" + next
		}
	}
	if e.next != "" && !strings.Contains(text, "\n  next:") {
		text += "\n  next: " + e.next
	}
	return text
}

func (e *unchangedError) Unwrap() error { return e.err }

// beforeRelease is an error from before a release began.
func beforeRelease(err error) error {
	if err == nil {
		return nil
	}
	return &unchangedError{err, "mend that, then the same again; switchback release plan tries it without doing anything"}
}

// reads marks commands that change nothing, whatever becomes of them: their errors say so.
func reads(commands ...*cli.Command) {
	for _, c := range commands {
		reads(c.Subcommands...)
		run := c.Action
		if run == nil {
			continue
		}
		c.Action = func(ctx *cli.Context) error {
			err := run(ctx)
			if err == nil || isSaid(err) {
				return err
			}
			return &unchangedError{err: err}
		}
	}
}
