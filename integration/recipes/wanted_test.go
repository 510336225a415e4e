package recipes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// wantedCases are the changes that no operation is for: they are planned from the schema that is wanted.
func wantedCases() []*matrixCase {
	return []*matrixCase{
		widerView(), otherView(), otherTypes(), besideOthers(),
		onServers(functionCase()), onServers(procedureCase()), triggerCase(), onMySQL(eventCase()),
		onPostgres(policyCase()), onServers(commentCase()), onServers(privilegeCase()),
		onPostgres(identityCase()), numberCase(), sequenceCase(), readRename(),
		computedCase("stored"), only(computedCase("virtual"), "postgres"), collationCase(),
	}
}

const (
	itemsHead  = "CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60));\n"
	markedHead = "CREATE TABLE items (id bigint PRIMARY KEY, note varchar(60), mark varchar(80));\n"
)

// only is a case for what some engines do not have.
func only(c *matrixCase, without ...string) *matrixCase {
	if c.verdicts == nil {
		c.verdicts = map[string]string{}
	}
	for _, engine := range without {
		c.verdicts[engine] = absent
	}
	return c
}

func onServers(c *matrixCase) *matrixCase  { return only(c, "sqlite") }
func onMySQL(c *matrixCase) *matrixCase    { return only(c, "postgres", "sqlite") }
func onPostgres(c *matrixCase) *matrixCase { return only(c, "mysql", "mariadb", "sqlite") }

// dropped is a case for what MySQL cannot replace at once.
func dropped(c *matrixCase) *matrixCase {
	c.verdicts = map[string]string{"mysql": works + ", but calls fail between DROP and CREATE, as the plan says"}
	c.adapt = func(c *matrixCase, engine string) { c.missing = engine == "mysql" }
	return c
}

// wantedCase is a change that neither version has to know of.
func wantedCase(name string, before, after text) *matrixCase {
	s := shape{table: "items", columns: []column{{name: "n", values: counts}, note}}
	return &matrixCase{name: name, fromSchema: true, before: before, after: after, blue: s, green: s}
}

// viewCase is a view over a table that stays as it is.
func viewCase(name, before, after string, v *view) *matrixCase {
	c := wantedCase(name, every(itemsHead+before), every(itemsHead+after))
	c.view = v
	return c
}

func say(column string) func(values) any {
	return func(row values) any { return row[column] }
}

// above is one text for numbers that are greater than a limit, and another for the rest.
func above(limit int64, more, less string) func(values) any {
	return func(row values) any {
		if row["n"] != nil && number(row["n"].(string)) > limit {
			return more
		}
		return less
	}
}

func widerView() *matrixCase {
	return viewCase("view that gets a column behind",
		"CREATE VIEW said AS SELECT id, note FROM items;",
		"CREATE VIEW said AS SELECT id, note, n FROM items;",
		&view{name: "said", early: true, old: map[string]func(values) any{"note": say("note")}, now: map[string]func(values) any{"note": say("note"), "n": say("n")}})
}

func otherView() *matrixCase {
	return viewCase("view that computes a column otherwise",
		"CREATE VIEW said AS SELECT id, note, CASE WHEN n > 0 THEN 'much' ELSE 'some' END AS amount FROM items;",
		"CREATE VIEW said AS SELECT id, note, CASE WHEN n > 7 THEN 'much' ELSE 'some' END AS amount, n AS behind FROM items WHERE id > 0;",
		&view{
			name: "said",
			old:  map[string]func(values) any{"note": say("note"), "amount": above(0, "much", "some")},
			now:  map[string]func(values) any{"note": say("note"), "amount": above(7, "much", "some")},
		})
}

