package docker

import (
	"context"
	"fmt"
	"strconv"

	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/strategies"
)

// enter checks the operation's fence against the highest one seen, and keeps it. Labels of containers cannot be
// changed, and stopping makes no container: so the fence is an empty volume of its own, labelled with it.
func (s *Service) enter(ctx context.Context, op strategies.Operation) error {
	found, err := s.engine.VolumeList(ctx, client.VolumeListOptions{Filters: s.ours().Add("label", labelFence)})
	if err != nil {
		return engine.Explain(err)
	}
	fences := map[string]int64{}
	var seen int64
	for _, v := range found.Items {
		n, err := strconv.ParseInt(v.Labels[labelFence], 10, 64)
		if err != nil {
			return fmt.Errorf("the volume %s has a fence that is no number: %w", v.Name, strategies.ErrForeignChange)
		}
		fences[v.Name], seen = n, max(seen, n)
	}
	if op.Fence < seen {
		return fmt.Errorf("fence %d, seen %d: %w", op.Fence, seen, strategies.ErrStaleFence)
	}
	if op.Fence == seen {
		return nil
	}
	fence := strconv.FormatInt(op.Fence, 10)
	if _, err := s.engine.VolumeCreate(ctx, client.VolumeCreateOptions{
		Name:   s.application + "-fence-" + fence,
		Labels: map[string]string{labelApplication: s.application, labelFence: fence},
	}); err != nil {
		return fmt.Errorf("keep the fence %d: %w", op.Fence, engine.Explain(err))
	}
	for name := range fences {
		// One that stays is smaller, and does no harm.
		_, _ = s.engine.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
	}
	return nil
}
