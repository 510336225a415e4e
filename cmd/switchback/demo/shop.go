// Package demo shows the whole product on one machine with nothing installed: a small shop on SQLite in
// two versions, load on it all the time, and releases that go out and come back under that load.
//
// Shop is the application, which the process driver starts as a child; Load writes and reads through
// the proxy and remembers what was acknowledged; Run tells the story and does the sums at the end.
package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// The versions of the shop. V1 knows customers by first_name and last_name, V2 by full_name; neither
// knows the other's columns.
const (
	V1 = "v1"
	V2 = "v2"
)

// customer is what the shop's API takes and gives, in both versions.
type customer struct {
	ID   int64  `json:"id"`
	Name string `json:"name"` // first and last name with one space between
}

// Shop serves a version of the shop on the address until the context ends, and lingers for a while then: who has looked
// up its address just before is still answered.
func Shop(ctx context.Context, version, address, file string, linger time.Duration) error {
	q, ok := shopQueries[version]
	if !ok {
		return fmt.Errorf("there is no version %q of the shop", version)
	}
	db, err := openFile(file, 8)
	if err != nil {
		return err
	}
	defer db.Close()
	writer, err := openFile(file, 1)
	if err != nil {
		return err
	}
	defer writer.Close()
	s := &shop{db: db, writer: writer, queries: q}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("POST /customers", s.create)
	mux.HandleFunc("PUT /customers/{id}", s.rename)
	mux.HandleFunc("GET /customers/{id}", s.get)
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Version", version)
			mux.ServeHTTP(w, r)
		}),
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		time.Sleep(linger)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		ended <- server.Shutdown(drain)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

// Probe asks a shop for its health.
func Probe(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

// openFile opens the shop's database. Those who write share one connection, each in turn: SQLite lets one
// write at a time, and the others, each asking again and again, could wait for ever.
func openFile(file string, connections int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(20000)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open the shop's database %s: %w", file, err)
	}
	db.SetMaxOpenConns(connections)
	return db, nil
}

// queries is how a version speaks to the database.
type queries struct {
	insert, update, get string
	arguments           func(name string) []any
}

var shopQueries = map[string]queries{
	V1: {
		insert: "INSERT INTO customers (first_name, last_name) VALUES (?, ?)",
		update: "UPDATE customers SET first_name = ?, last_name = ? WHERE id = ?",
		get:    "SELECT first_name || ' ' || last_name FROM customers WHERE id = ?",
		arguments: func(name string) []any {
			first, last, _ := strings.Cut(name, " ")
			return []any{first, last}
		},
	},
	V2: {
		insert:    "INSERT INTO customers (full_name) VALUES (?)",
		update:    "UPDATE customers SET full_name = ? WHERE id = ?",
		get:       "SELECT full_name FROM customers WHERE id = ?",
		arguments: func(name string) []any { return []any{name} },
	},
}

type shop struct {
	db     *sql.DB
	writer *sql.DB
	queries
}

// health looks at the very columns the version needs: a version on a schema it does not know is ill.
func (s *shop) health(w http.ResponseWriter, r *http.Request) {
	var name sql.NullString
	if err := s.db.QueryRowContext(r.Context(), s.queries.get, 1).Scan(&name); err != nil && !errors.Is(err, sql.ErrNoRows) {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *shop) create(w http.ResponseWriter, r *http.Request) {
	var c customer
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	result, err := s.writer.ExecContext(r.Context(), s.insert, s.arguments(c.Name)...)
	if err == nil {
		c.ID, err = result.LastInsertId()
	}
	answer(w, c, err)
}

func (s *shop) rename(w http.ResponseWriter, r *http.Request) {
	var c customer
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var err error
	if c.ID, err = strconv.ParseInt(r.PathValue("id"), 10, 64); err == nil {
		_, err = s.writer.ExecContext(r.Context(), s.update, append(s.arguments(c.Name), c.ID)...)
	}
	answer(w, c, err)
}

func (s *shop) get(w http.ResponseWriter, r *http.Request) {
	var c customer
	var err error
	if c.ID, err = strconv.ParseInt(r.PathValue("id"), 10, 64); err == nil {
		err = s.db.QueryRowContext(r.Context(), s.queries.get, c.ID).Scan(&c.Name)
	}
	answer(w, c, err)
}

func answer(w http.ResponseWriter, c customer, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c)
}
