package snapshot

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/schema"
)

func masked(t require.TestingT, text string) *Mask {
	m, err := ParseMask([]byte(text))
	require.NoError(t, err)
	return m
}

// TestMaskLines masks text as COPY writes it.
func TestMaskLines(t *testing.T) {
	m := masked(t, "key: k\ncolumns: {t.a: redact, t.b: null, t.c: {constant: \"x\\ty\"}}")
	model := &schema.Database{Engine: "postgres", Schemas: []*schema.Schema{{Name: "public", Tables: []*schema.Table{{
		Name: "t", Columns: []*schema.Column{{Name: "id"}, {Name: "a"}, {Name: "b"}, {Name: "c"}},
	}}}}}
	require.NoError(t, m.For(model))
	var out strings.Builder
	w := m.writer(Part{Name: "public.t", Kind: RowsPart, Columns: []string{"id", "a", "b", "c"}}, &out)
	for _, piece := range []string{"1\tHel", "lo\\tW\\\\ 42\tsecret\tz\n2\t\\", "N\tgone\t\\N\n"} {
		_, err := w.Write([]byte(piece))
		require.NoError(t, err)
	}
	require.Equal(t, "1\txxxxx\\tx\\\\ 00\t\\N\tx\\ty\n2\t\\N\t\\N\t\\N\n", out.String())
}

// TestMaskNumbers: no two numbers become the same, and each keeps as many bits.
func TestMaskNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := masked(t, "key: "+rapid.StringMatching("[a-z]{8}").Draw(t, "key")+"\ncolumns: {t.a: number}")
		seen := map[string]int64{}
		for _, n := range rapid.SliceOfDistinct(rapid.Int64(), rapid.ID[int64]).Draw(t, "numbers") {
			v, err := m.Value(MaskRule{Kind: MaskNumber}, strconv.FormatInt(n, 10))
			require.NoError(t, err)
			again, err := strconv.ParseInt(v, 10, 64)
			require.NoError(t, err, "stays in the range of its type")
			require.Equal(t, bitsOf(n), bitsOf(again))
			other, dup := seen[v]
			require.False(t, dup, "%d and %d both become %s", n, other, v)
			seen[v] = n
		}
	})
	m := masked(t, "key: k\ncolumns: {t.a: number}")
	all := map[string]bool{}
	for n := range 4096 {
		v, err := m.Value(MaskRule{Kind: MaskNumber}, strconv.Itoa(n))
		require.NoError(t, err)
		all[v] = true
	}
	require.Len(t, all, 4096, "a permutation")
	_, err := m.Value(MaskRule{Kind: MaskNumber}, "my secret")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

func bitsOf(n int64) int {
	if n < 0 {
		return -len(strconv.FormatUint(uint64(-(n + 1)), 2))
	}
	return len(strconv.FormatUint(uint64(n), 2))
}

// TestMaskValues: the same key gives the same values, another gives others, and none is what it was.
func TestMaskValues(t *testing.T) {
	one, other := masked(t, "key: a\ncolumns: {t.a: hash}"), masked(t, "key: b\ncolumns: {t.a: hash}")
	for kind, value := range map[MaskKind]string{MaskHash: "Grace", MaskEmail: "grace@navy.mil", MaskName: "Grace Murray", MaskDate: "1906-12-09 08:00:00+00", MaskRedact: "Grace 1906"} {
		v, err := one.Value(MaskRule{Kind: kind}, value)
		require.NoError(t, err)
		require.NotEqual(t, value, v, "%s", kind)
		again, _ := one.Value(MaskRule{Kind: kind}, value)
		require.Equal(t, v, again)
		if kind != MaskRedact && kind != MaskName {
			otherwise, _ := other.Value(MaskRule{Kind: kind}, value)
			require.NotEqual(t, v, otherwise, "%s", kind)
		}
	}
	for _, odd := range []string{"infinity", "0000-00-00", ""} {
		v, err := one.Value(MaskRule{Kind: MaskDate}, odd)
		require.NoError(t, err)
		require.Equal(t, odd, v)
	}
	v, _ := one.Value(MaskRule{Kind: MaskDate}, "1906-12-09 08:00:00+00")
	require.True(t, strings.HasSuffix(v, " 08:00:00+00"), v)
}

// TestMaskRules refuses rules that cannot be followed.
func TestMaskRules(t *testing.T) {
	for _, bad := range []string{"", "columns: {}", "columns: {email: hash}", "columns: {t.a: shuffle}", "columns: {t.a: {constant: a, b: c}}", "rows: {}", "columns: {a.b.c.d: hash}"} {
		_, err := ParseMask([]byte(bad))
		require.Error(t, err, bad)
	}
	model := &schema.Database{Engine: "sqlite", Schemas: []*schema.Schema{{Name: "main", Tables: []*schema.Table{
		{Name: "customers", Columns: []*schema.Column{{Name: "id"}, {Name: "email", NotNull: true}, {Name: "switchback_old_mail"}}, Constraints: []*schema.Constraint{{Type: schema.PrimaryKey, Columns: []string{"id"}}}},
		{Name: "orders", Columns: []*schema.Column{{Name: "customer"}}, Constraints: []*schema.Constraint{{Type: schema.ForeignKey, Columns: []string{"customer"}, References: &schema.Reference{Table: "customers"}}}},
	}}}}
	for rules, message := range map[string]string{
		"{customers.emial: hash}":                                      "is not in the snapshot",
		"{customers.email: null, customers.switchback_old_mail: hash}": "cannot be NULL",
		"{orders.customer: number}":                                    "both need the same rule",
		"{customers.id: number, customers.switchback_old_mail: hash}":  "both need the same rule",
		"{customers.email: hash}":                                      "waits in the attic",
	} {
		require.ErrorContains(t, masked(t, "columns: "+rules).For(model), message, rules)
	}
	require.NoError(t, masked(t, "columns: {customers.id: number, orders.customer: number, customers.email: email, customers.switchback_old_mail: email}").For(model))
	require.NoError(t, masked(t, "columns: {orders.customer: null}").For(model))
}
