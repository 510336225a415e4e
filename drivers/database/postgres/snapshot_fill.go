package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// prepareRows makes a database that has the tables already one that rows can be loaded into: what acts on rows, or
// wants rows of other tables to be there, is dropped, and made again when they are. What it has to be then is noted in
// the same transaction, so that a run that is killed goes on.
func (s *site) prepareRows(ctx context.Context, m *snapshot.Manifest) (err error) {
	s.manifest, s.stays = m, true
	if s.place, err = placeOf(ctx, s.pool); err != nil {
		return err
	}
	of, err := s.buildingOf(ctx)
	if err != nil {
		return err
	}
	if of == m.ID {
		rows, err := query(ctx, s.pool, "SELECT model FROM "+restoreSchema+".build")
		if err == nil {
			s.model, err = schema.Load(strings.NewReader(rows[0][0]))
		}
		return err
	}
	if of != "" {
		return fmt.Errorf("snapshot %s is being restored into this database\n  next: run that command again", of)
	}
	is, err := Inspect(ctx, s.pool)
	if err != nil {
		return err
	}
	if s.model, _, err = s.place.adapt(is); err != nil {
		return err
	}
	if err := s.takes(ctx, m); err != nil {
		return err
	}
	to, err := still(s.model)
	if err != nil {
		return err
	}
	statements, err := scriptOf(s.model, to)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := s.model.Save(&text); err != nil {
		return err
	}
	return s.make(ctx, append(statements, s.own(m, text.String())...))
}

// Open implements snapshot.Opener: what a build knows of itself goes, where it has stayed until the rows were proven.
func (s *site) Open(ctx context.Context) error {
	if s.manifest.Only != snapshot.OnlyData {
		return nil
	}
	_, err := s.pool.ExecContext(ctx, "DROP SCHEMA "+restoreSchema+" CASCADE")
	return err
}

// takes refuses a database whose tables are not those of a snapshot, or have rows.
func (s *site) takes(ctx context.Context, m *snapshot.Manifest) error {
	var missing, full []string
	for _, p := range m.Parts {
		if p.Table == "" {
			continue
		}
		n := s.model.Schema(p.Schema)
		if n == nil || n.Table(p.Table) == nil {
			missing = append(missing, "table "+p.Name)
			continue
		}
		for _, c := range p.Columns {
			if column := n.Table(p.Table).Column(c); column == nil || column.Generated != "" {
				missing = append(missing, "column "+c+" of "+p.Name)
			}
		}
		rows, err := query(ctx, s.pool, "SELECT 1 FROM ONLY "+quotedName(p.Schema, p.Table)+" LIMIT 1")
		if err != nil {
			return fmt.Errorf("look for rows in %s: %w", p.Name, err)
		}
		if len(rows) > 0 {
			full = append(full, p.Name)
		}
	}
	return snapshot.Fit(missing, full)
}

// still returns a copy of a model without what acts on rows, or asks for other rows.
func still(d *schema.Database) (*schema.Database, error) {
	d, err := clone(d)
	if err != nil {
		return nil, err
	}
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			t.Triggers, t.Rules, t.Policies = nil, nil, nil
			t.Options = slices.DeleteFunc(t.Options, func(p schema.Property) bool { return p.Name == "row security" })
			t.Constraints = slices.DeleteFunc(t.Constraints, func(k *schema.Constraint) bool {
				return k.Type == schema.ForeignKey || k.Type == schema.Check && afterRows(k)
			})
		}
	}
	return d, nil
}

// readOnly has a point read the columns that a snapshot has, in their order: the live tables may have others besides.
func (p *point) readOnly(m *snapshot.Manifest) {
	for i, part := range p.parts {
		at := slices.IndexFunc(m.Parts, func(x snapshot.Part) bool { return x.Name == part.Name && x.Table != "" })
		if at < 0 {
			continue
		}
		columns := m.Parts[at].Columns
		p.reads[i].query = strings.Replace(p.reads[i].query, columnList(part.Columns), columnList(columns), 1)
		p.reads[i].plain = ""
		p.parts[i].Columns = columns
	}
}