// otherTypes has a view that PostgreSQL can only drop and make again, and one on it.
func otherTypes() *matrixCase {
	return viewCase("view whose columns get another type and order, and one on it",
		"CREATE VIEW counted AS SELECT id, note, CASE WHEN n > 0 THEN 'much' ELSE 'some' END AS amount FROM items; CREATE VIEW said AS SELECT id, amount FROM counted;",
		"CREATE VIEW counted AS SELECT id, CASE WHEN n > 0 THEN 1 ELSE 0 END AS amount, note FROM items; CREATE VIEW said AS SELECT id, amount FROM counted;",
		&view{
			name: "said",
			old:  map[string]func(values) any{"amount": above(0, "much", "some")},
			now:  map[string]func(values) any{"amount": above(0, "1", "0")},
		})
}

// besideOthers has a view that is dropped and made again, beside what PostgreSQL does while others read and write: a key that is
// built, and values that are read. The view is missing at no moment.
func besideOthers() *matrixCase {
	const pairs = `
CREATE TABLE pairs (a int, b int, PRIMARY KEY (a)%s);
INSERT INTO pairs SELECT n, n FROM generate_series(1, 1000) n;
CREATE TABLE parts (a int REFERENCES pairs (a), s small);
INSERT INTO parts SELECT n, n FROM generate_series(1, 1000) n;
`
	c := otherTypes()
	c.name = "view beside a domain and a key that is referred to"
	c.before = every("CREATE DOMAIN small AS int CHECK (VALUE < 2000);" + fmt.Sprintf(pairs, "") + c.before[""])
	c.after = every("CREATE DOMAIN small AS int CHECK (VALUE < 3000);" + fmt.Sprintf(pairs, " INCLUDE (b)") + c.after[""])
	return onPostgres(c)
}

// marked is what the old functions and triggers make of a note, and remarked what the new ones make.
func marked(row values) any {
	if row["note"] == nil {
		return nil
	}
	return row["note"].(string) + "!"
}

func remarked(row values) any {
	if row["note"] == "x" {
		return "new x"
	}
	return marked(row)
}

// functionCase is a function that both versions write a column by.
func functionCase() *matrixCase {
	mysql := func(body string) string {
		return "CREATE FUNCTION tidy(v varchar(60)) RETURNS varchar(60) DETERMINISTIC RETURN " + body + ";\n" + itemsHead
	}
	postgres := func(body string) string {
		return "CREATE FUNCTION tidy(v text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT " + body + " $$;\n" + itemsHead
	}
	through := func(made func(values) any) shape {
		return shape{table: "items", columns: []column{{name: "n", values: counts}, {name: "note", values: maybe, call: "tidy(%s)", made: made}}}
	}
	return dropped(&matrixCase{
		name: "function that is called by writes", fromSchema: true,
		before: text{"": mysql("concat(v, '!')"), "postgres": postgres("v || '!'")},
		after:  text{"": mysql("CASE WHEN v = 'x' THEN 'new x' ELSE concat(v, '!') END"), "postgres": postgres("CASE WHEN v = 'x' THEN 'new x' ELSE v || '!' END")},
		blue:   through(marked), green: through(remarked),
	})
}

// byTrigger are the shapes of a table whose mark a trigger makes.
func byTrigger(made func(values) any) shape {
	return shape{table: "items", columns: []column{note, {name: "mark", made: made}}}
}

// procedureCase is a procedure that the triggers of a table call.
func procedureCase() *matrixCase {
	mysql := func(body string) string {
		return markedHead + "CREATE PROCEDURE tidy(IN v varchar(60), OUT made varchar(80)) SET made = " + body + `;
CREATE TRIGGER marks BEFORE INSERT ON items FOR EACH ROW CALL tidy(NEW.note, NEW.mark);
CREATE TRIGGER marks_again BEFORE UPDATE ON items FOR EACH ROW CALL tidy(NEW.note, NEW.mark);`
	}
	postgres := func(body string) string {
		return markedHead + "CREATE PROCEDURE tidy(v text, INOUT made varchar) LANGUAGE plpgsql AS $$ BEGIN made := " + body + `; END $$;
CREATE FUNCTION marked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN CALL tidy(NEW.note, NEW.mark); RETURN NEW; END $$;
CREATE TRIGGER marks BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION marked();`
	}
	return dropped(&matrixCase{
		name: "procedure that triggers call", fromSchema: true,
		before: text{"": mysql("concat(v, '!')"), "postgres": postgres("v || '!'")},
		after:  text{"": mysql("CASE WHEN v = 'x' THEN 'new x' ELSE concat(v, '!') END"), "postgres": postgres("CASE WHEN v = 'x' THEN 'new x' ELSE v || '!' END")},
		blue:   byTrigger(marked), green: byTrigger(remarked),
	})
}

