package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/switchbackdb/switchback/strategies"
)

// maxStateBytes bounds what is read from a state file or an admin request; two backends need less
// than a kilobyte.
const maxStateBytes = 1 << 20

// ErrCorruptState is wrapped by the error about a state file that cannot be understood. The proxy
// does not start on one: guessing would send traffic to the wrong version.
var ErrCorruptState = errors.New("corrupt routing state")

// readState reads the routing stored in path. A file that does not exist is an empty routing.
func readState(path string) (strategies.Routing, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return strategies.Routing{}, nil
	}
	if err != nil {
		return strategies.Routing{}, fmt.Errorf("read routing state: %w", err)
	}
	defer func() { _ = f.Close() }()

	var routing strategies.Routing
	if err := decodeStrict(f, &routing); err != nil {
		return strategies.Routing{}, corrupt(path, err)
	}
	if err := strategies.CheckBackends(routing.Backends); err != nil {
		return strategies.Routing{}, corrupt(path, err)
	}
	return routing, nil
}

func corrupt(path string, err error) error {
	return fmt.Errorf("%w in %s: %w; restore the file, or remove it to start with no backends", ErrCorruptState, path, err)
}

// decodeStrict reads exactly one JSON value of bounded size: unknown fields, a second value or
// rubbish behind the first are errors.
func decodeStrict(r io.Reader, v any) error {
	data, err := io.ReadAll(io.LimitReader(r, maxStateBytes+1))
	if err != nil {
		return err
	}
	if len(data) > maxStateBytes {
		return fmt.Errorf("larger than %d bytes", maxStateBytes)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("empty")
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// writeState stores routing in path so that a crash at any moment leaves the old file or the new
// one, whole.
func writeState(path string, routing strategies.Routing) error {
	data, err := json.MarshalIndent(routing, "", "  ")
	if err != nil {
		return fmt.Errorf("encode routing state: %w", err)
	}
	if err := replaceFile(path, append(data, '\n')); err != nil {
		return fmt.Errorf("write routing state %s: %w", path, err)
	}
	return nil
}

func replaceFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already once renamed
	if _, err := tmp.Write(data); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Sync(); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
