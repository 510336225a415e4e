package migrate

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Window is the time of day within which steps may begin. It may go over midnight.
type Window struct {
	From, To time.Duration  // since midnight; To is no part of it
	Zone     *time.Location // nil for that of the server
}

// ParseWindow reads a window such as "22:00-06:00", or "22:00-06:00 Europe/Berlin" with its time zone.
func ParseWindow(text string) (*Window, error) {
	hours, zone, hasZone := strings.Cut(strings.TrimSpace(text), " ")
	from, to, ok := strings.Cut(hours, "-")
	w := &Window{}
	var err error
	if w.From, err = timeOfDay(from); err == nil && ok {
		w.To, err = timeOfDay(to)
	}
	w.From %= day
	switch {
	case !ok || err != nil:
		return nil, fmt.Errorf("%q is no window of time: want one such as 22:00-06:00, or \"22:00-06:00 Europe/Berlin\"", text)
	case w.From == w.To%day:
		return nil, fmt.Errorf("the window %s has no end: it begins and ends at the same time", hours)
	}
	if hasZone {
		if w.Zone, err = time.LoadLocation(strings.TrimSpace(zone)); err != nil {
			return nil, fmt.Errorf("the window's time zone: %w", err)
		}
	}
	return w, nil
}

const day = 24 * time.Hour

// timeOfDay reads 22:00, or 22:00:30, as the time since midnight; 24:00 is the end of the day.
func timeOfDay(text string) (time.Duration, error) {
	if text == "24:00" {
		return day, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		t, err = time.Parse("15:04:05", text)
	}
	return sinceMidnight(t), err
}

// sinceMidnight is by the wall clock, not by what has passed: some days have 23 hours, some 25.
func sinceMidnight(t time.Time) time.Duration {
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
}

func (w *Window) String() string {
	clock := func(d time.Duration) string {
		text := fmt.Sprintf("%02d:%02d:%02d", d/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second)
		return strings.TrimSuffix(text, ":00")
	}
	text := clock(w.From) + "-" + clock(w.To)
	if w.Zone != nil {
		text += " " + w.Zone.String()
	}
	return text
}

// Opens says when the window is open from: now itself when it is, else the next time of day at which it
// begins. Without a zone of its own the window is in that of now.
func (w *Window) Opens(now time.Time) time.Time {
	if w.Zone != nil {
		now = now.In(w.Zone)
	}
	at := sinceMidnight(now)
	inside := at >= w.From && at < w.To
	if w.From > w.To {
		inside = at >= w.From || at < w.To
	}
	if inside {
		return now
	}
	on := func(days int) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()+days, 0, 0, int(w.From/time.Second), 0, now.Location())
	}
	if opens := on(0); opens.After(now) {
		return opens
	}
	return on(1)
}

// ClosedError says that nothing may begin now.
type ClosedError struct {
	Window *Window
	Opens  time.Time
	In     time.Duration // until then, by the server's clock
	Before Step          // what was not begun; empty when the run was not
}

func (e *ClosedError) Error() string {
	what, state := "", "nothing was changed"
	if e.Before.Change != "" {
		what, state = e.Before.String()+": ", "this step was not begun; the steps before it took effect"
	}
	return fmt.Sprintf("%soutside the window %s\n  state: %s\n  next: it opens at %s, in %s; --wait waits for it",
		what, e.Window, state, e.Opens.Format("2006-01-02 15:04 MST"), e.In.Round(time.Second))
}

// admit returns a *ClosedError when the step may not begin now. The session's own connection is not asked:
// a script may have set another time zone there.
func (r *Runner) admit(ctx context.Context, step Step) error {
	w := r.opts.Window
	if w == nil {
		return nil
	}
	now, err := r.clock(ctx)
	if err != nil {
		return err
	}
	if opens := w.Opens(now); opens.After(now) {
		return &ClosedError{Window: w, Opens: opens, In: opens.Sub(now), Before: step}
	}
	return nil
}

// clock is the server's clock, in the server's time zone as it is now.
func (r *Runner) clock(ctx context.Context) (time.Time, error) {
	d := r.db.Dialect()
	var now, local string
	if err := queryRow(ctx, r.db.DB(), []any{&now, &local}, "SELECT "+d.Now+", "+d.LocalNow); err != nil {
		return time.Time{}, fmt.Errorf("read the server's clock: %w", err)
	}
	utc, err := parseTime(now)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the server's clock: %w", err)
	}
	wall, err := time.Parse("2006-01-02T15:04:05", local)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the server's local time: %w", err)
	}
	// The two are not read at the same instant.
	offset := wall.Sub(utc).Round(time.Minute)
	return utc.In(time.FixedZone(offsetName(offset), int(offset/time.Second))), nil
}

func offsetName(offset time.Duration) string {
	return time.Time{}.In(time.FixedZone("", int(offset/time.Second))).Format("UTC-07:00")
}
