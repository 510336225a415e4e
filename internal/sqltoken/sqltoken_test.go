package sqltoken

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func names(sql string, d Dialect) (out []string) {
	for _, t := range Split(sql, d) {
		out = append(out, t.Name)
	}
	return out
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		engine, sql string
		want        []string
	}{
		{"sqlite", "a -- b\n,[c d] `e``f` \"g\"\"h\" 'i''j' x'00'", []string{"a", ",", "c d", "e`f", `g"h`, "i'j", "x'00'"}},
		{"sqlite", "1.5e-3+.5||0xFF-1 /* x /* y */ z", []string{"1.5e-3", "+", ".5", "||", "0xFF", "-", "1", "z"}},
		{"sqlite", "tübe→x $1", []string{"tübe→x", "$", "1"}},
		{"postgres", "E'a\\'b' $$x$y$$ $t$ $$ $t$ a::b /* /* */ */ c $1", []string{"E'a\\'b'", "x$y", " $$ ", "a", "::", "b", "c", "$", "1"}},
		{"mysql", "'a\\'b' \"c\" # d\n`e` _utf8mb4'x'", []string{"a'b", "c", "e", "_utf8mb4'x'"}},
		{"sqlite", "'open", []string{"open"}},
		{"sqlite", "/* open", nil},
	} {
		require.Equal(t, c.want, names(c.sql, Of(c.engine)), c.sql)
	}
}

func TestEndsInComment(t *testing.T) {
	for sql, want := range map[string]bool{"a -- b": true, "a -- b\n": false, "a /* -- */": false, "'--'": false, "a - b": false, "": false} {
		require.Equal(t, want, EndsInComment(sql, Of("sqlite")), sql)
	}
}

func TestInType(t *testing.T) {
	for sql, want := range map[string]string{
		"a::date":                    "date",
		"date::public.mood AND date": "public mood",
		"CAST(date AS timestamp without time zone), time":    "timestamp without time zone",
		"CAST(f(date, (1)) AS date) AS date":                 "date",
		"SELECT date AS date":                                "",
		"x::double precision > date AND CAST(a AS \"Mood\")": "double precision Mood",
		"time.date with time":                                "",
	} {
		list, in := Split(sql, Of("postgres")), []string(nil)
		for i, token := range list {
			if token.IsName() && InType(list, i) {
				in = append(in, token.Name)
			}
		}
		require.Equal(t, want, strings.Join(in, " "), sql)
	}
}

func TestReplace(t *testing.T) {
	got := Replace(`SELECT "name", 'name', name.x -- name`, Of("sqlite"), func(list []Token, i int) (string, bool) {
		return "full_name", list[i].Names("NAME", Of("sqlite"))
	})
	require.Equal(t, `SELECT full_name, 'name', full_name.x -- name`, got)
}

// Tokens stand one behind the other, whatever the text is, and nothing but them is no white space or comment.
func TestSplitAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sql := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"'", `"`, "`", "[", "]", "$", "$$", "--", "/*", "*/", "\n", " ", "a", "1", ".", "\\", "x'", "::", "é", "\xff", "e"})).Draw(t, "sql"), "")
		d := Of(rapid.SampledFrom([]string{"sqlite", "postgres", "mysql"}).Draw(t, "engine"))
		end := 0
		for _, token := range Split(sql, d) {
			require.GreaterOrEqual(t, token.Start, end)
			require.Greater(t, token.End, token.Start)
			require.Empty(t, Split(sql[end:token.Start], d), "between tokens is white space")
			end = token.End
		}
		require.LessOrEqual(t, end, len(sql))
		require.Equal(t, sql, Replace(sql, d, func(list []Token, i int) (string, bool) { return sql[list[i].Start:list[i].End], true }))
	})
}
