package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/strategies"
)

// rollout is what a Deployment says by itself.
type rollout struct {
	strategies.Rollout
	found *cluster.Object // nil for one that is not there
}

// read reads the Deployment. What its pods do is not in it yet.
func (r *Roller) read(ctx context.Context) (rollout, error) {
	var err error
	for range attempts {
		var now rollout
		if now, err = r.readOnce(ctx); !errors.Is(err, cluster.ErrConflict) || ctx.Err() != nil {
			return now, err
		}
	}
	return rollout{}, err
}

func (r *Roller) readOnce(ctx context.Context) (rollout, error) {
	now := rollout{Rollout: strategies.Rollout{State: strategies.RollAbsent, Look: r.s.cluster.Kubectl("describe deployment,pods -l " + r.selector())}}
	d, err := r.s.cluster.Get(ctx, cluster.Deployments, r.s.application)
	if errors.Is(err, strategies.ErrNotFound) {
		return now, nil
	}
	if err != nil {
		return now, err
	}
	now.found, now.State, now.Wanted = d, strategies.RollGoing, int(replicas(d))
	for key, value := range r.ours() {
		if d.GetLabels()[key] != value {
			now.Foreign = fmt.Sprintf("there is a Deployment %s that is not of this application's rolling releases", r.s.application)
			now.Look = r.s.cluster.Kubectl("get deployment "+r.s.application+" -o yaml") + "; give release.application another name, or delete that Deployment"
			return now, nil
		}
	}
	notes := d.GetAnnotations()
	now.Release, now.Version, now.Operation = notes[labelRelease], notes[labelVersion], notes[noteOperation]
	now.Fence, _ = strconv.ParseInt(notes[noteFence], 10, 64) // for people
	if d.GetDeletionTimestamp() != nil {
		now.Foreign = fmt.Sprintf("the Deployment %s is being deleted", r.s.application)
		return now, nil
	}
	if isPaused(d) {
		now.State, now.Detail = strategies.RollHalted, "on request"
	}
	what, err := r.changed(ctx, d)
	if what != "" {
		now.Foreign = fmt.Sprintf("somebody has changed the Deployment %s since release %s put it there: %s", r.s.application, now.Release, what)
		now.Look = r.s.cluster.Kubectl("get deployment "+r.s.application+" -o yaml --show-managed-fields") + " has it; " +
			r.s.cluster.Kubectl("rollout undo deployment "+r.s.application) + " takes the last change of its pods back"
	}
	return now, err
}

// changed says what somebody else has made of the definition: the API is asked what applying it again would do.
func (r *Roller) changed(ctx context.Context, d *cluster.Object) (string, error) {
	spec, err := cluster.Plain(json.RawMessage(d.GetAnnotations()[noteDefinition]))
	if err != nil {
		return "its annotation " + noteDefinition + " is not as it was", nil //nolint:nilerr // that is what is wrong with it
	}
	o := cluster.New("apps/v1", "Deployment", d.GetName(), map[string]any{"spec": spec})
	o.SetUID(d.GetUID())
	o.SetResourceVersion(d.GetResourceVersion())
	again, err := r.s.cluster.Try(ctx, cluster.Deployments, o, cluster.Manager, false)
	if errors.Is(err, strategies.ErrForeignChange) {
		_, fields, _ := strings.Cut(err.Error(), strategies.ErrForeignChange.Error()+": ")
		return fields, nil
	}
	if err != nil {
		return "", err
	}
	was, is := defined(again), defined(d)
	for _, key := range slices.Sorted(maps.Keys(was)) {
		if !reflect.DeepEqual(was[key], is[key]) { // taken out: who has taken it has no field to be named by
			return "something was taken out of its spec." + key, nil
		}
	}
	return "", nil
}

var (
	conflicting = regexp.MustCompile(`(\.\S+) \(conflict with `)
	pathStep    = regexp.MustCompile(`\.([^.\[]+)|\[([^\]]+)\]`)
)

// undone tells whether all fields in which a definition is refused are those of the definition in force, which is
// as it was put there: somebody has changed them and changed them back, and is still in the API's books for them.
func undone(refused error, definition string) bool {
	spec, err := cluster.Plain(json.RawMessage(definition))
	fields := conflicting.FindAllStringSubmatch(refused.Error(), -1)
	if err != nil || len(fields) == 0 {
		return false
	}
	for _, f := range fields {
		if !sets(map[string]any{"spec": spec}, pathStep.FindAllStringSubmatch(f[1], -1)) {
			return false
		}
	}
	return true
}

// sets tells whether a tree has a value at the end of a path, such as .spec.containers[name="web"].image.
func sets(node any, path [][]string) bool {
	if len(path) == 0 {
		return true
	}
	if key := path[0][1]; key != "" {
		tree, _ := node.(map[string]any)
		next, ok := tree[key]
		return ok && sets(next, path[1:])
	}
	list, _ := node.([]any)
	return slices.ContainsFunc(list, func(item any) bool { return named(item, path[0][2]) && sets(item, path[1:]) })
}

