package recipe

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/schema"
)

// TestParse: what an operation writes of itself is read as that operation.
func TestParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.SampledFrom([]string{"users", "full_name", "Order", "a.b", "with space", `q"uote`, "into", "not", "größe"}), rapid.StringMatching(`[a-z_][a-z0-9_]{0,8}`))
		typ := rapid.SampledFrom([]string{"bigint", "numeric(10, 2)", "character varying(20)", "timestamp with time zone", "int[]"})
		expression := rapid.SampledFrom([]string{"0", "'it''s (not)'", "coalesce(a, f(b, 1))", "a || ' ' || b", "CASE WHEN a > 1 THEN 'up' ELSE 'down' END"})
		maybe := rapid.OneOf(rapid.Just(""), expression)
		table := Table{Schema: rapid.OneOf(rapid.Just(""), name).Draw(t, "schema"), Name: name.Draw(t, "table")}
		column := name.Draw(t, "column")
		part := func() Part {
			return Part{Name: name.Draw(t, "part"), Type: typ.Draw(t, "type"), NotNull: rapid.Bool().Draw(t, "not null"), Up: expression.Draw(t, "up")}
		}
		operations := []Operation{
			RenameColumn{table, column, name.Draw(t, "to")},
			ChangeType{table, column, typ.Draw(t, "type"), maybe.Draw(t, "up"), maybe.Draw(t, "down")},
			ChangeEnum{table, []string{"a", "it's", ""}, []Relabel{{"b", "a"}, {"c'", ""}}},
			ChangeEnum{table, []string{"a"}, nil},
			AddColumn{table, schema.Column{Name: column, Type: typ.Draw(t, "type"), NotNull: rapid.Bool().Draw(t, "not null"), Default: maybe.Draw(t, "default")}, maybe.Draw(t, "fill")},
			DropColumn{table, column, maybe.Draw(t, "fill")},
			SetNotNull{table, column, maybe.Draw(t, "fill")},
			DropNotNull{table, column, maybe.Draw(t, "fill")},
			SetDefault{table, column, maybe.Draw(t, "default")},
			AddConstraint{table, schema.Constraint{Name: column, Type: schema.Check, Definition: "CHECK (" + expression.Draw(t, "check") + ")"}},
			DropConstraint{table, column},
			AddIndex{table, schema.Index{Name: column, Definition: "CREATE INDEX i ON t (" + expression.Draw(t, "index") + ")"}},
			DropIndex{table, column},
			ReplaceConstraint{table, schema.Constraint{Name: column, Type: schema.Check, Definition: "CHECK (" + expression.Draw(t, "check") + ")"}},
			ReplaceIndex{table, schema.Index{Name: column, Definition: "CREATE INDEX i ON t (" + expression.Draw(t, "index") + ")"}},
			RenameTable{table, name.Draw(t, "to")},
			DropTable{table},
			PartitionTable{table, "RANGE (id) (PARTITION p0 VALUES LESS THAN (10))"},
			ConvertTable{table, "utf8mb4", "utf8mb4_bin"},
			MoveColumns{table, []string{column, name.Draw(t, "other")}, Table{Name: name.Draw(t, "to")}, []string{name.Draw(t, "key")}},
			SplitColumn{table, column, []Part{part(), part()}, expression.Draw(t, "down")},
			MergeColumns{table, []string{column, name.Draw(t, "other")}, part(), []string{expression.Draw(t, "down"), expression.Draw(t, "down")}},
		}
		for _, want := range operations {
			got, err := Parse(want.String())
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s\nis read as %#v, %v\ninstead of %#v", want, got, err, want)
			}
		}
	})
}

// TestParseTo: TO may stand before a name, and may be one.
func TestParseTo(t *testing.T) {
	for text, want := range map[string]string{
		"rename table users people": "people", "rename table users to people": "people",
		"rename table users to": "to", "rename table users to to": "to", `rename table users "to"`: "to",
	} {
		op, err := Parse(text)
		if err != nil || op.(RenameTable).To != want {
			t.Errorf("%s: read as %v, %v", text, op, err)
		}
	}
}

// TestParseForeignKey: the columns and what they point to are read from the definition.
func TestParseForeignKey(t *testing.T) {
	op, err := Parse(`add constraint orders.customer foreign key (customer_id, region) references sales.customers (id, region) on delete cascade`)
	if err != nil {
		t.Fatal(err)
	}
	k := op.(AddConstraint).Constraint
	if k.Type != schema.ForeignKey || strings.Join(k.Columns, ",") != "customer_id,region" || k.References.Schema != "sales" || k.References.Table != "customers" || strings.Join(k.References.Columns, ",") != "id,region" {
		t.Errorf("read as %+v → %+v", k, k.References)
	}
}

// TestParseErrors: what cannot be read says how it is written.
func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "one that begins with: rename column, ",
		"rename":                               "one that begins with: rename column, ",
		"rename column users":                  "rename column TABLE.COLUMN NAME",
		"rename column users.a b c":            "rename column TABLE.COLUMN NAME",
		"change type users.a":                  "change type TABLE.COLUMN TYPE [up (EXPRESSION)] [down (EXPRESSION)]",
		"change type users.a int up a":         "change type TABLE.COLUMN TYPE [up (EXPRESSION)] [down (EXPRESSION)]",
		"change type users.a int up (f(a)":     "change type TABLE.COLUMN TYPE [up (EXPRESSION)] [down (EXPRESSION)]",
		"change enum mood ('a',)":              "change enum TYPE ('LABEL', …) [as ('OLD' = 'LABEL', …)]",
		"change enum mood ('a') as ('b')":      "change enum TYPE ('LABEL', …) [as ('OLD' = 'LABEL', …)]",
		"add constraint users.a exclude (x)":   "add constraint TABLE.NAME CHECK",
		"split column users.a into b text":     "split column TABLE.COLUMN into NAME TYPE [not null] = (EXPRESSION), … down (EXPRESSION)",
		"merge columns users (a into b = (a))": "merge columns TABLE (COLUMN, …) into",
		"drop table a.b.c":                     "drop table TABLE",
	} {
		_, err := Parse(text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.HasPrefix(syntax.Want, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
