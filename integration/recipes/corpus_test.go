package recipes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// schemaOfOthers is one that other people wrote, with rows, and changes to it.
type schemaOfOthers struct {
	kind    servers.Kind // nothing: SQLite
	file    string       // of the corpus
	leave   string       // what of it is not run, or cut out
	rows    string       // what is loaded on top: rows, and views and triggers where it has none
	changes []string
	reads   map[string]string // queries by the names of columns before each change, and after it: they find the same
	writes  []string          // statements of the version after each change, which leave the rows as they were
	tables  []string          // whose rows are compared, but for the time of their last change
}

// TestCorpus takes schemas that other people wrote, with views, triggers and partitions, through three changes, back
// from contract each time, back to the beginning and forward again. What views read stays the same all the time; in the
// end the schema and the rows are what they were.
func TestCorpus(t *testing.T) {
	if testing.Short() {
		return
	}
	for name, c := range corpora() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("..", "..", "..", "shared", "corpus", c.file)
			text, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				t.Skip("the corpus is not here")
			}
			require.NoError(t, err)
			url := servers.SQLite(t)
			if c.kind.Name != "" {
				url = servers.URL(t, c.kind)
			}
			g := open(t, url)
			g.load(regexp.MustCompile(c.leave).ReplaceAllString(strings.TrimPrefix(string(text), "\ufeff"), "") + "\n" + c.rows)
			g.trip(c)
		})
	}
}

// load runs a script on one connection.
func (g *target) load(text string) {
	g.t.Helper()
	statements, err := g.db.Scan(text)
	require.NoError(g.t, err)
	plain := servers.Open(g.t, g.url)
	defer plain.Close()
	conn, err := plain.Conn(g.t.Context())
	require.NoError(g.t, err)
	defer conn.Close()
	tx, err := conn.BeginTx(g.t.Context(), nil)
	require.NoError(g.t, err)
	for _, s := range statements {
		_, err := tx.ExecContext(g.t.Context(), s.Text)
		require.NoError(g.t, err, s.Text)
	}
	require.NoError(g.t, tx.Commit())
}

// trip walks through the changes.
func (g *target) trip(c schemaOfOthers) {
	g.t.Helper()
	before, rows, seen := g.model(), g.all(c.tables), g.each(c.reads)
	look := func(when string) {
		g.t.Helper()
		require.Equal(g.t, seen, g.each(c.reads), when)
	}
	for i, operations := range c.changes {
		_, err := g.plan(operations)
		require.NoError(g.t, err)
		for _, p := range []migrate.Phase{migrate.Expand, migrate.Backfill, migrate.Contract} {
			require.NoError(g.t, g.forward(p), "%s of %s\n%s", p, operations, g.scripts())
			look(fmt.Sprintf("%s of %s", p, operations))
		}
		g.load(c.writes[i])
		require.NoError(g.t, g.back(migrate.BackOptions{LastPhase: true}), "back from contract: %s\n%s", operations, g.scripts())
		look("back from contract of " + operations)
		require.NoError(g.t, g.forward(migrate.Contract))
		look("contract again: " + operations)
	}
	for range 2 {
		require.NoError(g.t, g.back(migrate.BackOptions{To: "0"}), g.scripts())
		look("back to the beginning")
		alike(g.t, before, g.model(), "after the rollback of everything the schema is another one")
		require.Equal(g.t, rows, g.all(c.tables))
		require.NoError(g.t, g.run(func(_ context.Context, s *migrate.State) ([]migrate.Step, error) { return migrate.PlanAgain(s) }), "rollforward")
		look("rollforward")
		for _, w := range c.writes {
			g.load(w)
		}
	}
	require.NoError(g.t, g.back(migrate.BackOptions{To: "0"}))
	require.Equal(g.t, rows, g.all(c.tables))
}

// lastChange is the time that triggers and ON UPDATE give a row with each write, that of a backfill too.
var lastChange = regexp.MustCompile(`^(last_update|fulltext)$`)

// all are the rows of tables as text, without the times of their last change.
func (g *target) all(tables []string) map[string][]string {
	g.t.Helper()
	out := map[string][]string{}
	for _, table := range tables {
		out[table] = g.query("SELECT * FROM " + table)
		require.NotEmpty(g.t, out[table], table)
	}
	return out
}

func (g *target) each(queries map[string]string) map[string][]string {
	g.t.Helper()
	out := map[string][]string{}
	for name, q := range queries {
		out[name] = g.query(q)
		require.NotEmpty(g.t, out[name], q)
	}
	return out
}

