package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/migrate"
)

// replica is a replica of the target that the configuration names. It is connected to when it is first
// asked.
type replica struct {
	url  string
	name string // its address, without user and password

	mu sync.Mutex
	db database.Database
}

// replicas reads the URLs of a target's replicas.
func replicas(urls []string) ([]*replica, error) {
	var list []*replica
	for _, text := range urls {
		text, err := config.Substitute(text)
		if err != nil {
			return nil, fmt.Errorf("replicas: %w", err)
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return nil, errors.New("replicas: one is no URL such as postgres://user:password@host:5432/shop")
		}
		list = append(list, &replica{url: text, name: u.Host})
	}
	return list, nil
}

// Lag implements migrate.Replica.
func (r *replica) Lag(ctx context.Context) (migrate.Lag, error) {
	db, err := r.open(ctx)
	if err != nil {
		return migrate.Lag{Replica: r.name}, err
	}
	followed, ok := db.(migrate.Replica)
	if !ok {
		return migrate.Lag{Replica: r.name}, errors.New("its engine does not tell how far it is behind")
	}
	lag, err := followed.Lag(ctx)
	lag.Replica = r.name
	return lag, err
}

func (r *replica) open(ctx context.Context) (database.Database, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db != nil {
		return r.db, nil
	}
	db, err := database.Open(ctx, r.url, database.Options{})
	if err == nil {
		r.db = db
	}
	return db, err
}

func (r *replica) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db != nil {
		_ = r.db.Close()
	}
}

// follow makes sure that the replicas answer, before a backfill begins: one that never will is a mistake in
// the configuration, not one to wait for.
func (t *target) follow(ctx context.Context) error {
	for _, r := range t.replicas {
		if _, err := r.Lag(ctx); err != nil {
			return fmt.Errorf("replica %s: %w\n  state: nothing was changed\n  next: mend `replicas` in %s, or: --max-lag 0, which asks no replica", r.name, err, config.FileName)
		}
	}
	return nil
}
