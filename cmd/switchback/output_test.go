package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

// TestProgress reads what a backfill says of what slows it down.
func TestProgress(t *testing.T) {
	step := migrate.Step{Change: "1_full", Phase: migrate.Backfill}
	for want, p := range map[string]migrate.Progress{
		"  … backfill of 1_full: 2,000 of about 10,000 rows, 500 rows/s, 16s left\n":                                                {Rows: 2000, Total: 10000, Rate: 500, Left: 16 * time.Second},
		"  … backfill of 1_full: 2,000 of about 10,000 rows, 500 rows/s, 16s left, slower: 1 session waits for its locks\n":         {Rows: 2000, Total: 10000, Rate: 500, Left: 16 * time.Second, Kept: 1},
		"  … backfill of 1_full: 2,000 of about 10,000 rows, 500 rows/s, waits for replica standby, 12s behind (3.0 MiB)\n":         {Rows: 2000, Total: 10000, Rate: 500, Left: 16 * time.Second, Lag: &migrate.Lag{Replica: "standby", Behind: 12 * time.Second, Bytes: 3 << 20}},
		"  … backfill of 1_full: 0 of about 10,000 rows, 0 rows/s, waits for replica 10.0.0.7:3306: its replication does not run\n": {Total: 10000, Lag: &migrate.Lag{Replica: "10.0.0.7:3306", Problem: "its replication does not run"}},
		"  … backfill of 1_full: 2,000 of about 10,000 rows, 500 rows/s, 16s left, slower: 4 sessions wait for its locks\n":         {Rows: 2000, Total: 10000, Rate: 500, Left: 16 * time.Second, Kept: 4},
	} {
		var said bytes.Buffer
		(&output{progress: &said}).Progress(step, p)
		require.Equal(t, want, said.String())
	}
}
