package source

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

// TestRecognise tells whose a file is, and takes for another's only what is.
func TestRecognise(t *testing.T) {
	for _, c := range []struct {
		text    string
		scratch migrate.Engine
		is      migrate.Engine // empty: nothing is wrong
		line    int
	}{
		{"-- MySQL dump 10.13  Distrib 9.1.0\nCREATE TABLE a (id int);", migrate.Postgres, migrate.MySQL, 1},
		{"/*M!999999\\- enable the sandbox mode */\n-- MariaDB dump 10.19", migrate.SQLite, migrate.MariaDB, 1},
		{"-- MySQL dump 10.13", migrate.MariaDB, "", 0},
		{"CREATE TABLE a (\n  id int AUTO_INCREMENT\n);", migrate.SQLite, migrate.MySQL, 2},
		{"CREATE TABLE a (id int) ENGINE=InnoDB;", migrate.Postgres, migrate.MySQL, 1},
		{"CREATE TABLE `a` (id int);", migrate.Postgres, migrate.MySQL, 1},
		{"CREATE TABLE `a` (id int);", migrate.SQLite, "", 0},
		{"DELIMITER //\nSELECT 1//", migrate.SQLite, migrate.MySQL, 1},
		{"CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT);", migrate.MySQL, migrate.SQLite, 1},
		{"CREATE TABLE a (id int PRIMARY KEY) WITHOUT ROWID;", migrate.Postgres, migrate.SQLite, 1},
		{"\\c shop\nSELECT 1;", migrate.SQLite, migrate.Postgres, 1},
		{"\\c shop\nSELECT 1;", migrate.MySQL, migrate.Postgres, 1},
		{"CREATE TABLE a (\n\n  id serial PRIMARY KEY);", migrate.SQLite, migrate.Postgres, 3},
		{"CREATE TABLE a (serial text);", migrate.SQLite, "", 0},
		{"SELECT 'AUTO_INCREMENT', \"AUTOINCREMENT\" -- ENGINE=InnoDB\n;", migrate.Postgres, "", 0},
		{"INSERT INTO a VALUES (AUTO_INCREMENT);", migrate.Postgres, "", 0},
		{"CREATE FUNCTION f() RETURNS int AS $$ SELECT 1::int $$ LANGUAGE sql;", migrate.Postgres, "", 0},
		{"CREATE FUNCTION f() RETURNS int AS $$ SELECT 1 $$ LANGUAGE sql;", migrate.MySQL, migrate.Postgres, 1},
	} {
		got := recognise("f.sql", c.text, c.scratch)
		if c.is == "" {
			require.Nil(t, got, c.text)
			continue
		}
		require.NotNil(t, got, c.text)
		require.Equal(t, c.is, got.Engine, c.text)
		require.Equal(t, c.line, got.Line, c.text)
	}
}

// TestRewrite takes out of statements what would leave the scratch.
func TestRewrite(t *testing.T) {
	tokens := func(sql string) piece {
		p, ok := newSplitter(migrate.Postgres, sql).next()
		require.True(t, ok)
		return p
	}
	require.Equal(t, "CREATE SCHEMA a ", withoutAuthorization(tokens("CREATE SCHEMA a AUTHORIZATION b")))
	require.Equal(t, `CREATE SCHEMA "b"`, withoutAuthorization(tokens(`CREATE SCHEMA AUTHORIZATION "b"`)))
	require.Equal(t, "CREATE SCHEMA IF NOT EXISTS b", withoutAuthorization(tokens("CREATE SCHEMA IF NOT EXISTS AUTHORIZATION b")))
	p, _ := newSplitter(migrate.SQLite, "INSERT INTO sqlite_schema VALUES('table','t','t',0,'CREATE VIRTUAL TABLE t USING fts5(a, tokenize=''x'')')").next()
	require.Equal(t, "CREATE VIRTUAL TABLE t USING fts5(a, tokenize='x')", virtualTable(p.tokens))
}

// TestRedact keeps passwords out of what is shown.
func TestRedact(t *testing.T) {
	require.Equal(t, "postgres://me:xxxxx@host/shop", Redact("postgres://me:secret@host/shop"))
	require.Equal(t, "mysql:…", Redact("mysql://me:se%cret@host/shop"))
	require.Equal(t, "a@b.sql", Redact("a@b.sql"))
}