// triggers are two of a table that make its mark, where a trigger is for one event.
func triggers(sqlite bool, made string) string {
	body := "BEFORE %s ON items FOR EACH ROW SET NEW.mark = " + made
	if sqlite {
		body = "AFTER %s ON items FOR EACH ROW BEGIN UPDATE items SET mark = " + made + " WHERE id = NEW.id; END"
	}
	return markedHead + "CREATE TRIGGER marks " + strings.Replace(body, "%s", "INSERT", 1) + ";\nCREATE TRIGGER marks_again " + strings.Replace(body, "%s", "UPDATE", 1) + ";"
}

func triggerCase() *matrixCase {
	postgres := func(way string) string {
		return markedHead + `CREATE FUNCTION marked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
NEW.mark := CASE WHEN NEW.note = 'x' AND TG_ARGV[0] = 'new' THEN 'new x' ELSE NEW.note || '!' END; RETURN NEW; END $$;
CREATE TRIGGER marks BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION marked('` + way + `');`
	}
	return &matrixCase{
		name: "trigger of the application", fromSchema: true,
		before: text{"": triggers(false, "concat(NEW.note, '!')"), "postgres": postgres("old"), "sqlite": triggers(true, "NEW.note || '!'")},
		after: text{
			"":         triggers(false, "CASE WHEN NEW.note = 'x' THEN 'new x' ELSE concat(NEW.note, '!') END"),
			"postgres": postgres("new"), "sqlite": triggers(true, "CASE WHEN NEW.note = 'x' THEN 'new x' ELSE NEW.note || '!' END"),
		},
		blue: byTrigger(marked), green: byTrigger(remarked),
	}
}

func eventCase() *matrixCase {
	return wantedCase("event",
		every(itemsHead+"CREATE EVENT tick ON SCHEDULE EVERY 1 HOUR STARTS '2040-01-01 00:00:00' COMMENT 'tick' DO DELETE FROM items WHERE id = 0;"),
		every(itemsHead+"CREATE EVENT tick ON SCHEDULE EVERY 2 HOUR STARTS '2040-01-01 00:00:00' DISABLE DO DELETE FROM items WHERE id < 0;"))
}

// policyCase has row security for a role that sees and writes nothing but what policies allow.
func policyCase() *matrixCase {
	const head = itemsHead + `ALTER TABLE items ENABLE ROW LEVEL SECURITY; GRANT SELECT, INSERT, UPDATE, DELETE ON items TO pg_monitor;
`
	c := wantedCase("policies",
		every(head+`CREATE POLICY seen ON items FOR SELECT USING (id > 0);
CREATE POLICY written ON items USING (true) WITH CHECK (n IS DISTINCT FROM 13);
CREATE POLICY rarely ON items AS RESTRICTIVE USING (id > -1);`),
		every(head+`CREATE POLICY seen ON items FOR SELECT TO pg_monitor USING (id > -5);
CREATE POLICY written ON items USING (id IS NOT NULL) WITH CHECK (n IS DISTINCT FROM 14);
CREATE POLICY seldom ON items AS RESTRICTIVE USING (id > -2);
CREATE POLICY too ON items FOR DELETE USING (n > 0);`))
	c.role = every("pg_monitor")
	return c
}

