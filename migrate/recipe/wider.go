package recipe

import (
	"regexp"
	"slices"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// widerView takes a view over at once when it keeps its columns and rows, and gets more columns behind.
func (k *taker) widerView(in string, a, b *schema.View) *schema.View {
	out := *a
	if k.widens(a, b) && k.ready(schema.Key{Schema: in, Kind: schema.KindView, Name: b.Name}, b) {
		out = *b
		out.Owner = a.Owner
	}
	out.Comment, out.Grants = b.Comment, k.widen(a.Grants, b.Grants, nil)
	return &out
}

// widens tells whether a view says all that it said, and more behind. Where the model does not know its columns, their types
// cannot have changed either: the table's have operations.
func (k *taker) widens(a, b *schema.View) bool {
	if a.Materialized || b.Materialized || !slices.Equal(a.Options, b.Options) || len(b.Triggers)+len(a.Triggers) > 0 || len(b.Columns) < len(a.Columns) {
		return false
	}
	for i, c := range a.Columns {
		if b.Columns[i].Name != c.Name || b.Columns[i].Type != c.Type {
			return false
		}
	}
	d := sqltoken.Of(k.engine.name())
	return selectsMore(sqltoken.Split(or(a.Definition, a.Source), d), sqltoken.Split(or(b.Definition, b.Source), d))
}

// selectsMore tells whether a query is another with more behind its list, which leaves its rows as they are.
func selectsMore(a, b []sqltoken.Token) bool {
	m, n := listEnd(a), listEnd(b)
	same := func(x, y sqltoken.Token) bool { return x.Raw == y.Raw }
	return m > 0 && n > m && slices.EqualFunc(a[:m], b[:m], same) && slices.EqualFunc(a[m:], b[n:], same) && b[m].IsSign(",") && !slices.ContainsFunc(b[m:n], countsRows)
}

// listEnd is where the list of a query ends; 0 where there is none, or one that says which rows there are.
func listEnd(tokens []sqltoken.Token) int {
	depth := 0
	for i, t := range tokens {
		switch {
		case t.IsSign("("):
			depth++
		case t.IsSign(")"):
			depth--
		case depth > 0:
		case t.Is("distinct") && i > 0 && tokens[i-1].Is("select"), t.Is("union"), t.Is("except"), t.Is("intersect"):
			return 0
		case t.Is("from") && !(i > 0 && tokens[i-1].Is("distinct")):
			return i
		}
	}
	return 0
}

// rowFunctions are those that make one row of many, or many of one.
var rowFunctions = regexp.MustCompile(`(?i)^(count|sum|avg|min|max|total|every|(bool|bit)_(and|or|xor)|group_concat|mode|rank|(var|std|stddev|covar|regr)\w*|corr|\w+_agg\w*|\w+agg|percent\w*|unnest|generate_\w+|regexp_(matches|split_to_table)|\w+_(each|each_text|array_elements\w*|object_keys|path_query|populate_recordset|to_recordset|to_table))$`)

func countsRows(t sqltoken.Token) bool { return t.IsName() && rowFunctions.MatchString(t.Name) }
