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
	alone bool     // no table takes anything else along when it is altered or dropped
	path  []string // the schemas of the search path
	read  int      // how many tables were read one by one
}

// Catalogue implements migrate.Database.
func (d *Database) Catalogue() migrate.Catalogue {
	if d.memory != nil {
		return unread{}
	}
	return &catalogue{}
}

// unread is the catalogue of a scratch database. The journal of one that is dropped in the end needs no fingerprints: they are for
// a run that takes up an interrupted one, and for whoever asks later who has changed what.
type unread struct{}

// notRead stands in the journal instead of a fingerprint.
const notRead = "not read"

// Read implements migrate.Catalogue.
func (unread) Read(context.Context, schema.Queryer) (string, error) { return notRead, nil }

// Follow implements migrate.Catalogue.
func (unread) Follow(_ context.Context, _ schema.Queryer, scripts [][]string) ([]string, bool, error) {
	return slices.Repeat([]string{notRead}, len(scripts)), true, nil
}

// Together implements migrate.Catalogue.
func (unread) Together(statements []string) bool { return new(catalogue).Together(statements) }

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

// alone tells whether there are neither sequences, which a table may own, nor partitions and children, nor
// publications and statistics that name tables.
func alone(s *schema.Database) bool {
	if slices.ContainsFunc(s.Items, func(i *schema.Item) bool { return i.Of == schema.KindPublication }) {
		return false
	}
	for _, n := range s.Schemas {
		if len(n.Sequences) > 0 || slices.ContainsFunc(n.Items, func(i *schema.Item) bool { return i.Of == schema.KindStatistics }) {
			return false
		}
		for _, t := range n.Tables {
			if slices.ContainsFunc(t.Options, func(p schema.Property) bool {
				return p.Name == "partition key" || p.Name == "inherits" || p.Name == "partition of"
			}) {
				return false
			}
		}
	}
	return true
}

