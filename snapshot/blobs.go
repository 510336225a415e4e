package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/switchbackdb/switchback/internal/atomicfile"
)

// Blobs is where snapshots are kept. Names have slashes. A name that is not there is fs.ErrNotExist.
type Blobs interface {
	// Put writes a blob, wholly or not at all; it outlives a crash once Put has returned. One of that name
	// is replaced.
	Put(ctx context.Context, name string, data []byte) error
	// Get reads a blob. The caller closes it.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// Size is how many bytes a blob has.
	Size(ctx context.Context, name string) (int64, error)
	// List names what is directly below a prefix that ends with a slash, or is empty for all: blobs, and
	// with a slash at the end what is a prefix of blobs.
	List(ctx context.Context, prefix string) ([]string, error)
	// Remove removes all blobs whose names begin with the prefix, which ends with a slash, those named
	// first before the others. Removing what is not there is no error.
	Remove(ctx context.Context, prefix string, first ...string) error
	// String names the place, for people, without any password.
	String() string
}

// Folder keeps blobs as files of a folder, which the first one creates.
type Folder string

// String is the folder's path.
func (f Folder) String() string { return string(f) }

func (f Folder) path(name string) string { return filepath.Join(string(f), filepath.FromSlash(name)) }

// Put implements Blobs: a new file is synced and renamed, and its folder is synced.
func (f Folder) Put(_ context.Context, name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(f.path(name)), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return atomicfile.Write(f.path(name), data, 0o600)
}

// Get implements Blobs.
func (f Folder) Get(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(f.path(name))
}

// Size implements Blobs.
func (f Folder) Size(_ context.Context, name string) (int64, error) {
	info, err := os.Stat(f.path(name))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// List implements Blobs.
func (f Folder) List(_ context.Context, prefix string) ([]string, error) {
	entries, err := os.ReadDir(f.path(prefix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", f.path(prefix), err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), "."): // a file that is being written
		case e.IsDir():
			names = append(names, path.Join(prefix, e.Name())+"/")
		default:
			names = append(names, path.Join(prefix, e.Name()))
		}
	}
	return names, nil
}

// Remove implements Blobs.
func (f Folder) Remove(_ context.Context, prefix string, first ...string) error {
	if strings.Trim(prefix, "/.") == "" {
		return fmt.Errorf("remove %q: that would be the whole store", prefix)
	}
	for _, name := range first {
		if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	if err := os.RemoveAll(f.path(prefix)); err != nil {
		return fmt.Errorf("remove %s: %w", prefix, err)
	}
	return nil
}
