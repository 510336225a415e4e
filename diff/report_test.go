package diff

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

// formats are the four that a report is written in.
var formats = map[string]func(Report, *bytes.Buffer) error{
	"report.txt":       func(r Report, b *bytes.Buffer) error { return r.Text(b, false) },
	"report.color.txt": func(r Report, b *bytes.Buffer) error { return r.Text(b, true) },
	"report.json":      func(r Report, b *bytes.Buffer) error { return r.JSON(b) },
	"report.md":        func(r Report, b *bytes.Buffer) error { return r.Markdown(b) },
	"report.html":      func(r Report, b *bytes.Buffer) error { return r.HTML(b) },
}

// hostile are texts that do harm where they are not shown as text.
var hostile = []string{
	"<script>alert(1)</script>", `"quoted" 'twice'`, "two\nlines", "\x1b[31mred\x1b]0;title\x07", "a --> b",
	"`` ``` `code`", "\u202egnp.exe", "| pipe | @everyone #1", "bad \xff utf-8", "\u009b2J", "</summary></details><b>",
}

func TestReportFormats(t *testing.T) {
	report := shopReport(t)
	for name, write := range formats {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			require.NoError(t, write(report, &got))
			file := filepath.Join("testdata", name)
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(file, got.Bytes(), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err, "write it with: go test ./diff -update")
			require.Equal(t, string(want), got.String())
		})
	}
}

func TestReportShowsHostileTextAsText(t *testing.T) {
	from, to := &schema.Schema{Name: "main"}, &schema.Schema{Name: "main"}
	for _, text := range hostile {
		to.Tables = append(to.Tables, &schema.Table{Name: text, Comment: text, Columns: []*schema.Column{{Name: text, Type: text}}})
		from.Views = append(from.Views, &schema.View{Name: "of " + text, Definition: text + "\n" + text, Comment: text})
		to.Views = append(to.Views, &schema.View{Name: "of " + text, Definition: text + "\nother", Comment: "other"})
	}
	everything := strings.Join(hostile, " ")
	result, err := Compare(&schema.Database{Schemas: []*schema.Schema{from}}, &schema.Database{Schemas: []*schema.Schema{to}}, Options{})
	require.NoError(t, err)
	report := NewReport(everything, everything, result, Options{})
	report.Format, report.Title, report.Notes = everything, everything, hostile
	report.From.Uncovered = []schema.Census{{Kind: schema.Kind(everything), Count: len(hostile), Names: hostile, Why: everything}}
	report.Renames = []Rename{{Kind: "table", From: everything, To: everything}}
	report.Proposed = []Proposal{{Rename{Kind: "table", From: everything, To: everything, Evidence: everything}, everything}}
	report.Ignored = []Ignored{{Path: everything, Action: Add, Reason: everything}}
	report.Pending = []Pending{{Change: everything, From: everything}}
	report.Data = []TableData{{Table: everything, Key: hostile, OnlyTo: 1, Note: everything, Sample: []RowDifference{{Action: Add, Key: hostile, Values: []PropertyChange{{everything, everything, everything}}}}}}
	report.Sections = []Section{{Title: everything, Intro: everything, Head: hostile, Rows: [][]string{hostile}}}
	report.Scripts = []Script{{everything, everything}}

	for name, write := range formats {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, write(report, &b))
			out := b.String()
			if name != "report.color.txt" {
				require.NotContains(t, out, "\x1b")
			}
			for _, raw := range []string{"\x1b[31mred", "\x1b]0", "\x07", "\u202e", "\u009b", "\xff"} {
				require.NotContains(t, out, raw)
			}
			switch name {
			case "report.html":
				require.NotContains(t, out, "<script>alert")
				require.NotContains(t, out, "<b>")
				require.Equal(t, 1, strings.Count(out, "<script"))
			case "report.md":
				head, rest, _ := strings.Cut(out, "\n")
				require.Regexp(t, `^<!-- [a-z.]* -->$`, head)
				outside := withoutFences(rest)
				for _, raw := range []string{"<script", "-->", "`", " @everyone", "<b>"} {
					require.NotContains(t, strings.ReplaceAll(outside, "<code>", ""), raw)
				}
				require.Equal(t, strings.Count(outside, "<details>"), strings.Count(outside, "</details>"))
			case "report.json":
				var back Report
				require.NoError(t, json.Unmarshal(b.Bytes(), &back))
				require.Equal(t, strings.ReplaceAll(everything, "\xff", "\ufffd"), back.From.Name)
			}
		})
	}
}

