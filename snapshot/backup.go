package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// BackupTool takes, verifies and restores backups in its own way.
type BackupTool interface {
	Take(ctx context.Context) (id string, err error)
	Check(ctx context.Context, id string) error
	Bring(ctx context.Context, id string) error
}

// Record has a tool take a backup, and keeps a snapshot of what is known of the database beside it: its schema,
// and which changes were applied. It is verified by the tool before it counts. The schema is read before the
// backup is taken; that nobody changed it meanwhile is found by reading it again.
func (s *Store) Record(ctx context.Context, from Source, tool BackupTool, name string, about About, o CreateOptions) (_ *Manifest, err error) {
	begun := time.Now()
	m := newManifest(begun, about, o)
	defer func() { err = s.tidy(ctx, m, err) }()
	if err := s.describeOnly(ctx, from, m, o); err != nil {
		return nil, err
	}
	before := m.Content.Fingerprint
	id, err := tool.Take(ctx)
	if err != nil {
		return nil, err
	}
	m.Backup = &Backup{Tool: name, ID: id}
	if err := tool.Check(ctx, id); err != nil {
		return nil, fmt.Errorf("the backup %s was taken, and is not whole: %w", id, err)
	}
	after, err := s.content(ctx, from, m.ID, o)
	if err != nil {
		return nil, err
	}
	if after.Fingerprint != before {
		return nil, fmt.Errorf("the schema was changed while the backup %s was taken, so it is not known which one it has", id)
	}
	m.Took = since(begun)
	return m, s.commit(ctx, m)
}

// describeOnly stores the schema of a database, and none of its rows.
func (s *Store) describeOnly(ctx context.Context, from Source, m *Manifest, o CreateOptions) (err error) {
	dir, err := s.scratch(m.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	point, err := from.OpenPoint(ctx, PointOptions{Workers: 1, LockTimeout: o.LockTimeout, Dir: dir})
	if err != nil {
		return err
	}
	w := newCopying(s, point, m, o)
	m.Parts = nil
	err = w.describe(ctx)
	if err = errors.Join(err, point.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	w.sumUp()
	m.Content.Tables, m.Content.Sequences = nil, nil // the tool's backup is of another moment
	return nil
}

// content tells what is in a database now, but for its rows.
func (s *Store) content(ctx context.Context, from Source, id string, o CreateOptions) (c Content, err error) {
	dir, err := s.scratch(id)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	point, err := from.OpenPoint(ctx, PointOptions{Workers: 1, LockTimeout: o.LockTimeout, Dir: dir})
	if err != nil {
		return c, err
	}
	c, _ = point.Describe()
	return c, point.Close(context.WithoutCancel(ctx))
}

// lookAtBackup verifies the schema that is kept, and has the tool verify the rest.
func (s *Store) lookAtBackup(ctx context.Context, m *Manifest, level Level, o VerifyOptions) ([]string, error) {
	if o.Backups == nil {
		return nil, fmt.Errorf("its data are in a backup of %s, which is not configured here", m.Backup.Tool)
	}
	kept := level
	if kept == LevelRestored { // what restoring proves, the tool has to know
		kept = LevelDecoded
	}
	found, err := s.readBack(ctx, m, kept, o.Keys, 1)
	if err != nil || level == LevelPresent {
		return found, err
	}
	if err := o.Backups.Check(ctx, m.Backup.ID); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		found = append(found, err.Error())
	}
	return found, nil
}
