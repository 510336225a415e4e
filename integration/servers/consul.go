package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"time"

	"github.com/switchbackdb/switchback/internal/freeport"
)

// StartConsul starts a Consul that keeps everything in memory, and returns the URL of its API. Sessions may be as short as a
// second there.
func StartConsul(ctx context.Context) (url string, stop func() error, err error) {
	program, err := Consul.Path()
	if err != nil {
		return "", nil, err
	}
	var ports [3]string
	for i := range ports {
		address, err := freeport.Address(ctx)
		if err != nil {
			return "", nil, err
		}
		if _, ports[i], err = net.SplitHostPort(address); err != nil {
			return "", nil, err
		}
	}
	settings := fmt.Sprintf(`session_ttl_min = "1s", disable_update_check = true, connect { enabled = false },
		ports { http = %s, server = %s, serf_lan = %s, serf_wan = -1, dns = -1, grpc = -1, grpc_tls = -1 }`, ports[0], ports[1], ports[2])
	var said bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, "agent", "-dev", "-node", "machine", "-bind", "127.0.0.1", "-hcl", settings)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start Consul, which `make built` builds: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() error {
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			return err
		}
		<-ended //nolint:errcheck // by that signal, which is what its exit code says
		return nil
	}
	url = "http://127.0.0.1:" + ports[0]
	for deadline := time.Now().Add(time.Minute); ; {
		if leads(ctx, url) {
			return url, stop, nil
		}
		select {
		case err := <-ended:
			return "", nil, fmt.Errorf("the Consul ended: %w: %s", err, said.String())
		case <-time.After(20 * time.Millisecond):
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return "", nil, errors.Join(errors.New("the Consul has no leader"), context.Cause(ctx), stop())
		}
	}
}

// leads tells whether a Consul has a leader that answers, and itself as a machine.
func leads(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/health/node/machine", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && bytes.Contains(text, []byte("serfHealth"))
}