// withoutFences takes the fenced blocks out of Markdown, by the rule of CommonMark: one ends with a fence
// that is not shorter than the one it began with.
func withoutFences(text string) string {
	var out []string
	fence := ""
	for l := range strings.SplitSeq(text, "\n") {
		ticks := l[:len(l)-len(strings.TrimLeft(l, "`"))]
		switch {
		case fence == "" && len(ticks) >= 3:
			fence = ticks
		case fence != "" && len(ticks) >= len(fence) && strings.TrimSpace(l[len(ticks):]) == "":
			fence = ""
		case fence == "":
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

func TestMarkdownFitsInAComment(t *testing.T) {
	report := bigReport(t, 3000)
	report.Sections = []Section{{Title: "long", Rows: [][]string{{strings.Repeat("x", 100000)}}}}
	var b bytes.Buffer
	require.NoError(t, report.Markdown(&b))
	require.Less(t, b.Len(), 65536)
	require.Contains(t, b.String(), "**This report is cut: ")
	require.Equal(t, strings.Count(b.String(), "<details>"), strings.Count(b.String(), "</details>"))
}

func TestHTMLStaysSmall(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, bigReport(t, 10000).HTML(&b))
	t.Logf("10,000 changed tables: %d bytes", b.Len())
	require.Less(t, b.Len(), 16<<20)
	require.Equal(t, 10000, strings.Count(b.String(), "<article class=\"object modify\""))
}

// Many children of an added table are shown in a few lines.
func TestTextOfAWideTable(t *testing.T) {
	wide := &schema.Table{Name: "wide"}
	for i := range 40 {
		wide.Columns = append(wide.Columns, &schema.Column{Name: fmt.Sprintf("c%02d", i), Type: "integer"})
	}
	result, err := Compare(&schema.Database{}, &schema.Database{Schemas: []*schema.Schema{{Name: "main", Tables: []*schema.Table{wide}}}}, Options{})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, NewReport("empty", "b", result, Options{}).Text(&b, false))
	require.Contains(t, b.String(), "    + 40 columns:\n      + c00 integer, c01 integer,")
	require.Contains(t, b.String(), "c39 integer\n")
	require.Less(t, strings.Count(b.String(), "\n"), 14)
}

func TestDiffLines(t *testing.T) {
	text := func(lines []line) string {
		var b strings.Builder
		for _, l := range lines {
			b.WriteByte(l.Sign)
			b.WriteString(l.Text + "\n")
		}
		return b.String()
	}
	require.Equal(t, "+a\n+b\n", text(diffLines("", "a\nb\n")))
	require.Equal(t, "-a\n", text(diffLines("a", "")))
	require.Equal(t, " a\n-b\n+c\n d\n", text(diffLines("a\nb\nd", "a\nc\nd")))
	require.Equal(t, "@\n 3\n 4\n 5\n-6\n+x\n", text(diffLines("1\n2\n3\n4\n5\n6", "1\n2\n3\n4\n5\nx")))
	require.Equal(t, "-a\\r\n+a\n", text(diffLines("a\r", "a")), "what does not print is shown")
	require.Equal(t, "-a\n+a\n", text(diffLines("a", "a\n")), "a line break at the end is a difference")
}

func TestReportNotesColumnOrder(t *testing.T) {
	table := func(names ...string) *schema.Database {
		x := &schema.Table{Name: "t"}
		for _, n := range names {
			x.Columns = append(x.Columns, &schema.Column{Name: n, Type: "int"})
		}
		return &schema.Database{Schemas: []*schema.Schema{{Name: "main", Tables: []*schema.Table{x}}}}
	}
	result, err := Compare(table("a", "b"), table("b", "a"), Options{})
	require.NoError(t, err)
	report := NewReport("x", "y", result, Options{})
	require.True(t, report.Same())
	require.Equal(t, []string{"Columns stand in another order in 1 table: main.t. That is no difference unless asked for."}, report.Notes)

	result, err = Compare(table("a", "b"), table("a", "new", "b"), Options{})
	require.NoError(t, err)
	require.Empty(t, NewReport("x", "y", result, Options{}).Notes, "a column in between moves no other")
}

func TestShellQuoted(t *testing.T) {
	require.Equal(t, "public.users.a=b", shellQuoted("public.users.a=b"))
	require.Equal(t, `'a b=c'\''d'`, shellQuoted("a b=c'd"))
	require.Equal(t, "''", shellQuoted(""))
}

// A report that cannot be written says so.
func TestReportWriteFails(t *testing.T) {
	report := shopReport(t)
	for name, write := range map[string]func(failing) error{
		"text":     func(w failing) error { return report.Text(w, false) },
		"json":     func(w failing) error { return report.JSON(w) },
		"markdown": func(w failing) error { return report.Markdown(w) },
		"html":     func(w failing) error { return report.HTML(w) },
	} {
		require.ErrorIs(t, write(failing{}), errFull, name)
	}
}

var errFull = errors.New("disk full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

// bigReport is of that many tables that differ in one column.
func bigReport(t *testing.T, tables int) Report {
	from, to := &schema.Schema{Name: "public"}, &schema.Schema{Name: "public"}
	for i := range tables {
		name := fmt.Sprintf("table_%05d", i)
		from.Tables = append(from.Tables, &schema.Table{Name: name, Columns: []*schema.Column{{Name: "id", Type: "bigint"}, {Name: "note", Type: "text"}}})
		to.Tables = append(to.Tables, &schema.Table{Name: name, Columns: []*schema.Column{{Name: "id", Type: "bigint"}, {Name: "note", Type: "character varying(40)", NotNull: true}}})
	}
	result, err := Compare(&schema.Database{Schemas: []*schema.Schema{from}}, &schema.Database{Schemas: []*schema.Schema{to}}, Options{})
	require.NoError(t, err)
	return NewReport("a", "b", result, Options{})
}

// shopReport is a report with everything in it.
func shopReport(t *testing.T) Report {
	result, err := Compare(shopBefore(), shopAfter(), Options{})
	require.NoError(t, err)
	r := NewReport("env:staging", "env:production", result, Options{NoGrants: true})
	day := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	r.Made = day.AddDate(0, 0, 4)
	r.Renames = []Rename{{Kind: "column", Schema: "public", Parent: "orders", From: "placed", To: "placed_at"}}
	r.Proposed = []Proposal{{Rename{Kind: "table", Schema: "public", From: "carts", To: "baskets", Evidence: "3 of 3 columns alike"}, "--rename public.carts=public.baskets"}}
	r.Since = map[string]time.Time{"table public.customers, column email": day, "view public.adults": day}
	r.Explained = map[string]string{"table public.customers, column email": "20261124093000_email"}
	r.Ignored = []Ignored{{Path: "table public.tmp_load", Action: Drop, Rule: "*.tmp_*", Reason: "loads of the warehouse", Until: day.AddDate(0, 2, 0)}}
	r.Pending = []Pending{{Change: "20261124093000_email", From: "contract", To: "", Explains: 1}}
	r.Data = []TableData{
		{
			Table: "public.countries", Key: []string{"code"}, RowsFrom: 249, RowsTo: 250, OnlyTo: 1, Different: 1,
			Sample: []RowDifference{
				{Action: Add, Key: []string{"XK"}, Values: []PropertyChange{{Name: "name", To: "Kosovo"}}},
				{Action: Modify, Key: []string{"TR"}, Values: []PropertyChange{{"name", "Turkey", "Türkiye"}}},
			},
		},
		{Table: "public.currencies", Key: []string{"code"}, RowsFrom: 180, RowsTo: 180},
	}
	r.Scripts = []Script{{"turns env:staging into env:production", "ALTER TABLE public.customers\n  ADD COLUMN email text;\n"}}
	return r
}

func shopBefore() *schema.Database {
	return &schema.Database{
		Engine: "postgres", Version: "17.2",
		Items: []*schema.Item{{Of: schema.KindExtension, Name: "citext", Definition: "CREATE EXTENSION citext", Options: []schema.Property{{Name: "version", Value: "1.5"}}}},
		Schemas: []*schema.Schema{{
			Name: "public",
			Types: []*schema.Type{
				{Name: "mood", Form: schema.Enum, Labels: []string{"good", "bad"}},
			},
			Tables: []*schema.Table{
				{Name: "carts", Columns: []*schema.Column{{Name: "id", Type: "bigint", NotNull: true}}},
				{
					Name: "customers",
					Columns: []*schema.Column{
						{Name: "id", Type: "bigint", NotNull: true, Identity: "always"},
						{Name: "name", Type: "text", Comment: `"as written", it's said`},
						{Name: "legacy", Type: "integer"},
					},
					Constraints: []*schema.Constraint{{Name: "grown", Type: schema.Check, Definition: "CHECK (age > 0)"}},
				},
				{
					Name: "orders", Columns: []*schema.Column{{Name: "id", Type: "bigint"}, {Name: "customer", Type: "bigint"}},
					Indexes: []*schema.Index{{Name: "orders_customer", Definition: "CREATE INDEX orders_customer ON public.orders USING btree (customer)"}},
				},
			},
			Views: []*schema.View{
				{Name: "adults", Definition: " SELECT id,\n    name,\n    age,\n    email\n   FROM public.customers\n  WHERE (age >= 18)\n  ORDER BY name;"},
			},
			Routines: []*schema.Routine{{Name: "touch()", Form: "function", Definition: "CREATE OR REPLACE FUNCTION public.touch()\n RETURNS trigger\n LANGUAGE plpgsql\nAS $function$\nBEGIN\n  NEW.changed := now();\n  RETURN NEW;\nEND\n$function$"}},
		}},
		Uncovered: []schema.Census{{Kind: "security label", Count: 12, Names: []string{"a", "b"}}},
	}
}

func shopAfter() *schema.Database {
	return &schema.Database{
		Engine: "postgres", Version: "18.1",
		Items: []*schema.Item{{Of: schema.KindExtension, Name: "citext", Definition: "CREATE EXTENSION citext", Options: []schema.Property{{Name: "version", Value: "1.6"}}}},
		Schemas: []*schema.Schema{{
			Name: "public",
			Types: []*schema.Type{
				{Name: "mood", Form: schema.Enum, Labels: []string{"good", "fair", "bad"}},
			},
			Tables: []*schema.Table{
				{
					Name: "<script>alert(1)</script>", Comment: `a "comment" with 'quotes'`,
					Columns: []*schema.Column{{Name: "id", Type: "bigint", NotNull: true}, {Name: "since", Type: "timestamp with time zone", Default: "now()"}},
				},
				{Name: "baskets", Columns: []*schema.Column{{Name: "id", Type: "bigint", NotNull: true}}},
				{
					Name: "customers",
					Columns: []*schema.Column{
						{Name: "id", Type: "bigint", NotNull: true, Identity: "always"},
						{Name: "name", Type: "character varying(80)", NotNull: true, Default: "''::character varying", Comment: "full name"},
						{Name: "email", Type: "text"},
					},
					Constraints: []*schema.Constraint{{Name: "grown", Type: schema.Check, Definition: "CHECK (age > 1)"}},
				},
				{
					Name: "orders", Columns: []*schema.Column{{Name: "id", Type: "bigint"}, {Name: "customer", Type: "bigint"}},
					Indexes: []*schema.Index{{Name: "orders_customer", Definition: "CREATE UNIQUE INDEX orders_customer ON public.orders USING btree (customer) WHERE (id > 3)"}},
				},
			},
			Views: []*schema.View{
				{Name: "adults", Definition: " SELECT id,\n    name,\n    age,\n    email\n   FROM public.customers\n  WHERE (age >= 21)\n  ORDER BY name;"},
				{Name: "open_orders", Definition: " SELECT id\n   FROM public.orders\n  WHERE (NOT done);"},
			},
		}},
		Uncovered: []schema.Census{{Kind: schema.KindSubscription, Count: 1, Names: []string{"feed"}, Why: "no right to read them"}},
	}
}
