package recipe

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	writer "github.com/switchbackdb/switchback/ddl/mysql"
)

// span are the numbers that an exact type holds: from low to high, with scale digits behind the point.
type span struct {
	low, high *big.Int // of the number without its point
	scale     int
	decimal   bool
}

var (
	integerType = regexp.MustCompile(`^(tinyint|smallint|mediumint|int|bigint)(?:\(\d+\))?( unsigned)?( zerofill)?$`)
	decimalType = regexp.MustCompile(`^decimal\((\d+),(\d+)\)( unsigned)?$`)
	textType    = regexp.MustCompile(`^(char|varchar|tinytext|text|mediumtext|longtext)(?:\((\d+)\))?$`)
	momentType  = regexp.MustCompile(`^(datetime|timestamp)(?:\((\d)\))?$`)
	enumType    = regexp.MustCompile(`^enum\((.*)\)$`)
)

// exact is the span of an integer or decimal type.
func exact(typ string) (span, bool) {
	if m := integerType.FindStringSubmatch(typ); m != nil {
		bits := map[string]uint{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}[m[1]]
		one := big.NewInt(1)
		if m[2] != "" || m[3] != "" {
			return span{low: big.NewInt(0), high: new(big.Int).Sub(new(big.Int).Lsh(one, bits), one)}, true
		}
		half := new(big.Int).Lsh(one, bits-1)
		return span{low: new(big.Int).Neg(half), high: new(big.Int).Sub(half, one)}, true
	}
	if m := decimalType.FindStringSubmatch(typ); m != nil {
		digits, _ := strconv.Atoi(m[1])
		scale, _ := strconv.Atoi(m[2])
		high := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
		high.Sub(high, big.NewInt(1))
		s := span{low: new(big.Int).Neg(high), high: high, scale: scale, decimal: true}
		if m[3] != "" {
			s.low = big.NewInt(0)
		}
		return s, true
	}
	return span{}, false
}

// at is a bound with so many digits behind the point, cut.
func (s span) at(n *big.Int, scale int) *big.Int {
	ten := big.NewInt(10)
	if scale >= s.scale {
		return new(big.Int).Mul(n, new(big.Int).Exp(ten, big.NewInt(int64(scale-s.scale)), nil))
	}
	return new(big.Int).Quo(n, new(big.Int).Exp(ten, big.NewInt(int64(s.scale-scale)), nil))
}

// holds tells whether all numbers of another span are in this one.
func (s span) holds(o span) bool {
	scale := max(s.scale, o.scale)
	return s.scale >= o.scale && s.at(s.low, scale).Cmp(o.at(o.low, scale)) <= 0 && s.at(s.high, scale).Cmp(o.at(o.high, scale)) >= 0
}

func (s span) text(n *big.Int) string {
	if s.scale == 0 {
		return n.String()
	}
	sign, digits := "", new(big.Int).Abs(n).String()
	if n.Sign() < 0 {
		sign = "-"
	}
	for len(digits) <= s.scale {
		digits = "0" + digits
	}
	return sign + digits[:len(digits)-s.scale] + "." + digits[len(digits)-s.scale:]
}

// into writes an expression with a value of the span from as one that fits: it is rounded, and what lies outside
// becomes the nearest bound.
func (s span) into(x string, from span) string {
	if s.holds(from) {
		return x
	}
	value := x
	if from.scale > s.scale {
		value = fmt.Sprintf("ROUND(%s, %d)", x, s.scale)
	}
	scale := max(s.scale, from.scale)
	var cases string
	if s.at(s.high, scale).Cmp(from.at(from.high, scale)) < 0 {
		cases += fmt.Sprintf(" WHEN %s > %s THEN %s", x, s.text(s.high), s.text(s.high))
	}
	if s.at(s.low, scale).Cmp(from.at(from.low, scale)) > 0 {
		cases += fmt.Sprintf(" WHEN %s < %s THEN %s", x, s.text(s.low), s.text(s.low))
	}
	if cases == "" {
		return value
	}
	return "CASE" + cases + " ELSE " + value + " END"
}

