package diff

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/schema"
)

// shop is a schema of PostgreSQL with something that names each thing that can be renamed.
func shop() *schema.Database {
	users := &schema.Table{
		Name: "users",
		Columns: []*schema.Column{
			{Name: "id", Type: "integer", NotNull: true},
			{Name: "name", Type: "text"},
			{Name: "note", Type: "text"},
			{Name: "feels", Type: "public.mood", Default: "'sad'::public.mood"},
			{Name: "upper", Type: "text", Generated: "upper(name) stored"},
		},
		Constraints: []*schema.Constraint{
			{Name: "users_pkey", Type: schema.PrimaryKey, Definition: "PRIMARY KEY (id)", Columns: []string{"id"}},
			{Name: "named", Type: schema.Check, Definition: "CHECK (((name <> 'name'::text) AND (name(name) IS NOT NULL)))", Columns: []string{"name"}},
			{Name: "boss", Type: schema.ForeignKey, Definition: "FOREIGN KEY (name) REFERENCES public.users(id)", Columns: []string{"name"}, References: &schema.Reference{Table: "users", Columns: []string{"id"}}},
		},
		Indexes:  []*schema.Index{{Name: "name", Definition: "CREATE INDEX name ON public.users USING btree (name) WHERE (name IS NOT NULL)", Columns: []string{"name"}}},
		Triggers: []*schema.Trigger{{Name: "t", Definition: "CREATE TRIGGER t BEFORE UPDATE OF name ON public.users FOR EACH ROW WHEN ((old.name IS DISTINCT FROM new.name)) EXECUTE FUNCTION name()"}},
	}
	orders := &schema.Table{
		Name:        "orders",
		Columns:     []*schema.Column{{Name: "users", Type: "integer"}, {Name: "name", Type: "text"}},
		Constraints: []*schema.Constraint{{Name: "whose", Type: schema.ForeignKey, Definition: "FOREIGN KEY (users, name) REFERENCES public.users(id, name)", Columns: []string{"users", "name"}, References: &schema.Reference{Schema: "public", Table: "users", Columns: []string{"id", "name"}}}},
		Needs:       []schema.Key{{Schema: "public", Kind: schema.KindTable, Name: "users"}},
	}
	return &schema.Database{Engine: "postgres", Schemas: []*schema.Schema{{
		Name: "public", Tables: []*schema.Table{users, orders},
		Types:     []*schema.Type{{Name: "mood", Form: schema.Enum, Labels: []string{"sad", "ok", "happy"}}},
		Views:     []*schema.View{{Name: "names", Definition: " SELECT name\n   FROM public.users;"}},
		Sequences: []*schema.Sequence{{Name: "s", Options: []schema.Property{{Name: "owned by", Value: "public.users.name"}}}},
	}}}
}

// renamed is shop after something was done to it.
func renamed(change func(s *schema.Schema)) *schema.Database {
	d := shop()
	change(d.Schemas[0])
	return d
}

func TestRename(t *testing.T) {
	from := shop()
	before := from.Fingerprint()
	to := renamed(func(s *schema.Schema) {
		s.Table("users").Column("name").Name = "full name"
		s.Table("users").Name = "customers"
		s.Table("customers").Indexes[0].Name = "by_name"
		s.Views[0].Name = "all_names"
		s.Types[0].Labels[0] = "unhappy"
	})
	r, err := Compare(from, to, Options{Renames: []Rename{
		{Kind: KindLabel, Schema: "public", Parent: "mood", From: "sad", To: "unhappy"},
		{Kind: schema.KindColumn, Schema: "public", Parent: "customers", From: "name", To: "full name"},
		{Kind: schema.KindTable, Schema: "public", From: "users", To: "customers"},
		{Kind: schema.KindIndex, Schema: "public", Parent: "customers", From: "name", To: "by_name"},
		{Kind: schema.KindView, Schema: "public", From: "names", To: "all_names"},
	}})
	require.NoError(t, err)
	require.Equal(t, before, from.Fingerprint(), "the original is not changed")
	require.Equal(t, schema.KindTable, r.Renames[0].Kind, "the table comes before its columns")
	s := r.From.Schemas[0]
	users := s.Table("customers")
	require.Equal(t, `CHECK ((("full name" <> 'name'::text) AND (name("full name") IS NOT NULL)))`, users.Constraint("named").Definition)
	require.Equal(t, `FOREIGN KEY ("full name") REFERENCES public.customers(id)`, users.Constraint("boss").Definition)
	require.Equal(t, "customers", users.Constraint("boss").References.Table)
	require.Equal(t, `CREATE INDEX by_name ON public.customers USING btree ("full name") WHERE ("full name" IS NOT NULL)`, users.Indexes[0].Definition)
	require.Equal(t, []string{"full name"}, users.Indexes[0].Columns)
	require.Equal(t, `CREATE TRIGGER t BEFORE UPDATE OF "full name" ON public.customers FOR EACH ROW WHEN ((old."full name" IS DISTINCT FROM new."full name")) EXECUTE FUNCTION name()`, users.Triggers[0].Definition)
	require.Equal(t, `upper("full name") stored`, users.Column("upper").Generated)
	require.Equal(t, "'unhappy'::public.mood", users.Column("feels").Default)
	whose := s.Table("orders").Constraint("whose")
	require.Equal(t, `FOREIGN KEY (users, name) REFERENCES public.customers(id, "full name")`, whose.Definition)
	require.Equal(t, []string{"users", "name"}, whose.Columns)
	require.Equal(t, []string{"id", "full name"}, whose.References.Columns)
	require.Equal(t, "customers", s.Table("orders").Needs[0].Name)
	require.Equal(t, `public.customers."full name"`, s.Sequences[0].Options[0].Value)
	require.Equal(t, " SELECT name\n   FROM public.users;", s.View("all_names").Definition, "a text, which PostgreSQL writes in its own way after a rename")
}

