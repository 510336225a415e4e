package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchbackdb/switchback/snapshot"
)

// A message of statements that build something has those of tables with about so many bytes of rows: small tables
// share one, so that they do not cost a way to the server and back each, and a large one has each of its indexes
// built by a worker of its own.
const batchBytes = 8 << 20

// batchStatements is how many statements a message has at most: it is a transaction, which holds its locks to the end.
const batchStatements = 100

// atOnce runs statements in one message, which the server takes as one transaction. An error names the statement.
func atOnce(ctx context.Context, conn *sql.Conn, statements []string) error {
	done, err := simple(ctx, conn, strings.Join(statements, between))
	if err == nil {
		return nil
	}
	at := min(len(done), len(statements)-1)
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Position > 0 { // what cannot be parsed is found before the first is run
		at = statementAt(statements, int(said.Position))
	}
	return failed(statements[at], err)
}

const between = ";\n"

// statementAt is the index of the statement that has a character of a message, counted from 1.
func statementAt(statements []string, position int) int {
	for i, s := range statements {
		if position -= utf8.RuneCountInString(s + between); position <= 0 {
			return i
		}
	}
	return len(statements) - 1
}

// inBatches cuts statements that follow one another into messages.
func inBatches(statements []string) [][]string {
	return slices.Collect(slices.Chunk(statements, batchStatements))
}

const anIdentifier = `(?:"(?:[^"]|"")+"|[\w$]+)`

// buildOn finds the table that a statement builds an index or a key on.
var buildOn = regexp.MustCompile(`^(?:CREATE (?:UNIQUE )?INDEX ` + anIdentifier + ` ON|ALTER TABLE) (?:ONLY )?(` + anIdentifier + `\.` + anIdentifier + `) `)

// byTable puts statements that do not depend on each other into messages, of which no two name the same small table.
// A table that is not known to be small is taken for a large one.
func byTable(statements []string, bytes map[string]int64) [][]string {
	var batches [][]string
	of, order := map[string][]string{}, []string(nil)
	for _, s := range statements {
		m := buildOn.FindStringSubmatch(s)
		if m == nil || !small(bytes, m[1]) {
			batches = append(batches, []string{s})
			continue
		}
		if of[m[1]] == nil {
			order = append(order, m[1])
		}
		of[m[1]] = append(of[m[1]], s)
	}
	var batch []string
	var weight int64
	for _, table := range order {
		if len(batch) > 0 && (weight+bytes[table] > batchBytes || len(batch)+len(of[table]) > batchStatements) {
			batches, batch, weight = append(batches, batch), nil, 0
		}
		batch, weight = append(batch, of[table]...), weight+bytes[table]
	}
	if len(batch) > 0 {
		batches = append(batches, batch)
	}
	return batches
}

func small(bytes map[string]int64, table string) bool {
	n, known := bytes[table]
	return known && n <= batchBytes
}

// bytesByTable is how much the rows of each table of a snapshot are, by the table's quoted name.
func bytesByTable(m *snapshot.Manifest) map[string]int64 {
	bytes := map[string]int64{}
	for _, p := range m.Parts {
		if p.Table != "" {
			bytes[quotedName(p.Schema, p.Table)] = p.Bytes
		}
	}
	return bytes
}

// analyzes are the statements that give the planner its statistics, the largest tables first.
func analyzes(m *snapshot.Manifest) [][]string {
	bytes := bytesByTable(m)
	var names []string
	for name := range bytes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(bytes[b], bytes[a]), cmp.Compare(a, b)) })
	var batches [][]string
	var list []string
	var weight int64
	for i, name := range names {
		list, weight = append(list, name), weight+bytes[name]
		if weight >= batchBytes || len(list) == batchStatements || i == len(names)-1 {
			batches = append(batches, []string{"ANALYZE " + strings.Join(list, ", ")})
			list, weight = nil, 0
		}
	}
	return batches
}
