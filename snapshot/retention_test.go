package snapshot

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// taken is a snapshot of a list.
func taken(at time.Time, n int) Listed {
	id := at.UTC().Format("20060102T150405Z") + fmt.Sprintf("-%06x", n)
	return Listed{ID: id, Manifest: &Manifest{ID: id, Created: at, Source: "db"}}
}

func (l Listed) verified() Listed {
	l.Verified = &Verification{OK: true, Level: LevelRestored}
	return l
}

func kept(decisions []Decision) []string {
	var ids []string
	for _, d := range decisions {
		if d.Keep {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// TestRules takes a snapshot every six hours for 400 days, all verified, and looks at what each rule keeps.
func TestRules(t *testing.T) {
	now := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	var list []Listed
	for at := now.AddDate(0, 0, -400); !at.After(now); at = at.Add(6 * time.Hour) {
		list = append(list, taken(at, len(list)).verified())
	}
	newest, oldest := list[len(list)-1].ID, list[0].ID
	for _, c := range []struct {
		policy Policy
		want   []string // the beginnings of IDs
	}{
		{Policy{Last: 3}, []string{"20261124T08", "20261124T14", "20261124T20"}},
		{Policy{Daily: 3}, []string{"20261122T20", "20261123T20", "20261124T20"}},
		{Policy{Weekly: 3}, []string{"20261115T20", "20261122T20", "20261124T20"}},
		{Policy{Monthly: 3}, []string{"20260930T20", "20261031T20", "20261124T20"}},
		{Policy{Yearly: 2}, []string{"20251231T20", "20261124T20"}},
		{Policy{Yearly: 5}, []string{"20251020T20", "20251231T20", "20261124T20"}},
		{Policy{Within: 13 * time.Hour}, []string{"20261124T08", "20261124T14", "20261124T20"}},
		{Policy{Daily: 2, Monthly: 2}, []string{"20261031T20", "20261123T20", "20261124T20"}},
	} {
		decisions, err := c.policy.Decide(now, list)
		require.NoError(t, err)
		ids := kept(decisions)
		require.Len(t, ids, len(c.want), "%+v keeps %v", c.policy, ids)
		for i, id := range ids {
			require.Contains(t, id, c.want[i], "%+v", c.policy)
		}
		require.Contains(t, ids, newest)
	}
	decisions, err := Policy{Daily: -1}.Decide(now, list)
	require.NoError(t, err)
	require.Len(t, kept(decisions), 401)
	require.Contains(t, kept(decisions), oldest)
	_, err = Policy{}.Decide(now, list)
	require.ErrorIs(t, err, ErrEmptyPolicy)
}

// TestNeverRemoved draws stores, clocks that jump, and policies: what must not be removed is not.
func TestNeverRemoved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		var list []Listed
		for i := range rapid.IntRange(0, 30).Draw(t, "snapshots") {
			at := now.Add(time.Duration(rapid.IntRange(-5000, 200).Draw(t, "hours")) * time.Hour)
			l := taken(at, i)
			l.Manifest.Source = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "source")
			l.Manifest.Tags = rapid.SampledFrom([][]string{nil, {"keep"}}).Draw(t, "tags")
			switch rapid.SampledFrom([]string{"whole", "proven", "proven", "failed", "read", "damaged", "unfinished"}).Draw(t, "state") {
			case "proven":
				l = l.verified()
			case "failed":
				l.Verified = &Verification{Level: LevelRestored}
			case "read":
				l.Verified = &Verification{OK: true, Level: LevelStored}
			case "damaged":
				l.Manifest, l.Problem = nil, "damaged"
			case "unfinished":
				l.Manifest, l.Unfinished = nil, true
			}
			if rapid.IntRange(0, 5).Draw(t, "pin") == 0 {
				l.Pinned = "release 7"
			}
			list = append(list, l)
		}
		count := rapid.IntRange(-1, 4)
		p := Policy{
			Last: count.Draw(t, "last"), Hourly: count.Draw(t, "hourly"), Daily: count.Draw(t, "daily"), Weekly: count.Draw(t, "weekly"),
			Monthly: count.Draw(t, "monthly"), Yearly: count.Draw(t, "yearly"), Within: time.Duration(rapid.IntRange(0, 100).Draw(t, "within")) * time.Hour,
			Tags: rapid.SampledFrom([][]string{nil, {"keep"}}).Draw(t, "keep tags"),
		}
		decisions, err := p.Decide(now, list)
		if p.Empty() {
			require.ErrorIs(t, err, ErrEmptyPolicy)
			return
		}
		require.NoError(t, err)
		require.Len(t, decisions, len(list), "each has a decision")
		for _, d := range decisions {
			require.NotEmpty(t, d.Reasons, "%s", d.ID)
			if !d.Keep {
				checkRemoval(t, now, p, d, decisions)
			}
		}
		again, err := p.Decide(now, remaining(list, decisions))
		require.NoError(t, err)
		for _, d := range again {
			require.True(t, d.Keep, "%s would go the second time, with nothing new: %v", d.ID, d.Reasons)
		}
	})
}

func remaining(list []Listed, decisions []Decision) []Listed {
	ids := kept(decisions)
	return slices.DeleteFunc(slices.Clone(list), func(l Listed) bool { return !slices.Contains(ids, l.ID) })
}

// checkRemoval says whether a snapshot may be removed, by rules written down anew.
func checkRemoval(t *rapid.T, now time.Time, p Policy, d Decision, all []Decision) {
	if d.Manifest == nil {
		require.True(t, d.Unfinished, "a damaged one is for somebody to look at")
		return
	}
	require.Empty(t, d.Pinned)
	require.False(t, d.Manifest.Created.After(now), "one of the future")
	require.Zero(t, min(p.Last, 0), "all are kept")
	if len(p.Tags) > 0 {
		require.Empty(t, d.Manifest.Tags)
	}
	var newer bool
	for _, o := range all {
		if o.Manifest != nil && o.Manifest.Source == d.Manifest.Source && o.Keep && !o.Manifest.Created.Before(d.Manifest.Created) && o.Verified != nil && o.Verified.OK && o.Verified.Level == LevelRestored {
			newer = true
		}
	}
	require.True(t, newer, "no newer one that is kept was verified")
}
