package nginx

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// tables are where Linux lists the TCP connections of this machine.
func tables() []string { return []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} }

// States of a connection on which a request may be under way, as the tables have them.
const (
	established = "01"
	synSent     = "02"
	closeWait   = "08"
)

// connections counts the TCP connections with the address at either end. Once no worker sends new requests there,
// each carries a request: old workers close idle connections at once when they are told to end, and new ones have
// none.
func connections(ctx context.Context, address string) (int, error) {
	ends, err := resolve(ctx, address)
	if err != nil {
		return 0, err
	}
	seen := map[[2]netip.AddrPort]bool{}
	for i, table := range tables() {
		if err := scan(table, ends, seen); err != nil {
			if i > 0 && errors.Is(err, fs.ErrNotExist) {
				continue // no IPv6 here
			}
			return 0, fmt.Errorf("count connections: %w", err)
		}
	}
	return len(seen), nil
}

func resolve(ctx context.Context, address string) (map[netip.AddrPort]bool, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	ends := map[netip.AddrPort]bool{}
	for _, ip := range ips {
		ends[netip.AddrPortFrom(ip.Unmap(), uint16(n))] = true
	}
	return ends, nil
}

// scan adds the connections of a table to seen. One between two processes of this machine is listed from both ends
// and counts once.
func scan(table string, ends map[netip.AddrPort]bool, seen map[[2]netip.AddrPort]bool) error {
	f, err := os.Open(table)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan() // the heading
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 {
			return fmt.Errorf("read %s: %q is no connection", table, lines.Text())
		}
		if s := fields[3]; s != established && s != synSent && s != closeWait {
			continue
		}
		local, err := endpoint(fields[1])
		if err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		remote, err := endpoint(fields[2])
		if err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		switch {
		case ends[remote]:
			seen[[2]netip.AddrPort{local, remote}] = true
		case ends[local]:
			seen[[2]netip.AddrPort{remote, local}] = true
		}
	}
	return lines.Err()
}

// endpoint reads ADDRESS:PORT in hexadecimal digits, the address as words of the machine's own order.
func endpoint(text string) (end netip.AddrPort, err error) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return end, fmt.Errorf("%q is no address", text)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return end, fmt.Errorf("%q has no port", text)
	}
	ip, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), nil
}
