package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Shelf is a live database that one table of a snapshot can be laid into, beside its own.
type Shelf interface {
	Live
	Inspect(ctx context.Context) (*schema.Database, error)
	// Names says how the engine takes the names of tables.
	Names(ctx context.Context) (Names, error)
	// PartsOf are the parts of a snapshot that hold the rows of a table.
	PartsOf(m *Manifest, model *schema.Database, schema, table string) []Part
	// Lay begins to lay a table. Nothing of it is left behind when the process is killed, or when it is closed
	// without having been committed; where the engine cannot do so, the next Lay of the same table removes it.
	Lay(ctx context.Context, t LaidTable) (Laid, error)
}

// Names is how an engine takes the names of tables.
type Names struct {
	Lower  bool   // a name without quotes is meant in small letters
	Fold   bool   // names that differ in case only are the same
	Public string // the schema in which a name without one is looked up first
	Bytes  int    // how long a name may be, in bytes; 0 for any length
	Chars  int    // the same in characters
}

// LaidTable is what is laid, and where.
type LaidTable struct {
	Schema      string
	Table       string           // its name in the snapshot
	Model       *schema.Database // of the snapshot; nil when it is in the data
	As          string           // the new table that is made; empty for rows that go with the transaction
	LockTimeout time.Duration
}

// Laid is a table of a snapshot that is being laid.
type Laid interface {
	// Load loads a chunk.
	Load(ctx context.Context, p Part, c Chunk, from io.Reader) error
	// Rows ends the loading, and says under which name SQL finds the rows on the connection, where a transaction
	// is open. The columns are those that are stored.
	Rows(ctx context.Context) (path string, columns []string, err error)
	// Conn is the connection of the transaction.
	Conn() *sql.Conn
	// Advance moves what gives out the numbers of a live table behind the largest that is in it.
	Advance(ctx context.Context, schema, table string) error
	// Commit ends the transaction, and makes the new table appear.
	Commit(ctx context.Context) error
	// Close takes back what was not committed; its context is not the one that was cancelled.
	Close(ctx context.Context) error
}

// TableOptions say which table goes back, and how.
type TableOptions struct {
	BuildOptions
	Table       string // as the user names it
	As          string // the name of the copy; empty for one that is made of the table's and the snapshot's
	DryRun      bool
	LockTimeout time.Duration
}

// TableRestored says what became of a table.
type TableRestored struct {
	ID       string `json:"id"`
	Table    string `json:"table"`
	Beside   string `json:"beside,omitempty"`  // the copy
	Rows     int64  `json:"rows"`              // of the snapshot
	RowsNow  *int64 `json:"rows_now"`          // of the live table before; null when there is none
	Missing  int64  `json:"missing"`           // of the snapshot's rows, by their keys; those of a merge are back
	Removed  int64  `json:"removed,omitempty"` // were not in the snapshot
	Changed  int64  `json:"changed,omitempty"` // were otherwise in the snapshot
	Differ   int64  `json:"differ,omitempty"`  // are otherwise in spite of that: a trigger has written them
	DryRun   bool   `json:"dry_run,omitempty"`
	Finished string `json:"took"`
}

// found is a table of a snapshot, with what is needed to lay it.
type found struct {
	manifest     *Manifest // with the parts of this table alone
	model        *schema.Database
	schema, name string
	rows         int64
	names        Names
}

func (f *found) String() string {
	if f.schema == "" {
		return f.name
	}
	return f.schema + "." + f.name
}

// find resolves the table that the options name. Only the chunks that hold its rows are looked at.
func (s *Store) find(ctx context.Context, shelf Shelf, m *Manifest, o TableOptions) (*found, error) {
	if m.Backup != nil {
		return nil, fmt.Errorf("snapshot %s is a backup of %s, which alone can restore it", m.ID, m.Backup.Tool)
	}
	f := &found{}
	var err error
	if f.model, err = s.Model(ctx, m, o.Keys); err != nil && !errors.Is(err, ErrNoModel) {
		return nil, err
	}
	if f.names, err = shelf.Names(ctx); err != nil {
		return nil, err
	}
	if f.schema, f.name, err = tableNamed(m, f.model, f.names, o.Table); err != nil {
		return nil, err
	}
	one := *m
	one.Parts = shelf.PartsOf(m, f.model, f.schema, f.name)
	f.manifest = &one
	if len(one.Parts) == 0 {
		return nil, fmt.Errorf("snapshot %s holds no rows of %s, which is no ordinary table", m.ID, f)
	}
	f.rows = rowsOf(m, one.Parts, f.name)
	problems, err := s.readBack(ctx, f.manifest, LevelStored, nil, o.Workers)
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", m.ID, err)
	}
	if len(problems) > 0 {
		return nil, &DamagedError{m.ID, strings.Join(problems, "; ")}
	}
	return f, nil
}

