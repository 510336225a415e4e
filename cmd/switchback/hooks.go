package main

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/strategies"
)

// hooks are the hooks of the configuration, as a plan has them.
func (p *project) hooks() ([]strategies.Hook, error) {
	var list []strategies.Hook
	for i, h := range p.config.Release.Hooks {
		hook := strategies.Hook{Step: strategies.Kind(h.Before + h.After), Before: h.Before != "", Command: h.Run, Back: h.Back, Within: h.Within}
		place := fmt.Sprintf("release.hooks[%d]", i)
		if (h.Before == "") == (h.After == "") {
			return nil, p.config.Fault(place, "names no step, or two: want either before or after, see docs/releases.md")
		}
		if err := strategies.CheckHooks([]strategies.Hook{hook}); err != nil {
			return nil, p.config.Fault(place, "is of no use: "+err.Error())
		}
		list = append(list, hook)
	}
	return list, nil
}

// printHooks says which programs a release runs beside its steps.
func (t *target) printHooks(plan *strategies.Plan) {
	for _, h := range plan.Hooks {
		line := fmt.Sprintf("  hook %s: %s", h, strings.Join(h.Command, " "))
		if len(h.Back) > 0 {
			line += "; on the way back: " + strings.Join(h.Back, " ")
		}
		t.out.printf("%s", line)
	}
}

// hookOutput shows what hooks print, line by line, apart from what the release says.
type hookOutput struct {
	out  *output
	open string
}

// Write implements io.Writer.
func (h *hookOutput) Write(p []byte) (int, error) {
	lines := strings.Split(h.open+string(p), "\n")
	for _, line := range lines[:len(lines)-1] {
		h.out.line("  | %s", strings.TrimRight(line, "\r"))
	}
	h.open = lines[len(lines)-1]
	return len(p), nil
}
