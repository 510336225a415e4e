package recipes

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// engines are the columns of the matrix.
func engines() []string { return []string{"postgres", "mysql", "mariadb", "sqlite"} }

// text is SQL that engines may have their own version of; the one under "" is everybody's.
type text map[string]string

func (s text) on(engine string) string {
	if own, ok := s[engine]; ok {
		return own
	}
	return s[""]
}

func every(sql string) text { return text{"": sql} }

// Verdicts. Everything that begins with refused goes on with the reason.
const (
	works   = "works"
	refused = "refused: "
	absent  = "there is no such thing"
	notYet  = "not yet"
)

// matrixCase is a row of the matrix.
type matrixCase struct {
	name       string
	operations text     // one a line
	fromSchema bool     // it is planned from the difference of before and after; operations say what no schema can
	renames    []string // confirmed ones, of what is planned from a schema
	before     text     // the schema that the change is planned on
	after      text     // the schema that is there in the end
	blue       shape
	green      shape // an empty table: green has none
	relations  []relation
	view       *view             // that both versions read; may be nil
	verdicts   map[string]string // where it is not works
	back       func(old values)  // what the rollback of expand makes of a row that only the new shape allows; may be nil
	upsertless bool              // no row is written with ON CONFLICT
	retypes    bool              // a column has another type or collation after contract, and the relations do not say so
	freer      bool              // green may write rows that a constraint keeps from coming back, as docs/plan.md says
	role       text              // that the clients work as; none is the owner
	missing    bool              // clients do again what did not find a routine
	late       string            // a statement that the server takes once the change is contracted

	adapt func(c *matrixCase, engine string) // what is otherwise on an engine; may be nil
}

// on is the case on an engine.
func (c *matrixCase) on(engine string) *matrixCase {
	own := *c
	if c.adapt != nil {
		c.adapt(&own, engine)
	}
	return &own
}

// untyped is for SQLite, which keeps every value whatever the type says.
func untyped(c *matrixCase, engine string) {
	if engine == "sqlite" {
		c.relations = []relation{converted(c.relations[0].old[0], asIs, asIs)}
	}
}

// verdict is what the matrix says for an engine.
func (c *matrixCase) verdict(engine string) string {
	if v, ok := c.verdicts[engine]; ok {
		return v
	}
	return works
}

// address is the URL that the clients use. Where a column changes its type under its name, no client can
// keep statements that were prepared before.
func (c *matrixCase) address(url, engine string) string {
	switch role := c.role.on(engine); {
	case role == "":
	case engine == "postgres":
		url += "&role=" + role
	default:
		url = strings.Replace(url, "//root:", "//"+role+":", 1)
	}
	retypes := c.retypes || slices.ContainsFunc(c.relations, func(r relation) bool { return r.hidden })
	if retypes && engine == "postgres" {
		return url + "&default_query_exec_mode=simple_protocol"
	}
	return url
}

// renamed is a relation of columns that say the same.
func renamed(from, to string) relation {
	return relation{
		old: []string{from}, new: []string{to},
		up:   func(old values) values { return values{to: old[from]} },
		down: func(new values) values { return values{from: new[to]} },
	}
}

// converted is a relation of a column to itself with another type.
func converted(name string, up, down func(v string) any) relation {
	through := func(f func(string) any) func(values) values {
		return func(from values) values {
			if from[name] == nil {
				return values{name: nil}
			}
			return values{name: f(from[name].(string))}
		}
	}
	return relation{old: []string{name}, new: []string{name}, up: through(up), down: through(down), hidden: true}
}

func asIs(v string) any { return v }

// cut returns the first letters of a text.
func cut(n int) func(string) any {
	return func(v string) any { return string([]rune(v)[:min(n, len([]rune(v)))]) }
}

// instead returns a text in the place of another, and others as they are.
func instead(of, text string) func(string) any {
	return func(v string) any {
		if v == of {
			return text
		}
		return v
	}
}

