package data

import (
	"context"
	"maps"
	"math"
	"slices"
)

const (
	// maxBuckets bounds what a side keeps in memory for its groups, and what we do.
	maxBuckets = 1 << 16
	// leastRows is what a table is taken to have at least: the statistics of a small one lag behind.
	leastRows = 1000
	// denseRows is how many rows a table may be taken to have because its keys span as many.
	denseRows = 1 << 24
)

// comparison is one under way.
type comparison struct {
	from, to Side
	plan     Plan
	options  Options
	out      Difference
}

// Compare compares the rows of a table. The context ends it at any time.
func Compare(ctx context.Context, from, to Side, p Plan, o Options) (*Difference, error) {
	c := &comparison{from: from, to: to, plan: p, options: o.withDefaults()}
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	return &c.out, nil
}

func (c *comparison) run(ctx context.Context) error {
	if c.from.Formula() == "" || c.from.Formula() != c.to.Formula() || len(c.plan.From.Columns) == 0 {
		return c.read(ctx, Part{})
	}
	rows, err := c.estimate(ctx)
	if err != nil {
		return err
	}
	if !c.plan.From.Integer {
		return c.hashed(ctx, rows)
	}
	low, high, err := c.span(ctx)
	if err != nil || low > high {
		return err
	}
	if width := uint64(high) - uint64(low); width < denseRows {
		rows = max(rows, int64(width)+1)
	}
	return c.ranges(ctx, low, high, rows)
}

func (c *comparison) estimate(ctx context.Context) (int64, error) {
	var a, b int64
	err := both(ctx, func(ctx context.Context) (err error) {
		a, err = c.from.Estimate(ctx, c.plan.From)
		return err
	}, func(ctx context.Context) (err error) {
		b, err = c.to.Estimate(ctx, c.plan.To)
		return err
	})
	return max(a, b, leastRows), err
}

// span returns the least and the greatest key on either side; low is greater than high when there are no
// rows at all.
func (c *comparison) span(ctx context.Context) (low, high int64, err error) {
	lows, highs := [2]int64{math.MaxInt64, math.MaxInt64}, [2]int64{math.MinInt64, math.MinInt64}
	ask := func(i int, side Side, t Table) func(context.Context) error {
		return func(ctx context.Context) error {
			l, h, any, err := side.Span(ctx, t)
			if any {
				lows[i], highs[i] = l, h
			}
			return err
		}
	}
	err = both(ctx, ask(0, c.from, c.plan.From), ask(1, c.to, c.plan.To))
	return min(lows[0], lows[1]), max(highs[0], highs[1]), err
}

// sums asks both sides at the same time.
func (c *comparison) sums(ctx context.Context, p Part) (from, to map[int64]Sum, err error) {
	err = both(ctx, func(ctx context.Context) (err error) {
		from, err = c.from.Sums(ctx, c.plan.From, p)
		return err
	}, func(ctx context.Context) (err error) {
		to, err = c.to.Sums(ctx, c.plan.To, p)
		return err
	})
	return from, to, err
}

// hashed compares a table whose key is no whole number. Its buckets are alike in size, so they need no
// narrowing; those that differ are found again by one more scan that hashes keys only.
func (c *comparison) hashed(ctx context.Context, rows int64) error {
	if rows <= 2*c.options.Chunk {
		return c.read(ctx, Part{})
	}
	bits := 2
	for ; int64(1)<<bits < min(rows/c.options.Chunk, maxBuckets); bits++ {
	}
	from, to, err := c.sums(ctx, Part{Bits: bits})
	if err != nil {
		return err
	}
	var differ []int64
	for _, b := range buckets(from, to) {
		if from[b] != to[b] {
			differ = append(differ, b)
			continue
		}
		c.same(from[b].Rows)
	}
	switch {
	case len(differ) == 0:
		return nil
	case len(differ) == 1<<bits:
		return c.read(ctx, Part{})
	}
	return c.read(ctx, Part{Bits: bits, Buckets: differ})
}

// ranges compares the keys from low to high, of which there are about so many. Where keys are not spread
// evenly a range may have far more rows than most; it is cut again before it is read.
func (c *comparison) ranges(ctx context.Context, low, high, rows int64) error {
	if rows <= 2*c.options.Chunk || uint64(high)-uint64(low) < uint64(c.options.Chunk) {
		return c.read(ctx, Part{Bounded: true, Low: low, High: high})
	}
	n := uint64(max(4, min(rows/c.options.Chunk, maxBuckets)))
	width := int64((uint64(high)-uint64(low))/n + 1)
	from, to, err := c.sums(ctx, Part{Bounded: true, Low: low, High: high, Width: width})
	if err != nil {
		return err
	}
	all := buckets(from, to)
	if mostDiffer(from, to) {
		return c.read(ctx, Part{Bounded: true, Low: low, High: high})
	}
	for i := 0; i < len(all); i++ {
		b := all[i]
		if from[b] == to[b] {
			c.same(from[b].Rows)
			continue
		}
		l, h := edges(b, width, low, high)
		if size := max(from[b].Rows, to[b].Rows); size > 8*c.options.Chunk {
			if err := c.ranges(ctx, l, h, size); err != nil {
				return err
			}
			continue
		}
		for i+1 < len(all) && all[i+1] == all[i]+1 && from[all[i+1]] != to[all[i+1]] && max(from[all[i+1]].Rows, to[all[i+1]].Rows) <= 8*c.options.Chunk {
			i++
			_, h = edges(all[i], width, low, high)
		}
		if err := c.read(ctx, Part{Bounded: true, Low: l, High: h}); err != nil {
			return err
		}
	}
	return nil
}

// mostDiffer tells whether more than half of the rows are in buckets that differ, so that narrowing costs
// more than it saves.
func mostDiffer(from, to map[int64]Sum) bool {
	var differ, all int64
	for _, b := range buckets(from, to) {
		n := max(from[b].Rows, to[b].Rows)
		all += n
		if from[b] != to[b] {
			differ += n
		}
	}
	return len(from)+len(to) > 2 && differ > all/2
}

// edges are the least and the greatest key of a bucket within a part. A bucket is what keys divided by the
// width give, cut off towards zero, so that of zero is twice as wide.
func edges(bucket, width, low, high int64) (int64, int64) {
	l, h := low, high
	if bucket > 0 {
		l = max(low, bucket*width)
	} else if bucket == 0 {
		l = max(low, -(width - 1))
	} else if most := bucket*width - (width - 1); most < 0 { // else it is below the least number there is
		l = max(low, most)
	}
	if bucket < 0 {
		h = min(high, bucket*width)
	} else if bucket == 0 {
		h = min(high, width-1)
	} else if most := bucket*width + (width - 1); most > 0 {
		h = min(high, most)
	}
	return l, h
}

func buckets(from, to map[int64]Sum) []int64 {
	all := maps.Clone(from)
	if all == nil {
		all = map[int64]Sum{}
	}
	maps.Copy(all, to)
	return slices.Sorted(maps.Keys(all))
}

// same counts rows that both sides have alike.
func (c *comparison) same(n int64) {
	c.out.RowsFrom += n
	c.out.RowsTo += n
}

// both runs two functions at the same time. The first error ends the other.
func both(ctx context.Context, a, b func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a(ctx); err != nil {
			cancel(err)
		}
	}()
	if err := b(ctx); err != nil {
		cancel(err)
	}
	<-done
	return context.Cause(ctx)
}
