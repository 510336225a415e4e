package schemas

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/integration/servers"
)

// mysqlPairs draws statements that make a small schema. What depends on something else is drawn only where
// that is there, so that every draw is a schema that the server takes.
type mysqlPairs struct {
	t        *rapid.T
	kind     servers.Kind
	out      []string
	tables   []*mysqlTable
	sequence bool
}

type mysqlTable struct {
	name        string
	columns     []mysqlColumn
	innodb      bool
	auto        bool
	partitioned bool
	key         string // id, id and part, or none
	keyType     string
}

// mysqlColumn is a column with what can be done with it.
type mysqlColumn struct {
	name, definition string
	sort             string // number, text, long, time, json, blob, place, generated
}

func (p *mysqlPairs) mariadb() bool { return p.kind.Engine == "mariadb" }

func (p *mysqlPairs) yes(label string) bool { return rapid.Bool().Draw(p.t, label) }

// few is for what would otherwise be everywhere.
func (p *mysqlPairs) few(label string) bool {
	return rapid.IntRange(1, 4).Draw(p.t, label) == 4
}

func (p *mysqlPairs) one(label string, choices ...string) string {
	return rapid.SampledFrom(choices).Draw(p.t, label)
}

func (p *mysqlPairs) add(format string, args ...any) {
	p.out = append(p.out, fmt.Sprintf(format, args...))
}

// draw returns the statements of a schema of up to three tables with what hangs on them.
func (p *mysqlPairs) draw() []string {
	if p.mariadb() && p.yes("sequence") {
		p.sequence = true
		p.add("CREATE SEQUENCE s1 START WITH %s INCREMENT BY %s%s", p.one("start", "1", "5"), p.one("step", "1", "2"), p.one("cycle", "", " CYCLE", " NOCACHE"))
	}
	for _, name := range []string{"a", "b", "c"} {
		if p.yes("table " + name) {
			p.table(name)
		}
	}
	for _, t := range p.tables {
		p.foreignKey(t)
		p.triggers(t)
	}
	p.views()
	p.programs()
	p.grants()
	return p.out
}

func (p *mysqlPairs) table(name string) {
	t := &mysqlTable{name: name, keyType: p.one("key type", "int", "bigint")}
	engine := p.one("engine", "InnoDB", "InnoDB", "InnoDB", "InnoDB", "InnoDB", "MyISAM", map[bool]string{true: "Aria", false: "MEMORY"}[p.mariadb()])
	t.innodb = engine == "InnoDB"
	t.partitioned = t.innodb && name == "c" && p.yes("partitioned")
	t.key = p.one("key", "id", "id", "id", "both", "none")
	t.auto = t.key == "id" && p.yes("auto_increment")
	versioned := p.mariadb() && t.innodb && !t.partitioned && p.few("versioned")
	lines := []string{"id " + t.keyType + " NOT NULL" + map[bool]string{true: " AUTO_INCREMENT"}[t.auto]}
	if t.key == "both" {
		lines = append(lines, "part int NOT NULL")
	}
	if t.innodb { // the other engines are there for what they are, not for what they cannot do
		p.columns(t)
	}
	for _, c := range t.columns {
		lines = append(lines, c.name+" "+c.definition+p.versioning(versioned, c))
	}
	if t.key != "none" {
		lines = append(lines, map[string]string{"id": "PRIMARY KEY (id)", "both": "PRIMARY KEY (id, part)"}[t.key])
	}
	lines = append(lines, p.indexes(t)...)
	lines = append(lines, p.checks(t)...)
	options := " ENGINE=" + engine
	if t.innodb {
		options += p.one("row format", "", "", " ROW_FORMAT=DYNAMIC", " STATS_PERSISTENT=1", " ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8", " STATS_SAMPLE_PAGES=20")
	}
	options += p.one("collation", "", "", " COLLATE=utf8mb4_unicode_ci", " CHARACTER SET=latin1")
	options += p.one("comment", "", " COMMENT='it''s'")
	if versioned {
		options += " WITH SYSTEM VERSIONING"
	}
	if t.partitioned {
		options += p.one("partitions", " PARTITION BY HASH (id) PARTITIONS 2", " PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10))",
			" PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)", " PARTITION BY KEY (id) PARTITIONS 3",
			" PARTITION BY LIST (id) (PARTITION p0 VALUES IN (1, 2), PARTITION p1 VALUES IN (3) COMMENT = 'three')", " PARTITION BY LINEAR HASH (id + 1) PARTITIONS 2",
			" PARTITION BY RANGE COLUMNS (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (MAXVALUE))",
			" PARTITION BY RANGE (id) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))")
	}
	p.tables = append(p.tables, t)
	p.add("CREATE TABLE %s (%s)%s", name, strings.Join(lines, ", "), options)
}

