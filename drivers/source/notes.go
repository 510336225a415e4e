package source

import "fmt"

// notes count what was left out of files, by the reason for it.
type notes struct {
	order []string
	by    map[string]*note
}

type note struct {
	count int
	where string // the first of them
}

func (n *notes) add(why, file string, line int) {
	if n.by == nil {
		n.by = map[string]*note{}
	}
	if n.by[why] == nil {
		n.by[why] = &note{where: fmt.Sprintf("%s:%d", file, line)}
		n.order = append(n.order, why)
	}
	n.by[why].count++
}

// list says it for people, one line for each reason.
func (n *notes) list() []string {
	var list []string
	for _, why := range n.order {
		x := n.by[why]
		things, first := "statements", ", the first at "
		if x.count == 1 {
			things, first = "statement", ", at "
		}
		list = append(list, fmt.Sprintf("left out %d %s %s%s%s", x.count, things, why, first, x.where))
	}
	return list
}