// rowsOf is how many rows of a table a manifest tells of.
func rowsOf(m *Manifest, parts []Part, name string) int64 {
	var n int64
	for _, t := range m.Content.Tables {
		if slices.ContainsFunc(parts, func(p Part) bool {
			return p.Kind == RowsPart && p.Name == t.Name || p.Kind == FilePart && t.Name == name
		}) {
			n += t.Rows
		}
	}
	return n
}

// lay lays a table, and calls use with the transaction in which its rows can be read.
func (s *Store) lay(ctx context.Context, shelf Shelf, f *found, as string, o TableOptions, use func(l Laid, path string, columns []string) error) (err error) {
	l, err := shelf.Lay(ctx, LaidTable{Schema: f.schema, Table: f.name, Model: f.model, As: as, LockTimeout: o.LockTimeout})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(ctx))) }()
	failpoint.Hit("restore table: begun")
	var done int64
	err = s.eachChunk(ctx, f.manifest, o.Keys, 1, func(ctx context.Context, _ int, u *unpacker, _ int, c Chunk, p Part) error {
		problem, err := u.look(ctx, c, p.Kind, LevelDecoded, func(r io.Reader) error { return l.Load(ctx, p, c, r) })
		if problem != "" {
			return &DamagedError{f.manifest.ID, fmt.Sprintf("chunk %s of %s %s", c.File, p.Name, problem)}
		}
		if err != nil {
			return fmt.Errorf("load chunk %s of %s: %w", c.File, p.Name, err)
		}
		if done += c.PlainBytes; o.Progress != nil {
			o.Progress(done, f.manifest.Plain())
		}
		return nil
	})
	if err != nil {
		return err
	}
	failpoint.Hit("restore table: loaded")
	path, columns, err := l.Rows(ctx)
	if err != nil {
		return err
	}
	n, err := countRows(ctx, l.Conn(), "SELECT count(*) FROM "+path)
	if err != nil {
		return fmt.Errorf("count the rows of the copy: %w", err)
	}
	if n != f.rows {
		return &DamagedError{f.manifest.ID, fmt.Sprintf("%s has %d rows, had %d", f, n, f.rows)}
	}
	return use(l, path, columns)
}

func countRows(ctx context.Context, conn *sql.Conn, query string) (int64, error) {
	var n int64
	return n, conn.QueryRowContext(ctx, query).Scan(&n)
}

// Lay restores a table of a snapshot beside the live one, which is not touched. The copy has columns, defaults,
// primary key and rows, and nothing that ties it to other tables.
func (s *Store) Lay(ctx context.Context, shelf Shelf, m *Manifest, o TableOptions) (*TableRestored, error) {
	begun := time.Now()
	r, err := s.layBeside(ctx, shelf, m, o)
	if err != nil {
		return nil, tableFailed(m, o.Table, err)
	}
	r.Finished = since(begun)
	return r, nil
}

// tableFailed says in which state the database is.
func tableFailed(m *Manifest, table string, err error) error {
	text := fmt.Sprintf("restore table %s of snapshot %s", table, m.ID)
	switch {
	case errors.Is(err, ErrNoKey):
		return fmt.Errorf("%s: %w\n  state: nothing was changed\n  next: the same with --identity FILE", text, err)
	case errors.As(err, new(*DamagedError)):
		return fmt.Errorf("%s: %w\n  state: nothing was changed\n  next: switchback snapshot list, and take the table from another one", text, err)
	case strings.Contains(err.Error(), "\n  next: "):
		return fmt.Errorf("%s: %s", text, strings.Replace(err.Error(), "\n  next: ", "\n  state: nothing was changed\n  next: ", 1))
	}
	return fmt.Errorf("%s: %w\n  state: nothing was changed", text, err)
}

