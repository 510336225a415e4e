package analysis

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/strategies"
)

// query asks the database. Its answer is one value: no row or NULL is no data; without a limit, it is to be true or
// a number other than 0.
type query struct {
	target schema.Queryer
	text   string
	limit  limit
}

func newQuery(s *spec, target schema.Queryer) (strategies.Judge, error) {
	text := s.text("query", "")
	switch {
	case text == "":
		return nil, errors.New("it has no query")
	case target == nil:
		return nil, errors.New("there is no database to ask")
	}
	l, err := newLimit(s)
	return &query{target, text, l}, err
}

// Judge implements strategies.Judge.
func (j *query) Judge(ctx context.Context, w strategies.Window) (v strategies.Verdict, err error) {
	rows, err := j.target.QueryContext(ctx, filled(j.text, w))
	if err != nil {
		return v, err
	}
	defer rows.Close()
	var value sql.NullString
	if rows.Next() {
		if err := rows.Scan(&value); err != nil {
			return v, fmt.Errorf("the query is to give one column: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return v, err
	}
	if !value.Valid {
		return strategies.Verdict{Outcome: strategies.NoData, Says: "the query gives no value"}, nil
	}
	return j.limit.judge(value.String)
}

// limit is what a value has to be.
type limit struct {
	below, above       float64
	hasBelow, hasAbove bool
}

func newLimit(s *spec) (l limit, err error) {
	var problems [2]error
	l.hasBelow, l.hasAbove = s.text("below", "") != "", s.text("above", "") != ""
	l.below, problems[0] = s.number("below", 0)
	l.above, problems[1] = s.number("above", 0)
	return l, errors.Join(problems[:]...)
}

func (l limit) judge(text string) (v strategies.Verdict, err error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		yes, berr := strconv.ParseBool(text)
		if berr != nil || l.hasBelow || l.hasAbove {
			return v, fmt.Errorf("%q is no number", text)
		}
		if yes {
			n = 1
		}
	}
	v = strategies.Verdict{Outcome: strategies.Bad, Says: "is " + text, Figures: map[string]float64{"value": n}}
	switch {
	case l.hasBelow && n >= l.below:
		v.Says += fmt.Sprintf(", is to be below %g", l.below)
	case l.hasAbove && n <= l.above:
		v.Says += fmt.Sprintf(", is to be above %g", l.above)
	case l.hasBelow || l.hasAbove || n != 0:
		v.Outcome = strategies.Good
	}
	return v, nil
}
