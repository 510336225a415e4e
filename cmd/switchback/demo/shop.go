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
	"time"
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
// up its address just before is still answered. Its database is a file of SQLite, or the URL of another engine's.
func Shop(ctx context.Context, version, address, database string, linger time.Duration) error {
	s, err := openShop(ctx, version, database)
	if err != nil {
		return err
	}
	defer s.close()
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
	var err error
	c.ID, err = s.add(r.Context(), c.Name)
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
