package consul

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// watchTime is how long a look that waits for a change waits for it.
	watchTime = time.Minute
	// watchPause is how soon a watch that failed is begun again.
	watchPause = time.Second
)

// Watch implements agent.Registry. A watch that ends, because Consul was away or has begun anew, is begun again, and
// calls changed: the list is the truth.
func (d *Discovery) Watch(ctx context.Context, changed func()) {
	var index uint64
	for ctx.Err() == nil {
		q := (&api.QueryOptions{WaitIndex: index, WaitTime: watchTime}).WithContext(ctx)
		_, meta, err := d.client.KV().Keys(d.keys.Instances(), "", q)
		if err != nil {
			index = 0
			changed()
			select {
			case <-ctx.Done():
			case <-time.After(watchPause):
			}
			continue
		}
		if meta.LastIndex != index {
			changed()
		}
		if index = meta.LastIndex; index == 0 {
			index = 1 // or the next look would not wait
		}
	}
}
