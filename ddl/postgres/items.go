package postgres

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

// itemWay makes most items anew when their definition differs.
func itemWay(n *node, i *schema.Item) action {
	if isPublication(n) {
		return publicationWay(i, n.to.(*schema.Item))
	}
	if n.differs("definition") || i.Of == schema.KindSubscription && n.differs("enabled") {
		return recreate
	}
	return alter
}

// itemName is an item's name as DROP, COMMENT and ALTER want it.
func itemName(namespace string, i *schema.Item) string {
	switch i.Of {
	case schema.KindCast, schema.KindTransform:
		return i.Name
	case schema.KindUserMapping:
		_, rest, _ := strings.Cut(i.Definition, "CREATE USER MAPPING ")
		return rest
	case schema.KindOperator:
		return Identifier(namespace) + "." + i.Name
	case schema.KindOperatorClass, schema.KindOperatorFamily:
		name, method, _ := strings.Cut(i.Name, " USING ")
		return qualified(namespace, name) + " USING " + method
	}
	if namespace == "" {
		return Identifier(i.Name)
	}
	return qualified(namespace, i.Name)
}

// createItem writes the statement, or statements, that make an item and set its options.
func createItem(n *node, i *schema.Item) []ddl.Statement {
	var list []ddl.Statement
	for _, sql := range strings.Split(i.Definition, ";\n") {
		list = append(list, one(sql)...)
	}
	s, value := &list[0], func(name string) string { return schema.Value(i.Options, name) }
	switch i.Of {
	case schema.KindExtension:
		if value("schema") != "pg_catalog" {
			s.SQL += " WITH SCHEMA " + Identifier(value("schema"))
		}
		s.SQL += " VERSION " + Literal(value("version"))
	case schema.KindServer:
		if v := value("version"); v != "" {
			s.SQL = strings.Replace(s.SQL, " FOREIGN DATA WRAPPER ", " VERSION "+Literal(v)+" FOREIGN DATA WRAPPER ", 1)
		}
		fallthrough
	case schema.KindWrapper, schema.KindUserMapping:
		if v := value("foreign options"); v != "" {
			s.SQL += " OPTIONS (" + v + ")"
		}
		if i.Of == schema.KindUserMapping {
			s.Comment = "A password is not in the model: set it by ALTER USER MAPPING."
		}
	case schema.KindSubscription:
		s.SQL = strings.Replace(s.SQL, "connect = false", "connect = false, enabled = false", 1)
		s.Comment, s.Outside = "The connection string is not in the model: set it by ALTER SUBSCRIPTION … CONNECTION, then enable it.", true
	case schema.KindStatistics:
		if v := value("statistics"); v != "" {
			list = append(list, one("ALTER STATISTICS "+name(n, i)+" SET STATISTICS "+v)...)
		}
	case schema.KindEventTrigger:
		if v := value("enabled"); v != "" {
			list = append(list, enableEventTrigger(i, v))
		}
	}
	return list
}

func enableEventTrigger(i *schema.Item, state string) ddl.Statement {
	verb := map[string]string{"": "ENABLE", "no": "DISABLE", "replica": "ENABLE REPLICA", "always": "ENABLE ALWAYS"}[state]
	return ddl.Statement{SQL: "ALTER EVENT TRIGGER " + Identifier(i.Name) + " " + verb}
}

func dropItem(n *node, i *schema.Item) []ddl.Statement {
	what := "The " + string(i.Of)
	switch i.Of {
	case schema.KindDefaultPrivileges:
		s := ddl.Statement{SQL: opposite(i.Definition), Comment: "Objects made from now on are no longer given this" + again(n), Destroys: true}
		if n.change.Action == "" {
			s.Comment = "Taken back for the time of the script, which writes down all grants of what it makes."
		}
		return []ddl.Statement{s}
	case schema.KindSubscription:
		return []ddl.Statement{
			{SQL: "ALTER SUBSCRIPTION " + Identifier(i.Name) + " DISABLE", Comment: "So that it can be dropped."},
			{SQL: "ALTER SUBSCRIPTION " + Identifier(i.Name) + " SET (slot_name = NONE)", Comment: "Its slot on the publisher stays: drop it there."},
			{SQL: "DROP SUBSCRIPTION " + Identifier(i.Name), Comment: what + " goes; no more rows come in.", Destroys: true},
		}
	case schema.KindUserMapping:
		return []ddl.Statement{{SQL: "DROP USER MAPPING " + itemName("", i), Comment: "The mapping goes, with its password.", Destroys: true}}
	}
	return []ddl.Statement{{SQL: "DROP " + nounOf(i) + " " + name(n, i), Comment: what + " goes" + again(n), Destroys: true}}
}

