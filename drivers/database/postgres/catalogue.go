package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// catalogue implements migrate.Catalogue. It remembers the hash of each object.
type catalogue struct {
	sums  *schema.Sums
	alone bool // no table takes anything else along when it is dropped
}

// Catalogue implements migrate.Database.
func (d *Database) Catalogue() migrate.Catalogue { return &catalogue{} }

// Read implements migrate.Catalogue.
func (c *catalogue) Read(ctx context.Context, q schema.Queryer) (string, error) {
	s, err := Inspect(ctx, q)
	if err != nil {
		return "", err
	}
	c.sums, c.alone = s.Sums(), alone(s)
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
	conn, ok := q.(*sql.Conn)
	made, dropped, known := touched(statements)
	if c.sums != nil && ok && known && (len(dropped) == 0 || c.alone) {
		found, err := c.follow(ctx, conn, made, dropped)
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
func (c *catalogue) follow(ctx context.Context, conn *sql.Conn, made, dropped []string) (known bool, err error) {
	known = true
	err = conn.Raw(func(driver any) error {
		pg := driver.(*stdlib.Conn).Conn()
		for i := 0; known && i < len(dropped); i++ {
			var err error
			if known, err = c.forget(ctx, pg, dropped[i]); err != nil {
				return err
			}
		}
		if len(made) == 0 {
			return nil
		}
		in, err := inspectTables(ctx, pg, made)
		if err == nil {
			c.sums.Merge(&schema.Database{Schemas: in.list})
		}
		return err
	})
	return known, err
}

// forget takes a dropped table out. A name without a schema was that of the first in the search path
// that had such a table, which is the first that is remembered.
func (c *catalogue) forget(ctx context.Context, pg *pgx.Conn, dropped string) (known bool, err error) {
	parts := splitIdentifier(dropped)
	if len(parts) == 2 {
		return c.sums.Remove(schema.Key{Schema: parts[0], Kind: schema.KindTable, Name: parts[1]}), nil
	}
	var path []string
	if err := pg.QueryRow(ctx, "SELECT current_schemas(false)::text[]").Scan(&path); err != nil {
		return false, fmt.Errorf("read the search path: %w", err)
	}
	for _, s := range path {
		if c.sums.Remove(schema.Key{Schema: s, Kind: schema.KindTable, Name: parts[0]}) {
			return true, nil
		}
	}
	return false, nil
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

// The names of the new tables wait in a setting of the transaction for the queries behind, so that all of
// them are one round trip. The empty search path ends with the transaction too.
const (
	enterTables = `SELECT set_config('switchback.tables', coalesce((SELECT string_agg(to_regclass(name)::oid::text, ',') FROM unnest($1::text[]) AS name), ''), true), set_config('search_path', '', true)`
	onlyTables  = ` AND c.oid = ANY (string_to_array(current_setting('switchback.tables'), ',')::oid[])`
)

// inspectTables reads tables alone that were made in this transaction by nothing but CREATE TABLE: all
// that can hang on them is columns and constraints.
func inspectTables(ctx context.Context, pg *pgx.Conn, names []string) (*inspection, error) {
	parts := []part{relationsPart(onlyTables), columnsPart(onlyTables), constraintsPart(onlyTables)}
	batch := &pgx.Batch{}
	batch.Queue(enterTables, names)
	for _, p := range parts {
		batch.Queue(p.query)
	}
	results := pg.SendBatch(ctx, batch)
	in := newInspection()
	_, err := results.Exec()
	for _, p := range parts {
		if err == nil {
			err = in.rows(results, p)
		}
	}
	if cerr := results.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("read %s in the catalogue: %w", strings.Join(names, ", "), err)
	}
	return in, nil
}

// rows takes the rows of a part of a batch.
func (in *inspection) rows(results pgx.BatchResults, p part) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		r := make([]string, len(values))
		for i, v := range values {
			if v != nil {
				r[i] = fmt.Sprint(v)
			}
		}
		p.row(in, r)
	}
	return rows.Err()
}
