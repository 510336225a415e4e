package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	ddlpostgres "github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// Finish implements snapshot.Site. Each script leads from what is there to what should be, so a build that was
// cut off goes on.
func (s *site) Finish(ctx context.Context, m *snapshot.Manifest, _ *schema.Database, workers int) error {
	s.release()
	rows, err := query(ctx, s.pool, "SELECT finished::text FROM "+restoreSchema+".build")
	if err != nil || len(rows) == 1 && yes(rows[0][0]) {
		return err
	}
	if m.Only != snapshot.OnlyData { // where they are there already
		if err := s.keys(ctx, workers); err != nil {
			return fmt.Errorf("build indexes and keys: %w", err)
		}
	}
	failpoint.Hit("restore: keys built")
	if err := s.rest(ctx, workers); err != nil {
		return fmt.Errorf("make what follows the keys: %w", err)
	}
	failpoint.Hit("restore: schema made")
	if err := s.makeLargeObjects(ctx); err != nil {
		return fmt.Errorf("make the large objects: %w", err)
	}
	if err := s.setSequences(ctx, m); err != nil {
		return err
	}
	return s.end(ctx)
}

// end says that all is there, and has what was written last on disk, with all before it.
func (s *site) end(ctx context.Context) error {
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	last := "DROP SCHEMA " + restoreSchema + " CASCADE"
	if s.stays {
		last = "UPDATE " + restoreSchema + ".build SET finished = true"
	}
	defer s.idle()
	_, err = simple(ctx, conn, "SET client_min_messages = warning; SET synchronous_commit = on; "+last+"; RESET synchronous_commit")
	return err
}

// idle closes idle connections, which would keep the database from being dropped.
func (s *site) idle() {
	s.pool.SetMaxIdleConns(0)
	s.pool.SetMaxIdleConns(2)
}

var (
	buildsIndex = regexp.MustCompile(`^CREATE (?:UNIQUE )?INDEX `)
	usesIndex   = regexp.MustCompile(` USING INDEX (?:"(?:[^"]|"")+"|[\w$]+)(?: DEFERRABLE)?(?: INITIALLY DEFERRED)?$`)
	addsKey     = regexp.MustCompile(`(?s)^ALTER TABLE .* ADD CONSTRAINT .* (?:PRIMARY KEY|UNIQUE|EXCLUDE) `)
	validates   = regexp.MustCompile(`^ALTER TABLE .* VALIDATE CONSTRAINT `)
)

// keys builds the indexes, side by side, and makes keys of those that are one. Nobody else is here, so there
// is no need for the slower way that lets others write meanwhile.
func (s *site) keys(ctx context.Context, workers int) error {
	statements, err := s.script(ctx, func() (*schema.Database, error) {
		b, err := bare(s.model)
		if err != nil {
			return nil, err
		}
		return keyed(b, s.model)
	})
	if err != nil {
		return err
	}
	var drops, builds, others []string
	for _, statement := range statements {
		if strings.HasPrefix(statement, "DROP ") { // what a build that was cut off has not made a key of yet
			drops = append(drops, statement)
			continue
		}
		if buildsIndex.MatchString(statement) || addsKey.MatchString(statement) && !usesIndex.MatchString(statement) {
			builds = append(builds, statement)
			continue
		}
		others = append(others, statement)
	}
	// A partition's own index must not be taken for its part of that of the partitioned table: those come first.
	parents := map[string]bool{}
	for _, n := range s.model.Schemas {
		for _, t := range n.Tables {
			if schema.Value(t.Options, "partition key") != "" {
				parents[quotedName(n.Name, t.Name)] = true
			}
		}
	}
	first := slices.DeleteFunc(slices.Clone(builds), func(b string) bool { return !ofTable(b, parents) })
	builds = slices.DeleteFunc(builds, func(b string) bool { return ofTable(b, parents) })
	bytes := bytesByTable(s.manifest)
	for _, list := range [][]string{drops, first, builds} {
		if err := s.sideBySide(ctx, byTable(list, bytes), workers); err != nil {
			return err
		}
	}
	failpoint.Hit("restore: indexes built")
	return s.sideBySide(ctx, inBatches(others), 1)
}

// ofTable tells whether a statement names one of the tables.
func ofTable(statement string, tables map[string]bool) bool {
	head, _, _ := strings.Cut(statement, " (")
	for name := range tables {
		if strings.Contains(head+" ", " "+name+" ") {
			return true
		}
	}
	return false
}

