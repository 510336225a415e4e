package mysql

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	ddl "github.com/switchbackdb/switchback/ddl/mysql"
	"github.com/switchbackdb/switchback/schema"
)

// parts are the queries, in an order in which a table comes before what hangs on it.
func (in *inspection) parts() []part {
	list := []part{
		in.tablesPart(), in.columnsPart(), in.indexesPart(), in.rulesPart(), in.foreignKeysPart(), in.checksPart(),
		in.viewsPart(), in.triggersPart(), in.routinesPart(), in.parametersPart(), in.eventsPart(),
	}
	if !in.mariadb {
		list = append(list, in.partitionsPart())
	}
	return append(list, in.grantParts()...)
}

func (in *inspection) tablesPart() part {
	return part{
		name: "tables",
		query: `SELECT table_name, engine, table_collation, create_options, table_comment, table_type FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type <> 'VIEW' ORDER BY table_name`,
		row: func(r []string) {
			if r[5] == "SEQUENCE" {
				in.schema.Sequences = append(in.schema.Sequences, &schema.Sequence{Name: r[0], Comment: r[4]})
				return
			}
			t := &schema.Table{Name: r[0], Comment: r[4], Options: []schema.Property{
				property("engine", r[1]), property("collation", r[2]), property("options", createOptions(r[1], r[3])),
			}}
			if r[1] != "InnoDB" || r[5] != "BASE TABLE" || in.mariadb && strings.Contains(r[3], "partitioned") {
				in.special[t.Name] = true
			}
			in.tables[t.Name] = t
			in.schema.Tables = append(in.schema.Tables, t)
		},
	}
}

var (
	createOption = regexp.MustCompile("[`\\w]+=(?:'[^']*'|\"[^\"]*\"|\\S*)")
	word         = regexp.MustCompile(`^\w+$`)
)

