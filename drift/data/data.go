// Package data compares the rows of a table in two databases of one engine.
//
//	schema.Table ─┐                ┌─ Sums: count and checksum per range of keys ─▶ ranges that differ ─┐
//	              ├─ Plan ─▶ Table ┤   (one scan, in the database, both sides at once)                  ▼
//	schema.Table ─┘                └─ small tables, or sides whose checksums do not compare ─────▶ Rows, merged ─▶ Difference
//
// A table is cut into ranges alike on both sides: by its key where that is one whole number, else by a hash
// of the key. Only ranges whose checksums differ are read row by row, in the order of the key, and merged,
// so that no more than a row of each side is held in memory. Drivers implement Side.
package data

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// Table is what is compared of a table on one side.
type Table struct {
	Schema  string
	Name    string
	Columns []Column
	Key     []int // positions in Columns of what rows are matched by; empty: whole rows are
	Integer bool  // the key is one column of whole numbers that fit in 64 bits with sign
}

// Column is a column that both sides have.
type Column struct {
	Name     string
	Type     string // as the server of this side writes it
	Alike    bool   // the other side has the same type
	Recoded  bool   // a text would be in another character set on the other side
	Nullable bool   // on either side
}

// KeyColumns are the columns that rows are matched by: those of the key, or all of them.
func (t Table) KeyColumns() []Column {
	if len(t.Key) == 0 {
		return t.Columns
	}
	var key []Column
	for _, i := range t.Key {
		key = append(key, t.Columns[i])
	}
	return key
}

// Part is a part of a table. The zero value is the whole of it.
type Part struct {
	Bounded   bool    // only keys from Low to High, both included, of a table with an Integer key
	Low, High int64   //
	Width     int64   // Sums: the bucket of a row is its Integer key divided by Width, cut off towards zero
	Bits      int     // otherwise the bucket is the lower Bits bits of a hash of the KeyColumns
	Buckets   []int64 // Rows: only these buckets, by Bits; nil for all
}

// Where is the WHERE clause that chooses the rows of a part: by the column of an Integer key as quote writes
// it, or by the expression of a bucket by so many bits; empty for the whole table.
func (t Table) Where(p Part, quote func(name string) string, bucket func(t Table, bits int) string) string {
	switch {
	case p.Bounded:
		return fmt.Sprintf(" WHERE %s BETWEEN %d AND %d", quote(t.KeyColumns()[0].Name), p.Low, p.High)
	case p.Buckets != nil:
		list := make([]string, len(p.Buckets))
		for i, b := range p.Buckets {
			list[i] = strconv.FormatInt(b, 10)
		}
		return fmt.Sprintf(" WHERE %s IN (%s)", bucket(t, p.Bits), strings.Join(list, ", "))
	}
	return ""
}

// Sum is what a side says about a bucket: two sides with the same rows in it say the same.
type Sum struct {
	Rows  int64
	Check string // a checksum of at least 64 bits that does not depend on the order of rows
}

// Row is a row as text. Two values of the same type are the same when their texts are.
type Row struct {
	Int    int64  // the key of a table with an Integer key
	Key    string // else what rows are ordered by, byte by byte, and matched by
	Values []sql.NullString
}

// Cursor reads rows one by one.
type Cursor interface {
	// Next returns the next row, or false at the end. The row is valid until the next call.
	Next() (*Row, bool, error)
	Close() error
}

// Side is a database in a snapshot that stays as it is until it is closed. Nothing of it is locked and
// nothing written. It is not used by two goroutines at once.
type Side interface {
	// Formula names the way in which checksums are made. Those of two sides compare when their formulas are
	// the same and not empty. A side with an empty formula is not asked for sums.
	Formula() string
	// Integer tells whether a column holds nothing but whole numbers of 64 bits with sign.
	Integer(t *schema.Table, column string) bool
	// Estimate says about how many rows the table has, from what costs no scan; 0 when that is unknown.
	Estimate(ctx context.Context, t Table) (int64, error)
	// Span returns the least and the greatest Integer key, and false for an empty table.
	Span(ctx context.Context, t Table) (low, high int64, any bool, err error)
	// Sums returns the sum of each bucket of a part in which there are rows.
	Sums(ctx context.Context, t Table, p Part) (map[int64]Sum, error)
	// Rows reads the rows of a part, ordered by Int or by Key.
	Rows(ctx context.Context, t Table, p Part) (Cursor, error)
	// Close ends the snapshot.
	Close() error
}

// Options say how to compare.
type Options struct {
	Chunk  int64 // about how many rows a bucket has; default 2,048
	Sample int   // how many differing rows are kept
}

// defaultChunk is small enough that reading a few ranges costs next to nothing beside the scan, and large
// enough that ten million rows are a few thousand groups for the server.
const defaultChunk = 2048

func (o Options) withDefaults() Options {
	if o.Chunk <= 0 {
		o.Chunk = defaultChunk
	}
	return o
}

// Difference is how the rows of a table differ.
type Difference struct {
	RowsFrom, RowsTo           int64
	OnlyFrom, OnlyTo, Differed int64
	Sample                     []RowDifference // the first few that were found
}

// Same tells whether the rows are the same.
func (d *Difference) Same() bool { return d.OnlyFrom+d.OnlyTo+d.Differed == 0 }

// RowDifference is a row that only one side has, or that differs. The values are in the order of the
// table's columns; those of a side that has no such row are nil.
type RowDifference struct{ From, To []sql.NullString }