func commentCase() *matrixCase {
	mysql := func(word string) string {
		return "CREATE TABLE items (id bigint PRIMARY KEY COMMENT '" + word + " id', n int, note varchar(60) COMMENT '" + word + " note', KEY items_n (n) COMMENT '" + word + " key') COMMENT '" + word + " items';"
	}
	postgres := func(word string) string {
		return itemsHead + "CREATE VIEW said AS SELECT id FROM items; COMMENT ON TABLE items IS '" + word + " items'; COMMENT ON COLUMN items.note IS '" + word + " note'; COMMENT ON VIEW said IS '" + word + " view';"
	}
	return wantedCase("comments", text{"": mysql("old"), "postgres": postgres("old")}, text{"": mysql("new"), "postgres": postgres("new")})
}

// privilegeCase takes rights to a table from the account that works with it, and gives them for columns. MySQL's servers
// take the right to columns along, so they have it only for what the account does not do here.
func privilegeCase() *matrixCase {
	const user = "switchback_matrix"
	rights := func(list, to string) string { return "GRANT " + list + " ON items TO " + to + ";" }
	both := func(mysql, postgres string) text {
		return text{
			"":         "CREATE USER IF NOT EXISTS " + user + " IDENTIFIED BY 'switchback'; " + itemsHead + rights("SELECT, INSERT, UPDATE, DELETE, "+mysql, user),
			"postgres": itemsHead + rights("SELECT, INSERT, DELETE, "+postgres, "pg_monitor"),
		}
	}
	c := wantedCase("privileges", both("REFERENCES", "UPDATE"), both("TRIGGER, REFERENCES (n)", "UPDATE (n), UPDATE (note)"))
	c.role = text{"": user, "postgres": "pg_monitor"}
	return c
}

func identityCase() *matrixCase {
	items := func(identity string) text {
		return every("CREATE TABLE items (id bigint PRIMARY KEY, no bigint GENERATED " + identity + ", n int, note varchar(60));")
	}
	return wantedCase("identity", items("BY DEFAULT AS IDENTITY"), items("ALWAYS AS IDENTITY (INCREMENT BY 2)"))
}

// numberCase is a key that gets numbers by itself.
func numberCase() *matrixCase {
	items := func(key string) string { return "CREATE TABLE items (id " + key + ", n int, note varchar(60));" }
	c := wantedCase("numbers that a key draws by itself",
		text{"": items("bigint PRIMARY KEY"), "sqlite": items("integer PRIMARY KEY")},
		text{"": items("bigint AUTO_INCREMENT PRIMARY KEY"), "postgres": items("bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"), "sqlite": items("integer PRIMARY KEY AUTOINCREMENT")})
	c.late = "INSERT INTO items (note) VALUES ('late')"
	return refusedOn(c, "SQLite takes it only where a table is made", "sqlite")
}

// sequenceCase is a key that draws its numbers from a sequence.
func sequenceCase() *matrixCase {
	items := func(more string) string {
		return "CREATE SEQUENCE ids; CREATE TABLE items (id bigint" + more + " PRIMARY KEY, n int, note varchar(60));"
	}
	c := only(wantedCase("numbers that a key draws from a sequence", every(items("")),
		text{"": items(" DEFAULT nextval(ids)"), "postgres": items(" DEFAULT nextval('ids')")}), "mysql", "sqlite")
	c.verdicts["mariadb"] = works + ", but the sequence has to be started behind the numbers that rows have, as the plan says"
	c.adapt = func(c *matrixCase, engine string) {
		if engine == "postgres" {
			c.late = "INSERT INTO items (note) VALUES ('late')"
		}
	}
	return c
}