// named tells whether an item of a list is the one with these keys: name="web". What it does not say of itself is the
// API's to fill in.
func named(item any, keys string) bool {
	tree, _ := item.(map[string]any)
	for _, one := range strings.Split(keys, ",") {
		key, value, _ := strings.Cut(one, "=")
		if has, ok := tree[key]; ok && fmt.Sprint(has) != strings.Trim(value, `"`) {
			return false
		}
	}
	return tree != nil
}

// defined is the spec of a Deployment without what is not part of the definition.
func defined(d *cluster.Object) map[string]any {
	spec := maps.Clone(object(d.Object, "spec"))
	delete(spec, "replicas")
	delete(spec, "paused")
	return spec
}

// foreign is the error about a Deployment that is not as it is expected.
func (now rollout) foreign() error {
	what := now.Foreign
	switch {
	case what != "":
	case now.found == nil:
		what = "the Deployment is gone"
	default:
		what = fmt.Sprintf("release %s is in force", now.Release)
	}
	return fmt.Errorf("%s: %w\n  next: %s", what, strategies.ErrForeignChange, now.Look)
}

// Rollout implements strategies.Roller.
func (r *Roller) Rollout(ctx context.Context) (strategies.Rollout, error) {
	fail := func(err error) (strategies.Rollout, error) {
		return strategies.Rollout{}, fmt.Errorf("observe deployment %s: %w", r.s.application, err)
	}
	now, err := r.read(ctx)
	if err != nil {
		return fail(err)
	}
	if now.found == nil || now.Release == "" {
		return now.Rollout, nil
	}
	pods, err := r.s.cluster.List(ctx, cluster.Pods, r.ours())
	if err != nil {
		return fail(err)
	}
	if err := now.look(pods); err != nil {
		return fail(err)
	}
	return now.Rollout, nil
}

// look takes the pods into account, and what the cluster says of the Deployment.
func (now *rollout) look(pods []cluster.Object) error {
	var d deployment
	if err := cluster.Decode(now.found, &d); err != nil {
		return err
	}
	var said []string
	followed := d.Status.ObservedGeneration >= d.Metadata.Generation
	failed := d.trouble()
	late := false
	for n := range pods {
		var p pod
		if err := cluster.Decode(&pods[n], &p); err != nil {
			return err
		}
		if !now.count(&pods[n], p) {
			continue
		}
		why, ended := p.trouble()
		if why != "" {
			said = append(said, fmt.Sprintf("pod %s: %s", p.Metadata.Name, why))
		}
		late = late || ended || followed && d.late(pods[n].GetLabels()[hashLabel])
	}
	s := d.Status
	whole := int(s.UpdatedReplicas) == now.Wanted && int(s.AvailableReplicas) >= now.Wanted && s.Replicas == s.UpdatedReplicas
	if now.State == strategies.RollGoing && followed && whole && now.Healthy == now.Wanted && now.Updated == now.Wanted && now.Old == 0 {
		now.State = strategies.RollDone
		return nil
	}
	if now.State == strategies.RollGoing && late {
		now.State = strategies.RollHalted
	}
	if !followed && now.Updated == 0 {
		failed = "the cluster has not looked at it yet; is its controller manager running?"
	}
	slices.Sort(said)
	for _, text := range append([]string{failed}, said[:min(len(said), shownPods)]...) {
		if text != "" {
			now.Detail = strings.TrimPrefix(now.Detail+"; "+text, "; ")
		}
	}
	return nil
}

// shownPods is how many pods that are not ready are told of.
const shownPods = 3

// hashLabel is a pod's label with the hash that the name of its ReplicaSet ends with.
const hashLabel = "pod-template-hash"

// count counts a pod, and tells whether it is one of the definition in force that is to stay.
func (now *rollout) count(o *cluster.Object, p pod) bool {
	switch {
	case p.Status.Phase == "Failed" || p.Status.Phase == "Succeeded":
		return false
	case o.GetLabels()[labelRelease] != plainLabel(now.Release):
		now.Old++
		return false
	case o.GetDeletionTimestamp() != nil:
		return false
	}
	now.Updated++
	if slices.ContainsFunc(p.Status.Conditions, func(c condition) bool { return c.Type == "Ready" && c.Status == "True" }) {
		now.Healthy++
	}
	return true
}

// trouble is what the cluster says of the Deployment as a whole.
func (d deployment) trouble() string {
	var list []string
	for _, c := range d.Status.Conditions {
		if c.Type == "ReplicaFailure" && c.Status == "True" {
			list = append(list, "no pod can be made: "+c.Message)
		}
	}
	return strings.Join(list, "; ")
}

// late tells whether the ReplicaSet with the hash has not come further within progressDeadlineSeconds. The condition
// names it, and may still be about one before.
func (d deployment) late(hash string) bool {
	return hash != "" && slices.ContainsFunc(d.Status.Conditions, func(c condition) bool {
		return c.Type == "Progressing" && c.Reason == "ProgressDeadlineExceeded" && strings.Contains(c.Message, "-"+hash+`"`)
	})
}
