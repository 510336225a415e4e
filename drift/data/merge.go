package data

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
)

// read compares a part row by row.
func (c *comparison) read(ctx context.Context, p Part) (err error) {
	var a, b Cursor
	err = both(ctx, func(context.Context) (err error) {
		a, err = c.from.Rows(ctx, c.plan.From, p)
		return err
	}, func(context.Context) (err error) {
		b, err = c.to.Rows(ctx, c.plan.To, p)
		return err
	})
	for _, cursor := range []Cursor{a, b} {
		if cursor != nil {
			defer func() { err = errors.Join(err, cursor.Close()) }()
		}
	}
	if err != nil {
		return err
	}
	return c.merge(a, b)
}

// merge walks two ordered lists of rows side by side. Rows with the same key are a pair, each of them in one
// pair only, so that lists in which rows stand several times are compared as multisets.
func (c *comparison) merge(from, to Cursor) error {
	a, moreA, err := from.Next()
	if err != nil {
		return err
	}
	b, moreB, err := to.Next()
	for err == nil && (moreA || moreB) {
		order := -1
		switch {
		case !moreA:
			order = 1
		case moreB && c.plan.From.Integer:
			order = cmp.Compare(a.Int, b.Int)
		case moreB:
			order = strings.Compare(a.Key, b.Key)
		}
		switch {
		case order < 0:
			c.out.OnlyFrom++
			c.keep(a.Values, nil)
		case order > 0:
			c.out.OnlyTo++
			c.keep(nil, b.Values)
		case !slices.Equal(a.Values, b.Values):
			c.out.Differed++
			c.keep(a.Values, b.Values)
		}
		if order <= 0 {
			c.out.RowsFrom++
			a, moreA, err = from.Next()
		}
		if order >= 0 && err == nil {
			c.out.RowsTo++
			b, moreB, err = to.Next()
		}
	}
	return err
}

// keep puts a difference in the sample while there is room.
func (c *comparison) keep(from, to []sql.NullString) {
	if len(c.out.Sample) < c.options.Sample {
		c.out.Sample = append(c.out.Sample, RowDifference{From: slices.Clone(from), To: slices.Clone(to)})
	}
}
