package recipe_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

// withParent is a schema in which items refer to a table of numbers.
func withParent(engine migrate.Engine, options ...schema.Property) *schema.Database {
	d := mysqlModel(engine, func(s *schema.Schema, t *schema.Table) {
		s.Tables = append(s.Tables, &schema.Table{
			Name: "numbers", Options: []schema.Property{{Name: "engine", Value: "InnoDB"}},
			Columns:     []*schema.Column{{Name: "n", Type: "int", NotNull: true}},
			Constraints: []*schema.Constraint{{Name: "PRIMARY", Type: schema.PrimaryKey, Definition: "PRIMARY KEY (`n`)", Columns: []string{"n"}}},
		})
		t.Options = append(t.Options, options...)
		t.Constraints = append(t.Constraints, &schema.Constraint{
			Name: "items_numbers", Type: schema.ForeignKey, Definition: "FOREIGN KEY (n) REFERENCES numbers (n)", Columns: []string{"n"},
			References: &schema.Reference{Table: "numbers", Columns: []string{"n"}},
		})
	})
	d.Version = "11.8.2-MariaDB"
	return d
}

// TestExchangeGolden: the scripts that exchange constraints which cannot be renamed are those that were reviewed.
func TestExchangeGolden(t *testing.T) {
	const key, rule = "replace constraint items.items_numbers FOREIGN KEY (n) REFERENCES numbers (n) ON DELETE CASCADE", "replace constraint items.items_n CHECK (n <> 14)"
	for name, c := range map[string]struct {
		engine     migrate.Engine
		operations []string
	}{
		"second_exchange": {migrate.MySQL, []string{key}},
		"online_exchange": {migrate.MariaDB, []string{key, rule}},
	} {
		draft, err := planOn(c.engine, withParent(c.engine), c.operations...)
		require.NoError(t, err)
		asReviewed(t, name, scriptsOf(draft, c.engine))
	}
}

// TestExchangeWithPartitions: MariaDB loses what is written while it copies a table that has partitions.
func TestExchangeWithPartitions(t *testing.T) {
	d := withParent(migrate.MariaDB, schema.Property{Name: "partitions", Value: "BY HASH (`id`)\nPARTITIONS 3"})
	draft, err := planOn(migrate.MariaDB, d, "replace constraint items.items_n CHECK (n <> 14)")
	require.NoError(t, err)
	for _, list := range [][]recipe.Statement{draft.Phase(migrate.Contract).Forward, draft.Phase(migrate.Contract).Back} {
		require.Contains(t, list[0].SQL, "LOCK=SHARED")
	}
	require.Contains(t, strings.Join(draft.Notes, "\n"), "as it has partitions")
}

// TestExchangeOfAnotherKind: what is not the same rule in another form is refused.
func TestExchangeOfAnotherKind(t *testing.T) {
	for operation, reason := range map[string]string{
		"replace constraint items.items_n FOREIGN KEY (n) REFERENCES numbers (n)":        "another kind",
		"replace constraint items.items_numbers FOREIGN KEY (id) REFERENCES numbers (n)": "other columns",
	} {
		_, err := planOn(migrate.MySQL, withParent(migrate.MySQL), operation)
		var wrong *recipe.Error
		require.ErrorAs(t, err, &wrong, operation)
		require.Contains(t, wrong.Reason, reason)
		require.NotEmpty(t, wrong.Next)
	}
}

// TestWantedWithChecks: a second table would have its checks called otherwise than the schema that is wanted says, and MySQL can
// only copy the table for another name.
func TestWantedWithChecks(t *testing.T) {
	stored := func(expression string) *schema.Database {
		return mysqlModel(migrate.MySQL, func(_ *schema.Schema, t *schema.Table) {
			t.Columns = append(t.Columns, &schema.Column{Name: "g", Type: "int", Generated: expression + " stored"})
		})
	}
	from, to := stored("`n` + 1"), stored("`n` + 2")
	d, err := recipe.FromDiff(from, to, nil, nil, migrate.MySQL)
	require.NoError(t, err)
	draft, err := planAllOn(migrate.MySQL, from, d.Operations)
	require.NoError(t, err)
	require.Nil(t, draft.Phase(migrate.Expand))
	require.Len(t, draft.Phase(migrate.Contract).Forward, 1)
	require.Contains(t, strings.Join(draft.Notes, "\n"), "check items_n would have another name afterwards")
}
