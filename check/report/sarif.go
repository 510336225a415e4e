package report

import (
	"io"
	"net/url"
	"slices"

	"github.com/switchbackdb/switchback/check"
)

// The parts of SARIF 2.1.0 that are written
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html).
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID string `json:"id"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

func sarif(w io.Writer, version string, r *check.Report) error {
	driver := sarifDriver{Name: "switchback", Version: version, InformationURI: "https://github.com/switchbackdb/switchback", Rules: []sarifRule{}}
	results := []sarifResult{}
	for _, f := range r.Findings() {
		at := slices.Index(driver.Rules, sarifRule{f.Rule})
		if at < 0 {
			at = len(driver.Rules)
			driver.Rules = append(driver.Rules, sarifRule{f.Rule})
		}
		message := visible(f.Message)
		for _, d := range details(f) {
			message += "\n\n" + d[0] + ": " + visible(d[1])
		}
		results = append(results, sarifResult{
			RuleID: f.Rule, RuleIndex: at, Level: string(f.Severity), Message: sarifText{message},
			Locations: []sarifLocation{{sarifPhysical{
				sarifArtifact{(&url.URL{Path: fileOf(f.Place)}).EscapedPath()},
				sarifRegion{StartLine: max(1, f.Place.Line), StartColumn: f.Place.Column},
			}}},
			Fingerprints: map[string]string{"switchback/v1": f.Fingerprint()},
		})
	}
	return indented(w, sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{{sarifTool{driver}, results}},
	})
}
