package gate

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check/proof"
	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/migrate"
)

// reached is a query that does not name what a change changes, or not as it is called, and is found all the same.
type reached struct {
	name    string
	engines engines
	before  string
	change  string
	query   string
	want    string
}

// throughOthers are ways to a changed table that lead through something else.
var throughOthers = []reached{
	{"a view on a view", notMySQL, "CREATE VIEW near AS SELECT * FROM parts; CREATE VIEW far AS SELECT n, label FROM near;", "DROP VIEW far; CREATE VIEW far AS SELECT n FROM near;", "SELECT label FROM far", proof.BlueBreaks},
	{"a view that MySQL does not keep", mysqls, "CREATE VIEW near AS SELECT order_id, n, label FROM parts; CREATE VIEW far AS SELECT n, label FROM near;", "ALTER TABLE parts DROP COLUMN label;", "SELECT n FROM far", proof.BlueBreaks},
	{"an index under a view", notMySQL, "CREATE INDEX by_label ON parts (label); CREATE VIEW near AS SELECT * FROM parts;", "DROP INDEX by_label;", "SELECT n FROM near WHERE label = 'x'", proof.LosesIndex},
	{"a name in quotes", notMySQL, "", "ALTER TABLE parts RENAME TO bits;", `SELECT n FROM "parts"`, proof.BlueBreaks},
	{"a name in capitals", notMySQL, "", "ALTER TABLE parts RENAME TO bits;", "SELECT n FROM PARTS", proof.BlueBreaks},
	{"a name of two words", notMySQL, `CREATE TABLE "two words" (id integer PRIMARY KEY, n integer);`, `ALTER TABLE "two words" DROP COLUMN n;`, `SELECT n FROM "two words"`, proof.BlueBreaks},
	{"a name spelled in numbers", postgres, "", "ALTER TABLE parts RENAME TO bits;", `SELECT n FROM U&"p\0061rts"`, proof.BlueBreaks},
	{"a name in a text", postgres, "", "ALTER TABLE parts RENAME TO bits;", "SELECT 'parts'::regclass::text", proof.BlueBreaks},
	{"a child", postgres, "CREATE TABLE more () INHERITS (parts); CREATE INDEX by_label ON parts (label); CREATE INDEX more_by_label ON more (label);", "DROP INDEX more_by_label;", "SELECT n FROM parts WHERE label = 'x'", proof.LosesIndex},
	{"a rule", postgres, "CREATE RULE copied AS ON INSERT TO parts DO ALSO INSERT INTO orders (id, customer_id) VALUES (1, 1);", "DROP RULE copied ON parts; ALTER TABLE orders DROP COLUMN placed; CREATE RULE copied AS ON INSERT TO parts DO INSTEAD SELECT 1/0;", "INSERT INTO parts (order_id, n) VALUES (1, 2) RETURNING n", proof.BlueBreaks},
	{"the labels of a type", postgres, "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TABLE diary (id integer PRIMARY KEY, m mood);", "ALTER TYPE mood RENAME VALUE 'sad' TO 'low';", "SELECT id FROM diary WHERE m = 'sad'", proof.BlueBreaks},
	{"a function", postgres, "CREATE FUNCTION first_label() RETURNS text LANGUAGE sql AS 'SELECT label FROM parts LIMIT 1';", "DROP FUNCTION first_label();", "SELECT first_label()", proof.BlueBreaks},
	{"an operator", postgres, "CREATE FUNCTION near(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT abs($1 - $2) < 2'; CREATE OPERATOR ### (FUNCTION = near, LEFTARG = integer, RIGHTARG = integer);", "DROP OPERATOR ### (integer, integer);", "SELECT n FROM parts WHERE n ### 3", proof.BlueBreaks},
	{"a table that hides another", postgres, "CREATE SCHEMA first;", "CREATE TABLE first.parts (other integer); ALTER ROLE CURRENT_USER RESET search_path; ALTER TABLE public.parts RENAME TO bits;", "SELECT n FROM parts", proof.BlueBreaks},
	{"a view that a script makes in a block", postgres, "", "DO $$ BEGIN EXECUTE 'ALTER TABLE ' || 'pa' || 'rts RENAME TO bits'; END $$;", "SELECT n FROM parts", proof.BlueBreaks},
}

// TestTouchedThroughOthers finds the queries that a change breaks although they do not name what it changes.
func TestTouchedThroughOthers(t *testing.T) {
	onEngines(t, func(t *testing.T, engine migrate.Engine, server scratch.Server) {
		for _, c := range throughOthers {
			p := planted{engines: c.engines, before: c.before, scripts: map[string]string{"expand.sql": c.change, "expand.rollback.sql": "SELECT 1;"}}
			if !p.isFor(engine) {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				part, err := p.proof(t, engine, server).Workload(t.Context(), workload.Load{Blue: queries("SELECT name FROM customers", c.query)})
				require.NoError(t, err)
				require.Len(t, part.Findings, 1)
				require.Equal(t, c.want, part.Findings[0].Rule, "%+v", part.Findings[0])
				require.Equal(t, 2, part.Findings[0].Place.Line)
			})
		}
	})
}

// TestUntouchedAreNotAskedAgain counts how often queries are asked when a change touches the table of one of a hundred.
func TestUntouchedAreNotAskedAgain(t *testing.T) {
	onEngines(t, func(t *testing.T, engine migrate.Engine, server scratch.Server) {
		before := ""
		var asked []string
		for i := range 100 {
			if i < 10 {
				before += fmt.Sprintf("CREATE TABLE t%d (id integer PRIMARY KEY, n integer); CREATE VIEW v%d AS SELECT id FROM t%d;", i, i, i)
			}
			asked = append(asked, fmt.Sprintf("SELECT id FROM %s%d WHERE id > %d", []string{"t", "v"}[i%2], i/2%10, i))
		}
		p := planted{before: before, scripts: map[string]string{"expand.sql": "ALTER TABLE t3 ADD COLUMN more integer;", "expand.rollback.sql": "ALTER TABLE t3 DROP COLUMN more;"}}
		part, err := p.proof(t, engine, server).Workload(t.Context(), workload.Load{Blue: queries(asked...), Green: queries(asked...)})
		require.NoError(t, err)
		require.Empty(t, part.Findings)
		require.Equal(t, "100 queries of blue and 100 of green, prepared 210 times", part.Looked)
	})
}