// room is how many letters a text type holds for certain, and how many it may hold. Texts are measured in bytes
// and a letter takes up to four.
func room(typ string) (sure, most int, ok bool) {
	m := textType.FindStringSubmatch(typ)
	if m == nil {
		return 0, 0, false
	}
	bytes := map[string]int{"tinytext": 255, "text": 65535, "mediumtext": 16777215, "longtext": 4294967295}[m[1]]
	if bytes > 0 {
		return bytes / 4, bytes, true
	}
	n := 1
	if m[2] != "" {
		n, _ = strconv.Atoi(m[2])
	}
	return n, n, true
}

// inBytes tells whether a text type is measured in bytes.
func inBytes(typ string) bool { return strings.HasSuffix(typ, "text") }

// fitText writes a text so that it fits a type.
func fitText(x, typ, from string) string {
	sure, _, _ := room(typ)
	if _, most, _ := room(from); sure < most {
		x = fmt.Sprintf("LEFT(%s, %d)", x, sure)
	}
	if strings.HasPrefix(typ, "char") && !strings.HasPrefix(from, "char") {
		x = "TRIM(TRAILING ' ' FROM " + x + ")" // the server would, too
	}
	return x
}

// numberIn reads a number of a text; NULL where there is none.
func numberIn(x string, to span) string {
	wide, _ := exact("decimal(20,0)")
	return fmt.Sprintf("CASE WHEN %s REGEXP '^[[:space:]]*[-+]?[0-9]{1,20}[[:space:]]*$' THEN %s END", x, to.into("CAST(REGEXP_REPLACE("+x+", '[[:space:]]', '') AS DECIMAL(20,0))", wide))
}

func (g *mysql) conversion(column, converted, from, to string) (up, down string, total, ok bool) {
	a, b := g.quote(column), g.quote(converted)
	fromSpan, fromExact := exact(from)
	toSpan, toExact := exact(to)
	_, fromMost, fromText := room(from)
	toSure, _, toText := room(to)
	m, n := momentType.FindStringSubmatch(from), momentType.FindStringSubmatch(to)
	switch {
	case fromExact && toExact:
		return toSpan.into(a, fromSpan), fromSpan.into(b, toSpan), toSpan.holds(fromSpan), true
	case fromText && toText:
		return fitText(a, to, from), fitText(b, from, to), toSure >= fromMost, true
	case fromExact && !fromSpan.decimal && toText && toSure >= len(fromSpan.low.String()) && toSure >= len(fromSpan.high.String()):
		return "CAST(" + a + " AS CHAR)", numberIn(b, fromSpan), true, true
	case fromText && toExact && !toSpan.decimal:
		return numberIn(a, toSpan), fitText("CAST("+b+" AS CHAR)", from, fmt.Sprintf("char(%d)", max(len(toSpan.low.String()), len(toSpan.high.String())))), false, true
	case m != nil && n != nil:
		return g.moments(a, b, m, n)
	case from == "date" && n != nil && n[1] == "datetime":
		return "CAST(" + a + " AS DATETIME)", "CAST(" + b + " AS DATE)", true, true
	case enumType.MatchString(from) && toText && toSure >= 255:
		return "CAST(" + a + " AS CHAR)", fmt.Sprintf("CASE WHEN %s IN (%s) THEN %s END", b, enumType.FindStringSubmatch(from)[1], b), true, true
	}
	return "", "", false, false
}

// moments converts between DATETIME, taken as UTC, and TIMESTAMP, and between their precisions.
func (*mysql) moments(a, b string, from, to []string) (up, down string, total, ok bool) {
	convert := func(x string, from, to []string) string {
		switch {
		case from[1] == "datetime" && to[1] == "timestamp":
			x = fmt.Sprintf("CASE WHEN %s BETWEEN '1970-01-01 00:00:01' AND '2038-01-19 03:14:06' THEN CONVERT_TZ(%s, '+00:00', @@session.time_zone) END", x, x)
		case from[1] == "timestamp" && to[1] == "datetime":
			x = "CONVERT_TZ(" + x + ", @@session.time_zone, '+00:00')"
		}
		if from[2] > to[2] {
			x = "CAST(" + x + " AS DATETIME" + precision(to[2]) + ")"
		}
		return x
	}
	return convert(a, from, to), convert(b, to, from), to[2] >= from[2] && (from[1] == to[1] || to[1] == "datetime"), true
}

