package recipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// Remake writes a table anew in another form of the same columns: with expressions that generated columns are computed by,
// collations, character sets or a place of its own that the server would give it only while nobody reads or writes it.
// PostgreSQL and MySQL get a second table beside it, MariaDB copies it beside writers by itself. It comes from differences.
type Remake struct {
	Table   Table
	Form    *schema.Table // as it is wanted, by the names that are there before contract
	Because []string      // what differs that makes it necessary, for people
}

// String implements Operation.
func (o Remake) String() string {
	return fmt.Sprintf("write table %s anew, for %s", o.Table, strings.Join(o.Because, ", "))
}

func (o Remake) on() Table { return o.Table }

// recipe is that of the second table. Where there can be none the difference is settled in place, and the plan says so.
func (o Remake) recipe(p *planner) (recipe, error) {
	var r recipe
	var err error
	switch p.engine.name() {
	case "postgres":
		r, err = o.twin(p)
	default:
		r, err = o.second(p)
	}
	var refused *Error
	if errors.As(err, &refused) {
		p.note("%s", o.inPlace(refused.Reason, refused.Next))
		return nothing{}, nil
	}
	return r, err
}

// inPlace says that the application will wait, why, and what to do instead.
func (o Remake) inPlace(why, next string) string {
	text := fmt.Sprintf("Readers and writers of %s wait at contract until the table is written anew, for %s: %s.", o.Table, strings.Join(o.Because, ", "), why)
	if next != "" {
		text += " Instead: " + next + "."
	}
	return text
}

func (o Remake) twin(p *planner) (*twin, error) {
	return newTwin(p, o, o.Table, nil, func(next *schema.Table) error {
		var texts []string
		for _, c := range next.Columns {
			if to := o.Form.Column(c.Name); to != nil && to.Collation != c.Collation {
				texts = append(texts, c.Name)
			}
		}
		if key := uniqueOver(next, texts); key != "" {
			return o.keyed(key)
		}
		for i, c := range next.Columns {
			if to := o.Form.Column(c.Name); to != nil {
				next.Columns[i] = remadeColumn(c, to)
			}
		}
		for _, name := range remadeOptions() {
			setOption(next, name, schema.Value(o.Form.Options, name))
		}
		next.Options = slices.DeleteFunc(next.Options, func(x schema.Property) bool { return x.Value == "" })
		return nil
	})
}

// keyed refuses a unique key over texts whose collation changes.
func (o Remake) keyed(key string) error {
	return recollated(o, key, "drop the key in a change before, and add it again in one afterwards")
}

func (o Remake) second(p *planner) (*second, error) {
	charsets := map[string][2]string{} // of columns that get another one
	r, err := newSecond(p, o, o.Table, func(next *schema.Table) error {
		before, after := schema.Value(next.Options, "collation"), schema.Value(o.Form.Options, "collation")
		var texts []string
		for i, c := range next.Columns {
			to := o.Form.Column(c.Name)
			if to == nil {
				continue
			}
			if a, b := or(c.Collation, before), or(to.Collation, after); byBytes.MatchString(c.Type) && c.Type != "json" && a != b {
				texts = append(texts, c.Name)
				charsets[c.Name] = [2]string{charsetOf(a), charsetOf(b)}
			}
			next.Columns[i] = remadeColumn(c, to)
		}
		if key := uniqueOver(next, texts); key != "" && p.engine.name() == "mysql" {
			return o.keyed(key)
		}
		setOption(next, "collation", after)
		if p.engine.name() == "mysql" {
			setOption(next, "partitions", schema.Value(o.Form.Options, "partitions"))
		}
		next.Options = slices.DeleteFunc(next.Options, func(x schema.Property) bool { return x.Value == "" })
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.converts(p, charsets)
	return r, nil
}

// remadeColumn is a column with what only a table that is written anew can give it.
func remadeColumn(c, to *schema.Column) *schema.Column {
	next := *c
	next.Collation = to.Collation
	if c.Generated != "" && to.Generated != "" {
		next.Generated, next.Type, next.NotNull = to.Generated, to.Type, to.NotNull
		next.Needs = to.Needs
	}
	return &next
}

// remadeOptions are what PostgreSQL changes of a table only by writing all of it anew.
func remadeOptions() []string { return []string{"persistence", "access method", "tablespace"} }
