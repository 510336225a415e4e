package noun

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCounted(t *testing.T) {
	for want, got := range map[string]string{
		"1 step": Counted(1, "step"), "0 steps": Counted(0, "step"), "2 policies": Counted(2, "policy"), "3 ways": Counted(int64(3), "way"),
		"2 indexes": Counted(2, "index"), "2 classes": Counted(2, "class"),
		"2 statistics": Counted(2, "statistics"), "2 default privileges": Counted(2, "default privileges"),
	} {
		require.Equal(t, want, got)
	}
}
