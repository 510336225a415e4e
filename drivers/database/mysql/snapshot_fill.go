package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// prepareRows makes a database that has the tables already one that rows can be loaded into: what acts on rows is
// dropped, and made again when they are there. What has to be there then is in the ledger before anything is dropped,
// so that a run that is killed goes on.
func (s *site) prepareRows(ctx context.Context, m *snapshot.Manifest, noted map[string]string) (err error) {
	s.filled, s.parts = true, m.Parts
	switch {
	case noted["model"] != "" && noted["snapshot"] == m.ID:
		if s.model, err = readModel(noted["model"]); err != nil {
			return err
		}
	case noted != nil:
		return fmt.Errorf("snapshot %s is being restored into this database\n  next: run that command again", noted["snapshot"])
	default:
		all, err := s.db.inspectQuiet(ctx)
		if err != nil {
			return err
		}
		s.model = visible(all)
		if err := s.takes(ctx, m); err != nil {
			return err
		}
		model, err := document(s.model)
		if err != nil {
			return err
		}
		if err := writeNotes(ctx, s.build, ledger, map[string]string{"snapshot": m.ID, "model": model}); err != nil {
			return err
		}
		failpoint.Hit("restore: begun")
	}
	if err := s.alter(ctx, still(s.model)); err != nil {
		return fmt.Errorf("drop what acts on rows: %w", err)
	}
	return s.plan(ctx, m)
}

// takes refuses a database whose tables are not those of a snapshot, or have rows.
func (s *site) takes(ctx context.Context, m *snapshot.Manifest) error {
	var missing, full []string
	for _, p := range m.Parts {
		if p.Table == "" {
			continue
		}
		t := s.model.Schemas[0].Table(p.Table)
		if t == nil {
			missing = append(missing, "table "+p.Table)
			continue
		}
		rows := newRowsOf(t, s.db.engine)
		for _, c := range p.Columns {
			if _, err := rows.only([]string{c}); err != nil {
				missing = append(missing, "column "+c+" of "+p.Table)
			}
		}
		var n int
		if err := s.build.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+quote(p.Table)+" LIMIT 1) x").Scan(&n); err != nil {
			return fmt.Errorf("look for rows in %s: %w", p.Table, err)
		}
		if n > 0 {
			full = append(full, p.Table)
		}
	}
	return snapshot.Fit(missing, full)
}

// still is a model without what acts on rows.
func still(model *schema.Database) *schema.Database {
	m := withoutTriggers(model)
	for _, i := range m.Schemas[0].Items {
		switchOff(i)
	}
	return m
}

// alter leads from what is there to a model.
func (s *site) alter(ctx context.Context, to *schema.Database) error {
	all, err := s.db.inspectQuiet(ctx)
	if err != nil {
		return err
	}
	return runOn(ctx, s.build, visible(all), to)
}

// finishRows makes again what was dropped, and sets what counts to where it stood. Events follow when the site is
// opened.
func (s *site) finishRows(ctx context.Context, m *snapshot.Manifest) error {
	if err := s.setSequences(ctx, m); err != nil {
		return err
	}
	for _, q := range m.Content.Sequences {
		if strings.Contains(q.Value, "/") {
			continue
		}
		if err := ddlOn(ctx, s.build, "ALTER TABLE "+quote(q.Name)+" AUTO_INCREMENT = "+q.Value); err != nil {
			return fmt.Errorf("set the next value of %s: %w", q.Name, err)
		}
	}
	to := clone(s.model)
	for _, i := range to.Schemas[0].Items {
		switchOff(i)
	}
	return s.alter(ctx, to)
}

// readOnly has a point read the columns that a snapshot has, in their order: the tables may have others besides.
func (p *point) readOnly(parts []snapshot.Part) error {
	for i, t := range p.tables {
		at := slices.IndexFunc(parts, func(x snapshot.Part) bool { return x.Table == t.table.Name })
		if at < 0 {
			continue
		}
		only, err := t.only(parts[at].Columns)
		if err != nil {
			return err
		}
		p.tables[i] = only
	}
	return nil
}
