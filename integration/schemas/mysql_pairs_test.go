package schemas

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database/mysql"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// mysqlPairs draws statements that make a small schema. What depends on something else is drawn only where
// that is there, so that every draw is a schema that the server takes.
type mysqlPairs struct {
	t      *rapid.T
	kind   servers.Kind
	out    []string
	tables map[string][]string // columns, by table
	keyed  []string            // tables whose primary key is id alone
}

func (p *mysqlPairs) mariadb() bool { return p.kind.Engine == "mariadb" }

func (p *mysqlPairs) yes(label string) bool { return rapid.Bool().Draw(p.t, label) }

func (p *mysqlPairs) one(label string, choices ...string) string {
	return rapid.SampledFrom(choices).Draw(p.t, label)
}

func (p *mysqlPairs) add(format string, args ...any) {
	p.out = append(p.out, fmt.Sprintf(format, args...))
}

// draw returns the statements of a schema of up to three tables with what hangs on them.
func (p *mysqlPairs) draw() []string {
	p.tables = map[string][]string{}
	if p.mariadb() && p.yes("sequence") {
		p.add("CREATE SEQUENCE s1 START WITH %s INCREMENT BY %s", p.one("start", "1", "5"), p.one("step", "1", "2"))
	}
	var there []string
	for _, name := range []string{"a", "b", "c"} {
		if p.yes("table " + name) {
			p.table(name)
			there = append(there, name)
		}
	}
	for _, name := range there {
		p.foreignKey(name, there)
		p.triggers(name)
	}
	p.views(there)
	p.programs(there)
	if len(there) > 0 && p.yes("grant") {
		p.add("GRANT %s ON %s TO 'switchback_pairs'@'%%'", p.one("rights", "SELECT", "INSERT, SELECT", "SELECT (id)"), there[0])
	}
	return p.out
}

func (p *mysqlPairs) table(name string) {
	innodb := rapid.IntRange(0, 9).Draw(p.t, "engine") > 0
	partitioned := innodb && name == "c" && p.yes("partitioned")
	auto := ""
	if p.yes("auto_increment") {
		auto = " AUTO_INCREMENT"
	}
	lines := []string{"id " + p.one("key type", "int", "bigint") + " NOT NULL" + auto}
	columns := []string{"id"}
	letters := []string{"x", "y", "z", "`select`"}
	if !innodb {
		letters = nil // the other engine is there for what it is, not for what it cannot do
	}
	for _, c := range letters {
		if p.yes("column " + c) {
			lines = append(lines, c+" "+p.column(columns))
			columns = append(columns, c)
		}
	}
	checked := p.yes("check")
	if checked {
		lines = append(lines, "n int")
	}
	lines = append(lines, "PRIMARY KEY (id)")
	for _, c := range columns[1:] {
		if p.yes("index on " + c) {
			lines = append(lines, p.index("i_"+strings.Trim(c, "`"), c, lines))
		}
	}
	if checked {
		lines = append(lines, "CONSTRAINT ck_"+name+" CHECK ("+p.one("checked", "n > 0", "n < 1000 and (n > 5 or n = 1)", "n in (1,2,3)")+")"+p.notEnforced())
	}
	options := ""
	if innodb {
		options += " ENGINE=InnoDB"
		options += p.one("row format", "", "", " ROW_FORMAT=DYNAMIC", " STATS_PERSISTENT=1")
		if !partitioned {
			p.keyed = append(p.keyed, name)
		}
	} else {
		options += " ENGINE=MyISAM"
	}
	options += p.one("collation", "", "", " COLLATE=utf8mb4_unicode_ci", " CHARACTER SET=latin1")
	options += p.one("comment", "", " COMMENT='it''s'")
	if partitioned {
		options += p.one("partitions", " PARTITION BY HASH (id) PARTITIONS 2", " PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10))",
			" PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)", " PARTITION BY KEY (id) PARTITIONS 3")
	}
	p.tables[name] = columns
	p.add("CREATE TABLE %s (%s)%s", name, strings.Join(lines, ", "), options)
}

func (p *mysqlPairs) notEnforced() string {
	if p.mariadb() {
		return ""
	}
	return p.one("enforced", "", " NOT ENFORCED")
}

