package schemas

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// checkPairs checks a property of random pairs of schemas: the same 50 each time. SWITCHBACK_PAIRS asks for
// another number of them, SWITCHBACK_SEED for others; with the seed 0 they are other ones on each run. rapid
// takes its settings from flags alone.
func checkPairs(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	pairSettings(t)
	rapid.Check(t, property)
}

// checkFewPairs checks a property that takes long of a fifth as many.
func checkFewPairs(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	pairSettings(t)
	checks := flag.Lookup("rapid.checks")
	n, err := strconv.Atoi(checks.Value.String())
	require.NoError(t, err)
	require.NoError(t, checks.Value.Set(strconv.Itoa(max(1, n/5))))
	rapid.Check(t, property)
}

// pairSettings lasts until the test ends, with the subtests it runs side by side.
func pairSettings(t *testing.T) {
	t.Helper()
	settings := map[string]string{
		"rapid.checks": environment("SWITCHBACK_PAIRS", 50), "rapid.seed": environment("SWITCHBACK_SEED", 20261124),
		"rapid.nofailfile": "true",
	}
	for name, value := range settings {
		f := flag.Lookup(name)
		before := f.Value.String()
		require.NoError(t, f.Value.Set(value), name)
		t.Cleanup(func() { _ = f.Value.Set(before) })
	}
}

func environment(name string, otherwise int) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return strconv.Itoa(otherwise)
}
