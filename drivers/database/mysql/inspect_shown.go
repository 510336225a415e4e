package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/switchbackdb/switchback/schema"
)

// readShown reads the statements of what information_schema does not tell all of.
func (in *inspection) readShown(ctx context.Context, q schema.Queryer) error {
	var statements []string
	var take []func(r []string)
	for _, x := range in.shown {
		statements = append(statements, x.statement)
		take = append(take, func(r []string) {
			if m := x.body.FindStringSubmatch(r[x.column]); m != nil {
				x.take(unterminated(m[1]))
			}
		})
	}
	add := func(statement string, f func(r []string)) {
		statements, take = append(statements, statement), append(take, f)
	}
	for _, t := range in.schema.Tables {
		if in.special[t.Name] {
			add("SHOW CREATE TABLE "+quote(t.Name), func(r []string) { in.shownTable(t, r[1]) })
		}
	}
	for _, s := range in.schema.Sequences {
		add("SHOW CREATE SEQUENCE "+quote(s.Name), func(r []string) { s.Definition = sequence(r[1]) })
	}
	if !in.mariadb {
		for _, v := range in.schema.Views {
			if v.Definition != "" {
				add("SHOW CREATE VIEW "+quote(v.Name), func(r []string) { in.shownView(v, r[1]) })
			}
		}
	}
	err := show(ctx, q, statements, func(i int, r []string) { take[i](r) })
	var refused *mysql.MySQLError
	if errors.As(err, &refused) && slices.Contains([]uint16{1142, 1227, 1044, 1143}, refused.Number) {
		in.uncovered = append(in.uncovered, schema.Census{Kind: "statement", Count: len(statements), Why: "no right to SHOW CREATE some of the tables, views and sequences: " + refused.Message})
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the statements that made tables, views and sequences: %w", err)
	}
	return nil
}

// shown is a SHOW CREATE of a program, and what becomes of the body in it.
type shown struct {
	statement string
	column    int // of the statement in the row
	body      *regexp.Regexp
	take      func(body string)
}

const (
	quotedName = "(?:`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\")"
	literal    = `'(?:[^'\\]|''|\\.)*'`
)

// The statements of programs, as both servers write them; their group is the body.
var (
	routineBody = regexp.MustCompile(`(?s)^CREATE (?:DEFINER=` + quotedName + `(?:@` + quotedName + `)? )?(?:AGGREGATE )?(?:FUNCTION|PROCEDURE) ` + quotedName +
		`\s*(?:\((?:[^()]|\([^()]*\))*\))?(?: RETURNS? [^\n]*)?\n(?:    (?:NO SQL|READS SQL DATA|MODIFIES SQL DATA|DETERMINISTIC|SQL SECURITY INVOKER|COMMENT ` + literal + `)\n)*(.*)$`)
	packageBody = regexp.MustCompile(`(?s)^CREATE (?:DEFINER=` + quotedName + `(?:@` + quotedName + `)? )?PACKAGE (?:BODY )?` + quotedName + `\s*(?:(?:SQL SECURITY INVOKER|COMMENT ` + literal + `)\s*)*(.*)$`)
	eventBody   = regexp.MustCompile(`(?s) ON COMPLETION (?:NOT )?PRESERVE (?:ENABLE|DISABLE(?: ON (?:SLAVE|REPLICA))?)(?: COMMENT ` + literal + `)? DO (.*)$`)
	triggerBody = regexp.MustCompile(`(?is)\bFOR\s+EACH\s+ROW\s+(?:(?:FOLLOWS|PRECEDES)\s+(?:` + quotedName + `|\w+)\s+)?(.*)$`)
)

// spoiled notes that a program's body has to be read from its statement: information_schema takes the escapes and
// character sets out of its literals.
func (in *inspection) spoiled(body string, x shown) {
	if strings.ContainsAny(body, "'\"\\") {
		in.shown = append(in.shown, x)
	}
}

var viewAlgorithm = regexp.MustCompile(`^CREATE ALGORITHM=(\w+)`)

// shownView reads from the statement of a view how it is run, and its query with the character sets of its
// literals, which information_schema leaves out.
func (in *inspection) shownView(v *schema.View, statement string) {
	v.Options = append(v.Options, property("algorithm", algorithm(statement)))
	if _, query, ok := strings.Cut(statement, " VIEW "+quote(v.Name)+" AS "); ok {
		if check := schema.Value(v.Options, "check option"); check != "" {
			query = strings.TrimSuffix(query, " WITH "+check+" CHECK OPTION")
		}
		v.Source = in.runnable(query)
	}
}

func algorithm(statement string) string {
	if m := viewAlgorithm.FindStringSubmatch(statement); m != nil && m[1] != "UNDEFINED" {
		return m[1]
	}
	return ""
}

