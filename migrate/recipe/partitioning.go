package recipe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
)

// partitioning is how a table of PostgreSQL is to be partitioned, as an operation says it.
type partitioning struct {
	method  string // RANGE, LIST or HASH
	columns []string
	parts   []partition
}

// partition is one of its parts.
type partition struct {
	name  string
	bound string   // as CREATE TABLE … PARTITION OF has it
	holds [][]item // the values it is bound by: one list for LIST, two for RANGE
}

// item is a value of a bound.
type item struct {
	text string
	word string // MINVALUE, MAXVALUE or NULL; else empty
}

// partitionings are the forms, for whoever wrote another one.
const partitionings = `RANGE (column) (PARTITION name FOR VALUES FROM (…) TO (…), PARTITION name DEFAULT), LIST (column) (PARTITION name FOR VALUES IN (…), …) or HASH (column) PARTITIONS 4`

// readPartitioning reads what stands behind PARTITION BY. The error says what is wrong in the words of the text.
func readPartitioning(table, by string) (partitioning, error) {
	r := &boundReader{text: by, tokens: sqltoken.Split(by, sqltoken.Of("postgres"))}
	var out partitioning
	for _, method := range []string{"RANGE", "LIST", "HASH"} {
		if r.word(method) {
			out.method = method
		}
	}
	if out.method == "" || !r.sign("(") {
		return out, r.wrong("RANGE, LIST or HASH, and columns in parentheses")
	}
	for {
		name, ok := r.name()
		if !ok || !r.at(",") && !r.at(")") {
			return out, r.wrong("the name of a column: an expression cannot be part of a primary key, which has to hold it")
		}
		out.columns = append(out.columns, name)
		if r.sign(")") {
			break
		}
		r.sign(",")
	}
	if out.method == "LIST" && len(out.columns) > 1 {
		return out, r.wrong("one column, as LIST takes no more")
	}
	var err error
	switch {
	case out.method == "HASH" && r.word("PARTITIONS"):
		out.parts, err = r.count(table)
	case r.sign("("):
		out.parts, err = r.parts(out)
	default:
		err = r.wrong("the partitions")
	}
	if err == nil && len(r.tokens) > 0 {
		err = r.wrong("nothing more")
	}
	if err == nil && out.method == "HASH" {
		for i := range out.parts {
			out.parts[i].bound = fmt.Sprintf("FOR VALUES WITH (modulus %d, remainder %d)", len(out.parts), i)
		}
	}
	return out, err
}

// open tells whether every row has a place.
func (p partitioning) open() bool {
	return p.method == "HASH" || slices.ContainsFunc(p.parts, func(x partition) bool { return x.bound == "DEFAULT" })
}

// fits is the condition that a row has a place in one of the partitions.
func (p partitioning) fits(quote func(string) string) string {
	columns := make([]string, len(p.columns))
	for i, c := range p.columns {
		columns[i] = quote(c)
	}
	var any []string
	for _, x := range p.parts {
		if p.method == "LIST" {
			any = append(any, inList(columns[0], x.holds[0]))
		} else {
			var all []string
			for _, c := range columns { // a NULL has no place in a range
				all = append(all, c+" IS NOT NULL")
			}
			all = append(append(all, beyond(columns, x.holds[0], ">=", ">")...), beyond(columns, x.holds[1], "<", "<=")...)
			any = append(any, "("+strings.Join(all, " AND ")+")")
		}
	}
	return strings.Join(any, "\n   OR ")
}

func inList(column string, list []item) string {
	var any, values []string
	for _, i := range list {
		if i.word == "NULL" {
			any = append(any, column+" IS NULL")
		} else {
			values = append(values, i.text)
		}
	}
	if len(values) > 0 {
		any = append(any, column+" IN ("+strings.Join(values, ", ")+")")
	}
	return strings.Join(any, " OR ")
}

// beyond is the condition that a row is on the right side of a bound, if it is one: full where all of it is given, cut
// where MAXVALUE ends it. That is more than any value, and MINVALUE less.
func beyond(columns []string, bound []item, full, cut string) []string {
	compare, end := full, slices.IndexFunc(bound, func(i item) bool { return i.word != "" })
	switch {
	case end < 0:
		end = len(bound)
	case end == 0 && (bound[0].word == "MAXVALUE") == (full == ">="):
		return []string{"false"}
	case end == 0:
		return nil
	case bound[end].word == "MAXVALUE":
		compare = cut
	}
	values := make([]string, end)
	for i := range values {
		values[i] = bound[i].text
	}
	return []string{"(" + strings.Join(columns[:end], ", ") + ") " + compare + " (" + strings.Join(values, ", ") + ")"}
}

// boundReader reads the text of an operation.
type boundReader struct {
	text   string
	tokens []sqltoken.Token
}

