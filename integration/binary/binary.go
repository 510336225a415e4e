// Package binary builds the real command for the tests that run and kill it.
package binary

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// Binary is the command, built when it is first asked for, with the failpoints that let a test kill it at a
// chosen mark. The zero value is ready for use.
type Binary struct {
	once sync.Once
	dir  atomic.Value // where it was built, if it was
	path string
	err  error
}

// Path builds the command, once, and returns where it is.
func (b *Binary) Path() (string, error) {
	b.once.Do(func() { b.path, b.err = b.build() })
	return b.path, b.err
}

func (b *Binary) build() (string, error) {
	dir, err := os.MkdirTemp("", "switchback-test-")
	if err != nil {
		return "", err
	}
	b.dir.Store(dir)
	path := filepath.Join(dir, "switchback")
	cmd := exec.Command("go", "build", "-tags", "failpoint", "-o", path, "github.com/switchbackdb/switchback/cmd/switchback")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // static, as the one that people get
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return path, nil
}

// Remove removes what was built.
func (b *Binary) Remove() {
	if dir, ok := b.dir.Load().(string); ok {
		_ = os.RemoveAll(dir)
	}
}

// KillPoints are the marks at which the test of a name kills a command, the nth counted from 1 and the last always among
// them: each where SWITCHBACK_KILLS says "all", otherwise every tenth from a first one that the name gives, so that tests
// of a kind share the marks among them.
func KillPoints(test string, of int) []int {
	every, first := 10, 0
	if os.Getenv("SWITCHBACK_KILLS") == "all" {
		every = 1
	}
	for _, letter := range test {
		first += int(letter)
	}
	var points []int
	for n := 1 + first%every; n < of; n += every {
		points = append(points, n)
	}
	return append(points, of)
}

// Output is what a command has printed so far. It may be read while the command runs; the zero value is ready for use.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
