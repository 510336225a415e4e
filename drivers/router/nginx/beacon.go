package nginx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// settle is for how long no other generation may answer until a reload is taken for done. NGINX starts its new
	// workers 100 ms before it tells the old ones to take no more connections; until then either may answer.
	settle = 300 * time.Millisecond
	// beaconPoll is how often it is asked.
	beaconPoll = 15 * time.Millisecond
	// beaconPatience is how long one answer may take.
	beaconPatience = 2 * time.Second
)

// errSilent is wrapped by the error about a beacon where nobody listens.
var errSilent = errors.New("nobody answers")

// answer is what a beacon says.
type answer struct {
	generation int64
	mark       string
}

// beacon asks NGINX which generation it serves, each time on a new connection: an old one would belong to an old
// worker.
type beacon struct {
	address string
	client  *http.Client
}

func newBeacon(address string) *beacon {
	network, where := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, where = "unix", path
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, where)
	}
	return &beacon{address: address, client: &http.Client{
		Timeout:   beaconPatience,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}}
}

func (b *beacon) ask(ctx context.Context) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://beacon/", nil)
	if err != nil {
		return a, err
	}
	resp, err := b.client.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" && !op.Timeout() && ctx.Err() == nil {
			return a, fmt.Errorf("%w at the beacon %s (%w)", errSilent, b.address, op.Err)
		}
		return a, fmt.Errorf("ask the beacon %s: %w", b.address, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	if err != nil {
		return a, fmt.Errorf("ask the beacon %s: %w", b.address, err)
	}
	if n, err := fmt.Sscanf(string(body), "switchback %d %s\n", &a.generation, &a.mark); err != nil || n != 2 {
		return a, fmt.Errorf("something else than the beacon answers at %s: %s %q", b.address, resp.Status, body)
	}
	return a, nil
}

// prove waits until new connections have met nothing but the wanted generation for a while.
func (b *beacon) prove(ctx context.Context, want answer, patience time.Duration) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(beaconPoll)
	defer tick.Stop()
	var since time.Time
	for {
		got, err := b.ask(ctx)
		switch {
		case err != nil || got != want:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= settle:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			switch {
			case err != nil:
				return fmt.Errorf("%s after the reload %w", patience, err)
			case got != want:
				return fmt.Errorf("%s after the reload NGINX still serves generation %d", patience, got.generation)
			}
			return fmt.Errorf("%s after the reload new connections still meet workers of another generation", patience)
		}
	}
}
