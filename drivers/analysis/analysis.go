// Package analysis judges the gates of a release: whether the candidate does as well as the stable version.
//
// New makes of a strategies.Gate, which is configuration, a strategies.Judge: by what the router counted (router),
// by asking the candidate itself (http), the database (sql), a program (exec) or Prometheus (prometheus). None of
// them remembers more than its window, so that a release that was cut off judges anew.
package analysis

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/strategies"
)

// Parts are what judges ask.
type Parts struct {
	Router strategies.Router // counts requests, for the kind router, when it is a strategies.Measurer
	Target schema.Queryer    // the database, for the kind sql
	// Resolve puts the variables of a configured value in.
	Resolve func(value string) (string, error)
	Dir     string // where programs run; empty for the current folder
}

// New makes the judge of a gate. A gate of another kind, or whose spec has unknown or missing words, is an error.
func New(g strategies.Gate, p Parts) (strategies.Judge, error) {
	s, err := resolve(g, p.Resolve)
	if err != nil {
		return nil, err
	}
	var judge strategies.Judge
	switch g.Kind {
	case "router":
		judge, err = newCounted(s, p.Router)
	case "http":
		judge, err = newAsked(s, &http.Client{Timeout: answerWithin})
	case "sql":
		judge, err = newQuery(s, p.Target)
	case "exec":
		judge, err = newProgram(g.Command, p.Dir)
	case "prometheus":
		judge, err = newPrometheus(s, &http.Client{Timeout: answerWithin})
	default:
		return nil, fmt.Errorf("%q is no kind of gate; there are router, http, sql, exec and prometheus", g.Kind)
	}
	if err != nil {
		return nil, err
	}
	return judge, s.unknown()
}

// answerWithin is how long a server may take to answer a judge.
const answerWithin = 10 * time.Second

// spec reads the words of a gate, and knows which were read.
type spec struct {
	words map[string]string
	read  []string
}

func resolve(g strategies.Gate, put func(string) (string, error)) (*spec, error) {
	s := &spec{words: map[string]string{}}
	for name, value := range g.Spec {
		if put != nil {
			var err error
			if value, err = put(value); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		s.words[name] = value
	}
	return s, nil
}

func (s *spec) text(name, standard string) string {
	s.read = append(s.read, name)
	if v := s.words[name]; v != "" {
		return v
	}
	return standard
}

func (s *spec) number(name string, standard float64) (float64, error) {
	text := s.text(name, "")
	if text == "" {
		return standard, nil
	}
	percent := strings.HasSuffix(text, "%")
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: %q is no number such as 5, 0.05 or 5%%", name, text)
	}
	if percent {
		n /= 100
	}
	return n, nil
}

func (s *spec) duration(name string) (time.Duration, error) {
	text := s.text(name, "")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s: %q is no time such as 500ms", name, text)
	}
	return d, nil
}

// unknown refuses words that nobody has read: a limit that is misspelt would never be reached.
func (s *spec) unknown() error {
	for name := range s.words {
		if !slices.Contains(s.read, name) {
			known := slices.Compact(slices.Sorted(slices.Values(s.read)))
			return fmt.Errorf("%s is not known there; there are %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

// filled puts what a window is about into a text: {{address}}, {{version}}, {{release}}, {{stable}}.
func filled(text string, w strategies.Window) string {
	stable := ""
	if w.Blue != nil {
		stable = w.Blue.Version
	}
	return strings.NewReplacer("{{address}}", w.Green.Address, "{{version}}", w.Green.Version, "{{release}}", w.Green.Release, "{{stable}}", stable,
		"{{seconds}}", strconv.Itoa(max(1, int(time.Since(w.Began).Seconds())))).Replace(text)
}
