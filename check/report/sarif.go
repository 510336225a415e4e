package report

import (
	"io"
	"net/url"
	"slices"

	"github.com/switchbackdb/switchback/check"
)

type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
		ColumnKind  string            `json:"columnKind"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string     `json:"id"`
		ShortDescription sarifText  `json:"shortDescription"`
		FullDescription  *sarifText `json:"fullDescription,omitempty"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool                `json:"executionSuccessful"`
		StartTimeUTC        string              `json:"startTimeUtc,omitempty"`
		Notifications       []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region struct {
			StartLine   int        `json:"startLine"`
			StartColumn int        `json:"startColumn,omitempty"`
			Snippet     *sarifText `json:"snippet,omitempty"`
		} `json:"region"`
	}
)

// writeSARIF writes SARIF 2.1.0. A silenced finding is a suppressed result, so that the services that read it
// know it was seen.
func writeSARIF(w io.Writer, r *check.Report) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "Switchback", InformationURI: "https://github.com/switchbackdb/switchback", Rules: []sarifRule{}}
	call := sarifInvocation{ExecutionSuccessful: true}
	if !r.Started.IsZero() {
		call.StartTimeUTC = r.Started.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	for _, p := range r.Parts {
		if p.Skipped != "" {
			call.Notifications = append(call.Notifications, sarifNotification{Level: "note", Message: sarifText{p.Name + " did not run: " + p.Skipped}})
		}
	}
	run.Invocations = []sarifInvocation{call}
	for _, f := range r.Findings() {
		run.add(f, nil)
	}
	for _, s := range r.Silenced {
		run.add(s.Finding, []sarifSuppression{{Kind: "inSource", Justification: s.Reason}})
	}
	return indented(w, sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func (run *sarifRun) add(f check.Finding, suppressed []sarifSuppression) {
	rules := &run.Tool.Driver.Rules
	index := slices.IndexFunc(*rules, func(r sarifRule) bool { return r.ID == f.Rule })
	if index < 0 {
		index = len(*rules)
		rule := sarifRule{ID: f.Rule, ShortDescription: sarifText{f.Rule}}
		if f.Why != "" {
			rule.FullDescription = &sarifText{printable(f.Why)}
		}
		*rules = append(*rules, rule)
	}
	var at sarifLocation
	at.Physical.Artifact.URI = (&url.URL{Path: file(f.Place)}).EscapedPath()
	at.Physical.Region.StartLine, at.Physical.Region.StartColumn = line(f.Place), f.Place.Column
	if f.Place.Text != "" {
		at.Physical.Region.Snippet = &sarifText{f.Place.Text}
	}
	message := f.Message
	if f.Rewrite != "" {
		message += "\n\nInstead:\n" + f.Rewrite
	}
	run.Results = append(run.Results, sarifResult{
		RuleID: f.Rule, RuleIndex: index, Level: string(f.Severity), Message: sarifText{printable(message)},
		Locations: []sarifLocation{at}, Fingerprints: map[string]string{"switchback/v1": f.Fingerprint()}, Suppressions: suppressed,
	})
}