// rest makes all that is not there yet. Rules about rows are checked last, side by side.
func (s *site) rest(ctx context.Context, workers int) error {
	statements, err := s.script(ctx, func() (*schema.Database, error) { return s.model, nil })
	if err != nil {
		return err
	}
	var checks, others []string
	for _, statement := range statements {
		if validates.MatchString(statement) {
			checks = append(checks, statement)
			continue
		}
		others = append(others, statement)
	}
	if err := s.sideBySide(ctx, inBatches(others), 1); err != nil {
		return err
	}
	return s.sideBySide(ctx, byTable(checks, bytesByTable(s.manifest)), workers)
}

// script leads from what is there to a model.
func (s *site) script(ctx context.Context, to func() (*schema.Database, error)) ([]string, error) {
	is, err := Inspect(ctx, s.pool)
	if err != nil {
		return nil, err
	}
	if is, _, err = s.place.adapt(is); err != nil {
		return nil, err
	}
	want, err := to()
	if err != nil {
		return nil, err
	}
	return scriptOf(is, want)
}

// sideBySide runs messages of statements that do not depend on each other, by that many workers. Two that want the same
// tables may get into each other's way: the one that is chosen to end is run again.
func (s *site) sideBySide(ctx context.Context, batches [][]string, workers int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(workers, 1))
	for _, batch := range batches {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			conn, err := s.pool.Conn(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			return again(ctx, conn, batch)
		})
	}
	return group.Wait()
}

const deadlocks = 10

func again(ctx context.Context, conn *sql.Conn, batch []string) error {
	for attempt := 0; ; attempt++ {
		err := atOnce(ctx, conn, batch)
		if err == nil {
			return nil
		}
		if attempt == deadlocks || code(err) != deadlockDetected {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(attempt+1) * 10 * time.Millisecond):
		}
	}
}

// makeLargeObjects makes them of their pages, in one transaction, and gives them their owners.
func (s *site) makeLargeObjects(ctx context.Context) error {
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return together(ctx, conn, []string{
		"DO $do$ BEGIN PERFORM lo_create(oid) FROM " + restoreSchema + ".large_objects WHERE page = 0; END $do$",
		"DO $do$ BEGIN PERFORM lo_put(oid, page * 1048576, data) FROM " + restoreSchema + ".large_objects WHERE data <> ''; END $do$",
		`DO $do$ DECLARE r record; who text; BEGIN
FOR r IN SELECT * FROM ` + restoreSchema + `.large_object_rights LOOP
  IF r.comment IS NOT NULL THEN EXECUTE format('COMMENT ON LARGE OBJECT %s IS %L', r.oid, r.comment); END IF;
  who := CASE WHEN r.grantee = 'public' THEN 'PUBLIC' ELSE quote_ident((SELECT rolname FROM pg_roles WHERE rolname = r.grantee)) END;
  IF who IS NOT NULL THEN EXECUTE format('GRANT %s ON LARGE OBJECT %s TO %s', r.privilege, r.oid, who) || CASE WHEN r.grantable THEN ' WITH GRANT OPTION' ELSE '' END; END IF;
END LOOP;
FOR r IN SELECT DISTINCT l.oid, l.owner FROM ` + restoreSchema + `.large_object_rights l JOIN pg_roles o ON o.rolname = l.owner WHERE l.owner <> current_user LOOP
  EXECUTE format('ALTER LARGE OBJECT %s OWNER TO %I', r.oid, r.owner);
END LOOP; END $do$`,
		// They are there now: a build that goes on must not make them again.
		"TRUNCATE " + restoreSchema + ".large_objects, " + restoreSchema + ".large_object_rights",
	})
}

// setSequences sets sequences to where they stood.
func (s *site) setSequences(ctx context.Context, m *snapshot.Manifest) error {
	for some := range slices.Chunk(m.Content.Sequences, 200) {
		calls := make([]string, len(some))
		for i, q := range some {
			calls[i] = fmt.Sprintf("setval(%s, %s, %t)", ddlpostgres.Literal(q.Name), ddlpostgres.Literal(q.Value), q.Called)
		}
		if _, err := s.pool.ExecContext(ctx, "SELECT "+strings.Join(calls, ", ")); err != nil {
			return fmt.Errorf("set the sequences: %w", err)
		}
	}
	return nil
}

// Analyze implements snapshot.Analyzer: the planner gets its statistics.
func (s *site) Analyze(ctx context.Context, m *snapshot.Manifest, workers int) error {
	defer s.idle()
	return s.sideBySide(ctx, analyzes(m), workers)
}
