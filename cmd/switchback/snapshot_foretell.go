package main

import (
	"context"
	"strings"

	"github.com/switchbackdb/switchback/drift"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// foretell says what a restore over the target would do: the rows that are there now and in the snapshot, by table, and
// how long it takes. When something is in its way, it is an error.
func (t *target) foretell(ctx context.Context, live snapshot.Live, store *snapshot.Store, m *snapshot.Manifest) error {
	if err := t.printLoss(ctx, m); err != nil {
		return err
	}
	history, err := store.Verifications(ctx, m.ID)
	if err != nil {
		return err
	}
	took := "how long building it takes is known once it was verified by restoring it"
	for _, v := range history {
		if v.OK && v.Level == snapshot.LevelRestored {
			took = "building it beside took " + v.Took + " when it was verified"
		}
	}
	t.out.printf("  %s; nobody waits but for the swap at its end", took)
	return snapshot.Unobstructed(ctx, live)
}

// unknownTables are the tables that the target has and the snapshot has not, with their paths: their rows go altogether.
func (t *target) unknownTables(ctx context.Context, m *snapshot.Manifest) (names, paths []string, err error) {
	known := map[[2]string]bool{}
	for _, table := range m.Content.Tables {
		known[[2]string{"", table.Name}] = true
	}
	for _, p := range m.Parts {
		known[[2]string{p.Schema, p.Table}] = true
	}
	db, ok := t.db.(drift.Database)
	if !ok {
		return nil, nil, nil
	}
	is, err := db.Inspect(ctx)
	if err != nil {
		return nil, nil, err
	}
	byName := t.db.Dialect().Engine != migrate.Postgres
	for _, n := range is.Schemas {
		for _, table := range n.Tables {
			key, name := [2]string{n.Name, table.Name}, n.Name+"."+table.Name
			path := t.db.Dialect().Quote(n.Name) + "." + t.db.Dialect().Quote(table.Name)
			if byName {
				key[0], name, path = "", table.Name, t.quotePath(table.Name)
			}
			noRows := schema.Value(table.Options, "partition key") != "" || schema.Value(table.Options, "foreign") != ""
			if !known[key] && !noRows && !isOurs(name) && !strings.HasPrefix(name, "sqlite_") {
				names, paths = append(names, name), append(paths, path)
			}
		}
	}
	return names, paths, nil
}
