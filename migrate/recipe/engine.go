package recipe

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// engine is how the SQL that recipes write themselves differs.
type engine interface {
	// name is the engine's, as schema.Database has it.
	name() string
	// quote writes an identifier, in quotes where it has to be.
	quote(name string) string
	// table writes a table's name.
	table(t Table) string
	// walkName writes a table's name as the directive batch takes it.
	walkName(t Table) string
	// literal writes a text.
	literal(text string) string
	// distinct is the condition that two expressions of a type differ, NULL being a value like any other.
	distinct(a, b, typ string) string
	// locksGroups tells whether what takes effect together is kept together by locking its tables, since each
	// statement commits by itself; else it is one transaction.
	locksGroups() bool
	// limit is how long a name may be, in bytes.
	limit() int
	// fillsNotNull tells whether a trigger can give a value to a column that is NOT NULL and was not written.
	fillsNotNull() bool
	// addTriggers adds the triggers that keep the table's shapes in step.
	addTriggers(e *edit, s *sync, st state)
	// dropTriggers removes them again.
	dropTriggers(e *edit, s *sync, st state)
	// triggersOf names the triggers of a table that has two shapes.
	triggersOf(s *sync, st state) []string
	// assertThere is a statement that fails when one of some triggers of a table is not there, or off, and says so.
	assertThere(on Table, triggers []string, failure string) Statement
	// keepers are the triggers that keep two tables in step between which columns move.
	keepers(m *moveColumns, st state) []keeper
	// copyRows copies a batch of the rows for which the columns that move say something.
	copyRows(m *moveColumns, says string) string
	// primaryKey is the name of a new table's primary key.
	primaryKey(t Table) string
	// renameConstraint gives a constraint another name, where the engine can.
	renameConstraint(t Table, from, to string) (sql string, ok bool)
	// conversion returns expressions that take a column from a type to another and back, total when neither
	// direction can fail or lose anything. ok is false where only the user can know.
	conversion(column, converted, from, to string) (up, down string, total, ok bool)
	// effects are what its statements lock and touch.
	effects() []kind
	// updatable makes a view of all columns of a table one that is written to as the table is.
	updatable(v *schema.View)
	// zero is a value of a type that says nothing, such as 0; empty where the type has none.
	zero(typ string) string
	// canonical writes a type as the server does, as far as that can be told from its name.
	canonical(typ string) string
	// retype writes a constant default for another type; empty where that cannot be.
	retype(constant, from, to string) string
}

func newEngine(name migrate.Engine, id string) (engine, error) {
	switch name {
	case migrate.Postgres:
		return &postgres{id: id}, nil
	case migrate.MySQL:
		return &mysql{id: id}, nil
	case migrate.MariaDB:
		return &mysql{id: id, mariadb: true}, nil
	case migrate.SQLite:
		return &sqlite{id: id}, nil
	}
	return nil, fmt.Errorf("there are no recipes for %q", name)
}

// fit makes a name of a prefix and a name, no longer than the limit, in bytes. What does not fit is
// replaced by a hash of all of it.
func fit(limit int, prefix, name string) string {
	full := prefix + name
	if len(full) <= limit {
		return full
	}
	sum := sha256.Sum256([]byte(full))
	tail := "_" + hex.EncodeToString(sum[:4])
	cut := limit - len(tail)
	for cut > 0 && full[cut]&0xC0 == 0x80 { // not in the middle of a letter
		cut--
	}
	return full[:cut] + tail
}

// Prefixes of what waits in the attic, and of what is there before its time has come.
const (
	oldPrefix = "switchback_old_"
	newPrefix = "switchback_new_"
)

// complement is the number that sorts the other way round: that of a newer change is smaller.
func complement(id string) string {
	return strings.Map(func(r rune) rune { return '9' - (r - '0') }, id)
}
