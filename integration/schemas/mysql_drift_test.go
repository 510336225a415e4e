package schemas

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database/mysql"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// TestNoFalseDriftMySQL wants no difference after a dump and a restore.
func TestNoFalseDriftMySQL(t *testing.T) {
	if testing.Short() {
		return
	}
	eachMySQLSource(t, func(t *testing.T, k servers.Kind, s mysqlSource) {
		a, b := servers.URL(t, k), servers.URL(t, k)
		if !s.load(t, k, a) {
			t.Skip("the corpus is not there")
		}
		args := []string{"--single-transaction", "--no-data", "--routines", "--events", "--triggers", "--default-character-set=utf8mb4"}
		if k.Engine == "mysql" {
			args = append(args, "--set-gtid-purged=OFF")
		}
		text := servers.Tool(t, k, a, nil, client(k, "dump"), args...)
		// The dump makes views by name on stand-ins that cannot be updated, so it cannot be restored with this.
		text = strings.ReplaceAll(text, "/*!50002 WITH CASCADED CHECK OPTION */", "")
		// MariaDB's names the database before a sequence, and before the tables of a view whose definer is gone.
		text = strings.ReplaceAll(text, path.Base(a), path.Base(b))
		servers.Tool(t, k, b, strings.NewReader(text), client(k, ""), "--default-character-set=utf8mb4")
		// The dump names the definer of everything, so nothing changes hands.
		var found []string
		for _, d := range pathsThatDiffer(t, inspectMySQL(t, a), inspectMySQL(t, b), diff.Options{}) {
			if d != "view main.a_above: check option: CASCADED → " { // taken out above
				found = append(found, d)
			}
		}
		require.Empty(t, found)
	})
}

// TestServersDifferTruly compares the same statements on two servers. What is listed differs in truth.
func TestServersDifferTruly(t *testing.T) {
	if testing.Short() {
		return
	}
	const statements = `
CREATE TABLE parents (id int NOT NULL AUTO_INCREMENT, name varchar(20) NOT NULL DEFAULT 'it''s', PRIMARY KEY (id)) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
CREATE TABLE children (
  id bigint unsigned NOT NULL, small smallint DEFAULT 3, flag tinyint(1) NOT NULL DEFAULT 1, parent int, price decimal(8,2) DEFAULT 1.50,
  made timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, y year, document json, key_ varbinary(8) DEFAULT 'ab',
  twice bigint GENERATED ALWAYS AS (small * 2 + 1) STORED, token varchar(40) DEFAULT (concat('a', 'b')), t text COLLATE utf8mb4_bin, shape geometrycollection,
  PRIMARY KEY (id), KEY by_parent (parent), UNIQUE KEY once (small, price DESC),
  CONSTRAINT whose FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE,
  CONSTRAINT sane CHECK (small > 0 and (price < 100 or price is null))
) DEFAULT CHARSET=utf8mb3;
CREATE VIEW cheap AS SELECT c.id, c.price * 2 AS twice FROM children c WHERE c.price < 5 AND (c.small = 1 OR c.small = 2);
CREATE FUNCTION doubled (n int) RETURNS int DETERMINISTIC RETURN n * 2;
CREATE PROCEDURE nothing (IN a varchar(10)) SELECT 'it''s';
CREATE TRIGGER keep BEFORE INSERT ON parents FOR EACH ROW SET NEW.name = 'x';
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DISABLE DO SET @a = 1;
`
	models := map[string]*schema.Database{}
	for _, k := range mysqlKinds() {
		u := servers.URL(t, k)
		servers.Tool(t, k, u, strings.NewReader("ALTER DATABASE COLLATE utf8mb4_unicode_ci;"+statements), client(k, ""), "--default-character-set=utf8mb4")
		models[k.Name] = inspectMySQL(t, u)
	}
	for _, x := range []struct {
		from, to string
		want     []string
	}{
		// MariaDB's default collation of a character set is another one since 11.5.
		{"mariadb1011", "mariadb118", []string{"table main.children: collation: utf8mb3_general_ci → utf8mb3_uca1400_ai_ci"}},
		{"mysql9", "mariadb118", []string{"table main.children: collation: utf8mb3_general_ci → utf8mb3_uca1400_ai_ci"}},
		{"mysql9", "mariadb1011", nil},
	} {
		t.Run(x.from+" and "+x.to, func(t *testing.T) {
			require.Equal(t, x.want, pathsThatDiffer(t, models[x.from], models[x.to], diff.Options{}))
		})
	}
}

