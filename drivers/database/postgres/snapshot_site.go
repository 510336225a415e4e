package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	ddlpostgres "github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// restoreSchema holds what a build has to know of itself: which snapshot it is of, and which chunks it has. It
// is no part of any model, and goes when the build is at its end.
const restoreSchema = "switchback_restore"

// site is a database in which a snapshot is built.
type site struct {
	d     *Database
	stays bool // what a build knows of itself stays until the database has taken its place, or the site is opened

	roles bool            // those that are missing are made
	known []snapshot.Role // of those, what they were

	pool    *sql.DB
	mu      sync.Mutex
	workers map[int]*sql.Conn

	manifest *snapshot.Manifest
	place    *place
	model    *schema.Database // what is to be made here
	notes    []string
}

// Site is the database as a place where a snapshot is built. It has to be empty.
func (d *Database) Site() snapshot.Site { return newSite(d) }

func newSite(d *Database) *site {
	return &site{
		d: d, workers: map[int]*sql.Conn{},
		// Nothing is lost that a build which begins anew would not make again.
		pool: d.sessions(0, "SET synchronous_commit = off"),
	}
}

// Warnings say what could not be made here as it was.
func (s *site) Warnings() []string { return s.notes }

// OpenPoint implements snapshot.Source. The schema is the one that was copied when it is what can be had here.
func (s *site) OpenPoint(ctx context.Context, o snapshot.PointOptions) (snapshot.Point, error) {
	p, err := s.d.openPoint(ctx, o)
	if err == nil && s.manifest != nil && s.manifest.Only == snapshot.OnlyData {
		p.readOnly(s.manifest)
	}
	if err != nil || s.manifest == nil || p.content.Fingerprint == s.manifest.Content.Fingerprint {
		return p, err
	}
	differs, err := s.differences(p.model)
	if err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	if len(differs) == 0 {
		p.content.Fingerprint = s.manifest.Content.Fingerprint
	}
	p.content.Broken = append(p.content.Broken, differs...)
	return p, nil
}

// differences are what is otherwise than it should be. Another version of the server may write the query of a
// view in other words.
func (s *site) differences(is *schema.Database) ([]string, error) {
	is, _, err := s.place.adapt(is)
	if err != nil {
		return nil, err
	}
	r, err := diff.Compare(is, s.model, diff.Options{})
	if err != nil {
		return nil, err
	}
	otherWords := majorOf(is.Version) != majorOf(s.model.Version)
	var list []string
	diff.Walk(r.Changes, func(path string, c diff.Change) {
		if otherWords && c.Kind == schema.KindView && c.Action == diff.Modify && len(c.Properties) == 1 && c.Properties[0].Name == "definition" {
			return
		}
		list = append(list, fmt.Sprintf("%s differs: %s %s", path, c.Action, texts(c.Properties)))
	})
	return list, nil
}

func texts(list []diff.PropertyChange) string {
	var all []string
	for _, p := range list {
		all = append(all, fmt.Sprintf("%s is %q, was %q", p.Name, p.From, p.To))
	}
	return strings.Join(all, ", ")
}

func majorOf(version string) string {
	major, _, _ := strings.Cut(version, ".")
	return major
}

// worker is the connection of a worker.
func (s *site) worker(ctx context.Context, n int) (*sql.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.workers[n] == nil {
		conn, err := s.pool.Conn(ctx)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		s.workers[n] = conn
	}
	return s.workers[n], nil
}

// release closes the connections of the workers.
func (s *site) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, conn := range s.workers {
		_ = conn.Close()
		delete(s.workers, n)
	}
}

// Prepare implements snapshot.Site: the bare schema is made in one transaction, or it was by a build that was
// cut off.
func (s *site) Prepare(ctx context.Context, m *snapshot.Manifest, model *schema.Database) error {
	if model == nil {
		return errors.New("the snapshot has no model of its schema")
	}
	if m.Only == snapshot.OnlyData {
		return s.prepareRows(ctx, m)
	}
	if err := s.plan(ctx, m, model); err != nil {
		return err
	}
	of, err := s.buildingOf(ctx)
	if err != nil || of == m.ID {
		return err
	}
	from, err := s.empty(ctx, of)
	if err != nil {
		return err
	}
	to, err := bare(s.model)
	if err != nil {
		return err
	}
	statements, err := scriptOf(from, to)
	if err != nil {
		return err
	}
	return s.make(ctx, append(statements, s.own(m, "")...))
}

