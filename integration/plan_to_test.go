package integration

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

var updateModels = flag.Bool("update-models", false, "write the models that the golden files of migrate/recipe are made from")

// save keeps a model for the tests of package recipe.
func (c planTo) save(t *testing.T, d *schema.Database, suffix string) {
	if c.name == "" {
		return
	}
	var text bytes.Buffer
	require.NoError(t, d.Save(&text))
	require.NoError(t, os.WriteFile(filepath.Join("..", "migrate", "recipe", "testdata", c.name+suffix), text.Bytes(), 0o600))
}

// planTo is a schema that is to become another one.
type planTo struct {
	from, to string   // statements; to runs on what from makes
	renames  []string // confirmed
	ops      []string // given
	name     string   // of its golden file
}

func plansTo() map[string]planTo {
	return map[string]planTo{
		"labels": {
			from: `
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'odd');
CREATE TYPE size AS ENUM ('large', 'small');
CREATE TABLE users (id bigint PRIMARY KEY, mood mood NOT NULL DEFAULT 'odd', wish mood, plan text, CONSTRAINT hopeful CHECK (wish <> 'sad'));
CREATE TABLE shirts (id bigint PRIMARY KEY, size size DEFAULT 'small', mood mood);
CREATE INDEX users_happy ON users (plan) WHERE mood = 'happy';
CREATE VIEW happy AS SELECT id, mood FROM users WHERE mood >= 'happy';
CREATE POLICY seen ON users USING (mood <> 'sad');
INSERT INTO users SELECT n, (ARRAY['sad', 'ok', 'happy', 'odd'])[n % 4 + 1]::mood, NULL FROM generate_series(1, 50) AS n;
INSERT INTO shirts SELECT n, 'large', 'odd' FROM generate_series(1, 50) AS n`,
			to: `
DROP VIEW happy;
DROP POLICY seen ON users;
DROP INDEX users_happy;
ALTER TABLE users DROP CONSTRAINT hopeful, ALTER mood DROP DEFAULT;
ALTER TABLE shirts ALTER size DROP DEFAULT;
ALTER TYPE mood RENAME TO before;
ALTER TYPE size RENAME TO sizes;
CREATE TYPE mood AS ENUM ('happy', 'ok', 'sad', 'great');
CREATE TYPE size AS ENUM ('small', 'large');
ALTER TABLE users ALTER mood TYPE mood USING replace(mood::text, 'odd', 'ok')::mood, ALTER wish TYPE mood USING wish::text::mood;
ALTER TABLE shirts ALTER size TYPE size USING size::text::size, ALTER mood TYPE mood USING replace(mood::text, 'odd', 'ok')::mood;
DROP TYPE before, sizes;
ALTER TABLE users ALTER mood SET DEFAULT 'ok', ADD CONSTRAINT hopeful CHECK (wish <> 'sad');
ALTER TABLE shirts ALTER size SET DEFAULT 'large';
CREATE INDEX users_happy ON users (plan) WHERE mood = 'happy';
CREATE VIEW happy AS SELECT id, mood, plan FROM users WHERE mood >= 'happy';
CREATE POLICY seen ON users USING (mood <> 'sad')`,
			ops: []string{"change enum mood ('happy', 'ok', 'sad', 'great') as ('odd' = 'ok')"},
		},
		"columns": {
			from: `
CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, age integer, nick text, born date DEFAULT now());
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users, total integer NOT NULL CHECK (total > 0), note text);
CREATE TABLE old_stuff (id bigint PRIMARY KEY, user_id bigint REFERENCES users);
CREATE INDEX users_age ON users (age);
CREATE VIEW names AS SELECT id, name FROM users;
CREATE VIEW long_names AS SELECT * FROM names WHERE length(name) > 20;
CREATE VIEW nicks AS SELECT id, nick FROM users;
CREATE VIEW totals AS SELECT user_id, total FROM orders;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER stamped BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
INSERT INTO users (id, name, age, nick) SELECT n, 'user ' || n, n, 'nick' FROM generate_series(1, 50) AS n;
INSERT INTO orders SELECT n, n, n, 'x' FROM generate_series(1, 50) AS n;
INSERT INTO old_stuff SELECT n, n FROM generate_series(1, 50) AS n`,
			to: `
DROP VIEW long_names, names, nicks, totals;
DROP TABLE old_stuff;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE SCHEMA extra;
CREATE SEQUENCE extra.numbers;
ALTER TABLE users RENAME name TO full_name;
ALTER TABLE users DROP COLUMN nick, ALTER age TYPE bigint, ADD feeling mood NOT NULL DEFAULT 'good', ADD serial_no bigint DEFAULT nextval('extra.numbers');
ALTER TABLE users ADD CONSTRAINT grown CHECK (age < 1000);
ALTER TABLE users ALTER born DROP DEFAULT;
DROP INDEX users_age;
CREATE INDEX users_older ON users (age DESC);
ALTER TABLE orders ALTER note SET NOT NULL;
CREATE TABLE extra.items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id bigint REFERENCES orders);
CREATE VIEW names AS SELECT id, full_name FROM users;
CREATE VIEW ages AS SELECT id, age, full_name FROM users;
CREATE VIEW totals AS SELECT user_id, total, note FROM orders;
CREATE VIEW joined AS SELECT full_name, total FROM names JOIN totals ON user_id = id;
CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := ''stamped''; RETURN NEW; END';
CREATE FUNCTION twice(n bigint) RETURNS bigint LANGUAGE sql RETURN 2 * n;
COMMENT ON TABLE users IS 'people';
COMMENT ON COLUMN users.full_name IS 'how they are called';
GRANT SELECT ON users TO PUBLIC;
CREATE TRIGGER stamped2 BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp()`,
			renames: []string{"public.users.name=public.users.full_name"},
		},
		"table": {
			from: `
CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint);
CREATE VIEW names AS SELECT id, name FROM users;
INSERT INTO users VALUES (1, 'a'), (2, 'b')`,
			to: `
DROP VIEW names;
ALTER TABLE users RENAME TO people;
ALTER TABLE orders ADD CONSTRAINT who FOREIGN KEY (user_id) REFERENCES people;
CREATE VIEW names AS SELECT id, name FROM people;
CREATE VIEW more AS SELECT name FROM people;
CREATE INDEX people_name ON people (name);
ALTER TABLE people ADD note text`,
			renames: []string{"public.users=public.people"},
		},
		"partitions": {
			from: `
CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint GENERATED BY DEFAULT AS IDENTITY, day date NOT NULL, customer bigint REFERENCES customers, note text DEFAULT '-', CONSTRAINT orders_pkey PRIMARY KEY (id, day), CONSTRAINT noted CHECK (note <> ''));
CREATE TABLE events (id bigint PRIMARY KEY, what text);
CREATE INDEX orders_day ON orders (day);
CREATE VIEW recent AS SELECT id, day FROM orders;
GRANT SELECT ON orders TO PUBLIC;
INSERT INTO customers SELECT n FROM generate_series(1, 5) AS n;
INSERT INTO orders (day, customer) SELECT date '2025-01-01' + n * 10, n % 5 + 1 FROM generate_series(1, 60) AS n;
INSERT INTO events SELECT n, 'w' FROM generate_series(1, 30) AS n`,
			to: `
DROP TABLE orders, events CASCADE;
CREATE TABLE orders (id bigint GENERATED BY DEFAULT AS IDENTITY, day date NOT NULL, customer bigint REFERENCES customers, note text DEFAULT '-', CONSTRAINT orders_pkey PRIMARY KEY (id, day), CONSTRAINT noted CHECK (note <> '')) PARTITION BY RANGE (day);
CREATE TABLE orders_2025 PARTITION OF orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE "Orders later" PARTITION OF orders DEFAULT;
CREATE INDEX orders_day ON orders (day);
CREATE VIEW recent AS SELECT id, day FROM orders;
GRANT SELECT ON orders TO PUBLIC;
CREATE TABLE events (id bigint PRIMARY KEY, what text) PARTITION BY HASH (id);
CREATE TABLE events_b PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_a PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
		},
		"anew": {
			from: `
CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text NOT NULL UNIQUE, name varchar(40), free text, net numeric NOT NULL, gross numeric GENERATED ALWAYS AS (net * 1.19) STORED, customer bigint REFERENCES customers, note text DEFAULT '-', CONSTRAINT noted CHECK (note <> ''));
CREATE TABLE lines (id bigint PRIMARY KEY, of bigint REFERENCES orders ON DELETE CASCADE);
CREATE UNLOGGED TABLE events (id bigint PRIMARY KEY, what text);
CREATE TABLE logs (line text COLLATE "C", size integer GENERATED ALWAYS AS (length(line)) STORED);
CREATE INDEX orders_name ON orders (name) WHERE gross > 0;
CREATE INDEX orders_gross ON orders (gross);
CREATE VIEW recent AS SELECT id, name, gross FROM orders;
GRANT SELECT ON orders TO PUBLIC;
COMMENT ON COLUMN orders.gross IS 'with tax';
INSERT INTO customers SELECT n FROM generate_series(1, 5) AS n;
INSERT INTO orders (code, name, net, customer) SELECT 'c' || n, 'Łódź ' || n, n, n % 5 + 1 FROM generate_series(1, 60) AS n;
INSERT INTO lines SELECT n, n FROM generate_series(1, 60) AS n;
INSERT INTO logs VALUES ('a'), ('b')`,
			to: `
DROP VIEW recent;
ALTER TABLE orders DROP COLUMN gross;
ALTER TABLE orders ALTER name TYPE varchar(40) COLLATE "C", ALTER free TYPE text COLLATE "C", ADD COLUMN gross numeric GENERATED ALWAYS AS (round(net * 1.07, 2)) STORED;
CREATE INDEX orders_name ON orders (name) WHERE gross > 0;
CREATE INDEX orders_gross ON orders (gross);
CREATE VIEW recent AS SELECT id, name, gross FROM orders;
COMMENT ON COLUMN orders.gross IS 'with the other tax';
ALTER TABLE events SET LOGGED;
ALTER TABLE logs DROP size;
ALTER TABLE logs ADD size integer GENERATED ALWAYS AS (octet_length(line)) STORED`,
		},
		"others": {
			from: `
CREATE TYPE state AS ENUM ('new', 'done');
CREATE TYPE gone AS ENUM ('x');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 10);
CREATE TABLE tasks (id serial PRIMARY KEY, what text, s state, g gone, code short, owner text NOT NULL);
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tasks USING (owner = CURRENT_USER);
CREATE POLICY by_what ON tasks FOR SELECT USING (what <> '');
CREATE MATERIALIZED VIEW counts AS SELECT owner, count(*) AS n FROM tasks GROUP BY owner;
CREATE UNIQUE INDEX counts_owner ON counts (owner);
CREATE STATISTICS pair ON owner, what FROM tasks;
CREATE FUNCTION old_one() RETURNS integer LANGUAGE sql RETURN 1;
GRANT SELECT, UPDATE ON tasks TO PUBLIC;
CREATE SEQUENCE lonely;
INSERT INTO tasks (owner, what, s, g) SELECT 'me', 'w' || n, 'new', 'x' FROM generate_series(1, 30) AS n`,
			to: `
DROP MATERIALIZED VIEW counts;
DROP FUNCTION old_one();
ALTER TYPE state ADD VALUE 'started' BEFORE 'done';
DROP STATISTICS pair;
DROP POLICY own ON tasks;
DROP POLICY by_what ON tasks;
ALTER TABLE tasks RENAME owner TO belongs_to;
ALTER TABLE tasks DROP COLUMN g;
DROP TYPE gone;
DROP SEQUENCE lonely;
CREATE POLICY own ON tasks USING (belongs_to = CURRENT_USER);
CREATE POLICY third ON tasks AS RESTRICTIVE USING (id > 0);
ALTER TABLE tasks FORCE ROW LEVEL SECURITY;
CREATE STATISTICS pair ON belongs_to, what FROM tasks;
ALTER DOMAIN short ADD CONSTRAINT filled CHECK (VALUE <> '');
REVOKE UPDATE ON tasks FROM PUBLIC;
GRANT INSERT ON tasks TO PUBLIC;
CREATE MATERIALIZED VIEW counts AS SELECT belongs_to, count(*) AS n FROM tasks GROUP BY belongs_to;
CREATE UNIQUE INDEX counts_owner ON counts (belongs_to)`,
			renames: []string{"public.tasks.owner=public.tasks.belongs_to"},
		},
		"constraints": {
			from: `
CREATE TABLE a (id bigint PRIMARY KEY, x integer CONSTRAINT rule CHECK (x > 0), y text, z varchar(10) NOT NULL, u text CONSTRAINT once UNIQUE, v integer);
CREATE INDEX a_y ON a (y);
CREATE TABLE b (id bigint PRIMARY KEY, a bigint CONSTRAINT link REFERENCES a);
INSERT INTO a VALUES (1, 1, 'a', 'z', 'u', 5)`,
			to: `
ALTER TABLE a DROP CONSTRAINT rule, ADD CONSTRAINT rule CHECK (x > -1);
DROP INDEX a_y;
CREATE INDEX a_y ON a (lower(y));
ALTER TABLE a DROP CONSTRAINT once, ADD CONSTRAINT once UNIQUE (u, y), ALTER v TYPE bigint, ALTER v SET NOT NULL, ALTER v SET DEFAULT 3;
ALTER TABLE b DROP CONSTRAINT link, ADD CONSTRAINT link FOREIGN KEY (a) REFERENCES a ON DELETE CASCADE;
ALTER TABLE a ALTER z DROP NOT NULL, ALTER y SET DEFAULT 'why', ALTER x SET NOT NULL`,
			ops: []string{"set not null a.x fill (7)"},
		},
		"keys": {
			from: `
CREATE TABLE a (id serial PRIMARY KEY, x text);
CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a);
CREATE VIEW pairs AS SELECT a.id, b.id AS b FROM a JOIN b ON b.a = a.id;
INSERT INTO a (x) VALUES ('a'); INSERT INTO b VALUES (1, 1)`,
			to: `