func (s *Store) layBeside(ctx context.Context, shelf Shelf, m *Manifest, o TableOptions) (*TableRestored, error) {
	f, err := s.find(ctx, shelf, m, o)
	if err != nil {
		return nil, err
	}
	as, err := f.copyName(o.As)
	if err != nil {
		return nil, err
	}
	live, err := shelf.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	if kind := holderOf(live, f.schema, as, f.names); kind != "" {
		return nil, fmt.Errorf("there is a %s %s already\n  next: drop it, or name the copy otherwise: --as NAME", kind, as)
	}
	r := &TableRestored{ID: m.ID, Table: f.String(), Beside: as, Rows: f.rows, DryRun: o.DryRun}
	if f.schema != "" {
		r.Beside = f.schema + "." + as
	}
	if r.RowsNow, err = f.rowsNow(ctx, shelf, live); err != nil || o.DryRun {
		return r, err
	}
	return r, s.lay(ctx, shelf, f, as, o, func(l Laid, _ string, _ []string) error {
		failpoint.Hit("restore table: before commit")
		if err := l.Commit(ctx); err != nil {
			return fmt.Errorf("make %s: %w", r.Beside, err)
		}
		failpoint.Hit("restore table: committed")
		return nil
	})
}

// rowsNow counts the rows of the live table, if there is one.
func (f *found) rowsNow(ctx context.Context, shelf Shelf, live *schema.Database) (*int64, error) {
	if t := f.live(live); t == nil {
		return nil, nil
	}
	db, ok := shelf.(interface{ DB() *sql.DB })
	if !ok {
		return nil, fmt.Errorf("%T cannot be asked for its rows", shelf)
	}
	var n int64
	if err := db.DB().QueryRowContext(ctx, "SELECT count(*) FROM "+f.path(shelf.Dialect())).Scan(&n); err != nil {
		return nil, fmt.Errorf("count the rows of %s: %w", f, err)
	}
	return &n, nil
}

// path is the live table as SQL names it.
func (f *found) path(d migrate.Dialect) string { return d.QuoteTable(f.schema, f.name) }

// live is the table in the model of the live database, or nil.
func (f *found) live(model *schema.Database) *schema.Table {
	for _, s := range model.Schemas {
		for _, t := range s.Tables {
			if (f.schema == "" || s.Name == f.schema) && f.names.same(t.Name, f.name) {
				return t
			}
		}
	}
	return nil
}

// holderOf says what has a name already, or is empty.
func holderOf(model *schema.Database, namespace, name string, names Names) string {
	for _, s := range model.Schemas {
		if namespace != "" && s.Name != namespace {
			continue
		}
		for _, o := range s.Children() {
			switch o.Kind() {
			case schema.KindTable, schema.KindView, schema.KindSequence:
				if names.same(o.ObjectName(), name) {
					return string(o.Kind())
				}
			}
		}
	}
	return ""
}

// Bare is a model with one table alone, under another name and without what ties it to anything: foreign keys,
// checks, indexes, triggers, rights, counters. The options that are named go too, of the table and its parts.
func Bare(model *schema.Database, namespace, table, as string, tied ...string) (empty, one *schema.Database, err error) {
	from := model.Schema(namespace)
	if from == nil || from.Table(table) == nil {
		return nil, nil, fmt.Errorf("the snapshot's schema has no table %s", table)
	}
	free := func(list []schema.Property) []schema.Property {
		return slices.DeleteFunc(slices.Clone(list), func(p schema.Property) bool { return slices.Contains(tied, p.Name) })
	}
	t := *from.Table(table)
	t.Name, t.Source, t.Owner = as, "", ""
	t.Indexes, t.Triggers, t.Policies, t.Rules, t.Grants, t.Needs = nil, nil, nil, nil, nil, nil
	t.Options = free(t.Options)
	t.Columns = nil
	for _, c := range from.Table(table).Columns {
		plain := *c
		plain.Identity, plain.Needs, plain.Options = "", nil, free(c.Options)
		if strings.Contains(strings.ToLower(plain.Default), "nextval(") {
			plain.Default = ""
		}
		t.Columns = append(t.Columns, &plain)
	}
	t.Constraints = nil
	for _, k := range from.Table(table).Constraints {
		if k.Type == schema.PrimaryKey || k.Type == schema.NotNull {
			kept := *k
			kept.Needs, kept.Options = nil, free(k.Options)
			t.Constraints = append(t.Constraints, &kept)
		}
	}
	empty = &schema.Database{Engine: model.Engine, Version: model.Version, Schemas: []*schema.Schema{{Name: namespace}}}
	one = &schema.Database{Engine: model.Engine, Version: model.Version, Schemas: []*schema.Schema{{Name: namespace, Tables: []*schema.Table{&t}}}}
	return empty, one, nil
}