// sequence takes the name and the engine out of the statement of a sequence, and a type that is the usual
// one.
func sequence(statement string) string {
	tokens := scan(statement)
	for len(tokens) > 0 && tokens[0].kind != 'n' {
		tokens = tokens[1:]
	}
	text := join(tokens[min(1, len(tokens)):])
	text, _, _ = strings.Cut(text, " ENGINE=")
	return strings.TrimPrefix(text, "as bigint ")
}

var (
	keyLine    = regexp.MustCompile("^\\s*(?:UNIQUE |FULLTEXT |SPATIAL )?KEY `((?:[^`]|``)+)` ")
	parser     = regexp.MustCompile("WITH PARSER `?(\\w+)`?")
	blockSize  = regexp.MustCompile(`KEY_BLOCK_SIZE=\d+`)
	using      = regexp.MustCompile(` USING \w+`)
	noOverlaps = regexp.MustCompile("`([^`]+)` WITHOUT OVERLAPS")
	period     = regexp.MustCompile("^\\s*PERIOD FOR (SYSTEM_TIME|`[^`]+`) \\(`([^`]+)`, `([^`]+)`\\),?$")
)

// shownTable reads from the statement of a table what else is not to be had: parsers and block sizes of
// indexes, periods, partitions.
func (in *inspection) shownTable(t *schema.Table, statement string) {
	body, tail, _ := strings.Cut(statement, "\n) ENGINE=")
	for _, line := range strings.Split(body, "\n") {
		if m := keyLine.FindStringSubmatch(line); m != nil {
			shownIndex(t.Index(strings.ReplaceAll(m[1], "``", "`")), line, schema.Value(t.Options, "engine"))
		}
		if key := t.Constraint("PRIMARY"); key != nil && strings.HasPrefix(line, "  PRIMARY KEY ") {
			key.Definition += using.FindString(line)
		}
		if m := period.FindStringSubmatch(line); m != nil {
			in.shownPeriod(t, strings.Trim(m[1], "`"), m[2], m[3])
		}
	}
	options, partitions, _ := strings.Cut(tail, "PARTITION BY ")
	if strings.Contains(options, "WITH SYSTEM VERSIONING") {
		t.Options = append(t.Options, property("system versioning", "yes"))
	}
	if partitions != "" {
		partitions = strings.TrimSuffix(strings.TrimSpace(partitions), "*/")
		partitions = regexp.MustCompile(`\s+COLUMNS\s*\(`).ReplaceAllString(partitions, " COLUMNS (")
		partitions = regexp.MustCompile(`\s*\bENGINE = \w+`).ReplaceAllString(partitions, "")
		tokens := plain(scan(partitions))
		t.Options = append(t.Options, property("partitions", "BY "+strings.ReplaceAll(join(tokens), ",PARTITION", ", PARTITION")))
	}
}

func shownIndex(x *schema.Index, line, engine string) {
	if x == nil {
		return
	}
	if engine != "InnoDB" {
		x.Definition += using.FindString(line)
	}
	if m := parser.FindStringSubmatch(line); m != nil {
		x.Definition += " WITH PARSER " + m[1]
	}
	if m := blockSize.FindString(line); m != "" {
		x.Definition += " " + m
	}
	if m := noOverlaps.FindStringSubmatch(line); m != nil && len(x.Columns) > 2 {
		x.Columns = x.Columns[:len(x.Columns)-2]
		x.Definition = "UNIQUE INDEX (" + names(x.Columns) + ", " + names(m[1:]) + " WITHOUT OVERLAPS)"
	}
}

// shownPeriod notes a period, and takes out what the server made for it: a check, and a column at the end
// of the primary key.
func (in *inspection) shownPeriod(t *schema.Table, name, from, to string) {
	t.Options = append(t.Options, property("period", name+" ("+names([]string{from, to})+")"))
	t.Constraints = slices.DeleteFunc(t.Constraints, func(c *schema.Constraint) bool { return c.Type == schema.Check && c.Name == name })
	if name != "SYSTEM_TIME" {
		return
	}
	key := t.Constraint("PRIMARY")
	if key != nil && len(key.Columns) > 1 && key.Columns[len(key.Columns)-1] == to {
		key.Columns = key.Columns[:len(key.Columns)-1]
		key.Definition = strings.Replace(key.Definition, ", "+names([]string{to})+")", ")", 1)
	}
	for _, x := range t.Indexes {
		if x.Unique && len(x.Columns) > 1 && x.Columns[len(x.Columns)-1] == to {
			x.Columns = x.Columns[:len(x.Columns)-1]
			x.Definition = strings.Replace(x.Definition, ", "+names([]string{to})+")", ")", 1)
		}
	}
}
