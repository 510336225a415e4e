package servers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Built is a server that is built from a Go module of its own, which the product's does not see, and kept in the user's
// cache.
type Built struct {
	Name    string
	Package string // of the module
	folder  string // of the module, below integration/
}

// The servers that are built.
var (
	ControlPlane = Built{"controlplane", ".", "kubernetes/controlplane"}
	Consul       = Built{"consul", "github.com/hashicorp/consul", "consul"}
)

// AllBuilt returns every one.
func AllBuilt() []Built { return []Built{ControlPlane, Consul} }

// Path is where the program is once it was built (`make built`). Its name is a hash of what it is built from.
func (b Built) Path() (string, error) {
	source, err := b.Source()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		_, _ = h.Write(content)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "switchback", b.Name+"-"+hex.EncodeToString(h.Sum(nil)[:8])), nil
}

// Source is the folder of the module.
func (b Built) Source() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("where is the source of the tests?")
	}
	return filepath.Join(filepath.Dir(filepath.Dir(file)), filepath.FromSlash(b.folder)), nil
}
