package mysql

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// site is an empty database that a snapshot is built in. What has been done is noted in a table of it in the same
// transaction, so that a build that was killed goes on.
type site struct {
	db    *Database
	build *sql.DB // connections with the settings that rows and tables are made under
	model *schema.Database
	next  map[string]string // where sequences have to stand

	mu       sync.Mutex
	rows     map[string]*rowsOf
	reader   atomic.Int64
	prefix   string // of the names of the driver's readers, which all of the process share
	keep     bool   // the ledger stays: what is built is found by it
	accounts bool   // those that are missing are made, and grants given
	known    []snapshot.Role
	notes    []string
	parts    []snapshot.Part // of the snapshot, where filled
	filled   bool            // rows go into tables that were there before
	plain    atomic.Bool     // the server takes no LOAD DATA LOCAL: rows are inserted
}

var (
	_ snapshot.Site   = (*site)(nil)
	_ snapshot.Opener = (*site)(nil)
)

// ledger is the table in which a build notes what it has done: the snapshot it is of, whether the tables are made, and
// each chunk that is loaded.
const ledger = "switchback_restore_ledger"

// Site returns the database, which has to be empty, as a place where a snapshot is built. Events are made in it, but
// switched off until it is opened.
func (d *Database) Site() snapshot.Site { return d.site() }

func (d *Database) site() *site {
	var b [8]byte
	_, _ = rand.Read(b[:])
	config := d.config.Clone()
	params := map[string]string{
		"sql_mode": "'" + buildMode + "'", "foreign_key_checks": "0", "time_zone": "'+00:00'", "lock_wait_timeout": "60", "wait_timeout": "604800",
	}
	if d.engine == migrate.MariaDB {
		params["check_constraint_checks"], params["innodb_strict_mode"] = "0", "0"
		params["system_versioning_alter_history"] = "KEEP"
	}
	config.Params = params
	connector, err := mysql.NewConnector(config)
	if err != nil { // the same settings have made a connector before
		panic(err)
	}
	build := sql.OpenDB(connector)
	d.more = append(d.more, build)
	return &site{db: d, build: build, rows: map[string]*rowsOf{}, prefix: "switchback-" + hex.EncodeToString(b[:])}
}

// buildMode takes everything that a table can hold: zeros for a counter, and dates that are none.
const buildMode = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION"

// noted reads the ledger. It is nil when there is none.
func (s *site) noted(ctx context.Context) (map[string]string, error) {
	m := map[string]string{}
	err := show(ctx, s.build, []string{"SELECT name, value FROM " + ledger}, func(_ int, r []string) { m[r[0]] = r[1] })
	if isError(err, 1146) {
		return nil, nil
	}
	return m, err
}

// Prepare implements snapshot.Site.
func (s *site) Prepare(ctx context.Context, m *snapshot.Manifest, model *schema.Database) error {
	s.next = map[string]string{}
	for _, q := range m.Content.Sequences {
		s.next[q.Name] = q.Value
	}
	noted, err := s.noted(ctx)
	if err != nil {
		return err
	}
	if m.Only == snapshot.OnlyData {
		return s.prepareRows(ctx, m, noted)
	}
	if s.model = model; model == nil {
		return snapshot.ErrNoModel
	}
	if noted["prepared"] != "" && noted["snapshot"] == m.ID {
		return s.plan(ctx, m)
	}
	is, err := s.clear(ctx, noted["snapshot"] == m.ID)
	if err != nil {
		return err
	}
	if err := writeNotes(ctx, s.build, ledger, map[string]string{"snapshot": m.ID}); err != nil {
		return err
	}
	failpoint.Hit("restore: begun")
	if err := s.makeTables(ctx, m, is); err != nil {
		return err
	}
	if _, err := s.build.ExecContext(ctx, "REPLACE INTO "+ledger+" VALUES ('prepared', 'yes')"); err != nil {
		return fmt.Errorf("note what is built: %w", err)
	}
	return s.plan(ctx, m)
}

