package engine

import (
	"net"
	"net/url"
)

// OnThisMachine tells whether the address of an engine is one of this machine.
func OnThisMachine(host string) bool {
	u, err := url.Parse(host)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "unix" || u.Scheme == "npipe" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
