package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/switchbackdb/switchback/strategies"
)

// fenceKey is the annotation of a Lease that keeps the fence.
const fenceKey = "switchback/fence"

// Enter checks the fence of an operation against the highest one that any run has come with, and keeps it: in an
// annotation of a Lease of the application, which is only ever written as it was read. A smaller one is
// strategies.ErrStaleFence.
func (c *Cluster) Enter(ctx context.Context, application string, op strategies.Operation) error {
	name := "switchback-" + application
	for {
		lease, err := c.Get(ctx, leases, name)
		switch {
		case errors.Is(err, strategies.ErrNotFound):
			lease = New("coordination.k8s.io/v1", "Lease", name, map[string]any{"spec": map[string]any{"holderIdentity": Manager}})
			lease.SetAnnotations(map[string]string{fenceKey: strconv.FormatInt(op.Fence, 10)})
			_, err = c.Create(ctx, leases, lease)
		case err != nil:
			return err
		default:
			err = c.raise(ctx, lease, op)
		}
		if !errors.Is(err, ErrConflict) { // else another run came first: look again
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func (c *Cluster) raise(ctx context.Context, lease *Object, op strategies.Operation) error {
	annotations := lease.GetAnnotations()
	seen, err := strconv.ParseInt(annotations[fenceKey], 10, 64)
	if err != nil {
		return fmt.Errorf("the lease %s has a fence %q that is no number: %w\n  next: %s", lease.GetName(), annotations[fenceKey], strategies.ErrForeignChange, c.Kubectl("delete lease "+lease.GetName()))
	}
	switch {
	case op.Fence < seen:
		return fmt.Errorf("fence %d, seen %d: %w", op.Fence, seen, strategies.ErrStaleFence)
	case op.Fence == seen:
		return nil
	}
	annotations[fenceKey] = strconv.FormatInt(op.Fence, 10)
	lease.SetAnnotations(annotations)
	_, err = c.Update(ctx, leases, lease)
	return err
}