// clear makes sure that the database is empty, and returns its model. What a killed build of the same snapshot has made is
// dropped.
func (s *site) clear(ctx context.Context, left bool) (*schema.Database, error) {
	is, err := s.db.inspectQuiet(ctx)
	if err != nil {
		return nil, err
	}
	found := is.Schemas[0]
	var names []string
	for _, t := range found.Tables {
		if t.Name != ledger {
			names = append(names, t.Name)
		}
	}
	var sequences []string
	for _, q := range found.Sequences {
		sequences = append(sequences, q.Name)
	}
	if n := len(names) + len(sequences) + len(found.Views) + len(found.Routines) + len(found.Items); n > 0 && !left {
		return nil, &snapshot.NotEmptyError{Has: fmt.Sprintf("%d tables and other objects", n)}
	}
	for _, n := range names {
		if err := ddlOn(ctx, s.build, "DROP TABLE "+quote(n)); err != nil {
			return nil, fmt.Errorf("drop what a killed build has left: %w", err)
		}
	}
	for _, n := range sequences {
		if err := ddlOn(ctx, s.build, "DROP SEQUENCE "+quote(n)); err != nil {
			return nil, fmt.Errorf("drop what a killed build has left: %w", err)
		}
	}
	found.Tables, found.Sequences = nil, nil
	return is, nil
}

// smallTable is how many bytes of rows a table may have to get its indexes before them: a statement more costs more.
const smallTable = 1 << 20

// makeTables makes the tables that rows go into, with the next values of AUTO_INCREMENT: those are no less than any
// value in the rows.
func (s *site) makeTables(ctx context.Context, m *snapshot.Manifest, is *schema.Database) error {
	small := map[string]bool{}
	for _, p := range m.Parts {
		small[p.Table] = p.Bytes < smallTable
	}
	bare := cutTo(s.model, stageBare, func(table string) bool { return small[table] })
	for _, t := range bare.Schemas[0].Tables {
		if n := s.next[t.Name]; n != "" {
			setOption(t, "options", strings.TrimSpace("AUTO_INCREMENT="+n+" "+schema.Value(t.Options, "options")))
		}
	}
	script, err := scriptTo(is, bare)
	if err != nil {
		return err
	}
	if err := s.makeNew(ctx, script); err != nil {
		return err
	}
	for _, p := range m.Parts {
		if !ours(p.Table) {
			continue
		}
		statement := m.Content.Database[tableStatement+p.Table]
		if statement == "" {
			return fmt.Errorf("the snapshot does not have the statement of %s", p.Table)
		}
		if err := ddlOn(ctx, s.build, statement); err != nil {
			return fmt.Errorf("make %s: %w", p.Table, err)
		}
	}
	return s.setSequences(ctx, m)
}

// setSequences sets MariaDB's sequences to where they stood.
func (s *site) setSequences(ctx context.Context, m *snapshot.Manifest) error {
	for _, q := range m.Content.Sequences {
		value, cycle, ok := strings.Cut(q.Value, "/")
		if !ok {
			continue
		}
		if _, err := s.build.ExecContext(ctx, fmt.Sprintf("DO SETVAL(%s, %s, 0, %s)", quote(q.Name), value, cycle)); err != nil {
			return fmt.Errorf("set the sequence %s to %s: %w", q.Name, value, err)
		}
	}
	return nil
}

// tablesAtOnce is how many tables are made side by side: for each, the server waits for its disk.
const tablesAtOnce = 4

// makeNew runs a script that makes tables. None needs another before there are foreign keys, so they are made side by
// side, after what they may need.
func (s *site) makeNew(ctx context.Context, script *ddl.Script) error {
	isTable := func(st ddl.Statement) bool { return strings.HasPrefix(st.SQL, "CREATE TABLE ") }
	first := slices.IndexFunc(script.Statements, isTable)
	if first < 0 || slices.ContainsFunc(script.Statements[first:], func(st ddl.Statement) bool { return !isTable(st) && !strings.HasPrefix(st.SQL, "SET ") }) {
		return s.run(ctx, script)
	}
	before, tables := *script, *script
	before.Statements, tables.Statements = script.Statements[:first], script.Statements[first:]
	if err := s.run(ctx, &before); err != nil {
		return err
	}
	return s.side(ctx, &tables, tablesAtOnce)
}

