package snapshots

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/snapshot"
)

// TestSchemaOnly makes the schema of a snapshot in an empty database: all kinds of objects, and no row.
func TestSchemaOnly(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			url, to := servers.URL(t, k), servers.URL(t, k)
			if k.Engine == "postgres" {
				psql(t, k, url, kindsSchema(t, k)+kindsRows)
			} else {
				loadMySQL(t, k, url, nastyMySQL(k)...)
			}
			store := newStore(t)
			m := create(t, store, url)
			require.NotZero(t, m.Rows())
			db := openDatabase(t, to)
			site, err := database.Site(db)
			require.NoError(t, err)
			require.NoError(t, store.Proven(t.Context(), m.SchemaOnly(), site, snapshot.BuildOptions{Workers: 2}))
			s := &table{t: t, url: to, db: db}
			model, err := s.shelf().Inspect(t.Context())
			require.NoError(t, err)
			for _, n := range model.Schemas {
				for _, x := range n.Tables {
					if foreign := len(x.Options) > 0 && x.Options[0].Name == "foreign"; foreign {
						continue
					}
					require.Zero(t, s.number("SELECT count(*) FROM "+db.Dialect().QuoteTable(n.Name, x.Name)), x.Name)
				}
			}
		})
	}
}
