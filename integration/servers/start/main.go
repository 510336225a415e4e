// Command start starts one server of each kind and a control plane of Kubernetes for the tests, runs the command it is given with their
// URLs in its environment, and ends them. Its exit code is the command's.
//
//	go run ./integration/servers/start -- go test ./...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/switchbackdb/switchback/integration/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: start -- COMMAND [ARG…]")
		return 2
	}
	env, end, err := startAll(ctx)
	defer end()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startAll starts the servers side by side. end stops those that were started, also after an error.
func startAll(ctx context.Context) (env []string, end func(), err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var stops []func() error
	for _, k := range servers.All() {
		wg.Go(func() {
			begun := time.Now()
			url, stop, serr := servers.Start(ctx, k)
			mu.Lock()
			defer mu.Unlock()
			if stop != nil {
				stops = append(stops, stop)
			}
			err = errors.Join(err, serr)
			env = append(env, k.Variable()+"="+url)
			fmt.Fprintf(os.Stderr, "%-12s %s\n", k.Name, time.Since(begun).Round(100*time.Millisecond))
		})
	}
	wg.Go(func() {
		if os.Getenv(servers.KubernetesVariable) != "" {
			return // it runs already, or is not needed
		}
		begun := time.Now()
		dir, stop, serr := servers.StartKubernetes(ctx)
		mu.Lock()
		defer mu.Unlock()
		if stop != nil {
			stops = append(stops, stop)
		}
		err = errors.Join(err, serr)
		env = append(env, servers.KubernetesVariable+"="+dir)
		fmt.Fprintf(os.Stderr, "%-12s %s\n", "kubernetes", time.Since(begun).Round(100*time.Millisecond))
	})
	wg.Wait()
	return env, func() {
		for _, stop := range stops {
			if err := stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}, err
}