// versioning leaves the past of a column out.
func (p *mysqlPairs) versioning(versioned bool, c mysqlColumn) string {
	if versioned && c.sort == "number" && !strings.Contains(c.definition, "COMMENT") && p.few("no past") {
		return " WITHOUT SYSTEM VERSIONING"
	}
	return ""
}

func (p *mysqlPairs) columns(t *mysqlTable) {
	letters := rapid.Permutation([]string{"x", "y", "z", "`select`"}).Draw(p.t, "columns")
	for _, name := range letters[:rapid.IntRange(0, 4).Draw(p.t, "number of columns")] {
		t.columns = append(t.columns, p.column(t, name))
	}
	if p.yes("n") {
		t.columns = append(t.columns, mysqlColumn{"n", p.one("n", "int", "int DEFAULT 4", "bigint"), "number"})
		if p.yes("generated from n") {
			kept := p.one("kept", "STORED", "VIRTUAL")
			t.columns = append(t.columns, mysqlColumn{"made", p.one("result", "int", "bigint") + " GENERATED ALWAYS AS (n " + p.one("expression", "+ 1", "* 2") + ") " + kept, "generated"})
			if p.few("generated from what is generated") {
				t.columns = append(t.columns, mysqlColumn{"more", "bigint GENERATED ALWAYS AS (made + n) " + kept, "generated"})
			}
		} else if p.few("once generated") {
			t.columns = append(t.columns, mysqlColumn{"made", "int", "number"})
		}
	}
}

func (p *mysqlPairs) column(t *mysqlTable, name string) mysqlColumn {
	c := mysqlColumn{name: name, sort: p.one("sort of column", "number", "text", "long", "time", "generated", "json", "blob", "place")}
	if c.sort == "place" && t.partitioned {
		c.sort = "json"
	}
	switch c.sort {
	case "number":
		c.definition = p.one("number", "int", "int unsigned", "bigint", "decimal(8,2)", "tinyint(1)", "double", "int(6) unsigned zerofill") + p.one("default", "", " NOT NULL", " DEFAULT 5"+p.hide(), " NOT NULL DEFAULT 1"+p.hide(), p.expression("(1 + 2)")) + p.mark()
	case "text":
		c.definition = p.one("text", "varchar(20)", "varchar(40)", "char(4)", "varchar(20) CHARACTER SET latin1", "varchar(20) COLLATE utf8mb4_bin", "enum('a','b')", "enum('a','b','c')", "set('a','b')") +
			p.one("default", "", " NOT NULL", " DEFAULT 'a'"+p.hide(), " NOT NULL DEFAULT 'b'"+p.hide()) + p.mark()
	case "long":
		compressed := ""
		if p.mariadb() {
			compressed = p.one("compressed", "", "", " COMPRESSED")
		}
		c.definition = p.one("long", "text", "mediumtext", "longtext") + compressed + p.mark()
	case "time":
		c.definition = p.one("time", "datetime", "timestamp NULL", "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP", "date DEFAULT '2020-02-29'", "time(3)", "datetime(6) DEFAULT CURRENT_TIMESTAMP(6)", "year") + p.mark()
	case "generated":
		c.definition = p.one("result", "int", "bigint") + " GENERATED ALWAYS AS (" + p.one("expression", "1 + 2", "2 * 3", "(4 + 5) * 6") + ") " + p.one("kept", "STORED", "VIRTUAL")
	case "json":
		c.definition = "json"
	case "blob":
		c.definition = p.one("blob", "varbinary(8)", "varbinary(8) DEFAULT 'ab'", "bit(3) DEFAULT b'101'", "blob")
	case "place":
		c.definition = "point NOT NULL"
		if !p.mariadb() {
			c.definition += p.one("srid", "", " SRID 0", " SRID 4326")
		}
	}
	return c
}

// expression is a default that is computed; that of MariaDB may take a sequence's next number.
func (p *mysqlPairs) expression(text string) string {
	if p.sequence {
		text = "(nextval(s1))"
	}
	return " DEFAULT " + text
}

func (p *mysqlPairs) mark() string {
	return p.one("mark", "", "", " COMMENT 'why'")
}

// hide is for columns with a default: MariaDB wants one of what is invisible.
func (p *mysqlPairs) hide() string { return p.one("hidden column", "", "", " INVISIBLE") }

