package servers

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// MySQLClient is the name of a client program of a server of MySQL or MariaDB: "" and "dump" give mysql and
// mysqldump, or mariadb and mariadb-dump.
func (k Kind) MySQLClient(program string) string {
	switch {
	case k.Engine == "mysql":
		return "mysql" + program
	case program != "":
		return "mariadb-" + program
	}
	return "mariadb"
}

// DumpMySQL is what the server's own dump program says of a database, without what differs between two
// databases of the same structure.
func DumpMySQL(t testing.TB, k Kind, url string, more ...string) string {
	t.Helper()
	args := []string{"--single-transaction", "--routines", "--events", "--triggers", "--skip-comments", "--default-character-set=utf8mb4"}
	if k.Engine == "mysql" {
		args = append(args, "--set-gtid-purged=OFF")
	}
	text := Tool(t, k, url, nil, k.MySQLClient("dump"), append(args, more...)...)
	for _, n := range []struct{ pattern, to, why string }{
		{" AUTO_INCREMENT=\\d+", "", "the next value is data"},
		{"test_[0-9a-f]{12}", "DB", "the databases have different names"},
		{"_utf8(?:mb[34])?'", "'", "character sets of literals that hold any text of theirs"},
		{" *(/\\*!50100 WITH PARSER `ngram` \\*/) *", " $1", "spaces that depend on what comes next"},
		{" USING BTREE", "", "InnoDB has no other index; that it was said is kept in the statement alone"},
		{`(?m)(collation_connection\s*=\s*)utf8mb4_(0900_ai_ci|general_ci|uca1400_ai_ci)`, "${1}utf8mb4", "clients' own choices, the same to us"},
		{"((?:FUNCTION|PROCEDURE) [`\"]?\\w+[`\"]?) ?\\((?:[^()]|\\([^()]*\\))*\\)( RETURNS? [^\n]*)?\\s+", "$1\n", "parameters are kept as somebody typed them; the models compare their types"},
		{"TRIGGER `?(\\w+)`? (\\w+ \\w+) ON `?(\\w+)`? FOR", "TRIGGER $1 $2 ON $3 FOR", "and its quotes"},
		{"FOR EACH ROW\\s+", "FOR EACH ROW ", "MariaDB keeps the spaces of a trigger as somebody typed them"},
		{" ON (?:DELETE|UPDATE) (?:NO ACTION|RESTRICT)", "", "what InnoDB does without being told"},
	} {
		text = regexp.MustCompile(n.pattern).ReplaceAllString(text, n.to)
	}
	return tableBody.ReplaceAllStringFunc(text, func(body string) string {
		lines := strings.Split(strings.ReplaceAll(body, ",\n", "\n"), "\n")
		first := slices.IndexFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "  `") && !strings.HasPrefix(l, "CREATE") })
		slices.Sort(lines[first : len(lines)-1])
		return strings.Join(lines, "\n")
	})
}

// tableBody is the statement of a table. The order of its indexes and checks is that in which they were made,
// and no difference.
var tableBody = regexp.MustCompile("(?s)CREATE TABLE `.*?\n\\) ENGINE")
