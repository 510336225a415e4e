package swarm

import (
	"context"
	"fmt"
	"strconv"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/strategies"
)

// enter checks the operation's fence against the highest one seen, and keeps it. It is not kept with the service: each
// update of that has the swarm begin anew with the next task, and a service can be gone. So it is a config of its own,
// labelled with it, which all managers of the swarm see.
func (o *Orchestrator) enter(ctx context.Context, op strategies.Operation) error {
	found, err := o.engine.ConfigList(ctx, client.ConfigListOptions{Filters: o.ours()})
	if err != nil {
		return explain(err)
	}
	fences := map[string]int64{}
	var seen int64
	for _, c := range found.Items {
		n, err := strconv.ParseInt(c.Spec.Labels[labelFence], 10, 64)
		if err != nil {
			return fmt.Errorf("the config %s has a fence that is no number: %w", c.Spec.Name, strategies.ErrForeignChange)
		}
		fences[c.ID], seen = n, max(seen, n)
	}
	if op.Fence < seen {
		return fmt.Errorf("fence %d, seen %d: %w", op.Fence, seen, strategies.ErrStaleFence)
	}
	if op.Fence == seen {
		return nil
	}
	fence := strconv.FormatInt(op.Fence, 10)
	_, err = o.engine.ConfigCreate(ctx, client.ConfigCreateOptions{Spec: swarm.ConfigSpec{
		Annotations: swarm.Annotations{Name: o.application + "-fence-" + fence, Labels: map[string]string{labelApplication: o.application, labelFence: fence}},
		Data:        []byte("switchback keeps out a run that has lost its lock"), // a config is not empty
	}})
	if err != nil && !exists(err) { // the same run, in two places, has kept it already
		return fmt.Errorf("keep the fence %d: %w", op.Fence, explain(err))
	}
	for id := range fences {
		// One that stays is smaller, and does no harm.
		_, _ = o.engine.ConfigRemove(ctx, id, client.ConfigRemoveOptions{})
	}
	return nil
}

// ours are the filters that find the fences of the application.
func (o *Orchestrator) ours() client.Filters {
	return make(client.Filters).Add("label", labelApplication+"="+o.application).Add("label", labelFence)
}
