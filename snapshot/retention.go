package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Policy says which snapshots are kept: those for which any of its rules speaks. The rules are restic's
// (https://restic.readthedocs.io/en/stable/060_forget.html): periods are those of the calendar, in UTC, weeks
// begin on Monday, and only periods that have a snapshot are counted; the newest of a period is kept.
type Policy struct {
	Last, Hourly, Daily, Weekly, Monthly, Yearly int // how many; negative for all

	Within time.Duration // all that are no older than that, counted back from the newest
	Tags   []string      // all that have one of these
}

// ErrEmptyPolicy is returned for a policy without a rule: it would keep nothing.
var ErrEmptyPolicy = errors.New("no rule says what to keep")

// Empty tells whether there is no rule.
func (p Policy) Empty() bool {
	return p.Last == 0 && p.Hourly == 0 && p.Daily == 0 && p.Weekly == 0 && p.Monthly == 0 && p.Yearly == 0 && p.Within == 0 && len(p.Tags) == 0
}

// Decision is what becomes of a snapshot, and why.
type Decision struct {
	Listed
	Source  string   `json:"source,omitempty"`
	Keep    bool     `json:"keep"`
	Reasons []string `json:"reasons"`
}

// unfinishedFor is how long one that is not finished may still be being taken.
const unfinishedFor = 24 * time.Hour

// Decide applies the policy to the snapshots of a store, in the order of their IDs. Each source has rules of
// its own. Whatever the rules say,
//
//   - one that is pinned is kept, as is one with a time in the future, and one that is damaged: somebody has to
//     look at it;
//   - the newest one that was verified is kept;
//   - none is removed before a newer one of its source, which is kept, was verified;
//   - one that was never finished is no snapshot: it goes once nobody can be taking it any more.
func (p Policy) Decide(now time.Time, list []Listed) ([]Decision, error) {
	if p.Empty() {
		return nil, ErrEmptyPolicy
	}
	decisions := make([]Decision, len(list))
	groups := map[string][]*Decision{}
	for i, l := range list {
		d := &decisions[i]
		d.Listed = l
		if l.Manifest == nil {
			d.unreadable(now)
			continue
		}
		d.Source = l.Manifest.Source
		key := cmp.Or(l.Manifest.Identity, l.Manifest.Source)
		groups[key] = append(groups[key], d)
	}
	for _, group := range groups {
		p.decide(now, group)
	}
	return decisions, nil
}

// unreadable decides over what has no manifest.
func (d *Decision) unreadable(now time.Time) {
	taken, err := time.Parse("20060102T150405Z", d.ID[:len("20060102T150405Z")])
	switch {
	case !d.Unfinished:
		d.keep("damaged: somebody has to look at it")
	case err != nil || now.Sub(taken) < unfinishedFor:
		d.keep("not finished, and perhaps being taken")
	default:
		d.Reasons = []string{"never finished"}
	}
}

func (d *Decision) keep(reason string) {
	d.Keep = true
	d.Reasons = append(d.Reasons, reason)
}

// proven tells whether the last look at a snapshot found it whole, by restoring it.
func (l Listed) proven() bool {
	return l.Verified != nil && l.Verified.OK && l.Verified.Level == LevelRestored
}

// decide decides over the snapshots of one source.
func (p Policy) decide(now time.Time, group []*Decision) {
	slices.SortFunc(group, func(a, b *Decision) int {
		return cmp.Or(b.Manifest.Created.Compare(a.Manifest.Created), cmp.Compare(b.ID, a.ID))
	})
	past := group
	for len(past) > 0 && past[0].Manifest.Created.After(now) {
		past[0].keep("its time is in the future")
		past = past[1:]
	}
	p.byRules(past)
	for _, d := range group {
		if d.Pinned != "" {
			d.keep("pinned: " + d.Pinned)
		}
	}
	if i := slices.IndexFunc(group, func(d *Decision) bool { return d.proven() }); i >= 0 {
		group[i].keep("the newest that was verified")
	}
	proven := false // whether a newer one, which is kept, was verified
	for _, d := range group {
		switch {
		case d.Keep:
			proven = proven || d.proven()
		case !proven:
			d.keep("no newer one that is kept was verified")
		default:
			d.Reasons = []string{"no rule keeps it"}
		}
	}
}

// bucket is a rule that keeps the newest snapshot of each of a number of periods.
type bucket struct {
	name   string
	left   int
	period func(i int, t time.Time) string
	last   string
}

func (p Policy) buckets() []*bucket {
	format := func(layout string) func(int, time.Time) string {
		return func(_ int, t time.Time) string { return t.UTC().Format(layout) }
	}
	return []*bucket{
		{name: "last", left: p.Last, period: func(i int, _ time.Time) string { return fmt.Sprint(i) }},
		{name: "hourly", left: p.Hourly, period: format("2006-01-02 15")},
		{name: "daily", left: p.Daily, period: format("2006-01-02")},
		{name: "weekly", left: p.Weekly, period: func(_ int, t time.Time) string { y, w := t.UTC().ISOWeek(); return fmt.Sprintf("%d-%d", y, w) }},
		{name: "monthly", left: p.Monthly, period: format("2006-01")},
		{name: "yearly", left: p.Yearly, period: format("2006")},
	}
}

// byRules applies the rules to snapshots, the newest first.
func (p Policy) byRules(list []*Decision) {
	buckets := p.buckets()
	for i, d := range list {
		oldest := i == len(list)-1
		for _, b := range buckets {
			if b.left == 0 {
				continue
			}
			// The oldest fills a rule that has not found enough periods yet: until they have passed, it
			// is what reaches back furthest.
			if now := b.period(i, d.Manifest.Created); now != b.last || oldest {
				name := b.name
				if now == b.last {
					name = "oldest " + b.name
				}
				b.last = now
				b.left--
				d.keep(name)
			}
		}
		if p.Within > 0 && list[0].Manifest.Created.Sub(d.Manifest.Created) <= p.Within {
			d.keep("within " + p.Within.String())
		}
		for _, tag := range p.Tags {
			if slices.Contains(d.Manifest.Tags, tag) {
				d.keep("tag " + tag)
			}
		}
	}
}