func number(v string) int64 {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// within brings a number into the range of an int.
func within(v string) any {
	return strconv.FormatInt(max(-2147483648, min(2147483647, number(v))), 10)
}

// Values that clients write.
var (
	words  = cycle("Ada", "", "O'Hara \\ \"x\"", "Łódź", "name", " a  b ", "NULL", "0", "%_", "日本語")
	maybe  = cycle("Ada", nil, "", "Łódź", nil, "x")
	counts = func(n int) any { return strconv.Itoa([]int{0, 1, -1, 7, 32768, 2147483647, -2147483647}[n%7]) }
	apart  = func(n int) any { return fmt.Sprintf("no %d", n) }
)

// note is a column that no change is about.
var note = column{name: "note", values: maybe}

// cases is the table.
func cases() []*matrixCase {
	return append([]*matrixCase{
		{
			name:       "rename column",
			operations: every("rename column items.name full_name"),
			before: every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60) DEFAULT 'nobody' NOT NULL, note varchar(60),
CONSTRAINT items_named CHECK (name <> 'nothing'));
CREATE INDEX items_name ON items (name);`),
			after: every(`CREATE TABLE items (id bigint PRIMARY KEY, full_name varchar(60) DEFAULT 'nobody' NOT NULL, note varchar(60),
CONSTRAINT items_named CHECK (full_name <> 'nothing'));
CREATE INDEX items_name ON items (full_name);`),
			blue:      shape{table: "items", columns: []column{{name: "name", values: words, initial: "nobody"}, note}},
			green:     shape{table: "items", columns: []column{{name: "full_name", values: words, initial: "nobody"}, note}},
			relations: []relation{renamed("name", "full_name")},
		},
		{
			name:       "rename column with NULLs and a unique key",
			operations: every("rename column items.code to \"Code No\""),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, code varchar(60), note varchar(60), CONSTRAINT items_code UNIQUE (code));`),
			after: text{
				"":        `CREATE TABLE items (id bigint PRIMARY KEY, "Code No" varchar(60), note varchar(60), CONSTRAINT items_code UNIQUE ("Code No"));`,
				"mysql":   "CREATE TABLE items (id bigint PRIMARY KEY, `Code No` varchar(60), note varchar(60), CONSTRAINT items_code UNIQUE (`Code No`));",
				"mariadb": "CREATE TABLE items (id bigint PRIMARY KEY, `Code No` varchar(60), note varchar(60), CONSTRAINT items_code UNIQUE (`Code No`));",
			},
			blue:      shape{table: "items", columns: []column{{name: "code", values: sometimes(apart), unique: true}, note}},
			green:     shape{table: "items", columns: []column{{name: "Code No", values: sometimes(apart), unique: true}, note}},
			relations: []relation{renamed("code", "Code No")},
		},
		{
			name:       "change type, wider number",
			operations: every("change type items.n bigint"),
			before: every(`CREATE TABLE items (id bigint PRIMARY KEY, n int DEFAULT 7 NOT NULL, note varchar(60), CONSTRAINT items_n CHECK (n <> 13));
CREATE INDEX items_by_n ON items (n);`),
			after: every(`CREATE TABLE items (id bigint PRIMARY KEY, n bigint DEFAULT 7 NOT NULL, note varchar(60), CONSTRAINT items_n CHECK (n <> 13));
CREATE INDEX items_by_n ON items (n);`),
			blue:      shape{table: "items", columns: []column{{name: "n", values: counts, initial: "7"}, note}},
			green:     shape{table: "items", columns: []column{{name: "n", values: counts, late: cycle("3000000000", "-9000000000000", "2147483648"), initial: "7"}, note}},
			relations: []relation{converted("n", asIs, within)},
			adapt:     untyped,
		},
		{
			name:       "change type, shorter text",
			operations: every("change type items.name varchar(5)"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(40), note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(5), note varchar(60));`),
			blue:       shape{table: "items", columns: []column{{name: "name", values: cycle("Ada", "Ada Lovelace", nil, "Łódź i okolice", "x", "")}, note}},
			green:      shape{table: "items", columns: []column{{name: "name", values: cycle("Ada", "", nil, "Łódź", "xy")}, note}},
			relations:  []relation{converted("name", cut(5), asIs)},
			adapt:      untyped,
		},
		{
			name:       "change type, text to number",
			operations: every("change type items.n int"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, n text, note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60));`),
			blue:       shape{table: "items", columns: []column{{name: "n", values: cycle("1", "twelve", nil, " 7 ", "-4", "99999999999", "", "+5", "007")}, note}},
			green:      shape{table: "items", columns: []column{{name: "n", values: cycle("1", "2", nil, "-4", "2147483647")}, note}},
			relations: []relation{converted("n", func(v string) any {
				n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
				if err != nil {
					return nil
				}
				return within(strconv.FormatInt(n, 10))
			}, asIs)},
			adapt: func(c *matrixCase, engine string) {
				if engine == "sqlite" { // there is no end of what a number holds
					c.relations = []relation{converted("n", func(v string) any {
						n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
						if err != nil {
							return nil
						}
						return strconv.FormatInt(n, 10)
					}, asIs)}
				}
			},
		},
		{
			name: "change type, time with a zone",
			operations: text{
				"":         "change type items.at datetime(6)",
				"postgres": "change type items.at timestamp with time zone",
			},
			before: text{
				"":         `CREATE TABLE items (id bigint PRIMARY KEY, at timestamp(6) NULL, note varchar(60));`,
				"postgres": `CREATE TABLE items (id bigint PRIMARY KEY, at timestamp, note varchar(60));`,
			},
			after: text{
				"":         `CREATE TABLE items (id bigint PRIMARY KEY, at datetime(6), note varchar(60));`,
				"postgres": `CREATE TABLE items (id bigint PRIMARY KEY, at timestamp with time zone, note varchar(60));`,
			},
			blue:  shape{table: "items", columns: []column{{name: "at", values: cycle("2026-01-02 03:04:05", nil, "2000-02-29 23:59:59.123456")}, note}},
			green: shape{table: "items", columns: []column{{name: "at", values: cycle("2026-01-02 03:04:05+00", nil, "2000-02-29 23:59:59.123456+00")}, note}},
			relations: []relation{converted("at",
				func(v string) any { return v + "+00" }, func(v string) any { return strings.TrimSuffix(v, "+00") })},
			adapt: func(c *matrixCase, engine string) {
				if engine != "postgres" { // the zone is not written
					at := cycle("2026-01-02 03:04:05.000000", nil, "2000-02-29 23:59:59.123456")
					c.blue = shape{table: "items", columns: []column{{name: "at", values: at}, note}}
					c.green, c.relations = c.blue, []relation{converted("at", asIs, asIs)}
				}
			},
		},
		{
			name: "change type of a column that is called as its type",
			operations: text{
				"":         "change type items.date datetime up (CAST(date AS datetime)) down (CAST(date AS date))",
				"sqlite":   "change type items.date datetime up (date || ' 00:00:00') down (CAST(substr(date, 1, 10) AS text))",
				"postgres": "change type items.date timestamp",
			},
			before: text{
				"sqlite":   `CREATE TABLE items (id bigint PRIMARY KEY, date date, note varchar(60), other date);`,
				"":         `CREATE TABLE items (id bigint PRIMARY KEY, date date NOT NULL DEFAULT '2001-02-03', note varchar(60), other date);`,
				"postgres": `CREATE TABLE items (id bigint PRIMARY KEY, date date NOT NULL DEFAULT '2001-02-03', note varchar(60), other date, CONSTRAINT late CHECK (other > CAST('1999-12-31' AS date)), CONSTRAINT later CHECK (date > CAST('1999-12-31' AS date)));`,
			},
			after: text{
				"sqlite":   `CREATE TABLE items (id bigint PRIMARY KEY, date datetime, note varchar(60), other date);`,
				"":         `CREATE TABLE items (id bigint PRIMARY KEY, date datetime NOT NULL DEFAULT '2001-02-03 00:00:00', note varchar(60), other date);`,
				"postgres": `CREATE TABLE items (id bigint PRIMARY KEY, date timestamp NOT NULL DEFAULT '2001-02-03', note varchar(60), other date, CONSTRAINT late CHECK (other > CAST('1999-12-31' AS date)), CONSTRAINT later CHECK (date > CAST('1999-12-31' AS date)));`,
			},
			blue:      shape{table: "items", columns: []column{{name: "date", values: cycle("2026-01-02", "2000-02-29"), initial: "2001-02-03"}, note}},
			green:     shape{table: "items", columns: []column{{name: "date", values: cycle("2026-01-02 00:00:00", "2000-02-29 00:00:00"), late: cycle("2026-01-02 03:04:05"), initial: "2001-02-03 00:00:00"}, note}},
			relations: []relation{converted("date", func(v string) any { return v + " 00:00:00" }, cut(10))},
			adapt: func(c *matrixCase, engine string) {
				if engine == "sqlite" { // a default is a text there, and stays as it is
					c.blue.columns = []column{{name: "date", values: c.blue.columns[0].values}, note}
					c.green.columns = []column{{name: "date", values: c.green.columns[0].values, late: c.green.columns[0].late}, note}
				}
			},
		},
		{
			name: "labels of an enum that go, come, and have another order",
			operations: text{
				"":        "change enum mood ('ok', 'sad', 'happy', 'great') as ('odd' = 'ok')",
				"mysql":   "change type items.mood enum('ok','sad','happy','great') up (CASE CAST(mood AS CHAR) WHEN 'odd' THEN 'ok' ELSE CAST(mood AS CHAR) END) down (CASE CAST(mood AS CHAR) WHEN 'great' THEN 'sad' ELSE CAST(mood AS CHAR) END)",
				"mariadb": "change type items.mood enum('ok','sad','happy','great') up (CASE CAST(mood AS CHAR) WHEN 'odd' THEN 'ok' ELSE CAST(mood AS CHAR) END) down (CASE CAST(mood AS CHAR) WHEN 'great' THEN 'sad' ELSE CAST(mood AS CHAR) END)",
			},
			before: text{
				"":         `CREATE TABLE items (id bigint PRIMARY KEY, mood enum('sad','ok','happy','odd') NOT NULL DEFAULT 'ok', note varchar(60)); CREATE INDEX by_mood ON items (mood);`,
				"sqlite":   `CREATE TABLE items (id bigint PRIMARY KEY, mood text NOT NULL DEFAULT 'ok', note varchar(60));`,
				"postgres": `CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'odd'); CREATE TABLE items (id bigint PRIMARY KEY, mood mood NOT NULL DEFAULT 'ok', note varchar(60)); CREATE INDEX by_mood ON items (mood); CREATE INDEX few ON items (note) WHERE mood <> 'sad'; ALTER TABLE items ADD CONSTRAINT noted CHECK (mood <> 'sad' OR mood = 'sad'); CREATE VIEW moods AS SELECT id, mood, mood > 'ok' AS good FROM items;`,
			},
			after: text{
				"":         `CREATE TABLE items (id bigint PRIMARY KEY, mood enum('ok','sad','happy','great') NOT NULL DEFAULT 'ok', note varchar(60)); CREATE INDEX by_mood ON items (mood);`,
				"sqlite":   `CREATE TABLE items (id bigint PRIMARY KEY, mood text NOT NULL DEFAULT 'ok', note varchar(60));`,
				"postgres": `CREATE TYPE mood AS ENUM ('ok', 'sad', 'happy', 'great'); CREATE TABLE items (id bigint PRIMARY KEY, mood mood NOT NULL DEFAULT 'ok', note varchar(60)); CREATE INDEX by_mood ON items (mood); CREATE INDEX few ON items (note) WHERE mood <> 'sad'; ALTER TABLE items ADD CONSTRAINT noted CHECK (mood <> 'sad' OR mood = 'sad'); CREATE VIEW moods AS SELECT id, mood, mood > 'ok' AS good FROM items;`,
			},
			blue:      shape{table: "items", columns: []column{{name: "mood", values: cycle("sad", "odd", "happy", "ok"), initial: "ok"}, note}},
			green:     shape{table: "items", columns: []column{{name: "mood", values: cycle("sad", "happy", "ok"), late: cycle("great", "ok", "happy"), initial: "ok"}, note}},
			relations: []relation{converted("mood", instead("odd", "ok"), instead("great", "sad"))},
			verdicts:  map[string]string{"sqlite": refused + "an enum is a type with a name on PostgreSQL alone"},
		},
		{
			name:       "change type by expressions",
			operations: every("change type items.price numeric(12,2) up (price / 100.0) down (round(price * 100))"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, price int, note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, price numeric(12,2), note varchar(60));`),
			blue:       shape{table: "items", columns: []column{{name: "price", values: cycle("0", "1999", nil, "7", "-250")}, note}},
			green:      shape{table: "items", columns: []column{{name: "price", values: cycle("0.00", "19.99", nil, "0.07", "-2.50")}, note}},
			relations: []relation{converted("price",
				func(v string) any { return fmt.Sprintf("%.2f", float64(number(v))/100) },
				func(v string) any { return strconv.FormatInt(number(strings.Replace(v, ".", "", 1)), 10) })},
			adapt: func(c *matrixCase, engine string) {
				if engine == "sqlite" { // it knows no zeros at the end
					c.green = shape{table: "items", columns: []column{{name: "price", values: cycle("0", "19.99", nil, "0.07", "-2.5")}, note}}
					c.relations = []relation{converted("price",
						func(v string) any { return strconv.FormatFloat(float64(number(v))/100, 'f', -1, 64) },
						func(v string) any {
							f, _ := strconv.ParseFloat(v, 64)
							return strconv.FormatFloat(math.Round(f*100), 'f', -1, 64)
						})}
				}
			},
		},
		{
			name: "split column",
			operations: text{
				"":         "split column items.name into first varchar(60) = (substr(name, 1, instr(concat(name, ' '), ' ') - 1)), last varchar(60) = (substr(name, instr(concat(name, ' '), ' ') + 1)) down (concat(first, ' ', last))",
				"postgres": "split column items.name into first varchar(60) = (split_part(name, ' ', 1)), last varchar(60) = (substr(name, length(split_part(name, ' ', 1)) + 2)) down (first || ' ' || last)",
				"sqlite":   "split column items.name into first varchar(60) = (substr(name, 1, instr(name || ' ', ' ') - 1)), last varchar(60) = (substr(name, instr(name || ' ', ' ') + 1)) down (first || ' ' || last)",
			},
			before: every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(121), note varchar(60));`),
			after:  every(`CREATE TABLE items (id bigint PRIMARY KEY, first varchar(60), last varchar(60), note varchar(60));`),
			blue:   shape{table: "items", columns: []column{{name: "name", values: cycle("Ada Lovelace", "Plato", nil, "", "Johann W. v. Goethe", " x")}, note}},
			green: shape{table: "items", columns: []column{
				{name: "first", values: cycle("Ada", "Alan", "", "Grace", nil)}, {name: "last", values: cycle("Lovelace", "", nil, "B. Hopper")}, note,
			}},
			relations: []relation{{
				old: []string{"name"}, new: []string{"first", "last"},
				up: func(old values) values {
					if old["name"] == nil {
						return values{"first": nil, "last": nil}
					}
					first, last, _ := strings.Cut(old["name"].(string), " ")
					return values{"first": first, "last": last}
				},
				down: func(new values) values {
					if new["first"] == nil || new["last"] == nil {
						return values{"name": nil}
					}
					return values{"name": new["first"].(string) + " " + new["last"].(string)}
				},
			}},
		},
		{
			name: "merge columns",
			operations: text{
				"":         "merge columns items (first, last) into name varchar(121) = (concat(first, ' ', last)) down (substr(name, 1, instr(concat(name, ' '), ' ') - 1)), (substr(name, instr(concat(name, ' '), ' ') + 1))",
				"postgres": "merge columns items (first, last) into name varchar(121) = (first || ' ' || last) down (split_part(name, ' ', 1)), (substr(name, length(split_part(name, ' ', 1)) + 2))",
				"sqlite":   "merge columns items (first, last) into name varchar(121) = (first || ' ' || last) down (substr(name, 1, instr(name || ' ', ' ') - 1)), (substr(name, instr(name || ' ', ' ') + 1))",
			},
			before: every(`CREATE TABLE items (id bigint PRIMARY KEY, first varchar(60), last varchar(60), note varchar(60));`),
			after:  every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(121), note varchar(60));`),
			blue: shape{table: "items", columns: []column{
				{name: "first", values: cycle("Ada", "Alan", "", "Grace", nil)}, {name: "last", values: cycle("Lovelace", "", nil, "B. Hopper")}, note,
			}},
			green: shape{table: "items", columns: []column{{name: "name", values: cycle("Ada Lovelace", "Plato", nil, "", "Johann W. v. Goethe", " x")}, note}},
			relations: []relation{{
				old: []string{"first", "last"}, new: []string{"name"},
				up: func(old values) values {
					if old["first"] == nil || old["last"] == nil {
						return values{"name": nil}
					}
					return values{"name": old["first"].(string) + " " + old["last"].(string)}
				},
				down: func(new values) values {
					if new["name"] == nil {
						return values{"first": nil, "last": nil}
					}
					first, last, _ := strings.Cut(new["name"].(string), " ")
					return values{"first": first, "last": last}
				},
			}},
		},
		{
			name:       "add column",
			operations: every("add column items.extra varchar(60)"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60), extra varchar(60));`),
			blue:       shape{table: "items", columns: []column{note}},
			green:      shape{table: "items", columns: []column{note, {name: "extra", values: maybe}}},
		},
		{
			name:       "add column with a constant default",
			operations: every("add column items.extra int not null default (42)"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60), extra int DEFAULT 42 NOT NULL);`),
			blue:       shape{table: "items", columns: []column{note}},
			green:      shape{table: "items", columns: []column{note, {name: "extra", values: counts, initial: "42"}}},
		},
		{
			name:       "add column with a computed default",
			operations: every("add column items.extra int not null default (abs(-42))"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60), extra int DEFAULT (abs(-42)) NOT NULL);`),
			blue:       shape{table: "items", columns: []column{note}},
			green:      shape{table: "items", columns: []column{note, {name: "extra", values: counts, initial: "42"}}},
		},
		{
			name:       "add column that is filled",
			operations: every("add column items.extra bigint not null fill (id + 1)"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60), extra bigint NOT NULL);`),
			blue:       shape{table: "items", columns: []column{note}},
			green:      shape{table: "items", columns: []column{note, {name: "extra", values: counts, required: true}}},
			relations: []relation{{
				new: []string{"extra"}, once: true,
				up: func(old values) values { return values{"extra": strconv.FormatInt(old["id"].(int64)+1, 10)} },
			}},
		},
		{
			name:       "drop column",
			operations: every("drop column items.old"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, old varchar(60), note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60));`),
			blue:       shape{table: "items", columns: []column{{name: "old", values: maybe}, note}},
			green:      shape{table: "items", columns: []column{note}},
		},
		{
			name:       "drop column that is NOT NULL",
			operations: every("drop column items.old"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, old varchar(60) NOT NULL, note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60));`),
			blue:       shape{table: "items", columns: []column{{name: "old", values: words, required: true, initial: ""}, note}},
			green:      shape{table: "items", columns: []column{note}},
		},
		{
			name:       "drop column with a key and a fill",
			operations: every("drop column items.old fill (id)"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, old bigint NOT NULL, note varchar(60), CONSTRAINT items_old UNIQUE (old));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60));`),
			blue:       shape{table: "items", columns: []column{{name: "old", values: func(n int) any { return strconv.Itoa(1_000_000 + n) }, required: true, unique: true}, note}},
			green:      shape{table: "items", columns: []column{note}},
			back: func(old values) {
				if old["old"] == nil {
					old["old"] = strconv.FormatInt(old["id"].(int64), 10)
				}
			},
		},
		{
			name:       "set not null",
			operations: every("set not null items.name"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60), note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60) NOT NULL, note varchar(60));`),
			blue:       shape{table: "items", columns: []column{{name: "name", values: words, required: true}, note}},
			green:      shape{table: "items", columns: []column{{name: "name", values: words, required: true}, note}},
		},
		{
			name:       "set not null with a fill",
			operations: every("set not null items.name fill ('nobody')"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60), note varchar(60)); CREATE INDEX items_name ON items (name);`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60) NOT NULL, note varchar(60)); CREATE INDEX items_name ON items (name);`),
			blue:       shape{table: "items", columns: []column{{name: "name", values: maybe}, note}},
			green:      shape{table: "items", columns: []column{{name: "name", values: words, required: true}, note}},
			relations: []relation{{
				old: []string{"name"}, new: []string{"name"}, hidden: true,
				up: func(old values) values {
					if old["name"] == nil {
						return values{"name": "nobody"}
					}
					return values{"name": old["name"]}
				},
				down: func(new values) values { return values{"name": new["name"]} },
			}},
		},
		{
			name:       "drop not null",
			operations: every("drop not null items.name fill ('nobody')"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60) NOT NULL, note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60), note varchar(60));`),
			blue:       shape{table: "items", columns: []column{{name: "name", values: words, required: true}, note}},
			green:      shape{table: "items", columns: []column{{name: "name", values: maybe}, note}},
			back: func(old values) {
				if old["name"] == nil {
					old["name"] = "nobody"
				}
			},
		},
		{
			name:       "set default",
			operations: every("set default items.name ('somebody')"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60) DEFAULT 'nobody', note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60) DEFAULT 'somebody', note varchar(60));`),
			blue:       shape{table: "items", columns: []column{{name: "name", values: maybe, initial: "nobody"}, note}},
			green:      shape{table: "items", columns: []column{{name: "name", values: maybe, initial: "somebody"}, note}},
		},
		{
			name:       "drop default",
			operations: every("drop default items.name"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60) DEFAULT 'nobody', note varchar(60));`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60), note varchar(60));`),
			blue:       shape{table: "items", columns: []column{{name: "name", values: maybe, initial: "nobody"}, note}},
			green:      shape{table: "items", columns: []column{{name: "name", values: maybe}, note}},
		},
		alike1("add check", "add constraint items.items_n CHECK (n <> 13)",
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60));`,
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_n CHECK (n <> 13));`),
		alike1("drop check", "drop constraint items.items_n",
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_n CHECK (n <> 13));`,
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60));`),
		alike1("add unique key", "add constraint items.items_id_n UNIQUE (id, n)",
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60));`,
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_id_n UNIQUE (id, n));`),
		alike1("drop unique key", "drop constraint items.items_id_n",
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_id_n UNIQUE (id, n));`,
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60));`),
		alike1("add foreign key", "add constraint items.items_n FOREIGN KEY (n) REFERENCES numbers (n)",
			numbers+`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60)); CREATE INDEX items_n ON items (n);`,
			numbers+`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_n FOREIGN KEY (n) REFERENCES numbers (n)); CREATE INDEX items_n ON items (n);`),
		free(alike1("drop foreign key", "drop constraint items.items_n",
			numbers+`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_n FOREIGN KEY (n) REFERENCES numbers (n)); CREATE INDEX items_n ON items (n);`,
			numbers+`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60)); CREATE INDEX items_n ON items (n);`)),
		alike1("add index", "add index items.items_n CREATE INDEX items_n ON items (n, note)",
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60));`,
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60)); CREATE INDEX items_n ON items (n, note);`),
		alike1("add unique index", "add index items.items_n CREATE UNIQUE INDEX items_n ON items (n, id)",
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60));`,
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60)); CREATE UNIQUE INDEX items_n ON items (n, id);`),
		alike1("drop index", "drop index items.items_n",
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60)); CREATE INDEX items_n ON items (n, note);`,
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60));`),
		alike1("replace index", "replace index items.items_n CREATE INDEX items_n ON items (note, n)",
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60)); CREATE INDEX items_n ON items (n, note);`,
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60)); CREATE INDEX items_n ON items (note, n);`),
		alike1("replace check", "replace constraint items.items_n CHECK (n <> 14)",
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_n CHECK (n <> 13));`,
			`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_n CHECK (n <> 14));`),
		alike1("replace foreign key", "replace constraint items.items_n FOREIGN KEY (n) REFERENCES numbers (n) ON DELETE CASCADE",
			numbers+`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_n FOREIGN KEY (n) REFERENCES numbers (n)); CREATE INDEX items_n ON items (n);`,
			numbers+`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_n FOREIGN KEY (n) REFERENCES numbers (n) ON DELETE CASCADE); CREATE INDEX items_n ON items (n);`),
		only(alike1("indexes of a table that has partitions", "add index items.items_n CREATE INDEX items_n ON items (n, note)\nreplace index items.items_note CREATE INDEX items_note ON items (note, n)",
			parted+`CREATE INDEX items_note ON items (note);`,
			parted+`CREATE INDEX items_n ON items (n, note); CREATE INDEX items_note ON items (note, n);`), "mysql", "mariadb", "sqlite"),
		only(alike1("replace primary key", "replace constraint items.items_pkey PRIMARY KEY (id) INCLUDE (n)",
			`CREATE TABLE items (id bigint, n int, note varchar(60), PRIMARY KEY (id) INCLUDE (note));`,
			`CREATE TABLE items (id bigint, n int, note varchar(60), PRIMARY KEY (id) INCLUDE (n));`), "mysql", "mariadb", "sqlite"),
		{
			name:       "rename table",
			operations: every("rename table items goods"),
			before:     every(`CREATE TABLE items (id bigint PRIMARY KEY, n int DEFAULT 5, note varchar(60)); CREATE INDEX items_n ON items (n);`),
			after:      text{"": `CREATE TABLE goods (id bigint PRIMARY KEY, n int DEFAULT 5, note varchar(60)); CREATE INDEX items_n ON goods (n);`, "postgres": `CREATE TABLE goods (id bigint CONSTRAINT items_pkey PRIMARY KEY, n int DEFAULT 5, note varchar(60)); CREATE INDEX items_n ON goods (n);`},
			blue:       shape{table: "items", columns: []column{{name: "n", values: counts, initial: "5"}, note}},
			green:      shape{table: "goods", columns: []column{{name: "n", values: counts, initial: "5"}, note}},
			verdicts:   map[string]string{"sqlite": works + ", but ON CONFLICT is not for views"},
			adapt:      func(c *matrixCase, engine string) { c.upsertless = engine == "sqlite" },
		},
		{
			name:       "change type of a key",
			operations: every("change type items.id bigint"),
			before:     every(`CREATE TABLE items (id int PRIMARY KEY, n int, note varchar(60)); CREATE INDEX items_n ON items (n, id);`),
			after:      every(`CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60)); CREATE INDEX items_n ON items (n, id);`),
			blue:       shape{table: "items", columns: []column{{name: "n", values: counts}, note}},
			green:      shape{table: "items", columns: []column{{name: "n", values: counts}, note}},
			retypes:    true,
		},
		partitionedCase(),
		utf8Table(),
		{
			name:       "drop table",
			operations: every("drop table items"),
			before:     every(numbers + `CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_n FOREIGN KEY (n) REFERENCES numbers (n));`),
			after:      every(numbers),
			blue:       shape{table: "items", columns: []column{{name: "n", values: counts}, note}},
		},
		movedCase(),
		ten(),
	}, wantedCases()...)
}

