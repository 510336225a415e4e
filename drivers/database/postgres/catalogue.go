package postgres

import (
	"context"
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// catalogue implements migrate.Catalogue. It remembers the hash of each object.
type catalogue struct {
	sums  *schema.Sums
	alone bool     // no table takes anything else along when it is dropped
	path  []string // the schemas of the search path
	query string   // for tables that were made
	made  int      // how many were read by it
}

// Catalogue implements migrate.Database.
func (d *Database) Catalogue() migrate.Catalogue { return &catalogue{query: madeQuery()} }

// Read implements migrate.Catalogue.
func (c *catalogue) Read(ctx context.Context, q schema.Queryer) (string, error) {
	s, err := Inspect(ctx, q)
	if err != nil {
		return "", err
	}
	c.sums, c.alone, c.path = s.Sums(), alone(s), nil
	path := part{name: "search path", query: "SELECT unnest(current_schemas(false))", row: func(_ *inspection, r []string) { c.path = append(c.path, r[0]) }}
	if err := newInspection().read(ctx, q, path); err != nil {
		return "", err
	}
	return c.sums.Fingerprint(), nil
}

// alone tells whether there are neither sequences, which a table may own, nor partitions.
func alone(s *schema.Database) bool {
	for _, n := range s.Schemas {
		if len(n.Sequences) > 0 {
			return false
		}
		for _, t := range n.Tables {
			if slices.ContainsFunc(t.Options, func(p schema.Property) bool { return p.Name == "partition key" }) {
				return false
			}
		}
	}
	return true
}

// Follow implements migrate.Catalogue. It knows the statements that make up most migrations of a new
// database; after any other everything is read.
func (c *catalogue) Follow(ctx context.Context, q schema.Queryer, statements []string) (string, bool, error) {
	made, dropped, known := touched(statements)
	if c.sums != nil && known && (len(dropped) == 0 || c.alone) {
		found, err := c.follow(ctx, q, made, dropped)
		if found || err != nil {
			return c.sums.Fingerprint(), false, err
		}
	}
	f, err := c.Read(ctx, q)
	return f, true, err
}

// identifier is a name as it is written in a statement, with or without its schema.
const identifier = `((?:"(?:[^"]|"")+"|[a-zA-Z_][\w$]*)(?:\.(?:"(?:[^"]|"")+"|[a-zA-Z_][\w$]*))?)`

var (
	createTable = regexp.MustCompile(`(?is)^CREATE\s+(?:UNLOGGED\s+)?TABLE\s+` + identifier + `\s*\(`)
	dropTable   = regexp.MustCompile(`(?is)^DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?` + identifier + `\s*(?:RESTRICT\s*)?$`)
	// beyond are words in a CREATE TABLE by which more than the table comes to be, or is changed.
	beyond = regexp.MustCompile(`(?i)\b(?:small|big)?serial[248]?\b|\b(?:IDENTITY|INHERITS|PARTITION|LIKE|OF)\b`)
)

// touched names the tables that statements have made and dropped. known is false when they may have
// changed anything else.
func touched(statements []string) (made, dropped []string, known bool) {
	for _, s := range statements {
		s = migrate.TrimComments(s)
		if m := createTable.FindStringSubmatch(s); m != nil && !beyond.MatchString(s) {
			made = append(made, m[1])
		} else if m := dropTable.FindStringSubmatch(s); m != nil {
			dropped = append(dropped, m[1])
		} else {
			return nil, nil, false
		}
	}
	// Made and dropped at once: not worth thinking about.
	return made, dropped, len(made) == 0 || len(dropped) == 0
}

// follow reads the tables that were made and forgets those that were dropped. It tells whether it knew
// all of them.
func (c *catalogue) follow(ctx context.Context, q schema.Queryer, made, dropped []string) (known bool, err error) {
	for _, name := range dropped {
		if !c.forget(name) {
			return false, nil
		}
	}
	if len(made) == 0 {
		return true, nil
	}
	in, err := c.inspectMade(ctx, q, made)
	if err == nil {
		c.sums.Merge(&schema.Database{Schemas: in.list})
	}
	return true, err
}

// forget takes a dropped table out. A name without a schema was that of the first in the search path
// that had such a table, which is the first that is remembered. Nothing that is followed changes the path.
func (c *catalogue) forget(dropped string) (known bool) {
	parts := splitIdentifier(dropped)
	path := c.path
	if len(parts) == 2 {
		path = parts[:1]
	}
	return slices.ContainsFunc(path, func(s string) bool {
		return c.sums.Remove(schema.Key{Schema: s, Kind: schema.KindTable, Name: parts[len(parts)-1]})
	})
}

// splitIdentifier takes a written name apart and gives its parts as the server keeps them.
func splitIdentifier(name string) []string {
	var parts []string
	for name != "" {
		if name[0] == '.' {
			name = name[1:]
			continue
		}
		if name[0] != '"' {
			word, rest, _ := strings.Cut(name, ".")
			parts, name = append(parts, strings.ToLower(word)), rest
			continue
		}
		end := 1
		for end < len(name) && (name[end] != '"' || end+1 < len(name) && name[end+1] == '"') {
			if name[end] == '"' {
				end++
			}
			end++
		}
		parts = append(parts, strings.ReplaceAll(name[1:end], `""`, `"`))
		name = name[min(end+1, len(name)):]
	}
	return parts
}

// onlyMade is the condition of a partial inspection. The names are resolved by the session's search path,
// which is then empty for what the deparser writes, until the transaction ends.
const (
	withMade = `WITH made AS MATERIALIZED (SELECT to_regclass(name)::oid AS oid FROM unnest($1::text[]) AS name),
path AS MATERIALIZED (SELECT set_config('search_path', '', true) FROM (SELECT count(*) FROM made) AS n)
`
	onlyMade = ` AND c.oid = ANY (ARRAY(SELECT oid FROM made, path))`
)

// madeParts are the parts of tables that were made by nothing but CREATE TABLE in this transaction: all
// that can hang on those is columns and constraints.
func madeParts() []part {
	return []part{relationsPart(onlyMade), columnsPart(onlyMade), constraintsPart(onlyMade)}
}

// madeQuery puts the parts into one query, whose rows begin with the number of their part.
func madeQuery() string {
	const width = 10 // columns of the widest part
	var branches []string
	for n, p := range madeParts() {
		columns, names := make([]string, width), make([]string, p.columns)
		for i := range columns {
			columns[i] = "NULL::text"
			if i < p.columns {
				names[i] = fmt.Sprintf("c%d", i)
				columns[i] = "q." + names[i] + "::text"
			}
		}
		branches = append(branches, fmt.Sprintf("SELECT %d, %s FROM (%s) AS q (%s)", n, strings.Join(columns, ", "), p.query, strings.Join(names, ", ")))
	}
	return withMade + strings.Join(branches, "\nUNION ALL ")
}

// inspectMade reads tables that were made in this transaction, in one round trip.
func (c *catalogue) inspectMade(ctx context.Context, q schema.Queryer, names []string) (*inspection, error) {
	in, parts := newInspection(), madeParts()
	rows := make([][][]string, len(parts))
	c.made += len(names)
	// A plan that the server keeps from when the catalogue was small scans it; each time the catalogue has
	// doubled, the query is another one, and planned anew.
	query := fmt.Sprintf("%s -- %d", c.query, bits.Len(uint(c.made)))
	err := in.read(ctx, q, part{name: strings.Join(names, ", "), query: query, row: func(_ *inspection, r []string) {
		n := number(r[0])
		rows[n] = append(rows[n], r[1:])
	}}, names)
	for i, p := range parts {
		for _, r := range rows[i] {
			p.row(in, r)
		}
	}
	return in, err
}
