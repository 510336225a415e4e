package recipe_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	ddl "github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

// TestPartitionedGolden: the scripts of a table of PostgreSQL that gets partitions are those that were reviewed.
func TestPartitionedGolden(t *testing.T) {
	items := schema.Key{Schema: "public", Kind: schema.KindTable, Name: "items"}
	d := &schema.Database{Engine: "postgres", Schemas: []*schema.Schema{{
		Name: "public",
		Tables: []*schema.Table{
			{
				Name: "items",
				Columns: []*schema.Column{
					{Name: "id", Type: "bigint", NotNull: true, Identity: "always"},
					{Name: "day", Type: "date", NotNull: true},
					{Name: "note", Type: "text"},
				},
				Constraints: []*schema.Constraint{{Name: "items_pkey", Type: schema.PrimaryKey, Definition: "PRIMARY KEY (id, day)", Columns: []string{"id", "day"}}},
				Indexes:     []*schema.Index{{Name: "items_note", Columns: []string{"note"}, Definition: "CREATE INDEX items_note ON public.items USING btree (note)"}},
				Grants:      []*schema.Grant{{To: "app", Privileges: "SELECT"}},
			},
			{
				Name:    "lines",
				Columns: []*schema.Column{{Name: "item", Type: "bigint"}, {Name: "day", Type: "date"}},
				Constraints: []*schema.Constraint{{
					Name: "lines_item", Type: schema.ForeignKey, Definition: "FOREIGN KEY (item, day) REFERENCES public.items(id, day) ON DELETE CASCADE", Columns: []string{"item", "day"},
					References: &schema.Reference{Table: "items", Columns: []string{"id", "day"}}, Needs: []schema.Key{items},
				}},
			},
		},
		Views: []*schema.View{{Name: "how_many", Definition: " SELECT count(*) AS count\n   FROM public.items", Needs: []schema.Key{items}}},
	}}}
	op, err := recipe.Parse("partition table items by (RANGE (day) (PARTITION items_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01'), PARTITION items_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')))")
	require.NoError(t, err)
	draft, err := recipe.Plan(d, []recipe.Operation{op}, recipe.Options{Engine: migrate.Postgres, Writer: ddl.Writer{}, ID: "20261124093000_partitions"})
	require.NoError(t, err)
	var text strings.Builder
	for _, f := range draft.Files(migrate.Postgres) {
		text.WriteString("=== " + f.Name + "\n" + f.Text)
	}
	asReviewed(t, "partitioned", text.String())
}