func setOption(t *schema.Table, name, value string) {
	for i := range t.Options {
		if t.Options[i].Name == name {
			t.Options[i].Value = value
			return
		}
	}
	t.Options = append(t.Options, property(name, value))
}

// plan finds out how rows go into the tables that are there. Those of our own are not in the model: the journal has
// nothing but texts and numbers, and the attic is looked up.
func (s *site) plan(ctx context.Context, m *snapshot.Manifest) error {
	all := clone(s.model).Schemas[0]
	for _, p := range m.Parts {
		switch {
		case strings.HasPrefix(p.Table, "switchback_old_"):
			is, err := s.db.inspectQuiet(ctx)
			if err != nil {
				return err
			}
			all.Tables = append(all.Tables, is.Schemas[0].Table(p.Table))
		case ours(p.Table):
			t := &schema.Table{Name: p.Table}
			for _, c := range p.Columns {
				t.Columns = append(t.Columns, &schema.Column{Name: c, Type: "text"})
			}
			all.Tables = append(all.Tables, t)
		}
	}
	for _, t := range all.Tables {
		s.rows[t.Name] = newRowsOf(t, s.db.engine)
	}
	return nil
}

// run runs a script on one connection. What it says of the session holds for programs; tables are made under the
// settings of the build, which forbid nothing that was allowed once.
func (s *site) run(ctx context.Context, script *ddl.Script) error {
	c, err := s.build.Conn(ctx)
	if err != nil {
		return err
	}
	defer discard(c)
	return runScript(ctx, c, script)
}

func runScript(ctx context.Context, c *sql.Conn, script *ddl.Script) error {
	mode := "SET sql_mode = ''"
	for _, st := range script.Statements {
		table := strings.HasPrefix(st.SQL, "CREATE TABLE") || strings.HasPrefix(st.SQL, "ALTER TABLE")
		statements := []string{st.SQL}
		switch {
		case strings.HasPrefix(st.SQL, "SET sql_mode = '"):
			mode = st.SQL
		case table:
			statements = []string{"SET sql_mode = '" + buildMode + "'", st.SQL, mode}
		}
		for _, x := range statements {
			if err := ddlOn(ctx, c, x); err != nil {
				return fmt.Errorf("%s: %w", firstLine(x), explained(err))
			}
		}
	}
	return nil
}

