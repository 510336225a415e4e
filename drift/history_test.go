package drift

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func day(n int) time.Time { return time.Date(2026, 11, n, 12, 0, 0, 0, time.UTC) }

// TestHistory follows a finding through four runs: seen, seen again, gone, seen anew.
func TestHistory(t *testing.T) {
	h := NewHistory(t.TempDir(), "a/b", "c", true)
	ctx := context.Background()
	since, gone, notes := h.update(ctx, []string{"table x"}, day(1))
	require.Equal(t, map[string]time.Time{"table x": day(1)}, since)
	require.Empty(t, gone)
	require.Empty(t, notes)
	since, _, _ = h.update(ctx, []string{"table x", "table y"}, day(2))
	require.Equal(t, map[string]time.Time{"table x": day(1), "table y": day(2)}, since)
	_, gone, _ = h.update(ctx, []string{"table y"}, day(3))
	require.Equal(t, map[string]sighting{"table x": {First: day(1), Last: day(2)}}, gone)
	since, _, _ = h.update(ctx, []string{"table x"}, day(4))
	require.Equal(t, day(4), since["table x"])
}

// TestHistoryReadOnly: a run that compares a part does not resolve what it has not looked at.
func TestHistoryReadOnly(t *testing.T) {
	dir := t.TempDir()
	NewHistory(dir, "a", "b", true).update(context.Background(), []string{"table x"}, day(1))
	_, gone, _ := NewHistory(dir, "a", "b", false).update(context.Background(), nil, day(2))
	require.Empty(t, gone)
	since, _, _ := NewHistory(dir, "a", "b", true).update(context.Background(), []string{"table x"}, day(3))
	require.Equal(t, day(1), since["table x"])
}

// TestHistoryDamaged: a file that is cut off is kept aside and reported.
func TestHistoryDamaged(t *testing.T) {
	dir := t.TempDir()
	h := NewHistory(dir, "a", "b", true)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a..b.json"), []byte(`{"version":1,"fin`), 0o600))
	since, _, notes := h.update(context.Background(), []string{"table x"}, day(2))
	require.Equal(t, day(2), since["table x"])
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "begins anew")
	kept, err := os.ReadFile(filepath.Join(dir, "a..b.json.damaged-20261102T120000Z"))
	require.NoError(t, err)
	require.Equal(t, `{"version":1,"fin`, string(kept))
}

// TestHistoryTogether: runs at the same time leave a whole file.
func TestHistoryTogether(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			NewHistory(dir, "a", "b", true).update(context.Background(), []string{"table x", fmt.Sprint("table ", i)}, day(2))
		})
	}
	wg.Wait()
	since, gone, notes := NewHistory(dir, "a", "b", true).update(context.Background(), []string{"table x"}, day(3))
	require.Empty(t, notes)
	require.Len(t, gone, 1, "that of the run that came last")
	require.Equal(t, day(2), since["table x"])
}
