package recipe_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	ddl "github.com/switchbackdb/switchback/ddl/mysql"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

// mysqlModel is a schema of MySQL or MariaDB with one table and what a test changes of it.
func mysqlModel(engine migrate.Engine, change func(*schema.Schema, *schema.Table)) *schema.Database {
	t := &schema.Table{
		Name:    "items",
		Options: []schema.Property{{Name: "engine", Value: "InnoDB"}, {Name: "collation", Value: "latin1_swedish_ci"}},
		Columns: []*schema.Column{
			{Name: "id", Type: "int", NotNull: true},
			{Name: "n", Type: "int"},
			{Name: "note", Type: "text"},
		},
		Constraints: []*schema.Constraint{
			{Name: "PRIMARY", Type: schema.PrimaryKey, Definition: "PRIMARY KEY (`id`)", Columns: []string{"id"}},
			{Name: "items_n", Type: schema.Check, Definition: "CHECK ((`n` <> 13))"},
		},
		Grants: []*schema.Grant{{To: "'app'@'%'", Privileges: "SELECT"}},
	}
	s := &schema.Schema{Tables: []*schema.Table{t}}
	if change != nil {
		change(s, t)
	}
	return &schema.Database{Engine: string(engine), Schemas: []*schema.Schema{s}}
}

func planOn(engine migrate.Engine, d *schema.Database, operations ...string) (*recipe.Draft, error) {
	var list []recipe.Operation
	for _, text := range operations {
		op, err := recipe.Parse(text)
		if err != nil {
			return nil, err
		}
		list = append(list, op)
	}
	return planAllOn(engine, d, list)
}

func planAllOn(engine migrate.Engine, d *schema.Database, list []recipe.Operation) (*recipe.Draft, error) {
	return recipe.Plan(d, list, recipe.Options{Engine: engine, Writer: ddl.Writer{}, ID: "20261124093000_second"})
}

// scriptsOf is a draft as a file that is reviewed has it.
func scriptsOf(d *recipe.Draft, engine migrate.Engine) string {
	var text strings.Builder
	for _, f := range d.Files(engine) {
		text.WriteString("=== " + f.Name + "\n" + f.Text)
	}
	return text.String()
}

// TestSecondGolden: the scripts of a second table are those that were reviewed.
func TestSecondGolden(t *testing.T) {
	for name, operation := range map[string]string{
		"second_convert": "convert table items charset utf8mb4 collate utf8mb4_bin",
		"second_key":     "change type items.id bigint",
	} {
		t.Run(name, func(t *testing.T) {
			draft, err := planOn(migrate.MySQL, mysqlModel(migrate.MySQL, nil), operation)
			require.NoError(t, err)
			asReviewed(t, name, scriptsOf(draft, migrate.MySQL))
		})
	}
}

// TestSecondRefused: what a second table could not keep in step is refused, with the reason.
func TestSecondRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(*schema.Schema, *schema.Table)
		operations []string
		reason     string
	}{
		"no key": {
			func(_ *schema.Schema, t *schema.Table) { t.Constraints = nil }, nil, "has no primary key",
		},
		"trigger": {
			func(_ *schema.Schema, t *schema.Table) { t.Triggers = []*schema.Trigger{{Name: "stamp"}} }, nil, "trigger stamp is on the table",
		},
		"long name": {
			func(_ *schema.Schema, t *schema.Table) { t.Name = strings.Repeat("x", 50) },
			[]string{"partition table " + strings.Repeat("x", 50) + " by (HASH (id) PARTITIONS 3)"},
			"the name of table",
		},
		"foreign key to it": {
			func(s *schema.Schema, _ *schema.Table) {
				s.Tables = append(s.Tables, &schema.Table{Name: "parts", Constraints: []*schema.Constraint{{Name: "of", Type: schema.ForeignKey, Columns: []string{"item"}, References: &schema.Reference{Table: "items", Columns: []string{"id"}}}}})
			}, nil, "foreign key of of parts points to it",
		},
		"foreign key of its own": {
			func(s *schema.Schema, t *schema.Table) {
				s.Tables = append(s.Tables, &schema.Table{Name: "numbers"})
				t.Constraints = append(t.Constraints, &schema.Constraint{Name: "of", Type: schema.ForeignKey, Columns: []string{"n"}, References: &schema.Reference{Table: "numbers", Columns: []string{"n"}}})
			}, nil, "fire no triggers",
		},
		"other operation": {
			nil, []string{"partition table items by (HASH (id) PARTITIONS 3)", "drop column items.note"}, "is about the same table",
		},
		"unique text": {
			func(_ *schema.Schema, t *schema.Table) {
				t.Columns[2].Type = "varchar(20)"
				t.Constraints = append(t.Constraints, &schema.Constraint{Name: "once", Type: schema.Unique, Columns: []string{"note"}})
			}, []string{"convert table items charset utf8mb4 collate utf8mb4_bin"}, "unique key once compares texts",
		},
		"wrong collation": {
			nil, []string{"convert table items charset latin1 collate utf8mb4_bin"}, "is no collation of latin1",
		},
		"key apart": {
			nil, []string{"partition table items by (RANGE COLUMNS (n) (PARTITION id VALUES LESS THAN (7)))"}, "key PRIMARY does not hold column n",
		},
		"narrower key": {
			nil, []string{"change type items.id smallint"}, "without a loss",
		},
	} {
		t.Run(name, func(t *testing.T) {
			operations := c.operations
			if operations == nil {
				operations = []string{"partition table items by (HASH (id) PARTITIONS 3)"}
			}
			_, err := planOn(migrate.MySQL, mysqlModel(migrate.MySQL, c.change), operations...)
			var wrong *recipe.Error
			require.ErrorAs(t, err, &wrong)
			require.Contains(t, wrong.Reason, c.reason)
			if name != "wrong collation" {
				require.NotEmpty(t, wrong.Next)
			}
		})
	}
}

