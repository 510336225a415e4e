package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/migrate"
)

// fix rewrites what lint can rewrite, or shows how. The integrity file is written anew where it fitted before.
func (p *project) fix(c *cli.Context, scripts []lint.Script, o lint.Options) error {
	fixed, err := lint.Fix(c.Context, scripts, o)
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		for _, f := range fixed {
			p.out.printf("%s", strings.TrimSuffix(udiff.Unified(f.File, f.File, f.Before, f.After), "\n"))
		}
		if err := p.out.document(map[string]any{"fixes": fixed}); err != nil || len(fixed) == 0 {
			return err
		}
		return findings
	}
	sums := map[string]bool{} // by the folder: whether its integrity file fits
	for _, f := range fixed {
		folder := filepath.Dir(filepath.Dir(f.File))
		if _, known := sums[folder]; !known {
			sums[folder] = migrate.CheckSum(folder) == nil
		}
		if err := atomicfile.Write(f.File, []byte(f.After), 0o644); err != nil {
			return err
		}
		p.out.line("fixed %s: %s", f.File, strings.Join(f.Rules, ", "))
	}
	for folder, fits := range sums {
		if fits {
			err = errors.Join(err, migrate.WriteSum(folder))
		}
	}
	if err != nil {
		return fmt.Errorf("%w\n  state: the scripts are rewritten, the integrity file is not\n  next: switchback sum", err)
	}
	return nil
}
