package servers_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestNginx starts NGINX with a configuration of ours.
func TestNginx(t *testing.T) {
	if testing.Short() {
		return
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	stop, err := servers.StartNginx(t.Context(), fmt.Sprintf("events {}\nhttp { server { listen %s; location / { return 200 hello; } } }\n", address))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	require.Eventually(t, func() bool { return fetch("http://"+address, "") == "hello" }, 20*time.Second, 50*time.Millisecond)
}

// TestEtcd stores a key and reads it.
func TestEtcd(t *testing.T) {
	if testing.Short() {
		return
	}
	url, stop, err := servers.StartEtcd(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	require.NotContains(t, fetch(url+"/v3/kv/put", `{"key": "Zm9v", "value": "YmFy"}`), "error")
	require.Contains(t, fetch(url+"/v3/kv/range", `{"key": "Zm9v"}`), `"value":"YmFy"`)
}

// fetch returns a body, or what went wrong.
func fetch(url, post string) string {
	method := http.MethodGet
	if post != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, url, strings.NewReader(post))
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
