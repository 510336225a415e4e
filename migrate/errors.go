package migrate

import (
	"errors"
	"fmt"
	"strings"
)

// Errors that callers tell apart.
var (
	// ErrLockLost means that another run has taken the lock over, or that this one was stopped for
	// longer than the lock lives. Nothing more may be written.
	ErrLockLost = errors.New("the lock was lost to another run, or expired: nothing more was written")
	// ErrJournalNewer means that a newer switchback has written the journal.
	ErrJournalNewer = errors.New("the journal was written by a newer version of switchback")
	// ErrBusy means that another process keeps an SQLite file locked, so that nothing in it can be read,
	// not even who holds our lock.
	ErrBusy = errors.New("another process keeps the database file locked, and who it is cannot be read meanwhile")
	// ErrNothing means that there is nothing to do.
	ErrNothing = errors.New("nothing to do")
)

// LockedError says who holds the lock.
type LockedError struct {
	Holder  string // user@host and process
	Command string // what it runs
	Since   string // since when, by the server's clock
	Expires string // when the lock may be taken over if the holder does not renew it
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("locked by %s, running %q since %s", e.Holder, e.Command, e.Since)
}

// FolderError is something wrong with the change folder. Nothing was run.
type FolderError struct {
	Path   string // the file or folder
	Line   int    // 0 when it is about the whole file
	Reason string
	Next   string // what to do about it
}

func (e *FolderError) Error() string {
	var b strings.Builder
	b.WriteString(e.Path)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": " + e.Reason)
	if e.Next != "" {
		b.WriteString("\n  next: " + e.Next)
	}
	return b.String()
}

// StepError is a step that failed.
type StepError struct {
	Step      Step
	Line      int    // line of the statement in its script, 0 when it was not a statement
	Statement string // the statement's first line
	State     string // what state the database is in now
	Next      string // what to run next
	Err       error
}

func (e *StepError) Error() string {
	var b strings.Builder
	b.WriteString(e.Step.String())
	if e.Statement != "" {
		fmt.Fprintf(&b, ", line %d (%s)", e.Line, e.Statement)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.State != "" {
		b.WriteString("\n  state: " + e.State)
	}
	if e.Next != "" {
		b.WriteString("\n  next: " + e.Next)
	}
	return b.String()
}

func (e *StepError) Unwrap() error { return e.Err }
