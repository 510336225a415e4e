package gate

import "github.com/switchbackdb/switchback/migrate"

// expands are the scripts of a change of one phase, which both versions live through.
func expands(forward, back string) map[string]string {
	return map[string]string{"expand.sql": forward, "expand.rollback.sql": back}
}

// contracts are the scripts of a change of one phase, which the old version does not see.
func contracts(forward, back string) map[string]string {
	return map[string]string{"contract.sql": forward, "contract.rollback.sql": back}
}

// concurrent begins a script whose statements run each on their own.
const concurrent = "-- switchback:no-transaction\n"

// sound are changes of which the gate has nothing to say.
var sound = []planted{
	{name: "a table", scripts: expands("CREATE TABLE tags (id bigint PRIMARY KEY, label varchar(20) UNIQUE);", "DROP TABLE tags;")},
	{name: "two tables", engines: notMySQL, scripts: expands("CREATE TABLE tags (id bigint PRIMARY KEY);\nCREATE TABLE tagged (order_id integer NOT NULL, tag_id bigint NOT NULL, PRIMARY KEY (order_id, tag_id));", "DROP TABLE tagged;\nDROP TABLE tags;")},
	{name: "a table with a check", engines: engines{migrate.SQLite, migrate.MySQL}, scripts: expands("CREATE TABLE tags (id bigint PRIMARY KEY, size integer, CONSTRAINT some CHECK (size > 0));", "DROP TABLE tags;")},
	{name: "a table with a foreign key", engines: notMySQL, scripts: expands("CREATE TABLE notes (id bigint PRIMARY KEY, order_id integer NOT NULL REFERENCES orders (id));\nCREATE INDEX notes_order ON notes (order_id);", "DROP TABLE notes;")},
	{name: "a table with a foreign key there", engines: mysqls, scripts: expands("CREATE TABLE notes (id bigint PRIMARY KEY, order_id integer NOT NULL, CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders (id));", "DROP TABLE notes;")},
	{name: "a table with rows", engines: engines{migrate.SQLite, migrate.MariaDB}, scripts: expands("CREATE TABLE states (code varchar(10) PRIMARY KEY);\nINSERT INTO states (code) VALUES ('new'), ('paid');", "DROP TABLE states;")},
	{name: "rows of a table that is there", scripts: expands("INSERT INTO parts (order_id, n, label) VALUES (900001, 1, 'shared');", "DELETE FROM parts WHERE order_id = 900001;")},
	{name: "a column", scripts: expands("ALTER TABLE customers ADD COLUMN nick varchar(20);", "ALTER TABLE customers DROP COLUMN nick;")},
	{name: "a column with a default", scripts: expands("ALTER TABLE orders ADD COLUMN state varchar(20) NOT NULL DEFAULT 'new';", "ALTER TABLE orders DROP COLUMN state;")},
	{name: "two columns", engines: engines{migrate.SQLite, migrate.MySQL}, scripts: expands("ALTER TABLE parts ADD COLUMN weight numeric(8,3);\nALTER TABLE parts ADD COLUMN colour varchar(20) DEFAULT 'grey';", "ALTER TABLE parts DROP COLUMN colour;\nALTER TABLE parts DROP COLUMN weight;")},
	{name: "columns of two tables", engines: engines{migrate.SQLite, migrate.MariaDB}, scripts: expands("ALTER TABLE parts ADD COLUMN weight numeric(8,3);\nALTER TABLE orders ADD COLUMN weight numeric(8,3);", "ALTER TABLE orders DROP COLUMN weight;\nALTER TABLE parts DROP COLUMN weight;")},
	{name: "a view", scripts: expands("CREATE VIEW named AS SELECT id, name FROM customers;", "DROP VIEW named;")},
	{name: "a view over two tables", engines: notMySQL, scripts: expands("CREATE VIEW totals AS SELECT c.name, sum(o.amount) AS total FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name;", "DROP VIEW totals;")},
	{name: "a view of another shape", engines: engines{migrate.SQLite, migrate.MariaDB}, before: "CREATE VIEW named AS SELECT id, name FROM customers;", scripts: contracts("DROP VIEW named;\nCREATE VIEW named AS SELECT id, name, note FROM customers;", "DROP VIEW named;\nCREATE VIEW named AS SELECT id, name FROM customers;")},
	{name: "filled", scripts: map[string]string{
		"expand.sql": "ALTER TABLE customers ADD COLUMN upper_name varchar(40);", "expand.rollback.sql": "ALTER TABLE customers DROP COLUMN upper_name;",
		"backfill.sql": "-- switchback:batch table=customers key=id size=3\nUPDATE customers SET upper_name = upper(name) WHERE :batch;\n",
	}},
	{name: "a column kept aside", scripts: contracts("ALTER TABLE customers RENAME COLUMN note TO old_note;", "ALTER TABLE customers RENAME COLUMN old_note TO note;")},
	{name: "a table kept aside", engines: engines{migrate.SQLite, migrate.MySQL}, scripts: contracts("ALTER TABLE parts RENAME TO old_parts;", "ALTER TABLE old_parts RENAME TO parts;")},
	{name: "a column, and another kept aside", blue: []string{"SELECT note FROM customers WHERE id = :id"}, green: []string{"SELECT remark FROM customers WHERE id = :id"}, scripts: map[string]string{
		"expand.sql": "ALTER TABLE customers ADD COLUMN remark varchar(200);", "expand.rollback.sql": "ALTER TABLE customers DROP COLUMN remark;",
		"contract.sql": "ALTER TABLE customers RENAME COLUMN note TO old_note;", "contract.rollback.sql": "ALTER TABLE customers RENAME COLUMN old_note TO note;",
	}},

	{name: "an index", engines: postgres, scripts: expands(concurrent+"CREATE INDEX CONCURRENTLY by_placed ON orders (placed, amount);", concurrent+"DROP INDEX CONCURRENTLY by_placed;")},
	{name: "an index of some rows", engines: postgres, scripts: expands(concurrent+"CREATE INDEX CONCURRENTLY by_label ON parts (lower(label)) WHERE label IS NOT NULL;", concurrent+"DROP INDEX CONCURRENTLY by_label;")},
	{name: "a better index", engines: postgres, green: []string{"SELECT id FROM customers WHERE name = $1"}, scripts: map[string]string{
		"expand.sql": concurrent + "CREATE INDEX CONCURRENTLY by_names ON customers (name, born);", "expand.rollback.sql": concurrent + "DROP INDEX CONCURRENTLY by_names;",
		"contract.sql": concurrent + "DROP INDEX CONCURRENTLY by_name;", "contract.rollback.sql": concurrent + "CREATE INDEX CONCURRENTLY by_name ON customers (name);",
	}},
	{name: "a check in two steps", engines: postgres, scripts: map[string]string{
		"expand.sql": "ALTER TABLE orders ADD CONSTRAINT sane CHECK (amount > -1000000000) NOT VALID;", "expand.rollback.sql": "ALTER TABLE orders DROP CONSTRAINT sane;",
		"contract.sql":          "ALTER TABLE orders VALIDATE CONSTRAINT sane;",
		"contract.rollback.sql": "ALTER TABLE orders DROP CONSTRAINT sane;\nALTER TABLE orders ADD CONSTRAINT sane CHECK (amount > -1000000000) NOT VALID;",
	}},
	{name: "another default", engines: notSQLite, scripts: contracts("ALTER TABLE customers ALTER COLUMN note SET DEFAULT 'nothing';", "ALTER TABLE customers ALTER COLUMN note SET DEFAULT 'none';")},
	{name: "a default of each row", engines: postgres, scripts: expands("ALTER TABLE orders ADD COLUMN token uuid;\nALTER TABLE orders ALTER COLUMN token SET DEFAULT gen_random_uuid();", "ALTER TABLE orders DROP COLUMN token;")},
	{name: "a comment", engines: postgres, scripts: expands("COMMENT ON COLUMN customers.note IS 'what they said';", "COMMENT ON COLUMN customers.note IS NULL;")},
	{name: "an enum", engines: postgres, scripts: expands("CREATE TYPE mood AS ENUM ('sad', 'ok');\nALTER TABLE customers ADD COLUMN mood mood;", "ALTER TABLE customers DROP COLUMN mood;\nDROP TYPE mood;")},
	{name: "a domain", engines: postgres, scripts: expands("CREATE DOMAIN code AS text CHECK (VALUE ~ '^[A-Z]+$');\nCREATE TABLE codes (id bigint PRIMARY KEY, c code);", "DROP TABLE codes;\nDROP DOMAIN code;")},
	{name: "a sequence", engines: postgres, scripts: expands("CREATE SEQUENCE numbers START 100;", "DROP SEQUENCE numbers;")},
	{name: "a function and a trigger", engines: postgres, scripts: expands("CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\nCREATE TRIGGER noted BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION noted();", "DROP TRIGGER noted ON customers;\nDROP FUNCTION noted();")},
	{name: "a policy", engines: postgres, scripts: expands("CREATE POLICY own ON customers USING (id > 0);", "DROP POLICY own ON customers;")},
	{name: "a materialized view", engines: postgres, scripts: expands("CREATE MATERIALIZED VIEW names AS SELECT id, name FROM customers;\nCREATE UNIQUE INDEX names_id ON names (id);", "DROP MATERIALIZED VIEW names;")},
	{name: "an identity", engines: postgres, scripts: expands("CREATE TABLE visits (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, page text, long integer GENERATED ALWAYS AS (length(page)) STORED);", "DROP TABLE visits;")},
	{name: "a schema", engines: postgres, scripts: expands("CREATE SCHEMA audit;\nCREATE TABLE audit.entries (id bigint PRIMARY KEY, line text);", "DROP TABLE audit.entries;\nDROP SCHEMA audit;")},
	{name: "a partitioned table", engines: postgres, scripts: expands("CREATE TABLE visits (id bigint, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);\nCREATE TABLE visits_all PARTITION OF visits DEFAULT;", "DROP TABLE visits;")},
	{name: "statistics", engines: postgres, scripts: expands("CREATE STATISTICS together ON customer_id, amount FROM orders;", "DROP STATISTICS together;")},
	{name: "an index of another name", engines: postgres, scripts: contracts("ALTER INDEX by_name RENAME TO by_names;", "ALTER INDEX by_names RENAME TO by_name;")},
	{name: "a storage parameter", engines: postgres, scripts: expands("ALTER TABLE customers SET (fillfactor = 90);", "ALTER TABLE customers RESET (fillfactor);")},

	{name: "an index there", engines: mysqls, scripts: expands("CREATE INDEX by_placed ON orders (placed, amount);", "DROP INDEX by_placed ON orders;")},
	{name: "an index of another name there", engines: mysqls, scripts: contracts("ALTER TABLE customers RENAME INDEX by_name TO by_names;", "ALTER TABLE customers RENAME INDEX by_names TO by_name;")},
	{name: "an index that is not used", engines: engines{migrate.MySQL}, scripts: contracts("ALTER TABLE customers ALTER INDEX by_name INVISIBLE;", "ALTER TABLE customers ALTER INDEX by_name VISIBLE;")},
	{name: "an index that is ignored", engines: engines{migrate.MariaDB}, scripts: contracts("ALTER TABLE customers ALTER INDEX by_name IGNORED;", "ALTER TABLE customers ALTER INDEX by_name NOT IGNORED;")},
	{name: "a column in the middle", engines: mysqls, scripts: expands("ALTER TABLE customers ADD COLUMN nick varchar(20) AFTER name, ALGORITHM=INSTANT;", "ALTER TABLE customers DROP COLUMN nick;")},
	{name: "a generated column", engines: mysqls, scripts: expands("ALTER TABLE customers ADD COLUMN loud varchar(40) AS (upper(name)) VIRTUAL;", "ALTER TABLE customers DROP COLUMN loud;")},
	{name: "a trigger there", engines: mysqls, scripts: expands("CREATE TRIGGER noted BEFORE INSERT ON parts FOR EACH ROW SET NEW.label = coalesce(NEW.label, NULL);", "DROP TRIGGER noted;")},
	{name: "a procedure", engines: mysqls, scripts: expands("CREATE PROCEDURE nothing() SELECT 1;", "DROP PROCEDURE nothing;")},
	{name: "an event", engines: mysqls, scripts: expands("CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM parts WHERE order_id = 0;", "DROP EVENT tidy;")},
	{name: "a comment there", engines: mysqls, scripts: expands("ALTER TABLE customers COMMENT = 'people';", "ALTER TABLE customers COMMENT = '';")},
	{name: "a sequence there", engines: engines{migrate.MariaDB}, scripts: expands("CREATE SEQUENCE numbers START WITH 100;", "DROP SEQUENCE numbers;")},

	{name: "an index in a file", engines: sqlite, scripts: expands("CREATE INDEX by_placed ON orders (placed DESC) WHERE amount > 0;", "DROP INDEX by_placed;")},
	{name: "a trigger in a file", engines: sqlite, scripts: expands("CREATE TABLE log (id integer PRIMARY KEY, what text);\nCREATE TRIGGER noted AFTER DELETE ON parts BEGIN INSERT INTO log (what) VALUES (old.label); END;", "DROP TRIGGER noted;\nDROP TABLE log;")},
	{name: "a strict table", engines: sqlite, scripts: expands("CREATE TABLE exact (id integer PRIMARY KEY, n integer) STRICT;", "DROP TABLE exact;")},
	{name: "a table without rowid", engines: sqlite, scripts: expands("CREATE TABLE pairs (a text, b text, PRIMARY KEY (a, b)) WITHOUT ROWID;", "DROP TABLE pairs;")},
	{name: "a table rebuilt", engines: sqlite, scripts: contracts(rebuilt("varchar(300)", "CREATE INDEX by_name ON customers (name);"), rebuilt("varchar(200)", "CREATE INDEX by_name ON customers (name);"))},
}

// rebuilt is SQLite's way to give a column another type: the table is made anew, under its name.
func rebuilt(noteType, index string) string {
	return "-- switchback:foreign-keys off\nCREATE TABLE customers_new (id integer PRIMARY KEY, name varchar(40) NOT NULL, note " + noteType + " DEFAULT 'none', born date);\n" +
		"INSERT INTO customers_new SELECT id, name, note, born FROM customers;\nDROP TABLE customers;\nALTER TABLE customers_new RENAME TO customers;\n" + index
}