func (p *mysqlPairs) indexes(t *mysqlTable) []string {
	var lines []string
	hidden := map[bool]string{true: " IGNORED", false: " INVISIBLE"}[p.mariadb()]
	if t.key == "none" {
		hidden = "" // a unique index may be the key
	}
	end := func() string { return p.one("end of index", "", "", hidden, " COMMENT 'fast'") }
	for _, c := range t.columns {
		if !p.yes("index on " + c.name) {
			continue
		}
		name := "i_" + strings.Trim(c.name, "`")
		switch {
		case c.sort == "json":
		case c.sort == "place":
			if !t.partitioned && (p.mariadb() || strings.Contains(c.definition, "SRID")) {
				lines = append(lines, "SPATIAL INDEX "+name+" ("+c.name+")")
			}
		case c.sort == "long" && strings.Contains(c.definition, "COMPRESSED"):
		case (c.sort == "long" || strings.HasPrefix(c.definition, "varchar")) && !t.partitioned && p.few("fulltext"):
			lines = append(lines, "FULLTEXT INDEX "+name+" ("+c.name+")"+p.one("comment on words", "", " COMMENT 'words'"))
		default:
			of := c.name
			if c.sort == "long" || c.definition == "blob" {
				of += "(5)"
			} else if strings.HasPrefix(c.definition, "varchar") {
				of += p.one("prefix", "", "(3)")
			}
			lines = append(lines, p.one("kind of index", "INDEX", "INDEX", "UNIQUE INDEX")+" "+name+p.one("columns", "_1", "")+" ("+of+p.one("direction", "", " DESC")+", "+t.own()+")"+end())
		}
	}
	if t.has("n") && !p.mariadb() && p.few("functional") {
		lines = append(lines, "INDEX computed ((n + "+p.one("add", "1", "2")+")"+p.one("direction", "", " DESC")+", id)"+end())
	}
	return lines
}

// own are the columns that a unique index of a partitioned table has to have.
func (t *mysqlTable) own() string {
	if t.key == "both" {
		return "id, part"
	}
	return "id"
}

func (t *mysqlTable) has(column string) bool {
	return slices.ContainsFunc(t.columns, func(c mysqlColumn) bool { return c.name == column })
}

func (p *mysqlPairs) checks(t *mysqlTable) []string {
	var lines []string
	if t.has("n") && p.yes("check") {
		lines = append(lines, "CONSTRAINT ck_"+t.name+" CHECK ("+p.one("checked", "n > 0", "n < 1000 and (n > 5 or n = 1)", "n in (1,2,3)")+")"+p.notEnforced())
	}
	if t.has("made") && p.few("check of what is made") {
		lines = append(lines, "CONSTRAINT ck_made_"+t.name+" CHECK (made is not null or n < 5)"+p.notEnforced())
	}
	return lines
}

func (p *mysqlPairs) notEnforced() string {
	if p.mariadb() {
		return ""
	}
	return p.one("enforced", "", " NOT ENFORCED")
}

