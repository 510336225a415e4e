package recipe

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMySQLConversions(t *testing.T) {
	g := &mysql{}
	for _, c := range []struct {
		from, to, up, down string
		total              bool
	}{
		{"int", "bigint", "a", "CASE WHEN b > 2147483647 THEN 2147483647 WHEN b < -2147483648 THEN -2147483648 ELSE b END", true},
		{"bigint", "int", "CASE WHEN a > 2147483647 THEN 2147483647 WHEN a < -2147483648 THEN -2147483648 ELSE a END", "b", false},
		{"int", "int unsigned", "CASE WHEN a < 0 THEN 0 ELSE a END", "CASE WHEN b > 2147483647 THEN 2147483647 ELSE b END", false},
		{"tinyint unsigned", "smallint", "a", "CASE WHEN b > 255 THEN 255 WHEN b < 0 THEN 0 ELSE b END", true},
		{"int", "decimal(12,2)", "a", "CASE WHEN b > 2147483647 THEN 2147483647 WHEN b < -2147483648 THEN -2147483648 ELSE ROUND(b, 0) END", true},
		{"decimal(6,2)", "decimal(5,1)", "CASE WHEN a > 9999.9 THEN 9999.9 WHEN a < -9999.9 THEN -9999.9 ELSE ROUND(a, 1) END", "b", false},
		{"varchar(20)", "text", "a", "LEFT(b, 20)", true},
		{"text", "varchar(20)", "LEFT(a, 20)", "b", false},
		{"char(3)", "varchar(3)", "a", "TRIM(TRAILING ' ' FROM b)", true},
		{"datetime(6)", "datetime", "CAST(a AS DATETIME)", "b", false},
		{"timestamp", "datetime", "CONVERT_TZ(a, @@session.time_zone, '+00:00')", "CASE WHEN b BETWEEN '1970-01-01 00:00:01' AND '2038-01-19 03:14:06' THEN CONVERT_TZ(b, '+00:00', @@session.time_zone) END", true},
	} {
		up, down, total, ok := g.conversion("a", "b", c.from, c.to)
		require.True(t, ok, "%s to %s", c.from, c.to)
		require.Equal(t, c.up, up, "%s to %s", c.from, c.to)
		require.Equal(t, c.down, down, "%s to %s", c.from, c.to)
		require.Equal(t, c.total, total, "%s to %s", c.from, c.to)
	}
	_, _, _, ok := g.conversion("a", "b", "blob", "json")
	require.False(t, ok)
}

func TestMySQLCanonicalTypes(t *testing.T) {
	g := &mysql{}
	for typ, want := range map[string]string{
		"INTEGER": "int", "Bigint  Unsigned": "bigint unsigned", "bool": "tinyint(1)", "numeric(12, 2)": "decimal(12,2)", "decimal": "decimal(10,0)",
		"character varying(5)": "varchar(5)", "int(11)": "int", "ENUM('A','b')": "enum('A','b')", "double precision": "double", "char": "char(1)",
	} {
		require.Equal(t, want, g.canonical(typ), typ)
	}
}

func TestMySQLTriggerOrder(t *testing.T) {
	// Up passes in the order of the changes, behind the application's; down passes in the reverse one.
	list := []string{"own", "switchback_1_1_up_update_t", "switchback_12_1_up_update_t", "switchback_12_3_down_update_t", "switchback_1_3_down_update_t"}
	for i, a := range list {
		for j, b := range list {
			if i > 0 {
				require.Equal(t, j > i, firesBefore(a, b), "%s before %s", a, b)
			}
		}
	}
}
