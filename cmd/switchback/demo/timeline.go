package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// width is that of the bar that shows who answers.
const width = 20

func (st *story) chapter(format string, args ...any) {
	fmt.Fprintf(st.Out, "\n%s\n", fmt.Sprintf(format, args...))
}

// line prints a moment: when, what happened, who answers, and what the load has seen.
func (st *story) line(mark, what, note string) {
	text := fmt.Sprintf("%6.1f s  %s %-11s", time.Since(st.begun).Seconds(), mark, what)
	if st.load != nil {
		share, requests, failed, p99 := st.load.now()
		green := int(share*width + 0.5)
		if share > 0 && green == 0 {
			green = 1
		}
		text += fmt.Sprintf("  v1 %s%s v2  %6d requests  %d failed  p99 %5.1f ms", strings.Repeat("█", width-green), strings.Repeat("░", green), requests, failed, millis(p99))
	}
	if note != "" {
		text += "  " + note
	}
	fmt.Fprintln(st.Out, text)
}

// ReleaseEvent implements strategies.Observer.
func (st *story) ReleaseEvent(e strategies.Event) {
	note, _, _ := strings.Cut(e.Note+e.Error, "\n")
	switch {
	case e.Earlier:
	case e.Type == strategies.StepDone:
		st.line("▸", e.Step, note)
	case e.Type == strategies.StepUndone:
		st.line("◂", e.Step, note)
	case e.Type == strategies.StepFailed, e.Type == strategies.StepStuck:
		st.line("✗", e.Step, note)
	}
}

// Print writes the sums.
func (r *Result) Print(st Options) {
	fmt.Fprintf(st.Out, "\n  %d requests in %.1f s, p50 %.1f ms, p99 %.1f ms\n", r.Requests, r.Took.Seconds(), millis(r.P50), millis(r.P99))
	fmt.Fprintf(st.Out, "  %d failed requests\n", r.Failed)
	for _, f := range r.Failures {
		fmt.Fprintf(st.Out, "    %s\n", f)
	}
	fmt.Fprintf(st.Out, "  %d writes acknowledged by v1, %d by v2; %d rows at the end\n", r.Written[V1], r.Written[V2], r.Rows)
	fmt.Fprintf(st.Out, "  %d rows lost\n", r.Lost)
}
