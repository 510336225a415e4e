// Package file keeps service discovery in one JSON file: who is where, for one machine and for trying
// things out. The file is replaced whole and a lock beside it keeps writers apart, so a reader needs
// neither a lock nor this package.
package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/internal/filelock"
	"github.com/switchbackdb/switchback/strategies"
)

// Discovery implements strategies.Discovery with a file.
type Discovery struct{ path string }

var _ strategies.Discovery = (*Discovery)(nil)

// New returns the discovery kept in the file, which it creates at the first registration.
func New(path string) *Discovery { return &Discovery{path: path} }

// document is the file's content.
type document struct {
	Fence         int64                     `json:"fence"` // the highest seen
	Registrations []strategies.Registration `json:"registrations"`
}

// Register implements strategies.Discovery.
func (d *Discovery) Register(ctx context.Context, op strategies.Operation, r strategies.Registration) error {
	r.Operation, r.Fence = op.ID, op.Fence
	err := d.change(ctx, op, func(doc *document) {
		doc.put(r)
	})
	if err != nil {
		return fmt.Errorf("register %s: %w", r.Key, err)
	}
	return nil
}

// Deregister implements strategies.Discovery.
func (d *Discovery) Deregister(ctx context.Context, op strategies.Operation, key string) error {
	if err := d.change(ctx, op, func(doc *document) { doc.remove(key) }); err != nil {
		return fmt.Errorf("deregister %s: %w", key, err)
	}
	return nil
}

// List implements strategies.Discovery.
func (d *Discovery) List(context.Context) ([]strategies.Registration, error) {
	doc, err := d.read()
	if err != nil {
		return nil, fmt.Errorf("list registrations: %w", err)
	}
	return doc.Registrations, nil
}

func (doc *document) put(r strategies.Registration) {
	doc.remove(r.Key)
	doc.Registrations = append(doc.Registrations, r)
	slices.SortFunc(doc.Registrations, func(a, b strategies.Registration) int { return strings.Compare(a.Key, b.Key) })
}

func (doc *document) remove(key string) {
	doc.Registrations = slices.DeleteFunc(doc.Registrations, func(r strategies.Registration) bool { return r.Key == key })
}

// change edits the registrations under an operation's fence.
func (d *Discovery) change(ctx context.Context, op strategies.Operation, edit func(*document)) error {
	return d.edit(ctx, func(doc *document) (bool, error) {
		if op.Fence < doc.Fence {
			return false, fmt.Errorf("fence %d, seen %d: %w", op.Fence, doc.Fence, strategies.ErrStaleFence)
		}
		doc.Fence = op.Fence
		edit(doc)
		return true, nil
	})
}

// edit changes the file under its lock, if what is called says that it has changed something.
func (d *Discovery) edit(ctx context.Context, change func(*document) (bool, error)) error {
	if err := os.MkdirAll(filepath.Dir(d.path), 0o755); err != nil {
		return err
	}
	lock, err := filelock.Take(ctx, d.path+".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	doc, err := d.read()
	if err != nil {
		return err
	}
	if changed, err := change(&doc); err != nil || !changed {
		return err
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(d.path, append(data, '\n'), 0o644)
}

func (d *Discovery) read() (document, error) {
	var doc document
	data, err := os.ReadFile(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return doc, nil
	}
	if err != nil {
		return doc, err
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return doc, fmt.Errorf("read %s: %w", d.path, err)
	}
	return doc, nil
}
