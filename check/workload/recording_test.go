package workload

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

func TestBare(t *testing.T) {
	for _, c := range []struct {
		engine    migrate.Engine
		sql, want string
	}{
		{migrate.Postgres, "SELECT a -- who\nFROM t\n\tWHERE b = 'x' AND c=-7 AND d > 1.5e3", "SELECT a FROM t WHERE b = $1 AND c=-$2::int AND d > $3::numeric"},
		{migrate.Postgres, "SELECT a FROM t WHERE b = $2 AND c = $1 AND d = $2 AND e = 'x'", "SELECT a FROM t WHERE b = $1 AND c = $2 AND d = $1 AND e = $3"},
		{migrate.Postgres, "SELECT a FROM t WHERE b IN ($1, $2, $3) AND c IN (1,2) AND d IN (SELECT 1)", "SELECT a FROM t WHERE b IN ($1) AND c IN ($2::int) AND d IN (SELECT $3::int)"},
		{migrate.Postgres, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, DEFAULT) RETURNING a", "INSERT INTO t VALUES ($1::int, $2), ($3::int, DEFAULT) RETURNING a"},
		{migrate.Postgres, "SELECT interval '1' day, timestamp with time zone 'x', E'a\\'b' || $$c$$ || U&'d'", "SELECT $1::interval day, $2::timestamp with time zone, $3 || $4 || $5"},
		{migrate.Postgres, "SELECT a::numeric(10, 2), CAST(b AS character varying(20)), count(*) FROM t GROUP BY 1, b ORDER BY 2 DESC, f(3) LIMIT 10", "SELECT a::numeric(10, 2), CAST(b AS character varying(20)), count(*) FROM t GROUP BY 1, b ORDER BY 2 DESC, f($1::int) LIMIT $2::int"},
		{migrate.Postgres, "SELECT jsonb_build_object('k', 1, 'l', lower('M')), a->'b' FROM t WHERE a = ANY(ARRAY['x','y'])", "SELECT jsonb_build_object($1::text, $2::int, $3::text, lower($4)), a->$5 FROM t WHERE a = ANY(ARRAY[$6])"},
		{migrate.MySQL, "SELECT `a`, DATE '2026-01-01' FROM t WHERE b = \"x\" AND c LIKE _utf8mb4'y\\'z' 'w' LIMIT 5, 10", "SELECT `a`, ? FROM t WHERE b = ? AND c LIKE ? LIMIT ?, ?"},
		{migrate.MySQL, "SELECT a->>'$.b', GROUP_CONCAT(c SEPARATOR ', ') AS 'all of them', NOW(6) FROM t WHERE d > NOW() - INTERVAL 3 DAY", "SELECT a->>'$', GROUP_CONCAT(c SEPARATOR '') AS '?', NOW(6) FROM t WHERE d > NOW() - INTERVAL ? DAY"},
		{migrate.MySQL, "INSERT INTO t (a, b) VALUES (?, 1), (?, 2) ON DUPLICATE KEY UPDATE b = VALUES(b), a = CONVERT(7, decimal(5,2))", "INSERT INTO t (a, b) VALUES (?, ?) ON DUPLICATE KEY UPDATE b = VALUES(b), a = CONVERT(?, decimal(5,2))"},
	} {
		require.Equal(t, c.want, bare(c.engine, sqltoken.Split(c.sql, sqltoken.Of(string(c.engine)))).text, c.sql)
	}
}

// TestBareHoldsNoConstant: whatever stands in a text or number is not in what is left of the statement.
func TestBareHoldsNoConstant(t *testing.T) {
	part := rapid.SampledFrom([]string{"SELECT", "confidential", "'", "''", `\'`, `\`, "$$", "$t$", `"`, "`", "::", "(", ")", ",", "IN", "VALUES", "AS", "interval", "8675309", "E'", "U&'", "?", "$1", "--", "\n", "/*", "*/", "->", "ARRAY[", "]", ";", " "})
	rapid.Check(t, func(t *rapid.T) {
		engine := rapid.SampledFrom([]migrate.Engine{migrate.Postgres, migrate.MySQL}).Draw(t, "engine")
		sql := strings.Join(rapid.SliceOf(part).Draw(t, "sql"), "")
		tokens := sqltoken.Split(sql, sqltoken.Of(string(engine)))
		got := bare(engine, tokens).text
		names := ""
		for _, token := range tokens {
			if token.IsName() {
				names += token.Raw + " "
			}
		}
		require.LessOrEqual(t, strings.Count(got, "confidential"), strings.Count(names, "confidential"), "%s\n%s", sql, got)
		require.LessOrEqual(t, strings.Count(got, "8675309"), strings.Count(names, "8675309"), "%s\n%s", sql, got)
	})
}

// TestRecording: what was recorded is read again, statement by statement.
func TestRecording(t *testing.T) {
	r := NewRecording(migrate.Postgres)
	note := func(text string, types ...string) { r.Again(r.Note(Asked{Text: text, Types: types})) }
	note("SELECT name FROM customers WHERE id = $1 AND note = 'secret'", "int8")
	note("DECLARE c CURSOR WITH HOLD FOR SELECT name FROM customers WHERE id = 7")
	note("SELECT name FROM customers  WHERE id = 8; UPDATE customers SET note = 'secret'; COMMIT")
	note("SELECT 1; SELECT @@version_comment")
	note("ALTER USER app PASSWORD 'secret'")
	note("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END")
	note("SELECT * FROM pg_catalog.pg_class; SELECT secret FROM \"a\nb\"")
	note("SELECT '" + strings.Repeat("x", maxStatement) + "'")
	require.Equal(t, Counts{Asked: 4, Distinct: 3, Left: 2}, r.Counts())
	want := `-- Recorded by switchback record on postgres: what was asked, without its constants.

-- asked once; $1 int8
SELECT name FROM customers WHERE id = $1 AND note = $2;

-- asked 2 times
SELECT name FROM customers WHERE id = $1::int;

-- asked once
UPDATE customers SET note = $1;
`
	require.Equal(t, want, string(r.File()))

	file := filepath.Join(t.TempDir(), "blue.sql")
	require.NoError(t, os.WriteFile(file, r.File(), 0o600))
	queries, err := Read(migrate.Postgres, file)
	require.NoError(t, err)
	require.Len(t, queries, 3)
	require.Equal(t, Query{Text: "SELECT name FROM customers WHERE id = $1::int", File: filepath.ToSlash(file), Line: 7, Recalled: true}, queries[1])
	_, err = Read(migrate.MySQL, file)
	require.ErrorContains(t, err, "it was recorded on postgres, and the changes are for mysql")
}

// TestRecordingIsBounded: an application whose statements are never the same fills no memory.
func TestRecordingIsBounded(t *testing.T) {
	r := NewRecording(migrate.MySQL)
	for i := range maxDistinct + 10 {
		r.Again(r.Note(Asked{Text: fmt.Sprintf("SELECT c%d FROM t", i), Backslash: true}))
	}
	require.Equal(t, Counts{Asked: maxDistinct, Distinct: maxDistinct, Left: 10}, r.Counts())
	require.LessOrEqual(t, len(r.known), maxKnown)
}
