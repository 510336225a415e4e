package strategies

import (
	"context"
	"fmt"

	"github.com/switchbackdb/switchback/migrate"
)

// Releases reads all releases from the journal of a target, the oldest first. No lock is needed.
func Releases(ctx context.Context, runner *migrate.Runner) ([]*Release, error) {
	installed, err := runner.Journal().Installed(ctx, runner.Database().DB())
	if err != nil || !installed {
		return nil, err
	}
	return recorded(ctx, runner, 0)
}

// recorded reads the releases from a journal that is there, from that on whose plan is the entry of a number.
func recorded(ctx context.Context, runner *migrate.Runner, since int64) ([]*Release, error) {
	entries, err := runner.Journal().Entries(ctx, runner.Database().DB(), migrate.Filter{Kinds: []migrate.EntryKind{migrate.ReleaseEntry}, Since: since})
	if err != nil {
		return nil, err
	}
	return Replay(entries)
}

// Newest returns the newest release, or ErrNoRelease.
func Newest(ctx context.Context, runner *migrate.Runner) (*Release, error) {
	all, err := Releases(ctx, runner)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, ErrNoRelease
	}
	return all[len(all)-1], nil
}

// StableOf returns the version that the newest stable release brought, to be the blue of the next; nil
// when there is none. Its address is where the service says it is.
func StableOf(releases []*Release) *Stable {
	for i := len(releases) - 1; i >= 0; i-- {
		if r := releases[i]; r.Status() == Stabilised {
			spec := r.Plan.Candidate
			return &Stable{Release: r.Plan.Release, Version: spec.Name, Instance: r.Plan.Green(), Spec: &spec, Grace: r.Plan.Timing.Grace}
		}
	}
	return nil
}

// RequestAbort asks the run that holds the lock to turn its release back. Like the other requests it is
// a journal entry written without the lock, which the run looks for between and during its steps.
func RequestAbort(ctx context.Context, runner *migrate.Runner, r *Release) error {
	return ask(ctx, runner, r, abort)
}

// RequestPause asks it to stop before its next step, or where it is in the midst of a rolling one.
func RequestPause(ctx context.Context, runner *migrate.Runner, r *Release) error {
	return ask(ctx, runner, r, pause)
}

// RequestResume takes a pause back.
func RequestResume(ctx context.Context, runner *migrate.Runner, r *Release) error {
	return ask(ctx, runner, r, resume)
}

// RequestPromote lets a release past its step promote.
func RequestPromote(ctx context.Context, runner *migrate.Runner, r *Release) error {
	return ask(ctx, runner, r, promote)
}

// MarkTold journals that the events of a release have arrived where they were to go, up to that entry of the journal: the
// next run does not tell them again.
func MarkTold(ctx context.Context, runner *migrate.Runner, release string, entry int64) error {
	text, err := detail{Release: release, Told: entry}.encode()
	if err != nil {
		return err
	}
	e := migrate.Entry{Kind: migrate.ReleaseEntry, Action: fmt.Sprintf("release %s: its events were told", release), Status: migrate.Done, Detail: text}
	_, err = runner.Journal().Append(ctx, runner.Database().DB(), e)
	return err
}

func ask(ctx context.Context, runner *migrate.Runner, r *Release, what request) error {
	text, err := detail{Release: r.Plan.Release, Request: what}.encode()
	if err != nil {
		return err
	}
	e := migrate.Entry{Kind: migrate.ReleaseEntry, Action: fmt.Sprintf("release %s: asked to %s", r.Plan.Release, what), Status: migrate.Done, Detail: text}
	_, err = runner.Journal().Append(ctx, runner.Database().DB(), e)
	return err
}