func TestRenameErrors(t *testing.T) {
	to := renamed(func(s *schema.Schema) { s.Table("users").Name = "customers" })
	for want, r := range map[string]Rename{
		"the first schema has no table people":     {Kind: schema.KindTable, Schema: "public", From: "people", To: "customers"},
		"the second schema has no table clients":   {Kind: schema.KindTable, Schema: "public", From: "users", To: "clients"},
		"the first schema has a orders already":    {Kind: schema.KindTable, Schema: "public", From: "users", To: "orders"},
		"the first schema has a note already":      {Kind: schema.KindColumn, Schema: "public", Parent: "customers", From: "name", To: "note"},
		"the second schema has no routine noop()":  {Kind: schema.KindRoutine, Schema: "public", From: "f()", To: "noop()"},
		"the second schema has no column nickname": {Kind: schema.KindColumn, Schema: "public", Parent: "customers", From: "name", To: "nickname"},
	} {
		renames := []Rename{r}
		if r.Kind == schema.KindColumn {
			renames = append(renames, Rename{Kind: schema.KindTable, Schema: "public", From: "users", To: "customers"})
		}
		_, err := Compare(shop(), to, Options{Renames: renames})
		var e *RenameError
		require.ErrorAs(t, err, &e)
		require.ErrorContains(t, err, want)
	}
}

func TestPropose(t *testing.T) {
	propose := func(from, to *schema.Database) []Rename {
		r, err := Compare(from, to, Options{})
		require.NoError(t, err)
		return r.Proposed
	}
	require.Empty(t, propose(shop(), shop()))
	require.Equal(t, []Rename{
		{Kind: schema.KindView, Schema: "public", From: "names", To: "all_names", Evidence: "same query"},
		{Kind: KindLabel, Schema: "public", Parent: "mood", From: "sad", To: "unhappy", Evidence: "same position before ok, no other value moved"},
		{Kind: schema.KindColumn, Schema: "public", Parent: "users", From: "name", To: "full_name", Evidence: "same type text, same position between id and note"},
		{Kind: schema.KindIndex, Schema: "public", Parent: "users", From: "name", To: "by_name", Evidence: "same definition"},
	}, propose(renamed(func(s *schema.Schema) {
		s.Table("users").Indexes[0].Definition = "CREATE INDEX name ON public.users USING btree (id)"
	}), renamed(func(s *schema.Schema) {
		s.Table("users").Column("name").Name = "full_name"
		s.Table("users").Indexes[0] = &schema.Index{Name: "by_name", Definition: "CREATE INDEX by_name ON public.users USING btree (id)"}
		s.Views[0].Name = "all_names"
		s.Types[0].Labels[0] = "unhappy"
	})))
	require.Equal(t, []Rename{{Kind: schema.KindTable, Schema: "public", From: "users", To: "customers", Evidence: "4 of 5 columns equal, same primary key"}},
		propose(shop(), renamed(func(s *schema.Schema) {
			s.Table("users").Column("note").Type = "varchar"
			s.Table("users").Name = "customers"
		})))

	clear := func(s *schema.Schema) {
		customers, people := *s.Table("users"), *s.Table("users")
		customers.Name, people.Name = "customers", "people"
		people.Columns = people.Columns[:4]
		s.Tables = []*schema.Table{&customers, &people, s.Table("orders")}
	}
	require.Equal(t, "5 of 5 columns equal, same primary key; but people is like it too", propose(shop(), renamed(clear))[0].Evidence)
	require.Empty(t, propose(shop(), renamed(func(s *schema.Schema) { clear(s); s.Table("people").Columns = s.Table("customers").Columns })), "either may be meant")
	require.Empty(t, propose(shop(), renamed(func(s *schema.Schema) { s.Types[0].Labels = []string{"ok", "unhappy", "happy"} })), "a value moved")
	require.Empty(t, propose(shop(), renamed(func(s *schema.Schema) { c := s.Table("users").Column("note"); c.Name, c.Type = "rank", "integer" })))
}

