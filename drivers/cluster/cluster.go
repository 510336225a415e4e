// Package cluster talks to the API of a Kubernetes cluster, for the drivers of its services and its routers: where
// the API is, how an object is read and written so that nobody else's change is lost, the fence that all runs share,
// and what the API's errors mean to a person.
//
// It uses the API's generic client: the typed one would triple what it adds to the binary.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	whole "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Manager is the field manager of what the drivers write, so that the API can tell it from anybody else's.
const Manager = "switchback"

// The kinds of object that the drivers use.
var (
	Deployments    = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	Pods           = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	Services       = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	Secrets        = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	EndpointSlices = schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}
	// HTTPRoutes are of the Gateway API, which not every cluster has.
	HTTPRoutes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	leases     = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

// ErrConflict is returned by a write to an object that was changed since it was read.
var ErrConflict = errors.New("it was changed meanwhile")

// Object is an object as the API has it.
type Object = unstructured.Unstructured

// Options say which cluster it is. All of it may be empty.
type Options struct {
	Kubeconfig string // a file; else $KUBECONFIG, ~/.kube/config, or the service account of the pod this runs in
	Context    string // of that file; else its current one
	Namespace  string // else that of the context
}

// Cluster is one namespace of a cluster.
type Cluster struct {
	Namespace string
	context   string
	host      string
	api       dynamic.Interface
}

// timeout limits one call of the API.
const timeout = 30 * time.Second

// Open reads how the API is reached. It does not ask it anything yet.
func Open(o Options) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{
		CurrentContext: o.Context, Context: api.Context{Namespace: o.Namespace},
	})
	c, err := loaded.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read how the Kubernetes API is reached: %w\n  next: kubectl config get-contexts; then set kubeconfig and context in switchback.yaml, or KUBECONFIG", err)
	}
	namespace, _, err := loaded.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read which namespace it is: %w\n  next: set namespace in switchback.yaml", err)
	}
	c.Timeout, c.UserAgent, c.QPS, c.Burst = timeout, Manager, 50, 100
	c.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("open the Kubernetes API: %w", err)
	}
	return &Cluster{Namespace: namespace, context: o.Context, host: c.Host, api: client}, nil
}

// Kubectl is a kubectl command for a person to run on this namespace.
func (c *Cluster) Kubectl(args string) string {
	command := "kubectl "
	if c.context != "" {
		command += "--context " + c.context + " "
	}
	return command + "-n " + c.Namespace + " " + args
}

func (c *Cluster) of(kind schema.GroupVersionResource) dynamic.ResourceInterface {
	return c.api.Resource(kind).Namespace(c.Namespace)
}

// Get returns an object, or strategies.ErrNotFound.
func (c *Cluster) Get(ctx context.Context, kind schema.GroupVersionResource, name string) (*Object, error) {
	o, err := c.of(kind).Get(ctx, name, metav1.GetOptions{})
	return o, c.explain("get", kind, name, err)
}

// List returns the objects with these labels, which may be none.
func (c *Cluster) List(ctx context.Context, kind schema.GroupVersionResource, labels map[string]string) ([]Object, error) {
	selector := metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: labels})
	if len(labels) == 0 {
		selector = ""
	}
	l, err := c.of(kind).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, c.explain("list", kind, "", err)
	}
	return l.Items, nil
}

// Create makes an object. One of its name that is there already is ErrConflict.
func (c *Cluster) Create(ctx context.Context, kind schema.GroupVersionResource, o *Object) (*Object, error) {
	made, err := c.of(kind).Create(ctx, o, metav1.CreateOptions{FieldManager: Manager})
	return made, c.explain("create", kind, o.GetName(), err)
}

// Update writes an object as it was read and changed. When somebody else wrote it meanwhile, it is ErrConflict.
func (c *Cluster) Update(ctx context.Context, kind schema.GroupVersionResource, o *Object) (*Object, error) {
	made, err := c.of(kind).Update(ctx, o, metav1.UpdateOptions{FieldManager: Manager})
	return made, c.explain("update", kind, o.GetName(), err)
}

