package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// Application is an application with the instances that take its requests.
type Application struct {
	Name      string
	Instances []strategies.Registration
}

// Proxy is a reverse proxy that can be told where the instances of applications are.
type Proxy interface {
	// Apply has the proxy send requests for each application to its instances, and returns once new ones go there.
	// What is so already is left in peace. On an error the proxy does as it did before, or the error says that it
	// does not.
	Apply(ctx context.Context, applications []Application) (Applied, error)
	// Drain waits until no request is under way at the address any more, or until ctx ends; it returns how many
	// were left.
	Drain(ctx context.Context, address string) (left int, err error)
}

// Applied is what an Apply has done.
type Applied struct {
	Generation     int64
	Changed        bool     // else it was so already
	Added, Removed []string // addresses
	Empty          []string // applications without an instance
	LeftOut        []string // what cannot be told to the proxy, and why
}

// The kinds of event of a Renderer.
const (
	EventRendered = "rendered" // the proxy has another configuration
	EventDrained  = "drained"  // what was taken out has no request under way any more
	EventEmpty    = "empty"    // an application has no instance
	EventLeftOut  = "left out" // an entry of the registry is not used
)

// Renderer tells a proxy what is in the registry.
type Renderer struct {
	Agent    string // the name of this machine's agent
	Registry Registry
	Proxy    Proxy
	Releases bool          // also what releases registered; all that is up gets the same share
	Quiet    time.Duration // how long nothing may have changed until the proxy is told
	Most     time.Duration // how long a change may wait for that
	Drain    time.Duration // how long requests at an instance that was taken out are watched
	Tell     func(Event)
}

// longestPause is how long something that fails again and again is left until it is tried once more.
const longestPause = 10 * time.Second

// Run follows the registry until ctx ends, which is no error. Whatever fails is told and tried again; the proxy keeps
// what it has.
func (r *Renderer) Run(ctx context.Context) error {
	changes := newBell()
	watched, stop := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() { r.Registry.Watch(watched, changes.ring) })
	defer tasks.Wait()
	defer stop()
	s := &rendering{Renderer: r, troubles: newTroubles(r.Tell), noted: map[string]bool{}, tasks: &tasks}
	for failures := 0; ; {
		pause := resync
		if s.round(watched) {
			failures = 0
		} else {
			failures++
			pause = min(retryPause<<min(failures-1, 10), longestPause)
		}
		timer := time.NewTimer(pause)
		select {
		case <-changes:
			changes.gather(ctx, r.Quiet, r.Most)
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// rendering is what a Renderer knows while it runs.
type rendering struct {
	*Renderer
	troubles *troubles
	noted    map[string]bool // what is empty or left out, as it was told
	tasks    *sync.WaitGroup
}

// round reads the registry and tells the proxy. It tells whether all went well.
func (s *rendering) round(ctx context.Context) bool {
	list, err := s.Registry.List(ctx)
	if ctx.Err() != nil {
		return false
	}
	s.troubles.met("service discovery for the proxy", err)
	if err != nil {
		return false
	}
	applications, leftOut := s.applications(list)
	did, err := s.Proxy.Apply(ctx, applications)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return false
	}
	s.troubles.met("the proxy", err)
	if err != nil {
		return false
	}
	s.note(append(leftOut, did.LeftOut...), did.Empty)
	if did.Changed {
		s.Tell(Event{Event: EventRendered, Detail: fmt.Sprintf("generation %d%s%s", did.Generation, listed(", with ", did.Added), listed(", without ", did.Removed))})
		for _, address := range did.Removed {
			s.tasks.Go(func() { s.drained(ctx, address) })
		}
	}
	return true
}

func listed(before string, addresses []string) string {
	if len(addresses) == 0 {
		return ""
	}
	return before + strings.Join(addresses, ", ")
}

// note tells once what is left out or empty.
func (s *rendering) note(leftOut, empty []string) {
	noted := map[string]bool{}
	for _, reason := range leftOut {
		noted[reason] = true
		if !s.noted[reason] {
			s.Tell(Event{Event: EventLeftOut, Detail: reason})
		}
	}
	for _, application := range empty {
		noted[application] = true
		if !s.noted[application] {
			s.Tell(Event{Event: EventEmpty, Key: application, Detail: "has no instance"})
		}
	}
	s.noted = noted
}

// drained watches what is under way at an instance that was taken out.
func (s *rendering) drained(ctx context.Context, address string) {
	limited, cancel := context.WithTimeout(ctx, s.Drain)
	defer cancel()
	left, err := s.Proxy.Drain(limited, address)
	switch {
	case ctx.Err() != nil:
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		s.Tell(Event{Event: EventProblem, Address: address, Detail: err.Error()})
	case left > 0:
		s.Tell(Event{Event: EventProblem, Address: address, Detail: fmt.Sprintf("%d connections are left %s after it was taken out", left, s.Drain)})
	default:
		s.Tell(Event{Event: EventDrained, Address: address})
	}
}

// applications are the registrations that are up, by application.
func (s *rendering) applications(list []strategies.Registration) (applications []Application, leftOut []string) {
	for _, r := range list {
		if r.State != stateUp || r.Agent == "" && !s.Releases {
			continue
		}
		name, _, _ := strings.Cut(r.Key, "/")
		if r.Agent != "" && r.Agent != s.Agent && loopback(r.Address) {
			leftOut = append(leftOut, fmt.Sprintf("%s: its agent %s registers it at %s, which on this machine is another place: set agent.address there", r.Key, r.Agent, r.Address))
			continue
		}
		at := slices.IndexFunc(applications, func(a Application) bool { return a.Name == name })
		if at < 0 {
			at, applications = len(applications), append(applications, Application{Name: name})
		}
		applications[at].Instances = append(applications[at].Instances, r)
	}
	return applications, leftOut
}

// loopback tells whether an address is one that each machine has for itself.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
