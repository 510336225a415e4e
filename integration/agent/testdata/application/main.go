// Command application is what the agent's tests run in containers. It answers with its NAME at LISTEN. /ill and /well
// say what its healthcheck finds, which it is itself with the argument "probe". Told to stop, it serves until it has
// had no request for LINGER.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	listen := os.Getenv("LISTEN")
	if len(os.Args) > 1 && os.Args[1] == "probe" {
		resp, err := http.Get("http://" + listen + "/healthz")
		if err != nil || resp.StatusCode != http.StatusOK {
			os.Exit(1)
		}
		return
	}
	linger, err := time.ParseDuration(os.Getenv("LINGER"))
	if err != nil {
		linger = 0
	}
	var last, ill atomic.Int64
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		last.Store(time.Now().UnixNano())
		_, _ = fmt.Fprint(w, os.Getenv("NAME"))
	})
	http.HandleFunc("/ill", func(http.ResponseWriter, *http.Request) { ill.Store(1) })
	http.HandleFunc("/well", func(http.ResponseWriter, *http.Request) { ill.Store(0) })
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if ill.Load() != 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() {
		<-told
		told := time.Now()
		for time.Since(told) < linger || time.Since(time.Unix(0, last.Load())) < linger {
			time.Sleep(10 * time.Millisecond)
		}
		os.Exit(0)
	}()
	fmt.Println(http.ListenAndServe(listen, nil))
	os.Exit(1)
}
