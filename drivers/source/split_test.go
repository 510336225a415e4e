package source

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

// TestSplit cuts files as psql, mysql and sqlite3 do.
func TestSplit(t *testing.T) {
	for name, c := range map[string]struct {
		engine migrate.Engine
		file   string
		want   []string
	}{
		"quotes and comments": {
			migrate.Postgres, "-- a;\nSELECT ';', \"a;b\" /* ; /* ; */ ; */;\nSELECT E'\\';', 'a\\';",
			[]string{"1 s -- a;\nSELECT ';', \"a;b\" /* ; /* ; */ ; */", "3 s SELECT E'\\';', 'a\\'"},
		},
		"dollar quotes": {
			migrate.Postgres, "CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; $$ LANGUAGE sql;\nDO $x_1$ BEGIN; $$ END $x_1$;",
			[]string{"1 s CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; $$ LANGUAGE sql", "2 s DO $x_1$ BEGIN; $$ END $x_1$"},
		},
		"begin atomic": {
			migrate.Postgres, "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;SELECT 3",
			[]string{"1 s CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END", "1 s SELECT 3"},
		},
		"a rule of several statements": {
			migrate.Postgres, "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2);SELECT 3;",
			[]string{"1 s CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)", "1 s SELECT 3"},
		},
		"copy": {
			migrate.Postgres, "\\restrict x\nCOPY public.t (a) FROM stdin;\n1;\n'2\n\\.\n\nSELECT 1;",
			[]string{`1 c \restrict x`, "2 s COPY public.t (a) FROM stdin", "3 d 2", "7 s SELECT 1"},
		},
		"delimiter": {
			migrate.MySQL, "-- a comment\nDELIMITER ;;\nCREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET NEW.b = ';' ;;\nDELIMITER ;\nSELECT 1;",
			[]string{"2 c DELIMITER ;;", "3 s CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET NEW.b = ';'", "4 c DELIMITER ;", "5 s SELECT 1"},
		},
		"bodies without a delimiter": {
			migrate.MariaDB, "CREATE PROCEDURE p() BEGIN IF a THEN SELECT 1; END IF; CASE a WHEN 1 THEN SELECT NEW.end; END CASE; WHILE a DO SET a = 1; END WHILE; END;SELECT 2;",
			[]string{"1 s CREATE PROCEDURE p() BEGIN IF a THEN SELECT 1; END IF; CASE a WHEN 1 THEN SELECT NEW.end; END CASE; WHILE a DO SET a = 1; END WHILE; END", "1 s SELECT 2"},
		},
		"conditional comments": {
			migrate.MariaDB, "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump;\n/*!40101 SET NAMES utf8 */;\n# x;\nSELECT \"a\\\";\";",
			[]string{"1 s /*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump;\n/*!40101 SET NAMES utf8 */", "4 s # x;\nSELECT \"a\\\";\""},
		},
		"sqlite": {
			migrate.SQLite, ".mode list\nCREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; SELECT [;]; END;\nPRAGMA a;",
			[]string{"1 c .mode list", "2 s CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; SELECT [;]; END", "3 s PRAGMA a"},
		},
		"nothing closed": {migrate.Postgres, "SELECT 'a; -- b", []string{"1 s SELECT 'a; -- b"}},
		"nothing":        {migrate.SQLite, " ;; -- a\n/* b */ ; ", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			s := newSplitter(c.engine, c.file)
			for {
				p, ok := s.next()
				if !ok {
					break
				}
				switch p.kind {
				case statement:
					got = append(got, fmt.Sprintf("%d s %s", p.line, p.text))
				case command:
					got = append(got, fmt.Sprintf("%d c %s", p.line, p.text))
				case data:
					got = append(got, fmt.Sprintf("%d d %d", p.line, p.rows))
				}
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestPlainBackslash reads strings as under MySQL's NO_BACKSLASH_ESCAPES.
func TestPlainBackslash(t *testing.T) {
	s := newSplitter(migrate.MySQL, `SELECT '\'; SELECT 2;`)
	s.plain = true
	p, ok := s.next()
	require.True(t, ok)
	require.Equal(t, `SELECT '\'`, p.text)
}
