package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/drift/data"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// rowDatabase is what the comparison of rows needs of a driver.
type rowDatabase interface {
	Inspect(ctx context.Context) (*schema.Database, error)
	RowReader(ctx context.Context) (data.Side, error)
}

// rowPair is a table of two databases that is compared.
type rowPair struct {
	dbs  [2]rowDatabase
	plan data.Plan
}

func newRowPair(t require.TestingT, from, to database.Database, table string) rowPair {
	ctx := context.Background()
	p := rowPair{dbs: [2]rowDatabase{from.(rowDatabase), to.(rowDatabase)}}
	var models [2]*schema.Table
	var name string
	for i, db := range p.dbs {
		model, err := db.Inspect(ctx)
		require.NoError(t, err)
		name, models[i] = model.Schemas[0].Name, model.Schemas[0].Table(table)
		require.NotNil(t, models[i], table)
	}
	p.within(t, func(sides [2]data.Side) {
		p.plan = data.NewPlan(name, models[0], models[1], func(column string) bool {
			return sides[0].Integer(models[0], column) && sides[1].Integer(models[1], column)
		})
	})
	return p
}

// within calls f with a snapshot of both sides.
func (p rowPair) within(t require.TestingT, f func(sides [2]data.Side)) {
	var sides [2]data.Side
	for i, db := range p.dbs {
		var err error
		sides[i], err = db.RowReader(context.Background())
		require.NoError(t, err)
		defer func() { require.NoError(t, sides[i].Close()) }()
	}
	f(sides)
}

// compareRows compares a table of two databases.
func compareRows(t require.TestingT, from, to database.Database, table string, o data.Options) (plan data.Plan, d *data.Difference) {
	p := newRowPair(t, from, to, table)
	p.within(t, func(sides [2]data.Side) {
		var err error
		d, err = data.Compare(context.Background(), sides[0], sides[1], p.plan, o)
		require.NoError(t, err)
	})
	return p.plan, d
}

func openBoth(t *testing.T, kind *servers.Kind) (dbs [2]database.Database) {
	for i := range dbs {
		url := servers.SQLite(t)
		if kind != nil {
			url = servers.URL(t, *kind)
		}
		db, err := database.Open(context.Background(), url, database.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		dbs[i] = db
	}
	return dbs
}

// eachPair runs a test on a pair of databases of each engine.
func eachPair(t *testing.T, test func(t *testing.T, engine string, dbs [2]database.Database)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite", openBoth(t, nil)) })
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) { test(t, k.Engine, openBoth(t, &k)) })
	}
}

func execAll(t require.TestingT, db database.Database, statements ...string) {
	for _, s := range statements {
		_, err := db.DB().ExecContext(context.Background(), s)
		require.NoError(t, err, s)
	}
}

