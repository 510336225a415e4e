package migrate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindowOpens(t *testing.T) {
	for _, c := range []struct{ window, now, opens string }{
		{"09:00-17:00", "2026-11-25T08:59:59Z", "2026-11-25T09:00:00Z"},
		{"09:00-17:00", "2026-11-25T09:00:00Z", ""},
		{"09:00-17:00", "2026-11-25T16:59:59Z", ""},
		{"09:00-17:00", "2026-11-25T17:00:00Z", "2026-11-26T09:00:00Z"},
		{"22:00-06:00", "2026-11-25T23:30:00Z", ""},
		{"22:00-06:00", "2026-11-25T00:00:00Z", ""},
		{"22:00-06:00", "2026-11-25T06:00:00Z", "2026-11-25T22:00:00Z"},
		{"22:00-24:00", "2026-12-31T23:59:59Z", ""},
		{"22:00-24:00", "2026-12-31T00:00:00Z", "2026-12-31T22:00:00Z"},
		{"24:00-01:00", "2026-12-31T12:00:00Z", "2027-01-01T00:00:00Z"},
		{"22:00-06:00 Europe/Berlin", "2026-11-25T20:59:00Z", "2026-11-25T21:00:00Z"},
		{"22:00-06:00 Europe/Berlin", "2026-07-25T20:00:00Z", ""},
		// The clocks go forward: on the 29th it is an hour less until then; 02:30 is not there, and is 03:30.
		{"22:00-06:00 Europe/Berlin", "2026-03-29T04:30:00Z", "2026-03-29T20:00:00Z"},
		{"02:30-04:00 Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"},
		// They go back: 02:30 is there twice, and both are inside.
		{"02:00-03:00 Europe/Berlin", "2026-10-25T00:30:00Z", ""},
		{"02:00-03:00 Europe/Berlin", "2026-10-25T01:30:00Z", ""},
	} {
		w, err := ParseWindow(c.window)
		require.NoError(t, err, c.window)
		require.Equal(t, c.window, map[bool]string{true: "24" + w.String()[2:], false: w.String()}[c.window[:2] == "24"])
		now, err := time.Parse(time.RFC3339, c.now)
		require.NoError(t, err)
		if c.opens == "" {
			c.opens = c.now
		}
		require.Equal(t, c.opens, w.Opens(now).UTC().Format(time.RFC3339), "%s at %s", c.window, c.now)
	}
}

func TestWindowRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "is no window of time",
		"22:00":                     "is no window of time",
		"22-06":                     "is no window of time",
		"22:00-25:00":               "is no window of time",
		"22:00-22:00":               "it begins and ends at the same time",
		"22:00-06:00 Europe/Munich": "unknown time zone",
	} {
		_, err := ParseWindow(text)
		require.ErrorContains(t, err, want, text)
	}
}
