package workload

import (
	"slices"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

// bareStatement is a statement in which parameters stand for the constants, so that it can be asked again, unlike its
// Shape.
type bareStatement struct {
	text string
	// parameters says of each parameter of the text which one it was of the statement, from 1; 0 was a constant.
	parameters []int
}

// bare writes a statement without its constants and comments. Lists in IN, ARRAY and VALUES are cut to one of each
// kind, as an application makes them of any length.
//
// On PostgreSQL a text becomes $1, which is of no type before it is used, as the text was; a number says its type, as
// the number did. What the grammar wants as a constant (the path of ->, say) is a constant that says nothing.
func bare(engine migrate.Engine, list []sqltoken.Token) bareStatement {
	b := &stripper{engine: engine, list: list}
	for b.at = 0; b.at < len(list); b.at++ {
		b.take(list[b.at])
	}
	return number(engine, shorten(b.out))
}

// piece is a part of a bare statement.
type piece struct {
	text      string // of a parameter: what follows it, as in ::int
	spaced    bool   // white space stands before it
	parameter bool
	was       int // of a parameter that the statement had: its number, from 1
}

func (p piece) is(word string) bool { return !p.parameter && strings.EqualFold(p.text, word) }

// stripper replaces the constants of a statement.
type stripper struct {
	engine migrate.Engine
	list   []sqltoken.Token
	at     int
	out    []piece
	open   []string // the words before the parentheses that are open, in lower case
	// lists are the depths at which a list of GROUP BY or ORDER BY stands, where a number is the place of a column.
	lists []int
}

func (b *stripper) take(t sqltoken.Token) {
	spaced := b.at > 0 && t.Start > b.list[b.at-1].End
	switch {
	case b.engine == migrate.Postgres && t.IsSign("$") && b.follows(sqltoken.Number):
		b.at++
		was, _ := strconv.Atoi(b.list[b.at].Raw)
		b.out = append(b.out, piece{spaced: spaced, parameter: true, was: was})
		return
	case b.engine != migrate.Postgres && t.IsSign("?"):
		b.out = append(b.out, piece{spaced: spaced, parameter: true})
		return
	case t.Kind == sqltoken.Text:
		b.constant(spaced)
		return
	case t.Kind == sqltoken.Number && !b.isPlace() && !b.isPrecision():
		b.out = append(b.out, piece{text: b.numberType(t), spaced: spaced, parameter: true})
		return
	}
	b.nest(t)
	b.out = append(b.out, piece{text: t.Raw, spaced: spaced})
}

// nest follows parentheses, and the lists in which a number is a column's place.
func (b *stripper) nest(t sqltoken.Token) {
	switch {
	case t.IsSign("("):
		b.open = append(b.open, strings.ToLower(b.before(1).Name))
	case t.IsSign(")") && len(b.open) > 0:
		b.open = b.open[:len(b.open)-1]
	case t.Is("by") && (b.before(1).Is("group") || b.before(1).Is("order")):
		b.lists = append(b.lists, len(b.open))
	case t.Is("limit"), t.Is("offset"), t.Is("having"), t.Is("fetch"), t.Is("window"), t.Is("union"):
		b.lists = slices.DeleteFunc(b.lists, func(depth int) bool { return depth == len(b.open) })
	}
	b.lists = slices.DeleteFunc(b.lists, func(depth int) bool { return depth > len(b.open) })
}

// before is the nth token before this one; n is 1 or more.
func (b *stripper) before(n int) sqltoken.Token {
	if b.at < n {
		return sqltoken.Token{Kind: sqltoken.Sign}
	}
	return b.list[b.at-n]
}

// follows tells whether a token of that kind stands right behind this one.
func (b *stripper) follows(kind sqltoken.Kind) bool {
	return b.at+1 < len(b.list) && b.list[b.at+1].Kind == kind && b.list[b.at+1].Start == b.list[b.at].End
}

// constantAfter are the words and signs behind which the grammar of MySQL wants a text and no parameter, with one that
// says nothing.
var constantAfter = map[string]string{"->": "'$'", "->>": "'$'", "path": "'$'", "separator": "''", "escape": "'|'", "as": "'?'"}

// constant replaces a text.
func (b *stripper) constant(spaced bool) {
	before := b.before(1)
	p := piece{spaced: spaced, parameter: true}
	switch {
	case before.Kind == sqltoken.Text: // 'a' 'b' is one
		return
	case b.engine == migrate.Postgres:
		p.text, p.spaced = b.literalType(spaced)
	case constantAfter[strings.ToLower(before.Name)] != "" && before.Kind != sqltoken.Quoted:
		p = piece{text: constantAfter[strings.ToLower(before.Name)], spaced: spaced}
	case before.Kind == sqltoken.Word && (strings.HasPrefix(before.Name, "_") || before.Is("date") || before.Is("time") || before.Is("timestamp")):
		p.spaced = b.drop(1) // DATE '2026-01-01', _utf8mb4 'x'
	}
	b.out = append(b.out, p)
}

// drop takes the last n pieces away, and tells whether white space stood before them.
func (b *stripper) drop(n int) (spaced bool) {
	spaced = b.out[len(b.out)-n].spaced
	b.out = b.out[:len(b.out)-n]
	return spaced
}

// anyArguments are the functions of PostgreSQL that take values of any type, and cannot tell that of a parameter.
var anyArguments = []string{
	"concat", "concat_ws", "format", "json_build_array", "json_build_object", "jsonb_build_array", "jsonb_build_object",
}

// literalType is the type of a text that is written before it, as in DATE '2026-01-01', to stand behind the parameter.
func (b *stripper) literalType(spaced bool) (text string, before bool) {
	var words int
	switch name := b.before(1); {
	case name.Is("zone") && b.before(2).Is("time") && (b.before(3).Is("with") || b.before(3).Is("without")) && b.before(4).Kind == sqltoken.Word:
		words = 4 // timestamp with time zone '…'
	case name.IsSign("&") && b.before(2).Is("u"):
		return "", b.drop(2) // U&'…'
	case name.Kind == sqltoken.Word && slices.Contains(literalTypes, strings.ToLower(name.Name)):
		words = 1
	case len(b.open) > 0 && slices.Contains(anyArguments, b.open[len(b.open)-1]):
		return "::text", spaced
	default:
		return "", spaced
	}
	var names []string
	for n := words; n > 0; n-- {
		names = append(names, b.before(n).Raw)
	}
	return "::" + strings.Join(names, " "), b.drop(words)
}

// literalTypes are the types that people write before a text.
var literalTypes = []string{
	"bool", "boolean", "bytea", "cidr", "date", "inet", "interval", "json", "jsonb", "numeric", "point", "text", "time",
	"timestamp", "timestamptz", "timetz", "uuid",
}

// numberType is the type that PostgreSQL gives a number, to stand behind the parameter
// (https://www.postgresql.org/docs/current/sql-syntax-lexical.html, "Numeric Constants").
func (b *stripper) numberType(t sqltoken.Token) string {
	switch digits := strings.ReplaceAll(t.Raw, "_", ""); {
	case b.engine != migrate.Postgres:
		return ""
	case strings.HasPrefix(digits, "0x"), strings.HasPrefix(digits, "0X"):
		return "::bigint"
	case strings.ContainsAny(digits, ".eE") || len(digits) > 18:
		return "::numeric"
	case len(digits) > 9:
		return "::bigint"
	}
	return "::int"
}

// isPlace tells whether the number is the place of a column, as in ORDER BY 2.
func (b *stripper) isPlace() bool {
	if len(b.lists) == 0 || b.lists[len(b.lists)-1] != len(b.open) || len(b.list[b.at].Raw) > 3 {
		return false
	}
	if before := b.before(1); !before.Is("by") && !before.IsSign(",") {
		return false
	}
	return b.at+1 == len(b.list) || b.list[b.at+1].Kind == sqltoken.Word || b.list[b.at+1].IsSign(",") || b.list[b.at+1].IsSign(")")
}

// clocks are the functions whose precision has to be a constant.
var clocks = []string{
	"current_time", "current_timestamp", "curtime", "localtime", "localtimestamp", "now", "sysdate", "utc_time", "utc_timestamp",
}

// isPrecision tells whether the number belongs to a type, as in CAST(x AS decimal(10, 2)) and x::numeric(10, 2), or is
// the precision of a clock.
func (b *stripper) isPrecision() bool {
	n := 1
	for b.before(n).Kind == sqltoken.Number || b.before(n).IsSign(",") {
		n++
	}
	name := b.before(n + 1)
	if !b.before(n).IsSign("(") || name.Kind != sqltoken.Word {
		return false
	}
	if slices.Contains(clocks, strings.ToLower(name.Name)) && len(b.list[b.at].Raw) == 1 {
		return true
	}
	as := b.before(n + 2)
	if as.Is("character") || as.Is("national") || as.Is("bit") {
		as = b.before(n + 3)
	}
	typed := as.IsSign("::") || as.Is("as") || as.IsSign(",") && (name.Is("decimal") || name.Is("numeric"))
	return typed && len(b.list[b.at].Raw) <= 5
}

// shorten cuts lists to one of each kind.
func shorten(list []piece) []piece {
	var out []piece
	for i := 0; i < len(list); {
		out = append(out, list[i])
		i++
		switch {
		case list[i-1].is("values"):
		case i < len(list) && (list[i-1].is("in") && list[i].is("(") || list[i-1].is("array") && list[i].is("[")):
			out = append(out, list[i])
			i++
		default:
			continue
		}
		out, i = unique(out, list, i)
	}
	return out
}

// unique appends the items of a list that begins at i, one of each kind, and returns where it ends.
func unique(out, list []piece, i int) ([]piece, int) {
	seen := map[string]bool{}
	for {
		end := item(list, i)
		if end == i {
			return out, i
		}
		kind := key(list[i:end])
		if !seen[kind] {
			if len(seen) > 0 {
				out = append(out, piece{text: ","})
			}
			out = append(out, list[i:end]...)
			seen[kind] = true
		}
		if end+1 >= len(list) || !list[end].is(",") || item(list, end+1) == end+1 {
			return out, end
		}
		i = end + 1
	}
}

// item is where an item ends that begins at i: a parameter, or what is in parentheses. i where there is none.
func item(list []piece, i int) int {
	switch {
	case i >= len(list):
		return i
	case list[i].parameter:
		return i + 1
	case !list[i].is("("):
		return i
	}
	depth := 0
	for end := i; end < len(list); end++ {
		switch {
		case list[end].is("("):
			depth++
		case list[end].is(")"):
			if depth--; depth == 0 {
				return end + 1
			}
		}
	}
	return i
}

// key tells kinds of items apart.
func key(list []piece) string {
	var b strings.Builder
	for _, p := range list {
		if p.parameter {
			b.WriteByte('?')
		}
		b.WriteString(p.text)
		b.WriteByte(' ')
	}
	return b.String()
}

// number writes the statement, with its parameters counted anew.
func number(engine migrate.Engine, list []piece) bareStatement {
	var b strings.Builder
	var s bareStatement
	numbers := map[int]int{}
	for _, p := range list {
		if p.spaced && b.Len() > 0 {
			b.WriteByte(' ')
		}
		switch {
		case p.parameter && engine == migrate.Postgres:
			n := numbers[p.was]
			if n == 0 || p.was == 0 {
				s.parameters = append(s.parameters, p.was)
				n = len(s.parameters)
				numbers[p.was] = n
			}
			b.WriteString("$" + strconv.Itoa(n))
		case p.parameter:
			s.parameters = append(s.parameters, 0)
			b.WriteByte('?')
		}
		b.WriteString(p.text)
	}
	s.text = b.String()
	return s
}
