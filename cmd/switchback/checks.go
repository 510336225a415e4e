package main

import (
	"context"
	"fmt"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// ask puts the questions of a draft to the rows of the target. What is merely worth knowing is returned as
// notes; the error is about rows that the change would fail on.
func ask(ctx context.Context, db migrate.Database, checks []recipe.Check) (notes []string, err error) {
	for _, k := range checks {
		var n int64
		if err := db.DB().QueryRowContext(ctx, k.Count).Scan(&n); err != nil {
			return nil, fmt.Errorf("try the conversion on the target's rows: %w\n  state: nothing was written; nothing was changed on the target\n  next: give an expression that takes every row, as in: up (…) down (…); or mend the rows", err)
		}
		if n == 0 {
			continue
		}
		found := migrate.Sample(ctx, db.DB(), k.Rows, fmt.Sprintf("%d %s", n, k.What))
		if k.Fatal {
			return nil, fmt.Errorf("%w\n  state: nothing was written; nothing was changed on the target\n  next: give an expression that has a value for every row, as in: up (coalesce(…, …))", found)
		}
		notes = append(notes, found.Error())
	}
	return notes, nil
}
