package scratch

import (
	"context"

	"github.com/switchbackdb/switchback/check/proof"
)

// Proofs makes the scratch databases that proofs are done in, on a server.
type Proofs struct{ Server }

var _ proof.Scratch = Proofs{}

// Create implements proof.Scratch.
func (p Proofs) Create(ctx context.Context) (proof.Database, error) { return p.Server.Create(ctx) }
