package source

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

// EngineError is a file for another engine than that of the scratch.
type EngineError struct {
	File    string
	Line    int
	Engine  migrate.Engine // that the file is for
	Scratch migrate.Engine
	Because string // what shows it
}

func (e *EngineError) Error() string {
	return fmt.Sprintf("%s:%d: this file is for %s (%s), the scratch is %s\n  next: %s",
		e.File, e.Line, engineName(e.Engine), e.Because, engineName(e.Scratch), scratchAdvice(e.Engine))
}

// engineName is the engine's name for people.
func engineName(e migrate.Engine) string {
	switch e {
	case migrate.Postgres:
		return "PostgreSQL"
	case migrate.MySQL:
		return "MySQL"
	case migrate.MariaDB:
		return "MariaDB"
	}
	return "SQLite"
}

// scratchAdvice says how to have files run on an engine.
func scratchAdvice(e migrate.Engine) string {
	switch e {
	case migrate.Postgres:
		return "--scratch docker:postgres:17, or --scratch postgres://… for a server where a database may be created and dropped"
	case migrate.MySQL:
		return "--scratch docker:mysql:9, or --scratch mysql://… for a server where a database may be created and dropped"
	case migrate.MariaDB:
		return "--scratch docker:mariadb:11.8, or --scratch mariadb://… for a server where a database may be created and dropped"
	}
	return "leave --scratch out: SQLite runs in memory"
}

// sameFamily tells whether a file for one engine may well run on the other.
func sameFamily(a, b migrate.Engine) bool {
	mysql := func(e migrate.Engine) bool { return e == migrate.MySQL || e == migrate.MariaDB }
	return a == b || mysql(a) && mysql(b)
}

// headLines is how many lines of a dump may stand before the one that names its program.
const headLines = 12

// recognise looks for what only a file for another engine would say. It returns nil when there is nothing.
func recognise(file, text string, engine migrate.Engine) *EngineError {
	found := func(line int, is migrate.Engine, because string) *EngineError {
		if sameFamily(is, engine) {
			return nil
		}
		return &EngineError{File: file, Line: line, Engine: is, Scratch: engine, Because: because}
	}
	for i, line := range strings.SplitN(text, "\n", headLines+1) {
		if i < headLines {
			if is, because := header(line); is != "" {
				return found(i+1, is, because)
			}
		}
	}
	s := newSplitter(engine, text)
	for {
		p, ok := s.next()
		if !ok {
			return nil
		}
		if is, because, at := p.foreignTo(engine); is != "" {
			if e := found(p.line+strings.Count(p.text[:at], "\n"), is, because); e != nil {
				return e
			}
		}
	}
}

// header reads a line of a dump's head.
func header(line string) (migrate.Engine, string) {
	switch {
	case !strings.HasPrefix(line, "--") && !strings.HasPrefix(line, "/*"):
	case strings.Contains(line, "PostgreSQL database dump"), strings.Contains(line, "PostgreSQL database cluster dump"):
		return migrate.Postgres, "its head says: PostgreSQL database dump"
	case strings.Contains(line, "MariaDB dump"), strings.Contains(line, "enable the sandbox mode"), strings.Contains(line, "MySQL dump") && strings.Contains(line, "MariaDB"):
		return migrate.MariaDB, "its head says: MariaDB dump"
	case strings.Contains(line, "MySQL dump"):
		return migrate.MySQL, "its head says: MySQL dump"
	}
	return "", ""
}

// foreignTo finds words in a piece, read as of that engine, that say which engine it is really for, and
// where in it they are.
func (p piece) foreignTo(engine migrate.Engine) (is migrate.Engine, because string, at int) {
	if p.kind == command {
		name, _, _ := strings.Cut(p.text, " ")
		if engine != migrate.Postgres && isConnect(name) {
			return migrate.Postgres, name, 0
		}
		return "", "", 0
	}
	if p.kind != statement || isRows(p.tokens) && !p.tokens[0].is("COPY") {
		return "", "", 0
	}
	for i, t := range p.tokens {
		if engine == migrate.Postgres && t.kind == quoted && p.text[t.start] == '`' {
			return migrate.MySQL, "names in backquotes", t.start
		}
		if is, because := wordOf(p.tokens[i:], i == 0); is != "" {
			return is, because, t.start
		}
	}
	return "", "", 0
}

func isConnect(name string) bool {
	return name == `\connect` || name == `\c` || name == `\restrict`
}

// wordOf tells which engine a word with what follows it belongs to.
func wordOf(tokens []token, first bool) (migrate.Engine, string) {
	t, next := tokens[0], token{}
	if len(tokens) > 1 {
		next = tokens[1]
	}
	adjacent := next.start == t.end
	switch {
	case t.is("AUTO_INCREMENT"):
		return migrate.MySQL, "AUTO_INCREMENT"
	case t.is("ENGINE") && next.text == "=":
		return migrate.MySQL, "ENGINE ="
	case first && t.is("DELIMITER"):
		return migrate.MySQL, "DELIMITER"
	case t.is("AUTOINCREMENT"):
		return migrate.SQLite, "AUTOINCREMENT"
	case t.is("WITHOUT") && next.is("ROWID"):
		return migrate.SQLite, "WITHOUT ROWID"
	case t.is("LANGUAGE") && next.is("PLPGSQL"):
		return migrate.Postgres, "LANGUAGE plpgsql"
	case first && t.is("CREATE") && next.is("EXTENSION"):
		return migrate.Postgres, "CREATE EXTENSION"
	case (t.is("SERIAL") || t.is("BIGSERIAL") || t.is("SMALLSERIAL")) && (next.is("PRIMARY") || next.is("NOT")):
		return migrate.Postgres, strings.ToLower(t.text)
	case t.text == ":" && next.text == ":" && adjacent && t.kind == symbol:
		return migrate.Postgres, "::"
	case t.text == "$" && next.text == "$" && adjacent && t.kind == symbol:
		return migrate.Postgres, "$$"
	case t.text == `\` && first && isConnect(`\`+next.text):
		return migrate.Postgres, `\` + next.text
	case first && t.is("COPY") && copiesStdin(tokens):
		return migrate.Postgres, "COPY … FROM stdin"
	}
	return "", ""
}

func copiesStdin(tokens []token) bool {
	for i, t := range tokens {
		if t.is("FROM") && i+1 < len(tokens) && tokens[i+1].is("STDIN") {
			return true
		}
	}
	return false
}
