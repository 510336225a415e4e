package gate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check/proof"
	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// onEngines runs a test with scratch databases of each engine.
func onEngines(t *testing.T, test func(t *testing.T, engine migrate.Engine, server scratch.Server)) {
	on := func(engine migrate.Engine, name string) func(*testing.T) {
		return func(t *testing.T) {
			server, err := scratch.Open(t.Context(), name, scratch.Options{})
			require.NoError(t, err)
			defer func() { require.NoError(t, server.Close()) }()
			test(t, engine, server)
		}
	}
	t.Run("sqlite", on(migrate.SQLite, ""))
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		url, err := servers.Server(k)
		require.NoError(t, err)
		t.Run(k.Name, on(migrate.Engine(k.Engine), url))
	}
}

// queries are queries of a file, a line each.
func queries(texts ...string) (list []workload.Query) {
	for i, text := range texts {
		list = append(list, workload.Query{Text: text, File: "blue.sql", Line: i + 1})
	}
	return list
}

// TestOtherColumns finds the queries that give other columns than before, and only these.
func TestOtherColumns(t *testing.T) {
	onEngines(t, func(t *testing.T, engine migrate.Engine, server scratch.Server) {
		p := proofOf(t, engine, server, map[string]string{
			"expand.sql": "ALTER TABLE customers ADD COLUMN nick varchar(20);", "expand.rollback.sql": "ALTER TABLE customers DROP COLUMN nick;",
		})
		part, err := p.Workload(t.Context(), workload.Load{Blue: queries(
			"SELECT * FROM customers WHERE id = :id",
			"SELECT name, note FROM customers",
			"SELECT a.*, b.* FROM customers a JOIN customers b ON a.id = b.id",
			"WITH young AS (SELECT id, born FROM customers) SELECT id, born FROM young LIMIT 3",
			"INSERT INTO customers (id, name) VALUES (100, 'x')",
		)})
		require.NoError(t, err)
		var lines []int
		for _, f := range part.Findings {
			require.Equal(t, proof.OtherResult, f.Rule, "%+v", f)
			lines = append(lines, f.Place.Line)
		}
		require.Equal(t, []int{1, 3}, lines)
	})
}

