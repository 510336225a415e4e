package recipe_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load reads a model that the integration tests have taken from a server.
func load(t *testing.T, file string) *schema.Database {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(t, err)
	d, err := schema.Load(bytes.NewReader(text))
	require.NoError(t, err)
	return d
}

func scripts(t *testing.T, from *schema.Database, operations []recipe.Operation) (string, *recipe.Draft) {
	t.Helper()
	draft, err := recipe.Plan(from, operations, recipe.Options{Engine: migrate.Postgres, Writer: postgres.Writer{}, ID: "20261124093000_to"})
	require.NoError(t, err)
	var text strings.Builder
	for _, f := range draft.Files(migrate.Postgres) {
		text.WriteString("=== " + f.Name + "\n" + f.Text)
	}
	return text.String(), draft
}

// asReviewed wants scripts to be those of a golden file.
func asReviewed(t *testing.T, name, text string) {
	t.Helper()
	golden := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}

// given are the operations that stand for one of the difference's.
var given = map[string][]recipe.Operation{
	"labels": {recipe.ChangeEnum{Type: recipe.Table{Name: "mood"}, Labels: []string{"happy", "ok", "sad", "great"}, As: []recipe.Relabel{{From: "odd", To: "ok"}}}},
}

// TestGolden: the scripts of pairs of schemas are those that were reviewed, and the same each time.
func TestGolden(t *testing.T) {
	for name, renames := range map[string][]string{
		"columns":     {"public.users.name=public.users.full_name"},
		"table":       {"public.users=public.people"},
		"others":      {"public.tasks.owner=public.tasks.belongs_to"},
		"constraints": nil,
		"keys":        nil,
		"labels":      nil,
		"partitions":  nil,
		"anew":        nil,
	} {
		t.Run(name, func(t *testing.T) {
			from, to := load(t, name+".from.json"), load(t, name+".to.json")
			resolved, err := diff.ResolveAll(from, to, renames)
			require.NoError(t, err)
			var all []string
			for range 3 {
				d, err := recipe.FromDiff(from, to, resolved, given[name], migrate.Postgres)
				require.NoError(t, err)
				text, _ := scripts(t, from, d.Operations)
				all = append(all, text)
			}
			require.Equal(t, all[0], all[1])
			require.Equal(t, all[0], all[2])
			asReviewed(t, name, all[0])
		})
	}
}

// model is a schema with one table and what a test adds.
func model(change func(*schema.Schema, *schema.Table)) *schema.Database {
	t := &schema.Table{
		Name: "users",
		Columns: []*schema.Column{
			{Name: "id", Type: "bigint", NotNull: true},
			{Name: "name", Type: "text", NotNull: true},
			{Name: "age", Type: "integer"},
			{Name: "note", Type: "text"},
		},
		Constraints: []*schema.Constraint{{Name: "users_pkey", Type: schema.PrimaryKey, Definition: "PRIMARY KEY (id)", Columns: []string{"id"}}},
	}
	s := &schema.Schema{Name: "public", Tables: []*schema.Table{t}}
	if change != nil {
		change(s, t)
	}
	return &schema.Database{Engine: "postgres", Schemas: []*schema.Schema{s}}
}

// split gives a table one partition.
func split(s *schema.Schema, t *schema.Table, more ...schema.Property) {
	t.Options = []schema.Property{{Name: "partition key", Value: "RANGE (id)"}}
	s.Tables = append(s.Tables, &schema.Table{
		Name: "users_all", Columns: t.Columns, Needs: []schema.Key{{Schema: s.Name, Kind: schema.KindTable, Name: t.Name}},
		Options: append([]schema.Property{{Name: "partition of", Value: t.Name}, {Name: "partition bound", Value: "DEFAULT"}}, more...),
	})
}

func without(t *schema.Table, column string) {
	for i, c := range t.Columns {
		if c.Name == column {
			t.Columns = append(t.Columns[:i], t.Columns[i+1:]...)
			return
		}
	}
}

func texts(d *recipe.Difference) (list []string) {
	for _, op := range d.Operations {
		list = append(list, op.String())
	}
	return list
}

