package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/analysis"
	"github.com/switchbackdb/switchback/drivers/discovery/consul"
	"github.com/switchbackdb/switchback/drivers/discovery/etcd"
	"github.com/switchbackdb/switchback/drivers/discovery/file"
	"github.com/switchbackdb/switchback/drivers/hook"
	"github.com/switchbackdb/switchback/internal/tlsfiles"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
	"github.com/switchbackdb/switchback/strategies"
)

func releaseCommand() *cli.Command {
	start := observedFlags(
		&cli.StringFlag{Name: "version", Usage: "the version of the application to release, `NAME`", DefaultText: "the tag of --image"},
		&cli.StringFlag{Name: "image", Usage: "the `IMAGE` it runs from, instead of the one in " + config.FileName},
		&cli.StringFlag{Name: "name", Usage: "the release's own `NAME`", DefaultText: "the version"},
		&cli.StringFlag{Name: "strategy", Usage: "`NAME`: bluegreen; canary, which begins with a little traffic; or rolling, where the service replaces the instances", DefaultText: "bluegreen, or what the service knows"},
		&cli.IntSliceFlag{Name: "step", Usage: "the candidate's `SHARE` of traffic in percent; once for each step", DefaultText: "100; of a canary 5, 25, 50, 100"},
		&cli.DurationFlag{Name: "bake", Usage: "how long all traffic is watched on the candidate", DefaultText: "10s"},
		&cli.BoolFlag{Name: "pause", Usage: "stop after that, until: switchback release promote"},
		&cli.BoolFlag{Name: "no-health", Usage: "take the version for healthy once it runs and listens: nothing else is there to ask"},
		&cli.BoolFlag{Name: "no-contract", Usage: "leave the contract for later: switchback contract"},
		&cli.StringFlag{Name: "no-snapshot", Usage: "go without a snapshot, for a `REASON` that is written to the journal"},
		&cli.StringFlag{Name: "store", Usage: "the `FOLDER` of snapshots", DefaultText: ".switchback/snapshots"},
	)
	return &cli.Command{
		Name:  "release",
		Usage: "database and traffic together: out, and back",
		Subcommands: []*cli.Command{
			{Name: "start", Usage: "take the pending changes and a version out (exit 3 when it came back)", Flags: start, Action: releaseStart},
			{Name: "plan", Usage: "every step of that, without doing any", Flags: start, Action: releasePlan},
			releaseStatusCommand(),
			{Name: "promote", Usage: "let a release past its pause", Flags: observedFlags(), Action: releasePromote},
			{Name: "pause", Usage: "stop a running release before its next step, a rolling one where it is", Flags: targetFlags(), Action: releasePause},
			{Name: "resume", Usage: "go on with a release that was paused or cut off", Flags: observedFlags(), Action: releaseResume},
			{Name: "abort", Usage: "bring back a release that is not done yet", Flags: observedFlags(), Action: releaseAbort},
			{Name: "rollback", Usage: "bring back the newest release, done or not", Flags: observedFlags(), Action: releaseRollback},
			{Name: "events", Usage: "what happened to the newest release, as lines of JSON", Flags: targetFlags(&cli.BoolFlag{Name: "all", Usage: "of every release"}), Action: releaseEvents},
		},
	}
}

// machine puts the parts together that the configuration names.
func (t *target) machine(c *cli.Context) (*strategies.Machine, error) {
	r := t.config.Release
	m := &strategies.Machine{Folder: t.folder, Resolve: config.Substitute, Observer: t.told, Poll: strategies.DefaultPoll}
	if err := t.parts(m); err != nil {
		return nil, err
	}
	m.Judge = func(g strategies.Gate) (strategies.Judge, error) {
		judge, err := analysis.New(g, analysis.Parts{Router: m.Router, Target: t.db.DB(), Resolve: config.Substitute, Dir: r.Service.Dir})
		return &heardJudge{judge: judge, gate: g.Name, told: t.told}, err
	}
	m.Strain = t.strain()
	m.Hook = hook.Runner{Dir: r.Service.Dir, Output: &hookOutput{out: t.out}}.Run
	if _, err := t.live(); err == nil {
		m.Unpin = func(ctx context.Context, id string) error {
			store, err := t.store(c)
			if err != nil {
				return err
			}
			if err := store.Unpin(ctx, id); !errors.Is(err, snapshot.ErrNotFound) { // somebody has removed it
				return err
			}
			return nil
		}
		m.Snapshot = func(_ context.Context, note string) (string, error) { return t.provenSnapshot(c, note) }
	}
	return m, nil
}

