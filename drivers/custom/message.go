package custom

import (
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// The ports that a request may be for.
const (
	portService = "service"
	portRouter  = "router"
)

// request is what the other side is sent. Times are in seconds.
type request struct {
	Protocol    int                  `json:"protocol"`
	Port        string               `json:"port"`
	Verb        string               `json:"verb"`
	Application string               `json:"application"`
	Settings    map[string]string    `json:"settings,omitempty"`
	Operation   *operation           `json:"operation,omitempty"` // of what changes something
	Attempt     int                  `json:"attempt"`             // 1 for the first
	Seconds     float64              `json:"seconds"`             // how long the answer is waited for
	Version     *version             `json:"version,omitempty"`   // check, start
	Instance    string               `json:"instance,omitempty"`  // start, observe, stop, remove
	Grace       float64              `json:"grace,omitempty"`     // stop
	Backends    []strategies.Backend `json:"backends,omitempty"`  // shift
	Over        *int64               `json:"over,omitempty"`      // shift: the generation that may be replaced
	Address     string               `json:"address,omitempty"`   // drain
}

type operation struct {
	ID    string `json:"id"`
	Fence int64  `json:"fence"`
}

func carried(op strategies.Operation) *operation { return &operation{ID: op.ID, Fence: op.Fence} }

// version is strategies.Version as the other side gets it.
type version struct {
	Release string            `json:"release"`
	Slot    strategies.Slot   `json:"slot"`
	Name    string            `json:"name"`
	Image   string            `json:"image,omitempty"`
	Command []string          `json:"command,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	Dir     string            `json:"dir,omitempty"`
	Port    int               `json:"port,omitempty"`
	Health  string            `json:"health,omitempty"`
}

// spelled is a version as the other side gets it. All is put in but the address, which the other side chooses: {{host}} and
// {{port}} stay for it.
func spelled(v strategies.Version) *version {
	fill := v.Filler("{{host}}:{{port}}")
	w := &version{Release: v.Release, Slot: v.Slot, Name: v.Name, Dir: v.Dir, Health: v.Health, Env: map[string]string{}}
	for _, a := range v.Command {
		w.Command = append(w.Command, fill(a))
	}
	for name, value := range v.Env {
		w.Env[name] = fill(value)
	}
	if c := v.Container; c != nil {
		w.Image, w.Port = fill(c.Image), c.Port
	}
	return w
}

// answer is what the other side sends back: what belongs to the verb, or an error.
type answer struct {
	Instance  *instance           `json:"instance"`  // start, observe
	Instances []instance          `json:"instances"` // list
	Routing   *strategies.Routing `json:"routing"`   // observe, shift
	Left      *int                `json:"left"`      // drain
	Error     *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// instance is a strategies.Instance as the other side tells of it.
type instance struct {
	ID      string           `json:"id"`
	Release string           `json:"release"`
	Version string           `json:"version"`
	Slot    strategies.Slot  `json:"slot"`
	Address string           `json:"address"`
	State   strategies.State `json:"state"`
	Detail  string           `json:"detail"`
	Started time.Time        `json:"started"`
}