// column is a column's definition; before are those that stand before it.
func (p *mysqlPairs) column(before []string) string {
	switch p.one("sort of column", "number", "text", "time", "generated", "other") {
	case "number":
		return p.one("number", "int", "int unsigned", "bigint", "decimal(8,2)", "tinyint(1)", "double") + p.one("default", "", " NOT NULL", " DEFAULT 5"+p.hide(), " NOT NULL DEFAULT 1"+p.hide()) + p.mark()
	case "text":
		return p.one("text", "varchar(20)", "varchar(40)", "char(4)", "varchar(20) CHARACTER SET latin1", "varchar(20) COLLATE utf8mb4_bin", "enum('a','b')", "enum('a','b','c')") +
			p.one("default", "", " NOT NULL", " DEFAULT 'a'"+p.hide(), " NOT NULL DEFAULT 'b'"+p.hide()) + p.mark()
	case "time":
		return p.one("time", "datetime", "timestamp NULL", "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP", "date DEFAULT '2020-02-29'", "time(3)", "datetime(6) DEFAULT CURRENT_TIMESTAMP(6)") + p.mark()
	case "generated":
		return p.one("result", "int", "bigint") + " GENERATED ALWAYS AS (" + p.one("expression", "1 + 2", "2 * 3", "(4 + 5) * 6") + ") " + p.one("kept", "STORED", "VIRTUAL")
	}
	_ = before
	return p.one("other", "text", "json", "varbinary(8)", "varbinary(8) DEFAULT 'ab'", "bit(3) DEFAULT b'101'", "blob")
}

func (p *mysqlPairs) mark() string {
	return p.one("mark", "", "", " COMMENT 'why'")
}

// hide is for columns with a default: MariaDB wants one of what is invisible.
func (p *mysqlPairs) hide() string { return p.one("hidden column", "", "", " INVISIBLE") }

// index is an index on a column whose definition is among the lines.
func (p *mysqlPairs) index(name, column string, lines []string) string {
	of := column
	for _, l := range lines {
		if strings.HasPrefix(l, column+" ") && (strings.Contains(l, "text") || strings.Contains(l, "blob")) {
			of += "(5)"
		}
		if strings.HasPrefix(l, column+" ") && strings.Contains(l, "json") {
			return "INDEX " + name + " (id)"
		}
	}
	hidden := " INVISIBLE"
	if p.mariadb() {
		hidden = " IGNORED"
	}
	return p.one("kind", "INDEX", "INDEX", "UNIQUE INDEX") + " " + name + p.one("columns", "_1", "") + " (" + of + p.one("direction", "", " DESC") + ", id)" + p.one("hidden", "", hidden, " COMMENT 'fast'")
}

func (p *mysqlPairs) foreignKey(name string, there []string) {
	if !p.yes("foreign key of "+name) || !contains(p.keyed, name) {
		return
	}
	to := rapid.SampledFrom(there).Draw(p.t, "parent")
	if !contains(p.keyed, to) {
		return
	}
	// A column of the same type as the parent's key.
	for _, s := range p.out {
		if strings.HasPrefix(s, "CREATE TABLE "+to+" ") {
			typ := strings.Fields(strings.SplitN(s, "(", 2)[1])[1]
			p.add("ALTER TABLE %s ADD COLUMN parent %s, ADD INDEX %s (parent)", name, typ, p.one("index of key", "by_parent", "other"))
			p.add("ALTER TABLE %s ADD CONSTRAINT fk_%s FOREIGN KEY (parent) REFERENCES %s (id)%s", name, name, to, p.one("rule", "", " ON DELETE CASCADE", " ON DELETE SET NULL"))
			return
		}
	}
}

func (p *mysqlPairs) triggers(name string) {
	n := rapid.IntRange(0, 2).Draw(p.t, "triggers of "+name)
	for _, i := range rapid.Permutation([]int{1, 2}).Draw(p.t, "order")[:n] {
		p.add("CREATE TRIGGER t_%s%d %s ON %s FOR EACH ROW SET @x = %s", name, i, p.one("moment", "BEFORE INSERT", "BEFORE INSERT", "AFTER DELETE"), name, p.one("value", "1", "'it''s; 2'"))
	}
}

func (p *mysqlPairs) views(there []string) {
	if len(there) == 0 {
		return
	}
	names := rapid.Permutation([]string{"v1", "v2", "v3"}).Draw(p.t, "views")
	from := there[0]
	for _, v := range names[:rapid.IntRange(0, 3).Draw(p.t, "number of views")] {
		p.add("CREATE %sVIEW %s AS SELECT id%s FROM %s WHERE id %s", p.one("algorithm", "", "ALGORITHM=MERGE ", "SQL SECURITY INVOKER "), v, p.one("more", "", ", id + 1 AS n", ", 'a''b' AS n"), from, p.one("where", "> 1", "< 5 OR id = 7"))
		from = v
	}
}

