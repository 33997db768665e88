package main

import (
	"encoding/json"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/merlonhq/merlon/server"
)

// place splits where a problem is: a line of the settings file, or a name.
func (r report) place(p server.Problem) (inFile bool, line int) {
	if r.file == "" {
		return false, 0
	}
	rest, ok := strings.CutPrefix(p.Where, r.file)
	if !ok {
		return false, 0
	}
	line, _ = strconv.Atoi(strings.TrimPrefix(rest, ":")) // 0 for the file as a whole
	return rest == "" || line > 0 || rest == ":0", line
}

func (r report) json(w io.Writer) error {
	type silenced struct {
		Reason string `json:"reason"`
		Until  string `json:"until"`
	}
	type finding struct {
		ID       string    `json:"id"`
		Severity string    `json:"severity"`
		Where    string    `json:"where"`
		Line     int       `json:"line,omitempty"`
		Message  string    `json:"message"`
		Why      string    `json:"why"`
		Fix      string    `json:"fix"`
		Help     string    `json:"help"`
		Silenced *silenced `json:"silenced,omitempty"`
	}
	out := struct {
		File     string         `json:"file"`
		FailOn   string         `json:"fail_on"`
		Failed   bool           `json:"failed"`
		Counts   map[string]int `json:"counts"`
		Silenced int            `json:"silenced"`
		Findings []finding      `json:"findings"`
	}{r.file, r.failOn, r.fails() > 0 || !server.Parsed(r.found), r.counts(), r.silenced(), []finding{}}
	for _, p := range r.found {
		_, line := r.place(p)
		out.Findings = append(out.Findings, finding{p.ID, p.Severity, p.Where, line, p.Message, p.Why, p.Fix, p.Help, (*silenced)(p.Silenced)})
	}
	return encode(w, out)
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// The parts of SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format) that
// a check uses; the section of each is named.
type (
	sarifText struct {
		Text string `json:"text"`
	}
	sarifRule struct { // 3.49 reportingDescriptor
		ID                   string     `json:"id"`
		ShortDescription     sarifText  `json:"shortDescription"`
		FullDescription      sarifText  `json:"fullDescription"`
		HelpURI              string     `json:"helpUri"`
		DefaultConfiguration sarifLevel `json:"defaultConfiguration"`
		Properties           sarifBag   `json:"properties"`
	}
	sarifLevel struct { // 3.50 reportingConfiguration
		Level string `json:"level"`
	}
	sarifBag struct { // 3.8 property bag; the names are those that code scanning reads
		Tags             []string `json:"tags,omitempty"`
		SecuritySeverity string   `json:"security-severity,omitempty"`
		Severity         string   `json:"severity,omitempty"`
	}
	sarifResult struct { // 3.27 result
		RuleID     string          `json:"ruleId"`
		RuleIndex  int             `json:"ruleIndex"`
		Level      string          `json:"level"`
		Message    sarifText       `json:"message"`
		Locations  []sarifLocation `json:"locations"`
		Properties sarifBag        `json:"properties"`
		// Suppressions is on every result or on none, empty for what counts (3.27.23).
		Suppressions []sarifSuppression `json:"suppressions"`
	}
	sarifSuppression struct { // 3.35 suppression
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
	sarifLocation struct { // 3.28 location
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct { // 3.29 physicalLocation
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct { // 3.4 artifactLocation
		URI string `json:"uri"`
	}
	sarifRegion struct { // 3.30 region
		StartLine int `json:"startLine"`
	}
	sarifLogical struct { // 3.33 logicalLocation
		Name string `json:"name"`
	}
)

// levelOf returns the level of a severity (3.27.10), and the score that code
// scanning sorts by.
func levelOf(severity string) (level, score string) {
	switch severity {
	case "low":
		return "note", "2.0"
	case "medium":
		return "warning", "5.5"
	case "high":
		return "error", "8.0"
	}
	return "error", "9.5"
}

func (r report) sarif(w io.Writer) error {
	rules, index := []sarifRule{}, map[string]int{}
	for i, check := range server.Checks() {
		level, score := levelOf(check.Severity)
		rules = append(rules, sarifRule{
			ID: check.ID, ShortDescription: sarifText{check.Title}, FullDescription: sarifText{check.Why}, HelpURI: check.Help,
			DefaultConfiguration: sarifLevel{level}, Properties: sarifBag{Tags: []string{"security"}, SecuritySeverity: score},
		})
		index[check.ID] = i
	}
	results := []sarifResult{}
	for _, p := range r.found {
		level, _ := levelOf(p.Severity)
		results = append(results, sarifResult{
			RuleID: p.ID, RuleIndex: index[p.ID], Level: level, Message: sarifText{p.Message + ". To fix it: " + p.Fix + "."},
			Locations: []sarifLocation{r.location(p)}, Properties: sarifBag{Severity: p.Severity}, Suppressions: suppressions(p),
		})
	}
	type driver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	type tool struct {
		Driver driver `json:"driver"`
	}
	type run struct {
		Tool    tool          `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	return encode(w, struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []run  `json:"runs"`
	}{
		"https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json", "2.1.0",
		[]run{{tool{driver{"merlon check", buildVersion(), "https://github.com/merlonhq/merlon", rules}}, results}},
	})
}

// suppressions are those of a result. They stand in the settings file, which is what
// is judged.
func suppressions(p server.Problem) []sarifSuppression {
	if p.Silenced == nil {
		return []sarifSuppression{}
	}
	return []sarifSuppression{{"inSource", p.Silenced.Reason + " (until " + p.Silenced.Until + ")"}}
}

// location is a place in the settings file where there is one, with the name of the
// variable or the file where that is the place.
func (r report) location(p server.Problem) sarifLocation {
	var out sarifLocation
	inFile, line := r.place(p)
	if r.file != "" {
		out.Physical = &sarifPhysical{Artifact: sarifArtifact{fileURI(r.file)}}
		if line > 0 {
			out.Physical.Region = &sarifRegion{line}
		}
	}
	if !inFile {
		out.Logical = []sarifLogical{{p.Where}}
	}
	return out
}

// fileURI is relative below the working directory, where code scanning looks for it.
func fileURI(path string) string {
	if dir, err := os.Getwd(); err == nil && filepath.IsAbs(path) {
		if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
			return (&url.URL{Path: filepath.ToSlash(rel)}).EscapedPath()
		}
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		return (&url.URL{Path: "/" + path, Scheme: "file"}).String() // a drive of Windows
	}
	return (&url.URL{Path: path, Scheme: "file"}).String()
}
