package schemas

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/drivers/database/postgres"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// wipe empties a database. What belongs to no schema is dropped by name.
const wipe = `DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT format('DROP EVENT TRIGGER %I', evtname) AS s FROM pg_event_trigger
    UNION ALL SELECT format('DROP PUBLICATION %I', pubname) FROM pg_publication
    UNION ALL SELECT format('DROP FOREIGN DATA WRAPPER %I CASCADE', fdwname) FROM pg_foreign_data_wrapper
    UNION ALL SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
  LOOP EXECUTE r.s; END LOOP;
END $$;
CREATE SCHEMA public; ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC;
`

// pairsOfPostgres is how many random pairs are tried: SWITCHBACK_PAIRS, or few.
func pairsOfPostgres(t *testing.T) int {
	text := os.Getenv("SWITCHBACK_PAIRS")
	if text == "" {
		return 50
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "SWITCHBACK_PAIRS")
	return n
}

// TestPostgresPairs turns random schemas into each other, there and back again.
func TestPostgresPairs(t *testing.T) {
	if testing.Short() {
		return
	}
	a, b := newPostgres(t, servers.Postgres17), newPostgres(t, servers.Postgres17)
	checkPairs(t, pairsOfPostgres(t), func(t *rapid.T) {
		first, second := randomSchema(t), randomSchema(t)
		if problem := thereAndBack(a, b, first, second); problem != "" {
			t.Fatalf("%s\n\n-- FIRST\n%s\n-- SECOND\n%s", problem, first, second)
		}
	})
}

// checkPairs runs a property for a number of pairs, from a fixed seed unless that number or rapid's own flag
// says otherwise. rapid takes its settings from flags alone.
func checkPairs(t *testing.T, n int, property func(*rapid.T)) {
	settings := map[string]string{"rapid.checks": strconv.Itoa(n), "rapid.nofailfile": "true"}
	if os.Getenv("SWITCHBACK_PAIRS") == "" && flag.Lookup("rapid.seed").Value.String() == "0" {
		settings["rapid.seed"] = "20261124"
	}
	for name, value := range settings {
		f := flag.Lookup(name)
		before := f.Value.String()
		require.NoError(t, f.Value.Set(value))
		t.Cleanup(func() { _ = f.Value.Set(before) })
	}
	rapid.Check(t, property)
}

func thereAndBack(a, b *pgDatabase, first, second string) string {
	var models []*schema.Database
	for i, d := range []*pgDatabase{a, b} {
		sql := []string{first, second}[i]
		if _, err := d.db.Exec(wipe + sql); err != nil {
			return fmt.Sprintf("the generator made what cannot be loaded: %v", err)
		}
		m, err := postgres.Inspect(d.t.Context(), d.db)
		if err != nil {
			return err.Error()
		}
		models = append(models, m)
	}
	now := models[0]
	for _, step := range []struct {
		what string
		to   *schema.Database
	}{{"there", models[1]}, {"back", models[0]}} {
		script, err := between(now, step.to)
		if err != nil {
			return step.what + ": " + err.Error()
		}
		if err := a.run(script); err != nil {
			return fmt.Sprintf("%s: %v\n\n-- SCRIPT\n%s", step.what, err, printed(script))
		}
		if now, err = postgres.Inspect(a.t.Context(), a.db); err != nil {
			return err.Error()
		}
		if d := differences(a.t, now, step.to); d != "" {
			return fmt.Sprintf("%s: still different:\n%s\n-- SCRIPT\n%s", step.what, d, printed(script))
		}
	}
	return ""
}
