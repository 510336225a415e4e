// Command application is what the conformance suite has a service start. MODE says how it behaves, LISTEN
// where it listens. With the argument "probe" it is its own healthcheck.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
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
