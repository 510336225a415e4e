package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/internal/webpage"
)

var (
	//go:embed page/report.html
	pageTemplate string
	//go:embed page/report.css
	pageStyle string
)

// page is what the template shows.
type page struct {
	Policy   string
	Style    template.CSS
	Summary  string
	Passed   bool
	Made     string
	Engine   string
	Parts    []check.Part
	Findings []pageFinding
	Silenced []check.Silence
}

type pageFinding struct {
	check.Finding
	Where, Touched, Anchor string
}

// writeHTML writes one page that needs nothing else; its content security policy lets nothing be loaded or run.
func writeHTML(w io.Writer, r *check.Report) error {
	t, err := template.New("report").Funcs(template.FuncMap{"where": where, "plain": printable}).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("read the template of the page: %w", err)
	}
	p := page{
		Policy: webpage.Policy(pageStyle, ""),
		Style:  template.CSS(pageStyle), // ours, not from the report
		Passed: r.Passed(), Summary: summary(r), Engine: r.Engine, Parts: r.Parts, Silenced: r.Silenced,
	}
	if !r.Started.IsZero() {
		p.Made = r.Started.UTC().Format("2006-01-02 15:04 UTC")
	}
	for i, f := range r.Findings() {
		pf := pageFinding{Finding: f, Where: where(f.Place), Anchor: fmt.Sprintf("finding-%d", i+1)}
		if f.Touches != nil {
			pf.Touched = touches(f.Touches)
		}
		p.Findings = append(p.Findings, pf)
	}
	return t.Execute(w, p)
}
