package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"
)

// VerifyOptions say how a snapshot is looked at.
type VerifyOptions struct {
	Workers int            // 0 is one
	Keys    []age.Identity // for LevelDecoded and above, of a snapshot that is encrypted
	// Scratch makes an empty database to build the snapshot in, for LevelRestored only, and says how it
	// is removed.
	Scratch func(ctx context.Context, m *Manifest) (Site, func() error, error)
	// Backups is the tool that has the data of a snapshot that is a backup of it. It may be nil.
	Backups BackupTool
	// Asserts are queries for LevelRestored, each of which has to return no row: the rows are what is wrong.
	Asserts []string
}

// Verify looks at a snapshot up to the given level and records the outcome beside it. What is wrong is in
// the result; an error means that it could not be found out, ErrNoKey for one.
func (s *Store) Verify(ctx context.Context, id string, level Level, o VerifyOptions) (*Verification, error) {
	begun := time.Now()
	m, err := s.Manifest(ctx, id)
	var damaged *DamagedError
	v := &Verification{At: begun.UTC().Truncate(time.Second), Level: level}
	switch {
	case errors.As(err, &damaged):
		v.Found = []string{damaged.Reason}
	case err != nil:
		return nil, err
	default:
		if v.Found, err = s.look(ctx, m, level, o); err != nil {
			return nil, fmt.Errorf("verify snapshot %s: %w", id, err)
		}
	}
	v.OK = len(v.Found) == 0
	v.Took = time.Since(begun).Round(time.Millisecond).String()
	if err := s.appendVerification(ctx, id, *v); err != nil {
		return v, fmt.Errorf("record the verification of snapshot %s: %w", id, err)
	}
	return v, nil
}

func (s *Store) look(ctx context.Context, m *Manifest, level Level, o VerifyOptions) ([]string, error) {
	if m.Backup != nil {
		return s.lookAtBackup(ctx, m, level, o)
	}
	if level != LevelRestored {
		return s.readBack(ctx, m, level, o.Keys, max(o.Workers, 1))
	}
	site, remove, err := o.Scratch(ctx, m)
	if err != nil {
		return nil, err
	}
	found, err := s.tried(ctx, m, site, o)
	return found, errors.Join(err, remove())
}

// tried builds the snapshot in a scratch database and compares.
func (s *Store) tried(ctx context.Context, m *Manifest, site Site, o VerifyOptions) ([]string, error) {
	err := s.Build(ctx, m, site, BuildOptions{Workers: o.Workers, Keys: o.Keys})
	var damaged *DamagedError
	switch {
	case errors.As(err, &damaged):
		return []string{damaged.Reason}, nil
	case err != nil && (ctx.Err() != nil || errors.Is(err, ErrNoKey)):
		return nil, err
	case err != nil:
		return []string{"it cannot be restored: " + err.Error()}, nil //nolint:nilerr // a finding
	}
	found, err := s.Compare(ctx, m.Content, site, o.Workers)
	if err != nil {
		return found, err
	}
	if len(o.Asserts) > 0 {
		if err := analyze(ctx, m, site, o.Workers); err != nil {
			return found, err
		}
	}
	more, err := asserted(ctx, site, o.Asserts)
	return append(found, more...), err
}

// assertedRows is how many rows of a failed assertion are shown.
const assertedRows = 3

// asserted asks what the user wants to hold, and returns what does not.
func asserted(ctx context.Context, site Site, queries []string) ([]string, error) {
	if len(queries) == 0 {
		return nil, nil
	}
	asker, ok := site.(Asker)
	if !ok {
		return nil, errors.New("what was built cannot be asked anything")
	}
	var found []string
	for _, q := range queries {
		rows, err := asker.Ask(ctx, q, assertedRows)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			found = append(found, fmt.Sprintf(assertionPrefix+"%q: %v", q, err))
		case len(rows) > 0:
			var shown []string
			for _, r := range rows {
				shown = append(shown, strings.Join(r, ", "))
			}
			found = append(found, fmt.Sprintf(assertionPrefix+"%q does not hold: %s", q, strings.Join(shown, "; ")))
		}
	}
	return found, nil
}

// Answer reads the rows of an answer as texts.
func Answer(rows *sql.Rows, limit int) (answer [][]string, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for len(answer) < limit && rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = v.String
			if !v.Valid {
				row[i] = "NULL"
			}
		}
		answer = append(answer, row)
	}
	return answer, rows.Err()
}

