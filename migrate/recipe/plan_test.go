package recipe_test

import (
	"testing"

	"github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

func TestX(t *testing.T) {
	db := &schema.Database{Engine: "postgres", Schemas: []*schema.Schema{{Name: "public", Tables: []*schema.Table{{
		Name:        "users",
		Columns:     []*schema.Column{{Name: "id", Type: "bigint", NotNull: true}, {Name: "name", Type: "text", NotNull: true, Default: "'x'::text"}, {Name: "age", Type: "integer", NotNull: true}},
		Constraints: []*schema.Constraint{{Name: "users_pkey", Type: schema.PrimaryKey, Definition: "PRIMARY KEY (id)", Columns: []string{"id"}}, {Name: "users_name_key", Type: "unique", Definition: "UNIQUE (name)", Columns: []string{"name"}}, {Name: "pos", Type: "check", Definition: "CHECK ((age > 0))", Columns: []string{"age"}}},
		Indexes:     []*schema.Index{{Name: "users_name_idx", Definition: "CREATE INDEX users_name_idx ON public.users USING btree (lower(name))"}},
	}}}}}
	var ops []recipe.Operation
	for _, text := range []string{"rename column users.name full_name", "change type users.age bigint"} {
		op, err := recipe.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, op)
	}
	d, err := recipe.Plan(db, ops, recipe.Options{Engine: migrate.Postgres, Writer: postgres.Writer{}, ID: "20261124093000_x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range d.Files(migrate.Postgres) {
		t.Logf("=== %s\n%s", f.Name, f.Text)
	}
}
