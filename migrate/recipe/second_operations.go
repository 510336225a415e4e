package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// PartitionTable partitions a table, or partitions it in another way.
type PartitionTable struct {
	Table Table
	By    string // as behind PARTITION BY, with the partitions, such as RANGE (id) (PARTITION p0 VALUES LESS THAN (1000))
}

// String implements Operation.
func (o PartitionTable) String() string {
	return fmt.Sprintf("partition table %s by (%s)", o.Table, o.By)
}

func (o PartitionTable) on() Table { return o.Table }

func (o PartitionTable) recipe(p *planner) (recipe, error) {
	if p.engine.name() == "postgres" {
		return newPartitioned(p, o)
	}
	if p.engine.name() == "mariadb" && copiesOnline(p.begun.Version) {
		return nil, &Error{
			o, "MariaDB loses writes that come while it copies a table that has partitions, as the way back would have it do",
			"write an ALTER TABLE by hand, with switchback new, its rollback with LOCK=SHARED, and run them in a window without writes",
		}
	}
	return newSecond(p, o, o.Table, func(t *schema.Table) error {
		setOption(t, "partitions", "BY "+o.By)
		return o.within(p, t)
	})
}

// within refuses a key that does not hold the columns of the partitions: the server would, once it makes the table.
func (o PartitionTable) within(p *planner, t *schema.Table) error {
	key, depth := "", 0
	for _, k := range sqltoken.Split(o.By, sqltoken.Of(p.engine.name())) {
		switch {
		case k.IsSign("("):
			depth++
		case k.IsSign(")"):
			depth--
		}
		if depth == 0 && key != "" {
			break
		}
		if depth > 0 {
			key += k.Raw + " "
		}
	}
	lacks := func(columns []string) string {
		for _, c := range named(p.engine, t, key) {
			if !slices.Contains(columns, c) {
				return c
			}
		}
		return ""
	}
	for _, k := range t.Constraints {
		if k.Type != schema.PrimaryKey && k.Type != schema.Unique {
			continue
		}
		if c := lacks(k.Columns); c != "" {
			return o.apart(or(k.Name, "PRIMARY"), c)
		}
	}
	for _, x := range t.Indexes {
		if c := lacks(x.Columns); x.Unique && c != "" {
			return o.apart(x.Name, c)
		}
	}
	return nil
}

func (o PartitionTable) apart(key, column string) error {
	return &Error{
		o, fmt.Sprintf("key %s does not hold column %s: the server sees to a key within each partition only", word(key), word(column)),
		"partition it by columns of the keys, or drop the key, or make it one with that column, in a change of its own before",
	}
}

// ConvertTable writes a table, and its texts that have its collation, in another character set or collation.
type ConvertTable struct {
	Table     Table
	Charset   string
	Collation string
}

// String implements Operation.
func (o ConvertTable) String() string {
	return fmt.Sprintf("convert table %s charset %s collate %s", o.Table, word(o.Charset), word(o.Collation))
}

func (o ConvertTable) on() Table { return o.Table }