// refusedOn is a case that some engines refuse.
func refusedOn(c *matrixCase, reason string, engines ...string) *matrixCase {
	c.verdicts = map[string]string{}
	for _, e := range engines {
		c.verdicts[e] = refused + reason
	}
	return c
}

// sometimes is NULL now and then.
func sometimes(f func(int) any) func(int) any {
	return func(n int) any {
		if n%3 == 0 {
			return nil
		}
		return f(n)
	}
}

// numbers is a table of all that counts writes, for foreign keys.
// parted is a table of PostgreSQL with partitions, one of which has partitions itself.
const parted = `CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60)) PARTITION BY HASH (id);
CREATE TABLE items_0 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Items, the other half of them" PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 1) PARTITION BY RANGE (id);
CREATE TABLE items_low PARTITION OF "Items, the other half of them" FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE items_high PARTITION OF "Items, the other half of them" DEFAULT;
`

const numbers = `CREATE TABLE numbers (n int PRIMARY KEY); INSERT INTO numbers VALUES (0), (1), (-1), (7), (32768), (2147483647), (-2147483647); `

// onlyMySQL is a case for what MySQL can only do by a second table.
func onlyMySQL(c *matrixCase) *matrixCase {
	c.verdicts = map[string]string{}
	for _, engine := range []string{"postgres", "sqlite"} {
		c.verdicts[engine] = refused + "a second table is for what MySQL can only do by a copy, and not known on " + engine
	}
	return c
}

