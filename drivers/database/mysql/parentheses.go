package mysql

import (
	"slices"
	"strings"
)

// binding says how tightly the operators of both servers bind, the loosest first; see "Operator
// Precedence" in their manuals. Operators that are not here keep their parentheses.
var binding = map[string]int{
	"or": 1, "||": 1, "xor": 2, "and": 3, "&&": 3, "not": 4,
	"between": 5, "case": 5, "when": 5,
	"=": 6, "<=>": 6, ">=": 6, ">": 6, "<=": 6, "<": 6, "<>": 6, "!=": 6, "is": 6, "like": 6, "in": 6, "regexp": 6, "rlike": 6,
	"|": 7, "&": 8, "<<": 9, ">>": 9, "-": 10, "+": 10, "*": 11, "/": 11, "div": 11, "%": 11, "mod": 11, "^": 12,
}

// none is the binding of what is no operator at all, such as a name or a call.
const none = 100

// openers are the words after which a parenthesis holds no mere group.
const openers = " in values using over as on exists any all some join from with by key into of cast separator interval against match from union select "

// unwrap takes the parentheses away that change nothing: around a whole text, and around what binds
// tighter than what stands beside it. What it is not sure of it leaves.
func unwrap(tokens []token) []token {
	for again := true; again; {
		again = false
		for i := 0; i < len(tokens) && !again; i++ {
			if tokens[i].text == "(" {
				if j := closing(tokens, i); j > 0 && redundant(tokens, i, j) {
					tokens = slices.Concat(tokens[:i], tokens[i+1:j], tokens[j+1:])
					again = true
				}
			}
		}
	}
	return tokens
}

func closing(tokens []token, i int) int {
	depth := 0
	for ; i < len(tokens); i++ {
		switch tokens[i].text {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func redundant(tokens []token, i, j int) bool {
	left, right := beside(tokens, i, -1), beside(tokens, j, 1)
	inner, ok := loosest(tokens[i+1 : j])
	if !ok {
		return false
	}
	if left.kind == 'n' || left.kind == 's' || left.kind == 'w' && binding[strings.ToLower(left.text)] == 0 && !boundary(left) {
		return false // a call, or a list of something
	}
	if left.kind == 'w' && strings.Contains(openers, " "+strings.ToLower(left.text)+" ") {
		return false
	}
	lower := strings.ToLower(left.text)
	l, r := binding[lower], binding[strings.ToLower(right.text)]
	switch {
	case left.kind == 'p' && l == 0 && !boundary(left), right.kind == 'p' && r == 0 && !boundary(right), right.kind == 'n', right.kind == 's':
		return false
	case right.kind == 'w' && r == 0 && !boundary(right):
		return false
	case inner == none:
		return true
	case ambiguous(tokens, i, j):
		return false
	}
	return inner > l && inner >= r || inner == 3 && l == 3 || inner == 1 && l == 1
}

// ambiguous tells whether an AND beside the parentheses may belong to a BETWEEN.
func ambiguous(tokens []token, i, j int) bool {
	beside := strings.ToLower(beside(tokens, i, -1).text) + " " + strings.ToLower(beside(tokens, j, 1).text)
	if !strings.Contains(beside, "and") && !strings.Contains(beside, "between") {
		return false
	}
	return slices.ContainsFunc(tokens, func(t token) bool { return strings.EqualFold(t.text, "between") })
}

// boundary tells whether a token only sets expressions apart.
func boundary(t token) bool {
	switch strings.ToLower(t.text) {
	case "", "(", ")", ",", "where", "having", "then", "else", "when", "end", "as", "order", "group", "limit", "union", "asc", "desc", "from":
		return true
	}
	return false
}

func beside(tokens []token, i, step int) token {
	for i += step; i >= 0 && i < len(tokens); i += step {
		if tokens[i].kind != ' ' {
			return tokens[i]
		}
	}
	return token{}
}

// loosest is the binding of the loosest operator that is in no parentheses of its own. It is not ok for
// what is no expression, such as a subquery or a list.
func loosest(tokens []token) (int, bool) {
	depth, found, operand := 0, none, false
	words := 0
	for _, t := range tokens {
		lower := strings.ToLower(t.text)
		switch {
		case t.text == "(":
			depth++
		case t.text == ")":
			depth--
			operand = true
		case depth > 0 || t.kind == ' ':
		case t.text == ",", t.kind == 'p' && t.text != "." && binding[lower] == 0:
			return 0, false
		case t.kind == 'w' && slices.Contains([]string{"select", "with", "values", "case", "interval", "collate", "join", "binary", "escape", "distinct", "from"}, lower):
			return 0, false
		case binding[lower] > 0 && t.kind != 's' && t.kind != 'n':
			if !operand && lower != "not" { // a sign of a number
				return 0, false
			}
			found, operand = min(found, binding[lower]), false
		default:
			operand = true
		}
		words++
	}
	return found, words > 0
}