// ddlOn runs a statement that is done whole or not at all, again when the server ends it to resolve a deadlock: DDL of
// other databases can be in the way.
func ddlOn(ctx context.Context, db snapshot.Execer, statement string) error {
	for try := 1; ; try++ {
		_, err := db.ExecContext(ctx, statement)
		if !isError(err, 1213) || try == tries {
			return err
		}
		if err := pause(ctx, time.Duration(try)*10*time.Millisecond); err != nil {
			return err
		}
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line[:min(len(line), 200)]
}

// explained says which right is missing to make what belongs to another account.
func explained(err error) error {
	if isError(err, 1227) {
		return fmt.Errorf("%w\n  next: an account that may make programs for another definer: GRANT SET_ANY_DEFINER, ALLOW_NONEXISTENT_DEFINER (MySQL), SET USER (MariaDB) ON *.*", err)
	}
	if isError(err, 1419) {
		return fmt.Errorf("%w\n  next: an account with the right SUPER, or log_bin_trust_function_creators = ON", err)
	}
	return err
}

// Loaded implements snapshot.Site.
func (s *site) Loaded(ctx context.Context) (map[string]bool, error) {
	noted, err := s.noted(ctx)
	if err != nil {
		return nil, err
	}
	loaded := map[string]bool{}
	for name := range noted {
		if file, ok := strings.CutPrefix(name, "chunk "); ok {
			loaded[file] = true
		}
	}
	return loaded, nil
}

// Load implements snapshot.Site: the rows and the note of it in one transaction.
func (s *site) Load(ctx context.Context, _ int, p snapshot.Part, c snapshot.Chunk, from io.Reader) (err error) {
	s.mu.Lock()
	r := s.rows[p.Table]
	s.mu.Unlock()
	if r == nil {
		return fmt.Errorf("there is no table %s", p.Table)
	}
	r, err = r.only(p.Columns)
	if err != nil {
		return err
	}
	tx, err := s.build.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	if r.history {
		if _, err := tx.ExecContext(ctx, "SET SESSION system_versioning_insert_history = 1"); err != nil {
			return fmt.Errorf("load the past of the rows of %s: %w", p.Table, err)
		}
	}
	n, err := s.rowsInto(ctx, tx, r, from)
	if err != nil {
		return err
	}
	if n != c.Rows {
		return fmt.Errorf("table %s took %d of %d rows", p.Table, n, c.Rows)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO "+ledger+" VALUES (?, '')", "chunk "+c.File); err != nil {
		return fmt.Errorf("note what is loaded: %w", err)
	}
	return tx.Commit()
}

// only is the plan for the columns that a part has, in their order.
func (r *rowsOf) only(columns []string) (*rowsOf, error) {
	plan := *r
	plan.columns = nil
	for _, name := range columns {
		i := slices.IndexFunc(r.columns, func(c rowColumn) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("table %s has no column %s", r.table.Name, name)
		}
		plan.columns = append(plan.columns, r.columns[i])
	}
	return &plan, nil
}

// rowsInto loads rows and says how many there were.
func (s *site) rowsInto(ctx context.Context, tx *sql.Tx, r *rowsOf, from io.Reader) (int64, error) {
	if s.plain.Load() || len(r.columns) == 0 {
		return insertRows(ctx, tx, r, from)
	}
	name := fmt.Sprintf("%s-%d", s.prefix, s.reader.Add(1))
	begun := &noticing{from: from}
	mysql.RegisterReaderHandler(name, func() io.Reader { return begun })
	defer mysql.DeregisterReaderHandler(name)
	result, err := tx.ExecContext(ctx, r.load(name))
	if err != nil && !begun.yes && isError(err, 1148, 3948, 4166, 3950, 2068) { // LOCAL is switched off
		s.plain.Store(true)
		return insertRows(ctx, tx, r, from)
	}
	if errors.Is(err, mysql.ErrInvalidConn) {
		// A server that cannot take a row may end the connection before what it says about it was read.
		return 0, fmt.Errorf("%w: the server has ended it while it took rows; its log says why, such as a disk that is full", err)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// noticing notices whether it was read.
type noticing struct {
	from io.Reader
	yes  bool
}

func (n *noticing) Read(p []byte) (int, error) {
	n.yes = true
	return n.from.Read(p)
}

// insertAt is how many bytes a statement of rows has about: well below what a server takes by default.
const insertAt = 1 << 20

func insertRows(ctx context.Context, tx *sql.Tx, r *rowsOf, from io.Reader) (int64, error) {
	lines := bufio.NewReaderSize(from, 1<<20)
	head := []byte(r.insert())
	statement := slices.Clone(head)
	total := int64(0)
	send := func() error {
		if len(statement) == len(head) {
			return nil
		}
		result, err := tx.ExecContext(ctx, string(statement))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		total, statement = total+n, append(statement[:0], head...)
		return err
	}
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return total, send()
		}
		if err != nil {
			return total, err
		}
		if len(statement) > len(head) {
			statement = append(statement, ',')
		}
		if statement = r.appendRow(statement, strings.TrimSuffix(line, "\n")); len(statement) >= insertAt {
			if err := send(); err != nil {
				return total, err
			}
		}
	}
}

// Finish implements snapshot.Site. Each stage is the script from what is there to what has to be, so that one that was
// killed goes on.
func (s *site) Finish(ctx context.Context, m *snapshot.Manifest, model *schema.Database, workers int) error {
	if m.Only == snapshot.OnlyData {
		return s.finishRows(ctx, m)
	}
	noted, err := s.noted(ctx)
	if err != nil {
		return err
	}
	all, err := s.db.inspectQuiet(ctx)
	if err != nil {
		return err
	}
	is := visible(all)
	for stage := stageIndexes; stage <= stagePrograms; stage++ {
		note := fmt.Sprintf("stage %d", stage)
		if _, done := noted[note]; done {
			continue
		}
		to := cutTo(model, stage, nil)
		if err := s.stage(ctx, is, to, stage, workers); err != nil {
			return err
		}
		is = to
		failpoint.Hit("restore: " + note)
		if _, err := s.build.ExecContext(ctx, "REPLACE INTO "+ledger+" VALUES ('"+note+"', '')"); err != nil {
			return fmt.Errorf("note what is built: %w", err)
		}
	}
	if s.accounts {
		if err := s.grant(ctx); err != nil {
			return err
		}
	}
	if s.keep {
		return nil
	}
	return ddlOn(ctx, s.build, "DROP TABLE "+ledger)
}

// stage makes what a stage adds. Tables get their indexes side by side.
func (s *site) stage(ctx context.Context, from, to *schema.Database, stage, workers int) error {
	script, err := scriptTo(from, to)
	if err != nil {
		return err
	}
	if stage == stageIndexes {
		return s.side(ctx, script, workers)
	}
	return s.run(ctx, script)
}

// side runs the statements of a script that make or alter tables side by side. Each is of a table of its own.
func (s *site) side(ctx context.Context, script *ddl.Script, workers int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, st := range script.Statements {
		if strings.HasPrefix(st.SQL, "SET ") {
			continue
		}
		group.Go(func() error {
			if err := ddlOn(ctx, s.build, st.SQL); err != nil {
				return fmt.Errorf("%s: %w", firstLine(st.SQL), explained(err))
			}
			return nil
		})
	}
	return group.Wait()
}

// Open implements snapshot.Opener: events run from now on as those did that were copied.
func (s *site) Open(ctx context.Context) error {
	all, err := s.db.inspectQuiet(ctx)
	if err != nil {
		return err
	}
	is := visible(all)
	to := clone(is)
	switchOnLike(to, s.model)
	if err := runOn(ctx, s.build, is, to); err != nil || !s.filled {
		return err
	}
	return ddlOn(ctx, s.build, "DROP TABLE "+ledger)
}

// OpenPoint implements snapshot.Source. Nobody else writes here, so nothing is locked. What a site cannot have, it takes
// from the model: grants, which are of accounts that may not be on this server and so only given when asked for, and events that are switched on.
func (s *site) OpenPoint(ctx context.Context, o snapshot.PointOptions) (snapshot.Point, error) {
	p := &point{db: s.db, timeout: o.LockTimeout}
	err := p.connect(ctx, max(o.Workers, 1))
	if err == nil {
		err = s.look(ctx, p)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close(context.WithoutCancel(ctx)))
	}
	return p, nil
}

func (s *site) look(ctx context.Context, p *point) error {
	all, err := s.db.inspectQuiet(ctx)
	if err != nil {
		return err
	}
	if s.model != nil {
		if !s.accounts {
			grantsOf(all, s.model)
		}
		switchOnLike(all, s.model)
	}
	p.model = visible(all)
	p.content.Method, p.content.Fingerprint = "a database that nobody writes to", p.model.Fingerprint()
	if err := p.begin(ctx); err != nil {
		return err
	}
	p.content.Database = map[string]string{}
	if err := p.planTables(ctx, all); err != nil {
		return err
	}
	if s.filled { // the rows came from elsewhere: that keys hold has to be seen
		if err := errors.Join(p.readOnly(s.parts), p.orphans(ctx)); err != nil {
			return err
		}
	}
	p.content.Sequences, err = s.db.sequences(ctx, all)
	for i, q := range p.content.Sequences {
		// A value that somebody wrote by hand may be above the next one; a table that is made anew begins behind it.
		if was, is := s.next[q.Name], q.Value; len(is) > len(was) || len(is) == len(was) && is > was {
			p.content.Sequences[i].Value = was
		}
	}
	return err
}
