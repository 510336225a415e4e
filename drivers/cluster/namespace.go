package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/switchbackdb/switchback/strategies"
)

// namespaces belong to no namespace.
var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

func (c *Cluster) namespaces() dynamic.ResourceInterface { return c.api.Resource(namespaces) }

// MakeNamespace makes the cluster's namespace, which must not be there.
func (c *Cluster) MakeNamespace(ctx context.Context) error {
	_, err := c.namespaces().Create(ctx, New("v1", "Namespace", c.Namespace, nil), metav1.CreateOptions{FieldManager: Manager})
	return c.explain("create", namespaces, c.Namespace, err)
}

// RemoveNamespace removes it with all that is in it, and returns once it is gone. One that is not there is no error.
func (c *Cluster) RemoveNamespace(ctx context.Context) error {
	for {
		err := c.explain("delete", namespaces, c.Namespace, c.namespaces().Delete(ctx, c.Namespace, metav1.DeleteOptions{}))
		if errors.Is(err, strategies.ErrNotFound) {
			return nil
		}
		if err != nil && !errors.Is(err, ErrConflict) { // it is going already
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the namespace %s is still there: %w", c.Namespace, context.Cause(ctx))
		case <-time.After(time.Second):
		}
	}
}

// Where says which cluster it is: the address of its API.
func (c *Cluster) Where() string { return c.host }
