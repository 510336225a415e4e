package diff

import (
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// line is a line of a comparison of two texts.
type line struct {
	Sign byte // '+', '-', ' ' for what is on both sides, '@' where alike lines are left out
	Text string
}

// diffLines compares two texts line by line and keeps a few alike lines around each difference. One that
// is only on one side comes as a whole.
func diffLines(from, to string) []line {
	switch {
	case from == "":
		return signed('+', to)
	case to == "":
		return signed('-', from)
	}
	from, to = strings.TrimSuffix(from, "\n")+"\n", strings.TrimSuffix(to, "\n")+"\n"
	unified, err := udiff.ToUnifiedDiff("", "", from, udiff.Lines(from, to), udiff.DefaultContextLines)
	if err != nil || len(unified.Hunks) == 0 { // they differ in a line break at the end, at most
		return append(signed('-', from), signed('+', to)...)
	}
	var out []line
	for i, h := range unified.Hunks {
		if i > 0 || h.FromLine > 1 {
			out = append(out, line{'@', ""})
		}
		for _, l := range h.Lines {
			sign := map[udiff.OpKind]byte{udiff.Delete: '-', udiff.Insert: '+', udiff.Equal: ' '}[l.Kind]
			out = append(out, line{sign, visible(strings.TrimSuffix(l.Content, "\n"))})
		}
	}
	return out
}

// signed gives all lines of a text the same sign.
func signed(sign byte, text string) []line {
	var out []line
	for l := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		out = append(out, line{sign, visible(l)})
	}
	return out
}
