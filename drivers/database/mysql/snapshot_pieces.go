package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// pieceBytes is about how much of a table is read at once.
const pieceBytes = 64 << 20

// partitionPiece begins the range of a piece that is a partition.
const partitionPiece = "PARTITION "

// planTables plans the copy of every table and cuts it into pieces.
func (p *point) planTables(ctx context.Context, all *schema.Database) error {
	sizes, err := p.sizes(ctx)
	if err != nil {
		return err
	}
	for _, t := range all.Schemas[0].Tables {
		if !copied(t.Name) {
			continue
		}
		r := newRowsOf(t, p.db.engine)
		p.tables = append(p.tables, r)
		p.content.Tables = append(p.content.Tables, snapshot.Table{Name: t.Name})
		if schema.Value(t.Options, "system versioning") != "" && !r.history {
			p.content.Omitted = append(p.content.Omitted, snapshot.Omitted{What: "the past of the rows of " + t.Name, Reason: "it is kept by numbers of transactions, which mean nothing elsewhere"})
		}
		if ours(t.Name) {
			err := show(ctx, p.db.db, []string{"SHOW CREATE TABLE " + quote(t.Name)}, func(_ int, r []string) { p.content.Database[tableStatement+t.Name] = r[1] })
			if err != nil {
				return fmt.Errorf("read the statement of %s: %w", t.Name, err)
			}
		}
		cut, err := p.cut(ctx, r, sizes[t.Name])
		if err != nil {
			return fmt.Errorf("cut %s into pieces: %w", t.Name, err)
		}
		for _, c := range cut {
			c.Part = len(p.tables) - 1
			p.pieces = append(p.pieces, c)
		}
	}
	slices.SortStableFunc(p.pieces, func(a, b snapshot.Piece) int { return cmp.Compare(b.Bytes, a.Bytes) })
	slices.SortFunc(p.content.Tables, func(a, b snapshot.Table) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// size is what the engine's statistics say of a table.
type size struct{ bytes, rows int64 }

func (p *point) sizes(ctx context.Context) (map[string]size, error) {
	m := map[string]size{}
	if p.db.engine == migrate.MySQL { // it remembers for a day what the catalogue said of a table
		if _, err := p.workers[0].ExecContext(ctx, "SET SESSION information_schema_stats_expiry = 0"); err != nil {
			return nil, fmt.Errorf("read the sizes of the tables: %w", err)
		}
	}
	err := show(ctx, p.workers[0], []string{"SELECT table_name, coalesce(data_length, 0), coalesce(table_rows, 0) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type <> 'VIEW'"}, func(_ int, r []string) {
		var s size
		s.bytes, _ = strconv.ParseInt(r[1], 10, 64)
		s.rows, _ = strconv.ParseInt(r[2], 10, 64)
		m[r[0]] = s
	})
	if err != nil {
		return nil, fmt.Errorf("read the sizes of the tables: %w", err)
	}
	return m, nil
}

// cut cuts a table by the first column of its primary key: a whole number into ranges that hold about as many rows as the
// optimizer thinks, anything else at values that are that many rows apart. A table without a key is cut by its
// partitions. A small one is one piece.
func (p *point) cut(ctx context.Context, r *rowsOf, s size) ([]snapshot.Piece, error) {
	whole := []snapshot.Piece{{Bytes: s.bytes}}
	if s.bytes < 2*pieceBytes || s.rows < 2 {
		return whole, nil
	}
	each := max(1, s.rows*pieceBytes/s.bytes)
	key := r.table.Constraint("PRIMARY")
	if key == nil {
		return p.cutByPartition(ctx, r, s)
	}
	c := r.table.Column(key.Columns[0])
	var bounds []string
	var err error
	if c != nil && wholeNumber.MatchString(strings.TrimSuffix(c.Type, " unsigned")) {
		bounds, err = p.numbers(ctx, r, c, s.rows, each)
	} else if c != nil && c.Generated == "" && quantiled.MatchString(c.Type) {
		bounds, err = p.quantiles(ctx, r, c, each)
	}
	if err != nil || len(bounds) == 0 {
		return whole, err
	}
	return ranges(quote(c.Name), bounds, s.bytes), nil
}

// quantiled are the types whose values are written as a literal that compares as they do.
var quantiled = regexp.MustCompile(`^(char|varchar|binary|varbinary|decimal|date|datetime|time)\b`)

// ranges are the pieces between bounds, without a bound at either end.
func ranges(column string, bounds []string, bytes int64) []snapshot.Piece {
	share := bytes / int64(len(bounds)+1)
	list := []snapshot.Piece{{Range: column + " < " + bounds[0], Bytes: share}}
	for i, b := range bounds {
		r := column + " >= " + b
		if i+1 < len(bounds) {
			r += " AND " + column + " < " + bounds[i+1]
		}
		list = append(list, snapshot.Piece{Range: r, Bytes: share})
	}
	return list
}

// numbers bisects the span of a whole number until no range holds more rows than wanted.
func (p *point) numbers(ctx context.Context, r *rowsOf, c *schema.Column, rows, each int64) ([]string, error) {
	name, table := quote(c.Name), quote(r.table.Name)
	var low, high sql.NullString
	if err := p.workers[0].QueryRowContext(ctx, fmt.Sprintf("SELECT min(%s), max(%s) FROM %s", name, name, table)).Scan(&low, &high); err != nil || !low.Valid {
		return nil, err
	}
	from, ok1 := new(big.Int).SetString(low.String, 10)
	to, ok2 := new(big.Int).SetString(high.String, 10)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("the key spans from %q to %q, which are no whole numbers", low.String, high.String)
	}
	var bounds []string
	count := func(from, to *big.Int) (int64, error) {
		return p.estimate(ctx, fmt.Sprintf("SELECT 1 FROM %s WHERE %s >= %s AND %s <= %s", table, name, from, name, to))
	}
	var bisect func(from, to *big.Int, n int64) error
	bisect = func(from, to *big.Int, n int64) error {
		if n <= each*3/2 || from.Cmp(to) >= 0 {
			return nil
		}
		middle := new(big.Int).Add(from, to)
		middle.Add(middle, big.NewInt(1)).Rsh(middle, 1) // rounds up, so that both halves are smaller
		last := new(big.Int).Sub(middle, big.NewInt(1))
		left, err := count(from, last)
		if err != nil {
			return err
		}
		right, err := count(middle, to)
		if err != nil {
			return err
		}
		if err := bisect(from, last, left); err != nil {
			return err
		}
		if min(left, right) > each/8 { // a half with hardly a row is no piece of its own
			bounds = append(bounds, middle.String())
		}
		return bisect(middle, to, right)
	}
	err := bisect(from, to, rows) // of a whole table the optimizer of MySQL says that it has half of its rows
	return bounds, err
}

// estimate is how many rows the optimizer thinks that a query reads.
func (p *point) estimate(ctx context.Context, query string) (int64, error) {
	rows, err := p.workers[0].QueryContext(ctx, "EXPLAIN FORMAT=TRADITIONAL "+query)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	at, n := slices.Index(names, "rows"), int64(0)
	err = each(rows, func(r []string) { n, _ = strconv.ParseInt(r[max(at, 0)], 10, 64) })
	return n, err
}

// quantiles finds values of the key that are so many rows apart, by walking along it.
func (p *point) quantiles(ctx context.Context, r *rowsOf, c *schema.Column, each int64) ([]string, error) {
	name := quote(c.Name)
	text := isTextType(c.Type)
	from, bounds := "", []string(nil)
	for {
		value := "HEX(" + name + ")"
		if text {
			value = "HEX(CONVERT(" + name + " USING utf8mb4))"
		} else if !strings.Contains(c.Type, "binary") {
			value = "CAST(" + name + " AS CHAR)"
		}
		var next string
		err := p.workers[0].QueryRowContext(ctx, fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT 1 OFFSET %d", value, quote(r.table.Name), from, name, each)).Scan(&next)
		if errors.Is(err, sql.ErrNoRows) {
			return bounds, nil
		}
		if err != nil {
			return nil, err
		}
		switch {
		case text:
			next = "_utf8mb4 0x" + next
		case strings.Contains(c.Type, "binary"):
			next = "0x" + next
		default:
			next = "'" + next + "'"
		}
		if strings.HasSuffix(next, " 0x") || next == "0x" || len(bounds) > 0 && bounds[len(bounds)-1] == next {
			return bounds, nil // one value has all those rows
		}
		bounds = append(bounds, next)
		from = " WHERE " + name + " >= " + next
	}
}

func isTextType(t string) bool {
	return strings.HasPrefix(t, "char") || strings.HasPrefix(t, "varchar")
}

func (p *point) cutByPartition(ctx context.Context, r *rowsOf, s size) ([]snapshot.Piece, error) {
	var pieces []snapshot.Piece
	if schema.Value(r.table.Options, "partitions") != "" && !r.history {
		err := show(ctx, p.workers[0], []string{"SELECT DISTINCT partition_name FROM information_schema.partitions WHERE table_schema = DATABASE() AND table_name = '" + strings.ReplaceAll(strings.ReplaceAll(r.table.Name, `\`, `\\`), "'", "''") + "' AND partition_name IS NOT NULL"},
			func(_ int, r []string) { pieces = append(pieces, snapshot.Piece{Range: partitionPiece + r[0]}) })
		if err != nil {
			return nil, err
		}
	}
	if len(pieces) == 0 {
		return []snapshot.Piece{{Bytes: s.bytes}}, nil
	}
	for i := range pieces {
		pieces[i].Bytes = s.bytes / int64(len(pieces))
	}
	return pieces, nil
}
