package nginx

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/strategies"
)

// idleTimeout is how long an unused connection to the application is kept. It is shorter than what common
// application servers grant (Node.js 5 s), so that none is closed by the other end just as a request goes out on it:
// NGINX would not repeat one that is not idempotent, and the client would see it fail.
const idleTimeout = "4s"

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$`)

// checkHost takes only what can be nothing but a host in a server directive.
func checkHost(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return nil
	}
	if !hostName.MatchString(host) {
		return fmt.Errorf("address %q: NGINX is given IP addresses and names of letters, digits, and ._- only", address)
	}
	return nil
}

// checkBackends tells whether the backends can be written as directives.
func checkBackends(backends []strategies.Backend) error {
	if err := strategies.CheckBackends(backends); err != nil {
		return err
	}
	for i, b := range backends {
		if err := checkHost(b.Address); err != nil {
			return fmt.Errorf("%w: backend %d: %w", strategies.ErrInvalidRouting, i+1, err)
		}
	}
	return nil
}

// render writes a generation as directives of the http block. Of a backend only its slot, address and weight get
// there, which checkBackends has looked at. The mark tells the beacon's answer from that of another text.
//
// Each upstream has one server: a request that failed on one version is not repeated on the other, so that no
// version's failures hide behind the other, and nothing is done twice. A backend without weight is left out: it may
// be gone already, and NGINX refuses names that do not resolve.
func render(o Options, generation int64, backends []strategies.Backend) (text, mark string) {
	h := sha256.Sum256([]byte(directives(o, generation, backends, "")))
	mark = hex.EncodeToString(h[:8])
	return directives(o, generation, backends, mark), mark
}

func directives(o Options, generation int64, backends []strategies.Backend, mark string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Generation %d. Switchback writes this file and loads no edit of it. In nginx.conf: proxy_pass http://$%s;\n", generation, o.Name)
	var served []strategies.Backend
	for _, backend := range backends {
		if backend.Weight > 0 {
			served = append(served, backend)
			fmt.Fprintf(&b, "upstream %s_%s {\n    server %s;\n    keepalive 32;\n    keepalive_timeout %s;\n}\n", o.Name, backend.Slot, backend.Address, idleTimeout)
		}
	}
	fmt.Fprintf(&b, "split_clients \"$request_id\" $%s {\n", o.Name)
	for i, backend := range served {
		share := fmt.Sprintf("%d%%", backend.Weight)
		if i == len(served)-1 {
			share = "*"
		}
		fmt.Fprintf(&b, "    %s %s_%s;\n", share, o.Name, backend.Slot)
	}
	b.WriteString("}\n")
	b.WriteString(logFormat(o.Name))
	fmt.Fprintf(&b, "server {\n    listen %s;\n    access_log off;\n    default_type text/plain;\n    return 200 \"switchback %d %s\\n\";\n}\n", o.Beacon, generation, mark)
	return b.String()
}
