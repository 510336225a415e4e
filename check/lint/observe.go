package lint

import "context"

// Observer runs statements in a scratch database and says what each did.
type Observer interface {
	// Observe runs the statements of a script in their order, in one transaction or each on its own. With an
	// error, the first statement that has no observation has failed.
	Observe(ctx context.Context, statements []string, transaction bool) ([]Observation, error)
}

// Observation is what was seen of a statement.
type Observation struct {
	Locks     []Lock    // on tables that were there before the script, strongest first; held by the transaction so far too
	Rewritten []string  // tables that were written anew
	Scanned   []string  // tables that were read whole
	Algorithm Algorithm // MySQL and MariaDB: the best that the server accepts
	// Partitioned is set on MySQL and MariaDB where the table that the statement changes had partitions before it.
	Partitioned bool
}

// Lock is a lock on a table.
type Lock struct {
	Table string
	Mode  string // in the engine's words: ACCESS EXCLUSIVE
	Mine  bool   // this statement took it
}

// Algorithm is how MySQL or MariaDB carries out a change of a table.
type Algorithm struct {
	Name string // INSTANT, INPLACE, COPY; empty where there is no choice
	Lock string // NONE, SHARED, EXCLUSIVE; empty where it cannot be said
}

// blocksReads tells whether nobody can read a table that is locked so.
func blocksReads(mode string) bool { return mode == "ACCESS EXCLUSIVE" }

// blocksWrites tells whether nobody can write to a table that is locked so.
func blocksWrites(mode string) bool {
	switch mode {
	case "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE":
		return true
	}
	return false
}
