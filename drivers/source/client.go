package source

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/migrate"
)

// client runs files in a scratch database as psql, mysql or sqlite3 would, but for what leaves it.
type client struct {
	db     *scratch.Database
	conn   *sql.Conn
	engine migrate.Engine
	files  *files
	notes  notes

	file   string          // being run
	own    map[string]bool // MySQL: names that the files give their database
	others map[string]bool // MySQL: databases of the server that are not the scratch
	in     string          // the database that the file has chosen
	made   []string        // the databases that something was made in
	later  []postponed
}

// postponed is a statement that is tried again when all else was run.
type postponed struct {
	piece
	file, sql string
}

// runFiles runs SQL files in the order of their names, over one connection.
func runFiles(ctx context.Context, db *scratch.Database, n named) ([]string, error) {
	fs, err := openFiles(n.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = fs.Close() }()
	c := &client{db: db, engine: db.Dialect().Engine, files: fs, own: map[string]bool{}}
	if c.conn, err = db.DB().Conn(ctx); err != nil {
		return nil, fmt.Errorf("connect to the scratch database: %w", err)
	}
	defer func() {
		// What a file left open ends with it, as it does when a client program exits.
		_, _ = c.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		_ = c.conn.Close()
	}()
	if c.engine == migrate.Postgres {
		// A server that notices soon that its client was killed lets the next run drop the scratch soon. Not
		// every platform of servers can.
		_, _ = c.conn.ExecContext(ctx, "SET client_connection_check_interval = '2s'")
	}
	if c.others, err = c.otherDatabases(ctx); err != nil {
		return nil, err
	}
	for _, name := range fs.list {
		if err := c.runFile(ctx, name, 0); err != nil {
			return nil, err
		}
	}
	for _, p := range c.later {
		if _, err := c.db.Execute(ctx, c.conn, p.sql); err != nil {
			return nil, &StatementError{File: p.file, Line: errorLine(p.piece, nil), Statement: shorten(p.piece), Err: err}
		}
	}
	return c.notes.list(), nil
}

// otherDatabases lists what a statement on MySQL could reach by a qualified name.
func (c *client) otherDatabases(ctx context.Context) (map[string]bool, error) {
	if c.engine != migrate.MySQL && c.engine != migrate.MariaDB {
		return nil, nil
	}
	rows, err := c.conn.QueryContext(ctx, "SHOW DATABASES")
	if err != nil {
		return nil, fmt.Errorf("list the databases of the scratch's server: %w", err)
	}
	defer rows.Close()
	others := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		if name != c.db.Name() {
			others[strings.ToLower(name)] = true
		}
	}
	return others, rows.Err()
}

// dumpedFrom is the line by which mysqldump names the database, whose name may stand in definitions.
var dumpedFrom = regexp.MustCompile(`(?m)^-- Host: .*\bDatabase: (\S+)\s*$`)

// headBytes is how much of a file its head may take.
const headBytes = 4096

// maxIncludes is how deep files may include each other.
const maxIncludes = 16