// parts opens what of the outside the configuration names.
func (t *target) parts(m *strategies.Machine) (err error) {
	r := t.config.Release
	if m.Roller, err = t.roller(r); err != nil || rollsOnly(r) {
		return err
	}
	if m.Router, err = t.router(); err != nil {
		return err
	}
	if m.Service, err = t.service(r); err != nil {
		return err
	}
	m.Discovery, err = t.discovery(r.Discovery)
	return err
}

// discovery is the service registry that the configuration names.
func (t *target) discovery(d config.Discovery) (strategies.Discovery, error) {
	switch d.Driver {
	case "file":
		return file.New(d.Path), nil
	case "etcd":
		registry, err := openEtcd(d)
		if err != nil {
			return nil, err
		}
		t.closers = append(t.closers, registry.Close)
		return registry, nil
	case "consul":
		return t.openConsul(d)
	}
	return nil, unknownDiscovery(d)
}

func openEtcd(d config.Discovery) (*etcd.Discovery, error) {
	o := etcd.Options{Endpoints: d.Endpoints, Prefix: d.Prefix, TLS: tlsfiles.Files{CA: d.CA, Cert: d.Cert, Key: d.Key}}
	var err error
	if o.Username, err = config.Substitute(d.Username); err != nil {
		return nil, fmt.Errorf("%s: release.discovery.username: %w", config.FileName, err)
	}
	if o.Password, err = config.Substitute(d.Password); err != nil {
		return nil, fmt.Errorf("%s: release.discovery.password: %w", config.FileName, err)
	}
	return etcd.New(o)
}

func (p *project) openConsul(d config.Discovery) (*consul.Discovery, error) {
	if len(d.Endpoints) != 1 {
		return nil, p.config.Fault("release.discovery.endpoints", fmt.Sprintf("has %d of them; it is one Consul agent, best the machine's own: [\"http://127.0.0.1:8500\"]", len(d.Endpoints)))
	}
	token, err := config.Substitute(d.Token)
	if err != nil {
		return nil, p.config.Fault("release.discovery.token", "cannot be used: "+err.Error())
	}
	return consul.New(consul.Options{
		Address: d.Endpoints[0], Prefix: d.Prefix, Token: token, TLS: tlsfiles.Files{CA: d.CA, Cert: d.Cert, Key: d.Key},
	})
}

func unknownDiscovery(d config.Discovery) error {
	return fmt.Errorf("%s: release.discovery.driver is %q; this version knows \"file\", \"etcd\" and \"consul\"", config.FileName, d.Driver)
}

// provenSnapshot takes a snapshot and restores it in a scratch database.
func (t *target) provenSnapshot(c *cli.Context, note string) (string, error) {
	store, err := t.store(c)
	if err != nil {
		return "", err
	}
	m, err := t.snapshot(c, store, note)
	if err != nil {
		return "", err
	}
	v, err := t.verified(c, store, m.ID, snapshot.LevelRestored, t.url)
	if err != nil {
		return "", err
	}
	if !v.OK {
		return "", &snapshot.DamagedError{ID: m.ID, Reason: strings.Join(v.Found, "; ")}
	}
	return m.ID, store.Pin(c.Context, m.ID, note)
}

// withMachine opens the target and the parts of a release.
func withMachine(c *cli.Context, f func(*target, *strategies.Machine) error) error {
	return withTarget(c, c.Command.Name == "start", func(t *target) error {
		m, err := t.machine(c)
		if err != nil {
			return err
		}
		return f(t, m)
	})
}

func releaseStart(c *cli.Context) error {
	begun := false
	err := observed(c, func(t *target, m *strategies.Machine) error {
		plan, err := t.plan(c, m)
		if err != nil {
			return err
		}
		plan.Announced = len(t.told.events) > 0
		begun = true
		var r *strategies.Release
		err = t.runner.Hold(c.Context, "release start --version "+plan.Candidate.Name, func(ctx context.Context, s *migrate.Session) error {
			r, err = m.Begin(ctx, s, *plan)
			return err
		})
		return t.ended(r, err, false)
	})
	if !begun {
		return beforeRelease(err)
	}
	return err
}

