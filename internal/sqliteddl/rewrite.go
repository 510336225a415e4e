package sqliteddl

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// Rewrite returns the statement of a table changed to what the table says: its columns, their defaults, NOT
// NULLs, collations and expressions, its constraints and options. All other text stays as it is, byte for byte. A
// table without a statement gets one.
func Rewrite(t *schema.Table) string {
	sql := t.Source
	if sql == "" {
		return create(t)
	}
	list := tokens(sql)
	at := nameAt(list)
	body, _ := parenthesised(list[min(at+1, len(list)):])
	if len(body) == 0 {
		return sql
	}
	open := slices.IndexFunc(list[at+1:], func(k token) bool { return k.IsSign("(") }) + at + 1
	end := open + len(body) + 1 // of the closing parenthesis
	r := rewriting{sql: sql, table: t, seen: &schema.Table{Name: t.Name}}
	for _, item := range split(body) {
		if len(item) > 0 {
			r.read(item)
		}
	}
	for i := range r.items { // what stands before the comma belongs to the item before
		to := list[end].Start
		if i+1 < len(r.items) {
			to = r.items[i+1].start
		}
		between := tokens(sql[r.items[i].end:to])
		if len(between) > 0 && between[0].IsSign(",") {
			comma := r.items[i].end + between[0].Start
			r.items[i].trail, r.items[i+1].lead = sql[r.items[i].end:comma], sql[comma+1:to]
		} else {
			r.items[i].trail = sql[r.items[i].end:to]
		}
	}
	r.items[0].lead = sql[list[open].End:r.items[0].start]
	r.edit()
	tail := sql[list[end].Start:]
	said := schema.Value(ParseTable(t.Name, sql).Table.Options, "options")
	if want := schema.Value(t.Options, "options"); want != said {
		tail = strings.TrimRight(") "+want, " ")
	}
	return sql[:list[open].End] + r.body() + tail
}

// create writes the statement of a table that has none.
func create(t *schema.Table) string {
	var items []string
	for _, c := range t.Columns {
		items = append(items, columnText(c))
	}
	for _, c := range t.Constraints {
		items = append(items, constraintText(c))
	}
	text := "CREATE TABLE " + Quote(t.Name) + " (\n  " + strings.Join(items, ",\n  ") + "\n)"
	if options := schema.Value(t.Options, "options"); options != "" {
		text += " " + options
	}
	return text
}

// rewriting is a statement being changed.
type rewriting struct {
	sql   string
	table *schema.Table // what is wanted
	seen  *schema.Table // what the text says
	items []rewritten
}

// rewritten is a column or some constraints of the statement.
type rewritten struct {
	lead, trail string // what stands before it, behind the comma; and behind it, before the comma
	start, end  int    // in the text
	column      *schema.Column
	head        int // of a column: where its name and type end
	clauses     []clause
	added       string // text of an item that is new
}

// clause is a constraint of a column or table.
type clause struct {
	start, end int
	name       string // in the model, of those that are a constraint there
	property   string // of a column: not null, default, collation, generated
	named      *token // the name it has in the text
	text       string // what is written instead
	gone       bool
}

// read takes an item apart.
func (r *rewriting) read(item []token) {
	it := rewritten{start: item[0].Start, end: item[len(item)-1].End}
	plain := unqualified(item, r.table.Name)
	switch {
	case plain[0].Is("CONSTRAINT"), plain[0].Is("PRIMARY"), plain[0].Is("UNIQUE"), plain[0].Is("CHECK"), plain[0].Is("FOREIGN"):
		for _, c := range clauses(plain) {
			it.clauses = append(it.clauses, clauseOf(c, addConstraint(r.seen, "", c), ""))
		}
	default:
		it.column = &schema.Column{Name: plain[0].Name}
		it.head = plain[0].End
		r.seen.Columns = append(r.seen.Columns, it.column)
		if len(plain) > 1 {
			r.readColumn(&it, clauses(plain[1:]))
		}
	}
	r.items = append(r.items, it)
}

func (r *rewriting) readColumn(it *rewritten, parts [][]token) {
	if first := parts[0]; !beginsConstraint(first, 0) {
		it.column.Type = strings.ToUpper(canonical(first))
		it.head = first[len(first)-1].End
		parts = parts[1:]
	}
	for _, p := range parts {
		name := columnClause(r.seen, it.column, p)
		it.clauses = append(it.clauses, clauseOf(p, name, property(p)))
	}
}