func precision(digits string) string {
	if digits == "" {
		return ""
	}
	return "(" + digits + ")"
}

func (g *mysql) retype(constant, _, to string) string {
	_, number := exact(to)
	bare := strings.Trim(constant, "'")
	switch {
	case number && regexp.MustCompile(`^[-+]?[0-9]+(\.[0-9]+)?$`).MatchString(bare):
		return bare
	case number:
		return ""
	case textType.MatchString(to) && !strings.HasPrefix(constant, "'") && !strings.HasPrefix(constant, "0x"):
		return writer.Literal(constant)
	case inBytes(to):
		return "(" + constant + ")" // a text has no other default than an expression
	}
	return constant
}

// keepsCollation tells whether a column that changes its type keeps its collation.
func (*mysql) keepsCollation(from, to string) bool {
	return byBytes.MatchString(from) && textType.MatchString(to)
}

func (g *mysql) zero(typ string) string {
	_, number := exact(typ)
	switch {
	case number, strings.HasPrefix(typ, "float"), strings.HasPrefix(typ, "double"), typ == "year":
		return "0"
	case strings.HasPrefix(typ, "bit"):
		return "b'0'"
	case strings.HasPrefix(typ, "char"), strings.HasPrefix(typ, "varchar"), strings.HasPrefix(typ, "set("), g.mariadb && inBytes(typ):
		return "''"
	case strings.HasPrefix(typ, "enum("):
		first, _, _ := strings.Cut(enumType.FindStringSubmatch(typ)[1], "','")
		return strings.TrimSuffix(first, "'") + "'"
	case typ == "date", strings.HasPrefix(typ, "datetime"):
		return "'1970-01-01'"
	case strings.HasPrefix(typ, "timestamp"):
		return "'1970-01-02 00:00:00'" // its first day is another one in some time zones
	case strings.HasPrefix(typ, "time"):
		return "'00:00:00'"
	}
	return "" // the other types have no constant default
}

// mysqlAliases are names of types that the servers write otherwise.
var mysqlAliases = map[string]string{
	"integer": "int", "int4": "int", "int8": "bigint", "int2": "smallint", "int1": "tinyint", "int3": "mediumint", "middleint": "mediumint",
	"bool": "tinyint(1)", "boolean": "tinyint(1)", "numeric": "decimal", "dec": "decimal", "fixed": "decimal", "character": "char",
	"real": "double", "double precision": "double", "float8": "double", "float4": "float",
	"character varying": "varchar", "nvarchar": "varchar", "nchar": "char", "long": "mediumtext", "long varchar": "mediumtext",
}

var mysqlType = regexp.MustCompile(`^([a-z0-9]+(?: precision| varying| varchar)?)\s*(\([^)]*\))?(.*)$`)

func (*mysql) canonical(typ string) string {
	if strings.ContainsAny(typ, "'\"") { // labels of an enum or a set
		name, rest, _ := strings.Cut(typ, "(")
		return strings.ToLower(strings.TrimSpace(name)) + "(" + rest
	}
	m := mysqlType.FindStringSubmatch(strings.Join(strings.Fields(strings.ToLower(typ)), " "))
	if m == nil {
		return typ
	}
	name, modifier := m[1], strings.ReplaceAll(m[2], " ", "")
	if full := mysqlAliases[name]; full != "" {
		name = full
	}
	switch {
	case name == "decimal" && modifier == "":
		modifier = "(10,0)"
	case name == "decimal" && !strings.Contains(modifier, ","):
		modifier = strings.TrimSuffix(modifier, ")") + ",0)"
	case (name == "char" || name == "binary" || name == "bit") && modifier == "":
		modifier = "(1)"
	case strings.HasSuffix(name, "int") && (name != "tinyint" || modifier != "(1)"):
		modifier = "" // the width for showing it
	case strings.HasSuffix(name, "(1)"):
		modifier = ""
	}
	return strings.TrimSpace(name + modifier + " " + strings.TrimSpace(m[3]))
}
