// Package config reads switchback.yaml: where the changes are, which databases there are, and how a
// release starts the application and moves its traffic.
//
// Values may hold ${NAME}, which stands for the environment variable of that name, so that no password
// has to be in the file. Relative paths are relative to the file's folder.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/switchbackdb/switchback/migrate"
)

// FileName is the name of the configuration file.
const FileName = "switchback.yaml"

// Config is the content of switchback.yaml.
type Config struct {
	Changes      string                 `yaml:"changes,omitempty"`      // the folder of changes; default "changes"
	Environments map[string]Environment `yaml:"environments,omitempty"` // databases by name
	Snapshots    Snapshots              `yaml:"snapshots,omitempty"`
	Drift        Drift                  `yaml:"drift,omitempty"`
	Lint         Lint                   `yaml:"lint,omitempty"`
	Release      Release                `yaml:"release,omitempty"`
	Agent        Agent                  `yaml:"agent,omitempty"`
	dir          string
	text         []byte
}

// Environment is one database.
type Environment struct {
	URL         string        `yaml:"url"`
	LockTimeout time.Duration `yaml:"lock_timeout,omitempty"` // how long a statement waits for a lock
	Retries     int           `yaml:"retries,omitempty"`      // how often it is tried again
	// LockDeadline is how long a step is tried for.
	LockDeadline time.Duration `yaml:"lock_deadline,omitempty"`
	BatchTime    time.Duration `yaml:"batch_time,omitempty"` // how long a batch of a backfill may take
	MaxLag       time.Duration `yaml:"max_lag,omitempty"`    // how far a replica may be behind during a backfill
	Replicas     []string      `yaml:"replicas,omitempty"`   // URLs of replicas that are asked for that
}

// Snapshots says where snapshots are kept.
type Snapshots struct {
	Store      string   `yaml:"store,omitempty"`      // a folder or s3://BUCKET/PREFIX; default ".switchback/snapshots"
	Recipients []string `yaml:"recipients,omitempty"` // age public keys; snapshots are encrypted for them
	// Tools take backups in their own way; Use names the one that takes them when nothing else is said.
	Tools   map[string]Tool `yaml:"tools,omitempty"`
	Use     string          `yaml:"use,omitempty"`
	Asserts []string        `yaml:"asserts,omitempty"` // queries that have to return no row of what was restored to prove it
}

// Tool are the commands of a backup tool. {id} stands for the backup's name, which create prints as its last line.
type Tool struct {
	Create  []string `yaml:"create"`
	Verify  []string `yaml:"verify"`
	Restore []string `yaml:"restore,omitempty"`
}

// Drift says which environments should be the same, and where they need not be.
type Drift struct {
	From    string       `yaml:"from,omitempty"`    // an environment; default "staging"
	To      string       `yaml:"to,omitempty"`      // an environment; default "production"
	Data    []string     `yaml:"data,omitempty"`    // tables whose rows are compared: NAME or SCHEMA.NAME
	Mask    []string     `yaml:"mask,omitempty"`    // columns whose values are not shown: TABLE.COLUMN
	History string       `yaml:"history,omitempty"` // a folder; default ".switchback/drift"
	Ignore  []IgnoreRule `yaml:"ignore,omitempty"`
}

// IgnoreRule says that a difference is no finding.
type IgnoreRule struct {
	Object   string `yaml:"object"`             // a pattern: table:public.tmp_*, column:public.users.note
	Property string `yaml:"property,omitempty"` // only this property of it
	Reason   string `yaml:"reason"`
	Until    string `yaml:"until,omitempty"` // the last day on which the rule holds: 2027-01-31
}

// Lint says what lint makes of its rules.
type Lint struct {
	Rules map[string]LintRule `yaml:"rules,omitempty"`
}

// LintRule changes how serious a rule is.
type LintRule struct {
	Severity string `yaml:"severity"`         // error, warning, note or off
	Reason   string `yaml:"reason,omitempty"` // has to be given where it is off
}