func (r *boundReader) wrong(want string) error {
	at := "its end"
	if len(r.tokens) > 0 {
		at = strconv.Quote(r.text[r.tokens[0].Start:])
	}
	return fmt.Errorf("at %s there should be %s", at, want)
}

func (r *boundReader) at(sign string) bool { return len(r.tokens) > 0 && r.tokens[0].IsSign(sign) }

func (r *boundReader) sign(sign string) bool {
	if !r.at(sign) {
		return false
	}
	r.tokens = r.tokens[1:]
	return true
}

func (r *boundReader) word(words ...string) bool {
	if len(r.tokens) < len(words) {
		return false
	}
	for i, w := range words {
		if !r.tokens[i].Is(w) {
			return false
		}
	}
	r.tokens = r.tokens[len(words):]
	return true
}

func (r *boundReader) name() (string, bool) {
	if len(r.tokens) == 0 || !r.tokens[0].IsName() {
		return "", false
	}
	t := r.tokens[0]
	r.tokens = r.tokens[1:]
	if t.Kind == sqltoken.Word {
		return strings.ToLower(t.Name), true
	}
	return t.Name, true
}

// count makes as many partitions of a hash as are asked for.
func (r *boundReader) count(table string) ([]partition, error) {
	if len(r.tokens) == 0 {
		return nil, r.wrong("how many there are")
	}
	n, err := strconv.Atoi(r.tokens[0].Raw)
	if err != nil || n < 1 || n > 1000 {
		return nil, r.wrong("a number of partitions from 1 to 1000")
	}
	r.tokens = r.tokens[1:]
	out := make([]partition, n)
	for i := range out {
		out[i].name = fmt.Sprintf("%s_p%d", table, i)
	}
	return out, nil
}

func (r *boundReader) parts(p partitioning) ([]partition, error) {
	var out []partition
	for {
		if !r.word("PARTITION") {
			return nil, r.wrong("PARTITION and a name")
		}
		name, ok := r.name()
		if !ok {
			return nil, r.wrong("the name of a partition, which is a table of its own")
		}
		x, err := r.bound(p)
		if err != nil {
			return nil, err
		}
		x.name = name
		if slices.ContainsFunc(out, func(o partition) bool { return o.name == name }) {
			return nil, fmt.Errorf("two partitions are called %s", name)
		}
		out = append(out, x)
		if r.sign(")") {
			return out, nil
		}
		if !r.sign(",") {
			return nil, r.wrong("a comma or the end of the partitions")
		}
	}
}

func (r *boundReader) bound(p partitioning) (partition, error) {
	begin := r.tokens
	var lists [][]item
	var ok bool
	take := func(width int) {
		var list []item
		if list, ok = r.items(); ok && (width == 0 || len(list) == width) {
			lists = append(lists, list)
		} else {
			ok = false
		}
	}
	switch {
	case p.method == "HASH":
		return partition{}, nil
	case r.word("DEFAULT"):
		return partition{bound: "DEFAULT"}, nil
	case p.method == "LIST" && r.word("FOR", "VALUES", "IN"):
		take(0)
	case p.method == "RANGE" && r.word("FOR", "VALUES", "FROM"):
		if take(len(p.columns)); ok && r.word("TO") {
			take(len(p.columns))
		} else {
			ok = false
		}
	}
	if !ok {
		form := map[string]string{"LIST": "FOR VALUES IN (…)", "RANGE": "FOR VALUES FROM (…) TO (…), with a value for each column,"}[p.method]
		return partition{}, r.wrong(form + " or DEFAULT")
	}
	end := len(r.text)
	if len(r.tokens) > 0 {
		end = begin[len(begin)-len(r.tokens)-1].End
	}
	return partition{bound: r.text[begin[0].Start:end], holds: lists}, nil
}

// items reads values in parentheses.
func (r *boundReader) items() ([]item, bool) {
	if !r.sign("(") {
		return nil, false
	}
	var out []item
	depth, begin := 0, 0
	for i, t := range r.tokens {
		switch {
		case t.IsSign("("):
			depth++
		case t.IsSign(")") && depth > 0:
			depth--
		case depth == 0 && (t.IsSign(",") || t.IsSign(")")):
			if i == begin {
				return nil, false
			}
			x := item{text: r.text[r.tokens[begin].Start:r.tokens[i-1].End]}
			if upper := strings.ToUpper(x.text); slices.Contains([]string{"MINVALUE", "MAXVALUE", "NULL"}, upper) {
				x.word = upper
			}
			out, begin = append(out, x), i+1
			if t.IsSign(")") {
				r.tokens = r.tokens[i+1:]
				return out, true
			}
		}
	}
	return nil, false
}
