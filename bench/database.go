package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"github.com/switchbackdb/switchback/integration/servers"
)

// fresh returns the URL of an empty database, a pool on it by the engine's plain driver, and a function
// that drops it.
func fresh(ctx context.Context, k *servers.Kind) (target string, db *sql.DB, drop func() error, err error) {
	if k == nil {
		dir, err := os.MkdirTemp("", "switchback-bench-")
		if err != nil {
			return "", nil, nil, err
		}
		target = "sqlite:" + filepath.Join(dir, "bench.db")
		db, err = servers.Connect(target)
		return target, db, func() error { return errors.Join(db.Close(), os.RemoveAll(dir)) }, err
	}
	server, err := servers.Server(*k)
	if err != nil {
		return "", nil, nil, err
	}
	var b [6]byte
	_, _ = rand.Read(b[:])
	name := "bench_" + hex.EncodeToString(b[:])
	if err := onServer(ctx, *k, "CREATE DATABASE "+name); err != nil {
		return "", nil, nil, err
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, nil, err
	}
	u.Path = "/" + name
	db, err = servers.Connect(u.String())
	return u.String(), db, func() error {
		derr := onServer(context.WithoutCancel(ctx), *k, "DROP DATABASE "+name+map[bool]string{true: " WITH (FORCE)"}[k.Engine == "postgres"])
		return errors.Join(db.Close(), derr)
	}, err
}

// onServer runs a statement of a server's administrator.
func onServer(ctx context.Context, k servers.Kind, statement string) (err error) {
	server, err := servers.Server(k)
	if err != nil {
		return err
	}
	admin, err := servers.Connect(server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	_, err = admin.ExecContext(ctx, statement)
	return err
}
