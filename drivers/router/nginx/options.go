package nginx

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Options say which NGINX a Router drives, and how.
type Options struct {
	Include string        // the path that nginx.conf includes; the Router's alone
	Name    string        // of the variable that holds the chosen upstream, and before the upstreams' names; default "switchback"
	Beacon  string        // where the generation is told: a loopback HOST:PORT or unix:PATH; default "127.0.0.1:8911"
	Test    []string      // tests NGINX's configuration; default nginx -t
	Reload  []string      // has NGINX load it; default nginx -s reload
	Timeout time.Duration // how long each of those, and the proof of the reload, may take; default 10s
}

// OptionError is an option that cannot be used.
type OptionError struct {
	Option string // include, name, beacon, test, reload, timeout
	Reason string
}

func (e *OptionError) Error() string { return e.Option + " " + e.Reason }

var (
	plainName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)
)

// maxSocketPath is the longest path of a Unix socket that every system takes.
const maxSocketPath = 103

// complete puts the defaults in and checks what was given: all of it ends up in directives or command lines.
func (o *Options) complete() error {
	if o.Include == "" {
		return &OptionError{"include", "is missing: the path that nginx.conf includes in its http block"}
	}
	path, err := filepath.Abs(o.Include)
	if err != nil {
		return &OptionError{"include", err.Error()}
	}
	o.Include = path
	if o.Name == "" {
		o.Name = "switchback"
	}
	if !plainName.MatchString(o.Name) {
		return &OptionError{"name", fmt.Sprintf("%q is not a name of lower case letters, digits and _", o.Name)}
	}
	if o.Beacon == "" {
		o.Beacon = "127.0.0.1:8911"
	}
	if err := checkBeacon(o.Beacon); err != nil {
		return err
	}
	if len(o.Test) == 0 {
		o.Test = []string{"nginx", "-t"}
	}
	if len(o.Reload) == 0 {
		o.Reload = []string{"nginx", "-s", "reload"}
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Timeout < 2*settle {
		return &OptionError{"timeout", fmt.Sprintf("%s is too short: a reload is watched for %s alone", o.Timeout, settle)}
	}
	return nil
}

// checkBeacon takes this machine's own addresses only: the beacon is nobody else's business, and a drain looks at
// this machine's connections.
func checkBeacon(address string) error {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !plainPath.MatchString(path) || len(path) > maxSocketPath {
			return &OptionError{"beacon", fmt.Sprintf("%q is not unix: and an absolute path of letters, digits, and ._/-, of %d bytes at most", address, maxSocketPath)}
		}
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		ip, notIP := netip.ParseAddr(host)
		n, notPort := strconv.ParseUint(port, 10, 16)
		if notIP == nil && ip.IsLoopback() && ip.Zone() == "" && notPort == nil && n > 0 {
			return nil
		}
	}
	return &OptionError{"beacon", fmt.Sprintf("%q is neither a loopback address such as 127.0.0.1:8911 nor unix:/PATH", address)}
}