// foreignKey refers to a table's key, with a column of its type.
func (p *mysqlPairs) foreignKey(t *mysqlTable) {
	if !p.yes("foreign key of "+t.name) || !t.innodb || t.partitioned {
		return
	}
	to := rapid.SampledFrom(p.tables).Draw(p.t, "parent")
	if !to.innodb || to.partitioned || to.key == "none" {
		return
	}
	if p.mariadb() {
		p.add("SET system_versioning_alter_history = KEEP")
		defer p.add("SET system_versioning_alter_history = DEFAULT")
	}
	p.add("ALTER TABLE %s ADD COLUMN parent %s, ADD INDEX %s (parent)", t.name, to.keyType, p.one("index of key", "by_parent", "other"))
	rule := p.one("rule", "", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON UPDATE CASCADE")
	if to.key == "both" {
		if !p.mariadb() {
			return // MySQL refers to whole keys
		}
		p.add("ALTER TABLE %s ADD CONSTRAINT fk_%s FOREIGN KEY (parent) REFERENCES %s (id)%s", t.name, t.name, to.name, rule)
		return
	}
	p.add("ALTER TABLE %s ADD CONSTRAINT fk_%s FOREIGN KEY (parent) REFERENCES %s (id)%s", t.name, t.name, to.name, rule)
}

func (p *mysqlPairs) triggers(t *mysqlTable) {
	n := rapid.IntRange(0, 3).Draw(p.t, "triggers of "+t.name)
	var insert []string
	for _, i := range rapid.Permutation([]int{1, 2, 3}).Draw(p.t, "order")[:n] {
		name, moment, order := fmt.Sprintf("t_%s%d", t.name, i), p.one("moment", "BEFORE INSERT", "BEFORE INSERT", "AFTER DELETE"), ""
		if moment == "BEFORE INSERT" {
			if len(insert) > 0 {
				order = p.one("place", "", "FOLLOWS ", "PRECEDES ")
			}
			if order != "" {
				order += insert[0] + " "
			}
			insert = append(insert, name)
		}
		p.mode()
		p.add("CREATE TRIGGER %s %s ON %s FOR EACH ROW %sSET @x = %s", name, moment, t.name, order, p.one("value", "1", "'it''s; 2'"))
	}
}

// mode has what comes next made under another sql_mode, which it keeps.
func (p *mysqlPairs) mode() {
	p.add("SET sql_mode = %s", p.one("sql mode", "DEFAULT", "DEFAULT", "DEFAULT", "'ANSI_QUOTES'", "''"))
}

func (p *mysqlPairs) views() {
	if len(p.tables) == 0 {
		return
	}
	names := rapid.Permutation([]string{"v1", "v2", "v3"}).Draw(p.t, "views")
	from := p.tables[0].name
	for _, v := range names[:rapid.IntRange(0, 3).Draw(p.t, "number of views")] {
		p.add("CREATE %sVIEW %s AS SELECT id%s FROM %s WHERE id %s%s", p.one("algorithm", "", "ALGORITHM=MERGE ", "SQL SECURITY INVOKER "), v, p.one("more", "", ", id + 1 AS n", ", 'a''b' AS n"), from, p.one("where", "> 1", "< 5 OR id = 7"), p.one("check option", "", "", " WITH LOCAL CHECK OPTION", " WITH CASCADED CHECK OPTION"))
		from = v
	}
}

func (p *mysqlPairs) programs() {
	if p.yes("function") {
		p.mode()
		p.add("CREATE FUNCTION f (n %s) RETURNS int %s RETURN n * %s", p.one("type", "int", "varchar(10)"), p.one("about", "DETERMINISTIC", "NO SQL DETERMINISTIC COMMENT 'x'", "DETERMINISTIC SQL SECURITY INVOKER"), p.one("by", "2", `3 + length('it''s \\ x')`))
	}
	if p.yes("procedure") {
		p.mode()
		p.add("CREATE PROCEDURE f (%s) SELECT %s", p.one("parameters", "", "IN a int, OUT b text"), p.one("what", "1", "'x;y'"))
		if p.few("grant on procedure") {
			p.add("GRANT EXECUTE ON PROCEDURE f TO 'switchback_pairs'@'%%'%s", p.one("handed on", "", " WITH GRANT OPTION"))
		}
	}
	if p.yes("event") {
		p.mode()
		p.add("CREATE EVENT e ON SCHEDULE %s %sDISABLE%s DO SET @e = %s", p.one("when", "EVERY 1 DAY STARTS '2030-01-01 00:00:00'", "AT '2035-01-01 00:00:00'", "EVERY '1:30' HOUR_MINUTE STARTS '2030-01-01 00:00:00' ENDS '2031-01-01 00:00:00'"), p.one("completion", "", "ON COMPLETION PRESERVE "), p.one("event comment", "", " COMMENT 'y'"), p.one("value", "1", "2"))
	}
	if p.mariadb() && p.few("package") {
		p.add("SET sql_mode = 'ORACLE'")
		p.add("CREATE PACKAGE pack %sAS PROCEDURE act; FUNCTION number RETURN int; END", p.one("package comment", "", "COMMENT 'p' "))
		if p.yes("body") {
			p.add("CREATE PACKAGE BODY pack AS PROCEDURE act AS BEGIN SELECT %s; END; FUNCTION number RETURN int AS BEGIN RETURN 3; END; END", p.one("act", "1", "2"))
		}
	}
	p.add("SET sql_mode = DEFAULT")
}

func (p *mysqlPairs) grants() {
	if len(p.tables) > 0 && p.yes("grant") {
		p.add("GRANT %s ON %s TO 'switchback_pairs'@'%%'%s", p.one("rights", "SELECT", "INSERT, SELECT", "SELECT (id)", "SELECT (id), INSERT (id)", "DELETE, SELECT (id)"), p.tables[0].name, p.one("handed on", "", "", " WITH GRANT OPTION"))
	}
}
