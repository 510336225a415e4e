package mysql

import (
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// alteration is what ALTER TABLE has to do to one table. What has to go first, because something of the same
// name comes back, goes in a statement of its own.
type alteration struct {
	*script
	from, to *schema.Table
	first    []string // clauses of the statement before
	clauses  []string
	how      cost
	lost     []string        // what the clauses lose
	remade   map[string]bool // columns that are dropped and added
}

// cost is how the server does an ALTER TABLE, the cheapest first.
type cost int

const (
	instant cost = iota // the catalogue alone
	inplace             // beside readers and writers
	unknown             // the server chooses
	copying             // a copy of the table is made, writes wait
)

func (a *alteration) do(how cost, clause string) {
	a.clauses, a.how = append(a.clauses, clause), max(a.how, how)
}

func (s *script) alter(c diff.Change, from, to *schema.Table) {
	a := &alteration{script: s, from: from, to: to, remade: map[string]bool{}}
	a.findRemade()
	a.drops(c)
	a.columns(c)
	a.adds(c)
	a.options(c)
	s.addTable(a)
}

func (s *script) addTable(a *alteration) {
	name := Quote(a.to.Name)
	var out []ddl.Statement
	oldParts, newParts := schema.Value(a.from.Options, "partitions"), schema.Value(a.to.Options, "partitions")
	more := len(a.clauses)+len(a.first) > 0
	if oldParts != newParts && oldParts != "" && (newParts == "" || more) {
		lock := " "
		if a.losesWrites() {
			lock = "\n  LOCK=SHARED\n  "
		}
		out = append(out, ddl.Statement{SQL: "ALTER TABLE " + name + lock + "REMOVE PARTITIONING", Comment: "Copies the table; writes to it wait. No row is lost."})
	}
	a.atOnce()
	if len(a.first) > 0 {
		if a.losesWrites() {
			a.first = append(a.first, "LOCK=SHARED")
		}
		out = append(out, ddl.Statement{SQL: "ALTER TABLE " + name + "\n  " + strings.Join(a.first, ",\n  "), Comment: "What comes back below in another form. " + strings.Join(a.lost, " "), Destroys: len(a.lost) > 0})
		a.lost = nil
	}
	if len(a.clauses) > 0 {
		out = append(out, a.statement())
	}
	if oldParts != newParts && newParts != "" {
		out = append(out, a.partition(oldParts, newParts, more))
	}
	if len(out) == 0 {
		return
	}
	if s.mariadb && (schema.Value(a.from.Options, "system versioning") != "" || schema.Value(a.to.Options, "system versioning") != "") {
		out = append([]ddl.Statement{{SQL: "SET system_versioning_alter_history = KEEP", Comment: "The past of the table is altered with it."}}, out...)
	}
	s.add(phaseTable, id(a.to.Name), nil, out...)
}

// atOnce has generated columns go and come again in one statement, so that nobody finds them missing between two: the servers
// take that of columns and indexes, though not of constraints.
func (a *alteration) atOnce() {
	computed := func(clause string) bool {
		for name := range a.remade {
			if after := a.to.Column(name); clause == "DROP COLUMN "+Quote(name) {
				return a.from.Column(name).Generated != "" && (after == nil || after.Generated != "")
			}
		}
		return strings.HasPrefix(clause, "DROP INDEX ")
	}
	if slices.ContainsFunc(a.first, func(clause string) bool { return !computed(clause) }) || len(a.first) == 0 {
		return
	}
	if a.onlyVirtual() {
		a.how = instant
	}
	a.clauses, a.first = append(a.first, a.clauses...), nil
}

// onlyVirtual tells whether all that is done is that columns which are computed when they are read are computed otherwise.
func (a *alteration) onlyVirtual() bool {
	for name := range a.remade {
		_, before := generated(a.from.Column(name))
		after := a.to.Column(name)
		if after == nil || before != "virtual" || after.NotNull {
			return false
		}
		if _, kind := generated(after); kind != "virtual" {
			return false
		}
	}
	return len(a.first) == len(a.remade) && len(a.clauses) == len(a.remade) && !a.special(a.from)
}

// partition is the statement that changes the partitions. New ones at the end are added; else the rows are put
// into the new ones, so that none is lost.
func (a *alteration) partition(before, after string, more bool) ddl.Statement {
	name := Quote(a.to.Name)
	if added, ok := AddedPartitions(before, after); ok && !more {
		return ddl.Statement{SQL: "ALTER TABLE " + name + " ADD PARTITION (" + added, Comment: "Adds empty partitions at the end; no row is moved."}
	}
	if a.losesWrites() {
		name += "\n  LOCK=SHARED"
	}
	return ddl.Statement{SQL: "ALTER TABLE " + name + "\n  PARTITION " + after, Comment: "Copies the table into its new partitions; writes to it wait. Fails when a row fits none of them."}
}

// AddedPartitions returns the partitions that are added behind those of a range, which moves no row, and whether
// nothing else differs between two texts of what a table is partitioned by.
func AddedPartitions(before, after string) (added string, only bool) {
	if !strings.HasPrefix(before, "BY RANGE") {
		return "", false
	}
	return strings.CutPrefix(after, strings.TrimSuffix(before, ")")+", ")
}

// losesWrites tells whether the table is one that MariaDB must not copy beside writers, as it does from 11.2 on unless told
// otherwise: of one with partitions it loses some of what is written meanwhile.
func (a *alteration) losesWrites() bool {
	return a.mariadb && schema.Value(a.from.Options, "partitions") != ""
}

func (a *alteration) statement() ddl.Statement {
	st := ddl.Statement{Destroys: len(a.lost) > 0}
	clauses := a.clauses
	if schema.Value(a.from.Options, "engine") != "InnoDB" || schema.Value(a.to.Options, "engine") != "InnoDB" {
		a.how = max(a.how, unknown)
	}
	var comments []string
	switch a.how {
	case instant:
		clauses = append(clauses, "ALGORITHM=INSTANT")
		comments = append(comments, "Changes the catalogue only, or is refused: it needs the table's metadata lock for a moment.")
	case inplace:
		clauses = append(clauses, "ALGORITHM=INPLACE", "LOCK=NONE")
		comments = append(comments, "Works beside readers and writers, or is refused.")
	case unknown:
		comments = append(comments, "The server chooses how: if it has to copy the table, writes wait.")
	default:
		comments = append(comments, "Copies the table and blocks writes meanwhile.")
	}
	if a.how != instant && a.how != inplace && a.losesWrites() {
		clauses = append(clauses, "LOCK=SHARED")
	}
	st.SQL = "ALTER TABLE " + Quote(a.to.Name) + "\n  " + strings.Join(clauses, ",\n  ")
	st.Comment = strings.Join(append(comments, a.lost...), "\n")
	return st
}

// findRemade finds the columns that cannot be modified into what they become: those that are generated in
// another way, and what is generated from them.
func (a *alteration) findRemade() {
	for _, c := range a.to.Columns {
		old := a.from.Column(c.Name)
		if old == nil {
			continue
		}
		_, k1 := generated(old)
		_, k2 := generated(c)
		srid := schema.Value(old.Options, "srid") != schema.Value(c.Options, "srid")
		place := isPlace(old.Type) != isPlace(c.Type)
		if k1 == "stored" && k2 == "" && !srid && !place {
			continue // it keeps what was computed
		}
		if k1 != k2 || k1 != "" && old.Generated != c.Generated || k1 == "stored" && !equal(old, c) || srid || place {
			a.remade[c.Name] = true
		}
	}
	for again := true; again; {
		again = false
		for _, c := range a.to.Columns {
			if old := a.from.Column(c.Name); old != nil && !a.remade[c.Name] && c.Generated != "" && a.readsChanged(c.Generated) {
				a.remade[c.Name], again = true, true
			}
		}
		for _, c := range a.from.Columns { // what goes has to go no later than what it is computed from
			if a.to.Column(c.Name) == nil && !a.remade[c.Name] && c.Generated != "" && a.mentions(c.Generated) {
				a.remade[c.Name], again = true, true
			}
		}
	}
}

// readsChanged tells whether an expression names a column that is not as it was.
func (a *alteration) readsChanged(expression string) bool {
	for _, w := range words.FindAllString(expression, -1) {
		name := strings.ReplaceAll(strings.Trim(w, "`"), "``", "`")
		x, y := a.from.Column(name), a.to.Column(name)
		if a.remade[name] || x != nil && y != nil && !equal(x, y) || x == nil && y != nil {
			return true
		}
	}
	return false
}

// mentions tells whether a definition names a column that is remade.
func (a *alteration) mentions(definition string) bool {
	for _, w := range words.FindAllString(definition, -1) {
		if a.remade[strings.ReplaceAll(strings.Trim(w, "`"), "``", "`")] {
			return true
		}
	}
	return false
}

// drops takes away constraints, indexes and columns.
func (a *alteration) drops(c diff.Change) {
	for _, x := range a.from.Constraints {
		now := a.to.Constraint(x.Name)
		switch {
		case x.Type == schema.ForeignKey:
		case x.Type == schema.PrimaryKey:
			if now == nil || !equal(x, now) || a.mentions(x.Definition) {
				a.do(copying, "DROP PRIMARY KEY")
			}
		case now != nil && equal(x, now) && !a.mentions(x.Definition):
		case a.mentions(x.Definition) || now != nil:
			a.first = append(a.first, "DROP CONSTRAINT "+Quote(x.Name))
		default:
			a.do(unknown, "DROP CONSTRAINT "+Quote(x.Name))
		}
	}
	for _, x := range a.from.Indexes {
		now := a.to.Index(x.Name)
		switch {
		case now != nil && equal(x, now) && !a.mentions(x.Definition) && !blocksChange(a.from, a.to):
		case a.mentions(x.Definition):
			a.first = append(a.first, "DROP INDEX "+Quote(x.Name))
		case now != nil && !blocksChange(a.from, a.to) && a.visibility(x, now):
		default:
			a.do(a.indexCost(x), "DROP INDEX "+Quote(x.Name))
		}
	}
	for _, x := range a.from.Columns {
		if a.remade[x.Name] {
			a.first = append(a.first, "DROP COLUMN "+Quote(x.Name))
			if now := a.to.Column(x.Name); x.Generated == "" || now != nil && now.Generated == "" {
				a.lost = append(a.lost, "Loses the values of the column "+x.Name+".")
			}
			continue
		}
		if a.to.Column(x.Name) == nil {
			a.do(a.dropCost(x), "DROP COLUMN "+Quote(x.Name))
			if x.Generated == "" {
				a.lost = append(a.lost, "Loses the values of the column "+x.Name+".")
			}
		}
	}
	_ = c
}

var blockSize = regexp.MustCompile(`KEY_BLOCK_SIZE=\d+`)

// blocksChange tells whether a table loses the block size that its indexes were made with: they would keep it
// as their own.
func blocksChange(from, to *schema.Table) bool {
	size := blockSize.FindString(schema.Value(from.Options, "options"))
	return size != "" && size != blockSize.FindString(schema.Value(to.Options, "options"))
}

// visibility handles an index that differs in nothing but whether it is used.
func (a *alteration) visibility(x, now *schema.Index) bool {
	word, off := "INVISIBLE", "VISIBLE"
	if a.mariadb {
		word, off = "IGNORED", "NOT IGNORED"
	}
	bare := func(d string) string { return strings.Replace(d, " "+word, "", 1) }
	if bare(x.Definition) != bare(now.Definition) || x.Comment != now.Comment {
		return false
	}
	if strings.Contains(now.Definition, " "+word) {
		off = word
	}
	a.do(inplace, "ALTER INDEX "+Quote(x.Name)+" "+off)
	return true
}

// indexedExpression finds a part of an index that is an expression: (`name`, (lower(`code`))).
var indexedExpression = regexp.MustCompile(`[(,]\s*\(`)

func (a *alteration) indexCost(x *schema.Index) cost {
	if indexedExpression.MatchString(x.Definition) {
		return unknown // an expression is a hidden column, which the server does not add beside writers
	}
	if strings.HasPrefix(x.Definition, "FULLTEXT") || strings.HasPrefix(x.Definition, "SPATIAL") || strings.Contains(x.Definition, "USING") || strings.Contains(x.Definition, "OVERLAPS") || a.mariadb {
		return unknown
	}
	return inplace
}

// dropCost is instant where no index and no other column has to do with it. Where an index goes with it, the
// table is built anew beside readers and writers.
func (a *alteration) dropCost(c *schema.Column) cost {
	if c.Generated != "" || a.special(a.from) {
		return unknown
	}
	for _, x := range a.from.Indexes {
		switch {
		case len(x.Columns) == 0 || slices.Contains(x.Columns, c.Name) && (len(x.Columns) > 1 || a.indexCost(x) == unknown && !a.mariadb):
			return unknown
		case slices.Contains(x.Columns, c.Name):
			return inplace
		}
	}
	for _, x := range a.from.Constraints {
		switch {
		case x.Type == schema.Check && a.to.Constraint(x.Name) == nil, slices.Contains(x.Columns, c.Name) && x.Type != schema.ForeignKey:
			return unknown
		case slices.Contains(x.Columns, c.Name):
			return inplace // an index of that name may be left
		}
	}
	return instant
}

// special tells whether a table is of those whose columns the servers neither add nor drop at once.
func (a *alteration) special(t *schema.Table) bool {
	options := schema.Value(t.Options, "options")
	return strings.Contains(options, "COMPRESSED") || strings.Contains(options, "ENCRYPTION") || schema.Value(t.Options, "partitions") != "" || schema.Value(t.Options, "system versioning") != "" ||
		slices.ContainsFunc(t.Indexes, func(x *schema.Index) bool { return strings.HasPrefix(x.Definition, "FULLTEXT") })
}

// columns adds and modifies columns.
func (a *alteration) columns(c diff.Change) {
	_, order := c.Property("column order")
	recollated := schema.Value(a.from.Options, "collation") != schema.Value(a.to.Options, "collation")
	a.explicit = recollated
	place, last := " FIRST", len(a.to.Columns)
	added := func(x *schema.Column) bool { return a.from.Column(x.Name) == nil || a.remade[x.Name] }
	for last > 0 && added(a.to.Columns[last-1]) {
		last--
	}
	for i, x := range a.to.Columns {
		old := a.from.Column(x.Name)
		if i >= last && !order { // it comes last anyway, whatever the others are called by then
			place = ""
		}
		switch {
		case added(x):
			a.do(a.addCost(x), "ADD COLUMN "+a.column(a.to, x)+place)
		case order:
			a.do(unknown, "MODIFY COLUMN "+a.column(a.to, x)+place)
		case a.onlyDefault(old, x):
			a.do(a.modifyCost(old, x), "ALTER COLUMN "+Quote(x.Name)+" "+setDefault(x))
		case !equal(old, x) || recollated && isText(x.Type):
			a.do(a.modifyCost(old, x), "MODIFY COLUMN "+a.column(a.to, x))
			if old.Type != x.Type {
				a.lost = append(a.lost, "Converts the column "+x.Name+" from "+old.Type+" to "+x.Type+"; in strict mode it fails where a value does not fit.")
			}
		}
		place = " AFTER " + Quote(x.Name)
	}
	a.explicit = false
}

// onlyDefault tells whether nothing differs but a default that ALTER COLUMN can set. MySQL does that in the catalogue also
// where a check of the table compares a date with a constant; then it takes every MODIFY COLUMN for one to copy the table for.
func (a *alteration) onlyDefault(old, now *schema.Column) bool {
	same := *old
	same.Default = now.Default
	return !a.mariadb && !a.explicit && !equal(old, now) && equal(&same, now) && now.Generated == "" && isLiteral(now.Default)
}

// setDefault sets a default that is the same for each row, or none.
func setDefault(c *schema.Column) string {
	switch {
	case c.Default != "":
		return "SET DEFAULT " + c.Default
	case c.NotNull:
		return "DROP DEFAULT"
	}
	return "SET DEFAULT NULL" // without one, strict mode would demand a value
}

func (a *alteration) addCost(c *schema.Column) cost {
	_, kind := generated(c)
	if kind == "stored" || a.special(a.from) || schema.Value(c.Options, "auto_increment") != "" || strings.HasPrefix(c.Default, "(") || strings.HasPrefix(c.Type, "vector") || isPlace(c.Type) {
		return unknown
	}
	if kind == "virtual" && (c.NotNull || len(a.first) > 0) {
		return unknown
	}
	return instant
}

// modifyCost is copying where MySQL's manual says that only COPY can: a change of the type. A default is in the
// catalogue alone; NOT NULL is put on and taken off beside readers and writers.
func (a *alteration) modifyCost(old, now *schema.Column) cost {
	same := *old
	same.Default, same.NotNull = now.Default, now.NotNull
	if a.mariadb || !slices.ContainsFunc(a.to.Constraints, func(k *schema.Constraint) bool { return k.Type == schema.Check }) {
		same.Comment = now.Comment
	}
	if equal(&same, now) && !a.explicit && now.Generated == "" && !a.special(a.from) && schema.Value(now.Options, "check") == "" {
		switch {
		case old.NotNull == now.NotNull:
			return instant
		case a.mariadb && now.NotNull && (now.Default != "" && !isLiteral(now.Default) || strings.HasPrefix(now.Type, "timestamp")):
			return copying // MariaDB builds no table beside writers whose NULLs would become what each session reads otherwise
		}
		return inplace
	}
	if before, after := schema.Value(old.Options, "auto_increment"), schema.Value(now.Options, "auto_increment"); before != after && (!a.mariadb || after != "") {
		return copying
	}
	if old.Type != now.Type && !strings.HasPrefix(now.Type, "varchar") && !strings.HasPrefix(now.Type, "enum") {
		return copying
	}
	return unknown
}

// isLiteral tells whether a default is the same for each row.
func isLiteral(expression string) bool {
	return !strings.HasPrefix(expression, "(") && !strings.HasPrefix(expression, "CURRENT_")
}

// adds adds keys, indexes and checks.
func (a *alteration) adds(diff.Change) {
	for _, x := range a.to.Constraints {
		old := a.from.Constraint(x.Name)
		if x.Type == schema.ForeignKey || old != nil && equal(old, x) && !a.mentions(x.Definition) {
			continue
		}
		a.do(copying, "ADD "+a.constraint(x))
	}
	for _, x := range a.to.Indexes {
		old := a.from.Index(x.Name)
		if old != nil && !a.mentions(x.Definition) && !blocksChange(a.from, a.to) {
			if equal(old, x) || slices.ContainsFunc(a.clauses, func(c string) bool { return strings.HasPrefix(c, "ALTER INDEX "+Quote(x.Name)+" ") }) {
				continue
			}
		}
		a.do(a.indexCost(x), "ADD "+a.index(x))
	}
}

// options changes what is set of the table itself.
func (a *alteration) options(c diff.Change) {
	for _, p := range c.Properties {
		switch p.Name {
		case "engine":
			a.engine(c, p)
		case "collation":
			a.do(copying, "DEFAULT CHARACTER SET="+charset(p.To)+" COLLATE="+p.To)
		case "options":
			for _, o := range optionChanges(p.From, p.To) {
				if onlyAria := strings.HasPrefix(o, "TRANSACTIONAL=") || strings.HasPrefix(o, "PAGE_CHECKSUM="); !onlyAria || schema.Value(a.to.Options, "engine") == "Aria" {
					a.do(unknown, o)
				}
			}
		case schema.PropertyComment:
			how := inplace
			if a.special(a.from) || a.special(a.to) {
				how = unknown
			}
			a.do(how, "COMMENT="+Literal(p.To))
		case "period":
			if p.From != "" && !strings.HasPrefix(p.From, "SYSTEM_TIME") {
				name, _, _ := strings.Cut(p.From, " (")
				a.do(unknown, "DROP PERIOD FOR "+name)
			}
			if p.To != "" {
				a.do(unknown, "ADD PERIOD FOR "+p.To)
			}
		case "system versioning":
			switch {
			case p.To != "" && a.partlyVersioned(): // no column is without what the table has not
				a.first = append(a.first, "ADD SYSTEM VERSIONING")
			case p.To != "":
				a.do(copying, "ADD SYSTEM VERSIONING")
			default:
				a.first = append(a.first, "DROP SYSTEM VERSIONING")
				a.lost = append(a.lost, "Loses the past of the rows.")
			}
		}
	}
}

// engine changes the engine. MariaDB does not for a table that has system versioning, when one of the two is
// InnoDB (error 4120): then it is done while the table has none, together with ADD SYSTEM VERSIONING.
func (a *alteration) engine(c diff.Change, p diff.PropertyChange) {
	clause := "ENGINE=" + p.To
	_, changes := c.Property("system versioning")
	stays := schema.Value(a.to.Options, "system versioning") != "" && !changes
	switch {
	case changes && schema.Value(a.to.Options, "system versioning") != "" && a.partlyVersioned():
		a.first = append(a.first, clause)
	case stays && (p.From == "InnoDB" || p.To == "InnoDB"):
		a.first = append(a.first, "DROP SYSTEM VERSIONING")
		a.lost = append(a.lost, "Loses the past of the rows.")
		a.do(copying, clause)
		a.do(copying, "ADD SYSTEM VERSIONING")
	default:
		a.do(copying, clause)
	}
}

// partlyVersioned tells whether the new table has columns whose past is not kept.
func (a *alteration) partlyVersioned() bool {
	return slices.ContainsFunc(a.to.Columns, func(c *schema.Column) bool { return schema.Value(c.Options, "without system versioning") != "" })
}

// optionChanges are the options to set, those that are gone to what they are without being set.
func optionChanges(from, to string) []string {
	var out []string
	for _, o := range strings.Fields(to) {
		if !slices.Contains(strings.Fields(from), o) {
			out = append(out, o)
		}
	}
	for _, o := range strings.Fields(from) {
		name, _, _ := strings.Cut(o, "=")
		if slices.ContainsFunc(strings.Fields(to), func(x string) bool { return strings.HasPrefix(x, name+"=") }) {
			continue
		}
		switch name {
		case "ROW_FORMAT", "STATS_PERSISTENT", "STATS_AUTO_RECALC", "STATS_SAMPLE_PAGES", "PACK_KEYS", "PAGE_COMPRESSED", "PAGE_COMPRESSION_LEVEL", "ENCRYPTED", "ENCRYPTION_KEY_ID", "TRANSACTIONAL", "PAGE_CHECKSUM":
			out = append(out, name+"=DEFAULT")
		case "COMPRESSION", "CONNECTION":
			out = append(out, name+"=''")
		case "ENCRYPTION":
			out = append(out, name+"='N'")
		default:
			out = append(out, name+"=0")
		}
	}
	slices.Sort(out)
	return out
}
