package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

// LintObserver returns what runs statements in this database and says how the server carries them out. The
// database has to be a scratch one: what the statements do stays.
func (d *Database) LintObserver() lint.Observer { return observer{d} }

type observer struct{ db *Database }

// Observe implements lint.Observer. DDL commits by itself, so that there is no transaction to look into.
func (o observer) Observe(ctx context.Context, statements []string, _ bool) (seen []lint.Observation, err error) {
	conn, err := o.db.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the scratch database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, text := range statements {
		algorithm, err := o.one(ctx, conn, text)
		if err != nil {
			return seen, err
		}
		seen = append(seen, lint.Observation{Algorithm: algorithm})
	}
	return seen, nil
}

// one runs a statement in the best way that the server accepts, by asking for the better ones first. One that it
// refuses has done nothing.
func (o observer) one(ctx context.Context, conn *sql.Conn, text string) (lint.Algorithm, error) {
	said := said(o.db.engine, text)
	if at, sign := clausePlace(o.db.engine, text); at > 0 && said.Name == "" {
		for _, a := range []lint.Algorithm{{Name: "INSTANT"}, {Name: "INPLACE", Lock: "NONE"}, {Name: "INPLACE", Lock: "SHARED"}, {Name: "COPY", Lock: "NONE"}, {Name: "COPY", Lock: "SHARED"}} {
			_, err := conn.ExecContext(ctx, text[:at]+clause(a, sign)+text[at:])
			if err == nil {
				return a, nil
			}
			if !refused(err) {
				return lint.Algorithm{}, err
			}
		}
	}
	_, err := o.db.Execute(ctx, conn, text)
	return said, err
}

// clause asks for an algorithm. Behind each of its parts is the sign that the statement has there.
func clause(a lint.Algorithm, sign string) string {
	text := " ALGORITHM=" + a.Name + sign
	if a.Lock != "" {
		text += " LOCK=" + a.Lock + sign
	}
	return text
}

// clausePlace is where a clause goes in a statement, with the sign behind each of its parts; 0 where it knows none. In an
// ALTER TABLE it is behind the table's name, because a clause about partitions allows nothing behind it.
func clausePlace(engine migrate.Engine, text string) (at int, sign string) {
	tokens := sqltoken.Split(text, sqltoken.Of(string(engine)))
	switch {
	case len(tokens) < 4:
		return 0, ""
	case aboutIndex(tokens) && (engine == migrate.MySQL || tokens[0].Is("CREATE")): // MariaDB's DROP INDEX knows no clause
		return tokens[len(tokens)-1].End, ""
	case !tokens[0].Is("ALTER") || !tokens[1].Is("TABLE"):
		return 0, ""
	}
	i := 2
	for i < len(tokens)-1 && (tokens[i].Is("IF") || tokens[i].Is("EXISTS")) {
		i++
	}
	for i+2 < len(tokens) && tokens[i+1].IsSign(".") {
		i += 2
	}
	return tokens[i].End, ","
}

// aboutIndex tells whether a statement makes or drops an index by itself.
func aboutIndex(tokens []sqltoken.Token) bool {
	if !tokens[0].Is("CREATE") && !tokens[0].Is("DROP") {
		return false
	}
	for _, t := range tokens[1:] {
		switch {
		case t.Is("INDEX"):
			return true
		case !t.Is("OR") && !t.Is("REPLACE") && !t.Is("UNIQUE") && !t.Is("FULLTEXT") && !t.Is("SPATIAL"):
			return false
		}
	}
	return false
}

// said is the algorithm that a statement asks for by itself.
func said(engine migrate.Engine, text string) lint.Algorithm {
	var a lint.Algorithm
	tokens := sqltoken.Split(text, sqltoken.Of(string(engine)))
	for i := 0; i+1 < len(tokens); i++ {
		value := tokens[i+1]
		if value.IsSign("=") && i+2 < len(tokens) {
			value = tokens[i+2]
		}
		switch {
		case tokens[i].Is("ALGORITHM") && (aboutIndex(tokens) || tokens[0].Is("ALTER") && tokens[1].Is("TABLE")):
			a.Name = strings.ToUpper(value.Raw)
		case tokens[i].Is("LOCK") && a.Name != "":
			a.Lock = strings.ToUpper(value.Raw)
		}
	}
	return a
}

// refused tells whether the server cannot carry a statement out in the way that was asked for.
func refused(err error) bool {
	var e *mysql.MySQLError
	// ER_ALTER_OPERATION_NOT_SUPPORTED, the same with its reason, ER_NOT_SUPPORTED_YET, and wrong usage of the clause.
	return errors.As(err, &e) && (e.Number == 1845 || e.Number == 1846 || e.Number == 1235 || e.Number == 1221)
}
