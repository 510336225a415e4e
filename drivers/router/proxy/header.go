package proxy

import (
	"bufio"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// hopByHop tells whether a header, by its canonical name, speaks of one connection only and is not
// passed on (RFC 9110, section 7.6.1).
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// connectionTokens returns the headers that the Connection header declares to be hop-by-hop, by
// canonical name. It is nil in the usual cases, which cost no allocation.
func connectionTokens(h http.Header) []string {
	var names []string
	for _, line := range h["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			token = strings.TrimSpace(token)
			if token == "" || strings.EqualFold(token, "close") || strings.EqualFold(token, "keep-alive") ||
				strings.EqualFold(token, "upgrade") {
				continue
			}
			names = append(names, http.CanonicalHeaderKey(token))
		}
	}
	return names
}

// upgradeOf returns the protocol a message wants to switch to, empty when it does not. h2c is not
// passed on: behind the switch, requests would reach the backend unseen by the proxy.
func upgradeOf(h http.Header) string {
	to := h.Get("Upgrade")
	if to == "" || strings.EqualFold(to, "h2c") {
		return ""
	}
	for _, line := range h["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return to
			}
		}
	}
	return ""
}

// writeHead writes the request line and header for a backend. The framing of the body is ours: what
// the client said about it was understood by the server and is said anew, so that proxy and backend
// can never disagree where a request ends.
func writeHead(w *bufio.Writer, r *http.Request, upgrade string, trustForwarded bool) {
	writeAll(w, r.Method, " ", target(r), " HTTP/1.1\r\nHost: ", r.Host, "\r\n")
	skip := connectionTokens(r.Header)
	for name, values := range r.Header {
		if hopByHop(name) || ownHeader(name) || (skip != nil && slices.Contains(skip, name)) {
			continue
		}
		for _, value := range values {
			writeAll(w, name, ": ", value, "\r\n")
		}
	}
	writeForwarded(w, r, trustForwarded)
	switch {
	case upgrade != "":
		writeAll(w, "Connection: Upgrade\r\nUpgrade: ", upgrade, "\r\n")
	case r.ContentLength > 0:
		writeAll(w, "Content-Length: ", strconv.FormatInt(r.ContentLength, 10), "\r\n")
	case r.ContentLength < 0:
		writeAll(w, "Transfer-Encoding: chunked\r\n")
		for name := range r.Trailer {
			writeAll(w, "Trailer: ", name, "\r\n")
		}
	case r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch:
		writeAll(w, "Content-Length: 0\r\n")
	}
	writeAll(w, "\r\n")
}

// target returns what to ask the backend for: the bytes the client sent, unless it named the server
// as well.
func target(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") || r.RequestURI == "*" {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// ownHeader tells whether the proxy writes a header itself, or answers it: it gives a client that
// expects 100 Continue that answer when it reads the body.
func ownHeader(name string) bool {
	switch name {
	case "Host", "Content-Length", "Expect", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		return true
	}
	return false
}

// writeForwarded tells the backend who asked for what.
func writeForwarded(w *bufio.Writer, r *http.Request, trust bool) {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	host, proto := r.Host, "http"
	writeAll(w, "X-Forwarded-For: ")
	if trust {
		for _, value := range r.Header["X-Forwarded-For"] {
			writeAll(w, value, ", ")
		}
		if v := r.Header.Get("X-Forwarded-Host"); v != "" {
			host = v
		}
		if v := r.Header.Get("X-Forwarded-Proto"); v != "" {
			proto = v
		}
	}
	writeAll(w, client, "\r\nX-Forwarded-Host: ", host, "\r\nX-Forwarded-Proto: ", proto, "\r\n")
	if trust {
		for _, value := range r.Header["Forwarded"] {
			writeAll(w, "Forwarded: ", value, "\r\n")
		}
	}
}

// writeAll writes without looking at errors: a bufio.Writer keeps the first one for Flush.
func writeAll(w *bufio.Writer, parts ...string) {
	for _, part := range parts {
		_, _ = w.WriteString(part)
	}
}

// copyHeader passes the header of an answer on. The slices are shared: the answer is dropped after.
func copyHeader(to, from http.Header) {
	skip := connectionTokens(from)
	for name, values := range from {
		if !hopByHop(name) && (skip == nil || !slices.Contains(skip, name)) {
			to[name] = values
		}
	}
	if _, ok := from["Content-Type"]; !ok {
		to["Content-Type"] = nil // keeps the server from guessing one
	}
}
