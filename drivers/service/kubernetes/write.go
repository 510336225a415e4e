package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/strategies"
)

// scaler is the field manager of how many pods there are, which is written apart from the definition.
const scaler = cluster.Manager + "-scale"

// deployment is the definition as it is applied. One that is empty stays so: a number of pods that is left out would
// become 1.
func (d definition) deployment(op strategies.Operation, empty bool) *cluster.Object {
	spec := maps.Clone(d.spec)
	if empty {
		spec["replicas"] = int64(0)
	}
	o := cluster.New("apps/v1", "Deployment", d.name, map[string]any{"spec": spec})
	o.SetLabels(d.labels)
	notes := maps.Clone(d.notes)
	notes[noteOperation], notes[noteFence] = op.ID, strconv.FormatInt(op.Fence, 10)
	o.SetAnnotations(notes)
	return o
}

// create makes the Deployment of an instance, with no pods yet.
func (s *Service) create(ctx context.Context, op strategies.Operation, d definition) (*cluster.Object, error) {
	other, err := s.cluster.Get(ctx, cluster.Deployments, d.name)
	if err == nil && other.GetLabels()[labelInstance] != d.id {
		return nil, fmt.Errorf("a Deployment that is not of this application has the name %s: %w\n  next: %s, then the same again", d.name, strategies.ErrForeignChange, s.cluster.Kubectl("delete deployment "+d.name))
	}
	if err != nil && !errors.Is(err, strategies.ErrNotFound) {
		return nil, err
	}
	return s.apply(ctx, op, d, true)
}

// apply writes the definition. Where it was to stay empty, another attempt at the same may have scaled it up meanwhile.
func (s *Service) apply(ctx context.Context, op strategies.Operation, d definition, empty bool) (*cluster.Object, error) {
	o, err := s.cluster.Apply(ctx, cluster.Deployments, d.deployment(op, empty), cluster.Manager, false)
	if !empty || !errors.Is(err, strategies.ErrForeignChange) {
		return o, err
	}
	now, again := s.cluster.Get(ctx, cluster.Deployments, d.name)
	if again != nil || replicas(now) == 0 {
		return o, err
	}
	return s.apply(ctx, op, d, false)
}

// unchanged applies the definition again to a Deployment that is there. Where nobody has changed it, that changes
// nothing but the operation; where somebody has, the API says so.
func (s *Service) unchanged(ctx context.Context, op strategies.Operation, d definition, found *cluster.Object) (*cluster.Object, error) {
	found, err := s.apply(ctx, op, d, replicas(found) == 0)
	if errors.Is(err, strategies.ErrForeignChange) {
		return nil, fmt.Errorf("%w\n  next: %s has it; undo what was changed, or: %s, then: switchback release resume", err,
			s.cluster.Kubectl("get deployment "+d.name+" -o yaml --show-managed-fields"), s.cluster.Kubectl("delete deployment "+d.name))
	}
	return found, err
}

// belong makes an object that goes when the Deployment goes. One that is there already is left as it is, if it
// is this Deployment's.
func (s *Service) belong(ctx context.Context, kind schema.GroupVersionResource, o, deployment *cluster.Object) error {
	yes := true
	o.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "Deployment", Name: deployment.GetName(), UID: deployment.GetUID(), BlockOwnerDeletion: &yes,
	}})
	_, err := s.cluster.Create(ctx, kind, o)
	if !errors.Is(err, cluster.ErrConflict) {
		return err
	}
	there, err := s.cluster.Get(ctx, kind, o.GetName())
	if err != nil {
		return err
	}
	for _, owner := range there.GetOwnerReferences() {
		if owner.UID == deployment.GetUID() {
			return nil
		}
	}
	return fmt.Errorf("the %s %s does not belong to this version: %w\n  next: %s, then the same again", o.GetKind(), o.GetName(), strategies.ErrForeignChange,
		s.cluster.Kubectl("delete "+kind.Resource+" "+o.GetName()))
}

// addSecret makes the Secret with the environment. One that is there is left as it is: the way back has the
// environment that the version had.
func (s *Service) addSecret(ctx context.Context, deployment *cluster.Object, d definition) error {
	if len(d.env) == 0 {
		return nil
	}
	content := map[string]any{}
	for key, value := range d.env {
		content[key] = value
	}
	o := cluster.New("v1", "Secret", d.name, map[string]any{"type": "Opaque", "stringData": content})
	o.SetLabels(s.labels(d.id))
	return s.belong(ctx, cluster.Secrets, o, deployment)
}

// addService makes the Service that is the instance's address.
func (s *Service) addService(ctx context.Context, deployment *cluster.Object, d definition) error {
	o := cluster.New("v1", "Service", d.name, map[string]any{"spec": map[string]any{
		"selector": map[string]any{labelApplication: s.application, labelInstance: d.id},
		"ports":    []any{map[string]any{"name": "application", "port": int64(d.port), "targetPort": int64(d.port), "protocol": "TCP"}},
	}})
	o.SetLabels(s.labels(d.id))
	return s.belong(ctx, cluster.Services, o, deployment)
}

// scale says how many pods there are to be. That is ours alone: somebody who scaled the Deployment meanwhile, or an
// autoscaler, is overruled.
func (s *Service) scale(ctx context.Context, d *cluster.Object, n int32) (*cluster.Object, error) {
	o := cluster.New("apps/v1", "Deployment", d.GetName(), map[string]any{"spec": map[string]any{"replicas": int64(n)}})
	o.SetUID(d.GetUID()) // of this Deployment, and no other of its name
	if n > 0 {
		o.SetAnnotations(map[string]string{noteStarted: time.Now().UTC().Format(time.RFC3339Nano)})
	}
	return s.cluster.Apply(ctx, cluster.Deployments, o, scaler, true)
}
