package integration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// TestSizes: a table of PostgreSQL that was never analysed is not taken for an empty one, nor one whose rows are in partitions.
func TestSizes(t *testing.T) {
	if testing.Short() {
		return
	}
	g := open(t, servers.URL(t, servers.Postgres17), migrate.Options{})
	g.exec(`CREATE TABLE items (id bigint, note text) WITH (autovacuum_enabled = off);
CREATE TABLE parts (id bigint) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0) WITH (autovacuum_enabled = off);
CREATE TABLE none (id bigint);
CREATE TABLE bare (id bigint) PARTITION BY HASH (id);
INSERT INTO items SELECT n, 'note ' || n FROM generate_series(1, 20000) AS n;
INSERT INTO parts SELECT n FROM generate_series(1, 20000) AS n;
ANALYZE parts`)
	sizes, err := database.Sizes(t.Context(), g.db)
	require.NoError(t, err)
	of := func(name string) recipe.Size { return sizes[recipe.Table{Schema: "public", Name: name}] }
	require.InDelta(t, 20000, of("items").Rows, 15000)
	require.EqualValues(t, 20000, of("parts").Rows)
	require.Equal(t, of("parts_0"), of("parts"))
	require.Positive(t, of("parts").Bytes)
	require.Zero(t, of("none").Rows)
	require.Contains(t, sizes, recipe.Table{Schema: "public", Name: "bare"})
}