// TestFromDiff: each kind of difference becomes the operation that is for it.
func TestFromDiff(t *testing.T) {
	index := &schema.Index{Name: "by_age", Definition: "CREATE INDEX by_age ON public.users USING btree (age)", Columns: []string{"age"}}
	check := &schema.Constraint{Name: "grown", Type: schema.Check, Definition: "CHECK ((age > 0))", Columns: []string{"age"}}
	nothing := func(*schema.Schema, *schema.Table) {}
	last := "see that nothing else differs"
	for name, c := range map[string]struct {
		from, to func(*schema.Schema, *schema.Table)
		renames  []string
		given    []string
		want     []string
	}{
		"nothing": {nothing, nothing, nil, nil, nil},
		"added": {nothing, func(_ *schema.Schema, u *schema.Table) {
			u.Columns = append(u.Columns, &schema.Column{Name: "x", Type: "integer", Default: "0"})
		}, nil, nil, []string{"add column public.users.x integer default (0)", last}},
		"dropped":   {nothing, func(_ *schema.Schema, u *schema.Table) { without(u, "note") }, nil, nil, []string{"drop column public.users.note", last}},
		"renamed":   {nothing, func(_ *schema.Schema, u *schema.Table) { u.Columns[1].Name = "full_name" }, []string{"public.users.name=public.users.full_name"}, nil, []string{"rename column public.users.name full_name", last}},
		"not known": {nothing, func(_ *schema.Schema, u *schema.Table) { u.Columns[3].Name = "remark" }, nil, nil, []string{"add column public.users.remark text", "drop column public.users.note", last}},
		"retyped":   {nothing, func(_ *schema.Schema, u *schema.Table) { u.Columns[2].Type = "bigint" }, nil, nil, []string{"change type public.users.age bigint", last}},
		"given": {
			nothing, func(_ *schema.Schema, u *schema.Table) { u.Columns[2].Type = "bigint" }, nil,
			[]string{"change type users.age bigint up (age * 12) down (age / 12)"},
			[]string{"change type users.age bigint up (age * 12) down (age / 12)", last},
		},
		"retyped under an index": {
			nothing, func(_ *schema.Schema, u *schema.Table) {
				u.Columns[2].Type = "bigint"
				u.Indexes = append(u.Indexes, index)
			}, nil, nil,
			[]string{"change type public.users.age bigint", "add index public.users.by_age CREATE INDEX by_age ON public.users USING btree (switchback_new_age)", last},
		},
		"not null":        {nothing, func(_ *schema.Schema, u *schema.Table) { u.Columns[3].NotNull = true }, nil, []string{"set not null users.note fill ('')"}, []string{"set not null users.note fill ('')", last}},
		"null":            {nothing, func(_ *schema.Schema, u *schema.Table) { u.Columns[1].NotNull = false }, nil, nil, []string{"drop not null public.users.name", last}},
		"default":         {nothing, func(_ *schema.Schema, u *schema.Table) { u.Columns[2].Default = "7" }, nil, nil, []string{"set default public.users.age (7)", last}},
		"constraint":      {nothing, func(_ *schema.Schema, u *schema.Table) { u.Constraints = append(u.Constraints, check) }, nil, nil, []string{"add constraint public.users.grown CHECK ((age > 0))", last}},
		"no constraint":   {func(_ *schema.Schema, u *schema.Table) { u.Constraints = append(u.Constraints, check) }, nothing, nil, nil, []string{"drop constraint public.users.grown", last}},
		"index":           {nothing, func(_ *schema.Schema, u *schema.Table) { u.Indexes = append(u.Indexes, index) }, nil, nil, []string{"add index public.users.by_age CREATE INDEX by_age ON public.users USING btree (age)", last}},
		"no index":        {func(_ *schema.Schema, u *schema.Table) { u.Indexes = append(u.Indexes, index) }, nothing, nil, nil, []string{"drop index public.users.by_age", last}},
		"dropped indexed": {func(_ *schema.Schema, u *schema.Table) { u.Indexes = append(u.Indexes, index) }, func(_ *schema.Schema, u *schema.Table) { without(u, "age") }, nil, nil, []string{"drop column public.users.age", last}},
		"renamed table":   {nothing, func(_ *schema.Schema, u *schema.Table) { u.Name = "people" }, []string{"public.users=public.people"}, nil, []string{"rename table public.users people", last}},
		"others": {
			nothing, func(s *schema.Schema, u *schema.Table) {
				u.Comment = "people"
				s.Types = []*schema.Type{{Name: "mood", Form: schema.Enum, Labels: []string{"good"}}}
				s.Tables = append(s.Tables, &schema.Table{Name: "items", Columns: []*schema.Column{{Name: "id", Type: "bigint"}}})
				s.Views = []*schema.View{{Name: "names", Definition: " SELECT name FROM public.users"}}
			}, nil, nil,
			[]string{"make table public.items, type public.mood", "settle view public.names, table public.users"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := model(c.from), model(c.to)
			renames, err := diff.ResolveAll(from, to, c.renames)
			require.NoError(t, err)
			var given []recipe.Operation
			for _, text := range c.given {
				op, err := recipe.Parse(text)
				require.NoError(t, err)
				given = append(given, op)
			}
			d, err := recipe.FromDiff(from, to, renames, given, migrate.Postgres)
			require.NoError(t, err)
			require.Equal(t, c.want, texts(d))
			if len(d.Operations) > 0 {
				scripts(t, from, d.Operations) // it is complete, or Plan says so
			}
		})
	}
}

// TestFromDiffNotes: what looks like a rename is said.
func TestFromDiffNotes(t *testing.T) {
	to := model(func(_ *schema.Schema, u *schema.Table) { u.Columns[1].Name = "full_name" })
	d, err := recipe.FromDiff(model(nil), to, nil, nil, migrate.Postgres)
	require.NoError(t, err)
	require.Len(t, d.Notes, 1)
	require.Contains(t, d.Notes[0], "--rename public.users.name=public.users.full_name")
}

