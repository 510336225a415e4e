package lint

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/rules.md anew")

// TestDocs: docs/rules.md says what the rules say.
func TestDocs(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, WriteDocs(&b))
	const file = "../../docs/rules.md"
	if *update {
		require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}