DROP VIEW pairs;
ALTER TABLE b ALTER a TYPE bigint;
ALTER TABLE a ALTER id TYPE bigint;
CREATE VIEW pairs AS SELECT a.id, b.id AS b FROM a JOIN b ON b.a = a.id`,
		},
	}
}

// TestPlanTo plans the difference of pairs of schemas, and takes it through all phases and back from each.
func TestPlanTo(t *testing.T) {
	for name, c := range plansTo() {
		c.name = name
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t, servers.URL(t, servers.Postgres17), servers.URL(t, servers.Postgres17))
		})
	}
}

// TestPlanToElsewhere does so on the other engines.
func TestPlanToElsewhere(t *testing.T) {
	c := planTo{
		from: `
CREATE TABLE users (id integer PRIMARY KEY, name varchar(40) NOT NULL, age integer, nick varchar(40), born date);
CREATE TABLE old_stuff (id integer PRIMARY KEY);
CREATE INDEX users_age ON users (age);
CREATE INDEX users_born ON users (born);
CREATE VIEW names AS SELECT id, name FROM users;
CREATE VIEW nicks AS SELECT id, nick FROM users;
CREATE VIEW births AS SELECT born FROM users;
INSERT INTO users (id, name, age, nick) VALUES (1, 'Ada', 36, 'a'), (2, 'Alan', 41, 'b')`,
		to: `
