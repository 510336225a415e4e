package hook

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	r := Runner{Dir: t.TempDir(), Output: &out}
	says, err := r.Run(t.Context(), []string{"sh", "-c", `echo "one"; echo "$STEP two" >&2; echo`}, map[string]string{"STEP": "shift"})
	require.NoError(t, err)
	require.Equal(t, "shift two", says)
	require.Equal(t, "one\nshift two\n\n", out.String())

	says, err = r.Run(t.Context(), []string{"sh", "-c", "echo no room; exit 3"}, nil)
	require.EqualError(t, err, "hook sh: exit status 3: no room")
	require.Equal(t, "no room", says)
	_, err = r.Run(t.Context(), []string{"./nothing-of-this-name"}, nil)
	require.ErrorContains(t, err, "no such file")
}

// TestRunEnds ends a program that would go on, and one that will not listen.
func TestRunEnds(t *testing.T) {
	for _, script := range []string{"echo begun; exec sleep 600", "trap '' TERM; echo begun; sleep 600"} {
		ctx, cancel := context.WithCancel(t.Context())
		out := &begun{cancel: cancel}
		_, err := Runner{Output: out}.Run(ctx, []string{"sh", "-c", script}, nil)
		require.ErrorIs(t, err, context.Canceled)
	}
}

// begun cancels when a program has begun.
type begun struct{ cancel func() }

func (b *begun) Write(p []byte) (int, error) {
	b.cancel()
	return len(p), nil
}