func clauseOf(list []token, name, property string) clause {
	c := clause{start: list[0].Start, end: list[len(list)-1].End, name: name, property: property}
	if list[0].Is("CONSTRAINT") && len(list) > 1 {
		c.named = &list[1]
	}
	return c
}

// property is the property of a column that a clause sets.
func property(list []token) string {
	_, body := constraintName(list)
	switch {
	case len(body) == 0:
	case body[0].Is("NOT"):
		return "not null"
	case body[0].Is("DEFAULT"):
		return "default"
	case body[0].Is("COLLATE"):
		return "collation"
	case body[0].Is("GENERATED"), body[0].Is("AS"):
		return "generated"
	}
	return ""
}

func (r *rewriting) edit() {
	renamed := r.renamedConstraints()
	for i := range r.items {
		it := &r.items[i]
		for j := range it.clauses {
			c := &it.clauses[j]
			if c.name == "" {
				continue
			}
			if to, ok := renamed[c.name]; ok {
				r.rename(c, to)
			} else if want := r.table.Constraint(c.name); want == nil || want.Definition != r.seen.Constraint(c.name).Definition {
				c.gone = true
			}
		}
		if it.column != nil {
			if want := r.column(it.column.Name); want != nil {
				r.editColumn(it, want)
			}
		}
	}
	r.remove()
	for _, c := range r.table.Columns {
		if !slices.ContainsFunc(r.seen.Columns, func(s *schema.Column) bool { return s.Name == c.Name }) {
			r.insert(r.columns(), rewritten{column: c, added: columnText(c)})
		}
	}
	for _, c := range r.table.Constraints {
		if was := r.seen.Constraint(c.Name); was != nil && was.Definition == c.Definition && r.stands(c.Name) || slices.Contains(values(renamed), c.Name) {
			continue
		}
		r.insert(len(r.items), rewritten{added: constraintText(c)})
	}
}

// remove leaves out the items that are gone. The white space before the closing parenthesis stays.
func (r *rewriting) remove() {
	last := len(r.items) - 1
	tail := r.items[last].trail
	kept := r.items[:0:0]
	for i, it := range r.items {
		gone := it.column != nil && r.column(it.column.Name) == nil ||
			it.column == nil && !slices.ContainsFunc(it.clauses, func(c clause) bool { return !c.gone })
		switch {
		case !gone:
			kept = append(kept, it)
		case i == last && len(kept) > 0 && strings.TrimSpace(tail) == "":
			kept[len(kept)-1].trail += tail
		}
	}
	r.items = kept
}

func (r *rewriting) column(name string) *schema.Column { return r.table.Column(name) }

// stands tells whether a constraint is still in the text.
func (r *rewriting) stands(name string) bool {
	return slices.ContainsFunc(r.items, func(it rewritten) bool {
		return slices.ContainsFunc(it.clauses, func(c clause) bool { return c.name == name && !c.gone })
	})
}

// renamedConstraints finds those that have another name and are the same otherwise.
func (r *rewriting) renamedConstraints() map[string]string {
	out := map[string]string{}
	for _, was := range r.seen.Constraints {
		if r.table.Constraint(was.Name) != nil {
			continue
		}
		for _, c := range r.table.Constraints {
			if !c.Unnamed && !was.Unnamed && c.Type == was.Type && c.Definition == was.Definition && r.seen.Constraint(c.Name) == nil && !slices.Contains(values(out), c.Name) {
				out[was.Name] = c.Name
				break
			}
		}
	}
	return out
}

