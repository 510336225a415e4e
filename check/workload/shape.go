package workload

import (
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

var (
	several     = regexp.MustCompile(`\?(?: ?, ?\?)+`)
	severalRows = regexp.MustCompile(`(\(\?(?:, \.\.\.)?\))(?: ?, ?\(\?(?:, \.\.\.)?\))+`)
)

// Shape is a statement without its constants and comments: what is the same of the many that an application makes of
// one query. It is what people may see of a statement that a log holds, as pg_stat_statements and MySQL's digests
// do it.
func Shape(engine migrate.Engine, statement string) string {
	var b strings.Builder
	end := 0
	list := sqltoken.Split(statement, sqltoken.Of(string(engine)))
	for i, t := range list {
		if i > 0 && t.Start > end {
			b.WriteByte(' ')
		}
		end = t.End
		parameter := i > 0 && list[i-1].IsSign("$") // $1
		if t.Kind == sqltoken.Text || t.Kind == sqltoken.Number && !parameter {
			b.WriteByte('?')
			continue
		}
		b.WriteString(t.Raw)
	}
	return severalRows.ReplaceAllString(several.ReplaceAllString(b.String(), "?, ..."), "$1, ...")
}