func (c *client) runFile(ctx context.Context, name string, depth int) error {
	text, err := c.files.read(name)
	if err != nil {
		return err
	}
	shown := c.files.shown(name)
	if e := recognise(shown, text, c.engine); e != nil {
		return e
	}
	before := c.file
	c.file = shown
	if m := dumpedFrom.FindStringSubmatch(text[:min(len(text), headBytes)]); m != nil {
		c.own[strings.ToLower(m[1])] = true
	}
	defer func() { c.file = before }()
	s := newSplitter(c.engine, text)
	for {
		p, ok := s.next()
		if !ok {
			return nil
		}
		switch p.kind {
		case statement:
			if err = c.statement(ctx, p); err == nil && s.mysql() && starts(p.tokens, "SET") {
				err = c.followMode(ctx, s)
			}
		case data:
			c.notes.add(aboutRows, c.file, p.line)
		case command:
			var over bool
			if over, err = c.command(ctx, p, name, depth); over {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// followMode makes the splitter read strings as the session does now.
func (c *client) followMode(ctx context.Context, s *splitter) error {
	err := c.conn.QueryRowContext(ctx, "SELECT FIND_IN_SET('NO_BACKSLASH_ESCAPES', @@sql_mode) > 0").Scan(&s.plain)
	if err != nil {
		return fmt.Errorf("ask the scratch database for its sql_mode: %w", err)
	}
	return nil
}

// enter chooses a database, by the name that the file gives it.
func (c *client) enter(name string) {
	c.in = name
	c.own[strings.ToLower(name)] = true
}

func (c *client) statement(ctx context.Context, p piece) error {
	v, err := c.judge(p)
	if err != nil {
		return err
	}
	if v.note {
		c.notes.add(v.why, c.file, errorLine(p, nil))
	}
	if v.sql == "" {
		return nil
	}
	if starts(p.tokens, "CREATE") && !slices.Contains(c.made, c.in) {
		if c.made = append(c.made, c.in); len(c.made) > 1 && c.made[0] != "" {
			return &FileError{
				File: c.file, Line: errorLine(p, nil),
				Reason: fmt.Sprintf("this file makes several databases (%s), and a scratch is one", strings.Join(c.made, ", ")),
				Next:   "dump one database at a time",
			}
		}
	}
	_, err = c.db.Execute(ctx, c.conn, v.sql)
	if err == nil {
		return nil
	}
	return c.forgive(ctx, p, v.sql, err)
}

// forgive decides whether a statement that failed matters for a schema.
func (c *client) forgive(ctx context.Context, p piece, sql string, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case starts(p.tokens, "SET"):
		// A setting of another version of the server, or one that this role may not change.
		c.notes.add("that set what this server does not know or allow", c.file, errorLine(p, nil))
		return nil
	case isNumber(err, checkOption):
		// mysqldump orders views by name, and has something else in the place of those to come.
		c.later = append(c.later, postponed{p, c.file, sql})
		return nil
	case isCode(err, "42P06") && starts(p.tokens, "CREATE", "SCHEMA", "PUBLIC"), isNumber(err, 1065): // it is there; it is nothing but a comment
		return nil
	}
	if role := missingRole(err); role != "" && c.db.Alone {
		if _, rerr := c.db.Execute(ctx, c.conn, "CREATE ROLE "+quotePostgres(role)); rerr == nil {
			if _, err = c.db.Execute(ctx, c.conn, sql); err == nil {
				return nil
			}
		}
	}
	if sql != p.text {
		return &StatementError{File: c.file, Line: errorLine(p, nil), Statement: shorten(p), Err: err, Next: c.next(p, err)}
	}
	return &StatementError{File: c.file, Line: errorLine(p, err), Statement: shorten(p), Err: err, Next: c.next(p, err)}
}

// checkOption is MySQL's error for a WITH CHECK OPTION above a view that cannot be written to.
const checkOption = 1368

func isCode(err error, code string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == code
}

func isNumber(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(numbers, e.Number)
}

var roleMissing = regexp.MustCompile(`^role "(.+)" does not exist$`)

// missingRole is the role that an error says is not there.
func missingRole(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		if m := roleMissing.FindStringSubmatch(e.Message); m != nil {
			return m[1]
		}
	}
	return ""
}

// next says what to do about an error, where the scratch and not the file is at fault.
func (c *client) next(p piece, err error) string {
	role := missingRole(err)
	switch {
	case role != "":
		return fmt.Sprintf("on the scratch's server: CREATE ROLE %s; or --scratch docker:IMAGE, where it is made for you", quotePostgres(role))
	case starts(p.tokens, "CREATE", "EXTENSION") && !isCode(err, "42601"):
		return "the scratch's server cannot have this extension: install it there, or use an image that has it, such as --scratch docker:pgvector/pgvector:pg17"
	case isNumber(err, 1227):
		return "let the scratch's user do that, or --scratch docker:IMAGE, whose user may do everything"
	}
	return ""
}

// command does what a command of the client program asks for, as far as that concerns a schema. over tells
// that it ends the file.
func (c *client) command(ctx context.Context, p piece, in string, depth int) (over bool, err error) {
	word, rest, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(p.text), ";"), " ")
	argument := strings.Trim(strings.TrimSpace(rest), `'"`)
	switch strings.ToLower(word) {
	case "delimiter", `\restrict`, `\unrestrict`, `\set`, `\unset`, `\echo`, `\qecho`, `\warn`, `\pset`, `\timing`, `\encoding`,
		`\o`, `\t`, `\a`, `\x`, `\r`, `\-`, `\w`, ".mode", ".headers", ".header", ".bail", ".echo", ".timer", ".print", ".output", ".changes", ".nullvalue", ".separator", ".width":
		return false, nil
	case `\connect`, `\c`:
		c.enter(connectTo(rest))
		c.notes.add(aboutBases, c.file, p.line)
		return false, nil
	case `\q`, ".quit", ".exit":
		return true, nil
	case `\i`, `\include`, `\ir`, `\include_relative`, "source", `\.`, ".read":
		return false, c.include(ctx, argument, in, p.line, depth)
	case `\copy`:
		c.notes.add(aboutRows, c.file, p.line)
		return false, nil
	case `\if`, `\elif`, `\else`, `\endif`, `\g`, `\gx`, `\gexec`, `\gset`, `\gdesc`, `\crosstabview`, `\watch`, `\;`, `\bind`, `\parse`:
		return false, &FileError{File: c.file, Line: p.line, Reason: fmt.Sprintf("%s is understood by the client program alone", word), Next: "write the statements out, or load the file into a database of yours and give its URL"}
	}
	c.notes.add(fmt.Sprintf("for the client program, such as %s", word), c.file, p.line)
	return false, nil
}

var connectName = regexp.MustCompile(`dbname='?([^' ]+)`)

// connectTo is the database that a \connect names.
func connectTo(rest string) string {
	if m := connectName.FindStringSubmatch(rest); m != nil {
		return m[1]
	}
	for _, word := range strings.Fields(rest) {
		if !strings.HasPrefix(word, "-") {
			return strings.Trim(word, `"`)
		}
	}
	return ""
}

// include runs another file of the same folder: one beside the file it is named in, else one below the
// folder of the source.
func (c *client) include(ctx context.Context, name, in string, line, depth int) error {
	if depth == maxIncludes {
		return &FileError{File: c.file, Line: line, Reason: fmt.Sprintf("files include each other more than %d deep", maxIncludes)}
	}
	beside := path.Join(path.Dir(in), name)
	if path.IsAbs(name) || !c.files.has(beside) {
		beside = path.Clean(name)
	}
	if !c.files.has(beside) {
		return &FileError{
			File: c.file, Line: line, Reason: fmt.Sprintf("it includes %s, which is no file in the folder %s", name, c.files.dir),
			Next: "includes do not leave the folder of the source: give the folder that holds all of the files",
		}
	}
	return c.runFile(ctx, beside, depth+1)
}
