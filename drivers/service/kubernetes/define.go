package kubernetes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/strategies"
)

// The labels of what is ours. Label values are short and plain; release and version as they are called are
// annotations of the same names.
const (
	labelApplication = "switchback/application"
	labelInstance    = "switchback/instance"
	labelRelease     = "switchback/release"
	labelVersion     = "switchback/version"
	labelSlot        = "switchback/slot"
)

// The annotations of a Deployment that is ours.
const (
	noteOperation = "switchback/operation"
	noteFence     = "switchback/fence"
	notePort      = "switchback/port"
	noteStarted   = "switchback/started"
)

var (
	validLabel = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	notInLabel = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	documents  = regexp.MustCompile(`\n---(\s|$)`) // the line between two of them
	notInName  = regexp.MustCompile(`[^a-z0-9-]+`)
)

// definition is all that the objects of an instance are made from.
type definition struct {
	id        string
	name      string // of its Deployment, Service and Secret
	port      int
	replicas  int32
	labels    map[string]string
	notes     map[string]string
	env       map[string]string // put in the Secret
	spec      map[string]any    // of the Deployment, without replicas
	podLabels map[string]string
}

// ours are the labels that find what belongs to the application.
func (s *Service) ours() map[string]string { return map[string]string{labelApplication: s.application} }

// labels are those that find what belongs to an instance.
func (s *Service) labels(id string) map[string]string {
	return map[string]string{labelApplication: s.application, labelInstance: id}
}

// name is the name of an instance's objects. Names of objects allow less than those of releases: what had to be
// replaced or cut is told apart by a hash.
func (s *Service) name(id string) string {
	const most = 63
	whole := s.application + "-" + id
	plain := strings.Trim(notInName.ReplaceAllString(strings.ToLower(whole), "-"), "-")
	if plain == whole && len(plain) <= most {
		return plain
	}
	h := sha256.Sum256([]byte(whole))
	hash := hex.EncodeToString(h[:4])
	return strings.TrimRight(plain[:min(len(plain), most-len(hash)-1)], "-") + "-" + hash
}

// define says what a version is to be on the cluster, from its template or without one.
func (s *Service) define(v strategies.Version) (d definition, err error) {
	d = definition{id: strategies.InstanceID(v.Release, v.Slot)}
	if !validLabel.MatchString(d.id) {
		return d, errors.New("the name of a release is letters, digits, dots, dashes and underscores, 57 of them at most on Kubernetes")
	}
	if v.Container == nil {
		return d, errors.New("nothing says what runs in its pods\n  next: set release.service.image or release.service.template, see docs/kubernetes.md")
	}
	d.name = s.name(d.id)
	manifest, err := parse(v)
	if err != nil {
		return d, err
	}
	d.spec = manifest.Spec
	c, err := mainContainer(object(object(d.spec, "template"), "spec"), v)
	if err != nil {
		return d, err
	}
	if d.port, err = port(c, v.Container.Port); err != nil {
		return d, err
	}
	filler := v.Filler(fmt.Sprintf("0.0.0.0:%d", d.port))
	replaced(d.spec, filler)
	for _, texts := range []map[string]string{manifest.Metadata.Labels, manifest.Metadata.Annotations} {
		for key, value := range texts {
			texts[key] = filler(value)
		}
	}
	if err := fill(c, v, d.port, d.name); err != nil {
		return d, err
	}
	d.env = map[string]string{}
	for key, value := range v.Env {
		d.env[key] = filler(value)
	}
	d.replicas = replicasOf(d.spec, v.Container.Replicas)
	s.mark(&d, v, manifest.Metadata)
	return d, nil
}

// mark puts the labels and annotations on that make the objects ours.
func (s *Service) mark(d *definition, v strategies.Version, given metadata) {
	d.labels = maps.Clone(given.Labels)
	if d.labels == nil {
		d.labels = map[string]string{}
	}
	d.notes = maps.Clone(given.Annotations)
	if d.notes == nil {
		d.notes = map[string]string{}
	}
	ours := s.labels(d.id)
	ours[labelRelease], ours[labelVersion], ours[labelSlot] = plainLabel(v.Release), plainLabel(v.Name), string(v.Slot)
	maps.Copy(d.labels, ours)
	maps.Copy(d.notes, map[string]string{labelRelease: v.Release, labelVersion: v.Name, notePort: strconv.Itoa(d.port)})

	template := object(d.spec, "template")
	labels := object(object(template, "metadata"), "labels")
	d.podLabels = map[string]string{}
	for key, value := range ours {
		labels[key] = value
	}
	for key, value := range labels {
		d.podLabels[key] = fmt.Sprint(value)
	}
	d.spec["selector"] = map[string]any{"matchLabels": map[string]any{labelApplication: s.application, labelInstance: d.id}}
}

// plainLabel is a text as far as a label can hold it.
func plainLabel(text string) string {
	text = notInLabel.ReplaceAllString(text, "-")
	return strings.Trim(text[:min(len(text), 63)], "-._")
}

// metadata is what is taken over of a template's.
type metadata struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// template is the file that a user gives, or what stands for it.
type template struct {
	Kind     string         `json:"kind"`
	Metadata metadata       `json:"metadata"`
	Spec     map[string]any `json:"spec"`
}