// opposite takes default privileges back.
func opposite(definition string) string {
	if head, rest, ok := strings.Cut(definition, " GRANT "); ok {
		rest = strings.TrimSuffix(rest, " WITH GRANT OPTION")
		i := strings.LastIndex(rest, " TO ")
		return head + " REVOKE " + rest[:i] + " FROM " + rest[i+4:]
	}
	head, rest, _ := strings.Cut(definition, " REVOKE ")
	i := strings.LastIndex(rest, " FROM ")
	return head + " GRANT " + rest[:i] + " TO " + rest[i+6:]
}

func (p *plan) alterItem(n *node, from, to *schema.Item) []ddl.Statement {
	head := "ALTER " + nounOf(to) + " " + name(n, to)
	value := func(name string) string { return schema.Value(to.Options, name) }
	var list []ddl.Statement
	if isPublication(n) {
		list = p.alterPublication(n, readPublication(from.Definition), readPublication(to.Definition))
	}
	if n.differs("version") {
		switch to.Of {
		case schema.KindExtension:
			list = append(list, ddl.Statement{SQL: head + " UPDATE TO " + Literal(value("version")), Comment: "The extension's own script does it; a way back may not exist."})
		case schema.KindServer:
			list = append(list, one(head+" VERSION "+Literal(value("version")))...)
		}
	}
	if n.differs("schema") {
		list = append(list, one(head+" SET SCHEMA "+Identifier(value("schema")))...)
	}
	if n.differs("enabled") && to.Of == schema.KindEventTrigger {
		list = append(list, enableEventTrigger(to, value("enabled")))
	}
	if n.differs("statistics") {
		v := value("statistics")
		if v == "" {
			v = "-1"
		}
		list = append(list, one(head+" SET STATISTICS "+v)...)
	}
	if n.differs("foreign options") {
		list = append(list, changeForeignOptions(head, schema.Value(from.Options, "foreign options"), value("foreign options"))...)
	}
	return list
}

// changeForeignOptions turns one list of options into the other; both are as OPTIONS (…) wants them.
func changeForeignOptions(head, from, to string) []ddl.Statement {
	before, after := foreignOptions(from), foreignOptions(to)
	find := func(list [][2]string, name string) (string, bool) {
		for _, o := range list {
			if o[0] == name {
				return o[1], true
			}
		}
		return "", false
	}
	var words []string
	for _, o := range before {
		if _, ok := find(after, o[0]); !ok {
			words = append(words, "DROP "+o[0])
		}
	}
	for _, o := range after {
		switch old, ok := find(before, o[0]); {
		case !ok:
			words = append(words, "ADD "+o[0]+" "+o[1])
		case old != o[1]:
			words = append(words, "SET "+o[0]+" "+o[1])
		}
	}
	if len(words) == 0 {
		return nil
	}
	return one(head + " OPTIONS (" + strings.Join(words, ", ") + ")")
}

// foreignOptions takes "name 'value', name 'value'" apart.
func foreignOptions(text string) [][2]string {
	var list [][2]string
	for text != "" {
		i := strings.Index(text, " '")
		if i >= 0 && strings.HasSuffix(text[:i], " E") {
			i -= 2
		}
		if e := strings.Index(text, " E'"); e >= 0 && (i < 0 || e < i) {
			i = e
		}
		if i < 0 {
			return list
		}
		name, rest := text[:i], text[i+1:]
		end := strings.Index(rest, "'") + 1
		for end < len(rest) && (rest[end] != '\'' || end+1 < len(rest) && rest[end+1] == '\'') {
			if rest[end] == '\'' {
				end++
			}
			end++
		}
		list = append(list, [2]string{name, rest[:min(end+1, len(rest))]})
		text = strings.TrimPrefix(rest[min(end+1, len(rest)):], ", ")
	}
	return slices.Clip(list)
}
