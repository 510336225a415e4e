package migrate

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGroupDirectives(t *testing.T) {
	const sql = `-- switchback:assert none is left
SELECT 1;
-- switchback:together users,"My ""T"", 2"
DROP TRIGGER a;
-- switchback:resumed
UPDATE users SET a = b;
-- switchback:apart
SELECT 2;
-- switchback:together
SELECT 3;
`
	s, err := ParseScript("x.sql", sql)
	require.NoError(t, err)
	d := s.Directives
	require.Nil(t, d.groupFor(2))
	require.Equal(t, []string{"users", `My "T", 2`}, d.groupFor(4).Tables)
	require.Same(t, d.groupFor(4), d.groupFor(6))
	require.Nil(t, d.groupFor(8))
	require.Empty(t, d.groupFor(10).Tables)
	require.False(t, d.isResumed(3, 4))
	require.True(t, d.isResumed(5, 6))
	for _, wrong := range []string{`-- switchback:together "a`, `-- switchback:together "a"b`, "-- switchback:apart now", "-- switchback:resumed x"} {
		_, err := ParseScript("x.sql", wrong)
		require.Error(t, err, wrong)
	}
}

func TestBatchDirectiveQuoted(t *testing.T) {
	s, err := ParseScript("x.sql", `-- switchback:batch table="Us""er's T" key=id,"a b" size=7`)
	require.NoError(t, err)
	require.Equal(t, Batch{Line: 1, Table: `Us"er's T`, Key: []string{"id", "a b"}, Size: 7}, s.Directives.Batches[0])
}