// alike1 is a case whose change neither version has to know of.
func alike1(name, operation, before, after string) *matrixCase {
	s := shape{table: "items", columns: []column{{name: "n", values: counts}, note}}
	return &matrixCase{name: name, operations: every(operation), before: every(before), after: every(after), blue: s, green: s}
}

// free marks a case that takes a constraint away.
func free(c *matrixCase) *matrixCase {
	c.freer = true
	return c
}

// partitionedCase is a table that gets partitions.
func partitionedCase() *matrixCase {
	const items = `CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60))`
	c := onlyMySQL(alike1("partition table", "partition table items by (HASH (id) PARTITIONS 3)", items+";", items+" PARTITION BY HASH (id) PARTITIONS 3;"))
	delete(c.verdicts, "postgres")
	c.verdicts["mariadb"] = refused + "MariaDB loses writes that come while it copies a table that has partitions"
	after := strings.TrimSuffix(items, ")") + ", CONSTRAINT items_n CHECK (n <> 13)) PARTITION BY HASH (id); CREATE INDEX items_by_n ON items (n);"
	for i := range 3 {
		after += fmt.Sprintf(" CREATE TABLE items_p%[1]d PARTITION OF items FOR VALUES WITH (MODULUS 3, REMAINDER %[1]d);", i)
	}
	c.before["postgres"] = strings.TrimSuffix(items, ")") + ", CONSTRAINT items_n CHECK (n <> 13)); CREATE INDEX items_by_n ON items (n);"
	c.after["postgres"] = after
	return c
}