// TestLeastPrivilegeMySQL reads a catalogue with an account that may not see half of it, and wants to be
// told what that is.
func TestLeastPrivilegeMySQL(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range mysqlKinds() {
		t.Run(k.Name, func(t *testing.T) {
			rawURL := servers.URL(t, k)
			plain := servers.Open(t, rawURL)
			defer plain.Close()
			u, err := url.Parse(rawURL)
			require.NoError(t, err)
			name := "little_" + strings.TrimPrefix(u.Path, "/test_")
			for _, statement := range []string{
				"CREATE TABLE seen (id int PRIMARY KEY)", "CREATE TABLE unseen (id int PRIMARY KEY)",
				"CREATE VIEW opaque AS SELECT id FROM unseen", "CREATE PROCEDURE p () SELECT 1",
				"CREATE TRIGGER t BEFORE INSERT ON seen FOR EACH ROW SET @a = 1",
				"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SET @a = 1",
				"CREATE USER " + name + " IDENTIFIED BY 'little'",
				"GRANT SELECT ON seen TO " + name, "GRANT SELECT ON opaque TO " + name, "GRANT EXECUTE ON PROCEDURE p TO " + name,
			} {
				_, err := plain.ExecContext(t.Context(), statement)
				require.NoError(t, err, statement)
			}
			defer func() {
				_, err := plain.ExecContext(t.Context(), "DROP USER "+name)
				require.NoError(t, err)
			}()
			u.User = url.UserPassword(name, "little")
			db, err := mysql.Open(t.Context(), u.String())
			require.NoError(t, err)
			defer db.Close()
			d, err := db.Inspect(t.Context())
			require.NoError(t, err)
			require.NotNil(t, d.Schemas[0].Table("seen"))
			require.Nil(t, d.Schemas[0].Table("unseen"))
			why := map[schema.Kind]string{}
			for _, c := range d.Uncovered {
				require.NotEmpty(t, c.Why, c.Kind)
				why[c.Kind] += c.Why + " " + strings.Join(c.Names, ",")
			}
			for _, kind := range []schema.Kind{schema.KindTable, schema.KindView, schema.KindRoutine, schema.KindTrigger, schema.KindEvent, schema.KindGrant} {
				require.NotEmpty(t, why[kind], "%s: %v", kind, why)
			}
			require.Contains(t, why[schema.KindRoutine], "procedure p")
			require.Contains(t, why[schema.KindView], "opaque")
		})
	}
}

// TestGoldenScriptMySQL is a script as people review it.
func TestGoldenScriptMySQL(t *testing.T) {
	if testing.Short() {
		return
	}
	k := servers.MySQL9
	a, b := servers.URL(t, k), servers.URL(t, k)
	load := func(u, text string) *schema.Database {
		servers.Tool(t, k, u, strings.NewReader(text), client(k, ""), "--default-character-set=utf8mb4")
		return inspectMySQL(t, u)
	}
	from := load(a, `
CREATE TABLE customers (id int PRIMARY KEY AUTO_INCREMENT, name varchar(20), age int, gone text, KEY by_name (name));
CREATE TABLE orders (id int PRIMARY KEY, customer int, CONSTRAINT whose FOREIGN KEY (customer) REFERENCES customers (id));
CREATE TABLE leftovers (id int PRIMARY KEY);
CREATE VIEW adults AS SELECT id, name FROM customers WHERE age >= 18;
CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW SET @a = 1;`)
	to := load(b, `
CREATE TABLE customers (id bigint PRIMARY KEY AUTO_INCREMENT, name varchar(40) NOT NULL, age int, added timestamp NULL DEFAULT CURRENT_TIMESTAMP, KEY by_age (age), CONSTRAINT grown CHECK (age > 0)) COMMENT='who buys';
CREATE TABLE orders (id int PRIMARY KEY, customer bigint, note varchar(20), CONSTRAINT whose FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE);
CREATE TABLE events (id int, at date NOT NULL) PARTITION BY RANGE (year(at)) (PARTITION p0 VALUES LESS THAN (2030), PARTITION rest VALUES LESS THAN MAXVALUE);
CREATE VIEW adults AS SELECT id, name FROM customers WHERE age >= 21;
CREATE VIEW a_few AS SELECT id FROM adults WHERE id < 10;
DELIMITER //
CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW BEGIN SET @a = 1; SET @b = 'it''s'; END//
CREATE FUNCTION doubled (n int) RETURNS int DETERMINISTIC RETURN n * 2//
`)
	var text strings.Builder
	require.NoError(t, scriptMySQL(t, from, to).Write(&text, "from the shop of last year to that of this year", "$$"))
	golden := filepath.Join("..", "..", "testdata", "schema", "mysql", "shop.golden.sql")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String())
	// And it runs.
	servers.Tool(t, k, a, strings.NewReader(text.String()), client(k, ""), "--default-character-set=utf8mb4")
	require.Empty(t, pathsThatDiffer(t, to, inspectMySQL(t, a), diff.Options{}))
}
