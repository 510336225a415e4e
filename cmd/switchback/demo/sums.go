package demo

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// sums compares what was acknowledged with what is there, in the columns of v1, which everything was rolled back to.
func (st *timeline) sums(ctx context.Context, db *sql.DB, customers int) (*Result, error) {
	l := st.load
	r := &Result{
		Took: time.Since(st.begun), Requests: l.requests, Failed: len(l.failures), Failures: l.failures[:min(5, len(l.failures))],
		P50: percentile(l.latencies, 50), P99: percentile(l.latencies, 99), Written: l.written,
	}
	r.Seconds, r.P50Millis, r.P99Millis = r.Took.Seconds(), millis(r.P50), millis(r.P99)
	there, err := names(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("compare at the end: %w", err)
	}
	r.Rows = len(there)
	for id, name := range l.names {
		if is, ok := there[id]; !ok || is != name && !slices.Contains(l.unsure[id], is) {
			r.Lost++
		}
	}
	for i := 1; i <= customers; i++ {
		if there[int64(i)] != fmt.Sprintf("Ada%d Lovelace%d", i, i) {
			r.Lost++
		}
	}
	return r, nil
}

// names are those of all customers, as v1 has them.
func names(ctx context.Context, db *sql.DB) (map[int64]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, first_name, last_name FROM customers")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	there := map[int64]string{}
	for rows.Next() {
		var id int64
		var first, last string
		if err := rows.Scan(&id, &first, &last); err != nil {
			return nil, err
		}
		there[id] = first + " " + last
	}
	return there, rows.Err()
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
