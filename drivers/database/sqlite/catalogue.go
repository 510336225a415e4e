package sqlite

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// catalogue implements migrate.Catalogue. It remembers the hash of each table and view, and how far the
// rows of sqlite_schema went.
type catalogue struct {
	sums *schema.Sums
	last int64 // the largest rowid
}

// Catalogue implements migrate.Database.
func (d *Database) Catalogue() migrate.Catalogue { return &catalogue{} }

const largestRow = "SELECT coalesce(max(rowid), 0) FROM sqlite_schema"

// Read implements migrate.Catalogue.
func (c *catalogue) Read(ctx context.Context, q schema.Queryer) (string, error) {
	s, err := Inspect(ctx, q)
	if err != nil {
		return "", err
	}
	if c.last, err = queryInt(ctx, q, largestRow); err != nil {
		return "", fmt.Errorf("read sqlite_schema: %w", err)
	}
	c.sums = s.Sums()
	return c.sums.Fingerprint(), nil
}

const identifier = "(\"(?:[^\"]|\"\")+\"|`[^`]+`|\\[[^\\]]+\\]|[a-zA-Z_][\\w$]*)"

var (
	createTable = regexp.MustCompile(`(?is)^CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?` + identifier + `\s*\(`)
	dropTable   = regexp.MustCompile(`(?is)^DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?` + identifier + `\s*$`)
)

// Follow implements migrate.Catalogue. It knows the statements that make up most migrations of a new
// database; after any other everything is read.
func (c *catalogue) Follow(ctx context.Context, q schema.Queryer, statements []string) (string, bool, error) {
	made, dropped, known := touched(statements)
	known = known && c.sums != nil
	for i := 0; known && i < len(dropped); i++ {
		// A name that is written differently is not found: case is not told apart.
		known = c.sums.Remove(schema.Key{Schema: "main", Kind: schema.KindTable, Name: dropped[i]})
	}
	if !known {
		f, err := c.Read(ctx, q)
		return f, true, err
	}
	if made {
		// New rows come behind the others.
		s, err := inspectBehind(ctx, q, c.last)
		if err != nil {
			return "", false, err
		}
		c.sums.Merge(s)
	}
	var err error
	if c.last, err = queryInt(ctx, q, largestRow); err != nil {
		return "", false, fmt.Errorf("read sqlite_schema: %w", err)
	}
	return c.sums.Fingerprint(), false, nil
}

// touched tells whether statements have made tables, and which they have dropped. known is false when
// they may have changed anything else, or did both.
func touched(statements []string) (made bool, dropped []string, known bool) {
	for _, s := range statements {
		s = migrate.TrimComments(s)
		if createTable.MatchString(s) {
			made = true
		} else if m := dropTable.FindStringSubmatch(s); m != nil {
			dropped = append(dropped, strings.Trim(m[1], "\"`[]"))
		} else {
			return false, nil, false
		}
	}
	return made, dropped, !made || len(dropped) == 0
}