func TestResolve(t *testing.T) {
	to := renamed(func(s *schema.Schema) {
		s.Table("users").Column("name").Name = "full.name"
		s.Table("users").Indexes[0].Name = "by_name"
		s.Table("orders").Name = "purchases"
		s.Types[0].Labels[0] = "unhappy"
	})
	column := Rename{Kind: schema.KindColumn, Schema: "public", Parent: "users", From: "name", To: "full.name"}
	index := Rename{Kind: schema.KindIndex, Schema: "public", Parent: "users", From: "name", To: "by_name"}
	label := Rename{Kind: KindLabel, Schema: "public", Parent: "mood", From: "sad", To: "unhappy"}
	table := Rename{Kind: schema.KindTable, Schema: "public", From: "orders", To: "purchases"}
	for text, want := range map[string]Rename{
		`public.users.name=public.users."full.name"`: column,
		`users.name="full.name"`:                     column,
		`column:USERS.name=users."full.name"`:        column,
		`name=by_name`:                               index,
		`index:public.users.name=by_name`:            index,
		`mood.sad=mood.unhappy`:                      label,
		`label:mood.sad=unhappy`:                     label,
		`orders=purchases`:                           table,
		`public.orders=public.purchases`:             table,
	} {
		got, err := Resolve(shop(), to, text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := Resolve(shop(), to, string(got.Kind)+":"+got.String())
		require.NoError(t, err)
		require.Equal(t, want, again, "what is printed can be read")
	}
	for text, want := range map[string]string{
		"users":                 "want old=new",
		"people=clients":        "the first schema has no people",
		"users=clients":         "the second schema has no clients",
		"users=names":           "users is of kind table in the first schema, names of kind view in the second",
		"users.name=orders.x=y": "want old=new",
		"column:users=users":    "the first schema has no users",
	} {
		_, err := Resolve(shop(), to, text)
		require.ErrorContains(t, err, want, text)
	}
	two := shop()
	two.Schemas = append(two.Schemas, &schema.Schema{Name: "other", Tables: []*schema.Table{{Name: "users"}}})
	_, err := Resolve(two, two, "users=users")
	require.ErrorContains(t, err, "table:other.users=other.users, table:public.users=public.users")
}

// What belongs to a renamed table goes by either of the table's names, and the way back is found.
func TestResolveAll(t *testing.T) {
	to := renamed(func(s *schema.Schema) {
		s.Table("users").Column("name").Name = "full_name"
		s.Table("users").Name = "customers"
	})
	table := Rename{Kind: schema.KindTable, Schema: "public", From: "users", To: "customers"}
	column := Rename{Kind: schema.KindColumn, Schema: "public", Parent: "customers", From: "name", To: "full_name"}
	for _, text := range []string{"column:customers.name=full_name", "column:users.name=customers.full_name"} {
		list, err := ResolveAll(shop(), to, []string{"users=customers", text})
		require.NoError(t, err, text)
		require.Equal(t, []Rename{table, column}, list)
		require.Equal(t, []Rename{
			{Kind: schema.KindTable, Schema: "public", From: "customers", To: "users"},
			{Kind: schema.KindColumn, Schema: "public", Parent: "users", From: "full_name", To: "name"},
		}, Invert(list))
		require.Equal(t, list, Invert(Invert(list)))
	}
	_, err := ResolveAll(shop(), to, []string{"users=customers", "nothing=customers"})
	require.ErrorContains(t, err, "the first schema has no nothing")
}
