// Package strategies takes a release through its steps: the database's phases and the
// application's traffic in one journal, forwards and, when something fails, backwards.
//
// The package knows nothing of container engines, proxies or registries. It defines here the
// small interfaces it needs of them; the packages below drivers/ implement them.
package strategies

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"
)

// Errors that a driver returns for the state machine to tell apart.
var (
	// ErrStaleFence is returned when an operation carries a smaller fence than one already seen:
	// another run of switchback has taken over, and the caller must stop at once.
	ErrStaleFence = errors.New("a newer run holds the lock (stale fence)")
	// ErrForeignChange is returned when the outside world is neither as it was before the operation
	// nor as the operation wants it: somebody else changed it, and it must not be overwritten.
	ErrForeignChange = errors.New("changed by somebody else")
	// ErrNotFound is returned for an instance or a registration that does not exist.
	ErrNotFound = errors.New("not found")
)

// Operation identifies one call to the outside. The same ID may arrive more than once, after a
// crash for instance, and must then have one effect. A driver stores the fence with what it changes
// and refuses a smaller one with ErrStaleFence.
type Operation struct {
	ID    string // stable over retries: a hash of release, step and direction
	Fence int64  // fencing token of the lock in the target database; grows with each holder
}

// Slot names the two versions of the application that may run side by side.
type Slot string

// The slots: blue is the stable version, green the candidate that will replace it.
const (
	Blue  Slot = "blue"
	Green Slot = "green"
)

// Version is a version of the application as a service driver is to start it.
type Version struct {
	Release string            `json:"release"`           // the release it belongs to, unique
	Slot    Slot              `json:"slot"`              // which side of the router it takes
	Name    string            `json:"name"`              // what the user calls it: "v2", an image tag
	Command []string          `json:"command,omitempty"` // argv for drivers that start processes; {{address}} and {{version}} are replaced
	Env     map[string]string `json:"env,omitempty"`     // added to the environment of the application
	Dir     string            `json:"dir,omitempty"`     // working directory; empty for the current one
	Health  string            `json:"health,omitempty"`  // path of the health probe, such as /healthz
	// NoHealth says that nothing is to be asked whether it is healthy: that it runs and listens is enough. Without that a
	// version that nobody can ask is refused.
	NoHealth bool `json:"no_health,omitempty"`
	// Container is what a container service has to know beside that; nil for drivers that start processes.
	Container *Container `json:"container,omitempty"`
}

// Container says how a version runs in a container. Its Command replaces the image's.
type Container struct {
	Image       string       `json:"image"`                 // {{version}} is replaced
	Port        int          `json:"port,omitempty"`        // where the application listens inside; 0 for the only port that the image exposes
	Ports       string       `json:"ports,omitempty"`       // of the host that may be taken for it, FIRST-LAST; empty for any free one
	Network     string       `json:"network,omitempty"`     // empty for the engine's default
	Volumes     []string     `json:"volumes,omitempty"`     // SOURCE:TARGET[:ro], the source a volume or an absolute path
	Healthcheck *Healthcheck `json:"healthcheck,omitempty"` // what differs from the image's
	Template    string       `json:"template,omitempty"`    // of an orchestrator: the definition that the rest is put in, as text
	Name        string       `json:"name,omitempty"`        // of the template's container that the rest is about; empty for its only one
	Replicas    int          `json:"replicas,omitempty"`    // how many of it run side by side; 0 for what the template says, else one
	Publish     *Publish     `json:"publish,omitempty"`     // of an orchestrator: where all instances are reached from outside
	Endpoint    string       `json:"endpoint,omitempty"`    // of a swarm: vip, or dnsrr, where its name has the addresses of all
}

// Publish is a port of the machines under which an orchestrator publishes an application.
type Publish struct {
	Port int    `json:"port"`
	Mode string `json:"mode"` // ingress: on all machines, to all instances; host: on that of an instance, to that one
}

// Healthcheck is a container's own health probe. What is zero is as the image has it.
type Healthcheck struct {
	Command     []string      `json:"command,omitempty"`
	Interval    time.Duration `json:"interval,omitempty"`
	Timeout     time.Duration `json:"timeout,omitempty"`
	StartPeriod time.Duration `json:"start_period,omitempty"`
	Retries     int           `json:"retries,omitempty"`
}

// Filler replaces what a command, an environment or the name of an image may ask for, in an instance that is
// to listen on the address.
func (v Version) Filler(address string) func(string) string {
	host, port, _ := net.SplitHostPort(address) // a driver's own, always whole
	return strings.NewReplacer("{{address}}", address, "{{host}}", host, "{{port}}", port,
		"{{version}}", v.Name, "{{slot}}", string(v.Slot), "{{release}}", v.Release).Replace
}

