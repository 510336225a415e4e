package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkProxy measures requests through the proxy beside the same requests straight to the
// application. Client and application run in the same process, so the difference of the two is what
// the proxy costs.
func BenchmarkProxy(b *testing.B) {
	text := strings.Repeat("a small answer. ", 16)
	address := serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, text)
	}))
	p := start(b)
	p.shift(b, "op", 1, split(address, deadAddress(b), 0))
	targets := []struct{ name, url string }{{"direct", "http://" + address}, {"proxied", p.url}}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, target := range targets {
			b.Run(method+"/"+target.name, func(b *testing.B) { hammer(b, method, target.url) })
		}
	}
}

func hammer(b *testing.B, method, url string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			var body io.Reader
			if method == http.MethodPost {
				body = strings.NewReader("one order, please")
			}
			req, err := http.NewRequest(method, url, body)
			require.NoError(b, err)
			resp, err := client.Do(req)
			require.NoError(b, err)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(b, err)
			require.NoError(b, resp.Body.Close())
			require.Equal(b, http.StatusOK, resp.StatusCode)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