func values(m map[string]string) (out []string) {
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

func (r *rewriting) rename(c *clause, to string) {
	if c.named == nil {
		c.text = "CONSTRAINT " + Quote(to) + " " + r.sql[c.start:c.end]
		return
	}
	c.text = r.sql[c.start:c.named.Start] + Quote(to) + r.sql[c.named.End:c.end]
}

// editColumn changes the clauses of a column whose property is another.
func (r *rewriting) editColumn(it *rewritten, want *schema.Column) {
	have := it.column
	if have.Type != want.Type {
		name := tokens(r.sql[it.start:it.head])[0].Raw
		head := clause{start: it.start, end: it.head, text: strings.TrimSpace(name + " " + want.Type)}
		it.clauses = slices.Insert(it.clauses, 0, head)
		it.head = it.start
	}
	for _, p := range []string{"generated", "collation", "not null", "default"} {
		text := clauseText(want, p)
		if clauseText(have, p) == text {
			continue
		}
		i := slices.IndexFunc(it.clauses, func(c clause) bool { return c.property == p })
		switch {
		case i >= 0 && text == "":
			it.clauses[i].gone = true
		case i >= 0:
			it.clauses[i].text = text
		case text != "":
			at := it.head
			if len(it.clauses) > 0 && it.clauses[0].property == "" && it.clauses[0].start == it.start {
				at = it.clauses[0].end
			}
			it.clauses = append(it.clauses, clause{start: at, end: at, property: p, text: " " + text})
		}
	}
}

// clauseText writes a property of a column.
func clauseText(c *schema.Column, property string) string {
	switch property {
	case "not null":
		if !c.NotNull {
			return ""
		}
		if on := schema.Value(c.Options, "on conflict"); on != "" {
			return "NOT NULL ON CONFLICT " + on
		}
		return "NOT NULL"
	case "default":
		if c.Default == "" {
			return ""
		}
		return "DEFAULT " + bracketed(c.Default)
	case "collation":
		if c.Collation == "" {
			return ""
		}
		return "COLLATE " + c.Collation
	}
	if c.Generated == "" {
		return ""
	}
	i := strings.LastIndexByte(c.Generated, ' ')
	return "GENERATED ALWAYS AS (" + c.Generated[:max(i, 0)] + ")" + strings.ToUpper(c.Generated[max(i, 0):])
}

// bracketed puts a default into parentheses, unless it is a literal.
func bracketed(expression string) string {
	list := tokens(expression)
	if len(list) == 1 || len(list) == 2 && (list[0].IsSign("-") || list[0].IsSign("+")) && list[1].Kind == sqltoken.Number {
		return expression
	}
	return "(" + expression + ")"
}

func columnText(c *schema.Column) string {
	parts := []string{Quote(c.Name)}
	if c.Type != "" {
		parts = append(parts, c.Type)
	}
	for _, p := range []string{"generated", "collation", "not null", "default"} {
		if text := clauseText(c, p); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " ")
}

func constraintText(c *schema.Constraint) string {
	if c.Unnamed || c.Name == "" {
		return c.Definition
	}
	return "CONSTRAINT " + Quote(c.Name) + " " + c.Definition
}

// columns is how many items are columns: they come first.
func (r *rewriting) columns() int {
	n := 0
	for _, it := range r.items {
		if it.column != nil {
			n++
		}
	}
	return n
}

// insert puts a new item before item i, set apart like the one before it.
func (r *rewriting) insert(i int, it rewritten) {
	it.lead = " "
	if i > 0 {
		before := &r.items[i-1]
		if at := strings.LastIndexByte(before.lead, '\n'); at >= 0 && strings.TrimSpace(before.lead[at:]) == "" {
			it.lead = before.lead[at:]
		}
		if i == len(r.items) && strings.TrimSpace(before.trail) == "" {
			it.trail, before.trail = before.trail, ""
		}
	}
	r.items = slices.Insert(r.items, i, it)
}

// body writes the items.
func (r *rewriting) body() string {
	var b strings.Builder
	for i, it := range r.items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(it.lead)
		if it.added != "" {
			b.WriteString(it.added)
		} else {
			b.WriteString(r.text(it))
		}
		b.WriteString(it.trail)
	}
	return b.String()
}

// text writes an item with its clauses as they are now.
func (r *rewriting) text(it rewritten) string {
	list := slices.Clone(it.clauses)
	slices.SortStableFunc(list, func(a, b clause) int { return a.start - b.start })
	var b strings.Builder
	from := it.start
	for _, c := range list {
		if !c.gone && c.text == "" {
			continue
		}
		before := r.sql[from:c.start]
		if c.gone {
			before = strings.TrimRight(before, " \t\r\n")
		}
		b.WriteString(before)
		if !c.gone {
			b.WriteString(c.text)
		}
		from = c.end
	}
	b.WriteString(r.sql[from:it.end])
	return b.String()
}