DROP VIEW names;
DROP VIEW nicks;
DROP VIEW births;
DROP TABLE old_stuff;
DROP INDEX users_age%[1]s;
DROP INDEX users_born%[1]s;
ALTER TABLE users RENAME COLUMN name TO full_name;
ALTER TABLE users DROP COLUMN nick;
ALTER TABLE users ADD COLUMN plan varchar(10) NOT NULL DEFAULT 'free';
CREATE TABLE items (id integer PRIMARY KEY, user_id integer, CONSTRAINT item_of FOREIGN KEY (user_id) REFERENCES users (id));
CREATE INDEX users_older ON users (plan, age);
CREATE INDEX users_born ON users (born, age);
CREATE VIEW names AS SELECT id, full_name, plan FROM users;
CREATE VIEW births AS SELECT born, age FROM users`,
		renames: []string{"users.name=users.full_name"},
	}
	renamed := planTo{
		from: `
CREATE TABLE users (id integer PRIMARY KEY, name varchar(40) NOT NULL);
CREATE VIEW names AS SELECT id, name FROM users;
INSERT INTO users VALUES (1, 'Ada'), (2, 'Alan')`,
		to: `
DROP VIEW names;
ALTER TABLE users RENAME TO people;
ALTER TABLE people ADD COLUMN plan varchar(10);
CREATE INDEX people_name ON people (name);
CREATE VIEW names AS SELECT id, name FROM people;
CREATE VIEW more AS SELECT name FROM people`,
		renames: []string{"users=people"},
	}
	checks := planTo{
		from: `