// query returns rows as text: each column by its name, in the order of the names.
func (g *target) query(query string) []string {
	g.t.Helper()
	plain := servers.Open(g.t, g.url)
	defer plain.Close()
	rows, err := plain.QueryContext(g.t.Context(), query)
	require.NoError(g.t, err, query)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(g.t, err)
	var out []string
	for rows.Next() {
		values := make([]any, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(g.t, rows.Scan(into...))
		var list []string
		for i, n := range names {
			if !lastChange.MatchString(n) {
				if b, is := values[i].([]byte); is {
					values[i] = string(b)
				}
				list = append(list, fmt.Sprintf("%s=%v", n, values[i]))
			}
		}
		slices.Sort(list)
		out = append(out, strings.Join(list, " "))
	}
	require.NoError(g.t, rows.Err())
	slices.Sort(out)
	return out
}

// sakilaRows are a few rows for the schemas that come without.
const sakilaRows = `
INSERT INTO country (country_id, country) VALUES (1, 'Italy');
INSERT INTO city (city_id, city, country_id) VALUES (1, 'Rome', 1);
INSERT INTO address (address_id, address, district, city_id, phone) VALUES (1, 'Via Appia 1', 'Lazio', 1, '06 123'), (2, 'Via Appia 2', 'Lazio', 1, '06 124');
INSERT INTO language (language_id, name) VALUES (1, 'English');
INSERT INTO actor (actor_id, first_name, last_name) VALUES (1, 'PENELOPE', 'GUINESS'), (2, 'NICK', 'WAHLBERG');
INSERT INTO category (category_id, name) VALUES (1, 'Action');
INSERT INTO film (film_id, title, description, language_id, rental_duration, length) VALUES (1, 'ACADEMY DINOSAUR', 'An Epic Drama', 1, 6, 86), (2, 'ACE GOLDFINGER', NULL, 1, 3, NULL);
INSERT INTO film_actor (actor_id, film_id) VALUES (1, 1), (2, 1), (2, 2);
INSERT INTO film_category (film_id, category_id) VALUES (1, 1), (2, 1);
INSERT INTO store (store_id, manager_staff_id, address_id) VALUES (1, 1, 1);
INSERT INTO staff (staff_id, first_name, last_name, address_id, store_id, username) VALUES (1, 'Mike', 'Hillyer', 1, 1, 'mike');
INSERT INTO customer (customer_id, store_id, first_name, last_name, address_id, create_date) VALUES (1, 1, 'MARY', 'SMITH', 1, '2022-02-14'), (2, 1, 'PATRICIA', 'JOHNSON', 2, '2022-02-14');
INSERT INTO inventory (inventory_id, film_id, store_id) VALUES (1, 1, 1), (2, 2, 1);
INSERT INTO rental (rental_id, rental_date, inventory_id, customer_id, staff_id) VALUES (1, '2022-03-01 10:00:00', 1, 1, 1), (2, '2022-05-01 10:00:00', 2, 2, 1);
INSERT INTO payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date) VALUES (1, 1, 1, 1, 2.99, '2022-03-02 10:00:00'), (2, 2, 1, 2, 0.99, '2022-05-02 10:00:00');
`

func corpora() map[string]schemaOfOthers {
	// A view over what changes, a trigger that writes when it does.
	sakila := schemaOfOthers{
		kind: servers.MySQL9, file: "sakila/mysql-schema.sql", leave: `(?im)^\s*(drop|create) schema.*$|^\s*use .*$|\bsakila\.`,
		rows:    "SET foreign_key_checks = 0;\n" + sakilaRows + "SET foreign_key_checks = 1;\n",
		changes: []string{"rename column customer.last_name family_name", "change type film.length int unsigned", "change type payment.amount decimal(7,2)"},
		reads: map[string]string{
			"customer_list": "SELECT * FROM customer_list", "film_list": "SELECT * FROM film_list", "sales_by_store": "SELECT * FROM sales_by_store",
			"sales_by_film_category": "SELECT * FROM sales_by_film_category", "film_text": "SELECT * FROM film_text",
		},
		writes: []string{
			"UPDATE customer SET family_name = 'JONES' WHERE customer_id = 1; UPDATE customer SET family_name = 'SMITH' WHERE customer_id = 1;",
			"UPDATE film SET length = 70000, title = 'A' WHERE film_id = 1; UPDATE film SET length = 86, title = 'ACADEMY DINOSAUR' WHERE film_id = 1;",
			"UPDATE payment SET amount = 70000 WHERE payment_id = 1; UPDATE payment SET amount = 2.99 WHERE payment_id = 1;",
		},
		tables: []string{"customer", "film", "payment", "film_text"},
	}
	maria := sakila
	maria.kind = servers.MariaDB118
	return map[string]schemaOfOthers{
		"sakila/mysql":   sakila,
		"sakila/mariadb": maria,
		"pagila": {
			kind: servers.Postgres18, file: "pagila/schema.sql", // without an extension that no server of the tests has
			leave: `(?m)^CREATE EXTENSION IF NOT EXISTS vector.*$|^COMMENT ON EXTENSION vector.*$|^CREATE INDEX film_embedding_embedding_hnsw_idx.*$|^    embedding public\.vector\(20\) NOT NULL,$`,
			rows: "SET search_path = public; SET session_replication_role = replica;\n" +
				strings.Replace(sakilaRows, "length) VALUES (1, 'ACADEMY DINOSAUR', 'An Epic Drama', 1, 6, 86), (2, 'ACE GOLDFINGER', NULL, 1, 3, NULL)",
					"length, fulltext) VALUES (1, 'ACADEMY DINOSAUR', 'An Epic Drama', 1, 6, 86, ''), (2, 'ACE GOLDFINGER', NULL, 1, 3, NULL, '')", 1) +
				"SET session_replication_role = origin; REFRESH MATERIALIZED VIEW rental_by_category;\n",
			changes: []string{"rename column customer.last_name family_name", "change type payment.amount numeric(7,2) up (amount) down (least(amount, 999.99))", "change type film.rental_duration integer\nset not null film.description fill ('none')"},
			reads: map[string]string{
				"customer_list": "SELECT * FROM customer_list", "sales_by_store": "SELECT * FROM sales_by_store", "sales_by_film_category": "SELECT * FROM sales_by_film_category",
				"partition": "SELECT payment_id, amount FROM payment_p2022_03", "rental_by_category": "SELECT * FROM rental_by_category",
			},
			writes: []string{
				"UPDATE customer SET family_name = 'JONES' WHERE customer_id = 1; UPDATE customer SET family_name = 'SMITH' WHERE customer_id = 1;",
				"UPDATE payment SET amount = 70000 WHERE payment_id = 1; UPDATE payment SET amount = 2.99 WHERE payment_id = 1;",
				"UPDATE film SET rental_duration = 70000, description = 'D' WHERE film_id = 1; UPDATE film SET rental_duration = 6, description = 'An Epic Drama' WHERE film_id = 1;",
			},
			tables: []string{"customer", "payment", "film"},
		},
		"chinook/postgres": {
			kind: servers.Postgres17, file: "chinook/PostgreSql.sql", leave: `(?im)^\s*(drop database|create database|\\c) .*$`,
			rows: `CREATE VIEW people AS SELECT customer_id, first_name || ' ' || last_name AS name FROM customer;
CREATE VIEW long_tracks AS SELECT track_id, name, milliseconds FROM track WHERE milliseconds > 2000000;
CREATE VIEW companies AS SELECT count(company) - count(CASE WHEN company = 'none' THEN 1 END) AS n FROM customer;
CREATE TABLE renames (customer_id int, name text);
CREATE FUNCTION log_rename() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO renames VALUES (NEW.customer_id, NEW.first_name); RETURN NEW; END $$;
CREATE TRIGGER renamed AFTER UPDATE OF last_name ON customer FOR EACH ROW WHEN (NEW.last_name IS DISTINCT FROM OLD.last_name) EXECUTE FUNCTION log_rename();`,
			changes: []string{"rename column customer.last_name family_name", "change type track.milliseconds bigint", "set not null invoice.billing_state fill ('none')"},
			reads:   map[string]string{"people": "SELECT * FROM people", "long_tracks": "SELECT * FROM long_tracks", "companies": "SELECT * FROM companies"},
			writes: []string{
				"UPDATE customer SET family_name = 'Jones' WHERE customer_id = 1; UPDATE customer SET family_name = 'Gonçalves' WHERE customer_id = 1;",
				"UPDATE track SET milliseconds = 3000000000 WHERE track_id = 1; UPDATE track SET milliseconds = 343719 WHERE track_id = 1;",
				"UPDATE invoice SET billing_state = 'X' WHERE invoice_id = 1; UPDATE invoice SET billing_state = 'none' WHERE invoice_id = 1; ",
			},
			tables: []string{"customer", "track"},
		},
		"chinook/sqlite": {
			file: "chinook/Sqlite.sql", leave: `(?im)^\s*(drop|create) database.*$`,
			rows: `CREATE VIEW people AS SELECT CustomerId, FirstName || ' ' || LastName AS name FROM Customer;
CREATE VIEW long_tracks AS SELECT TrackId, Name, Milliseconds FROM Track WHERE Milliseconds > 2000000;
CREATE TABLE renames (id int, name text);
CREATE TRIGGER renamed AFTER UPDATE OF LastName ON Customer WHEN NEW.LastName IS NOT OLD.LastName BEGIN INSERT INTO renames VALUES (NEW.CustomerId, NEW.LastName); END;`,
			changes: []string{"rename column Customer.LastName FamilyName", "change type Track.Milliseconds bigint", "set not null Invoice.BillingState fill ('none')"},
			reads:   map[string]string{"people": "SELECT * FROM people", "long_tracks": "SELECT * FROM long_tracks"},
			writes: []string{
				"UPDATE Customer SET FamilyName = 'Jones' WHERE CustomerId = 1; UPDATE Customer SET FamilyName = 'Gonçalves' WHERE CustomerId = 1;",
				"UPDATE Track SET Milliseconds = 3000000000 WHERE TrackId = 1; UPDATE Track SET Milliseconds = 343719 WHERE TrackId = 1;",
				"",
			},
			tables: []string{"Customer", "Track", "Invoice"},
		},
	}
}
