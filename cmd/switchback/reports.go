package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/report"
)

// reportFlags are the flags of a command that ends with a report of findings.
func reportFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "format", Usage: "`FORMAT` or FORMAT=FILE: " + strings.Join(report.Formats(), ", ") + "; can be repeated", DefaultText: "text"},
		&cli.StringFlag{Name: "baseline", Usage: "hide what is in `FILE`, the JSON report of an earlier run"},
		&cli.BoolFlag{Name: "strict", Usage: "exit with 2 for warnings too"},
	}
}

// reportOutputs are the forms in which a report is wanted, and where each goes.
func reportOutputs(c *cli.Context) ([]report.Output, error) {
	values := c.StringSlice("format")
	if c.Bool("json") {
		values = append(values, "json")
	}
	if len(values) == 0 {
		values = []string{"text"}
	}
	return report.ParseOutputs(values)
}

// finishReport writes a report in the forms that are wanted, without what the baseline has. The error is
// findings where there is one that counts.
func (p *project) finishReport(c *cli.Context, outputs []report.Output, r *check.Report) error {
	if err := hideKnown(r, c.String("baseline")); err != nil {
		return err
	}
	for _, o := range outputs {
		if err := p.writeReport(o, r); err != nil {
			return err
		}
	}
	if !r.Passed() || c.Bool("strict") && r.Count(check.Warning) > 0 {
		return findings
	}
	return nil
}

// hideKnown leaves out the findings of an earlier report.
func hideKnown(r *check.Report, file string) error {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file) //nolint:gosec // the user names it
	if err != nil {
		return fmt.Errorf("read the baseline: %w", err)
	}
	var earlier check.Report
	if err := json.Unmarshal(data, &earlier); err != nil {
		return fmt.Errorf("read the baseline %s: it is no JSON report: %w", file, err)
	}
	known := map[string]bool{}
	for _, f := range earlier.Findings() {
		known[f.Fingerprint()] = true
	}
	for i := range r.Parts {
		all := len(r.Parts[i].Findings)
		r.Parts[i].Findings = slices.DeleteFunc(r.Parts[i].Findings, func(f check.Finding) bool { return known[f.Fingerprint()] })
		r.Hidden += all - len(r.Parts[i].Findings)
	}
	return nil
}

// writeReport writes one of the forms of a report.
func (p *project) writeReport(o report.Output, r *check.Report) error {
	if o.File == "" && o.Format == "text" && p.out.quiet {
		return nil
	}
	return p.write(o.File, func(out *output) error { return report.Write(out.w, o.Format, r) })
}