CREATE TABLE users (id integer PRIMARY KEY, age integer, born date);
CREATE TABLE limited (id integer PRIMARY KEY, n integer, CONSTRAINT small CHECK (n < 1000));
CREATE VIEW ages AS SELECT id, age FROM users;
INSERT INTO users VALUES (1, 36, '1815-12-10'), (2, NULL, NULL)`,
		to: `
ALTER TABLE users ADD CONSTRAINT grown CHECK (age >= 0);
ALTER TABLE users ADD CONSTRAINT lately CHECK (born > '1800-01-01');
ALTER TABLE limited ADD CONSTRAINT positive CHECK (n > 0);
CREATE TABLE items (id integer PRIMARY KEY, n integer, CONSTRAINT some CHECK (n > 0));
CREATE VIEW births AS SELECT born, age FROM users`,
	}
	anew := planTo{
		from: `
CREATE TABLE users (id integer PRIMARY KEY, name varchar(40) CHARACTER SET latin1 NOT NULL, nick varchar(40) COLLATE utf8mb4_bin, net integer NOT NULL, gross integer GENERATED ALWAYS AS (net * 2) STORED, shown integer GENERATED ALWAYS AS (gross + 1) VIRTUAL) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE TABLE codes (id integer PRIMARY KEY, code varchar(40) NOT NULL, CONSTRAINT codes_code UNIQUE (code)) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE TABLE parts (id integer PRIMARY KEY, shown integer GENERATED ALWAYS AS (id + 1) VIRTUAL);
CREATE INDEX users_gross ON users (gross, name);
CREATE VIEW sums AS SELECT id, gross, shown FROM users;
INSERT INTO parts (id) VALUES (1), (2);
INSERT INTO codes VALUES (1, 'a');
INSERT INTO users (id, name, nick, net) VALUES (1, 'Ada', 'é', 36), (2, 'Alan', NULL, 41)`,
		to: `
