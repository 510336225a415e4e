package strategies

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

// burdens tells whether a step takes away what the candidate would be replaced by if it failed, blue or the schema that
// blue knows, or calls the candidate the stable version.
func (p *Plan) burdens(i int) bool {
	switch p.Steps[i].Kind {
	case Drain, Stop, Contract, Retire:
		return true
	}
	return false
}

// fit wants the candidate to be healthy still. Since it was watched last, somebody may have taken his time to promote it,
// or to resume.
func (m *Machine) fit(ctx context.Context, s *migrate.Session, r *Release) error {
	look, err := m.health(ctx, r)
	if err != nil {
		return err
	}
	looks := 0
	_, err = m.wait(ctx, s, r, forever, func() (bool, error) {
		looks++
		return looks == 2, look(ctx) // a look forgives one failed probe
	})
	return err
}

// askAlone looks whether blue lives, while it has a share of the traffic. When it has ended, the release is held: green has the
// traffic, and whether it is to stay there is not for a program to decide. It is asked once; whoever resumes the
// release has decided.
func (m *Machine) askAlone(ctx context.Context, s *migrate.Session, r *Release) error {
	b := r.Plan.Blue
	if r.alone || b == nil || b.Instance == "" {
		return nil
	}
	now, err := m.Service.Observe(ctx, b.Instance)
	if err != nil || now.State != StateStopped && now.State != StateAbsent {
		return err
	}
	why, _, _ := strings.Cut(now.Detail, "\n")
	reason := fmt.Sprintf("the stable version is gone: %s is %s, %s; to go on is to go on without it, to abort starts it again", b.Instance, now.State, why)
	err = m.note(ctx, s, r, "held: "+reason, detail{Release: r.Plan.Release, Request: pause, Note: reason, Alone: true})
	return errors.Join(err, fmt.Errorf("%w: %s", errHeld, reason))
}
