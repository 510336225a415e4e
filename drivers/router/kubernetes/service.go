package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/strategies"
)

// service is what is read of a Service.
type service struct {
	Spec struct {
		Selector map[string]string `json:"selector"`
		Ports    []struct {
			Port int `json:"port"`
		} `json:"ports"`
		Type string `json:"type"`
	} `json:"spec"`
}

// address is that of a Service.
func address(c *cluster.Cluster, name string, port int) string {
	return net.JoinHostPort(name+"."+c.Namespace+".svc", strconv.Itoa(port))
}

// serviceOf is the name of the Service that has an address.
func serviceOf(c *cluster.Cluster, address string) (name string, err error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	name, rest, _ := strings.Cut(host, ".")
	if rest != c.Namespace && rest != c.Namespace+".svc" && rest != c.Namespace+".svc.cluster.local" {
		return "", fmt.Errorf("%w: address %s is not that of a Service of this namespace, NAME.%s.svc:PORT", strategies.ErrInvalidRouting, address, c.Namespace)
	}
	return name, nil
}

// selectorOf is what a version's own Service selects.
func selectorOf(ctx context.Context, c *cluster.Cluster, name string) (map[string]string, error) {
	o, err := c.Get(ctx, cluster.Services, name)
	if err != nil {
		return nil, err
	}
	var target service
	if err := cluster.Decode(o, &target); err != nil {
		return nil, err
	}
	if len(target.Spec.Selector) == 0 {
		return nil, fmt.Errorf("%w: the Service %s selects nothing", strategies.ErrInvalidRouting, name)
	}
	return target.Spec.Selector, nil
}

// rewrite has a Service select something else and keep what is noted, if nobody wrote since it was read.
func rewrite(ctx context.Context, c *cluster.Cluster, read *cluster.Object, selector map[string]string, noted map[string]any) (*cluster.Object, error) {
	o := read.DeepCopy()
	notes := o.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	for key, value := range noted {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		notes[key] = string(text)
	}
	o.SetAnnotations(notes)
	plain := map[string]any{}
	for key, value := range selector {
		plain[key] = value
	}
	spec, ok := o.Object["spec"].(map[string]any)
	if !ok {
		return nil, errors.New("it has no spec")
	}
	spec["selector"] = plain
	return c.Update(ctx, cluster.Services, o)
}

// putBack is the command by which a person has a Service select again what was written.
func putBack(c *cluster.Cluster, name, selector string) string {
	return c.Kubectl(fmt.Sprintf(`patch service %s --type json -p '[{"op":"replace","path":"/spec/selector","value":%s}]'`, name, selector))
}

// words are the labels of a selector, for people.
func words(selector map[string]string) string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		list = append(list, key+"="+selector[key])
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ",")
}
