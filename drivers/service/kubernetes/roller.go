package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/strategies"
)

// Roller implements strategies.Roller with one Deployment of the application, whose pods the cluster replaces.
//
//	Roll ──▶ Secret of the release ──▶ definition (server-side apply, no force) ──▶ number of pods, not paused
//	Rollout ◀── its status, its pods by the release in their labels, and a dry run of the definition
//
// A first Deployment is made paused, so that no pod starts before its Secret is there. The definition is kept as it
// was applied, in an annotation of the same write: applied again as a dry run, it shows what somebody else has
// changed of it. What a release does not set is not looked at, and stays.
type Roller struct{ s *Service }

var _ strategies.Roller = (*Roller)(nil)

// What tells the Deployment that is rolled, and its pods, from those of versions that run side by side.
const (
	labelStrategy  = "switchback/strategy"
	noteDefinition = "switchback/definition"  // as it was applied
	noteSecret     = "switchback/secret"      // the Secret of its environment
	noteOverSecret = "switchback/over-secret" // and of the one that it replaced
)

// NewRoller returns the orchestrator for an application in a namespace; the Deployment has the application's name.
func NewRoller(c *cluster.Cluster, application string) (*Roller, error) {
	s, err := New(c, application, "")
	if err != nil {
		return nil, err
	}
	return &Roller{s}, nil
}

// ours are the labels of the Deployment and its pods.
func (r *Roller) ours() map[string]string {
	return map[string]string{labelApplication: r.s.application, labelStrategy: strategies.Rolling}
}

// Roll implements strategies.Roller.
func (r *Roller) Roll(ctx context.Context, op strategies.Operation, to strategies.Replacement) error {
	fail := func(err error) error {
		return tried(fmt.Sprintf("roll deployment %s to %s", r.s.application, to.Version.Name), err)
	}
	if err := r.s.cluster.Enter(ctx, r.s.application, op); err != nil {
		return fail(err)
	}
	d, err := r.define(to)
	if err != nil {
		return fail(err)
	}
	return fail(r.alone(ctx, func() error {
		now, err := r.read(ctx)
		if err != nil {
			return err
		}
		mine := now.Release == to.Version.Release
		switch {
		case now.found == nil:
			now.found, err = r.create(ctx, op, d, to)
		case now.Foreign != "" || !mine && now.Release != to.Over:
			return now.foreign()
		case !mine || now.Operation != op.ID:
			now.found, err = r.change(ctx, op, d, to, now)
		default:
			err = r.s.addSecret(ctx, now.found, d)
		}
		if err != nil {
			return err
		}
		return r.set(ctx, now.found, to.Pace.Replicas, false)
	}))
}

// create makes the Deployment, paused, and then its Secret.
func (r *Roller) create(ctx context.Context, op strategies.Operation, d definition, to strategies.Replacement) (*cluster.Object, error) {
	o, err := r.object(op, d)
	if err != nil {
		return nil, err
	}
	n := int64(d.replicas)
	if to.Pace.Replicas > 0 {
		n = int64(to.Pace.Replicas)
	}
	spec := object(o.Object, "spec")
	spec["replicas"], spec["paused"] = n, true
	made, err := r.s.cluster.Apply(ctx, cluster.Deployments, o, cluster.Manager, false)
	if errors.Is(err, strategies.ErrForeignChange) { // another attempt at the same was quicker, and it goes on already
		return nil, fmt.Errorf("%w: %w", cluster.ErrConflict, err)
	}
	if err != nil {
		return nil, err
	}
	failpoint.Hit("kubernetes: deployment made")
	return made, r.s.addSecret(ctx, made, d)
}

// change puts another definition in force, as the Deployment was read or not at all. The Secret of the release before
// the one that is replaced goes: nothing comes back to it.
func (r *Roller) change(ctx context.Context, op strategies.Operation, d definition, to strategies.Replacement, now rollout) (*cluster.Object, error) {
	if err := r.s.addSecret(ctx, now.found, d); err != nil {
		return nil, err
	}
	failpoint.Hit("kubernetes: secret made")
	notes := now.found.GetAnnotations()
	if old := notes[noteOverSecret]; old != "" && old != d.name && old != notes[noteSecret] {
		if err := r.forget(ctx, now.found, old); err != nil {
			return nil, err
		}
	}
	o, err := r.object(op, d)
	if err != nil {
		return nil, err
	}
	all := o.GetAnnotations()
	all[noteOverSecret] = notes[noteSecret]
	if now.Release == to.Version.Release { // the same definition, by another operation
		all[noteOverSecret] = notes[noteOverSecret]
	}
	o.SetAnnotations(all)
	o.SetUID(now.found.GetUID())
	o.SetResourceVersion(now.found.GetResourceVersion())
	made, err := r.s.cluster.Apply(ctx, cluster.Deployments, o, cluster.Manager, false)
	if errors.Is(err, strategies.ErrForeignChange) && undone(err, notes[noteDefinition]) {
		made, err = r.s.cluster.Apply(ctx, cluster.Deployments, o, cluster.Manager, true)
	}
	if err != nil {
		return nil, err
	}
	failpoint.Hit("kubernetes: definition applied")
	return made, nil
}