// Release says how the application is started and how traffic reaches it.
type Release struct {
	Application string        `yaml:"application,omitempty"` // its name in service discovery; default "app"
	Strategy    string        `yaml:"strategy,omitempty"`    // "bluegreen" (default), "canary" or "rolling"
	Service     Service       `yaml:"service,omitempty"`
	Router      Router        `yaml:"router,omitempty"`
	Discovery   Discovery     `yaml:"discovery,omitempty"`
	Steps       []int         `yaml:"steps,omitempty"`   // the candidate's share of traffic, step by step; default the strategy's
	Pause       time.Duration `yaml:"pause,omitempty"`   // between two steps
	Bake        time.Duration `yaml:"bake,omitempty"`    // how long all traffic is watched on the candidate
	Healthy     time.Duration `yaml:"healthy,omitempty"` // how long the candidate may take to become healthy
	Drain       time.Duration `yaml:"drain,omitempty"`   // how long requests under way may take
	Grace       time.Duration `yaml:"grace,omitempty"`   // how long an instance may take to stop
	Rolling     Rolling       `yaml:"rolling,omitempty"` // of the strategy rolling
	Analysis    []Gate        `yaml:"analysis,omitempty"`
	Hooks       []Hook        `yaml:"hooks,omitempty"`
	Guard       *Guard        `yaml:"guard,omitempty"`
	Events      Events        `yaml:"events,omitempty"`
	Metrics     Metrics       `yaml:"metrics,omitempty"`
}

// Metrics says where Prometheus finds what a release does.
type Metrics struct {
	Listen   string `yaml:"listen,omitempty"`   // HOST:PORT of /metrics while a release runs
	Textfile string `yaml:"textfile,omitempty"` // FILE.prom in the folder of node_exporter's textfile collector
}

// Events says who is told what happens to a release.
type Events struct {
	File    string   `yaml:"file,omitempty"` // a line of JSON for each event is added to it
	Webhook *Webhook `yaml:"webhook,omitempty"`
}

// Webhook is where events are sent. URL and Secret may be ${VARIABLE}s.
type Webhook struct {
	URL    string   `yaml:"url"`
	Secret string   `yaml:"secret,omitempty"` // signs them
	Format string   `yaml:"format,omitempty"` // json (default) or slack
	Only   []string `yaml:"only,omitempty"`   // types, or what they begin with; default all, of slack those for people
}

// Guard is what has to hold of the database before a release begins, before traffic moves, and before the contract.
type Guard struct {
	Transactions time.Duration `yaml:"transactions,omitempty"` // no transaction has been open for longer
	Connections  int           `yaml:"connections,omitempty"`  // so many more can be opened
	Lag          time.Duration `yaml:"lag,omitempty"`          // no replica is further behind
	Within       time.Duration `yaml:"within,omitempty"`       // how long it is waited for; default 1m
}

// Hook is a program that a release runs before or after a step, and what undoes that on the way back.
type Hook struct {
	Before string        `yaml:"before,omitempty"` // the step; either this
	After  string        `yaml:"after,omitempty"`  // or this
	Run    []string      `yaml:"run,omitempty"`
	Back   []string      `yaml:"back,omitempty"`
	Within time.Duration `yaml:"within,omitempty"` // how long it may take; default 5m
}

// Rolling is how fast a rolling release replaces instances. A driver refuses what its orchestrator does not know.
type Rolling struct {
	Replicas    int           `yaml:"replicas,omitempty"`    // how many instances; default as many as there are, at first one
	Parallelism int           `yaml:"parallelism,omitempty"` // how many are replaced at a time
	Delay       time.Duration `yaml:"delay,omitempty"`       // between one that was replaced and the next
	Order       string        `yaml:"order,omitempty"`       // start-first or stop-first
	Surge       string        `yaml:"surge,omitempty"`       // how many more there may be meanwhile: 1, 25%
	Unavailable string        `yaml:"unavailable,omitempty"` // how many fewer there may be meanwhile: 0, 25%
	Monitor     time.Duration `yaml:"monitor,omitempty"`     // how long a new instance has to stay healthy
}

