package main

import "strings"

// unchangedError is an error from before anything was done. It says so, and what to do, where the error itself does not.
type unchangedError struct{ err error }

func (e *unchangedError) Error() string {
	text := e.err.Error()
	if !strings.Contains(text, "\n  state:") {
		says, next, found := strings.Cut(text, "\n  next:")
		text = says + "\n  state: nothing was changed"
		if found {
			text += "\n  next:" + next
		}
	}
	if !strings.Contains(text, "\n  next:") {
		text += "\n  next: mend that, then the same again; switchback release plan tries it without doing anything"
	}
	return text
}

func (e *unchangedError) Unwrap() error { return e.err }
