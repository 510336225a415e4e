package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// freeAddress puts an address nobody listens on into an environment variable: address NAME.
func freeAddress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: address NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// get fetches a URL once somebody listens there, and fails unless the status is the wanted one, as in
// get 200 http://…. The version that answered and the body go to stdout.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: get STATUS URL")
	}
	client := &http.Client{Timeout: 10 * time.Second}
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := client.Get(args[1])
		if err != nil && time.Now().Before(deadline) && strings.Contains(err.Error(), "connection refused") {
			time.Sleep(20 * time.Millisecond) // nobody listens yet
			continue
		}
		ts.Check(err)
		body, err := io.ReadAll(resp.Body)
		ts.Check(err)
		ts.Check(resp.Body.Close())
		_, err = io.WriteString(ts.Stdout(), resp.Header.Get("X-Version")+" "+string(body)+"\n")
		ts.Check(err)
		if !strings.HasPrefix(resp.Status, args[0]) {
			ts.Fatalf("%s: %s", args[1], resp.Status)
		}
		return
	}
}
