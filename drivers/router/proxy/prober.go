package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Health says how the backends are probed. The zero value probes by connecting, each second.
type Health struct {
	Path     string        // GET this path and expect 2xx or 3xx; empty: a TCP connection is enough
	Interval time.Duration // between two probes of a backend; 1 s when zero
	Timeout  time.Duration // for one probe; 1 s when zero
	Rise     int           // good probes in a row that make a failing backend healthy; 2 when zero
	Fall     int           // bad probes in a row that make a healthy backend failing; 3 when zero
}

func (h Health) withDefaults() Health {
	h.Interval = orDefault(h.Interval, time.Second)
	h.Timeout = orDefault(h.Timeout, time.Second)
	h.Rise = orDefault(h.Rise, 2)
	h.Fall = orDefault(h.Fall, 3)
	return h
}

// orDefault returns v, or def when v is zero or less.
func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// prober asks each backend in turn whether it is well.
type prober struct {
	cfg    Health
	client *http.Client
	log    *slog.Logger
}

func newProber(cfg Health, log *slog.Logger) *prober {
	transport := &http.Transport{
		// A probe over a kept connection would prove only that the connection lives.
		DisableKeepAlives: true,
	}
	return &prober{
		cfg: cfg,
		log: log,
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// run probes what backends returns, at once and then each interval, until ctx ends.
func (p *prober) run(ctx context.Context, backends func() []*backend) {
	tick := time.NewTicker(p.cfg.Interval)
	defer tick.Stop()
	for {
		p.round(ctx, backends())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round probes all backends side by side and waits for the slowest.
func (p *prober) round(ctx context.Context, backends []*backend) {
	var wg sync.WaitGroup
	for _, b := range backends {
		wg.Go(func() {
			err := p.probe(ctx, b.address)
			if ctx.Err() != nil {
				return // shutting down: the failure is ours
			}
			if b.health.record(err, p.cfg.Rise, p.cfg.Fall) {
				p.log.Info("health changed", "address", b.address, "healthy", err == nil, "probe", err)
			}
		})
	}
	wg.Wait()
}

func (p *prober) probe(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	if p.cfg.Path == "" {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	url := "http://" + address + p.cfg.Path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "switchback-proxy-probe")
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, 64<<10); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("GET %s: read answer: %w", url, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}
