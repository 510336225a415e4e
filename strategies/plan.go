package strategies

import (
	"fmt"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Kind is what a step of a release does.
type Kind string

// The kinds of step, in the order in which a blue/green release takes them. What each does to go
// forward, and what undoes it, is in forward.go and back.go.
const (
	Preflight Kind = "preflight" // look whether everything is there; changes nothing
	Snapshot  Kind = "snapshot"  // take a snapshot and prove that it can be restored
	Expand    Kind = "expand"    // run the expand scripts of the pending changes
	Backfill  Kind = "backfill"  // and their backfills
	Start     Kind = "start"     // start green
	Healthy   Kind = "healthy"   // wait until green answers its health probe
	Register  Kind = "register"  // store green's key in service discovery
	Clear     Kind = "clear"     // remove candidates that earlier releases left
	Shift     Kind = "shift"     // give green its share of traffic
	Roll      Kind = "roll"      // of a rolling release: have the orchestrator replace blue's instances by green's
	Bake      Kind = "bake"      // watch green under its traffic
	Promote   Kind = "promote"   // wait for `release promote`
	Drain     Kind = "drain"     // wait until blue has nothing under way
	Stop      Kind = "stop"      // stop blue
	Contract  Kind = "contract"  // run the contract scripts
	Retire    Kind = "retire"    // green is the stable version now; forget what came before blue
)

// leavesTraces tells whether a step changes anything, so that there is something to undo. A snapshot is
// kept on the way back.
func (k Kind) leavesTraces() bool {
	return !slices.Contains([]Kind{Preflight, Snapshot, Healthy, Clear, Bake, Promote, Retire}, k)
}

// Does says in a few words what a step of the kind does.
func (k Kind) Does() string {
	return map[Kind]string{
		Preflight: "look whether everything is there",
		Snapshot:  "take a snapshot, and prove it by restoring it",
		Expand:    "add what the new version needs to the database",
		Backfill:  "fill it",
		Start:     "trigger the candidate by API",
		Healthy:   "wait until it is healthy",
		Register:  "store its key in service discovery",
		Clear:     "remove the old candidate",
		Shift:     "raise its traffic",
		Roll:      "have the orchestrator replace the instances",
		Bake:      "watch it under its traffic",
		Promote:   "wait for: switchback release promote",
		Drain:     "wait until the stable version has nothing under way",
		Stop:      "stop the stable version",
		Contract:  "put the old in the attic",
		Retire:    "promote it to stable",
	}[k]
}

// Step is one step of a plan.
type Step struct {
	Kind   Kind `json:"kind"`
	Weight int  `json:"weight,omitempty"` // of a shift: green's share of new requests, 0 to 100
}

func (s Step) String() string {
	if s.Kind == Shift {
		return fmt.Sprintf("shift %d %%", s.Weight)
	}
	return string(s.Kind)
}

// Timing is how long a release waits for what.
type Timing struct {
	Pause   time.Duration `json:"pause"`   // between two shifts
	Bake    time.Duration `json:"bake"`    // all traffic on green
	Healthy time.Duration `json:"healthy"` // for green to become healthy
	Drain   time.Duration `json:"drain"`   // for blue's requests under way
	Grace   time.Duration `json:"grace"`   // for an instance to stop
}

// Stable is the version that runs when a release begins: its blue.
type Stable struct {
	Release  string   `json:"release,omitempty"`  // the release that brought it; empty when it was put behind the router by hand
	Version  string   `json:"version,omitempty"`  // Version.Name
	Instance string   `json:"instance,omitempty"` // empty when the service does not know it
	Address  string   `json:"address"`            // where it was at the beginning; a restart gives it another
	Spec     *Version `json:"spec,omitempty"`     // how it is started again
	// Of a rolling release alone, to find its instances again as they were:
	Replicas int           `json:"replicas,omitempty"`
	Grace    time.Duration `json:"grace,omitempty"`
}

// Plan is all that a release is going to do, as plain data. It is journalled before the first step, and
// from then on only the journal's copy counts.
type Plan struct {
	Release     string   `json:"release"`     // unique
	Application string   `json:"application"` // its name in service discovery
	Strategy    string   `json:"strategy"`
	Candidate   Version  `json:"candidate"`             // green; the values of Env are as configured, variables not yet put in
	Blue        *Stable  `json:"blue,omitempty"`        // nil for the first release
	Changes     []string `json:"changes"`               // pending changes, in order
	NoSnapshot  string   `json:"no_snapshot,omitempty"` // why there is no snapshot
	Steps       []Step   `json:"steps"`
	Pace        *Pace    `json:"pace,omitempty"`  // of a rolling release
	Gates       []Gate   `json:"gates,omitempty"` // judged between two shifts and while baking
	Guard       *Guard   `json:"guard,omitempty"` // waited for before the release begins, traffic moves, or the contract
	Hooks       []Hook   `json:"hooks,omitempty"`
	Timing      Timing   `json:"timing"`
	Announced   bool     `json:"announced,omitempty"` // somebody is told what happens to it
}

// Green is the ID of the candidate's instance.
func (p *Plan) Green() string { return InstanceID(p.Release, Green) }

// Key is the key of an instance in service discovery.
func (p *Plan) Key(instance string) string { return p.Application + "/" + instance }

// The strategies.
const (
	BlueGreen = "bluegreen" // all traffic at once, unless steps are given
	Canary    = "canary"    // a little traffic first, then more
	Rolling   = "rolling"   // the orchestrator replaces the instances, some at a time; nobody shifts traffic
)

// Shares are the candidate's shares of traffic that a strategy takes when none are given. A rolling release has none.
func Shares(strategy string) ([]int, error) {
	switch strategy {
	case BlueGreen:
		return []int{100}, nil
	case Canary:
		return []int{5, 25, 50, 100}, nil
	case Rolling:
		return nil, nil
	}
	return nil, fmt.Errorf("there is no strategy %q; there are %s, %s and %s", strategy, BlueGreen, Canary, Rolling)
}

// Outline says what of a release is wanted, beside its plan.
type Outline struct {
	Pending  []migrate.Phase // that the pending changes have
	Shares   []int           // green's traffic, step by step, the last being 100
	Pause    bool            // stop after the bake until it is promoted
	Contract bool            // contract the changes at the end
}

// Steps returns the steps of a release by its strategy. A canary's are those of blue/green, by which the candidate
// is started, found healthy and registered; then what earlier candidates have left is removed, traffic grows share by
// share, and the candidate is promoted to stable. A rolling release hands all that to the orchestrator in one step.
func Steps(p *Plan, o Outline) []Step {
	var steps []Step
	add := func(when bool, s Step) {
		if when {
			steps = append(steps, s)
		}
	}
	add(true, Step{Kind: Preflight})
	add(p.NoSnapshot == "" && len(p.Changes) > 0, Step{Kind: Snapshot})
	add(slices.Contains(o.Pending, migrate.Expand), Step{Kind: Expand})
	add(slices.Contains(o.Pending, migrate.Backfill), Step{Kind: Backfill})
	rolling := p.Strategy == Rolling
	add(rolling, Step{Kind: Roll})
	add(!rolling, Step{Kind: Start})
	add(!rolling, Step{Kind: Healthy})
	add(!rolling, Step{Kind: Register})
	add(p.Strategy == Canary, Step{Kind: Clear})
	for _, share := range o.Shares {
		// With no blue there is nothing to share traffic with.
		add(p.Blue != nil || share == 100, Step{Kind: Shift, Weight: share})
	}
	add(true, Step{Kind: Bake})
	add(o.Pause, Step{Kind: Promote})
	add(!rolling && p.Blue != nil, Step{Kind: Drain})
	add(!rolling && p.Blue != nil, Step{Kind: Stop})
	add(o.Contract && slices.Contains(o.Pending, migrate.Contract), Step{Kind: Contract})
	add(true, Step{Kind: Retire})
	return steps
}

// CheckShares tells whether the shares of traffic grow and end at 100.
func CheckShares(shares []int) error {
	last := 0
	for _, s := range shares {
		if s <= last || s > 100 {
			return fmt.Errorf("the steps of traffic are to grow from 1 to 100, not %v", shares)
		}
		last = s
	}
	if last != 100 {
		return fmt.Errorf("the last step of traffic is to be 100, not %d", last)
	}
	return nil
}