func releasePlan(c *cli.Context) error {
	err := withMachine(c, func(t *target, m *strategies.Machine) error {
		plan, err := t.plan(c, m)
		if err != nil {
			return err
		}
		t.out.printf("release %s of %s version %s", plan.Release, plan.Application, plan.Candidate.Name)
		if b := plan.Blue; b != nil {
			t.out.printf("  blue is %s %s", b.Version, b.Instance)
		} else {
			t.out.printf("  there is no blue: it is the first release")
		}
		for _, id := range plan.Changes {
			t.out.printf("  takes along: %s", id)
		}
		for i, s := range plan.Steps {
			t.out.printf("  %2d %s", i+1, s)
		}
		t.printPace(plan)
		if err := t.printCalls(c.Context, m.Router, plan); err != nil {
			return err
		}
		for _, g := range plan.Gates {
			t.out.printf("  gate %s (%s): every %s; without data %s after %s more", g.Name, g.Kind, g.Every, g.Otherwise, g.Within)
		}
		t.printGuard(plan)
		t.printHooks(plan)
		return t.out.document(plan)
	})
	return beforeRelease(err)
}

// printCalls says what the shifts of a release call, where the router tells.
func (t *target) printCalls(ctx context.Context, router strategies.Router, plan *strategies.Plan) error {
	caller, ok := router.(strategies.Caller)
	if !ok || plan.Strategy == strategies.Rolling {
		return nil
	}
	calls, err := caller.Calls(ctx)
	for _, call := range calls {
		t.out.printf("  shift: %s", call)
	}
	return err
}

// plan makes the plan of a release from the folder, the journal, the configuration and what the router
// does now.
func (t *target) plan(c *cli.Context, m *strategies.Machine) (*strategies.Plan, error) {
	releases, err := strategies.Releases(c.Context, t.runner)
	if err != nil {
		return nil, err
	}
	if n := len(releases); n > 0 && !releases[n-1].Status().Final() {
		r := releases[n-1]
		return nil, fmt.Errorf("%w: %s is %s\n  next: switchback release resume, or: switchback release abort", strategies.ErrBusy, r.Plan.Release, r.Status())
	}
	cfg := t.config.Release
	p := &strategies.Plan{
		Release: c.String("name"), Application: cfg.Application, Strategy: cfg.Strategy, Changes: []string{}, NoSnapshot: c.String("no-snapshot"),
		Timing: strategies.Timing{Pause: cfg.Pause, Bake: cfg.Bake, Healthy: cfg.Healthy, Drain: cfg.Drain, Grace: cfg.Grace},
	}
	if s := c.String("strategy"); s != "" {
		p.Strategy = s
	}
	if c.IsSet("bake") {
		p.Timing.Bake = c.Duration("bake")
	}
	service, version, err := released(c, cfg.Service)
	if err != nil {
		return nil, err
	}
	if p.Release == "" {
		p.Release = freeName(version, releases)
	}
	if p.Candidate, err = candidate(service, p.Release, version); err != nil {
		return nil, err
	}
	if err := t.variables(p.Candidate); err != nil {
		return nil, err
	}
	p.Candidate.NoHealth = c.Bool("no-health")
	shares, err := t.shares(c, p.Strategy, m.Router)
	if err != nil {
		return nil, err
	}
	if err := m.Equipped(p); err != nil {
		return nil, err
	}
	if err := t.beside(c.Context, m, p, releases); err != nil {
		return nil, err
	}
	pending, err := t.pending(c.Context, p)
	if err != nil {
		return nil, err
	}
	if err := t.tellStrayed(c.Context, p); err != nil {
		return nil, err
	}
	if len(p.Changes) > 0 && m.Snapshot == nil && p.NoSnapshot == "" {
		return nil, fmt.Errorf("there are no snapshots of %s in this version of switchback\n  state: nothing was changed\n  next: take a backup with the engine's own tool, then add: --no-snapshot REASON", t.db.Dialect().Engine)
	}
	if p.Gates, err = gates(m, cfg.Analysis); err != nil {
		return nil, err
	}
	if p.Guard, err = t.guard(m); err != nil {
		return nil, err
	}
	if p.Hooks, err = t.hooks(); err != nil {
		return nil, err
	}
	if err := t.reachable(p); err != nil {
		return nil, err
	}
	p.Steps = strategies.Steps(p, strategies.Outline{Pending: pending, Shares: shares, Pause: c.Bool("pause"), Contract: !c.Bool("no-contract")})
	return p, nil
}

