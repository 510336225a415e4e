package recipe

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// integers are PostgreSQL's, from the narrowest.
var integers = []string{"smallint", "integer", "bigint"}

// reach is what the integers end at.
var reach = map[string]string{"smallint": "32767", "integer": "2147483647", "bigint": "9223372036854775807"}

var characterLength = regexp.MustCompile(`^(?:character varying|character)\((\d+)\)$`)

// length is how many characters a type holds: -1 when it is no text, 0 when there is no end.
func length(typ string) int {
	if typ == "text" || typ == "character varying" {
		return 0
	}
	if m := characterLength.FindStringSubmatch(typ); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return -1
}

func (g *postgres) conversion(column, converted, from, to string) (up, down string, total, ok bool) {
	a, b := g.quote(column), g.quote(converted)
	cast := func(x, typ string) string { return "CAST(" + x + " AS " + typ + ")" }
	narrow := func(x, typ string) string {
		top := reach[typ]
		return fmt.Sprintf("CASE WHEN %s > %s THEN %s WHEN %s < -%s - 1 THEN -%s - 1 ELSE %s END", x, top, top, x, top, top, cast(x, typ))
	}
	i, j := slices.Index(integers, from), slices.Index(integers, to)
	m, n := length(from), length(to)
	number := `'^\s*[-+]?[0-9]{1,18}\s*$'`
	switch {
	case i >= 0 && j >= i:
		return cast(a, to), narrow(b, from), true, true
	case i >= 0 && j >= 0:
		return narrow(a, to), cast(b, from), false, true
	case m >= 0 && n >= 0 && (n == 0 || m > 0 && n >= m):
		if m == 0 {
			return cast(a, to), cast(b, from), true, true
		}
		return cast(a, to), fmt.Sprintf("left(%s, %d)", b, m), true, true
	case m >= 0 && n >= 0:
		return fmt.Sprintf("left(%s, %d)", a, n), cast(b, from), false, true
	case i >= 0 && n == 0:
		return cast(a, to), fmt.Sprintf("CASE WHEN %s ~ %s THEN %s END", b, number, narrow("CAST("+b+" AS bigint)", from)), true, true
	case m == 0 && j >= 0:
		return fmt.Sprintf("CASE WHEN %s ~ %s THEN %s END", a, number, narrow("CAST("+a+" AS bigint)", to)), cast(b, from), false, true
	case i >= 0 && strings.HasPrefix(to, "numeric"):
		return cast(a, to), narrow("round("+b+")", from), to == "numeric", true
	case from == "timestamp without time zone" && to == "timestamp with time zone", from == "timestamp with time zone" && to == "timestamp without time zone":
		return a + " AT TIME ZONE 'UTC'", b + " AT TIME ZONE 'UTC'", true, true
	case from == "real" && to == "double precision":
		return cast(a, to), cast(b, from), true, true
	case from == "date" && strings.HasPrefix(to, "timestamp"):
		return cast(a, to), cast(b, from), true, true
	case from == "json" && to == "jsonb":
		return cast(a, to), cast(b, from), true, true
	}
	return "", "", false, false
}

func (g *postgres) retype(constant, from, to string) string {
	bare, _, cast := strings.Cut(constant, "::")
	if !cast || length(to) >= 0 && length(from) >= 0 {
		return bare
	}
	return bare + "::" + to
}

func (g *postgres) zero(typ string) string {
	switch {
	case slices.Contains(integers, typ), strings.HasPrefix(typ, "numeric"), typ == "real", typ == "double precision", typ == "money":
		return "0"
	case length(typ) >= 0, typ == "bytea":
		return "''::" + typ
	case typ == "boolean":
		return "false"
	case typ == "json", typ == "jsonb":
		return "'{}'::" + typ
	case typ == "date", strings.HasPrefix(typ, "timestamp"):
		return "'1970-01-01'::" + typ
	case strings.HasSuffix(typ, "[]"):
		return "'{}'::" + typ
	}
	return ""
}

// aliases are names of types that PostgreSQL writes otherwise.
var aliases = map[string]string{
	"int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "bool": "boolean",
	"varchar": "character varying", "char": "character", "decimal": "numeric", "float8": "double precision", "float": "double precision",
	"float4": "real", "timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone",
	"timetz": "time with time zone", "time": "time without time zone", "varbit": "bit varying",
}

var typeParts = regexp.MustCompile(`^([a-z0-9]+)\s*(\([^)]*\))?((?:\[\])*)$`)

func (g *postgres) canonical(typ string) string {
	m := typeParts.FindStringSubmatch(strings.ToLower(strings.TrimSpace(typ)))
	if m == nil || aliases[m[1]] == "" {
		return typ
	}
	full := aliases[m[1]]
	modifier := strings.ReplaceAll(m[2], " ", "")
	if first, rest, ok := strings.Cut(full, " with"); ok { // timestamp(3) with time zone
		return first + modifier + " with" + rest + m[3]
	}
	return full + modifier + m[3]
}
