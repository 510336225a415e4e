package postgres

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReserve(t *testing.T) {
	locked := regexp.MustCompile(`LOCK TABLE ONLY (.+) IN SHARE UPDATE EXCLUSIVE MODE`)
	for statement, table := range map[string]string{
		"ALTER TABLE a ADD COLUMN b integer":                                  "a",
		"-- why\nalter table if exists only s.\"A b\" drop column c":          `s."A b"`,
		"DROP TABLE IF EXISTS a":                                              "a",
		"CREATE TRIGGER t BEFORE INSERT OR UPDATE OF b ON s.a FOR EACH ROW …": "s.a",
		"DROP TRIGGER t ON a":                                                 "a",
		"DROP POLICY IF EXISTS p ON a":                                        "a",
		"CREATE POLICY p ON a USING (true)":                                   "a",
		"CREATE UNIQUE INDEX i ON a (b)":                                      "a",
		"CREATE TABLE a (b integer)":                                          "",
		"UPDATE a SET b = 1":                                                  "",
		"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'": "",
	} {
		got := new(Database).Reserve([]string{statement}, 2*time.Second, 80*time.Millisecond)
		if table == "" {
			require.Empty(t, got, statement)
			continue
		}
		m := locked.FindStringSubmatch(got)
		require.NotNil(t, m, statement)
		require.Equal(t, table, m[1], statement)
	}
	got := new(Database).Reserve([]string{"SET lock_timeout = 1", "ALTER TABLE b ADD c integer", "ALTER TABLE a ADD c integer", "ALTER TABLE b DROP d"}, 2*time.Second, 80*time.Millisecond)
	require.Equal(t, `DO $switchback$
BEGIN
  PERFORM pg_catalog.set_config('lock_timeout', '2000', true);
  BEGIN
    LOCK TABLE ONLY b IN SHARE UPDATE EXCLUSIVE MODE;
  EXCEPTION WHEN undefined_table OR invalid_schema_name OR insufficient_privilege OR wrong_object_type THEN NULL;
  END;
  BEGIN
    LOCK TABLE ONLY a IN SHARE UPDATE EXCLUSIVE MODE;
  EXCEPTION WHEN undefined_table OR invalid_schema_name OR insufficient_privilege OR wrong_object_type THEN NULL;
  END;
  PERFORM pg_catalog.set_config('lock_timeout', '80', true);
END
$switchback$`, got)
	require.Empty(t, new(Database).Reserve([]string{"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "ALTER TABLE a ADD c integer"}, time.Second, time.Second), "it has to come first")
}