// InstanceID is the ID of the instance that a release starts in a slot.
func InstanceID(release string, slot Slot) string { return release + "-" + string(slot) }

// State is where an instance stands.
type State string

// The states of an instance.
const (
	StateAbsent   State = "absent"   // never started, or removed
	StateStarting State = "starting" // started, not yet answering its health probe
	StateHealthy  State = "healthy"  // answers its health probe
	StateFailing  State = "failing"  // runs, was healthy before or should be, but its probe fails
	StateStopped  State = "stopped"  // ended, on request or by itself; can be looked at, not used
)

// Instance is a started version of the application.
type Instance struct {
	ID      string    // unique name, derived from release and slot
	Release string    // the release that started it
	Version string    // Version.Name
	Slot    Slot      // blue or green
	Address string    // host:port it listens on
	State   State     // as last observed
	Detail  string    // why it is in that state: exit code, last probe error; never a secret
	Started time.Time // when it was started
}

// Service starts, watches, stops and removes versions of the application: a container service, or
// plain processes.
type Service interface {
	// Start starts v, or finds it already started by the same operation, and returns at once:
	// the instance may still be starting.
	Start(ctx context.Context, op Operation, v Version) (Instance, error)
	// Observe returns the instance as it is now, probing its health once. An instance nobody knows
	// has StateAbsent and no error.
	Observe(ctx context.Context, id string) (Instance, error)
	// List returns all instances the driver knows, stopped ones included, sorted by ID.
	List(ctx context.Context) ([]Instance, error)
	// Stop ends the instance: politely first, forcibly after grace. Stopping a stopped one is no error.
	Stop(ctx context.Context, op Operation, id string, grace time.Duration) error
	// Remove forgets a stopped instance and what was kept of it. Removing an absent one is no error.
	Remove(ctx context.Context, op Operation, id string) error
}

// Checker is a Service that can tell, before anything is changed, whether it could start a version.
type Checker interface {
	// Check returns what a Start of v would be refused for.
	Check(ctx context.Context, v Version) error
}

// Pace is how fast a rolling release replaces instances. Not every orchestrator knows every word of it: what is
// zero is the driver's to fill in, what a driver does not know it refuses.
type Pace struct {
	// Replicas is how many instances there are to be. 0 keeps as many as there are, and is one where there is none.
	Replicas    int           `json:"replicas,omitempty"`
	Parallelism int           `json:"parallelism,omitempty"` // how many are replaced at a time
	Delay       time.Duration `json:"delay,omitempty"`       // between one that was replaced and the next
	Order       Order         `json:"order,omitempty"`       // which comes first, the new or the end of the old
	Surge       string        `json:"surge,omitempty"`       // how many more there may be meanwhile: 1, 25%
	Unavailable string        `json:"unavailable,omitempty"` // how many fewer there may be meanwhile: 0, 25%
	Monitor     time.Duration `json:"monitor,omitempty"`     // how long a new instance has to stay healthy
}

// Order says what comes first when an instance is replaced.
type Order string

// The orders.
const (
	StartFirst Order = "start-first" // the new one is healthy before the old one ends
	StopFirst  Order = "stop-first"  // the old one ends before the new one starts
)

// PaceError is about a word of a pace that is wrong, or that an orchestrator does not know.
type PaceError struct {
	Word   string // as it is configured: "surge"
	Reason string // the rest of the sentence: `is "1": …`
}

func (e *PaceError) Error() string { return e.Word + " " + e.Reason }

// Replacement is what the instances of an application are to be replaced by.
type Replacement struct {
	Version Version
	// Over is the release whose definition may be replaced; empty where there may be none yet.
	Over  string
	Pace  Pace
	Grace time.Duration // how long an instance may take to stop, from then on
}

// RollState is where the replacing of instances stands.
type RollState string

// The states of a rollout.
const (
	RollAbsent RollState = "absent"  // there is no definition, or it was withdrawn
	RollGoing  RollState = "rolling" // instances are being replaced
	RollDone   RollState = "done"    // as many as wanted are of the definition in force, healthy, and no other is left
	RollHalted RollState = "halted"  // it goes no further by itself: on request, or because new instances failed
)

