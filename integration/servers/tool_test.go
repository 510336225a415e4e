package servers_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestTool dumps a table with each server's own program.
func TestTool(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.All() {
		t.Run(k.Name, func(t *testing.T) {
			url := servers.URL(t, k)
			client, dump, args := "psql", "pg_dump", []string{"--schema-only"}
			switch k.Engine {
			case "mysql":
				client, dump, args = "mysql", "mysqldump", []string{"--no-data"}
			case "mariadb":
				client, dump, args = "mariadb", "mariadb-dump", []string{"--no-data"}
			}
			servers.Tool(t, k, url, strings.NewReader("CREATE TABLE dumped (id integer);"), client)
			require.Contains(t, servers.Tool(t, k, url, nil, dump, args...), "dumped")
		})
	}
}