func (p *mysqlPairs) programs(there []string) {
	if p.yes("function") {
		p.add("CREATE FUNCTION f (n %s) RETURNS int %s RETURN n * %s", p.one("type", "int", "varchar(10)"), p.one("about", "DETERMINISTIC", "NO SQL DETERMINISTIC COMMENT 'x'"), p.one("by", "2", `3 + length('it''s \\ "')`))
	}
	if p.yes("procedure") {
		p.add("CREATE PROCEDURE f (%s) SELECT %s", p.one("parameters", "", "IN a int, OUT b text"), p.one("what", "1", "'x;y'"))
	}
	if p.yes("event") {
		p.add("CREATE EVENT e ON SCHEDULE %s DISABLE%s DO SET @e = %s", p.one("when", "EVERY 1 DAY STARTS '2030-01-01 00:00:00'", "AT '2035-01-01 00:00:00'"), p.one("event comment", "", " COMMENT 'y'"), p.one("value", "1", "2"))
	}
	_ = there
}

func contains(list []string, x string) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// TestPairsMySQL draws pairs of schemas. The script from one to the other, run on the one, gives the other;
// and the script back gives the one again. The versions of MariaDB take turns.
func TestPairsMySQL(t *testing.T) {
	if testing.Short() {
		return
	}
	pairSettings(t)
	for engine, kinds := range map[string][]servers.Kind{"mysql": {servers.MySQL9}, "mariadb": {servers.MariaDB1011, servers.MariaDB118}} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			var pairs [][2]*pairDatabase
			for _, k := range kinds {
				pairs = append(pairs, [2]*pairDatabase{openPair(t, k), openPair(t, k)})
				pairs[len(pairs)-1][0].exec(t, "CREATE USER IF NOT EXISTS 'switchback_pairs'@'%'")
			}
			rapid.Check(t, func(r *rapid.T) {
				i := rapid.IntRange(0, len(kinds)-1).Draw(r, "server")
				first, second := (&mysqlPairs{t: r, kind: kinds[i]}).draw(), (&mysqlPairs{t: r, kind: kinds[i]}).draw()
				problem := tryPair(t, pairs[i][0], pairs[i][1], [2][]string{first, second})
				if problem != "" {
					r.Fatalf("%s: from:\n  %s\nto:\n  %s\n%s", kinds[i].Name, strings.Join(first, ";\n  "), strings.Join(second, ";\n  "), problem)
				}
			})
		})
	}
}

// pairDatabase is a database that is filled and emptied over and over.
type pairDatabase struct {
	plain *sql.DB
	model *mysql.Database
}

func openPair(t *testing.T, k servers.Kind) *pairDatabase {
	url := servers.URL(t, k)
	model, err := mysql.Open(t.Context(), url)
	require.NoError(t, err)
	plain := servers.Open(t, url)
	plain.SetMaxOpenConns(1)
	t.Cleanup(func() {
		require.NoError(t, plain.Close())
		require.NoError(t, model.Close())
	})
	return &pairDatabase{plain, model}
}

func (d *pairDatabase) exec(t *testing.T, statement string) {
	_, err := d.plain.ExecContext(t.Context(), statement)
	require.NoError(t, err, statement)
}

func (d *pairDatabase) inspect(t *testing.T) *schema.Database {
	m, err := d.model.Inspect(t.Context())
	require.NoError(t, err)
	return m
}

// run runs the script that turns what is there into the schema given; the error is a text.
func (d *pairDatabase) become(t *testing.T, to *schema.Database) string {
	before := d.inspect(t)
	script := scriptMySQL(t, before, to)
	for _, s := range script.Statements {
		if _, err := d.plain.ExecContext(t.Context(), s.SQL); err != nil {
			return fmt.Sprintf("%v\n%s", err, s.SQL)
		}
	}
	if d := pathsThatDiffer(t, to, d.inspect(t), diff.Options{}); len(d) > 0 {
		var text strings.Builder
		_ = script.Write(&text, "", "")
		return "wanted → came to be:\n" + strings.Join(d, "\n") + "\n" + text.String()
	}
	return ""
}

// fill makes a schema of statements in an empty database.
func (d *pairDatabase) fill(t *testing.T, statements []string) (*schema.Database, string) {
	if problem := d.become(t, &schema.Database{Engine: "", Schemas: []*schema.Schema{{Name: "main"}}, Settings: d.inspect(t).Settings}); problem != "" {
		return nil, "empty the database: " + problem
	}
	for _, s := range statements {
		if _, err := d.plain.ExecContext(t.Context(), s); err != nil {
			return nil, "invalid draw: " + err.Error() + "\n" + s
		}
	}
	return d.inspect(t), ""
}

// tryPair says what goes wrong with a pair, or "".
func tryPair(t *testing.T, one, other *pairDatabase, pair [2][]string) string {
	a, problem := one.fill(t, pair[0])
	if problem != "" {
		return problem
	}
	b, problem := other.fill(t, pair[1])
	if problem != "" {
		return problem
	}
	if problem := one.become(t, b); problem != "" {
		return "there: " + problem
	}
	if problem := one.become(t, a); problem != "" {
		return "back: " + problem
	}
	return ""
}