// forget deletes a Secret of the Deployment.
func (r *Roller) forget(ctx context.Context, deployment *cluster.Object, name string) error {
	secret, err := r.s.cluster.Get(ctx, cluster.Secrets, name)
	if errors.Is(err, strategies.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, owner := range secret.GetOwnerReferences() {
		if owner.UID == deployment.GetUID() {
			return r.s.cluster.Delete(ctx, cluster.Secrets, secret)
		}
	}
	return nil
}

// set says how many pods there are to be, 0 for as many as there are, and whether they are replaced. Where it is so
// already, nothing is written.
func (r *Roller) set(ctx context.Context, d *cluster.Object, n int, paused bool) error {
	if n == 0 {
		n = int(replicas(d))
	}
	if int(replicas(d)) == n && isPaused(d) == paused {
		return nil
	}
	o := cluster.New("apps/v1", "Deployment", d.GetName(), map[string]any{"spec": map[string]any{"replicas": int64(n), "paused": paused}})
	o.SetUID(d.GetUID())
	o.SetResourceVersion(d.GetResourceVersion())
	_, err := r.s.cluster.Apply(ctx, cluster.Deployments, o, scaler, true)
	failpoint.Hit("kubernetes: set going")
	return err
}

func isPaused(d *cluster.Object) bool {
	paused, _ := object(d.Object, "spec")["paused"].(bool)
	return paused
}

// Halt implements strategies.Roller.
func (r *Roller) Halt(ctx context.Context, op strategies.Operation, release string) error {
	fail := func(err error) error { return tried("halt deployment "+r.s.application, err) }
	if err := r.s.cluster.Enter(ctx, r.s.application, op); err != nil {
		return fail(err)
	}
	return fail(r.alone(ctx, func() error {
		now, err := r.read(ctx)
		if err != nil {
			return err
		}
		if now.found == nil || now.Release != release || now.Foreign != "" {
			return now.foreign()
		}
		return r.set(ctx, now.found, 0, true)
	}))
}

// Withdraw implements strategies.Roller: the Deployment is deleted, and is gone when its pods are.
func (r *Roller) Withdraw(ctx context.Context, op strategies.Operation, release string) error {
	fail := func(err error) error { return tried("withdraw deployment "+r.s.application, err) }
	if err := r.s.cluster.Enter(ctx, r.s.application, op); err != nil {
		return fail(err)
	}
	err := r.alone(ctx, func() error {
		now, err := r.read(ctx)
		switch {
		case err != nil || now.found == nil:
			return err
		case now.Release == release && now.found.GetDeletionTimestamp() != nil:
			return nil
		case now.Release != release || now.Foreign != "":
			return now.foreign()
		}
		return r.s.cluster.Delete(ctx, cluster.Deployments, now.found)
	})
	if err != nil {
		return fail(err)
	}
	failpoint.Hit("kubernetes: deleted")
	return fail(r.gone(ctx))
}

// gone waits until there is no Deployment any more.
func (r *Roller) gone(ctx context.Context) error {
	for begun := time.Now(); ; {
		d, err := r.s.cluster.Get(ctx, cluster.Deployments, r.s.application)
		if errors.Is(err, strategies.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		pod := object(object(object(d.Object, "spec"), "template"), "spec")
		grace, _ := pod["terminationGracePeriodSeconds"].(int64)
		if time.Since(begun) > patience+time.Duration(grace)*time.Second {
			return fmt.Errorf("it was deleted, but it is not gone\n  next: %s shows its pods that do not end", r.s.cluster.Kubectl("get deployment,pods -l "+r.selector()))
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func (r *Roller) selector() string {
	return labelApplication + "=" + r.s.application + "," + labelStrategy + "=" + strategies.Rolling
}

// alone does something that looks at the Deployment and then changes it. Where it was changed in between, be it by the
// cluster itself, which keeps its status there, it looks again.
func (r *Roller) alone(ctx context.Context, do func() error) (err error) {
	for range attempts {
		if err = do(); !errors.Is(err, cluster.ErrConflict) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// attempts is how often.
const attempts = 50

// tried says what an error came of.
func tried(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// define is the definition of a replacement. Its name is that of its Secret.
func (r *Roller) define(to strategies.Replacement) (definition, error) {
	d, err := r.s.define(to.Version)
	if err != nil {
		return d, err
	}
	template := object(d.spec, "template")
	podLabels := object(object(template, "metadata"), "labels")
	for _, side := range []string{labelInstance, labelSlot} {
		delete(d.labels, side)
		delete(podLabels, side)
	}
	selector := map[string]any{}
	for key, value := range r.ours() {
		d.labels[key], podLabels[key], selector[key] = value, value, value
	}
	d.spec["selector"] = map[string]any{"matchLabels": selector}
	monitor := seconds(to.Pace.Monitor)
	d.spec["minReadySeconds"] = monitor
	d.spec["strategy"] = map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{
		"maxSurge": amount(to.Pace.Surge), "maxUnavailable": amount(to.Pace.Unavailable),
	}}
	if d.spec["progressDeadlineSeconds"] == nil {
		d.spec["progressDeadlineSeconds"] = progress + monitor
	}
	delete(d.spec, "paused")
	pod := object(template, "spec")
	if pod["terminationGracePeriodSeconds"] == nil {
		pod["terminationGracePeriodSeconds"] = seconds(to.Grace)
	}
	return d, nil
}

// progress is how long the cluster waits for a pod, in seconds, where the template says nothing: its own default.
const progress = int64(600)

// seconds are whole ones, as the API has them.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// amount is a number of pods or a share of them, as the API has it.
func amount(text string) any {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return n
	}
	return text
}

// object is the definition as it is applied.
func (r *Roller) object(op strategies.Operation, d definition) (*cluster.Object, error) {
	text, err := json.Marshal(d.spec)
	if err != nil {
		return nil, err
	}
	o := cluster.New("apps/v1", "Deployment", r.s.application, map[string]any{"spec": maps.Clone(d.spec)})
	o.SetLabels(d.labels)
	notes := maps.Clone(d.notes)
	maps.Copy(notes, map[string]string{
		noteOperation: op.ID, noteFence: strconv.FormatInt(op.Fence, 10), noteDefinition: string(text), noteSecret: d.name,
	})
	o.SetAnnotations(notes)
	return o, nil
}

// Prepare implements strategies.Roller. The API is asked whether it would take the definition. An image keeps its tag:
// which image that is, only the nodes find out.
func (r *Roller) Prepare(ctx context.Context, to strategies.Replacement) (strategies.Replacement, error) {
	fail := func(err error) (strategies.Replacement, error) {
		return to, fmt.Errorf("prepare deployment %s for %s: %w", r.s.application, to.Version.Name, err)
	}
	var err error
	if to.Pace, err = paced(to.Pace); err != nil {
		return to, err
	}
	if to.Version.Container != nil {
		c := *to.Version.Container
		c.Image = to.Version.Filler("")(c.Image)
		to.Version.Container = &c
	}
	d, err := r.define(to)
	if err != nil {
		return fail(err)
	}
	to.Version.Container.Port = d.port
	now, err := r.read(ctx)
	if err != nil {
		return fail(err)
	}
	if now.Foreign != "" { // a Roll says so
		return to, nil
	}
	o, err := r.object(strategies.Operation{}, d)
	if err != nil {
		return fail(err)
	}
	if _, err := r.s.cluster.Try(ctx, cluster.Deployments, o, cluster.Manager, true); err != nil {
		return fail(err)
	}
	return to, nil
}

// monitor is how long a new pod has to stay ready where nothing else is said.
const monitor = 30 * time.Second

// paced is a pace with what was left out.
func paced(p strategies.Pace) (strategies.Pace, error) {
	if err := strategies.CheckPace(p); err != nil {
		return p, err
	}
	switch {
	case p.Parallelism != 0:
		return p, &strategies.PaceError{Word: "parallelism", Reason: fmt.Sprintf("is %d: Kubernetes does not know it; set surge to %d, or unavailable", p.Parallelism, p.Parallelism)}
	case p.Delay != 0:
		return p, &strategies.PaceError{Word: "delay", Reason: fmt.Sprintf("is %s: Kubernetes does not know it; set monitor to %s, for which a new pod has to be ready before the next follows", p.Delay, p.Delay)}
	case p.Order == strategies.StartFirst:
		return p, &strategies.PaceError{Word: "order", Reason: "is start-first: Kubernetes does not know it; set surge to 1 and unavailable to 0"}
	case p.Order != "":
		return p, &strategies.PaceError{Word: "order", Reason: "is stop-first: Kubernetes does not know it; set surge to 0 and unavailable to 1"}
	}
	if p.Surge == "" {
		p.Surge = "1"
	}
	if p.Unavailable == "" {
		p.Unavailable = "0"
	}
	if nothing(p.Surge) && nothing(p.Unavailable) {
		return p, &strategies.PaceError{Word: "surge", Reason: fmt.Sprintf("is %s, and unavailable is %s: no pod could be replaced; set one of them to 1", p.Surge, p.Unavailable)}
	}
	if p.Monitor == 0 {
		p.Monitor = monitor
	}
	return p, nil
}

func nothing(amount string) bool { return strings.Trim(amount, "0%") == "" }