// createOptions writes the options of a table as its statement has them, in the order of the alphabet.
// Those that mean something to Aria alone stay with a table that was one, and cannot be taken away.
func createOptions(engine, text string) string {
	var list []string
	for _, o := range createOption.FindAllString(text, -1) {
		name, value, _ := strings.Cut(o, "=")
		value = strings.Trim(value, `'"`)
		if !word.MatchString(value) || strings.EqualFold(name, "compression") || strings.EqualFold(name, "encryption") {
			value = ddl.Literal(value)
		}
		name = strings.ToUpper(strings.Trim(name, "`"))
		if engine != "Aria" && name == "TRANSACTIONAL" || name == "PAGE_CHECKSUM" && (engine != "Aria" || value == "1") {
			continue // a page has a checksum unless one says otherwise; whether that is listed depends on how the table came to be
		}
		if name == "ROW_FORMAT" {
			value = strings.ToUpper(value)
		}
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// partitionsPart is for MySQL, whose tables do not always tell that they have partitions; to ask for them opens all
// tables of MariaDB once more.
func (in *inspection) partitionsPart() part {
	return part{
		name:  "partitions",
		query: `SELECT DISTINCT table_name FROM information_schema.partitions WHERE table_schema = DATABASE() AND partition_name IS NOT NULL`,
		row:   func(r []string) { in.special[r[0]] = true },
	}
}

// index is an index or primary key whose columns are being read.
type index struct {
	table   *schema.Table
	index   *schema.Index
	columns []string
	kind    string // INDEX, FULLTEXT INDEX, …
	options string // behind the columns
}

func (in *inspection) indexesPart() part {
	expression, hidden := "s.expression", "s.is_visible = 'NO'"
	if in.mariadb {
		expression, hidden = "NULL", "s.ignored = 'YES'"
	}
	return part{
		name: "indexes",
		query: fmt.Sprintf(`SELECT s.table_name, s.index_name, s.column_name, %s, s.sub_part, s.collation, s.non_unique, s.index_type, s.index_comment, %s
FROM information_schema.statistics s WHERE s.table_schema = DATABASE() ORDER BY s.table_name, s.index_name, s.seq_in_index`, expression, hidden),
		row: func(r []string) {
			id := "index " + r[0] + "." + r[1]
			x := in.indexes[id]
			if x == nil {
				x = &index{table: in.table(r[0]), kind: "INDEX", index: &schema.Index{Name: r[1], Comment: r[8], Unique: r[6] == "0"}}
				in.describe(x, r)
				in.indexes[id] = x
				in.order = append(in.order, id)
			}
			x.columns = append(x.columns, in.indexColumn(x, r))
		},
	}
}

func (in *inspection) describe(x *index, r []string) {
	if x.index.Unique {
		x.kind = "UNIQUE INDEX"
	}
	switch {
	case r[7] == "FULLTEXT" || r[7] == "SPATIAL":
		x.kind = r[7] + " INDEX"
		in.special[r[0]] = in.special[r[0]] || r[7] == "FULLTEXT"
	case r[7] == "HASH" && schema.Value(x.table.Options, "engine") == "InnoDB":
		x.options += " USING HASH"
	}
	if r[9] == "1" && in.mariadb {
		x.options += " IGNORED"
	} else if r[9] == "1" {
		x.options += " INVISIBLE"
	}
}

func (in *inspection) indexColumn(x *index, r []string) string {
	column := ddl.Quote(r[2])
	if r[3] != "" {
		column = "(" + in.expression(unescape(r[3])) + ")"
	} else {
		x.index.Columns = append(x.index.Columns, r[2])
	}
	if r[4] != "" && !strings.HasPrefix(x.kind, "SPATIAL") {
		column += "(" + r[4] + ")"
	}
	if r[5] == "D" {
		column += " DESC"
	}
	return column
}

// foreignKey is a foreign key whose columns are being read.
type foreignKey struct {
	table      *schema.Table
	constraint *schema.Constraint
	rules      string
}

// rulesPart reads what happens on a change of the parent. It is a query of its own: MariaDB would open each table
// once for every foreign key to join the two.
func (in *inspection) rulesPart() part {
	return part{
		name:  "rules of foreign keys",
		query: `SELECT table_name, constraint_name, update_rule, delete_rule FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()`,
		row: func(r []string) {
			rules := ""
			// The two that do nothing are the same to InnoDB.
			if rule := r[3]; rule != "NO ACTION" && rule != "RESTRICT" {
				rules += " ON DELETE " + rule
			}
			if rule := r[2]; rule != "NO ACTION" && rule != "RESTRICT" {
				rules += " ON UPDATE " + rule
			}
			in.rules["key "+r[0]+"."+r[1]] = rules
		},
	}
}

func (in *inspection) foreignKeysPart() part {
	return part{
		name: "foreign keys",
		query: `SELECT table_name, constraint_name, column_name, CASE WHEN referenced_table_schema <> DATABASE() THEN referenced_table_schema END,
  referenced_table_name, referenced_column_name
FROM information_schema.key_column_usage WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL ORDER BY table_name, constraint_name, ordinal_position`,
		row: func(r []string) {
			id := "key " + r[0] + "." + r[1]
			k := in.keys[id]
			if k == nil {
				k = &foreignKey{table: in.table(r[0]), constraint: &schema.Constraint{Name: r[1], Type: schema.ForeignKey, References: &schema.Reference{Schema: r[3], Table: r[4]}}}
				k.rules = in.rules[id]
				in.keys[id] = k
				in.order = append(in.order, id)
			}
			c := k.constraint
			c.Columns, c.References.Columns = append(c.Columns, r[2]), append(c.References.Columns, r[5])
		},
	}
}

// aPeriod is the check that MariaDB makes for a period.
var aPeriod = regexp.MustCompile("^`[^`]+` < `[^`]+`$")

func (in *inspection) checksPart() part {
	query := `SELECT t.table_name, c.constraint_name, c.check_clause, t.enforced, 'Table' FROM information_schema.check_constraints c JOIN information_schema.table_constraints t
  ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name AND t.constraint_type = 'CHECK'
WHERE c.constraint_schema = DATABASE() ORDER BY 1, 2`
	if in.mariadb {
		query = "SELECT table_name, constraint_name, check_clause, 'YES', level FROM information_schema.check_constraints WHERE constraint_schema = DATABASE() ORDER BY 1, 2"
	}
	return part{
		name: "checks", query: query,
		row: func(r []string) {
			t := in.table(r[0])
			if r[4] == "Column" {
				in.columnCheck(t.Column(r[1]), r[2])
				return
			}
			if in.mariadb && aPeriod.MatchString(r[2]) {
				in.special[r[0]] = true
			}
			clause := r[2]
			if !in.mariadb {
				clause = unescape(clause)
			}
			c := &schema.Constraint{Name: r[1], Type: schema.Check, Definition: "CHECK (" + in.expression(clause) + ")"}
			if r[3] == "NO" {
				c.Definition += " NOT ENFORCED"
			}
			t.Constraints = append(t.Constraints, c)
		},
	}
}

// columnCheck puts a check into its column. JSON is a long text with a check on MariaDB.
func (in *inspection) columnCheck(c *schema.Column, clause string) {
	if c == nil {
		return
	}
	if c.Type == "longtext" && clause == "json_valid("+quote(c.Name)+")" && schema.Value(c.Options, "character set") == "utf8mb4_bin" {
		c.Type, c.Collation = "json", ""
		return
	}
	c.Options = append(c.Options, property("check", in.expression(clause)))
}

// table returns a table; rows of what is no table, such as the columns of a view, get one that is thrown
// away.
func (in *inspection) table(name string) *schema.Table {
	if t := in.tables[name]; t != nil {
		return t
	}
	return &schema.Table{}
}

// finish makes indexes and keys of the columns that were read row by row.
func (in *inspection) finish() {
	for _, id := range in.order {
		if x := in.indexes[id]; x != nil {
			x.finish()
		}
		if k := in.keys[id]; k != nil {
			k.finish()
		}
	}
	for _, t := range in.schema.Tables {
		for _, c := range t.Columns {
			c.Options = slices.DeleteFunc(c.Options, func(p schema.Property) bool { return p.Name == "character set" })
		}
	}
}

func (x *index) finish() {
	columns := "(" + strings.Join(x.columns, ", ") + ")"
	if x.index.Name == "PRIMARY" {
		x.table.Constraints = append(x.table.Constraints, &schema.Constraint{
			Name: "PRIMARY", Type: schema.PrimaryKey, Definition: "PRIMARY KEY " + columns + x.options, Comment: x.index.Comment, Columns: x.index.Columns,
		})
		return
	}
	x.index.Definition = x.kind + " " + columns + x.options
	x.table.Indexes = append(x.table.Indexes, x.index)
}

func (k *foreignKey) finish() {
	c := k.constraint
	to := ddl.Quote(c.References.Table)
	if c.References.Schema != "" {
		to = ddl.Quote(c.References.Schema) + "." + to
	}
	c.Definition = fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s (%s)%s", names(c.Columns), to, names(c.References.Columns), k.rules)
	k.table.Constraints = append(k.table.Constraints, c)
}

func names(list []string) string {
	var b []string
	for _, n := range list {
		b = append(b, ddl.Quote(n))
	}
	return strings.Join(b, ", ")
}
