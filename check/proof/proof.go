// Package proof proves in scratch databases what changes do: that they can come back (rollback.go), and that both
// versions of the application work in every phase (workload.go).
//
//	base schema ─▶ scratch ─▶ rows of every kind (fill.go) ─▶ what is there, noted (rows.go)
//	                 │
//	                 ├▶ forward 1…k phases, back, compared with what was noted, for each k; forward again
//	                 ├▶ forward 1…k phases, writes of the old and of the new shape (writes.go), back, compared with a
//	                 │  second scratch that saw the writes and not the change
//	                 └▶ after each phase, the queries of the versions that run then, prepared
//
// Changes are run by the runner that runs them on a live database. Only scratch databases are ever written to: a
// Scratch is all that the package can open.
package proof

import (
	"context"
	"database/sql"
	"slices"

	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Database is a scratch database. Closing it drops it.
type Database interface {
	migrate.Database
	Inspect(ctx context.Context) (*schema.Database, error)
	// Accesses says how a query that takes so many parameters, written as the engine has them, reaches its tables. It
	// carries nothing out.
	Accesses(ctx context.Context, conn *sql.Conn, query string, parameters int) ([]workload.Access, error)
	Close() error
}

// Scratch makes scratch databases.
type Scratch interface {
	Create(ctx context.Context) (Database, error)
}

// Proof says what is proven.
type Proof struct {
	Scratch Scratch
	// Base makes the schema that the changes begin with in an empty scratch database.
	Base func(ctx context.Context, db Database) error
	// Earlier are run before, and nothing is proven of them.
	Earlier []*migrate.Change
	// Changes are the pending ones, in their order.
	Changes []*migrate.Change
	// Pending are the phases of a change that are still to be run, where that is not all of them: those before have
	// taken effect in the base.
	Pending map[string][]migrate.Phase
	// Folder is where they are, for errors.
	Folder string
}

// phases are the pending ones of a change that come before purge.
func (p *Proof) phases(c *migrate.Change) []migrate.Phase {
	if pending, ok := p.Pending[c.ID]; ok {
		return beforePurge(slices.Clone(pending))
	}
	return beforePurge(c.Phases())
}

func beforePurge(list []migrate.Phase) []migrate.Phase {
	return slices.DeleteFunc(list, func(p migrate.Phase) bool { return p == migrate.Purge })
}