// utf8Table is a table that gets another character set, where tables have one.
func utf8Table() *matrixCase {
	const items = `CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60))`
	c := onlyMySQL(alike1("convert table", "convert table items charset utf8mb4 collate utf8mb4_bin", items+" CHARACTER SET utf8mb3;", items+" COLLATE utf8mb4_bin;"))
	for _, engine := range []string{"postgres", "sqlite"} {
		c.before[engine], c.after[engine] = items+";", items+";"
	}
	return c
}

// ten is ten operations on one table at once.
func ten() *matrixCase {
	return &matrixCase{
		name: "ten at once on one table",
		operations: every(`rename column items.a a2
rename column items.b b2
change type items.c bigint
change type items.d varchar(5)
add column items.e varchar(60)
add column items.f bigint not null fill (id + 1)
drop column items.g
set not null items.h fill ('nobody')
set default items.i ('somebody')
add index items.items_i CREATE INDEX items_i ON items (i)`),
		before: every(`CREATE TABLE items (id bigint PRIMARY KEY, a varchar(60) DEFAULT 'nobody' NOT NULL, b varchar(60), c int DEFAULT 7, d varchar(40), g varchar(60) NOT NULL, h varchar(60), i varchar(60) DEFAULT 'nobody', note varchar(60));
CREATE INDEX items_ab ON items (a, b);`),
		after: every(`CREATE TABLE items (id bigint PRIMARY KEY, a2 varchar(60) DEFAULT 'nobody' NOT NULL, b2 varchar(60), c bigint DEFAULT 7, d varchar(5), e varchar(60), f bigint NOT NULL, h varchar(60) NOT NULL, i varchar(60) DEFAULT 'somebody', note varchar(60));
CREATE INDEX items_ab ON items (a2, b2);
CREATE INDEX items_i ON items (i);`),
		blue: shape{table: "items", columns: []column{
			{name: "a", values: words, initial: "nobody"},
			{name: "b", values: maybe},
			{name: "c", values: counts, initial: "7"},
			{name: "d", values: cycle("Ada", "Ada Lovelace", nil, "x", "")},
			{name: "g", values: words, required: true, initial: ""},
			{name: "h", values: maybe},
			{name: "i", values: maybe, initial: "nobody"},
			note,
		}},
		green: shape{table: "items", columns: []column{
			{name: "a2", values: words, initial: "nobody"},
			{name: "b2", values: maybe},
			{name: "c", values: counts, late: cycle("3000000000"), initial: "7"},
			{name: "d", values: cycle("Ada", "", nil, "xy")},
			{name: "e", values: maybe},
			{name: "f", values: counts, required: true},
			{name: "h", values: words, required: true},
			{name: "i", values: maybe, initial: "somebody"},
			note,
		}},
		adapt: func(c *matrixCase, engine string) {
			if engine == "sqlite" {
				c.relations = slices.Clone(c.relations)
				c.relations[2], c.relations[3] = converted("c", asIs, asIs), converted("d", asIs, asIs)
			}
		},
		relations: []relation{
			renamed("a", "a2"), renamed("b", "b2"), converted("c", asIs, within), converted("d", cut(5), asIs),
			{
				new: []string{"f"}, once: true,
				up: func(old values) values { return values{"f": strconv.FormatInt(old["id"].(int64)+1, 10)} },
			},
			{
				old: []string{"h"}, new: []string{"h"}, hidden: true,
				up: func(old values) values {
					if old["h"] == nil {
						return values{"h": "nobody"}
					}
					return values{"h": old["h"]}
				},
				down: func(new values) values { return values{"h": new["h"]} },
			},
		},
	}
}