// parse reads the template of a version; without a template, it is one container.
func parse(v strategies.Version) (t template, err error) {
	text := v.Container.Template
	if text == "" {
		text = "kind: Deployment\nspec: {template: {spec: {containers: [{name: application}]}}}"
	}
	if len(documents.FindAllString(strings.TrimSpace(text), -1)) > 0 {
		return t, errors.New("the template has several documents, and only a Deployment would be made of them\n  next: give release.service.template one Deployment as YAML, and apply the rest yourself")
	}
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		return t, fmt.Errorf("read the template: %w\n  next: give release.service.template one Deployment as YAML", err)
	}
	plain, err := cluster.Plain(tree)
	if err != nil {
		return t, err
	}
	if err := cluster.Decode(&cluster.Object{Object: plain}, &t); err != nil {
		return t, fmt.Errorf("%w\n  next: give release.service.template one Deployment as YAML", err)
	}
	if t.Kind != "Deployment" || t.Spec == nil {
		return t, fmt.Errorf("the template is a %q, not a Deployment\n  next: give release.service.template one Deployment as YAML", t.Kind)
	}
	return t, nil
}

// replaced is a tree whose texts have been filled in.
func replaced(node any, fill func(string) string) any {
	switch n := node.(type) {
	case string:
		return fill(n)
	case []any:
		for i := range n {
			n[i] = replaced(n[i], fill)
		}
	case map[string]any:
		for key := range n {
			n[key] = replaced(n[key], fill)
		}
	}
	return node
}

// object is a part of a tree, made when it is missing.
func object(tree map[string]any, key string) map[string]any {
	part, ok := tree[key].(map[string]any)
	if !ok {
		part = map[string]any{}
		tree[key] = part
	}
	return part
}

// mainContainer is the container that the version's image and environment are put in.
func mainContainer(pod map[string]any, v strategies.Version) (map[string]any, error) {
	list, _ := pod["containers"].([]any)
	var names []string
	for _, entry := range list {
		c, ok := entry.(map[string]any)
		if !ok {
			continue
		}
		name := fmt.Sprint(c["name"])
		if v.Container.Name == name || v.Container.Name == "" && len(list) == 1 {
			return c, nil
		}
		names = append(names, name)
	}
	return nil, fmt.Errorf("which container of the template is the application? it has: %s\n  next: set release.service.container", strings.Join(names, ", "))
}

// port is where the application listens inside.
func port(c map[string]any, configured int) (int, error) {
	list, _ := c["ports"].([]any)
	if configured == 0 && len(list) == 1 {
		if p, ok := list[0].(map[string]any); ok {
			n, _ := strconv.Atoi(fmt.Sprint(p["containerPort"]))
			configured = n
		}
	}
	if configured < 1 || configured > 65535 {
		return 0, errors.New("nothing says where the application listens\n  next: set release.service.port")
	}
	if len(list) == 0 {
		c["ports"] = []any{map[string]any{"containerPort": int64(configured), "protocol": "TCP"}}
	}
	return configured, nil
}

// fill puts what the version says into its container.
func fill(c map[string]any, v strategies.Version, port int, secret string) error {
	filler := v.Filler(fmt.Sprintf("0.0.0.0:%d", port))
	if v.Container.Image != "" {
		c["image"] = filler(v.Container.Image)
	}
	if image, _ := c["image"].(string); image == "" {
		return errors.New("no image is configured\n  next: set release.service.image, see docs/kubernetes.md")
	}
	if len(v.Command) > 0 {
		var args []any
		for _, arg := range v.Command {
			args = append(args, filler(arg))
		}
		c["args"] = args
	}
	env, _ := c["env"].([]any)
	for _, key := range slices.Sorted(maps.Keys(v.Env)) {
		env = slices.DeleteFunc(env, func(e any) bool {
			entry, ok := e.(map[string]any)
			return ok && entry["name"] == key
		})
		env = append(env, map[string]any{"name": key, "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": secret, "key": key}}})
	}
	if len(env) > 0 {
		c["env"] = env
	}
	if v.Health != "" {
		probe := object(c, "readinessProbe")
		for _, other := range []string{"exec", "grpc", "tcpSocket"} {
			delete(probe, other)
		}
		probe["httpGet"] = map[string]any{"path": v.Health, "port": int64(port), "scheme": "HTTP"}
	}
	if _, ok := c["readinessProbe"]; !ok && v.NoHealth {
		object(c, "readinessProbe")["tcpSocket"] = map[string]any{"port": int64(port)}
	} else if !ok {
		return errors.New("nothing says when it is healthy: its container has no readinessProbe\n  next: set release.service.health to the path of a health probe, or give the template's container a readinessProbe; or --no-health, which takes it for healthy once its port takes connections")
	}
	return nil
}

// replicasOf takes the number of pods out of a Deployment's spec: it is not part of what is applied.
func replicasOf(spec map[string]any, configured int) int32 {
	n, _ := strconv.Atoi(fmt.Sprint(spec["replicas"]))
	delete(spec, "replicas")
	if configured > 0 {
		n = configured
	}
	return int32(min(max(n, 1), 10000)) //nolint:gosec // it is in between
}