// Gate is something that has to hold before the candidate gets more traffic, or is promoted. Exactly one of its
// kinds is given.
type Gate struct {
	Name       string         `yaml:"name,omitempty"` // default its kind
	Router     map[string]any `yaml:"router,omitempty"`
	HTTP       map[string]any `yaml:"http,omitempty"`
	SQL        map[string]any `yaml:"sql,omitempty"`
	Prometheus map[string]any `yaml:"prometheus,omitempty"`
	Exec       []string       `yaml:"exec,omitempty"`
	Every      time.Duration  `yaml:"every,omitempty"`     // how often it is asked; default 1s
	Within     time.Duration  `yaml:"within,omitempty"`    // how long it may be without data after the step's time; default 1m
	Otherwise  string         `yaml:"otherwise,omitempty"` // when it still is: hold (default), fail, pass
}

// Kind is which kind the gate is of, and what it is given.
func (g Gate) Kind() (kind string, spec map[string]string, err error) {
	for _, k := range []struct {
		name string
		spec map[string]any
	}{{"router", g.Router}, {"http", g.HTTP}, {"sql", g.SQL}, {"prometheus", g.Prometheus}, {"exec", nil}} {
		if k.spec == nil && (k.name != "exec" || len(g.Exec) == 0) {
			continue
		}
		if kind != "" {
			return "", nil, fmt.Errorf("%s: a gate of release.analysis is both %s and %s: make two of it", FileName, kind, k.name)
		}
		kind, spec = k.name, map[string]string{}
		for name, value := range k.spec {
			spec[name] = fmt.Sprint(value)
		}
	}
	if kind == "" {
		return "", nil, fmt.Errorf("%s: gate %q of release.analysis has no kind\n  next: give it one of router, http, sql, prometheus, exec, see docs/releases.md", FileName, g.Name)
	}
	return kind, spec, nil
}

// Service is the container service.
type Service struct {
	Driver  string            `yaml:"driver,omitempty"` // "process" (default), "docker", "kubernetes", "swarm", "exec" or "webhook"
	Command []string          `yaml:"command,omitempty"`
	Env     map[string]string `yaml:"env,omitempty"`
	Dir     string            `yaml:"dir,omitempty"`    // where the command runs; default the file's folder
	Health  string            `yaml:"health,omitempty"` // path of the health probe
	State   string            `yaml:"state,omitempty"`  // folder; default ".switchback/process"
	// The rest is of docker and swarm.
	Image       string       `yaml:"image,omitempty"`   // {{version}} is put in
	Port        int          `yaml:"port,omitempty"`    // where the application listens inside; default the only one the image exposes
	Ports       string       `yaml:"ports,omitempty"`   // of this machine, or a swarm's, that a version may be published on: FIRST-LAST; default any
	Network     string       `yaml:"network,omitempty"` // default the engine's
	Volumes     []string     `yaml:"volumes,omitempty"` // SOURCE:TARGET[:ro], a SOURCE that begins with a dot relative to dir
	Healthcheck *Healthcheck `yaml:"healthcheck,omitempty"`
	// And this of swarm alone.
	Publish     int    `yaml:"publish,omitempty"`      // of a rolling release: the port of the swarm's machines where the application is reached
	PublishMode string `yaml:"publish_mode,omitempty"` // ingress (default) or host
	Endpoint    string `yaml:"endpoint,omitempty"`     // vip (default) or dnsrr
	// And this of kubernetes alone, which takes image and port too.
	Cluster   `yaml:",inline"`
	Template  string `yaml:"template,omitempty"`  // the file of a Deployment that image, environment and labels are put in
	Container string `yaml:"container,omitempty"` // of the template, that is the application; default its only one
	Replicas  int    `yaml:"replicas,omitempty"`  // pods, or tasks of a swarm; default what the template says, else 1
	// And this of exec and webhook alone, which take command, env, image, port and health too.
	Custom  `yaml:",inline"`
	Timeout time.Duration `yaml:"timeout,omitempty"` // of a call; default 30s
}

// Custom says where a driver of the user's own is: a program, or an HTTP server.
type Custom struct {
	Program    []string          `yaml:"program,omitempty"`     // of exec; it runs in the service's dir
	URL        string            `yaml:"url,omitempty"`         // of webhook
	Secret     string            `yaml:"secret,omitempty"`      // that requests are signed with: ${VARIABLE}
	SecretFile string            `yaml:"secret_file,omitempty"` // or a file that holds it
	CA         string            `yaml:"ca,omitempty"`          // PEM file of the authorities; the system's when empty
	Cert       string            `yaml:"cert,omitempty"`        // PEM files of the client's certificate
	Key        string            `yaml:"key,omitempty"`
	Settings   map[string]string `yaml:"settings,omitempty"` // handed on with each call, ${VARIABLE}s put in
}