// Follow implements migrate.Catalogue. It knows the statements that make up most migrations of a new
// database; after any other everything is read.
func (c *catalogue) Follow(ctx context.Context, q schema.Queryer, scripts [][]string) ([]string, bool, error) {
	known := c.sums != nil
	effects := make([]effect, len(scripts))
	for i := range scripts {
		var ok bool
		effects[i], ok = effectOf(scripts[i])
		known = known && ok && (len(effects[i].dropped)+len(effects[i].altered) == 0 || c.alone)
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

// Together implements migrate.Catalogue: nobody uses a new table yet. One with a foreign key locks the
// table that it refers to.
func (c *catalogue) Together(statements []string) bool {
	e, known := effectOf(statements)
	return known && len(e.made) > 0 && len(e.dropped)+len(e.altered) == 0 && !slices.ContainsFunc(statements, references.MatchString)
}

// identifier is a name as it is written in a statement, with or without its schema.
const identifier = `((?:"(?:[^"]|"")+"|[a-zA-Z_][\w$]*)(?:\.(?:"(?:[^"]|"")+"|[a-zA-Z_][\w$]*))?)`

var (
	createTable = regexp.MustCompile(`(?is)^CREATE\s+(?:UNLOGGED\s+)?TABLE\s+` + identifier + `\s*\(`)
	dropTable   = regexp.MustCompile(`(?is)^DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?` + identifier + `\s*(?:RESTRICT\s*)?$`)
	alterTable  = regexp.MustCompile(`(?is)^ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?` + identifier + `\s+(?:ADD|DROP|ALTER|VALIDATE|ENABLE|DISABLE)\b`)
	createIndex = regexp.MustCompile(`(?is)^CREATE\s+(?:UNIQUE\s+)?INDEX\b[^(]*?\sON\s+(?:ONLY\s+)?` + identifier)
	rowsOnly    = regexp.MustCompile(`(?is)^(?:INSERT|UPDATE|DELETE)\b`)
	references  = regexp.MustCompile(`(?i)\bREFERENCES\b`)
	// beyond are words by which a CREATE or ALTER TABLE makes or changes more than the table.
	beyond = regexp.MustCompile(`(?i)\b(?:small|big)?serial[248]?\b|\b(?:IDENTITY|INHERITS|INHERIT|PARTITION|LIKE|OF|SELECT|WITH|EXECUTE|VALUES|RENAME|SCHEMA|OWNER|CASCADE|ATTACH|DETACH)\b`)
)

// effect is what a script has made, altered and dropped, as the names are written.
type effect struct{ made, altered, dropped []string }

// effectOf is not known when statements may have changed anything else.
func effectOf(statements []string) (e effect, known bool) {
	for _, s := range statements {
		s = migrate.TrimComments(s)
		plain := !beyond.MatchString(s)
		if m := createTable.FindStringSubmatch(s); m != nil && plain {
			e.made = append(e.made, m[1])
		} else if m := alterTable.FindStringSubmatch(s); m != nil && plain {
			e.altered = append(e.altered, m[1])
		} else if m := createIndex.FindStringSubmatch(s); m != nil {
			e.altered = append(e.altered, m[1])
		} else if m := dropTable.FindStringSubmatch(s); m != nil {
			e.dropped = append(e.dropped, m[1])
		} else if !rowsOnly.MatchString(s) {
			return effect{}, false
		}
	}
	// Made or altered and dropped at once: not worth thinking about.
	return e, len(e.made)+len(e.altered) == 0 || len(e.dropped) == 0
}

// follow reads the tables that were made or altered and forgets those that were dropped, script by script. It
// returns nothing when it did not know all of them.
func (c *catalogue) follow(ctx context.Context, q schema.Queryer, effects []effect) (fingerprints []string, err error) {
	var made, altered []string
	for _, e := range effects {
		made, altered = append(made, e.made...), append(altered, e.altered...)
	}
	in := newInspection()
	if len(made)+len(altered) > 0 {
		if in, err = c.inspect(ctx, q, append(made, altered...), len(altered) > 0); err != nil {
			return nil, err
		}
	}
	for _, e := range effects {
		for _, name := range e.dropped {
			if !c.forget(name) {
				return nil, nil
			}
		}
		for _, name := range append(e.made, e.altered...) {
			s, t := c.find(in, name)
			if t == nil {
				return nil, nil
			}
			c.sums.Merge(&schema.Database{Schemas: []*schema.Schema{{Name: s, Tables: []*schema.Table{t}}}})
		}
		fingerprints = append(fingerprints, c.sums.Fingerprint())
	}
	return fingerprints, nil
}

// find returns the table that a written name means, and its schema.
func (c *catalogue) find(in *inspection, name string) (string, *schema.Table) {
	parts := splitIdentifier(name)
	path := c.path
	if len(parts) == 2 {
		path = parts[:1]
	}
	for _, n := range path {
		s := in.schemas[n]
		if s == nil {
			continue
		}
		for _, t := range s.Tables {
			if t.Name == parts[len(parts)-1] {
				return n, t
			}
		}
	}
	return "", nil
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

// onlyNamed is the condition of a partial inspection. The names are resolved by the session's search
// path, which is then empty for what the deparser writes, until the transaction ends.
const (
	withNamed = `WITH named AS MATERIALIZED (SELECT to_regclass(name)::oid AS oid FROM unnest($1::text[]) AS name),
path AS MATERIALIZED (SELECT set_config('search_path', '', true) FROM (SELECT count(*) FROM named) AS n)
`
	onlyNamed = ` AND c.oid = ANY (ARRAY(SELECT oid FROM named, path))`
)

// partialQuery puts parts into one query, whose rows begin with the number of their part.
func partialQuery(parts []part) string {
	width := 0 // columns of the widest part
	for _, p := range parts {
		width = max(width, p.columns)
	}
	var branches []string
	for n, p := range parts {
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
	return withNamed + strings.Join(branches, "\nUNION ALL ")
}

// inspect reads tables of this transaction in one round trip. On those that were made by nothing but
// CREATE TABLE, columns and constraints are all that can hang.
func (c *catalogue) inspect(ctx context.Context, q schema.Queryer, names []string, altered bool) (*inspection, error) {
	parts := []part{relationsPart(onlyNamed), columnsPart(onlyNamed), constraintsPart(onlyNamed), grantsPart(onlyNamed)}
	if altered {
		parts = append(parts, indexesPart(onlyNamed), triggersPart(onlyNamed), policiesPart(onlyNamed), rulesPart(onlyNamed))
	}
	in, rows := newInspection(), make([][][]string, len(parts))
	c.read += len(names)
	// A plan that the server keeps from when the catalogue was small scans it; each time the catalogue has
	// doubled, the query is another one, and planned anew.
	query := fmt.Sprintf("%s -- %d", partialQuery(parts), bits.Len(uint(c.read)))
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
