// Package board shows where a release stands on one HTML page, made from what the journal has of it.
package board

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/webpage"
	"github.com/switchbackdb/switchback/strategies"
)

var (
	//go:embed page/release.html
	pageTemplate string
	//go:embed page/release.css
	pageStyle string
)

// view is what the template shows.
type view struct {
	Policy  string
	Style   template.CSS
	Refresh int // seconds after which a browser looks again; 0 for never
	Made    string
	Release *strategies.Release
	Status  strategies.Status
	Tone    string // of the status: good, bad, ask, or going
	Share   int    // that the candidate gets, in percent
	Steps   []step
}

type step struct {
	strategies.StepStatus
	Number  int
	Does    string
	Tone    string
	Took    string
	Attempt int
}

// HTML writes where the release stands. The page needs nothing else, and lets nothing be loaded or run. While the release
// is not final a browser that shows it looks again every other second, for whoever writes it anew.
func HTML(w io.Writer, r *strategies.Release, made time.Time) error {
	t, err := template.New("release").Funcs(template.FuncMap{"plain": webpage.Plain}).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("read the template of the page: %w", err)
	}
	v := view{
		Policy: webpage.Policy(pageStyle, ""), Style: template.CSS(pageStyle), // ours, not from the journal
		Made: made.UTC().Format("2006-01-02 15:04:05 UTC"), Release: r, Status: r.Status(), Tone: toneOf(r),
	}
	if !r.Status().Final() {
		v.Refresh = 2
	}
	v.Steps = steps(r)
	for _, e := range r.Events() {
		if e.Share != nil {
			v.Share = *e.Share
		}
		if e.Number > 0 && e.Gate == "" {
			s := &v.Steps[e.Number-1]
			s.Attempt, s.Took = e.Attempt, took(e.Took())
		}
	}
	return t.Execute(w, v)
}

func steps(r *strategies.Release) []step {
	tones := map[strategies.StepState]string{
		strategies.Begun: "going", strategies.Done: "good", strategies.Failed: "bad", strategies.Stuck: "bad", strategies.Undoing: "going",
	}
	var list []step
	for i, s := range r.Steps {
		list = append(list, step{StepStatus: s, Number: i + 1, Does: s.Kind.Does(), Tone: tones[s.State]})
	}
	return list
}

func toneOf(r *strategies.Release) string {
	switch r.Status() {
	case strategies.Stabilised:
		return "good"
	case strategies.RolledBack, strategies.TurnedBack:
		return "bad"
	case strategies.Paused, strategies.Waiting:
		return "ask"
	}
	return "going"
}

func took(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strings.Replace(d.Round(time.Millisecond).String(), "ms", " ms", 1)
}
