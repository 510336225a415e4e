// Package noun writes numbers of things for people, as in "1 change", "20 policies".
package noun

import (
	"fmt"
	"strings"
)

// Counted is a number with its noun.
func Counted[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %s", n, Many(noun))
}

// Many is the plural of a noun: a regular one, or what is in it already.
func Many(noun string) string {
	if strings.HasSuffix(noun, "statistics") || strings.HasSuffix(noun, "privileges") {
		return noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok && !strings.HasSuffix(stem, "a") {
		return stem + "ies"
	}
	if strings.HasSuffix(noun, "s") || strings.HasSuffix(noun, "x") {
		return noun + "es"
	}
	return noun + "s"
}
