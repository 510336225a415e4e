package snapshots

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// application connects as fast as it can, and asks its question, until it is stopped. The answer is 1 or 2.
type application struct {
	stop   context.CancelFunc
	ended  sync.WaitGroup
	served atomic.Int64
	failed atomic.Int64
	mu     sync.Mutex
	others []string // answers that are neither
}

func startApplication(t *testing.T, url, question string, workers int) *application {
	ctx, stop := context.WithCancel(t.Context())
	a := &application{stop: stop}
	for range workers {
		a.ended.Go(func() {
			for ctx.Err() == nil {
				n, err := once(ctx, url, question)
				switch {
				case err != nil:
					a.failed.Add(1)
				case n != 1 && n != 2:
					a.note(fmt.Sprint(n))
				default:
					a.served.Add(1)
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond): // two workers connect up to 100 times a second
				}
			}
		})
	}
	t.Cleanup(func() { stop(); a.ended.Wait() })
	return a
}

func (a *application) note(answer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.others = append(a.others, answer)
}

// wrong are the answers that are neither those of the old contents nor those of the new.
func (a *application) wrong() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.others
}

func once(ctx context.Context, url, question string) (n int, err error) {
	db, err := servers.Connect(url)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return n, db.QueryRowContext(ctx, question).Scan(&n)
}

// wantServed waits until the application is served again.
func (a *application) wantServed(t *testing.T, at string) {
	t.Helper()
	before := a.served.Load()
	require.Eventually(t, func() bool { return a.served.Load() > before+5 }, time.Minute, 5*time.Millisecond, "%s: the application is not served", at)
}