// Cluster says which Kubernetes cluster, and where in it.
type Cluster struct {
	Kubeconfig string `yaml:"kubeconfig,omitempty"` // a file; default $KUBECONFIG, ~/.kube/config, or the pod's own account
	Context    string `yaml:"context,omitempty"`    // of it; default the current one
	Namespace  string `yaml:"namespace,omitempty"`  // default the context's
}

// Healthcheck is what differs from the image's HEALTHCHECK.
type Healthcheck struct {
	Command     []string      `yaml:"command,omitempty"`
	Interval    time.Duration `yaml:"interval,omitempty"`
	Timeout     time.Duration `yaml:"timeout,omitempty"`
	StartPeriod time.Duration `yaml:"start_period,omitempty"`
	Retries     int           `yaml:"retries,omitempty"`
}

// Router is what splits traffic.
type Router struct {
	Driver string `yaml:"driver,omitempty"` // "proxy" (default), "nginx", "kubernetes", "exec", "webhook", or "none" where all releases are rolling
	Admin  string `yaml:"admin,omitempty"`  // admin socket of the proxy; default ".switchback/proxy.sock"
	// The rest is of nginx.
	Include string        `yaml:"include,omitempty"` // the path that nginx.conf includes in its http block
	Name    string        `yaml:"name,omitempty"`    // of the variable that proxy_pass names; default "switchback"
	Beacon  string        `yaml:"beacon,omitempty"`  // a loopback HOST:PORT or unix:PATH; default "127.0.0.1:8911"
	Test    []string      `yaml:"test,omitempty"`    // default [nginx, -t]
	Reload  []string      `yaml:"reload,omitempty"`  // default [nginx, -s, reload]
	Timeout time.Duration `yaml:"timeout,omitempty"` // of each of the two, and of the proof; default 10s
	Log     string        `yaml:"log,omitempty"`     // the access log, in the format NAME_requests, by which requests are counted for gates
	// This is of exec and webhook, which take timeout too: of a call, default 30s.
	Custom `yaml:",inline"`
	// The rest is of kubernetes, which takes timeout too: how long the cluster may take to follow.
	Cluster `yaml:",inline"` // what is empty is as the service has it
	// A Service sends all traffic to one version; an HTTPRoute of the Gateway API shares it. It is the one or the other.
	Service  string        `yaml:"service,omitempty"`  // that clients use
	Route    string        `yaml:"route,omitempty"`    // the HTTPRoute
	Services []string      `yaml:"services,omitempty"` // the two that its rules name
	Settle   time.Duration `yaml:"settle,omitempty"`   // how long a drain waits for the proxies; default 10s
}

// Discovery is the service registry.
type Discovery struct {
	Driver string `yaml:"driver,omitempty"` // "file" (default), "etcd" or "consul"
	Path   string `yaml:"path,omitempty"`   // of the file; default ".switchback/discovery.json"
	// The rest is of etcd and consul. Username, Password and Token may be ${VARIABLE}s.
	Endpoints []string `yaml:"endpoints,omitempty"` // http://HOST:2379, …; one of consul: http://127.0.0.1:8500
	Prefix    string   `yaml:"prefix,omitempty"`    // of the keys; default "switchback"
	Token     string   `yaml:"token,omitempty"`     // of consul alone; the next two are of etcd
	Username  string   `yaml:"username,omitempty"`
	Password  string   `yaml:"password,omitempty"`
	CA        string   `yaml:"ca,omitempty"`   // PEM file of the authorities; the system's when empty
	Cert      string   `yaml:"cert,omitempty"` // PEM files of the client's certificate
	Key       string   `yaml:"key,omitempty"`
}

// Agent says what switchback agent does on this machine. Its registry is that of release.discovery.
type Agent struct {
	Name    string        `yaml:"name,omitempty"`    // of its own in the registry; default the machine's
	Address string        `yaml:"address,omitempty"` // at which others reach this machine; default 127.0.0.1
	Labels  []string      `yaml:"labels,omitempty"`  // only containers that have all of these: NAME or NAME=VALUE
	TTL     time.Duration `yaml:"ttl,omitempty"`     // how long its entries outlive it in etcd or Consul; default 15s
	// NoRegister has it register nothing, on a machine with an NGINX and no containers.
	NoRegister bool   `yaml:"no_register,omitempty"`
	Render     Render `yaml:"render,omitempty"`
}

