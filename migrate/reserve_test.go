package migrate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQueueFor(t *testing.T) {
	var waits []time.Duration
	for try := 1; try <= 12; try++ {
		waits = append(waits, queueFor(try, 11, 2*time.Second)/time.Millisecond)
	}
	require.Equal(t, []time.Duration{80, 80, 80, 160, 320, 640, 1280, 2000, 2000, 2000, 2000, 2000}, waits)
	require.Equal(t, 2*time.Second, queueFor(2, 1, 2*time.Second), "the last try has all of it")
	require.Equal(t, 50*time.Millisecond, queueFor(1, 20, 50*time.Millisecond), "none has more")
}
