package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestDiffPostgres compares two databases that differ in an object of each kind.
func TestDiffPostgres(t *testing.T) {
	if testing.Short() {
		return
	}
	a, b := open(t, servers.URL(t, servers.Postgres17), migrate.Options{}), open(t, servers.URL(t, servers.Postgres17), migrate.Options{})
	for _, g := range []*target{a, b} {
		g.exec("CREATE TABLE customers (id integer PRIMARY KEY, name text, age integer CONSTRAINT grown CHECK (age > 0), gone text)")
		g.exec("CREATE TABLE orders (id integer PRIMARY KEY, customer integer CONSTRAINT whose REFERENCES customers)")
		g.exec("CREATE INDEX orders_customer ON orders (customer)")
		g.exec("CREATE VIEW adults AS SELECT name FROM customers WHERE age >= 18")
		g.exec("CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
		g.exec("CREATE TRIGGER orders_check BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION noop()")
	}
	require.Equal(t, 0, start(t, "", nil, "diff", a.url, b.url).End(t))
	b.exec("DROP VIEW adults") // it keeps its columns from being changed
	for _, statement := range []string{
		"ALTER TABLE customers DROP COLUMN gone, ADD COLUMN added timestamptz NOT NULL DEFAULT now(), ALTER COLUMN name TYPE varchar(40), ALTER COLUMN age SET NOT NULL",
		"ALTER TABLE orders DROP CONSTRAINT whose, ADD CONSTRAINT whose FOREIGN KEY (customer) REFERENCES customers ON DELETE CASCADE",
		"DROP INDEX orders_customer",
		"CREATE UNIQUE INDEX orders_customer ON orders (customer) WHERE id > 3",
		"CREATE VIEW adults AS SELECT name FROM customers WHERE age >= 21",
		"ALTER TABLE orders DISABLE TRIGGER orders_check",
		"CREATE TYPE mood AS ENUM ('good', 'bad')",
	} {
		b.exec(statement)
	}
	c := start(t, "", nil, "diff", a.url, b.url)
	require.Equal(t, 2, c.End(t), c.Out.String())
	require.NotContains(t, c.Out.String(), "switchback@", "the password")
	_, tree, _ := strings.Cut(c.Out.String(), "\n") // the first line has the URLs
	require.Equal(t, `~ schema public
  + type mood: enum, labels 'good', 'bad'
  ~ table customers
    + column added: timestamp with time zone, not null, default now()
    ~ column age
      not null: (none) → yes
    - column gone: text
    ~ column name
      type: text → character varying(40)
  ~ table orders
    ~ constraint whose
      definition:
        - FOREIGN KEY (customer) REFERENCES public.customers(id)
        + FOREIGN KEY (customer) REFERENCES public.customers(id) ON DELETE CASCADE
    ~ index orders_customer
      definition:
        - CREATE INDEX orders_customer ON public.orders USING btree (customer)
        + CREATE UNIQUE INDEX orders_customer ON public.orders USING btree (customer) WHERE (id > 3)
    ~ trigger orders_check
      enabled: (none) → no
  ~ view adults
    definition:
         SELECT name
           FROM public.customers
      -   WHERE (age >= 18)
      +   WHERE (age >= 21)
1 type added; 2 tables changed; 1 view changed
`, tree)
}

// TestDiffMySQL compares two databases that differ in an object of each kind.
func TestDiffMySQL(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, kind := range []servers.Kind{servers.MySQL9, servers.MariaDB1011, servers.MariaDB118} {
		t.Run(kind.Name, func(t *testing.T) {
			a, b := open(t, servers.URL(t, kind), migrate.Options{}), open(t, servers.URL(t, kind), migrate.Options{})
			for _, g := range []*target{a, b} {
				g.exec("CREATE TABLE customers (id integer AUTO_INCREMENT PRIMARY KEY, name varchar(20) DEFAULT 'x', age integer, gone text, CONSTRAINT grown CHECK (age > 0))")
				g.exec("CREATE TABLE orders (id integer PRIMARY KEY, customer integer, CONSTRAINT whose FOREIGN KEY (customer) REFERENCES customers (id))")
				g.exec("CREATE VIEW adults AS SELECT name FROM customers WHERE age >= 18")
				g.exec("CREATE TRIGGER orders_check BEFORE INSERT ON orders FOR EACH ROW SET NEW.id = 1")
				g.exec("CREATE PROCEDURE p (IN n integer) SELECT n")
			}
			c := start(t, "", nil, "diff", a.url, b.url)
			require.Equal(t, 0, c.End(t), c.Out.String())
			for _, statement := range []string{
				"ALTER TABLE customers DROP COLUMN gone, ADD COLUMN added timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, MODIFY COLUMN name varchar(40), MODIFY age integer NOT NULL",
				"ALTER TABLE orders DROP FOREIGN KEY whose",
				"ALTER TABLE orders ADD CONSTRAINT whose FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE",
				"CREATE UNIQUE INDEX orders_both ON orders (customer, id DESC)",
				"DROP TRIGGER orders_check",
				"CREATE TRIGGER orders_check BEFORE INSERT ON orders FOR EACH ROW SET NEW.id = 2",
				"DROP PROCEDURE p",
				"CREATE EVENT cleanup ON SCHEDULE EVERY 1 DAY DO DELETE FROM orders",
			} {
				b.exec(statement)
			}
			c = start(t, "", nil, "diff", a.url, b.url)
			require.Equal(t, 2, c.End(t), c.Out.String())
			require.NotContains(t, c.Out.String(), "switchback@", "the password")
			for _, want := range []string{
				"~ schema main\n",
				"    ~ column age\n      not null: (none) → yes\n",
				"    + column added: timestamp, not null, default ",
				"    - column gone: text",
				"    ~ column name\n      type: varchar(20) → varchar(40)\n      default: 'x' → (none)\n",
				"    ~ constraint whose\n      definition:\n        - FOREIGN KEY (customer) REFERENCES customers (id)\n        + FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE\n",
				"    + index orders_both: UNIQUE INDEX (customer, id DESC)\n",
				"    ~ trigger orders_check\n      definition: BEFORE INSERT FOR EACH ROW SET NEW.id = 1 → BEFORE INSERT FOR EACH ROW SET NEW.id = 2\n",
				"  - routine procedure p: procedure\n",
				"  + event cleanup\n",
			} {
				require.Contains(t, c.Out.String(), want)
			}
			require.NotContains(t, c.Out.String(), "adults", "the view is the same")
			require.NotContains(t, c.Out.String(), "grown", "the check is the same")
		})
	}
}

// TestDiffNamesWhatIsOutside: what the model does not cover is named in each form of the comparison.
func TestDiffNamesWhatIsOutside(t *testing.T) {
	if testing.Short() {
		return
	}
	g := open(t, servers.URL(t, servers.Postgres17), migrate.Options{})
	g.exec("CREATE TYPE outsider")
	g.exec("SELECT lo_create(4711)")
	for _, format := range []string{"text", "json", "markdown", "html", "sql"} {
		c := start(t, "", nil, "diff", "--format", format, "empty", g.url)
		require.Equal(t, 2, c.End(t), c.Out.String())
		for _, name := range []string{"outsider", "4711", "large object"} {
			require.Contains(t, c.Out.String(), name, format)
		}
	}
}
