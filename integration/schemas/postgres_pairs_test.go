package schemas

import (
	"fmt"
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

// TestPostgresPairs turns random schemas into each other, there and back again, on a server of any version.
func TestPostgresPairs(t *testing.T) {
	if testing.Short() {
		return
	}
	databases := map[string][2]*pgDatabase{}
	var names []string
	for _, k := range []servers.Kind{servers.Postgres15, servers.Postgres17, servers.Postgres18} {
		databases[k.Name] = [2]*pgDatabase{newPostgres(t, k), newPostgres(t, k)}
		names = append(names, k.Name)
	}
	checkPairs(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "server")
		d := databases[name]
		first, second := randomSchema(t, d[0].kind), randomSchema(t, d[0].kind)
		if problem := thereAndBack(d[0], d[1], first, second); problem != "" {
			t.Fatalf("%s: %s\n\n-- FIRST\n%s\n-- SECOND\n%s", name, problem, first, second)
		}
	})
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

// TestPostgresAlikeKeys makes and drops tables with keys over the same columns, which CREATE TABLE takes for one.
func TestPostgresAlikeKeys(t *testing.T) {
	if testing.Short() {
		return
	}
	problem := thereAndBack(newPostgres(t, servers.Postgres17), newPostgres(t, servers.Postgres17), "CREATE TABLE b (x int);", `
CREATE TABLE a (x int, y int, CONSTRAINT a_pkey PRIMARY KEY (x, y), CONSTRAINT k1 UNIQUE (x));
ALTER TABLE a ADD CONSTRAINT k2 UNIQUE (x), ADD CONSTRAINT k0 UNIQUE (x, y);`)
	require.Empty(t, problem)
}
