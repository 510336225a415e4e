package recipe

import (
	"errors"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// SyntaxError is the error for an operation that cannot be read.
type SyntaxError struct {
	Text string
	Want string // how an operation of its kind is written
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("operation %q cannot be read: want %s", e.Text, e.Want)
}

// form is how the operations of a kind are written.
type form struct {
	words string // it begins with
	usage string
	about string // for people
	read  func(r *reader) (Operation, error)
}

// forms are all of them. One that begins like another comes first.
func forms() []form {
	return []form{
		{"rename column", "rename column TABLE.COLUMN NAME", "both names are there until contract", readRenameColumn},
		{"change type", "change type TABLE.COLUMN TYPE [up (EXPRESSION)] [down (EXPRESSION)]", "values are converted both ways", readChangeType},
		{"change enum", "change enum TYPE ('LABEL', …) [as ('OLD' = 'LABEL', …)]", "labels that go, or come in another order (PostgreSQL)", readChangeEnum},
		{"split column", "split column TABLE.COLUMN into NAME TYPE [not null] = (EXPRESSION), … down (EXPRESSION)", "several columns for one", readSplitColumn},
		{"merge columns", "merge columns TABLE (COLUMN, …) into NAME TYPE [not null] = (EXPRESSION) down (EXPRESSION), …", "one column for several", readMergeColumns},
		{"move columns", "move columns TABLE (COLUMN, …) to TABLE (KEY, …)", "to a new table, by the primary key", readMoveColumns},
		{"partition table", "partition table TABLE by (RANGE (…) (PARTITION …))", "by a second table (PostgreSQL, MySQL)", readPartitionTable},
		{"convert table", "convert table TABLE charset CHARSET collate COLLATION", "by a second table (MySQL), or the server's copy (MariaDB)", readConvertTable},
		{"add column", "add column TABLE.COLUMN TYPE [not null] [default (EXPRESSION)] [fill (EXPRESSION)]", "rows that are there get the default, or are filled in batches", readAddColumn},
		{"drop column", "drop column TABLE.COLUMN [fill (EXPRESSION)]", "into the attic; fill is for rows that are written without it", readDropColumn},
		{"set not null", "set not null TABLE.COLUMN [fill (EXPRESSION)]", "fill is for rows without a value", readSetNotNull},
		{"drop not null", "drop not null TABLE.COLUMN [fill (EXPRESSION)]", "fill is for the way back", readDropNotNull},
		{"set default", "set default TABLE.COLUMN (EXPRESSION)", "at contract", readSetDefault},
		{"drop default", "drop default TABLE.COLUMN", "at contract", readDropDefault},
		{"add constraint", "add constraint TABLE.NAME CHECK (…) | UNIQUE (…) | FOREIGN KEY (…) REFERENCES TABLE (…)", "once no row is against it", readAddConstraint},
		{"drop constraint", "drop constraint TABLE.NAME", "at contract", readDropConstraint},
		{"add index", "add index TABLE.NAME CREATE INDEX …", "built while others write", readAddIndex},
		{"drop index", "drop index TABLE.NAME", "at contract", readDropIndex},
		{"replace constraint", "replace constraint TABLE.NAME CHECK (…) | UNIQUE (…) | PRIMARY KEY (…) | FOREIGN KEY (…) REFERENCES TABLE (…)", "what differs of it holds from contract on, or both until then", readReplaceConstraint},
		{"replace index", "replace index TABLE.NAME CREATE INDEX …", "built while others write; the old one goes at contract", readReplaceIndex},
		{"rename table", "rename table TABLE NAME", "a view has the new name until contract", readRenameTable},
		{"drop table", "drop table TABLE", "into the attic", readDropTable},
	}
}

// Usage lists the operations there are, one a line.
func Usage() string {
	var b strings.Builder
	for _, f := range forms() {
		fmt.Fprintf(&b, "  %s\n      %s\n", f.usage, f.about)
	}
	return b.String()
}

// Parse reads an operation as a person writes it, such as "rename column users.name full_name". Names with
// anything but letters, digits and underscores stand in double quotes; expressions, in parentheses. The
// error is a *SyntaxError.
func Parse(text string) (Operation, error) {
	r := &reader{text: text, tokens: sqltoken.Split(text, sqltoken.Dialect{})}
	for _, f := range forms() {
		rest := *r
		if rest.words(f.words) {
			op, err := f.read(&rest)
			if err != nil || len(rest.tokens) > 0 {
				return nil, &SyntaxError{Text: text, Want: f.usage}
			}
			return op, nil
		}
	}
	var kinds []string
	for _, f := range forms() {
		kinds = append(kinds, f.words)
	}
	return nil, &SyntaxError{Text: text, Want: "one that begins with: " + strings.Join(kinds, ", ")}
}

var errSyntax = errors.New("syntax")

// reader reads an operation word by word. What is missing is an errSyntax.
type reader struct {
	text   string
	tokens []sqltoken.Token
}

// words takes keywords, if they are next.
func (r *reader) words(list string) bool {
	fields := strings.Fields(list)
	if len(r.tokens) < len(fields) {
		return false
	}
	for i, f := range fields {
		if !r.tokens[i].Is(f) {
			return false
		}
	}
	r.tokens = r.tokens[len(fields):]
	return true
}

func (r *reader) sign(sign string) bool {
	if len(r.tokens) > 0 && r.tokens[0].IsSign(sign) {
		r.tokens = r.tokens[1:]
		return true
	}
	return false
}

func (r *reader) name() (string, error) {
	if len(r.tokens) == 0 || !r.tokens[0].IsName() {
		return "", errSyntax
	}
	name := r.tokens[0].Name
	r.tokens = r.tokens[1:]
	return name, nil
}

// path reads names with dots between them.
func (r *reader) path() ([]string, error) {
	var names []string
	for {
		n, err := r.name()
		if err != nil {
			return nil, err
		}
		names = append(names, n)
		if !r.sign(".") {
			return names, nil
		}
	}
}

// table reads TABLE or SCHEMA.TABLE.
func (r *reader) table() (Table, error) {
	names, err := r.path()
	return tableOf(names, err)
}

func tableOf(names []string, err error) (Table, error) {
	switch {
	case err != nil:
		return Table{}, err
	case len(names) == 1:
		return Table{Name: names[0]}, nil
	case len(names) == 2:
		return Table{Schema: names[0], Name: names[1]}, nil
	}
	return Table{}, errSyntax
}

// column reads TABLE.COLUMN or SCHEMA.TABLE.COLUMN.
func (r *reader) column() (Table, string, error) {
	names, err := r.path()
	if err != nil || len(names) < 2 {
		return Table{}, "", errSyntax
	}
	t, err := tableOf(names[:len(names)-1], nil)
	return t, names[len(names)-1], err
}

// until takes the text up to one of some keywords outside of parentheses, or to the end.
func (r *reader) until(keywords ...string) (string, error) {
	depth := 0
	for i, t := range r.tokens {
		switch {
		case t.IsSign("("):
			depth++
		case t.IsSign(")"):
			depth--
		}
		if depth == 0 && i > 0 {
			for _, k := range keywords {
				if t.Is(k) || t.IsSign(k) {
					return r.take(i), nil
				}
			}
		}
	}
	if len(r.tokens) == 0 || depth != 0 {
		return "", errSyntax
	}
	return r.take(len(r.tokens)), nil
}

func (r *reader) take(n int) string {
	text := r.text[r.tokens[0].Start:r.tokens[n-1].End]
	r.tokens = r.tokens[n:]
	return text
}

// expression reads what stands in parentheses, without them.
func (r *reader) expression() (string, error) {
	if len(r.tokens) == 0 || !r.tokens[0].IsSign("(") {
		return "", errSyntax
	}
	depth := 0
	for i, t := range r.tokens {
		switch {
		case t.IsSign("("):
			depth++
		case t.IsSign(")"):
			if depth--; depth == 0 {
				text := strings.TrimSpace(r.text[r.tokens[0].End:t.Start])
				r.tokens = r.tokens[i+1:]
				if text == "" {
					return "", errSyntax
				}
				return text, nil
			}
		}
	}
	return "", errSyntax
}

// optional reads an expression behind a keyword, if that is next.
func (r *reader) optional(keyword string) (string, error) {
	if !r.words(keyword) {
		return "", nil
	}
	return r.expression()
}

// to passes over a TO that stands before a name, and is not the name itself.
func (r *reader) to() {
	if len(r.tokens) > 1 {
		_ = r.words("to")
	}
}

func readRenameColumn(r *reader) (Operation, error) {
	t, c, err := r.column()
	if err != nil {
		return nil, err
	}
	r.to()
	to, err := r.name()
	return RenameColumn{Table: t, Column: c, To: to}, err
}

func readChangeType(r *reader) (Operation, error) {
	t, c, err := r.column()
	if err != nil {
		return nil, err
	}
	r.to()
	op := ChangeType{Table: t, Column: c}
	if op.Type, err = r.until("up", "down"); err != nil {
		return nil, err
	}
	if op.Up, err = r.optional("up"); err != nil {
		return nil, err
	}
	op.Down, err = r.optional("down")
	return op, err
}

func readChangeEnum(r *reader) (Operation, error) {
	t, err := r.table()
	if err != nil || !r.sign("(") {
		return nil, errSyntax
	}
	op := ChangeEnum{Type: t}
	for more := true; more; more = r.sign(",") {
		label, err := r.literal()
		if err != nil {
			return nil, err
		}
		op.Labels = append(op.Labels, label)
	}
	if !r.sign(")") {
		return nil, errSyntax
	}
	if !r.words("as") {
		return op, nil
	}
	if !r.sign("(") {
		return nil, errSyntax
	}
	for more := true; more; more = r.sign(",") {
		from, err := r.literal()
		if err != nil || !r.sign("=") {
			return nil, errSyntax
		}
		to, err := r.literal()
		if err != nil {
			return nil, err
		}
		op.As = append(op.As, Relabel{from, to})
	}
	if !r.sign(")") {
		return nil, errSyntax
	}
	return op, nil
}

// literal reads a text in quotes.
func (r *reader) literal() (string, error) {
	if len(r.tokens) == 0 || r.tokens[0].Kind != sqltoken.Text {
		return "", errSyntax
	}
	text := r.tokens[0].Name
	r.tokens = r.tokens[1:]
	return text, nil
}

func (r *reader) part() (Part, error) {
	var c Part
	var err error
	if c.Name, err = r.name(); err != nil {
		return c, err
	}
	if c.Type, err = r.until("not", "="); err != nil {
		return c, err
	}
	c.NotNull = r.words("not null")
	if !r.sign("=") {
		return c, errSyntax
	}
	c.Up, err = r.expression()
	return c, err
}

func readSplitColumn(r *reader) (Operation, error) {
	t, c, err := r.column()
	if err != nil || !r.words("into") {
		return nil, errSyntax
	}
	op := SplitColumn{Table: t, Column: c}
	for {
		part, err := r.part()
		if err != nil {
			return nil, err
		}
		op.Into = append(op.Into, part)
		if !r.sign(",") {
			break
		}
	}
	if !r.words("down") {
		return nil, errSyntax
	}
	op.Down, err = r.expression()
	return op, err
}

func readMergeColumns(r *reader) (Operation, error) {
	t, err := r.table()
	if err != nil {
		return nil, err
	}
	op := MergeColumns{Table: t}
	if op.Columns, err = r.list(); err != nil || !r.words("into") {
		return nil, errSyntax
	}
	if op.Into, err = r.part(); err != nil || !r.words("down") {
		return nil, errSyntax
	}
	for {
		x, err := r.expression()
		if err != nil {
			return nil, err
		}
		op.Down = append(op.Down, x)
		if !r.sign(",") {
			return op, nil
		}
	}
}

func readAddColumn(r *reader) (Operation, error) {
	t, c, err := r.column()
	if err != nil {
		return nil, err
	}
	op := AddColumn{Table: t}
	op.Column.Name = c
	if op.Column.Type, err = r.until("not", "default", "fill"); err != nil {
		return nil, err
	}
	op.Column.NotNull = r.words("not null")
	if op.Column.Default, err = r.optional("default"); err != nil {
		return nil, err
	}
	op.Fill, err = r.optional("fill")
	return op, err
}

// filled reads a column and, if it is there, its fill.
func (r *reader) filled() (t Table, c, fill string, err error) {
	if t, c, err = r.column(); err != nil {
		return t, c, "", err
	}
	fill, err = r.optional("fill")
	return t, c, fill, err
}

func readDropColumn(r *reader) (Operation, error) {
	t, c, fill, err := r.filled()
	return DropColumn{t, c, fill}, err
}

func readSetNotNull(r *reader) (Operation, error) {
	t, c, fill, err := r.filled()
	return SetNotNull{t, c, fill}, err
}

func readDropNotNull(r *reader) (Operation, error) {
	t, c, fill, err := r.filled()
	return DropNotNull{t, c, fill}, err
}

func readSetDefault(r *reader) (Operation, error) {
	t, c, err := r.column()
	if err != nil {
		return nil, err
	}
	x, err := r.expression()
	return SetDefault{t, c, x}, err
}

func readDropDefault(r *reader) (Operation, error) {
	t, c, err := r.column()
	return SetDefault{Table: t, Column: c}, err
}

func readAddConstraint(r *reader) (Operation, error) {
	t, name, err := r.column()
	if err != nil {
		return nil, err
	}
	k := schema.Constraint{Name: name}
	rest := *r
	if k.Definition, err = r.until(); err != nil {
		return nil, err
	}
	switch {
	case rest.words("check"):
		k.Type = schema.Check
	case rest.words("unique"):
		k.Type = schema.Unique
	case rest.words("primary key"):
		k.Type = schema.PrimaryKey
	case rest.words("foreign key"):
		k.Type = schema.ForeignKey
	default:
		return nil, errSyntax
	}
	if k.Type == schema.Check {
		return AddConstraint{t, k}, nil
	}
	if k.Columns, err = rest.list(); err != nil || k.Type != schema.ForeignKey {
		return AddConstraint{t, k}, err
	}
	if !rest.words("references") {
		return nil, errSyntax
	}
	parent, err := rest.table()
	if err != nil {
		return nil, err
	}
	k.References = &schema.Reference{Schema: parent.Schema, Table: parent.Name}
	k.References.Columns, err = rest.list()
	return AddConstraint{t, k}, err
}

// list reads names in parentheses.
func (r *reader) list() ([]string, error) {
	if !r.sign("(") {
		return nil, errSyntax
	}
	var names []string
	for {
		n, err := r.name()
		if err != nil {
			return nil, err
		}
		names = append(names, n)
		if !r.sign(",") {
			break
		}
	}
	if !r.sign(")") {
		return nil, errSyntax
	}
	return names, nil
}

func readDropConstraint(r *reader) (Operation, error) {
	t, name, err := r.column()
	return DropConstraint{t, name}, err
}

func readAddIndex(r *reader) (Operation, error) {
	t, name, err := r.column()
	if err != nil {
		return nil, err
	}
	x := schema.Index{Name: name}
	rest := *r
	if !rest.words("create") {
		return nil, errSyntax
	}
	x.Unique = rest.words("unique")
	x.Definition, err = r.until()
	return AddIndex{t, x}, err
}

func readReplaceConstraint(r *reader) (Operation, error) {
	op, err := readAddConstraint(r)
	if err != nil {
		return nil, err
	}
	return ReplaceConstraint(op.(AddConstraint)), nil
}

func readReplaceIndex(r *reader) (Operation, error) {
	op, err := readAddIndex(r)
	if err != nil {
		return nil, err
	}
	return ReplaceIndex(op.(AddIndex)), nil
}

func readDropIndex(r *reader) (Operation, error) {
	t, name, err := r.column()
	return DropIndex{t, name}, err
}

func readRenameTable(r *reader) (Operation, error) {
	t, err := r.table()
	if err != nil {
		return nil, err
	}
	r.to()
	to, err := r.name()
	return RenameTable{t, to}, err
}

func readDropTable(r *reader) (Operation, error) {
	t, err := r.table()
	return DropTable{t}, err
}

func readMoveColumns(r *reader) (Operation, error) {
	var op MoveColumns
	var err error
	if op.Table, err = r.table(); err != nil {
		return nil, err
	}
	if op.Columns, err = r.list(); err != nil || !r.words("to") {
		return nil, errSyntax
	}
	if op.To, err = r.table(); err != nil {
		return nil, err
	}
	op.Key, err = r.list()
	return op, err
}

func readPartitionTable(r *reader) (Operation, error) {
	t, err := r.table()
	if err != nil || !r.words("by") {
		return nil, errSyntax
	}
	by, err := r.expression()
	return PartitionTable{t, by}, err
}

func readConvertTable(r *reader) (Operation, error) {
	t, err := r.table()
	if err != nil || !r.words("charset") {
		return nil, errSyntax
	}
	charset, err := r.name()
	if err != nil || !r.words("collate") {
		return nil, errSyntax
	}
	collation, err := r.name()
	return ConvertTable{t, charset, collation}, err
}
