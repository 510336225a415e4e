package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// report prints figures.
type report struct{ out io.Writer }

// figure is one measured quantity over the rounds.
type figure struct {
	who    string
	values []float64
	none   string // why there are none
}

func (f *figure) add(v float64) { f.values = append(f.values, v) }

// median is the middle value; with an even number, the upper of the two.
func (f *figure) median() float64 {
	sorted := slices.Sorted(slices.Values(f.values))
	return sorted[len(sorted)/2]
}

// table prints what was measured, ours first, and the ratio of ours to each other where it says something: to more than nothing.
func (r *report) table(title, unit string, figures []*figure) {
	fmt.Fprintf(r.out, "%s (%s)\n", title, unit)
	w := tabwriter.NewWriter(r.out, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tmedian\tmin\tmax\tours/theirs\t")
	for i, f := range figures {
		ratio := ""
		if len(f.values) == 0 {
			fmt.Fprintf(w, "%s\t%s\t\t\t\t\n", f.who, f.none)
			continue
		}
		if i > 0 && figures[0].median() >= 0 && f.median() > 0 {
			ratio = fmt.Sprintf("%.2f", figures[0].median()/f.median())
		}
		fmt.Fprintf(w, "%s\t%.3g\t%.3g\t%.3g\t%s\t\n", f.who, f.median(), slices.Min(f.values), slices.Max(f.values), ratio)
	}
	_ = w.Flush()
}

// percentile is the pth percentile of durations, in milliseconds.
func percentile(d []time.Duration, p float64) float64 {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return float64(sorted[min(len(sorted)-1, int(float64(len(sorted))*p/100))].Microseconds()) / 1000
}