func (o ConvertTable) recipe(p *planner) (recipe, error) {
	if charsetOf(o.Collation) != o.Charset {
		return nil, &Error{o, fmt.Sprintf("%s is no collation of %s", word(o.Collation), word(o.Charset)), "switchback help plan"}
	}
	var before string
	var converted []string
	r, err := newSecond(p, o, o.Table, func(t *schema.Table) error {
		before = schema.Value(t.Options, "collation")
		for _, c := range t.Columns {
			if byBytes.MatchString(c.Type) && c.Type != "json" && (c.Collation == before || c.Collation == "") {
				converted = append(converted, c.Name)
			}
		}
		if key := uniqueOver(t, converted); key != "" {
			return recollated(o, key, "take the column out of the table's conversion by giving it the new collation in a change of its own, or drop the key first and add it again afterwards")
		}
		setOption(t, "collation", o.Collation)
		for i, c := range t.Columns {
			if !slices.Contains(converted, c.Name) {
				continue
			}
			next := *c
			next.Collation = ""
			if charsetOf(before) != o.Charset {
				next.Type = longer(c.Type)
			}
			t.Columns[i] = &next
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sets := map[string][2]string{}
	for _, c := range converted {
		sets[c] = [2]string{charsetOf(before), o.Charset}
	}
	r.converts(p, sets)
	return r, nil
}

// converts has columns written in another character set, and asks for rows that it has no letters for.
func (r *second) converts(p *planner, sets map[string][2]string) {
	e := p.engine
	var lost []string
	for _, c := range r.columns {
		from, to := sets[c][0], sets[c][1]
		if from == to {
			continue
		}
		q := e.quote(c)
		r.there[c], r.back[c] = "CONVERT("+q+" USING "+to+")", "CONVERT("+q+" USING "+from+")"
		if to != "utf8mb4" { // which has all letters
			lost = append(lost, e.distinct(q, "CONVERT("+r.there[c]+" USING "+from+")", r.types[0][c]))
		}
	}
	if len(lost) > 0 {
		from := fmt.Sprintf("FROM %s\nWHERE %s", e.table(r.table), strings.Join(lost, "\n   OR "))
		p.draft.Checks = append(p.draft.Checks, Check{
			What: fmt.Sprintf("rows of %s have letters that the new character set has not", r.table), Fatal: true,
			Count: "SELECT count(*)\n" + from, Rows: "SELECT *\n" + from + "\nLIMIT 5",
		})
	}
}

// charsetOf is the character set of a collation: its name begins with it.
func charsetOf(collation string) string {
	name, _, _ := strings.Cut(collation, "_")
	if name == "uca1400" { // MariaDB leaves the character set out
		return "utf8mb4"
	}
	return name
}

// longer is the text type that has room for the same letters where each takes up to four bytes.
func longer(typ string) string {
	switch typ {
	case "tinytext":
		return "text"
	case "text":
		return "mediumtext"
	case "mediumtext":
		return "longtext"
	}
	return typ
}

// recollated refuses a second table where a unique key is over texts whose collation changes.
func recollated(op Operation, key, next string) error {
	return &Error{op, fmt.Sprintf("the unique key %s compares texts by the collation that changes: two that differ may be the same afterwards, or the other way round, and then one of the two tables could not hold both", word(key)), next}
}

// uniqueOver is the name of a unique key over one of some columns, if there is any.
func uniqueOver(t *schema.Table, columns []string) string {
	over := func(list []string) bool {
		return slices.ContainsFunc(list, func(c string) bool { return slices.Contains(columns, c) })
	}
	for _, k := range t.Constraints {
		if (k.Type == schema.Unique || k.Type == schema.PrimaryKey) && over(k.Columns) {
			return or(k.Name, "PRIMARY")
		}
	}
	for _, x := range t.Indexes {
		if x.Unique && over(x.Columns) {
			return x.Name
		}
	}
	return ""
}

// secondType changes the type of a column of the primary key by a second table.
func secondType(p *planner, o ChangeType, table Table, c *schema.Column) (recipe, error) {
	q := p.engine.quote(o.Column)
	up, down, total, ok := p.engine.conversion(o.Column, o.Column, c.Type, o.Type)
	if !ok || !total {
		return nil, &Error{o, fmt.Sprintf("%s cannot become %s without a loss", word(o.Column), o.Type), "a key takes a wider type only"}
	}
	r, err := newSecond(p, o, table, func(t *schema.Table) error {
		for i, x := range t.Columns {
			if x.Name == o.Column {
				next := *x
				next.Type = o.Type
				t.Columns[i] = &next
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.there[o.Column] = up
	r.back[o.Column] = fmt.Sprintf("CASE WHEN (%s) = %s THEN (%s) END", down, q, down)
	if s, ok := exact(c.Type); ok && !s.decimal { // a key that does not fit any more is none
		r.back[o.Column] = fmt.Sprintf("CASE WHEN %s BETWEEN %s AND %s THEN %s END", q, s.low, s.high, q)
	}
	return r, nil
}

func setOption(t *schema.Table, name, value string) {
	t.Options = slices.Clone(t.Options)
	for i, o := range t.Options {
		if o.Name == name {
			t.Options[i].Value = value
			return
		}
	}
	t.Options = append(t.Options, schema.Property{Name: name, Value: value})
}
