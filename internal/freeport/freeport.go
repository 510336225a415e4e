// Package freeport finds addresses for what is told where to listen before it does: servers of the tests, an NGINX of the
// demo.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
)

// Address is an address of the loopback where nobody listens, and where nobody will who asks for any port, such as a
// container engine: it is below the range of those.
func Address(ctx context.Context) (string, error) {
	for {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprint("127.0.0.1:", 15000+rand.IntN(15000)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		return l.Addr().String(), l.Close()
	}
}