// TestOnlineGolden: what MariaDB copies beside writers is what was reviewed, and older servers are told why not.
func TestOnlineGolden(t *testing.T) {
	var text strings.Builder
	for _, operation := range []string{
		"convert table items charset utf8mb4 collate utf8mb4_bin", "change type items.id bigint", "add constraint items.small CHECK (n < 7)",
	} {
		d := mysqlModel(migrate.MariaDB, nil)
		d.Version = "11.2.1-MariaDB"
		draft, err := planOn(migrate.MariaDB, d, operation)
		require.NoError(t, err)
		text.WriteString(scriptsOf(draft, migrate.MariaDB))
	}
	asReviewed(t, "online", text.String())

	d := mysqlModel(migrate.MariaDB, func(_ *schema.Schema, t *schema.Table) {
		t.Options = append(t.Options, schema.Property{Name: "partitions", Value: "BY HASH (`id`)\nPARTITIONS 3"})
	})
	d.Version = "11.8.2-MariaDB"
	for _, operation := range []string{"partition table items by (HASH (id) PARTITIONS 4)", "convert table items charset utf8mb4 collate utf8mb4_bin", "change type items.id bigint"} {
		_, err := planOn(migrate.MariaDB, d, operation)
		var wrong *recipe.Error
		require.ErrorAs(t, err, &wrong, operation)
		require.Contains(t, wrong.Reason, "MariaDB loses writes")
	}
	draft, err := planOn(migrate.MariaDB, d, "add constraint items.small CHECK (n < 7)")
	require.NoError(t, err)
	for _, list := range [][]recipe.Statement{draft.Phase(migrate.Backfill).Forward, draft.Phase(migrate.Backfill).Back} {
		require.Contains(t, list[len(list)-1].SQL, "LOCK=SHARED")
	}

	d = mysqlModel(migrate.MariaDB, nil)
	d.Version = "10.11.14-MariaDB"
	draft, err = planOn(migrate.MariaDB, d, "add constraint items.small CHECK (n < 7)")
	require.NoError(t, err)
	require.Contains(t, strings.Join(draft.Notes, "\n"), "from version 11.2 on it does not have them wait")
}

// TestSecondMariaDB: MariaDB has none, and says why, where it cannot copy beside writers either.
func TestSecondMariaDB(t *testing.T) {
	for _, operation := range []string{"partition table items by (HASH (id) PARTITIONS 3)", "convert table items charset utf8mb4 collate utf8mb4_bin", "change type items.id bigint"} {
		d := mysqlModel(migrate.MariaDB, nil)
		d.Version = "11.1.6-MariaDB"
		_, err := planOn(migrate.MariaDB, d, operation)
		var wrong *recipe.Error
		require.ErrorAs(t, err, &wrong, operation)
		require.Contains(t, wrong.Reason, "statements of the application fail there")
		require.NotEmpty(t, wrong.Next)
	}
}