DROP VIEW sums;
DROP TABLE users;
CREATE TABLE users (id integer PRIMARY KEY, name varchar(40) NOT NULL, nick varchar(40), net integer NOT NULL, gross integer GENERATED ALWAYS AS (net * 3) STORED, shown integer GENERATED ALWAYS AS (gross + 2) VIRTUAL) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE INDEX users_gross ON users (gross, name);
CREATE VIEW sums AS SELECT id, gross, shown FROM users;
ALTER TABLE codes MODIFY code varchar(40) COLLATE utf8mb4_bin NOT NULL;
ALTER TABLE parts MODIFY shown integer GENERATED ALWAYS AS (id + 2) VIRTUAL;
ALTER TABLE parts PARTITION BY HASH (id) PARTITIONS 3`,
	}
	run := func(name string, c planTo, database func(testing.TB) string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t, database(t), database(t))
		})
	}
	onTable, alone := c, c
	onTable.to, alone.to = fmt.Sprintf(c.to, " ON users"), fmt.Sprintf(c.to, "")
	for _, kind := range []servers.Kind{servers.MySQL9, servers.MariaDB118} {
		fresh := func(t testing.TB) string { return servers.URL(t, kind) }
		run(kind.Name+"/checks", checks, fresh)
		run(kind.Name+"/table", renamed, fresh)
		run(kind.Name+"/anew", anew, fresh)
		run(kind.Name, onTable, fresh)
	}
	run("sqlite/table", renamed, servers.SQLite)
	run("sqlite", alone, servers.SQLite)
}

func (c planTo) run(t *testing.T, fromURL, toURL string) {
	from, to := open(t, fromURL, migrate.Options{}), open(t, toURL, migrate.Options{})
	engine := from.db.Dialect().Engine
	run := func(g *target, statements string) {
		if engine == migrate.Postgres { // with bodies of functions in it
			g.exec(statements)
			return
		}
		for _, s := range strings.Split(statements, ";\n") {
			g.exec(s)
		}
	}
	run(from, c.from)
	run(to, c.from)
	run(to, c.to)
	a, b := inspected(t, from), inspected(t, to)
	if *updateModels {
		c.save(t, a, ".from.json")
		c.save(t, b, ".to.json")
	}
	renames, err := diff.ResolveAll(a, b, c.renames)
	require.NoError(t, err)
	var given []recipe.Operation
	for _, text := range c.ops {
		op, err := recipe.Parse(text)
		require.NoError(t, err)
		given = append(given, op)
	}
	d, err := recipe.FromDiff(a, b, renames, given, engine)
	require.NoError(t, err)
	writer, err := database.Writer(string(engine))
	require.NoError(t, err)
	files := map[string]string{}
	var text strings.Builder
	for range 2 { // the same each time
		draft, err := recipe.Plan(a, d.Operations, recipe.Options{Engine: engine, Writer: writer, ID: "20261124093000_to"})
		require.NoError(t, err)
		for _, f := range draft.Files(engine) {
			if before, ok := files[f.Name]; ok {
				require.Equal(t, before, f.Text)
				continue
			}
			files[f.Name] = f.Text
			text.WriteString("=== " + f.Name + "\n" + f.Text)
		}
	}
	if testing.Verbose() {
		t.Log(text.String())
	}
	from.change("20261124093000_to", files)
	phases := []migrate.Phase{migrate.Expand, migrate.Backfill, migrate.Contract}
	for n := range phases {
		require.NoError(t, from.forward(phases[:n+1]...))
		require.NoError(t, from.back(migrate.BackOptions{To: "0"}), "back from %s", phases[n])
		require.Empty(t, different(t, inspected(t, from), a), "after the way back from %s", phases[n])
	}
	require.NoError(t, from.forward(phases...))
	require.NoError(t, from.forward(migrate.Purge))
	require.Empty(t, different(t, inspected(t, from), b), "after purge")
}

// inspected reads the schema, without the journal.
func inspected(t *testing.T, g *target) *schema.Database {
	d, err := g.db.(interface {
		Inspect(ctx context.Context) (*schema.Database, error)
	}).Inspect(t.Context())
	require.NoError(t, err)
	return d
}

// different says what differs.
func different(t *testing.T, a, b *schema.Database) string {
	r, err := diff.Compare(a, b, diff.Options{})
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, diff.NewReport("is", "want", r, diff.Options{}).Text(&text, false))
	if r.Same() {
		return ""
	}
	return text.String()
}

// TestPlanToPagila changes what views, triggers and partitions stand on.
func TestPlanToPagila(t *testing.T) {
	if testing.Short() {
		return
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "shared", "corpus", "pagila", "schema.sql"))
	if os.IsNotExist(err) {
		t.Skip("the corpus is not there")
	}
	require.NoError(t, err)
	from := strings.NewReplacer("public.vector(20)", "text", "CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;", "",
		"COMMENT ON EXTENSION vector IS 'vector data type and ivfflat and hnsw access methods';", "",
		"CREATE INDEX film_embedding_embedding_hnsw_idx ON public.film_embedding USING hnsw (embedding public.vector_cosine_ops);", "").Replace(string(text))
	planTo{
		from: from,
		to: `
