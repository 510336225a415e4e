package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/integration/servers"
)

const recordQueries = 20_000 // of a round

// recordings asks small queries of a server directly and through `switchback record`, by turns, one connection each.
func recordings(ctx context.Context, b *bencher) error {
	for _, k := range []servers.Kind{servers.Postgres17, servers.MySQL9} {
		if err := recordingOf(ctx, b, k); err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return nil
}

func recordingOf(ctx context.Context, b *bencher, k servers.Kind) (err error) {
	target, direct, drop, err := fresh(ctx, &k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	for _, s := range []string{"CREATE TABLE customers (id integer PRIMARY KEY, name varchar(40))", "INSERT INTO customers VALUES (1, 'a')"} {
		if _, err := direct.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	address, stop, err := startRecording(ctx, target)
	if err != nil {
		return err
	}
	defer stop()
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	u.Host = address
	recorded, err := servers.Connect(u.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, recorded.Close()) }()
	if k.Engine == "postgres" {
		// The client prepares a statement once, and asks with one message a time from then on.
		if err := recordTurns(ctx, b, k.Name+", with parameters", recorded, direct, "SELECT name FROM customers WHERE id = 1 AND name <> $1"); err != nil {
			return err
		}
	}
	return recordTurns(ctx, b, k.Name+", each with another constant", recorded, direct, "")
}

// recordTurns asks a query of two pools by turns.
func recordTurns(ctx context.Context, b *bencher, what string, recorded, direct *sql.DB, query string) error {
	half := []*figure{{who: "through switchback record"}, {who: "directly"}}
	tail := []*figure{{who: "through switchback record"}, {who: "directly"}}
	added := []*figure{{who: "added by switchback record"}}
	for range b.rounds {
		took, err := byTurns(ctx, recorded, direct, query, b.amount(recordQueries))
		if err != nil {
			return err
		}
		for i := range took {
			half[i].add(percentile(took[i], 50))
			tail[i].add(percentile(took[i], 99))
		}
		added[0].add(percentile(took[0], 99) - percentile(took[1], 99))
	}
	b.report.table("a query of one row on "+what+", p50", "ms", half)
	b.report.table("the same, p99", "ms", tail)
	b.report.table("the same, p99", "ms", added)
	return nil
}

// startRecording builds the command and starts a recording as a process of its own.
func startRecording(ctx context.Context, target string) (address string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "switchback-bench-")
	if err != nil {
		return "", nil, err
	}
	binary, err := buildCommand(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "record", "--dir", dir, "--target", target, "--out", filepath.Join(dir, "recorded.sql"))
	says, err := cmd.StderrPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	line, err := bufio.NewReader(says).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start a recording: %w", err)
	}
	fields := strings.Fields(line)
	return fields[len(fields)-1], stop, nil
}

// byTurns asks a query of each of two pools in turn, so that what else the machine does meets both: one with a parameter, or,
// without a query, one with another constant each time.
func byTurns(ctx context.Context, one, other *sql.DB, query string, times int) (took [2][]time.Duration, err error) {
	for i := range times {
		for n, db := range []*sql.DB{one, other} {
			text, args := query, []any{fmt.Sprint("customer ", i)}
			if query == "" {
				text, args = fmt.Sprintf("SELECT name FROM customers WHERE id = 1 AND name <> 'customer %d'", i), nil
			}
			begun := time.Now()
			var name string
			if err := db.QueryRowContext(ctx, text, args...).Scan(&name); err != nil {
				return took, err
			}
			took[n] = append(took[n], time.Since(begun))
		}
	}
	return took, nil
}
