package sqlite

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// catalogue implements migrate.Catalogue. It remembers the hash of each table and view, and how far the
// rows of sqlite_schema went.
type catalogue struct {
	sums    *schema.Sums
	last    int64 // the largest rowid
	virtual bool  // there are virtual tables, to which a table of a certain name would belong
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
	c.virtual = len(s.Uncovered) > 0 || slices.ContainsFunc(s.Schemas[0].Tables, func(t *schema.Table) bool { return schema.Value(t.Options, "virtual") != "" })
	return c.sums.Fingerprint(), nil
}

const identifier = "(\"(?:[^\"]|\"\")+\"|`[^`]+`|\\[[^\\]]+\\]|[a-zA-Z_][\\w$]*)"

var (
	createTable = regexp.MustCompile(`(?is)^CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?` + identifier + `\s*\(`)
	dropTable   = regexp.MustCompile(`(?is)^DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?` + identifier + `\s*$`)
	selects     = regexp.MustCompile(`(?i)\b(?:SELECT|WITH|VALUES)\b`)
)

// Follow implements migrate.Catalogue. It knows the statements that make up most migrations of a new
// database; after any other everything is read.
func (c *catalogue) Follow(ctx context.Context, q schema.Queryer, scripts [][]string) ([]string, bool, error) {
	known := c.sums != nil && !c.virtual
	effects := make([]effect, len(scripts))
	for i := range scripts {
		var ok bool
		effects[i], ok = effectOf(scripts[i])
		known = known && ok
	}
	if known {
		if fingerprints, err := c.follow(ctx, q, effects); fingerprints != nil || err != nil {
			return fingerprints, false, err
		}
	}
	if len(scripts) > 1 {
		return nil, false, nil
	}
	f, err := c.Read(ctx, q)
	return []string{f}, true, err
}

// Together implements migrate.Catalogue. A transaction locks the whole file anyway.
func (c *catalogue) Together(statements []string) bool {
	_, known := effectOf(statements)
	return known
}

// effect is what a script has made and dropped.
type effect struct{ made, dropped []string }

// effectOf is not known when statements may have changed anything else, or did both.
func effectOf(statements []string) (e effect, known bool) {
	for _, s := range statements {
		s = migrate.TrimComments(s)
		if m := createTable.FindStringSubmatch(s); m != nil && !selects.MatchString(s) {
			e.made = append(e.made, strings.Trim(m[1], "\"`[]"))
		} else if m := dropTable.FindStringSubmatch(s); m != nil {
			e.dropped = append(e.dropped, strings.Trim(m[1], "\"`[]"))
		} else {
			return effect{}, false
		}
	}
	return e, len(e.made) == 0 || len(e.dropped) == 0
}

// follow reads the tables that were made and forgets those that were dropped, script by script. It
// returns nothing when it did not know all of them: a name that is written differently is not found,
// since case is not told apart.
func (c *catalogue) follow(ctx context.Context, q schema.Queryer, effects []effect) (fingerprints []string, err error) {
	// New rows come behind the others.
	behind, err := inspectBehind(ctx, q, c.last)
	if err != nil {
		return nil, err
	}
	made := map[string]*schema.Table{}
	for _, t := range behind.Schemas[0].Tables {
		made[t.Name] = t
	}
	for _, e := range effects {
		for _, name := range e.dropped {
			if !c.sums.Remove(schema.Key{Schema: "main", Kind: schema.KindTable, Name: name}) {
				return nil, nil
			}
		}
		for _, name := range e.made {
			if made[name] == nil {
				return nil, nil
			}
			c.sums.Merge(&schema.Database{Schemas: []*schema.Schema{{Name: "main", Tables: []*schema.Table{made[name]}}}})
		}
		fingerprints = append(fingerprints, c.sums.Fingerprint())
	}
	if c.last, err = queryInt(ctx, q, largestRow); err != nil {
		return nil, fmt.Errorf("read sqlite_schema: %w", err)
	}
	return fingerprints, nil
}