// TestFromDiffOurs: what changes on their way have made is no difference.
func TestFromDiffOurs(t *testing.T) {
	from := model(func(s *schema.Schema, u *schema.Table) {
		u.Columns = append(u.Columns, &schema.Column{Name: "switchback_old_x", Type: "text"})
		u.Indexes = append(u.Indexes, &schema.Index{Name: "by_x", Definition: "CREATE INDEX by_x ON public.users USING btree (switchback_old_x)", Columns: []string{"switchback_old_x"}})
		u.Triggers = append(u.Triggers, &schema.Trigger{Name: "zz_switchback_1_20260101000000", Definition: "CREATE TRIGGER"})
		s.Routines = append(s.Routines, &schema.Routine{Name: "switchback_20260101000000_up_users()", Form: "function", Definition: "CREATE"})
		s.Tables = append(s.Tables, &schema.Table{Name: "switchback_old_things"})
	})
	d, err := recipe.FromDiff(from, model(nil), nil, nil, migrate.Postgres)
	require.NoError(t, err)
	require.Empty(t, d.Operations)
}

// TestFromDiffLoss: what goes is counted, and named.
func TestFromDiffLoss(t *testing.T) {
	for name, c := range map[string]struct {
		from, to func(*schema.Schema, *schema.Table)
		much     bool
		says     string
	}{
		"a column of four": {nil, func(_ *schema.Schema, u *schema.Table) { without(u, "note") }, false, "1 of 4 columns"},
		"two":              {nil, func(_ *schema.Schema, u *schema.Table) { without(u, "note"); without(u, "age") }, true, "2 of 4 columns"},
		"a table": {
			func(s *schema.Schema, _ *schema.Table) {
				s.Tables = append(s.Tables, &schema.Table{Name: "old", Columns: []*schema.Column{{Name: "id", Type: "bigint"}}})
			}, nil, true, "table public.old",
		},
	} {
		d, err := recipe.FromDiff(model(c.from), model(c.to), nil, nil, migrate.Postgres)
		require.NoError(t, err, name)
		require.Equal(t, c.much, d.Loss.Much(), name)
		require.Equal(t, c.says, d.Loss.String(), name)
	}
}

// TestFromDiffRefuses: what cannot be one change says what to do instead.
func TestFromDiffRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		to            func(*schema.Schema, *schema.Table)
		renames       []string
		given         []string
		reason, next2 string
	}{
		"renamed and retyped": {
			func(_ *schema.Schema, u *schema.Table) { u.Columns[2].Name, u.Columns[2].Type = "years", "bigint" },
			[]string{"public.users.age=public.users.years"},
			nil, "its type changes too, from integer to bigint", "in changes of their own",
		},
		"a table renamed and reshaped": {
			func(_ *schema.Schema, u *schema.Table) { u.Name, u.Columns[1].Name = "people", "full_name" },
			[]string{"public.users=public.people", "public.people.name=public.people.full_name"},
			nil, "the table is renamed to people as well", "in changes of their own",
		},
		"an operation for nothing": {
			func(_ *schema.Schema, u *schema.Table) { u.Columns[2].Type = "bigint" },
			nil,
			[]string{"set not null users.note fill ('')"},
			"the difference has nothing that this could stand for", "without --to",
		},
		"another table": {
			func(_ *schema.Schema, u *schema.Table) {
				u.Options = []schema.Property{{Name: "partition key", Value: "RANGE (id)"}}
			},
			nil, nil, "that is another table", "switchback plan --help",
		},
		"partitions that have some": {
			func(s *schema.Schema, u *schema.Table) {
				split(s, u, schema.Property{Name: "partition key", Value: "HASH (id)"})
			},
			nil, nil, "that is another table", "switchback plan --help",
		},
		"partitioned and reshaped": {
			func(s *schema.Schema, u *schema.Table) { split(s, u); u.Columns[2].Type = "bigint" },
			nil, nil, "is about the same table", "one after the other",
		},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := model(nil), model(c.to)
			renames, err := diff.ResolveAll(from, to, c.renames)
			require.NoError(t, err)
			var given []recipe.Operation
			for _, text := range c.given {
				op, err := recipe.Parse(text)
				require.NoError(t, err)
				given = append(given, op)
			}
			d, err := recipe.FromDiff(from, to, renames, given, migrate.Postgres)
			if err == nil {
				_, err = recipe.Plan(from, d.Operations, recipe.Options{Engine: migrate.Postgres, Writer: postgres.Writer{}, ID: "1"})
			}
			var refused *recipe.Error
			require.ErrorAs(t, err, &refused)
			require.Contains(t, refused.Reason, c.reason)
			require.Contains(t, refused.Next, c.next2)
		})
	}
}
