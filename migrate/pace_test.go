package migrate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPace follows the size of batches on a server that does a row in 10 µs.
func TestPace(t *testing.T) {
	const row = 10 * time.Microsecond
	p := newPace(Batch{Size: 2000}, 50*time.Millisecond)
	batch := func(waiters int) time.Duration { return p.after(time.Duration(p.size)*row, waiters) }

	for range 20 {
		batch(0)
	}
	settled := p.size
	require.InDelta(t, 3750, settled, 10, "three quarters of the time")

	require.Equal(t, time.Duration(settled)*row/restShare, batch(0))
	require.Equal(t, time.Duration(settled)*row/2, batch(1))
	require.InDelta(t, settled*3/4, p.size, 2)
	batch(2)
	require.InDelta(t, settled*3/8, p.size, 2)
	for range 20 {
		batch(5)
	}
	require.Equal(t, minBatchSize, p.size, "no smaller than that")
	require.Equal(t, p.may/leastAim, p.aim)
	for range 40 {
		batch(0)
	}
	require.InDelta(t, settled, p.size, 10, "back to what it was")
	batch(1)
	batch(0)
	batch(0)
	require.InDelta(t, settled, p.size, float64(settled)/10, "nor does one that waited keep it down")
	p.after(time.Second, 0)
	require.InDelta(t, settled/2, p.size, float64(settled)/10, "one slow batch halves it, and no more")

	// The directive's own time and pause count.
	p = newPace(Batch{Size: 40, Time: time.Millisecond, Pause: time.Second}, 50*time.Millisecond)
	require.Equal(t, time.Second, batch(0))
	require.Equal(t, 61, p.size)
	require.Equal(t, time.Second, batch(3))
	require.Equal(t, 40, p.size, "a batch that began smaller stays as it is")
}