// nasty are tables whose values are easily taken for one another, by engine: the table, rows that both
// sides have, then pairs of rows that differ. The text of a row follows VALUES.
var nasty = map[string][]struct {
	name, create string
	same         []string
	differ       [][2]string
}{
	"postgres": {
		{
			"scalars", "CREATE TABLE scalars (id bigint PRIMARY KEY, t text, f double precision, r real, n numeric, b bytea, at timestamptz, ts timestamp, j jsonb, c char(5), a text[], i interval, u uuid)",
			[]string{
				`(-9223372036854775808, '', 0.1, 0.1, 1.0, '\x00ff', '2026-01-01 00:00+02', '2026-01-01', '{"b":1,"a":[1,2]}', 'x', '{a,NULL,""}', '1 day', NULL)`,
				`(9223372036854775807, 'ünï', 'NaN', 'Infinity', 'NaN', '', 'infinity', '-infinity', 'null', '', '{}', '24 hours', '00000000-0000-0000-0000-000000000000')`,
				`(0, NULL, 1e308, 1e-40, 12345678901234567890.123, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
			},
			[][2]string{
				{"(-1, '', 0.1, 0.1, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)", "(-1, NULL, 0.1, 0.1, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"},
				{"(1, 'a', 0.1, 0.1, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)", "(1, 'a', 0.10000000000000002, 0.1, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"},
				{"(2, 'a', 0, 16777216, 1.0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)", "(2, 'a', '-0', 16777218, 1.00, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"},
				{"(3, 'é', 0, 0, 1, NULL, '2026-01-01 00:00:00+00', NULL, NULL, NULL, NULL, '1 day', NULL)", "(3, 'é', 0, 0, 1, NULL, '2026-01-01 00:00:00.000001+00', NULL, NULL, NULL, NULL, '24 hours', NULL)"},
				{"(9223372036854775806, 'a', 0, 0, 1, '\\x00', NULL, NULL, NULL, NULL, '{NULL}', NULL, NULL)", "(9223372036854775806, 'a', 0, 0, 1, '\\x', NULL, NULL, NULL, NULL, '{\"NULL\"}', NULL, NULL)"},
			},
		},
		{
			"texts", "CREATE TABLE texts (k text PRIMARY KEY, v text)",
			[]string{"('a', 'x')", "('A', 'x')", "('ä', 'x')", "('', 'x')", "('a,b', '(\"')"},
			[][2]string{{"('b', '1')", "('b', '2')"}, {"('B', '2')", "('B', '1')"}},
		},
		{
			"uuids", "CREATE TABLE uuids (k uuid PRIMARY KEY, v text)",
			[]string{"('ffffffff-0000-0000-0000-000000000000', 'x')"},
			[][2]string{{"('00000000-0000-0000-0000-000000000001', 'x')", "('00000000-0000-0000-0000-000000000001', 'y')"}},
		},
		{
			"composites", "CREATE TABLE composites (a text, b integer, v text, PRIMARY KEY (a, b))",
			[]string{"('x,1', 1, NULL)", "('x', 11, NULL)"},
			[][2]string{{"('x', 1, 'a')", "('x', 1, 'b')"}},
		},
	},
	"mysql": {
		{
			"scalars", "CREATE TABLE scalars (id bigint PRIMARY KEY, t text, f double, r float, n decimal(30,5), b varbinary(20), at timestamp(6) NULL, d datetime(3), j json, l longtext, bits bit(8), e enum('a', 'b'))",
			[]string{
				"(-9223372036854775808, '', 0.1, 0.1, 1.0, x'00ff', '2026-01-01 00:00:00', '2026-01-01', '{\"b\":1}', 'long', b'1', 'a')",
				"(9223372036854775807, 'ünï 😀', 1e308, 1e-38, -1, '', NULL, NULL, NULL, NULL, NULL, NULL)",
				"(0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
			},
			[][2]string{
				{"(-1, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)", "(-1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"},
				{"(1, 'null', NULL, 16777216, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)", "(1, 'null', NULL, 16777218, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"},
				{"(2, 'a', 0.1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)", "(2, 'A', 0.1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"},
				{"(3, 'a', 0.1, NULL, NULL, x'00', '2026-01-01 00:00:00.000001', NULL, NULL, '', NULL, NULL)", "(3, 'a', 0.10000000000000002, NULL, NULL, x'', '2026-01-01', NULL, NULL, NULL, NULL, NULL)"},
				{"(9223372036854775806, 'a ', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, b'0', NULL)", "(9223372036854775806, 'a', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"},
			},
		},
		{
			"texts", "CREATE TABLE texts (k varchar(40) PRIMARY KEY, v text) COLLATE utf8mb4_bin",
			[]string{"('a', 'x')", "('A', 'x')", "('ä', 'x')", "('', 'x')", "('a,b', '''')"},
			[][2]string{{"('b', '1')", "('b', '2')"}, {"('B', '2')", "('B', '1')"}},
		},
		{
			"unsigned_keys", "CREATE TABLE unsigned_keys (k bigint unsigned PRIMARY KEY, v text)",
			[]string{"(18446744073709551615, 'x')", "(0, 'x')"},
			[][2]string{{"(9223372036854775808, 'x')", "(9223372036854775808, 'y')"}},
		},
		{
			"composites", "CREATE TABLE composites (a varchar(20), b integer, v text, PRIMARY KEY (a, b))",
			[]string{"('x,1', 1, NULL)", "('x', 11, NULL)"},
			[][2]string{{"('x', 1, 'a')", "('x', 1, 'b')"}},
		},
	},
	"sqlite": {
		{
			"scalars", "CREATE TABLE scalars (id INTEGER PRIMARY KEY, t TEXT, x, at TIMESTAMP)",
			[]string{"(-9223372036854775808, '', 1, '2026-01-01')", "(9223372036854775807, NULL, x'00ff', '2026-01-01T00:00:00Z')", "(0, 'ünï', 0.1, NULL)"},
			[][2]string{
				{"(-1, '', NULL, NULL)", "(-1, NULL, NULL, NULL)"},
				{"(1, '', 1, NULL)", "(1, '', '1', NULL)"},
				{"(2, '', 1, NULL)", "(2, '', 1.0, NULL)"},
				{"(3, '', 'a', '2026-01-01')", "(3, '', x'61', '2026-01-01 00:00:00')"},
				{"(4, '', 0.1, NULL)", "(4, '', 0.10000000000000002, NULL)"},
			},
		},
		{
			"texts", "CREATE TABLE texts (k TEXT PRIMARY KEY, v) WITHOUT ROWID",
			[]string{"('a', 'x')", "('A', 'x')", "('ä', 'x')", "('', 'x')"},
			[][2]string{{"('b', '1')", "('b', 1)"}, {"('B', '2')", "('B', '1')"}},
		},
		{
			"composites", "CREATE TABLE composites (a, b INTEGER, v, PRIMARY KEY (a, b))",
			[]string{"('x,1', 1, NULL)", "('x', 11, NULL)", "(NULL, 1, 1)", "(NULL, 1, 2)"},
			[][2]string{{"('x', 1, 'a')", "('x', 1, 'b')"}},
		},
	},
}

// TestRowsNasty compares values that are easily taken for one another, and some that are the same.
func TestRowsNasty(t *testing.T) {
	eachPair(t, func(t *testing.T, engine string, dbs [2]database.Database) {
		tables := nasty[engine]
		if engine == "mariadb" {
			tables = nasty["mysql"]
		}
		for _, table := range tables {
			t.Run(table.name, func(t *testing.T) {
				for i, db := range dbs {
					execAll(t, db, table.create)
					rows := slices.Clone(table.same)
					for _, pair := range table.differ {
						rows = append(rows, pair[i])
					}
					if i == 1 {
						slices.Reverse(rows)
					}
					execAll(t, db, "INSERT INTO "+table.name+" VALUES "+strings.Join(rows, ", "))
				}
				plan, d := compareRows(t, dbs[0], dbs[1], table.name, data.Options{Chunk: 1, Sample: 100})
				require.NotEmpty(t, plan.Key)
				want := data.Difference{RowsFrom: int64(len(table.same) + len(table.differ)), RowsTo: int64(len(table.same) + len(table.differ)), Differed: int64(len(table.differ))}
				sample := d.Sample
				d.Sample = nil
				require.Equal(t, want, *d, "%v", sample)
				_, d = compareRows(t, dbs[0], dbs[0], table.name, data.Options{Chunk: 1})
				require.True(t, d.Same())
			})
		}
	})
}

// TestRowsOtherColumns compares tables that do not have the same columns, or have them in another order and
// of another type.
func TestRowsOtherColumns(t *testing.T) {
	eachPair(t, func(t *testing.T, _ string, dbs [2]database.Database) {
		execAll(t, dbs[0], "CREATE TABLE x (id integer PRIMARY KEY, name varchar(20), gone integer)", "INSERT INTO x VALUES (1, 'a', 1), (2, 'b', 2)")
		execAll(t, dbs[1], "CREATE TABLE x (added integer, name text, id integer PRIMARY KEY)", "INSERT INTO x (id, name) VALUES (1, 'a'), (2, 'c')")
		plan, d := compareRows(t, dbs[0], dbs[1], "x", data.Options{Chunk: 1, Sample: 5})
		require.Equal(t, int64(1), d.Differed)
		require.Contains(t, strings.Join(plan.Notes, "\n"), "columns of the first side only are left out: gone")
		require.Contains(t, strings.Join(plan.Notes, "\n"), "columns of the second side only are left out: added")
		require.Contains(t, strings.Join(plan.Notes, "\n"), "columns whose types differ are compared as text: name")
	})
}

// TestRowsNoColumns: tables that have no column in common are compared by how many rows they have.
func TestRowsNoColumns(t *testing.T) {
	eachPair(t, func(t *testing.T, _ string, dbs [2]database.Database) {
		execAll(t, dbs[0], "CREATE TABLE x (a integer)", "INSERT INTO x VALUES (1), (2), (3)")
		execAll(t, dbs[1], "CREATE TABLE x (b integer)", "INSERT INTO x VALUES (4), (5)")
		_, d := compareRows(t, dbs[0], dbs[1], "x", data.Options{Chunk: 1})
		require.Equal(t, data.Difference{RowsFrom: 3, RowsTo: 2, OnlyFrom: 1}, *d)
	})
}

// TestRowsChanged changes the values of a row in many ways that a checksum may not notice: to null, to nothing,
// to what stands in the column beside it.
func TestRowsChanged(t *testing.T) {
	eachPair(t, func(t *testing.T, engine string, dbs [2]database.Database) {
		blob := map[string]string{"postgres": "bytea", "sqlite": "blob"}[engine]
		if blob == "" {
			blob = "varbinary(9)"
		}
		for _, db := range dbs {
			execAll(t, db, fmt.Sprintf("CREATE TABLE x (id bigint NOT NULL PRIMARY KEY, a varchar(9), b varchar(9), c varchar(9) NOT NULL, n integer, m integer, d %s, e %s)", blob, blob),
				"INSERT INTO x VALUES (1, 'a', 'b', 'c', 1, 2, 'x', ''), (2, 'a,', '', ',', 12, 3, ',', ',,'), (3, '', 'a', ',1,', 1, 23, '', 'x'), (4, NULL, 'a,b', '', NULL, 12, NULL, NULL)")
		}
		var sets []string
		for _, set := range []string{
			"a = NULL", "a = ''", "a = 'A'", "a = 'a '", "a = b", "a = b, b = 'a'", "a = ',', b = 'a'", "b = 'b,c', c = ''", "b = c, c = 'b'", "b = NULL", "c = 'null'", "c = '0'",
			"n = NULL", "n = m", "n = 2, m = 1", "n = 1, m = 23", "n = 0", "m = NULL, n = 12", "m = -m", "d = NULL", "d = NULL, e = 'x'", "d = '', e = 'x'", "e = NULL, d = ',,,'", "d = a, a = 'x'",
		} {
			if engine == "postgres" {
				set = strings.ReplaceAll(set, "d = a", "d = convert_to(a, 'UTF8')")
			}
			sets = append(sets, set)
		}
		changeEach(t, dbs, sets)
	})
}

// TestRowsFolded changes numbers and times whose halves are exchanged: PostgreSQL's own hash of 64 bits is one
// of 32, in which 1 and 2³² are the same, and -1 and 2³²-1.
func TestRowsFolded(t *testing.T) {
	if testing.Short() {
		return
	}
	dbs := openBoth(t, &servers.Postgres17)
	for _, db := range dbs {
		execAll(t, db, "CREATE TABLE x (id bigint PRIMARY KEY, n bigint, at timestamptz, ts timestamp, t time)",
			"INSERT INTO x SELECT i, CASE i WHEN 1 THEN 1 ELSE -1 END, '2000-01-01 00:00:00.000001+00', '2000-01-01 00:00:00.000001', '00:00:00.000001' FROM generate_series(1, 4) i")
	}
	changeEach(t, dbs, []string{"n = n * 4294967296", "n = 4294967295", "at = '2000-01-01 01:11:34.967296+00'", "ts = '2000-01-01 01:11:34.967296'", "t = '01:11:34.967296'"})
}

// changeEach changes each of the rows 1 to 4 of a table x of the second side in each way. Found by checksums
// of each row, as many differ as when all are read.
func changeEach(t *testing.T, dbs [2]database.Database, sets []string) {
	execAll(t, dbs[1], "CREATE TABLE pristine AS SELECT * FROM x")
	pair := newRowPair(t, dbs[0], dbs[1], "x")
	for _, set := range sets {
		for id := 1; id <= 4; id++ {
			execAll(t, dbs[1], fmt.Sprintf("UPDATE x SET %s WHERE id = %d", set, id))
			pair.within(t, func(sides [2]data.Side) {
				found, err := data.Compare(t.Context(), sides[0], sides[1], pair.plan, data.Options{Chunk: 1})
				require.NoError(t, err)
				all, err := data.Compare(t.Context(), sides[0], sides[1], pair.plan, data.Options{Chunk: 1 << 30})
				require.NoError(t, err)
				require.Equal(t, all, found, "%s of row %d", set, id)
			})
			execAll(t, dbs[1], "DELETE FROM x", "INSERT INTO x SELECT * FROM pristine")
		}
	}
}

// TestRowsCharset: a text in another character set is the same text, and one whose bytes are the same is not.
func TestRowsCharset(t *testing.T) {
	for _, k := range []servers.Kind{servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			dbs := openBoth(t, &k)
			execAll(t, dbs[0], "CREATE TABLE x (id bigint PRIMARY KEY, v varchar(9), w varchar(9) CHARACTER SET latin1) CHARACTER SET utf8mb4", "INSERT INTO x VALUES (1, 'é', 'é'), (2, 'é', 'é'), (3, 'a', 'a')")
			execAll(t, dbs[1], "CREATE TABLE x (id bigint PRIMARY KEY, v varchar(9), w varchar(9)) CHARACTER SET latin1", "INSERT INTO x VALUES (1, 'é', 'é'), (2, 'Ã©', 'é'), (3, 'a', 'A')")
			plan, d := compareRows(t, dbs[0], dbs[1], "x", data.Options{Chunk: 1})
			require.Equal(t, int64(2), d.Differed)
			require.True(t, plan.From.Columns[1].Recoded)
			require.False(t, plan.From.Columns[2].Recoded, "the same character set, once as that of the table")
		})
	}
}

// TestRowsOtherKey: a key of another type on the other side matches by its text.
func TestRowsOtherKey(t *testing.T) {
	eachPair(t, func(t *testing.T, engine string, dbs [2]database.Database) {
		if engine == "sqlite" { // values have the types they have, and '1' is not 1
			return
		}
		execAll(t, dbs[0], "CREATE TABLE x (a varchar(9) NOT NULL, b integer NOT NULL, v integer, PRIMARY KEY (a, b))", "INSERT INTO x VALUES ('1', 1, 1), ('2', 2, 2), ('3', 3, 3)")
		execAll(t, dbs[1], "CREATE TABLE x (a integer NOT NULL, b integer NOT NULL, v integer, PRIMARY KEY (a, b))", "INSERT INTO x VALUES (1, 1, 1), (2, 2, 0), (3, 3, 3)")
		_, d := compareRows(t, dbs[0], dbs[1], "x", data.Options{Chunk: 1})
		require.Equal(t, data.Difference{RowsFrom: 3, RowsTo: 3, Differed: 1}, *d)
	})
}

// TestRowsSwapped: two rows that swap their values of a column have the same sum of the hashes of columns.
func TestRowsSwapped(t *testing.T) {
	eachPair(t, func(t *testing.T, _ string, dbs [2]database.Database) {
		for i, db := range dbs {
			execAll(t, db, "CREATE TABLE x (id integer PRIMARY KEY, a integer, b integer)",
				"INSERT INTO x VALUES "+[]string{"(1, 1, 1), (2, 2, 2)", "(1, 1, 2), (2, 2, 1)"}[i])
		}
		_, d := compareRows(t, dbs[0], dbs[1], "x", data.Options{Chunk: 1000})
		require.Equal(t, int64(2), d.Differed)
	})
}

// TestRowsProperty compares random rows: what is reported is exactly what differs. Keys are few, so that
// most are on both sides, and lie far apart, so that ranges are cut again.
func TestRowsProperty(t *testing.T) {
	keys := rapid.OneOf(rapid.Int64Range(-20, 20), rapid.SampledFrom([]int64{-9223372036854775808, -9223372036854775807, 9223372036854775806, 9223372036854775807, 1 << 40, 1<<40 + 1, -1 << 50}))
	values := rapid.SampledFrom([]string{"", "a", "b", "A", "null", "1", "ä", "',", "\x00none"})
	eachPair(t, func(t *testing.T, engine string, dbs [2]database.Database) {
		t.Parallel()
		text := map[string]string{"mysql": "varchar(40) COLLATE utf8mb4_bin", "mariadb": "varchar(40) COLLATE utf8mb4_bin"}[engine]
		if text == "" {
			text = "text"
		}
		whole := "bigint"
		if engine == "sqlite" {
			whole = "INTEGER"
		}
		for _, db := range dbs {
			execAll(t, db, fmt.Sprintf("CREATE TABLE whole (k %s PRIMARY KEY, v %s)", whole, text), fmt.Sprintf("CREATE TABLE texts (k %s NOT NULL PRIMARY KEY, v %s)", text, text), fmt.Sprintf("CREATE TABLE keyless (k %s, v %s)", whole, text))
		}
		pairs := map[string]rowPair{}
		for _, table := range []string{"whole", "texts", "keyless"} {
			pairs[table] = newRowPair(t, dbs[0], dbs[1], table)
		}
		rapid.Check(t, func(t *rapid.T) {
			rows := [2]map[int64]string{}
			rows[0] = rapid.MapOf(keys, values).Draw(t, "from")
			rows[1] = maps.Clone(rows[0])
			for _, k := range slices.Sorted(maps.Keys(rapid.MapOf(keys, rapid.Bool()).Draw(t, "changed"))) {
				if rapid.Bool().Draw(t, "gone") {
					delete(rows[1], k)
				} else {
					rows[1][k] = values.Draw(t, "value")
				}
			}
			twice := rapid.IntRange(1, 3).Draw(t, "times")
			for i, db := range dbs {
				for _, table := range []string{"whole", "texts", "keyless"} {
					execAll(t, db, "DELETE FROM "+table)
					var list []string
					for k, v := range rows[i] {
						key, value := fmt.Sprint(k), "NULL"
						if table == "texts" {
							key = "'" + key + "'"
						}
						if v != "\x00none" {
							value = "'" + strings.ReplaceAll(v, "'", "''") + "'"
						}
						row := "(" + key + ", " + value + ")"
						list = append(list, row)
						for range twice - 1 {
							if table == "keyless" {
								list = append(list, row)
							}
						}
					}
					if len(list) > 0 {
						execAll(t, db, "INSERT INTO "+table+" VALUES "+strings.Join(list, ", "))
					}
				}
			}
			keyed := data.Difference{RowsFrom: int64(len(rows[0])), RowsTo: int64(len(rows[1]))}
			for k, v := range rows[0] {
				if other, there := rows[1][k]; !there {
					keyed.OnlyFrom++
				} else if other != v {
					keyed.Differed++
				}
			}
			for k := range rows[1] {
				if _, there := rows[0][k]; !there {
					keyed.OnlyTo++
				}
			}
			chunk := rapid.Int64Range(1, 8).Draw(t, "chunk")
			n := int64(twice)
			counted := data.Difference{RowsFrom: n * keyed.RowsFrom, RowsTo: n * keyed.RowsTo, OnlyFrom: n * (keyed.OnlyFrom + keyed.Differed), OnlyTo: n * (keyed.OnlyTo + keyed.Differed)}
			pairs["whole"].within(t, func(sides [2]data.Side) {
				for table, want := range map[string]data.Difference{"whole": keyed, "texts": keyed, "keyless": counted} {
					d, err := data.Compare(context.Background(), sides[0], sides[1], pairs[table].plan, data.Options{Chunk: chunk})
					require.NoError(t, err)
					require.Equal(t, want, *d, "%s: %v and %v", table, rows[0], rows[1])
				}
			})
		})
	})
}

// TestRowsCancelled: a comparison ends with its context, and leaves the database as it was.
func TestRowsCancelled(t *testing.T) {
	eachPair(t, func(t *testing.T, _ string, dbs [2]database.Database) {
		for _, db := range dbs {
			execAll(t, db, "CREATE TABLE x (id integer PRIMARY KEY)", "INSERT INTO x VALUES (1)")
		}
		ctx, cancel := context.WithCancel(context.Background())
		side, err := dbs[0].(rowDatabase).RowReader(ctx)
		require.NoError(t, err)
		cancel()
		_, err = side.Rows(ctx, data.Table{Schema: "public", Name: "x", Columns: []data.Column{{Name: "id"}}}, data.Part{})
		require.Error(t, err)
		_ = side.Close()
		var n int
		require.NoError(t, dbs[0].DB().QueryRow("SELECT count(*) FROM x").Scan(&n))
	})
}