// TestRecalledIsNotCarriedOut asks of what a log remembers nothing that has an effect: one waits for ten minutes, one
// ends the sessions of the whole server.
func TestRecalledIsNotCarriedOut(t *testing.T) {
	if testing.Short() {
		return
	}
	dangerous := map[migrate.Engine][]string{
		migrate.Postgres: {"SELECT pg_sleep(600)", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "SELECT name, pg_sleep(600) FROM customers WHERE pg_sleep(600) IS NOT NULL"},
		migrate.MySQL:    {"SELECT SLEEP(600)", "SELECT name, SLEEP(600) FROM customers WHERE SLEEP(600) = 0", "SELECT GET_LOCK('x', 600) FROM customers"},
	}
	dangerous[migrate.MariaDB] = dangerous[migrate.MySQL]
	onEngines(t, func(t *testing.T, engine migrate.Engine, server scratch.Server) {
		p := proofOf(t, engine, server, map[string]string{
			"expand.sql": "ALTER TABLE customers ADD COLUMN nick varchar(20);", "expand.rollback.sql": "ALTER TABLE customers DROP COLUMN nick;",
		})
		load := queries(dangerous[engine]...)
		for i := range load {
			load[i].Recalled = true
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		part, err := p.Workload(ctx, workload.Load{Blue: load})
		require.NoError(t, err, "it was carried out")
		require.Empty(t, part.Findings)
	})
}

// TestRecalledBreaks names what a server remembers when it could be asked before a change, and cannot behind it, although
// nothing that it names is missing.
func TestRecalledBreaks(t *testing.T) {
	if testing.Short() {
		return
	}
	server := scratchOn(t, servers.Postgres17)
	p := proofOf(t, migrate.Postgres, server, map[string]string{
		"expand.sql":          "ALTER TABLE customers ALTER COLUMN note DROP DEFAULT, ALTER COLUMN note TYPE integer USING NULL;",
		"expand.rollback.sql": "ALTER TABLE customers ALTER COLUMN note TYPE varchar(200), ALTER COLUMN note SET DEFAULT 'none';",
	})
	load := queries("INSERT INTO customers (id, name, note) VALUES (100, 'x', lower($1))", "SELECT lower($1::integer) FROM customers")
	for i := range load {
		load[i].Recalled = true
	}
	part, err := p.Workload(t.Context(), workload.Load{Blue: load})
	require.NoError(t, err)
	require.Len(t, part.Findings, 1)
	require.Equal(t, proof.BlueBreaks, part.Findings[0].Rule)
	require.Equal(t, 1, part.Findings[0].Place.Line)
	require.Contains(t, part.Looked, "1 that a log or a server remembers cannot be asked again")
}

// TestManyQueries asks ten thousand different queries in each phase, a thousand where each goes to a server, and names
// the few that a change breaks.
func TestManyQueries(t *testing.T) {
	onEngines(t, func(t *testing.T, engine migrate.Engine, server scratch.Server) {
		p := proofOf(t, engine, server, map[string]string{
			"expand.sql": "CREATE TABLE tags (id integer PRIMARY KEY);", "expand.rollback.sql": "DROP TABLE tags;",
			"contract.sql": "ALTER TABLE customers DROP COLUMN note;", "contract.rollback.sql": "ALTER TABLE customers ADD COLUMN note varchar(200) DEFAULT 'none';",
		})
		many := 1_000
		if engine == migrate.SQLite {
			many = 10_000
		}
		var texts []string
		for i := range many {
			column := "name"
			if i%(many/4) == 7 {
				column = "note"
			}
			texts = append(texts, fmt.Sprintf("SELECT %s FROM customers WHERE id = %d", column, i))
		}
		load := workload.Load{Blue: queries(texts...), Green: queries(texts...)}
		part, err := p.Workload(t.Context(), load)
		require.NoError(t, err)
		var lines []int
		for _, f := range part.Findings {
			require.Equal(t, proof.GreenBreaks, f.Rule)
			lines = append(lines, f.Place.Line)
		}
		slices.Sort(lines)
		require.Equal(t, []int{8, many/4 + 8, many/2 + 8, many*3/4 + 8}, lines)
		require.True(t, strings.HasPrefix(part.Looked, fmt.Sprintf("%d queries of blue and %d of green", many, many)), part.Looked)
	})
}

// TestLosesIndex names the queries that looked rows up by the index that a change drops, and no other.
func TestLosesIndex(t *testing.T) {
	onEngines(t, func(t *testing.T, engine migrate.Engine, server scratch.Server) {
		drop := "DROP INDEX by_name;"
		if engine == migrate.MySQL || engine == migrate.MariaDB {
			drop = "DROP INDEX by_name ON customers;"
		}
		p := proofOf(t, engine, server, map[string]string{"expand.sql": drop, "expand.rollback.sql": "CREATE INDEX by_name ON customers (name);"})
		part, err := p.Workload(t.Context(), workload.Load{Blue: queries(
			"SELECT id, note FROM customers WHERE name = :name",
			"SELECT id, note FROM customers WHERE note = :note",
			"SELECT id, note FROM customers",
			"SELECT note FROM customers WHERE id = :id",
			"UPDATE customers SET note = 'x' WHERE name = :name",
			"SELECT label FROM parts WHERE order_id = :id AND n > 3",
		)})
		require.NoError(t, err)
		var lines []int
		for _, f := range part.Findings {
			require.Equal(t, proof.LosesIndex, f.Rule, "%+v", f)
			require.Contains(t, f.Message, "the query reads the whole of customers")
			require.Contains(t, f.Evidence, "by_name")
			lines = append(lines, f.Place.Line)
		}
		require.Equal(t, []int{1, 5}, lines)
	})
}

// TestPreparedElsewhere finds the hazards of statements that are kept prepared, where the type of a column has another length
// only: PostgreSQL refuses to execute one then, which is seen here on a session that has it prepared.
func TestPreparedElsewhere(t *testing.T) {
	if testing.Short() {
		return
	}
	server := scratchOn(t, servers.Postgres17)
	const (
		change = "ALTER TABLE customers ALTER COLUMN name TYPE varchar(50); ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12,2);"
		back   = "ALTER TABLE customers ALTER COLUMN name TYPE varchar(40); ALTER TABLE orders ALTER COLUMN amount TYPE numeric(10,2);"
	)
	p := proofOf(t, migrate.Postgres, server, map[string]string{"expand.sql": change, "expand.rollback.sql": back})
	asked := queries("SELECT name FROM customers", "SELECT amount FROM orders", "SELECT note FROM customers", "SELECT name || 'x' FROM customers", "UPDATE customers SET name = 'x' RETURNING id")
	part, err := p.Workload(t.Context(), workload.Load{Blue: asked})
	require.NoError(t, err)
	var found []string
	for _, f := range part.Findings {
		require.Equal(t, proof.OtherResult, f.Rule)
		found = append(found, f.Place.Text)
	}

	db, err := server.Create(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, p.Base(t.Context(), db))
	conn, err := db.DB().Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for i, q := range asked {
		for _, s := range []string{fmt.Sprintf("PREPARE p%d AS %s", i, q.Text), fmt.Sprintf("EXECUTE p%d", i)} {
			_, err := conn.ExecContext(t.Context(), s)
			require.NoError(t, err, s)
		}
	}
	_, err = db.DB().ExecContext(t.Context(), change)
	require.NoError(t, err)
	var refused []string
	for i, q := range asked {
		if _, err := conn.ExecContext(t.Context(), fmt.Sprintf("EXECUTE p%d", i)); err != nil {
			require.ErrorContains(t, err, "cached plan must not change result type")
			refused = append(refused, q.Text)
		}
	}
	require.Len(t, refused, 2)
	require.Equal(t, refused, found, "what the server refuses is what was found")
}