// Rollout is what an orchestrator does with an application, as observed.
type Rollout struct {
	State     RollState
	Release   string // of the definition in force, and what follows of the operation that put it there
	Version   string // Version.Name
	Operation string
	Fence     int64
	// Foreign says what somebody else has made of the definition since; empty when it is as the operation left it.
	Foreign string
	Wanted  int    // how many instances there are to be
	Updated int    // how many there are of the definition in force, healthy or not yet
	Healthy int    // how many of those are healthy
	Old     int    // how many there are of any other definition, stopping ones included
	Address string // host:port where the application answers to this machine; empty when it does not
	Detail  string // why it stands where it does: what failed, of which instance; never a secret
	Look    string // the command that shows a person more
}

// Roller is an orchestrator that replaces the instances of an application by itself, one definition in force at a
// time. It keeps release, operation and fence with the definition, and has no opinion of its own about going back.
type Roller interface {
	// Prepare makes a replacement explicit, so that it means the same for ever: words of the pace that were left out
	// are filled in, the image is one that no tag can move. It changes nothing. Its errors are what a Roll would be
	// refused for, a *PaceError for a word of the pace. Preparing again what was prepared gives the same.
	Prepare(ctx context.Context, r Replacement) (Replacement, error)
	// Roll puts the definition of r in force and returns once that is accepted: the instances are replaced then. What
	// the same operation has put in force already is left as it is, and goes on if it was halted. A definition
	// in force that is neither that of r.Over nor that of r's own release, or that somebody has changed
	// since, is left alone: ErrForeignChange.
	Roll(ctx context.Context, op Operation, r Replacement) error
	// Rollout returns where it stands.
	Rollout(ctx context.Context) (Rollout, error)
	// Halt stops the replacing of instances by the release where it is. A Roll of the operation that began it goes on.
	Halt(ctx context.Context, op Operation, release string) error
	// Withdraw ends all instances, the way back of a first release. Withdrawing what is not there is no error, withdrawing
	// what is another release's is ErrForeignChange.
	Withdraw(ctx context.Context, op Operation, release string) error
}

// Backend is one side of a router.
type Backend struct {
	Slot    Slot   `json:"slot"`
	Release string `json:"release,omitempty"` // which release serves there
	Version string `json:"version,omitempty"` // Version.Name, for people
	Address string `json:"address"`           // host:port
	Weight  int    `json:"weight"`            // share of new requests, 0 to 100
}

// Routing is what a router does with traffic. The weights of its backends add up to 100.
type Routing struct {
	Backends   []Backend `json:"backends"`
	Generation int64     `json:"generation"` // grows with each change
	Operation  string    `json:"operation"`  // ID of the operation that made it
	Fence      int64     `json:"fence"`      // fence of the operation that made it
}

// Router splits traffic between blue and green.
type Router interface {
	// Observe returns the routing in force, read from what serves traffic rather than from what it
	// was told.
	Observe(ctx context.Context) (Routing, error)
	// Shift makes the backends those given and returns once traffic follows them. Generation,
	// operation and fence of the result are set from op.
	Shift(ctx context.Context, op Operation, backends []Backend) (Routing, error)
	// Drain waits until no request is under way at the backend's address any more, or until ctx
	// ends; it returns how many were left. The backend must have weight 0 or be gone already.
	Drain(ctx context.Context, address string) (left int, err error)
}

// Registration says where an instance of the application can be reached.
type Registration struct {
	Key       string `json:"key"` // application/instance
	Address   string `json:"address"`
	Slot      Slot   `json:"slot"`
	Version   string `json:"version"`
	Release   string `json:"release"`
	State     string `json:"state"` // "up" or "drain"; "started" where an agent has found it and no release has let it in
	Operation string `json:"operation"`
	Fence     int64  `json:"fence"`
	Agent     string `json:"agent,omitempty"` // of the agent whose entry it is; empty for a release's
}

// ShareChecker is a Router that cannot give every share of traffic.
type ShareChecker interface {
	// CheckShares returns why the router cannot give the candidate these shares, one after the other, and what can.
	CheckShares(shares []int) error
}

// Caller is a Router that says what it calls, for the plan of a release.
type Caller interface {
	// Calls returns what every shift does, and what it is followed by. It changes nothing.
	Calls(ctx context.Context) ([]string, error)
}

// Discovery is a service registry: who is where.
type Discovery interface {
	// Register stores r under its key, replacing what was there.
	Register(ctx context.Context, op Operation, r Registration) error
	// Deregister removes the key. Removing an absent one is no error.
	Deregister(ctx context.Context, op Operation, key string) error
	// List returns all registrations, sorted by key.
	List(ctx context.Context) ([]Registration, error)
}