// plan makes the model one for this place.
func (s *site) plan(ctx context.Context, m *snapshot.Manifest, model *schema.Database) (err error) {
	s.manifest = m
	var made []string
	if s.roles {
		if made, err = s.makeRoles(ctx, model); err != nil {
			return err
		}
	}
	if s.place, err = placeOf(ctx, s.pool); err != nil {
		return err
	}
	s.place.settings = !s.stays
	s.model, s.notes, err = s.place.adapt(model)
	s.notes = append(s.notes, made...)
	return errors.Join(err, s.fixed(ctx, model))
}

// fixed says which settings the database was made with that are not those of the one that was copied: nothing can
// change them now.
func (s *site) fixed(ctx context.Context, model *schema.Database) error {
	in := newInspection()
	err := in.read(ctx, s.pool, versionPart())
	if err == nil {
		err = in.read(ctx, s.pool, settingsPart(in.version))
	}
	if err != nil {
		return fmt.Errorf("ask how the database was made: %w", err)
	}
	is := map[string]string{}
	for _, x := range in.settings {
		is[x.Name] = x.Value
	}
	var differs []string
	for _, x := range model.Settings {
		if x.Fixed && is[x.Name] != x.Value {
			differs = append(differs, fmt.Sprintf("%s is %s, was %s", x.Name, cmp.Or(is[x.Name], "not set"), x.Value))
		}
	}
	if len(differs) > 0 {
		s.notes = append(s.notes, "the database was made otherwise than the one that was copied, so text may sort and compare otherwise: its "+strings.Join(differs, ", its "))
	}
	return nil
}

// buildingOf is the ID of the snapshot that is being built here, or "".
func (s *site) buildingOf(ctx context.Context) (string, error) {
	rows, err := query(ctx, s.pool, "SELECT 1 FROM pg_class WHERE oid = to_regclass('"+restoreSchema+".build')")
	if err != nil || len(rows) == 0 {
		return "", err
	}
	if rows, err = query(ctx, s.pool, "SELECT snapshot FROM "+restoreSchema+".build"); err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0][0], nil
}

// empty refuses a database that somebody uses.
func (s *site) empty(ctx context.Context, of string) (*schema.Database, error) {
	if of != "" {
		return nil, fmt.Errorf("snapshot %s is being built in this database\n  next: drop the database and make an empty one", of)
	}
	is, err := Inspect(ctx, s.pool)
	if err != nil {
		return nil, err
	}
	if first := firstObject(is); first != "" {
		return nil, &snapshot.NotEmptyError{Has: first}
	}
	rows, err := query(ctx, s.pool, "SELECT nspname FROM pg_namespace WHERE nspname = 'switchback'")
	if err == nil && len(rows) > 0 {
		err = &snapshot.NotEmptyError{Has: "a journal"}
	}
	is.Settings = nil
	return is, err
}

// firstObject names something that is in a database, or is empty when there is nothing.
func firstObject(d *schema.Database) string {
	for _, n := range d.Schemas {
		for _, o := range n.Children() {
			if o.Kind() != schema.KindGrant {
				return string(o.Kind()) + " " + n.Name + "." + o.ObjectName()
			}
		}
	}
	return ""
}

// own are our tables: those of the snapshot, and those by which a build knows how far it is, and what the schema has
// to be at its end where that is not the snapshot's.
func (s *site) own(m *snapshot.Manifest, model string) []string {
	var list []string
	for _, p := range m.Parts {
		if p.Schema == "switchback" {
			list = append(list, s.d.Dialect().Install...)
			break
		}
	}
	return append(list,
		"CREATE SCHEMA "+restoreSchema,
		"CREATE TABLE "+restoreSchema+".build (snapshot text NOT NULL, finished boolean NOT NULL, model text NOT NULL)",
		"CREATE TABLE "+restoreSchema+".chunks (file text PRIMARY KEY)",
		"CREATE TABLE "+restoreSchema+".large_objects (oid oid, page bigint, data bytea)",
		"CREATE TABLE "+restoreSchema+".large_object_rights (oid oid, owner text, comment text, grantee text, privilege text, grantable boolean)",
		"INSERT INTO "+restoreSchema+".build VALUES ("+ddlpostgres.Literal(m.ID)+", false, "+ddlpostgres.Literal(model)+")",
	)
}