// Render says which NGINX follows service discovery; none when there is no Include.
type Render struct {
	Include      string        `yaml:"include,omitempty"`      // the path that nginx.conf includes in its http block
	Beacon       string        `yaml:"beacon,omitempty"`       // a loopback HOST:PORT or unix:PATH; default "127.0.0.1:8912"
	Test         []string      `yaml:"test,omitempty"`         // default [nginx, -t]
	Reload       []string      `yaml:"reload,omitempty"`       // default [nginx, -s, reload]
	Timeout      time.Duration `yaml:"timeout,omitempty"`      // of each of the two, and of the proof; default 10s
	Template     string        `yaml:"template,omitempty"`     // a file in place of the built-in template
	Applications []string      `yaml:"applications,omitempty"` // these and no others; default all
	Empty        string        `yaml:"empty,omitempty"`        // an application without an instance: "keep" (default) its last ones, or "unavailable"
	Releases     bool          `yaml:"releases,omitempty"`     // also what releases registered as up, with equal shares
	Quiet        time.Duration `yaml:"quiet,omitempty"`        // how long nothing may have changed until NGINX is told; default 200ms
	Most         time.Duration `yaml:"most,omitempty"`         // how long a change may wait for that; default 2s
	Drain        time.Duration `yaml:"drain,omitempty"`        // how long requests at what was taken out are watched; default 30s
}

// Load reads switchback.yaml of a folder. Without one, everything has its default.
func Load(dir string) (*Config, error) {
	c := &Config{dir: dir}
	file := filepath.Join(dir, FileName)
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read the configuration: %w", err)
	default:
		c.text = data
		if err := yaml.UnmarshalWithOptions(data, c, yaml.Strict()); err != nil {
			return nil, migrate.YAMLError(file, err)
		}
	}
	c.defaults()
	return c, nil
}

// Fault is an error about the value of a key, such as release.router.driver, at its line of the file: that of the
// block it would be in when it is not there.
func (c *Config) Fault(key, reason string) error {
	fault := &migrate.FolderError{Path: filepath.Join(c.dir, FileName), Reason: key + " " + reason}
	for place := key; place != "" && fault.Line == 0; place = place[:max(0, strings.LastIndexByte(place, '.'))] {
		if path, err := yaml.PathString("$." + place); err == nil {
			if node, err := path.ReadNode(bytes.NewReader(c.text)); err == nil {
				fault.Line = node.GetToken().Position.Line
			}
		}
	}
	return fault
}