// readRename is a column with another name that a view, a trigger and a check read.
func readRename() *matrixCase {
	script := func(engine, name string) string {
		q := strings.ReplaceAll(`CREATE TABLE items (id bigint PRIMARY KEY, name varchar(60) DEFAULT 'nobody' NOT NULL, note varchar(60), mark varchar(80), CONSTRAINT items_named CHECK (name <> 'nothing'));
CREATE VIEW said AS SELECT id, name AS called, mark FROM items WHERE name <> 'hidden';
`, "name", name)
		q = strings.ReplaceAll(q, "items_"+name+"d", "items_named")
		switch engine {
		case "postgres":
			return q + `CREATE FUNCTION marked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.mark := NEW.` + name + ` || '!'; RETURN NEW; END $$;
CREATE TRIGGER marks BEFORE INSERT OR UPDATE ON items FOR EACH ROW WHEN (NEW.` + name + ` IS NOT NULL) EXECUTE FUNCTION marked();`
		case "sqlite":
			return q + strings.TrimPrefix(triggers(true, "NEW."+name+" || '!'"), markedHead)
		}
		return q + strings.TrimPrefix(triggers(false, "concat(NEW."+name+", '!')"), markedHead)
	}
	scripts := func(name string) text {
		out := every(script("mysql", name))
		for _, engine := range []string{"postgres", "sqlite"} {
			out[engine] = script(engine, name)
		}
		return out
	}
	as := func(name string) (shape, map[string]func(values) any) {
		made := func(row values) any { return row[name].(string) + "!" }
		return shape{table: "items", columns: []column{{name: name, values: words, initial: "nobody"}, note, {name: "mark", made: made}}},
			map[string]func(values) any{"called": say(name), "mark": say("mark")}
	}
	before := scripts("name")
	for engine := range before { // PostgreSQL drops it outside of a transaction, between what is together
		before[engine] += " CREATE INDEX items_note ON items (note);"
	}
	old, oldView := as("name")
	now, nowView := as("full_name")
	return &matrixCase{
		name: "rename column that a view, a trigger and a check read", fromSchema: true, renames: []string{"items.name=items.full_name"},
		before: before, after: scripts("full_name"), blue: old, green: now, relations: []relation{renamed("name", "full_name")},
		view:     &view{name: "said", old: oldView, now: nowView},
		verdicts: map[string]string{"sqlite": works + ", but where the new version writes, the trigger sees the old column as it was, as the plan says"},
		adapt: func(c *matrixCase, engine string) {
			if engine == "sqlite" { // what the trigger makes is not looked at
				c.blue.columns, c.green.columns = slices.Clip(c.blue.columns[:2]), slices.Clip(c.green.columns[:2])
				delete(oldView, "mark")
				delete(nowView, "mark")
			}
		},
	}
}

// computedCase is a column that is computed otherwise. Both versions read it by the same name.
func computedCase(kind string) *matrixCase {
	table := func(by string) text {
		index := ""
		if kind == "stored" {
			index = "\nCREATE INDEX items_part ON items (part);"
		}
		return every("CREATE TABLE items (id bigint PRIMARY KEY, n int, part int GENERATED ALWAYS AS (n % " + by + ") " + kind + ", note varchar(60));" + index)
	}
	part := func(by int64) map[string]func(values) any {
		return map[string]func(values) any{"part": func(row values) any {
			if row["n"] == nil {
				return nil
			}
			return strconv.FormatInt(number(row["n"].(string))%by, 10)
		}}
	}
	c := wantedCase("what a "+kind+" column is computed by", table("10"), table("7"))
	c.view = &view{name: "items", old: part(10), now: part(7)}
	return c
}

// collationCase is a column that is sorted otherwise, by an index.
func collationCase() *matrixCase {
	table := func(note string) string {
		return "CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60)" + note + ");\nCREATE INDEX items_note ON items (note);"
	}
	c := wantedCase("collation of a column", every(table("")), text{"": table(" COLLATE utf8mb4_bin"), "postgres": table(` COLLATE "C"`), "sqlite": table(" COLLATE NOCASE")})
	c.retypes = true
	return c
}
