package strategies

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Guard is what has to hold of the database before a release begins, before traffic moves, and before the contract.
// It is plain data of the plan. What is zero is not looked at.
type Guard struct {
	Transactions time.Duration `json:"transactions,omitempty"` // no transaction has been open for longer
	Connections  int           `json:"connections,omitempty"`  // so many more can be opened: both versions run at once
	Lag          time.Duration `json:"lag,omitempty"`          // no replica is further behind
	Within       time.Duration `json:"within"`                 // how long it is waited for
}

// Strain is what weighs on the target.
type Strain struct {
	migrate.Strain
	Lags []migrate.Lag
}

// obstacles are what is in the way.
func (g *Guard) obstacles(s Strain) (list []string) {
	for _, t := range s.Transactions {
		if g.Transactions > 0 && t.Open > g.Transactions {
			list = append(list, fmt.Sprintf("a transaction is open for %s: %s", t.Open.Round(time.Second), t.Blocker))
		}
	}
	if g.Connections > 0 && s.Free < g.Connections {
		list = append(list, fmt.Sprintf("%d connections are left, wanted are %d", max(s.Free, 0), g.Connections))
	}
	for _, l := range s.Lags {
		switch {
		case g.Lag == 0:
		case l.Problem != "":
			list = append(list, fmt.Sprintf("how far replica %s is behind cannot be told: %s", l.Replica, l.Problem))
		case l.Behind > g.Lag:
			list = append(list, fmt.Sprintf("replica %s is %s behind", l.Replica, l.Behind.Round(time.Millisecond)))
		}
	}
	return list
}

// guarded tells whether a step waits for the guard: one that begins something on the database, or moves traffic for
// the first time.
func (p *Plan) guarded(i int) bool {
	switch p.Steps[i].Kind {
	case Preflight, Roll, Contract:
		return p.Guard != nil
	case Shift:
		return p.Guard != nil && p.Steps[i-1].Kind != Shift
	}
	return false
}

// guard waits until nothing is in the way of a step.
func (m *Machine) guard(ctx context.Context, s *migrate.Session, r *Release) error {
	g := r.Plan.Guard
	if m.Strain == nil {
		return errors.New("this release was planned with a guard, and nothing here can ask the database")
	}
	var obstacles []string
	done, err := m.wait(ctx, s, r, g.Within, func() (bool, error) {
		strain, err := m.Strain(ctx)
		if err != nil {
			return false, err
		}
		obstacles = g.obstacles(strain)
		return len(obstacles) == 0, nil
	})
	if err == nil && !done {
		err = fmt.Errorf("the database is not fit for it, after %s of waiting: %s", g.Within, strings.Join(obstacles, "; "))
	}
	return err
}
