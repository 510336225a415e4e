package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// describe says what is in the database at the point's moment. Sequences are what they are now: they belong to
// no transaction, and one that was read later is never behind the rows.
func (p *point) describe(ctx context.Context) error {
	c := &p.content
	c.Fingerprint = p.model.Fingerprint()
	c.Method = "exported snapshot, tables locked in ACCESS SHARE mode"
	c.Locked = "writers not at all; who alters or drops a table until the copy was made"
	c.Omitted, c.Broken = omitted(p.model), broken(p.model)
	var err error
	if c.Applied, err = p.applied(ctx); err != nil {
		return err
	}
	if c.Sequences, err = p.sequences(ctx); err != nil {
		return fmt.Errorf("read the sequences: %w", err)
	}
	place, err := query(ctx, p.lead, `SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text, pg_current_snapshot()::text, current_setting('server_version'), current_setting('timezone')`)
	if err != nil {
		return fmt.Errorf("read the server's position: %w", err)
	}
	c.Position = map[string]string{"lsn": place[0][0], "snapshot": place[0][1]}
	c.Database = map[string]string{"server version": place[0][2]}
	for _, s := range p.model.Settings {
		if s.Fixed {
			c.Database[s.Name] = s.Value
		}
	}
	for _, i := range p.model.Items {
		if i.Of == schema.KindExtension {
			c.Database["extension "+i.Name] = schema.Value(i.Options, "version")
		}
	}
	return nil
}

// applied replays the journal as it is in the snapshot.
func (p *point) applied(ctx context.Context) ([]snapshot.Applied, error) {
	journal, list := migrate.NewJournal((&Database{}).Dialect(), ""), []snapshot.Applied{}
	installed, err := journal.Installed(ctx, p.lead)
	if err != nil || !installed {
		return list, err
	}
	entries, err := journal.Entries(ctx, p.lead, migrate.Filter{Kinds: []migrate.EntryKind{migrate.PhaseEntry, migrate.AdoptEntry}, Scripts: true})
	if err != nil {
		return nil, err
	}
	for _, a := range migrate.Replay(entries).Applied() {
		list = append(list, snapshot.Applied{Change: a.Change, Phase: a.Phase, Script: a.Script, Rollback: a.Rollback})
	}
	return list, nil
}

// sequences are read in one query for some of them at a time.
func (p *point) sequences(ctx context.Context) ([]snapshot.Sequence, error) {
	names, err := query(ctx, p.lead, `SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_literal(quote_ident(n.nspname) || '.' || quote_ident(c.relname))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend e ON e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e'
LEFT JOIN pg_extension x ON x.oid = e.refobjid
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '`+restoreSchema+`') AND (x.oid IS NULL OR c.oid = ANY (x.extconfig)) ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	var list []snapshot.Sequence
	for some := range slices.Chunk(names, 200) {
		queries := make([]string, len(some))
		for i, n := range some {
			queries[i] = "SELECT " + n[1] + ", last_value::text, is_called::text FROM " + n[0]
		}
		rows, err := query(ctx, p.lead, strings.Join(queries, "\nUNION ALL "))
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			list = append(list, snapshot.Sequence{Name: r[0], Value: r[1], Called: yes(r[2])})
		}
	}
	slices.SortFunc(list, func(a, b snapshot.Sequence) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// omitted names what is in the database and not in the snapshot.
func omitted(d *schema.Database) []snapshot.Omitted {
	var list []snapshot.Omitted
	add := func(what, reason string) { list = append(list, snapshot.Omitted{What: what, Reason: reason}) }
	for _, c := range d.Uncovered {
		if c.Kind == "large object" { // they are a part of their own
			continue
		}
		reason := c.Why
		if reason == "" {
			reason = "kinds of object that the model does not cover; one that a table needs keeps the snapshot from being restored"
		}
		add(fmt.Sprintf("%d × %s (%s)", c.Count, c.Kind, strings.Join(c.Names, ", ")), reason)
	}
	for _, i := range d.Items {
		if i.Of == schema.KindSubscription {
			add("subscription "+i.Name, "it would take in rows twice: make it again after a restore")
		}
	}
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			if schema.Value(t.Options, "foreign") != "" {
				add("rows of "+s.Name+"."+t.Name, "a foreign table: they are on another server")
			}
			for _, i := range t.Indexes {
				if i.Invalid {
					add("index "+s.Name+"."+i.Name, "it is invalid: a build of it has failed")
				}
			}
		}
	}
	if roles := rolesOf(d); len(roles) > 0 {
		add("roles "+strings.Join(roles, ", "), "roles and their passwords belong to the server: where one is missing, what it owns goes to who restores")
	}
	return list
}

// broken names the rules that the rows may be against: those that were never checked.
func broken(d *schema.Database) []string {
	var list []string
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			for _, k := range t.Constraints {
				if strings.HasSuffix(k.Definition, " NOT VALID") {
					list = append(list, fmt.Sprintf("constraint %s of table %s.%s is NOT VALID: rows may be against it", k.Name, s.Name, t.Name))
				}
			}
		}
	}
	return list
}