// shares are the candidate's shares of traffic, step by step. A rolling release has none.
func (t *target) shares(c *cli.Context, strategy string, router strategies.Router) ([]int, error) {
	shares, err := strategies.Shares(strategy)
	if err != nil {
		return nil, fmt.Errorf("%s: release.strategy: %w", config.FileName, err)
	}
	if strategy == strategies.Rolling {
		if c.IsSet("step") {
			return nil, errors.New("a rolling release takes no shares of traffic: its instances take them as they are replaced\n  next: leave out --step")
		}
		return nil, nil
	}
	if len(t.config.Release.Steps) > 0 {
		shares = t.config.Release.Steps
	}
	if c.IsSet("step") {
		shares = c.IntSlice("step")
	}
	if err := strategies.CheckShares(shares); err != nil {
		return nil, err
	}
	if r, ok := router.(strategies.ShareChecker); ok {
		return shares, r.CheckShares(shares)
	}
	return shares, nil
}

// beside puts what is there now into a plan: blue, and of a rolling release how its instances are replaced.
func (t *target) beside(ctx context.Context, m *strategies.Machine, p *strategies.Plan, releases []*strategies.Release) (err error) {
	if p.Strategy == strategies.Rolling {
		return t.rolling(ctx, m, p, releases)
	}
	p.Blue, err = t.blue(ctx, m, releases)
	return err
}

// gates are the gates of the configuration, as a plan has them. Each can be judged.
func gates(m *strategies.Machine, configured []config.Gate) ([]strategies.Gate, error) {
	var list []strategies.Gate
	for _, g := range configured {
		kind, spec, err := g.Kind()
		if err != nil {
			return nil, err
		}
		if g.Name == "" {
			g.Name = kind
		}
		gate := strategies.Gate{Name: g.Name, Kind: kind, Spec: spec, Command: g.Exec, Every: g.Every, Within: g.Within, Otherwise: strategies.Fallback(g.Otherwise)}
		if _, err := m.Judge(gate); err != nil {
			return nil, fmt.Errorf("%s: release.analysis, gate %s: %w", config.FileName, g.Name, err)
		}
		list = append(list, gate)
	}
	return list, strategies.CheckGates(list)
}

// freeName is the version, with a number behind it when there was a release of that name.
func freeName(version string, releases []*strategies.Release) string {
	name := version
	for n := 2; slices.ContainsFunc(releases, func(r *strategies.Release) bool { return r.Plan.Release == name }); n++ {
		name = fmt.Sprintf("%s-%d", version, n)
	}
	return name
}

// blue is the version that serves now: the one of the newest stable release, or one that was put behind
// the router by hand.
func (t *target) blue(ctx context.Context, m *strategies.Machine, releases []*strategies.Release) (*strategies.Stable, error) {
	routing, err := t.observe(ctx, m.Router)
	if err != nil {
		return nil, err
	}
	blue := strategies.StableOf(releases)
	if err := sameKind(blue, releases, false); err != nil {
		return nil, err
	}
	for _, b := range routing.Backends {
		switch {
		case b.Weight == 0:
		case blue != nil && b.Release == blue.Release:
			blue.Address = b.Address
		case blue == nil && b.Release == "":
			blue = &strategies.Stable{Version: b.Version, Address: b.Address}
		}
	}
	if blue != nil && blue.Address == "" {
		return nil, fmt.Errorf("release %s is the stable one, but the router sends it nothing: %w\n  state: nothing was changed\n  next: switchback traffic status", blue.Release, strategies.ErrForeignChange)
	}
	return blue, nil
}

