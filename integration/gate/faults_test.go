package gate

import (
	"github.com/switchbackdb/switchback/check/proof"
	"github.com/switchbackdb/switchback/migrate"
)

// faults are changes with a planted mistake each, all of which the gate finds.
var faults = []planted{
	// Schemas that are not what they were.
	{name: "the table stays", scripts: map[string]string{
		"expand.sql": "CREATE TABLE IF NOT EXISTS tags (id integer PRIMARY KEY);", "expand.rollback.sql": "SELECT 1;",
	}, want: []string{proof.NotInverse}, says: "table tags"},
	{name: "the index is forgotten", scripts: map[string]string{
		"contract.sql": "DROP INDEX by_name;", "contract.rollback.sql": "SELECT 1;",
	}, engines: notMySQL, want: []string{proof.NotInverse}, says: "by_name"},
	{name: "the index is forgotten there", scripts: map[string]string{
		"contract.sql": "DROP INDEX by_name ON customers;", "contract.rollback.sql": "SELECT 1;",
	}, engines: mysqls, want: []string{proof.NotInverse}, says: "by_name"},
	{name: "the index comes back on another column", scripts: map[string]string{
		"contract.sql": "DROP INDEX by_name;", "contract.rollback.sql": "CREATE INDEX by_name ON customers (note);",
	}, engines: notMySQL, want: []string{proof.NotInverse}, says: "by_name"},
	{name: "the index comes back unique", scripts: map[string]string{
		"contract.sql": "DROP INDEX by_name;", "contract.rollback.sql": "CREATE UNIQUE INDEX by_name ON customers (name, id);",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "by_name"},
	{name: "the default is lost", scripts: map[string]string{
		"contract.sql": "ALTER TABLE customers ALTER COLUMN note DROP DEFAULT;", "contract.rollback.sql": "SELECT 1;",
	}, engines: notSQLite, want: []string{proof.NotInverse}, says: "default"},
	{name: "another default comes back", scripts: map[string]string{
		"contract.sql": "ALTER TABLE customers ALTER COLUMN note DROP DEFAULT;", "contract.rollback.sql": "ALTER TABLE customers ALTER COLUMN note SET DEFAULT 'nothing';",
	}, engines: notSQLite, want: []string{proof.NotInverse}, says: "nothing"},
	{name: "NOT NULL is lost", scripts: map[string]string{
		"contract.sql": "ALTER TABLE customers ALTER COLUMN name DROP NOT NULL;", "contract.rollback.sql": "SELECT 1;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "not null"},
	{name: "the type is another", scripts: map[string]string{
		"contract.sql": "ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12,2);", "contract.rollback.sql": "ALTER TABLE orders ALTER COLUMN amount TYPE numeric(11,2);",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "numeric(11,2)"},
	{name: "the type is another there", scripts: map[string]string{
		"contract.sql": "ALTER TABLE orders MODIFY amount decimal(12,2) NOT NULL DEFAULT 0;", "contract.rollback.sql": "ALTER TABLE orders MODIFY amount decimal(10,2) NOT NULL;",
	}, engines: mysqls, want: []string{proof.NotInverse}, says: "default"},
	{name: "the foreign key is lost", scripts: map[string]string{
		"contract.sql": "ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;", "contract.rollback.sql": "SELECT 1;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "orders_customer_id_fkey"},
	{name: "the foreign key is lost there", scripts: map[string]string{
		"contract.sql": "ALTER TABLE orders DROP FOREIGN KEY of_customer;", "contract.rollback.sql": "SELECT 1;",
	}, engines: mysqls, want: []string{proof.NotInverse}, says: "of_customer"},
	{name: "the foreign key cascades now", scripts: map[string]string{
		"contract.sql": "ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;", "contract.rollback.sql": "ALTER TABLE orders ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "CASCADE"},
	{name: "a trigger stays", scripts: map[string]string{
		"expand.sql":          "CREATE TABLE log (id integer PRIMARY KEY);\nCREATE TRIGGER noted AFTER DELETE ON customers BEGIN DELETE FROM orders WHERE id < 0; END;",
		"expand.rollback.sql": "DROP TABLE log;",
	}, engines: sqlite, want: []string{proof.NotInverse}, says: "noted"},
	{name: "a trigger stays there", scripts: map[string]string{
		"expand.sql":          "CREATE TRIGGER noted AFTER DELETE ON customers FOR EACH ROW DELETE FROM orders WHERE id < 0;",
		"expand.rollback.sql": "SELECT 1;",
	}, engines: mysqls, want: []string{proof.NotInverse}, says: "noted"},
	{name: "a function stays", scripts: map[string]string{
		"expand.sql":          "CREATE OR REPLACE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\nCREATE TRIGGER noted BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION noted();",
		"expand.rollback.sql": "DROP TRIGGER noted ON customers;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "noted"},
	{name: "the enum is in another order", scripts: map[string]string{
		"expand.sql":            "CREATE TYPE mood AS ENUM ('sad', 'ok');",
		"expand.rollback.sql":   "DROP TYPE mood;",
		"contract.sql":          "ALTER TYPE mood RENAME TO old_mood;",
		"contract.rollback.sql": "DROP TYPE old_mood; CREATE TYPE mood AS ENUM ('ok', 'sad');",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "mood"},
	{name: "a comment stays", scripts: map[string]string{
		"expand.sql": "COMMENT ON TABLE customers IS 'people';", "expand.rollback.sql": "SELECT 1;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "people"},
	{name: "a check stays", scripts: map[string]string{
		"expand.sql": "ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > -1000000) NOT VALID;", "expand.rollback.sql": "ALTER TABLE orders VALIDATE CONSTRAINT positive;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "positive"},
	{name: "the view comes back shorter", scripts: map[string]string{
		"expand.sql":            "CREATE VIEW named AS SELECT id, name FROM customers;",
		"expand.rollback.sql":   "DROP VIEW IF EXISTS named; CREATE VIEW named AS SELECT id FROM customers; DROP VIEW named; CREATE TABLE named (id integer PRIMARY KEY);",
		"contract.sql":          "SELECT 1;",
		"contract.rollback.sql": "SELECT 1;",
	}, want: []string{proof.NotInverse}, says: "named"},
	// Rows that are not what they were.
	{name: "rows are deleted", scripts: map[string]string{
		"contract.sql": "DELETE FROM orders;", "contract.rollback.sql": "SELECT 1;",
	}, want: []string{proof.LosesData}, says: "gone: id"},
	{name: "one row is deleted on the way back", scripts: map[string]string{
		"expand.sql": "ALTER TABLE orders ADD COLUMN state varchar(20);", "expand.rollback.sql": "DELETE FROM orders WHERE id = (SELECT p FROM (SELECT min(id) AS p FROM orders) AS q);\nALTER TABLE orders DROP COLUMN state;",
	}, want: []string{proof.LosesData}, says: "gone: id"},
	{name: "values are overwritten", scripts: map[string]string{
		"backfill.sql": "UPDATE customers SET note = 'unknown' WHERE note IS NULL;",
		"expand.sql":   "ALTER TABLE customers ADD COLUMN nick varchar(20);", "expand.rollback.sql": "ALTER TABLE customers DROP COLUMN nick;",
	}, want: []string{proof.LosesData}, says: "note was"},
	{name: "the column comes back empty", scripts: map[string]string{
		"contract.sql": "ALTER TABLE customers DROP COLUMN note;", "contract.rollback.sql": "ALTER TABLE customers ADD COLUMN note varchar(200) DEFAULT 'none';",
	}, want: []string{proof.LosesData}, says: "note was"},
	{name: "values are shortened", scripts: map[string]string{
		"contract.sql": "UPDATE customers SET name = substr(name, 1, 3);", "contract.rollback.sql": "SELECT 1;",
	}, want: []string{proof.LosesData}, says: "name was"},
	{name: "time loses its seconds", scripts: map[string]string{
		"contract.sql": "UPDATE orders SET placed = date_trunc('minute', placed);", "contract.rollback.sql": "SELECT 1;",
	}, engines: postgres, want: []string{proof.LosesData}, says: "12:34:56"},
	{name: "what was written since is lost", scripts: map[string]string{
		"contract.sql":          "CREATE TABLE kept AS SELECT * FROM orders;",
		"contract.rollback.sql": "DELETE FROM orders; INSERT INTO orders SELECT * FROM kept; DROP TABLE kept;",
	}, want: []string{proof.LosesData}, says: "that the new version inserted"},
	{name: "what the old version wrote since is lost", scripts: map[string]string{
		"expand.sql":          "CREATE TABLE kept AS SELECT * FROM orders;",
		"expand.rollback.sql": "DELETE FROM orders; INSERT INTO orders SELECT * FROM kept; DROP TABLE kept;",
	}, want: []string{proof.LosesData}, says: "gone: id"},
	{name: "an update of the old version is lost, with a key of two columns", scripts: map[string]string{
		"expand.sql": "CREATE TABLE kept AS SELECT * FROM parts;",
		"expand.rollback.sql": "UPDATE parts SET label = (SELECT k.label FROM kept k WHERE k.order_id = parts.order_id AND k.n = parts.n)\n" +
			"WHERE EXISTS (SELECT 1 FROM kept k WHERE k.order_id = parts.order_id AND k.n = parts.n);\nDROP TABLE kept;",
	}, want: []string{proof.LosesData}, says: "label was"},
	{name: "what the new version wrote before contract is lost", scripts: map[string]string{
		"expand.sql":            "ALTER TABLE orders ADD COLUMN state varchar(20);",
		"expand.rollback.sql":   "DELETE FROM orders WHERE state IS NOT NULL;\nALTER TABLE orders DROP COLUMN state;",
		"contract.sql":          "SELECT 1;",
		"contract.rollback.sql": "UPDATE orders SET state = NULL;",
	}, want: []string{proof.LosesData}, says: "that the new version inserted"},
	// Scripts that do not run.
	{name: "the rollback does not run", scripts: map[string]string{
		"expand.sql": "ALTER TABLE customers ADD COLUMN nick varchar(20);", "expand.rollback.sql": "ALTER TABLE customers DROP COLUMN nickname;",
	}, want: []string{proof.Fails}, says: "nickname"},
	{name: "it does not run at all", scripts: map[string]string{
		"expand.sql": "ALTER TABLE clients ADD COLUMN nick varchar(20);", "expand.rollback.sql": "ALTER TABLE clients DROP COLUMN nick;",
	}, want: []string{proof.ForwardFails}, says: "clients"},
	{name: "rows are in the way", scripts: map[string]string{
		"expand.sql": "CREATE UNIQUE INDEX one_note ON customers (note);", "expand.rollback.sql": "DROP INDEX one_note;",
	}, engines: notMySQL, want: []string{proof.RefusesRows}, says: "note"},
	{name: "rows are in the way there", scripts: map[string]string{
		"expand.sql": "CREATE UNIQUE INDEX one_note ON customers (note);", "expand.rollback.sql": "DROP INDEX one_note ON customers;",
	}, engines: mysqls, want: []string{proof.RefusesRows}, says: "note"},
	// The old version, which still runs.
	{name: "a required column", scripts: map[string]string{
		"expand.sql":          "ALTER TABLE orders ADD COLUMN state varchar(20);\nUPDATE orders SET state = 'new';\nALTER TABLE orders ALTER COLUMN state SET NOT NULL;",
		"expand.rollback.sql": "ALTER TABLE orders DROP COLUMN state;",
	}, engines: postgres, want: []string{proof.BlueBreaks}, says: "state"},
	{name: "a required column there", scripts: map[string]string{
		"expand.sql":          "ALTER TABLE orders ADD COLUMN state varchar(20);\nUPDATE orders SET state = 'new';\nALTER TABLE orders MODIFY state varchar(20) NOT NULL;",
		"expand.rollback.sql": "ALTER TABLE orders DROP COLUMN state;",
	}, engines: mysqls, want: []string{proof.BlueBreaks}, says: "state"},
	{name: "a column is gone before its time", scripts: map[string]string{
		"expand.sql": "ALTER TABLE customers RENAME COLUMN note TO remark;", "expand.rollback.sql": "ALTER TABLE customers RENAME COLUMN remark TO note;",
	}, want: []string{proof.BlueBreaks}, says: "note"},
	{name: "a trigger refuses", scripts: map[string]string{
		"expand.sql":          "CREATE TRIGGER closed BEFORE DELETE ON orders BEGIN SELECT RAISE(ABORT, 'orders are for ever'); END;",
		"expand.rollback.sql": "DROP TRIGGER closed;",
	}, engines: sqlite, want: []string{proof.BlueBreaks}, says: "for ever"},

	// What an engine has that others have not.
	{
		name: "the identity counts otherwise", engines: postgres, before: "CREATE TABLE tickets (id bigint GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY 10) PRIMARY KEY, n integer);",
		scripts: contracts("ALTER TABLE tickets ALTER COLUMN id DROP IDENTITY;", "ALTER TABLE tickets ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY;"), want: []string{proof.NotInverse}, says: "tickets",
	},
	{
		name: "the index of some rows comes back whole", engines: notMySQL, before: "CREATE INDEX noted ON customers (note) WHERE born IS NOT NULL;",
		scripts: contracts("DROP INDEX noted;", "CREATE INDEX noted ON customers (note);"), want: []string{proof.NotInverse}, says: "noted",
	},
	{
		name: "the index comes back in another order", engines: notMySQL, before: "CREATE INDEX latest ON orders (placed DESC);",
		scripts: contracts("DROP INDEX latest;", "CREATE INDEX latest ON orders (placed);"), want: []string{proof.NotInverse}, says: "latest",
	},
	{
		name: "a policy is lost", engines: postgres, before: "CREATE POLICY own ON customers USING (id > 0);",
		scripts: contracts("DROP POLICY own ON customers;", "SELECT 1;"), want: []string{proof.NotInverse}, says: "own",
	},
	{name: "row security stays", engines: postgres, scripts: expands("ALTER TABLE parts ENABLE ROW LEVEL SECURITY;", "SELECT 1;"), want: []string{proof.NotInverse}, says: "row security"},
	{
		name: "the view loses its check", engines: postgres, before: "CREATE VIEW few AS SELECT id, name FROM customers WHERE id > 0 WITH CHECK OPTION;",
		scripts: contracts("CREATE OR REPLACE VIEW few AS SELECT id, name FROM customers WHERE id > 0;", "SELECT 1;"), want: []string{proof.NotInverse}, says: "few",
	},
	{
		name: "the materialized view comes back without its index", engines: postgres, before: "CREATE MATERIALIZED VIEW names AS SELECT id FROM customers; CREATE UNIQUE INDEX names_id ON names (id);",
		scripts: contracts("DROP MATERIALIZED VIEW names;", "CREATE MATERIALIZED VIEW names AS SELECT id FROM customers;"), want: []string{proof.NotInverse}, says: "names_id",
	},
	{
		name: "the constraint can no longer wait", engines: postgres, before: "ALTER TABLE parts ADD CONSTRAINT one_label UNIQUE (label) DEFERRABLE INITIALLY DEFERRED;",
		scripts: contracts("ALTER TABLE parts DROP CONSTRAINT one_label;", "ALTER TABLE parts ADD CONSTRAINT one_label UNIQUE (label);"), want: []string{proof.NotInverse}, says: "one_label",
	},
	{
		name: "the check comes back looser", engines: notSQLite, before: "ALTER TABLE parts ADD CONSTRAINT counted CHECK (n > 0);",
		scripts: contracts("ALTER TABLE parts DROP CONSTRAINT counted;", "ALTER TABLE parts ADD CONSTRAINT counted CHECK (n > -1);"), want: []string{proof.NotInverse}, says: "counted",
	},
	{
		name: "the value of the enum stays", engines: postgres, before: "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE feelings (id bigint PRIMARY KEY, mood mood);",
		scripts: expands("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'great';", "SELECT 1;"), want: []string{proof.NotInverse}, says: "great",
	},
	{
		name: "a comment is lost", engines: postgres, before: "COMMENT ON COLUMN customers.note IS 'what they said';",
		scripts: contracts("COMMENT ON COLUMN customers.note IS NULL;", "SELECT 1;"), want: []string{proof.NotInverse}, says: "what they said",
	},
	{
		name: "a trigger stays off", engines: postgres, before: "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER noted BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION noted();",
		scripts: contracts("ALTER TABLE customers DISABLE TRIGGER noted;", "SELECT 1;"), want: []string{proof.NotInverse}, says: "noted",
	},
	{
		name: "counting is lost", engines: mysqls, before: "CREATE TABLE tickets (id bigint AUTO_INCREMENT PRIMARY KEY, n int);",
		scripts: contracts("ALTER TABLE tickets MODIFY id bigint NOT NULL;", "SELECT 1;"), want: []string{proof.NotInverse}, says: "auto_increment",
	},
	{
		name: "the collation is another", engines: mysqls, before: "CREATE TABLE words (id bigint PRIMARY KEY, w varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin);",
		scripts: contracts("ALTER TABLE words MODIFY w varchar(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;", "ALTER TABLE words MODIFY w varchar(20);"), want: []string{proof.NotInverse}, says: "collation",
	},
	{
		name: "the enum is in another order there", engines: mysqls, before: "CREATE TABLE feelings (id bigint PRIMARY KEY, mood enum('sad','ok'));",
		scripts: contracts("ALTER TABLE feelings MODIFY mood enum('sad','ok','great');", "ALTER TABLE feelings MODIFY mood enum('ok','sad');"), want: []string{proof.NotInverse}, says: "mood",
	},
	{
		name: "the index is of the whole value now", engines: mysqls, before: "CREATE INDEX short ON customers (name(5));",
		scripts: contracts("DROP INDEX short ON customers;", "CREATE INDEX short ON customers (name);"), want: []string{proof.NotInverse}, says: "short",
	},
	{
		name: "the time is no longer kept", engines: mysqls, before: "CREATE TABLE touched (id bigint PRIMARY KEY, at datetime DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP);",
		scripts: contracts("ALTER TABLE touched MODIFY at datetime DEFAULT CURRENT_TIMESTAMP;", "SELECT 1;"), want: []string{proof.NotInverse}, says: "on update",
	},
	{
		name: "the foreign key cascades there", engines: mysqls,
		scripts: contracts("ALTER TABLE orders DROP FOREIGN KEY of_customer;", "ALTER TABLE orders ADD CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE;"), want: []string{proof.NotInverse}, says: "CASCADE",
	},
	{
		name: "the rebuilt table has no index", engines: sqlite,
		scripts: contracts(rebuilt("varchar(300)", "CREATE INDEX by_name ON customers (name);"), rebuilt("varchar(200)", "")), want: []string{proof.NotInverse}, says: "by_name",
	},
	{
		name: "the rebuilt table is not strict", engines: sqlite, before: "CREATE TABLE exact (id integer PRIMARY KEY, n integer) STRICT;",
		scripts: contracts("ALTER TABLE exact RENAME TO old_exact;", "CREATE TABLE exact (id integer PRIMARY KEY, n integer);\nINSERT INTO exact SELECT id, n FROM old_exact;\nDROP TABLE old_exact;"), want: []string{proof.NotInverse}, says: "STRICT",
	},
	{
		name: "the trigger comes back for something else", engines: sqlite, before: "CREATE TRIGGER noted AFTER DELETE ON parts BEGIN SELECT 1; END;",
		scripts: contracts("DROP TRIGGER noted;", "CREATE TRIGGER noted AFTER INSERT ON parts BEGIN SELECT 1; END;"), want: []string{proof.NotInverse}, says: "noted",
	},
	// Values that do not survive.
	{name: "fractions are cut", engines: notMySQL, scripts: contracts("UPDATE orders SET amount = round(amount);", "SELECT 1;"), want: []string{proof.LosesData}, says: "amount was"},
	{name: "nothing and the empty text become one", engines: engines{migrate.SQLite, migrate.MySQL}, scripts: contracts("UPDATE customers SET note = '' WHERE note IS NULL;", "UPDATE customers SET note = NULL WHERE note = '';"), want: []string{proof.LosesData}, says: "note was"},
	{
		name: "the copy leaves some out", engines: engines{migrate.SQLite, migrate.MariaDB}, scripts: contracts("CREATE TABLE kept (order_id integer NOT NULL, n integer NOT NULL, label varchar(40), PRIMARY KEY (order_id, n));\nINSERT INTO kept SELECT order_id, n, label FROM parts WHERE label IS NOT NULL;\nDROP TABLE parts;", "ALTER TABLE kept RENAME TO parts;"),
		want: []string{proof.LosesData}, says: "gone: ",
	},
	{
		name: "rows with a key of chance, of which one value is given", engines: notMySQL, before: "CREATE TABLE links (id uuid PRIMARY KEY, a varchar(20), b varchar(20), CHECK ((a IS NULL) <> (b IS NULL)));",
		scripts: contracts("DELETE FROM links;", "SELECT 1;"), want: []string{proof.LosesData}, says: "gone: id",
	},
	// Queries.
	{
		name: "the new version asks what is gone", green: []string{"SELECT name FROM customers WHERE id = :id", "SELECT note FROM customers WHERE id = :id"},
		scripts: contracts("ALTER TABLE customers RENAME COLUMN note TO old_note;", "ALTER TABLE customers RENAME COLUMN old_note TO note;"), want: []string{proof.GreenBreaks}, says: "note",
	},
	{
		name: "the old version asks what is gone", blue: []string{"SELECT count(*) FROM named"}, before: "CREATE VIEW named AS SELECT id, name FROM customers;",
		scripts: expands("DROP VIEW named;", "CREATE VIEW named AS SELECT id, name FROM customers;"), want: []string{proof.BlueBreaks}, says: "named",
	},
	{
		name: "everything is asked for", blue: []string{"SELECT * FROM parts"},
		scripts: expands("ALTER TABLE parts ADD COLUMN weight numeric(8,3);", "ALTER TABLE parts DROP COLUMN weight;"), want: []string{proof.OtherResult}, says: "other columns",
	},
	{
		name: "a query can no longer look up", engines: notMySQL, green: []string{"SELECT id FROM customers WHERE name = :name"},
		scripts: contracts("DROP INDEX by_name;", "CREATE INDEX by_name ON customers (name);"), want: []string{proof.LosesIndex}, says: "by_name",
	},
	// Locks.
	{name: "an index keeps writers out", engines: postgres, scripts: expands("CREATE INDEX by_placed ON orders (placed);", "DROP INDEX by_placed;"), lint: "blocks-writes"},
	{name: "a key is written anew", engines: postgres, before: "CREATE TABLE tickets (n integer);", scripts: contracts("ALTER TABLE tickets ALTER COLUMN n TYPE bigint;", "ALTER TABLE tickets ALTER COLUMN n TYPE integer;"), lint: "rewrites-table"},
	{name: "a check reads everything", engines: postgres, scripts: expands("ALTER TABLE parts ADD COLUMN weight integer CHECK (weight > 0);", "ALTER TABLE parts DROP COLUMN weight;"), lint: "scans-under-lock"},
	{name: "an update under the lock", engines: postgres, scripts: expands("ALTER TABLE parts ADD COLUMN weight integer;\nUPDATE parts SET weight = 1;", "ALTER TABLE parts DROP COLUMN weight;"), lint: "blocks-reads"},
	{name: "a table is copied", engines: engines{migrate.MySQL}, scripts: contracts("ALTER TABLE customers MODIFY note varchar(300) DEFAULT 'none';", "ALTER TABLE customers MODIFY note varchar(200) DEFAULT 'none';"), lint: "copies-table"},
	{name: "an index of words keeps writers out", engines: mysqls, scripts: expands("ALTER TABLE customers ADD FULLTEXT INDEX words (note);", "ALTER TABLE customers DROP INDEX words;"), lint: "blocks-writes"},
}
