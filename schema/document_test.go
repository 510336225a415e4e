package schema

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is saved is loaded again, and saved the same way.
func TestDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDatabase(t)
		var first, second bytes.Buffer
		require.NoError(t, d.Save(&first))
		loaded, err := Load(bytes.NewReader(first.Bytes()))
		require.NoError(t, err)
		require.Equal(t, d.Fingerprint(), loaded.Fingerprint())
		require.NoError(t, loaded.Save(&second))
		require.Equal(t, first.String(), second.String())
	})
}

func TestLoadRefuses(t *testing.T) {
	var b bytes.Buffer
	d := &Database{Engine: "sqlite", Schemas: []*Schema{{Name: "main", Tables: []*Table{{Name: "orders"}}}}}
	require.NoError(t, d.Save(&b))
	for _, c := range []struct{ name, text, want string }{
		{"no JSON", "CREATE TABLE t (a)", "no saved schema"},
		{"other JSON", `{"format": "x"}`, `its format is "x"`},
		{"later version", strings.Replace(b.String(), `"version": 1`, `"version": 99`, 1), "saved in version 99"},
		{"changed", strings.Replace(b.String(), `"orders"`, `"others"`, 1), "changed after it was saved"},
	} {
		_, err := Load(strings.NewReader(c.text))
		require.ErrorContains(t, err, c.want, c.name)
	}
}
