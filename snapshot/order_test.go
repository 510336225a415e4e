package snapshot

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Two snapshots of the same second are told apart by what their manifests say: the newest of a list is the one that a
// restore offers and retention keeps.
func TestSnapshotsOfOneSecondKeepTheirOrder(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	first := Listed{ID: "20260301T120000Z-ffffff", Manifest: &Manifest{Created: at.Add(100 * time.Millisecond)}}
	second := Listed{ID: "20260301T120000Z-000000", Manifest: &Manifest{Created: at.Add(900 * time.Millisecond)}}
	unfinished := Listed{ID: "20260301T120000Z-777777"}
	before := Listed{ID: "20260301T115959Z-eeeeee"}
	list := []Listed{second, unfinished, first, before}
	slices.SortFunc(list, older)
	require.Equal(t, []Listed{before, unfinished, first, second}, list)
}
