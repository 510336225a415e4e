package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// width is that of the bar that shows who answers.
const width = 20

// timeline says what happens, and what the load on the shop sees of it.
type timeline struct {
	out   io.Writer
	begun time.Time
	load  *Load // nil while there is none
}

func (st *timeline) chapter(format string, args ...any) {
	fmt.Fprintf(st.out, "\n%s\n", fmt.Sprintf(format, args...))
}

// line prints a moment: when, what happened, who answers, and what the load has seen.
func (st *timeline) line(mark, what, note string) {
	text := fmt.Sprintf("%6.1f s  %s %-11s", time.Since(st.begun).Seconds(), mark, what) + st.seen()
	if note != "" {
		text += "  " + note
	}
	fmt.Fprintln(st.out, text)
}

// seen is what the load has seen: who answers, and how.
func (st *timeline) seen() string {
	if st.load == nil {
		return ""
	}
	share, requests, failed, p99 := st.load.now()
	green := int(share*width + 0.5)
	if share > 0 && green == 0 {
		green = 1
	}
	return fmt.Sprintf("  v1 %s%s v2  %6d requests  %d failed  p99 %5.1f ms", strings.Repeat("█", width-green), strings.Repeat("░", green), requests, failed, millis(p99))
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
	if r.Requests == 0 {
		fmt.Fprintf(st.Out, "\n  no requests were sent, in %.1f s; %d rows at the end\n  %d rows lost\n", r.Took.Seconds(), r.Rows, r.Lost)
		return
	}
	fmt.Fprintf(st.Out, "\n  %d requests in %.1f s, p50 %.1f ms, p99 %.1f ms\n", r.Requests, r.Took.Seconds(), millis(r.P50), millis(r.P99))
	fmt.Fprintf(st.Out, "  %d failed requests\n", r.Failed)
	for _, f := range r.Failures {
		fmt.Fprintf(st.Out, "    %s\n", f)
	}
	fmt.Fprintf(st.Out, "  %d writes acknowledged by v1, %d by v2; %d rows at the end\n", r.Written[V1], r.Written[V2], r.Rows)
	fmt.Fprintf(st.Out, "  %d rows lost\n", r.Lost)
}
