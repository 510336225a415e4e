package stats

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

func TestSaveAndRead(t *testing.T) {
	s := Stats{Engine: migrate.Postgres, Taken: time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC), Sizes: map[recipe.Table]recipe.Size{
		{Schema: "public", Name: "users"}: {Rows: 7, Bytes: 8192}, {Schema: "b", Name: "users"}: {},
	}}
	var b bytes.Buffer
	require.NoError(t, s.Save(&b))
	path := filepath.Join(t.TempDir(), "stats.json")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	again, err := Read(path)
	require.NoError(t, err)
	require.Equal(t, s, again)
}

func TestReadOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stats.json")
	_, err := Read(path)
	require.ErrorContains(t, err, "next: write them with switchback stats save")
	for text, want := range map[string]string{
		"":   "it is no JSON of statistics",
		"{}": "it holds no statistics that this version knows",
		`{"switchback_stats":2,"engine":"postgres"}`:                                      "it holds no statistics that this version knows",
		`{"switchback_stats":1,"engine":"oracle"}`:                                        "it holds no statistics that this version knows",
		`{"switchback_stats":1,"engine":"postgres","tables":[{"name":"a","rows":-1}]}`:    "table a has less than nothing",
		`{"switchback_stats":1,"engine":"postgres","tables":[{"name":"a","rows":1e300}]}`: "it is no JSON of statistics",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Read(path)
		require.ErrorContains(t, err, want, text)
	}
}