CREATE TABLE public.loyalty (customer_id integer PRIMARY KEY REFERENCES public.customer, points integer NOT NULL DEFAULT 0);
ALTER TABLE public.customer RENAME last_name TO family_name;
ALTER TABLE public.customer DROP COLUMN create_date;
ALTER TABLE public.payment ADD COLUMN note text;
ALTER TABLE public.payment ADD CONSTRAINT positive CHECK (amount > -1);
DROP TABLE public.payment_p2026_07;
CREATE TABLE public.payment_p2027 PARTITION OF public.payment FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
ALTER TYPE public.mpaa_rating ADD VALUE 'XXX' AFTER 'NC-17';
CREATE OR REPLACE VIEW public.payments AS SELECT payment_id, amount, note FROM public.payment;
CREATE OR REPLACE FUNCTION public.last_updated() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.last_update = clock_timestamp(); RETURN NEW; END';
CREATE FUNCTION public.sorted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER sorted BEFORE INSERT ON public.payment FOR EACH ROW EXECUTE FUNCTION public.sorted();
DROP TRIGGER film_fulltext_trigger ON public.film;
CREATE TRIGGER last_updated_too BEFORE UPDATE OF family_name ON public.customer FOR EACH ROW EXECUTE FUNCTION public.last_updated();
COMMENT ON VIEW public.staff_list IS 'who works here'`,
		renames: []string{"public.customer.last_name=public.customer.family_name"},
	}.run(t, servers.URL(t, servers.Postgres18), servers.URL(t, servers.Postgres18))
}