func (c *Config) defaults() {
	set := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	for s, value := range map[*string]string{
		&c.Changes: "changes", &c.Snapshots.Store: ".switchback/snapshots",
		&c.Drift.History:         ".switchback/drift",
		&c.Release.Service.State: ".switchback/process", &c.Release.Router.Admin: ".switchback/proxy.sock",
		&c.Release.Discovery.Path: ".switchback/discovery.json",
	} {
		set(s, value)
		*s = c.path(*s)
	}
	c.Release.Service.Dir = c.path(c.Release.Service.Dir)
	set(&c.Drift.From, "staging")
	set(&c.Drift.To, "production")
	set(&c.Release.Application, "app")
	set(&c.Release.Service.Driver, "process")
	orchestrated := c.Release.Service.Driver == "swarm" || c.Release.Service.Driver == "kubernetes"
	if c.Release.Service.Driver == "swarm" { // it replaces tasks by itself, unless two versions are wanted
		set(&c.Release.Strategy, "rolling")
	}
	set(&c.Release.Strategy, "bluegreen")
	if orchestrated && c.Release.Strategy == "rolling" { // nothing is shifted
		set(&c.Release.Router.Driver, "none")
	}
	if c.Release.Service.Publish != 0 {
		set(&c.Release.Service.PublishMode, "ingress")
	}
	set(&c.Release.Router.Driver, "proxy")
	set(&c.Release.Discovery.Driver, "file")
	set(&c.Release.Discovery.Prefix, "switchback")
	for _, file := range []*string{
		&c.Release.Discovery.CA, &c.Release.Discovery.Cert, &c.Release.Discovery.Key, &c.Release.Router.Include,
		&c.Release.Events.File, &c.Release.Metrics.Textfile, &c.Release.Service.Template, &c.Release.Service.Kubeconfig, &c.Release.Router.Kubeconfig,
		&c.Release.Service.SecretFile, &c.Release.Service.CA, &c.Release.Service.Cert, &c.Release.Service.Key,
		&c.Release.Router.SecretFile, &c.Release.Router.CA, &c.Release.Router.Cert, &c.Release.Router.Key,
		&c.Agent.Render.Include, &c.Agent.Render.Template,
	} {
		if *file != "" {
			*file = c.path(*file)
		}
	}
	wait := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	wait(&c.Release.Bake, 10*time.Second)
	wait(&c.Release.Healthy, 30*time.Second)
	wait(&c.Release.Drain, 30*time.Second)
	wait(&c.Release.Grace, 10*time.Second)
	wait(&c.Agent.TTL, 15*time.Second)
	wait(&c.Agent.Render.Quiet, 200*time.Millisecond)
	wait(&c.Agent.Render.Most, 2*time.Second)
	wait(&c.Agent.Render.Drain, 30*time.Second)
	set(&c.Agent.Render.Empty, "keep")
	set(&c.Agent.Address, "127.0.0.1")
	if w := c.Release.Events.Webhook; w != nil {
		set(&w.Format, "json")
	}
	if c.Release.Guard != nil {
		wait(&c.Release.Guard.Within, time.Minute)
	}
	for i := range c.Release.Hooks {
		wait(&c.Release.Hooks[i].Within, 5*time.Minute)
	}
	for i := range c.Release.Analysis {
		g := &c.Release.Analysis[i]
		wait(&g.Every, time.Second)
		wait(&g.Within, time.Minute)
		if g.Otherwise == "" {
			g.Otherwise = "hold"
		}
	}
}

// path makes a path of the file absolute or relative to where the command runs. An address stays as it is.
func (c *Config) path(p string) string {
	if filepath.IsAbs(p) || strings.Contains(p, "://") {
		return p
	}
	return filepath.Join(c.dir, p)
}

// Environment returns the environment of that name, its variables put in. Without a name, it is the
// only one there is.
func (c *Config) Environment(name string) (Environment, error) {
	if name == "" && len(c.Environments) != 1 {
		return Environment{}, fmt.Errorf("which database? %s has %s\n  next: say --env NAME, or --url URL", FileName, c.names())
	}
	for n, e := range c.Environments {
		if n == name || name == "" {
			var err error
			if e.URL, err = Substitute(e.URL); err != nil {
				return Environment{}, fmt.Errorf("url of environment %s: %w", n, err)
			}
			e.URL = c.sqlitePath(e.URL)
			return e, nil
		}
	}
	return Environment{}, fmt.Errorf("there is no environment %q: %s has %s\n  next: --env NAME of one that is there, or --url URL", name, FileName, c.names())
}

// sqlitePath makes the file of an SQLite URL relative to where the command runs.
func (c *Config) sqlitePath(url string) string {
	if file, ok := strings.CutPrefix(url, "sqlite:"); ok && !strings.HasPrefix(file, "/") {
		return "sqlite:" + c.path(file)
	}
	return url
}

func (c *Config) names() string {
	if len(c.Environments) == 0 {
		return "no environments"
	}
	var names []string
	for n := range c.Environments {
		names = append(names, n)
	}
	sort.Strings(names)
	return "the environments " + strings.Join(names, ", ")
}

var variable = regexp.MustCompile(`\$\{(\w+)\}`)

// Substitute puts environment variables in for ${NAME}. One that is not set is an error.
func Substitute(text string) (string, error) {
	var missing []string
	out := variable.ReplaceAllStringFunc(text, func(m string) string {
		value, ok := os.LookupEnv(m[2 : len(m)-1])
		if !ok {
			missing = append(missing, m)
		}
		return value
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("%s is not set", strings.Join(missing, ", "))
	}
	return out, nil
}
