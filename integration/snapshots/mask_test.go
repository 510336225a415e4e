package snapshots

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestMaskedStaging puts a masked copy in the place of staging. Foreign keys meet as before, no old value is left, the
// same key makes the same copy again; and a snapshot that was masked when it was taken does not go back over its source.
func TestMaskedStaging(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			from, staging, again := servers.URL(t, k), servers.URL(t, k), servers.URL(t, k)
			dir := t.TempDir()
			for _, u := range []string{staging, again} {
				t.Cleanup((&shelter{t: t, k: k, url: u}).forget)
			}
			execute(t, from, "CREATE TABLE customers (id int PRIMARY KEY, email varchar(80) NOT NULL UNIQUE, token varchar(80))",
				"CREATE TABLE logins (n int PRIMARY KEY, email varchar(80) REFERENCES customers (email), FOREIGN KEY (email) REFERENCES customers (email))",
				"INSERT INTO customers VALUES (1, 'ada@shop.test', 'tok-1'), (2, 'grace@shop.test', 'tok-2'), (3, 'linus@shop.test', NULL)",
				"INSERT INTO logins VALUES (1, 'ada@shop.test'), (2, 'ada@shop.test'), (3, 'linus@shop.test'), (4, NULL)")
			execute(t, staging, "CREATE TABLE old (n int)")
			rules := "key: k\ncolumns:\n  customers.email: email\n  customers.token: redact\n"
			write(t, filepath.Join(dir, "half.yaml"), rules)
			write(t, filepath.Join(dir, "mask.yaml"), rules+"  logins.email: email\n")
			run(t, dir, "snapshot", "create", "--url", from)
			id := snapshots(t, dir)[0]
			restore := []string{"snapshot", "restore", "--replace", "--into", staging, id, "--mask"}

			c := start(t, dir, nil, append(restore, "half.yaml")...)
			require.Equal(t, 1, c.End(t), c.Out.String())
			require.Contains(t, c.Out.String(), "logins", "one side of a foreign key alone")
			require.Equal(t, "0", text(t, staging, "SELECT count(*) FROM old"), "staging is as it was")

			run(t, dir, append(restore, "mask.yaml")...)
			require.Equal(t, "2 3", text(t, staging, "SELECT concat(max(n), ' ', sum(n)) FROM (SELECT count(*) AS n FROM logins JOIN customers ON customers.email = logins.email GROUP BY customers.id) x"), "keys meet")
			require.Equal(t, "0", text(t, staging, "SELECT (SELECT count(*) FROM customers WHERE email LIKE '%shop%' OR token LIKE 'tok%') + (SELECT count(*) FROM logins WHERE email LIKE '%shop%')"))
			require.Equal(t, "1", text(t, staging, "SELECT count(*) FROM customers WHERE token IS NULL"))

			run(t, dir, "snapshot", "restore", "--into", again, id, "--mask", "mask.yaml")
			const emails = "SELECT max(email) FROM customers"
			require.Equal(t, text(t, staging, emails), text(t, again, emails), "the same key makes the same values")

			run(t, dir, "snapshot", "create", "--url", from, "--mask", "mask.yaml")
			masked := snapshots(t, dir)
			c = start(t, dir, nil, "snapshot", "restore", "--url", from, masked[len(masked)-1])
			require.Equal(t, 1, c.End(t), c.Out.String())
			require.Contains(t, c.Out.String(), "its rows were masked")
			require.Equal(t, "ada@shop.test", text(t, from, "SELECT min(email) FROM customers"))
		})
	}
}
