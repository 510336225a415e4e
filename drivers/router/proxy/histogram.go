package proxy

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Each power of two of a latency is divided into subBuckets steps, so that a quantile is never off
// by more than 1/subBuckets of itself. Latencies are counted in microseconds; maxExponent makes the
// last bucket more than an hour.
const (
	subBits     = 3
	subBuckets  = 1 << subBits
	maxExponent = 32
)

// histogram counts latencies without a lock: one atomic add for each.
type histogram struct {
	buckets [(maxExponent + 1) * subBuckets]atomic.Uint64
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(uint64(max(d, 0)/time.Microsecond))].Add(1)
}

// quantile returns the upper bound of the bucket that holds the q-th part of what was counted, 0
// when nothing was. It may run while latencies are added; the answer is then one of a moment ago.
func (h *histogram) quantile(q float64) time.Duration {
	var counts [len(h.buckets)]uint64
	var total uint64
	for i := range h.buckets {
		counts[i] = h.buckets[i].Load()
		total += counts[i]
	}
	if total == 0 {
		return 0
	}
	rank := uint64(q*float64(total-1)) + 1
	var seen uint64
	for i, n := range counts {
		if seen += n; seen >= rank {
			return time.Duration(bucketUpper(i)) * time.Microsecond
		}
	}
	return time.Duration(bucketUpper(len(counts)-1)) * time.Microsecond
}

// counts are the buckets that hold something, by the largest latency they take, in microseconds.
func (h *histogram) counts() map[uint64]uint64 {
	counts := map[uint64]uint64{}
	for i := range h.buckets {
		if n := h.buckets[i].Load(); n > 0 {
			counts[bucketUpper(i)] = n
		}
	}
	return counts
}

// bucketOf finds the bucket of a latency in microseconds: below subBuckets one each, above by
// exponent and the subBits bits that follow the leading one.
func bucketOf(us uint64) int {
	if us < subBuckets {
		return int(us)
	}
	exponent := bits.Len64(us) - 1 - subBits
	i := exponent*subBuckets + int(us>>exponent)
	return min(i, (maxExponent+1)*subBuckets-1)
}

// bucketUpper is the largest latency in microseconds that bucket i takes.
func bucketUpper(i int) uint64 {
	if i < 2*subBuckets {
		return uint64(i)
	}
	exponent := i/subBuckets - 1
	mantissa := uint64(i%subBuckets + subBuckets)
	return (mantissa+1)<<exponent - 1
}