// Compare says how a database that was built of a snapshot differs from what was copied: the schema's
// fingerprint, the rows' counts and hashes, sequences, and what the engine finds broken.
func (s *Store) Compare(ctx context.Context, want Content, site Source, workers int) ([]string, error) {
	is, err := Examine(ctx, site, PointOptions{Workers: workers, LockTimeout: time.Minute})
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return []string{"it cannot be opened: " + err.Error()}, nil
	}
	return compare(want, is), nil
}

// compare says how the restored content differs from what was copied. Without a fingerprint the schema is not
// compared.
func compare(was, is Content) []string {
	var found []string
	if was.Fingerprint != "" && was.Fingerprint != is.Fingerprint {
		found = append(found, "its schema is not the one that was copied")
	}
	tables := map[string]Table{}
	for _, t := range is.Tables {
		tables[t.Name] = t
	}
	for _, w := range was.Tables {
		t, ok := tables[w.Name]
		switch {
		case !ok:
			found = append(found, fmt.Sprintf("table %s is missing", w.Name))
		case t.Rows != w.Rows:
			found = append(found, fmt.Sprintf("table %s has %d rows, had %d", w.Name, t.Rows, w.Rows))
		case w.Hash != "" && t.Hash != w.Hash:
			found = append(found, fmt.Sprintf("rows of table %s are not those that were copied", w.Name))
		}
	}
	for _, w := range was.Sequences {
		if !slices.Contains(is.Sequences, w) {
			found = append(found, fmt.Sprintf("sequence %s does not stand at %s", w.Name, w.Value))
		}
	}
	// What was broken in the source already is faithfully copied; the manifest says so.
	for _, b := range is.Broken {
		if !slices.Contains(was.Broken, b) {
			found = append(found, b)
		}
	}
	return found
}

// readBack reads all chunks and checks them up to the level, which is at most LevelDecoded. It goes on
// after a finding, so that all of them are named, in the order of the manifest.
func (s *Store) readBack(ctx context.Context, m *Manifest, level Level, keys []age.Identity, workers int) ([]string, error) {
	problems := map[int]string{}
	var mu sync.Mutex
	err := s.eachChunk(ctx, m, keys, workers, func(ctx context.Context, _ int, u *unpacker, at int, c Chunk, p Part) error {
		problem, err := u.look(ctx, c, p.Kind, level, nil)
		if problem != "" {
			mu.Lock()
			defer mu.Unlock()
			problems[at] = fmt.Sprintf("chunk %s of %s %s", c.File, p.Name, problem)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var found []string
	at := 0
	for range m.chunks() {
		if p := problems[at]; p != "" {
			found = append(found, p)
		}
		at++
	}
	if level == LevelPresent || level == LevelStored {
		return found, nil
	}
	return append(found, m.miscounted()...), nil
}

// eachChunk hands the chunks to workers, each with an unpacker of its own. Chunks have numbers in the order
// of the manifest.
func (s *Store) eachChunk(ctx context.Context, m *Manifest, keys []age.Identity, workers int,
	do func(ctx context.Context, worker int, u *unpacker, at int, c Chunk, p Part) error,
) error {
	type job struct {
		c    Chunk
		part int
	}
	var jobs []job
	for c, part := range m.chunks() {
		jobs = append(jobs, job{c, part})
	}
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for n := range max(workers, 1) {
		group.Go(func() error {
			u, err := newUnpacker(s.blobs, m.ID, keys)
			if err != nil {
				return err
			}
			defer u.close()
			for i := int(next.Add(1)) - 1; i < len(jobs); i = int(next.Add(1)) - 1 {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := do(ctx, n, u, i, jobs[i].c, m.Parts[jobs[i].part]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// miscounted says where the rows of the chunks are not those of the table.
func (m *Manifest) miscounted() []string {
	rows := map[string]int64{}
	for _, t := range m.Content.Tables {
		rows[t.Name] = t.Rows
	}
	var found []string
	for _, p := range m.Parts {
		if p.Kind != RowsPart {
			continue
		}
		var n int64
		for _, c := range p.Chunks {
			n += c.Rows
		}
		if want, ok := rows[p.Name]; ok && n != want {
			found = append(found, fmt.Sprintf("the chunks of %s have %d rows, the table had %d", p.Name, n, want))
		}
	}
	return found
}

func problems(what string, found []string) error {
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", what, strings.Join(found, "; "))
}