// pending adds the pending changes to a plan and returns which phases of them are pending.
func (t *target) pending(ctx context.Context, p *strategies.Plan) ([]migrate.Phase, error) {
	if _, err := os.Stat(t.config.Changes); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	folder, err := t.folder()
	if err != nil {
		return nil, err
	}
	state, err := t.runner.State(ctx)
	if err != nil {
		return nil, err
	}
	steps, err := migrate.PlanForward(folder, state, migrate.ForwardOptions{Phases: []migrate.Phase{migrate.Expand, migrate.Backfill, migrate.Contract}})
	if err != nil {
		return nil, err
	}
	var phases []migrate.Phase
	for _, s := range steps {
		if !slices.Contains(p.Changes, s.Change) {
			p.Changes = append(p.Changes, s.Change)
		}
		phases = append(phases, s.Phase)
	}
	return phases, nil
}

// ended prints where a release has come to. wanted says that the way back was asked for.
func (t *target) ended(r *strategies.Release, err error, wanted bool) error {
	if r == nil {
		return err
	}
	if err != nil {
		if strings.Contains(err.Error(), "next:") {
			return err
		}
		return fmt.Errorf("release %s was cut off: %w\n  state: %s, the journal knows how far it came\n  next: switchback release resume, or: switchback release abort", r.Plan.Release, err, r.Status())
	}
	if err := t.out.document(r); err != nil {
		return err
	}
	switch r.Status() {
	case strategies.Stabilised:
		t.out.printf("release %s: %s is the stable version", r.Plan.Release, r.Plan.Candidate.Name)
	case strategies.Waiting:
		t.out.printf("release %s waits\n  next: switchback release promote, or: switchback release abort", r.Plan.Release)
	case strategies.Paused:
		if r.HeldFor != "" {
			t.out.printf("release %s is held: %s\n  next: switchback release resume judges again; or: switchback release abort", r.Plan.Release, r.HeldFor)
			return nil
		}
		t.out.printf("release %s is paused\n  next: switchback release resume, or: switchback release abort", r.Plan.Release)
	case strategies.RolledBack:
		if wanted {
			t.out.printf("release %s was rolled back", r.Plan.Release)
			return nil
		}
		return &exitCode{code: exitRolledBack, err: fmt.Errorf("release %s was rolled back: %s\n  state: schema, traffic and application are as they were before it\n  next: switchback release status", r.Plan.Release, r.Reason)}
	}
	return nil
}

// newest is the release that a command is about.
func (t *target) newest(ctx context.Context) (*strategies.Release, error) {
	r, err := strategies.Newest(ctx, t.runner)
	if errors.Is(err, strategies.ErrNoRelease) {
		return nil, fmt.Errorf("%w\n  next: switchback release start --version NAME", err)
	}
	return r, err
}

// unfinished is the newest release, unless nothing is left to be done for it.
func (t *target) unfinished(ctx context.Context) (*strategies.Release, error) {
	r, err := t.newest(ctx)
	if err == nil && r.Status().Final() {
		return nil, fmt.Errorf("release %s is %s, there is nothing left to do\n  next: switchback release status", r.Plan.Release, r.Status())
	}
	return r, err
}

// goOn takes the release on under the lock. When another run has it, that one heeds what was asked.
func (t *target) goOn(c *cli.Context, m *strategies.Machine, r *strategies.Release, wanted bool) error {
	err := t.runner.Hold(c.Context, "release "+c.Command.Name, func(ctx context.Context, s *migrate.Session) (err error) {
		// Another run may have taken it on before this one had the lock.
		if r, err = t.newest(ctx); err != nil || r.Status().Final() {
			return err
		}
		return m.Continue(ctx, s, r)
	})
	var locked *migrate.LockedError
	if errors.As(err, &locked) {
		t.out.printf("asked %s, which runs it, to %s", locked.Holder, c.Command.Name)
		return t.out.document(r)
	}
	return t.ended(r, err, wanted)
}

func releasePromote(c *cli.Context) error {
	return observed(c, func(t *target, m *strategies.Machine) error {
		r, err := t.unfinished(c.Context)
		if err != nil {
			return err
		}
		if r.Back {
			return fmt.Errorf("release %s is on its way back: %s\n  next: switchback release resume", r.Plan.Release, r.Reason)
		}
		if err := strategies.RequestPromote(c.Context, t.runner, r); err != nil {
			return err
		}
		return t.goOn(c, m, r, false)
	})
}

