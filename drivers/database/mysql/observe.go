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
		partitioned, err := o.partitioned(ctx, conn, text)
		if err != nil {
			return seen, err
		}
		algorithm, err := o.one(ctx, conn, text)
		if err != nil {
			return seen, err
		}
		seen = append(seen, lint.Observation{Algorithm: algorithm, Partitioned: partitioned})
	}
	return seen, nil
}

// partitioned tells whether a statement changes a table that has partitions.
func (o observer) partitioned(ctx context.Context, conn *sql.Conn, text string) (yes bool, err error) {
	table := tableOf(sqltoken.Split(text, sqltoken.Of(string(o.db.engine))))
	if len(table) == 0 {
		return false, nil
	}
	place := "DATABASE()"
	args := []any{table[len(table)-1].Name}
	if len(table) > 1 {
		place = "?"
		args = []any{table[0].Name, args[0]}
	}
	err = conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM information_schema.partitions WHERE table_schema = "+place+
		" AND table_name = ? AND partition_name IS NOT NULL)", args...).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look whether table %s has partitions: %w", table[len(table)-1].Name, err)
	}
	return yes, nil
}

// one runs a statement in the best way that the server accepts, by asking for the better ones first. One that it
// refuses has done nothing.
func (o observer) one(ctx context.Context, conn *sql.Conn, text string) (lint.Algorithm, error) {
	said := said(o.db.engine, text)
	if at, between, behind := clausePlace(o.db.engine, text); at > 0 && said.Name == "" {
		for _, a := range []lint.Algorithm{{Name: "INSTANT"}, {Name: "INPLACE", Lock: "NONE"}, {Name: "INPLACE", Lock: "SHARED"}, {Name: "COPY", Lock: "NONE"}, {Name: "COPY", Lock: "SHARED"}} {
			_, err := conn.ExecContext(ctx, text[:at]+clause(a, between, behind)+text[at:])
			if err == nil {
				return a, nil
			}
			if misplaced(err) {
				break
			}
			if !refused(err) {
				return lint.Algorithm{}, err
			}
		}
	}
	_, err := o.db.Execute(ctx, conn, text)
	return said, err
}

// clause asks for an algorithm. Between its parts there is a comma in an ALTER TABLE, and behind it the sign.
func clause(a lint.Algorithm, between, behind string) string {
	text := " ALGORITHM=" + a.Name
	if a.Lock != "" {
		text += between + " LOCK=" + a.Lock
	}
	return text + behind
}

// clausePlace is where a clause goes in a statement, with the signs between its parts and behind it; 0 where it knows none.
// In an ALTER TABLE it is behind the table's name, because a clause about partitions allows nothing behind it. That itself
// has no comma before it.
func clausePlace(engine migrate.Engine, text string) (at int, between, behind string) {
	tokens := sqltoken.Split(text, sqltoken.Of(string(engine)))
	if len(tokens) < 4 {
		return 0, "", ""
	}
	if aboutIndex(tokens) && (engine == migrate.MySQL || tokens[0].Is("CREATE")) { // MariaDB's DROP INDEX knows no clause
		return tokens[len(tokens)-1].End, "", ""
	}
	table := tableOf(tokens)
	if len(table) == 0 {
		return 0, "", ""
	}
	at = table[len(table)-1].End
	for i, t := range tokens {
		if t.End == at && i+2 < len(tokens) && (tokens[i+1].Is("REMOVE") && tokens[i+2].Is("PARTITIONING") || tokens[i+1].Is("PARTITION") && tokens[i+2].Is("BY")) {
			return at, ",", ""
		}
	}
	return at, ",", ","
}

// tableOf is the name of the table that an ALTER TABLE is about, behind that of its database where it says one; nothing of
// another statement.
func tableOf(tokens []sqltoken.Token) []sqltoken.Token {
	if len(tokens) < 4 || !tokens[0].Is("ALTER") || !tokens[1].Is("TABLE") {
		return nil
	}
	i := 2
	for i < len(tokens)-1 && (tokens[i].Is("IF") || tokens[i].Is("EXISTS")) {
		i++
	}
	name := []sqltoken.Token{tokens[i]}
	for i+2 < len(tokens) && tokens[i+1].IsSign(".") {
		i += 2
		name = append(name, tokens[i])
	}
	return name
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

// misplaced tells whether the server takes no clause there, as MariaDB does before ADD PARTITION: what else is wrong with the
// statement shows without one.
func misplaced(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == 1064 // ER_PARSE_ERROR
}

// refused tells whether the server cannot carry a statement out in the way that was asked for.
func refused(err error) bool {
	var e *mysql.MySQLError
	// ER_ALTER_OPERATION_NOT_SUPPORTED, the same with its reason, ER_NOT_SUPPORTED_YET, and wrong usage of the clause.
	return errors.As(err, &e) && (e.Number == 1845 || e.Number == 1846 || e.Number == 1235 || e.Number == 1221)
}
