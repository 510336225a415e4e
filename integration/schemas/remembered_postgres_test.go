package schemas

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/drivers/database/postgres"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestPostgresRemembered reads a database after each statement with what was remembered from the reading before: what is read
// is what one sees who reads everything, in each of its fields. The statements are those of random scripts, then what an
// unchanged table's own definitions show of others: their names.
func TestPostgresRemembered(t *testing.T) {
	if testing.Short() {
		return
	}
	read := 0
	for _, k := range []servers.Kind{servers.Postgres15, servers.Postgres18} {
		p := newPostgres(t, k)
		follow := func(t tb, statements ...string) {
			db, err := postgres.Open(context.Background(), p.url)
			require.NoError(t, err)
			defer db.Close()
			db.Scratch()
			for _, s := range append([]string{"SELECT 1"}, statements...) {
				if _, err := p.db.Exec(s); err != nil {
					continue // one that cannot run alone changes nothing
				}
				whole, err := postgres.Inspect(context.Background(), p.db)
				require.NoError(t, err)
				known, err := db.Inspect(context.Background())
				require.NoError(t, err)
				require.Equal(t, whole, known, "%s", s)
				read++
			}
		}
		t.Run(k.Name, func(t *testing.T) {
			checkFewPairs(t, func(t *rapid.T) {
				_, err := p.db.Exec(wipe + randomSchema(t, k))
				require.NoError(t, err)
				statements, err := migrate.Scan(migrate.Postgres, randomSchema(t, k)) // what stands in its way is left out
				require.NoError(t, err)
				var texts []string
				for _, s := range statements {
					texts = append(texts, s.Text)
				}
				follow(t, texts...)
			})
			_, err := p.db.Exec(wipe)
			require.NoError(t, err)
			follow(t, strings.Split(`CREATE TYPE mood AS ENUM ('glad', 'sad')
CREATE FUNCTION odd(n integer) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN n % 2 = 1
CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'
CREATE TABLE parents (id integer PRIMARY KEY, name text, m mood DEFAULT 'glad')
CREATE TABLE children (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent integer REFERENCES parents (id), CHECK (odd(id)))
CREATE TABLE rows_of (p parents, s serial)
CREATE INDEX some ON children (parent) WHERE odd(parent)
CREATE TRIGGER staying BEFORE UPDATE ON children FOR EACH ROW WHEN (NEW.parent > 1) EXECUTE FUNCTION stay()
CREATE POLICY own ON children USING (EXISTS (SELECT FROM parents WHERE parents.id = children.parent AND name = 'x'))
CREATE RULE kept AS ON DELETE TO children DO INSTEAD UPDATE parents SET name = 'gone' WHERE id = OLD.parent
CREATE VIEW families AS SELECT p.name, c.id FROM parents p JOIN children c ON c.parent = p.id
ALTER TABLE parents RENAME COLUMN id TO number
ALTER TABLE parents RENAME COLUMN name TO called
ALTER TABLE parents RENAME TO elders
ALTER TABLE rows_of ADD COLUMN note text
ALTER TABLE elders DROP COLUMN m
ALTER TABLE children RENAME COLUMN parent TO elder
ALTER FUNCTION odd(integer) RENAME TO uneven
ALTER FUNCTION stay() RENAME TO remain
ALTER TYPE mood RENAME TO humour
ALTER SEQUENCE children_id_seq RENAME TO other_seq
ALTER SEQUENCE other_seq INCREMENT BY 2
ALTER SEQUENCE rows_of_s_seq RENAME TO third_seq
CREATE SCHEMA far
ALTER TABLE elders SET SCHEMA far
ALTER SCHEMA far RENAME TO near
ALTER INDEX some RENAME TO few
ALTER INDEX few SET (fillfactor = 50)
ALTER INDEX children_pkey SET (fillfactor = 60)
COMMENT ON COLUMN children.elder IS 'whose'
COMMENT ON TABLE children IS 'small'
ALTER TABLE children ALTER COLUMN elder SET STATISTICS 7
ALTER TABLE children ENABLE ROW LEVEL SECURITY
ALTER TABLE children DISABLE TRIGGER staying
GRANT SELECT ON children TO pg_monitor
GRANT SELECT (elder) ON children TO pg_monitor
REVOKE ALL ON children FROM pg_monitor
CREATE TABLE measures (id integer, at date) PARTITION BY RANGE (at)
CREATE TABLE measures_old PARTITION OF measures FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')
CREATE INDEX measures_at ON measures (at)
ALTER TABLE measures ADD COLUMN n integer DEFAULT 1
ALTER TABLE measures_old ALTER COLUMN n SET DEFAULT 2
ALTER TABLE measures DETACH PARTITION measures_old
BEGIN; ALTER TABLE children ADD COLUMN not_kept integer; ROLLBACK
BEGIN; ALTER TABLE children ADD COLUMN kept integer; ALTER TABLE children ALTER COLUMN kept SET DEFAULT 1; ALTER TABLE children ALTER COLUMN kept SET DEFAULT 2; COMMIT
ALTER TABLE children DROP COLUMN kept
VACUUM FULL pg_class
VACUUM FULL pg_attribute
ANALYZE children
TRUNCATE children
DROP TABLE children CASCADE
DROP SCHEMA near CASCADE`, "\n")...)
		})
	}
	require.Greater(t, read, 100, "statements that ran")
}
