package data

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/schema"
)

func TestPlanLeaveOut(t *testing.T) {
	table := func(collation string) *schema.Table {
		return &schema.Table{
			Name:        "users",
			Options:     []schema.Property{{Name: "collation", Value: collation}},
			Columns:     []*schema.Column{{Name: "seen", Type: "text"}, {Name: "id", Type: "bigint", NotNull: true}, {Name: "name", Type: "text", NotNull: true, Collation: "latin1_bin"}},
			Constraints: []*schema.Constraint{{Name: "users_pkey", Type: schema.PrimaryKey, Columns: []string{"id"}}},
		}
	}
	p := NewPlan("shop", table("utf8mb4_bin"), table("utf8mb4_general_ci"), func(string) bool { return true })
	require.False(t, p.From.Columns[0].Recoded, "the collation is no matter")
	p = NewPlan("shop", table("utf8mb4_bin"), table("latin1_bin"), func(string) bool { return true })
	require.Equal(t, []Column{{Name: "seen", Type: "text", Alike: true, Recoded: true, Nullable: true}, {Name: "id", Type: "bigint", Alike: true, Recoded: true}, {Name: "name", Type: "text", Alike: true}}, p.From.Columns)

	p.LeaveOut(func(column string) (string, bool) { return "because", column != "name" })
	require.Equal(t, []string{"column seen is left out: because"}, p.Notes, "the key stays")
	for _, side := range []Table{p.From, p.To} {
		require.Len(t, side.Columns, 2)
		require.Equal(t, "id", side.KeyColumns()[0].Name)
	}
}
