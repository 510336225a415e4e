// Command reference is the other side of drivers/custom for its tests, written by docs/custom.md and by nothing of that
// package: it runs processes and moves the traffic of switchback's proxy. With "PORT VERB" it is a program that is called;
// with "serve ADDRESS" it is an HTTP server, which says where it listens once it does.
//
// STATE is the folder of its processes, PROXY the proxy's socket, SECRET what requests are signed with.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/drivers/service/process"
	"github.com/switchbackdb/switchback/internal/signed"
	"github.com/switchbackdb/switchback/strategies"
)

// message is a request.
type message struct {
	Protocol  int
	Port      string
	Verb      string
	Operation struct {
		ID    string
		Fence int64
	}
	Version struct {
		Release, Name, Health, Dir string
		Slot                       strategies.Slot
		Command                    []string
		Env                        map[string]string
	}
	Instance string
	Grace    float64
	Backends []strategies.Backend
	Over     int64
	Address  string
}

func main() {
	var err error
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		err = serve(os.Args[2])
	} else {
		err = call()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// call answers the request on standard input.
func call() error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	answer, err := handle(context.Background(), text)
	if err != nil {
		answer = refusal(err)
	}
	if werr := json.NewEncoder(os.Stdout).Encode(answer); werr != nil {
		return werr
	}
	return err
}

func serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, http.HandlerFunc(answerHTTP))
}

func answerHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = signed.Check(r.Header, os.Getenv("SECRET"), text)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	status := http.StatusOK
	answer, err := handle(r.Context(), text)
	switch {
	case errors.Is(err, strategies.ErrStaleFence) || errors.Is(err, strategies.ErrForeignChange):
		status, answer = http.StatusConflict, refusal(err)
	case err != nil:
		status, answer = http.StatusUnprocessableEntity, refusal(err)
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func refusal(err error) any {
	code := ""
	for name, kind := range map[string]error{
		"stale-fence": strategies.ErrStaleFence, "conflict": strategies.ErrForeignChange,
		"not-found": strategies.ErrNotFound, "invalid": strategies.ErrInvalidRouting,
	} {
		if errors.Is(err, kind) {
			code = name
		}
	}
	return map[string]any{"error": map[string]string{"code": code, "message": err.Error()}}
}

func handle(ctx context.Context, text []byte) (any, error) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	if m.Protocol != 1 {
		return nil, fmt.Errorf("protocol %d is not known here", m.Protocol)
	}
	switch m.Port {
	case "service":
		return service(ctx, m)
	case "router":
		return router(ctx, m)
	}
	return nil, fmt.Errorf("port %q is not known here", m.Port)
}

func service(ctx context.Context, m message) (any, error) {
	s, op := process.New(os.Getenv("STATE")), strategies.Operation{ID: m.Operation.ID, Fence: m.Operation.Fence}
	switch m.Verb {
	case "check":
		if len(m.Version.Command) == 0 {
			return nil, errors.New("there is no command")
		}
		return map[string]any{}, nil
	case "start":
		i, err := s.Start(ctx, op, strategies.Version{
			Release: m.Version.Release, Slot: m.Version.Slot, Name: m.Version.Name, Command: m.Version.Command,
			Env: m.Version.Env, Dir: m.Version.Dir, Health: m.Version.Health,
		})
		return map[string]any{"instance": told(i)}, err
	case "observe":
		i, err := s.Observe(ctx, m.Instance)
		return map[string]any{"instance": told(i)}, err
	case "list":
		list, err := s.List(ctx)
		all := []any{}
		for _, i := range list {
			all = append(all, told(i))
		}
		return map[string]any{"instances": all}, err
	case "stop":
		return map[string]any{}, s.Stop(ctx, op, m.Instance, time.Duration(m.Grace*float64(time.Second)))
	case "remove":
		return map[string]any{}, s.Remove(ctx, op, m.Instance)
	}
	return nil, fmt.Errorf("verb %q is not known here", m.Verb)
}

func told(i strategies.Instance) any {
	return map[string]any{
		"id": i.ID, "release": i.Release, "version": i.Version, "slot": i.Slot, "address": i.Address,
		"state": i.State, "detail": i.Detail, "started": i.Started,
	}
}

func router(ctx context.Context, m message) (any, error) {
	r := proxy.NewRouter(os.Getenv("PROXY"))
	switch m.Verb {
	case "observe":
		routing, err := r.Observe(ctx)
		return map[string]any{"routing": routing}, err
	case "shift":
		now, err := r.Observe(ctx)
		if err != nil {
			return nil, err
		}
		if now.Generation != m.Over && now.Operation != m.Operation.ID && now.Fence <= m.Operation.Fence {
			return nil, fmt.Errorf("generation %d is in force where %d was: %w", now.Generation, m.Over, strategies.ErrForeignChange)
		}
		routing, err := r.Shift(ctx, strategies.Operation{ID: m.Operation.ID, Fence: m.Operation.Fence}, m.Backends)
		return map[string]any{"routing": routing}, err
	case "drain":
		// One look: who asks asks again.
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		left, err := r.Drain(short, m.Address)
		return map[string]any{"left": left}, err
	}
	return nil, fmt.Errorf("verb %q is not known here", m.Verb)
}
