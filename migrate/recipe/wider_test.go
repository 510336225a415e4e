package recipe

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/internal/sqltoken"
)

// TestSelectsMore: a view is widened at once only where the old version reads in it what it read.
func TestSelectsMore(t *testing.T) {
	for _, c := range []struct {
		old, now string
		more     bool
	}{
		{"SELECT a FROM t", "SELECT a, b FROM t", true},
		{"SELECT a FROM t WHERE x = 'FROM'", "SELECT a, upper(b) AS b, c + 1 AS c FROM t WHERE x = 'FROM'", true},
		{"SELECT a IS DISTINCT FROM b AS d, (SELECT 1 FROM u) AS one FROM t", "SELECT a IS DISTINCT FROM b AS d, (SELECT 1 FROM u) AS one, c FROM t", true},
		{"SELECT a FROM t", "SELECT a FROM t", false},
		{"SELECT a, b FROM t", "SELECT a FROM t", false},
		{"SELECT a FROM t", "SELECT b, a FROM t", false},
		{"SELECT a FROM t", "SELECT a, b FROM t WHERE a > 0", false},
		{"SELECT a FROM t", "SELECT a, b FROM t JOIN u ON true", false},
		{"SELECT a + 1 AS a FROM t", "SELECT a + 2 AS a, b FROM t", false},
		{"SELECT DISTINCT a FROM t", "SELECT DISTINCT a, b FROM t", false},
		{"SELECT 1 AS one FROM t", "SELECT 1 AS one, count(*) FROM t", false},
		{"SELECT a FROM t", "SELECT a, unnest(b) FROM t", false},
		{"SELECT a FROM t UNION SELECT a FROM u", "SELECT a, b FROM t UNION SELECT a, b FROM u", false},
		{"SELECT 1 AS one", "SELECT 1 AS one, 2 AS two", false},
	} {
		d := sqltoken.Of("postgres")
		require.Equal(t, c.more, selectsMore(sqltoken.Split(c.old, d), sqltoken.Split(c.now, d)), "%s → %s", c.old, c.now)
	}
}
