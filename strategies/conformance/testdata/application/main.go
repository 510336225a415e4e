// Command application is what the conformance suite has a service start. MODE says how it behaves, LISTEN
// where it listens. With the argument "probe" it is its own healthcheck, with "load" and HOST:PORT/PATH it asks one of the
// addresses of that host after another.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "load" {
		load(os.Args[2])
		return
	}
	listen := os.Getenv("LISTEN")
	if len(os.Args) > 1 && os.Args[1] == "probe" {
		resp, err := http.Get("http://" + listen + "/healthz")
		if err != nil || resp.StatusCode != http.StatusOK {
			fmt.Println("the probe failed with", os.Getenv("SECRET"))
			os.Exit(1)
		}
		return
	}
	status := http.StatusOK
	switch os.Getenv("MODE") {
	case "fail":
		fmt.Println("the first line")
		fmt.Fprintln(os.Stderr, "no entry with", os.Getenv("SECRET"))
		os.Exit(3)
	case "ill":
		status = http.StatusServiceUnavailable
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	default:
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		go func() {
			<-asked
			os.Exit(0)
		}()
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, os.Getenv("NAME"))
	})
	fmt.Println(http.ListenAndServe(listen, nil))
	os.Exit(1)
}

// load asks for a page every few milliseconds until it is told to end, each time at one of the addresses that the name
// has then and over a connection of its own. It says how many of its requests failed.
func load(target string) {
	hostPort, path, _ := strings.Cut(target, "/")
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	var all sync.WaitGroup
	var mu sync.Mutex
	failed, last := 0, ""
	for n := 0; ; n++ {
		select {
		case <-asked:
			all.Wait()
			fmt.Printf("%d requests, %d failed %s\n", n, failed, last)
			return
		case <-time.After(25 * time.Millisecond):
		}
		all.Go(func() {
			if err := once(host, port, path, n); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed, last = failed+1, err.Error()
			}
		})
	}
}

func once(host, port, path string, n int) error {
	addresses, err := net.LookupHost(host)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + net.JoinHostPort(addresses[n%len(addresses)], port) + "/" + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
