package metrics

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// textfile keeps a file in step with a registry. It is written by a goroutine of its own, so that nobody waits for a disk,
// and at most once in a while: metrics change with each batch of a backfill.
type textfile struct {
	path    string
	from    prometheus.Gatherer
	wake    chan struct{}
	stop    chan struct{}
	ended   chan struct{}
	problem error // the goroutine's, until ended is closed
}

// between is how long the file stays as it is at least, but at the end.
const between = time.Second

func newTextfile(path string, from prometheus.Gatherer) (*textfile, error) {
	if !strings.HasSuffix(path, ".prom") {
		return nil, errors.New("the file of metrics has to end with .prom: node_exporter reads no other")
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("the folder of the file of metrics: %w", err)
	}
	f := &textfile{path: path, from: from, wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	go f.run()
	return f, nil
}

func (f *textfile) changed() {
	select {
	case f.wake <- struct{}{}:
	default: // it is about to be written anyway
	}
}

func (f *textfile) run() {
	defer close(f.ended)
	for range f.wake { // what changes while it is written, or left alone, is one more
		f.problem = f.write()
		select {
		case <-time.After(between):
		case <-f.stop:
		}
	}
}

// close writes the file for the last time.
func (f *textfile) close() error {
	close(f.stop)
	close(f.wake)
	<-f.ended
	return f.problem
}

func (f *textfile) write() error {
	if err := prometheus.WriteToTextfile(f.path, f.from); err != nil {
		return fmt.Errorf("write the file of metrics: %w", err)
	}
	return nil
}