// scriptOf are the statements that turn a schema into another where nobody else is, without what sets up a session.
func scriptOf(from, to *schema.Database) ([]string, error) {
	r, err := diff.Compare(from, to, diff.Options{})
	if err != nil {
		return nil, err
	}
	script, err := ddlpostgres.Writer{Alone: true}.Script(r)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, s := range script.Statements {
		if !s.Frame {
			list = append(list, s.SQL)
		}
	}
	return list, nil
}

// manyTables is how many statements a transaction has at most: the server has room for so many locks.
const manyTables = 2000

// make runs statements in one message and transaction. Where there are too many for one, it is several: a build that is
// cut off meanwhile begins anew.
func (s *site) make(ctx context.Context, statements []string) error {
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for len(statements) > 0 {
		n := min(len(statements), manyTables)
		if err := atOnce(ctx, conn, statements[:n]); err != nil {
			return err
		}
		statements = statements[n:]
	}
	return nil
}

// together runs statements in a transaction, one by one: an error names the statement.
func together(ctx context.Context, conn *sql.Conn, statements []string) error {
	for _, statement := range slices.Concat([]string{"BEGIN"}, statements, []string{"COMMIT"}) {
		if _, err := simple(ctx, conn, statement); err != nil {
			rollback(ctx, conn)
			return failed(statement, err)
		}
	}
	return nil
}

// failed names the statement that has failed.
func failed(statement string, err error) error {
	const most = 300
	if len(statement) > most {
		statement = clip(statement, most) + " …"
	}
	return fmt.Errorf("%w\n  in: %s", err, statement)
}

// Loaded implements snapshot.Site.
func (s *site) Loaded(ctx context.Context) (map[string]bool, error) {
	rows, err := query(ctx, s.pool, "SELECT file FROM "+restoreSchema+".chunks")
	if err != nil {
		return nil, fmt.Errorf("ask what was loaded before: %w", err)
	}
	loaded := map[string]bool{}
	for _, r := range rows {
		loaded[r[0]] = true
	}
	return loaded, nil
}

// Load implements snapshot.Site: the rows and the name of their chunk are written by one message, which the server takes
// as one transaction.
func (s *site) Load(ctx context.Context, worker int, p snapshot.Part, c snapshot.Chunk, from io.Reader) error {
	conn, err := s.worker(ctx, worker)
	if err != nil {
		return err
	}
	statements := []string{"INSERT INTO " + restoreSchema + ".chunks VALUES (" + ddlpostgres.Literal(c.File) + ")", copyInto(p)}
	if err := copyFrom(ctx, conn, &sent{from}, strings.Join(statements, between)); err != nil {
		return err
	}
	failpoint.Hit("restore: chunk loaded")
	return nil
}

// sent marks the moment at which all rows of a chunk were sent, and the server was not told yet that they are all.
type sent struct{ from io.Reader }

func (s *sent) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	if errors.Is(err, io.EOF) {
		failpoint.Hit("restore: chunk copied")
	}
	return n, err
}

// rollback takes a transaction back. On a connection that is lost it has been.
func rollback(ctx context.Context, conn *sql.Conn) {
	_, _ = simple(context.WithoutCancel(ctx), conn, "ROLLBACK")
}

// copyInto is the COPY that takes the rows of a part in.
func copyInto(p snapshot.Part) string {
	switch p.Name {
	case largeObjects:
		return "COPY " + restoreSchema + ".large_objects FROM STDIN"
	case largeObjectRights:
		return "COPY " + restoreSchema + ".large_object_rights FROM STDIN"
	}
	columns := ""
	if len(p.Columns) > 0 {
		columns = " (" + columnList(p.Columns) + ")"
	}
	return "COPY " + quotedName(p.Schema, p.Table) + columns + " FROM STDIN"
}
