package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// maxSocketPath is the longest path of a Unix socket that every system takes: macOS has room for
// 104 bytes with the closing zero, Linux for 108.
const maxSocketPath = 103

// socketPath returns a name for path that is short enough for a Unix socket: path itself, or the way
// there from the current directory.
func socketPath(path string) (string, error) {
	if path == "" {
		return "", errors.New("no admin socket given")
	}
	if len(path) <= maxSocketPath {
		return path, nil
	}
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && len(rel) <= maxSocketPath {
			return rel, nil
		}
	}
	return "", fmt.Errorf("admin socket %s: the path has %d bytes, a Unix socket takes at most %d; choose a shorter one, under /tmp or /run for instance",
		path, len(path), maxSocketPath)
}

// listenSocket listens on the Unix socket path, for its owner only. A socket that a dead proxy left
// behind is replaced; one that answers is not.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	short, err := socketPath(path)
	if err != nil {
		return nil, err
	}
	if err := removeDeadSocket(ctx, path, short); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("listen on admin socket %s: %w", path, err)
	}
	// Connecting needs the right to write, which the usual umask takes from everyone else in the
	// moment before this.
	if err := os.Chmod(short, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect admin socket %s: %w", path, err), l.Close())
	}
	return l, nil
}

func removeDeadSocket(ctx context.Context, path, short string) error {
	info, err := os.Lstat(short)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at admin socket %s: %w", path, err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("admin socket %s: a file that is no socket is in the way", path)
	}
	dialer := net.Dialer{Timeout: time.Second}
	if conn, err := dialer.DialContext(ctx, "unix", short); err == nil {
		return errors.Join(fmt.Errorf("admin socket %s: another proxy is running there", path), conn.Close())
	}
	if err := os.Remove(short); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove dead admin socket %s: %w", path, err)
	}
	return nil
}