func releasePause(c *cli.Context) error {
	return withTarget(c, false, func(t *target) error {
		r, err := t.unfinished(c.Context)
		if err != nil {
			return err
		}
		if r.Back {
			return fmt.Errorf("release %s is on its way back, which is not paused", r.Plan.Release)
		}
		if err := strategies.RequestPause(c.Context, t.runner, r); err != nil {
			return err
		}
		t.out.printf("release %s pauses before its next step, or where it is when that replaces instances\n  next: switchback release resume", r.Plan.Release)
		return t.out.document(map[string]string{"release": r.Plan.Release, "asked": "pause"})
	})
}

func releaseResume(c *cli.Context) error {
	return observed(c, func(t *target, m *strategies.Machine) error {
		r, err := t.unfinished(c.Context)
		if err != nil {
			return err
		}
		if r.Held {
			if err := strategies.RequestResume(c.Context, t.runner, r); err != nil {
				return err
			}
		}
		return t.goOn(c, m, r, false)
	})
}

func releaseAbort(c *cli.Context) error {
	return observed(c, func(t *target, m *strategies.Machine) error {
		r, err := t.newest(c.Context)
		if err != nil {
			return err
		}
		if r.Status() == strategies.Stabilised {
			return fmt.Errorf("release %s is done, there is nothing to abort\n  next: switchback release rollback", r.Plan.Release)
		}
		return t.bringBack(c, m, r)
	})
}

func releaseRollback(c *cli.Context) error {
	return observed(c, func(t *target, m *strategies.Machine) error {
		r, err := t.newest(c.Context)
		if err != nil {
			return err
		}
		return t.bringBack(c, m, r)
	})
}

// bringBack turns a release back: by this run, or by the one that has the lock, which is waited for.
func (t *target) bringBack(c *cli.Context, m *strategies.Machine, r *strategies.Release) error {
	if r.Status() == strategies.RolledBack {
		return fmt.Errorf("release %s is rolled back already\n  next: switchback release status", r.Plan.Release)
	}
	err := t.runner.Hold(c.Context, "release "+c.Command.Name, func(ctx context.Context, s *migrate.Session) (err error) {
		if r, err = t.newest(ctx); err != nil || r.Status() == strategies.RolledBack {
			return err
		}
		return m.TurnBack(ctx, s, r, c.Command.Name+" asked for by "+migrate.Actor())
	})
	var locked *migrate.LockedError
	if !errors.As(err, &locked) {
		return t.ended(r, err, true)
	}
	if r.Status().Final() {
		return err
	}
	if err := strategies.RequestAbort(c.Context, t.runner, r); err != nil {
		return err
	}
	t.out.line("  asked %s, which runs it, to turn back", locked.Holder)
	for !r.Status().Final() {
		select {
		case <-c.Done():
			return context.Cause(c.Context)
		case <-time.After(200 * time.Millisecond):
		}
		if r, err = t.newest(c.Context); err != nil {
			return err
		}
	}
	return t.ended(r, nil, true)
}

// ReleaseEvent implements strategies.Observer.
func (o *output) ReleaseEvent(e strategies.Event) {
	if e.Earlier {
		return
	}
	if line := eventLine(e); line != "" {
		o.clear()
		o.line("%s", line)
	}
}

// eventLine is what a running release says of an event; nothing of what its other lines tell as well.
func eventLine(e strategies.Event) string {
	marks := map[strategies.EventType]string{
		strategies.StepDone: "▸", strategies.StepFailed: "✗", strategies.StepUndone: "◂", strategies.StepStuck: "✗",
		strategies.StepProgressed: "·",
	}
	note, _, _ := strings.Cut(e.Note+e.Error, "\n")
	if e.Type == strategies.ReleaseTurnedBack {
		return "◂ turning back: " + note
	}
	mark, ok := marks[e.Type]
	if !ok {
		return ""
	}
	return strings.TrimRight(fmt.Sprintf("%s %-11s %7s  %s", mark, e.Step, round(e.Took()), note), " ")
}