// Apply makes the fields of an object those given, and leaves its others alone. A field that somebody else has set
// to another value is strategies.ErrForeignChange, in the API's words, unless it is to be taken over by force. A
// resource version that is given has to be the object's, or it is ErrConflict.
func (c *Cluster) Apply(ctx context.Context, kind schema.GroupVersionResource, o *Object, manager string, force bool) (*Object, error) {
	made, err := c.of(kind).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: force})
	return made, c.explain("patch", kind, o.GetName(), err)
}

// Try is Apply as far as the API goes without changing anything: what it returns is what the object would become.
func (c *Cluster) Try(ctx context.Context, kind schema.GroupVersionResource, o *Object, manager string, force bool) (*Object, error) {
	made, err := c.of(kind).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: force, DryRun: []string{metav1.DryRunAll}})
	return made, c.explain("patch", kind, o.GetName(), err)
}

// Step is one of a patch: it tests a field of an object, or writes it.
type Step struct {
	Op    string `json:"op"`   // test, add, replace
	Path  string `json:"path"` // a JSON pointer
	Value any    `json:"value"`
}

// Patch takes all steps on an object, in one write, and touches nothing else of it. When one of them cannot be
// taken, as a test fails, somebody else has written since the object was read, and it is ErrConflict.
func (c *Cluster) Patch(ctx context.Context, kind schema.GroupVersionResource, name string, steps []Step) (*Object, error) {
	data, err := json.Marshal(steps)
	if err != nil {
		return nil, fmt.Errorf("patch %s %s: %w", kind.GroupResource(), name, err)
	}
	made, err := c.of(kind).Patch(ctx, name, types.JSONPatchType, data, metav1.PatchOptions{FieldManager: Manager})
	if apierrors.IsInvalid(err) && foundNothingWrong(err) {
		return nil, fmt.Errorf("patch %s %s in namespace %s: %w: %w", kind.GroupResource(), name, c.Namespace, ErrConflict, err)
	}
	return made, c.explain("patch", kind, name, err)
}

// foundNothingWrong tells whether the API names nothing that is wrong with what an object was to become. That is all it says of
// a patch whose steps it could not take.
func foundNothingWrong(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && (status.Status().Details == nil || len(status.Status().Details.Causes) == 0)
}

// Delete removes an object as it was read, with what belongs to it. One that is gone is no error; one that was
// changed meanwhile is ErrConflict.
func (c *Cluster) Delete(ctx context.Context, kind schema.GroupVersionResource, o *Object) error {
	foreground := metav1.DeletePropagationForeground
	uid, version := o.GetUID(), o.GetResourceVersion()
	err := c.of(kind).Delete(ctx, o.GetName(), metav1.DeleteOptions{
		PropagationPolicy: &foreground, Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return c.explain("delete", kind, o.GetName(), err)
}

// End has a pod ended within so many seconds, if it still is this pod.
func (c *Cluster) End(ctx context.Context, pod *Object, seconds int64) error {
	uid := pod.GetUID()
	err := c.of(Pods).Delete(ctx, pod.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &seconds, Preconditions: &metav1.Preconditions{UID: &uid}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is gone, or another has its name
		return nil
	}
	return c.explain("delete", Pods, pod.GetName(), err)
}

// New is an object to be written.
func New(apiVersion, kind, name string, content map[string]any) *Object {
	o := &Object{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	o.SetName(name)
	for key, value := range content {
		o.Object[key] = value
	}
	return o
}

// Decode reads the parts of an object that v has fields for.
func Decode(o *Object, v any) error {
	data, err := json.Marshal(o.Object)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("read %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// Plain is content as an object may have it: no types but those of JSON.
func Plain(content any) (plain map[string]any, err error) {
	data, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	return plain, whole.Unmarshal(data, &plain) // numbers too
}
