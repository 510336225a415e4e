package strategies

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Drained counts what is under way at an address until nothing is left or ctx ends, and returns how many were left. That the
// time is over is no error: who drains cuts off what is left then. It is how a router's Drain ends.
func Drained(ctx context.Context, address string, every time.Duration, count func() (int, error)) (left int, err error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for known := false; ; known = true {
		now, err := count()
		switch {
		case err != nil && known && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return left, nil
		case err != nil:
			return now, fmt.Errorf("drain %s: %w", address, err)
		case now == 0:
			return 0, nil
		}
		left = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return left, nil
			}
			return left, fmt.Errorf("drain %s: %d left: %w", address, left, ctx.Err())
		}
	}
}
