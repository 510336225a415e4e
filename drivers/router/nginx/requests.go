package nginx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// Counting is a Router that counts requests by version: by the lines that NGINX writes to a log of ours, in the format that
// each generation defines. It implements strategies.Measurer.
type Counting struct {
	*Router
	log string

	mu     sync.Mutex
	now    *tail // nil before the first look
	before *tail // the log that was rotated last: a worker may write to it for a moment longer
	totals map[string]strategies.Measure
}

var _ strategies.Measurer = (*Counting)(nil)

// tail is a file that is read as it grows.
type tail struct {
	file *os.File // where it was left
	rest []byte   // the beginning of a line that is not written to its end yet
}

// NewCounting returns a Router that counts by the log. It touches nothing yet.
func NewCounting(o Options, log string) (*Counting, error) {
	r, err := New(o)
	if err != nil {
		return nil, err
	}
	if !plainPath.MatchString(log) {
		return nil, &OptionError{"log", fmt.Sprintf("%q is not an absolute path of letters, digits, and ._/-", log)}
	}
	return &Counting{Router: r, log: log, totals: map[string]strategies.Measure{}}, nil
}

// logFormat is what is written of a request: the version's upstream, the status, and how long the version took.
func logFormat(name string) string {
	return fmt.Sprintf("log_format %[1]s_requests '$%[1]s $status $upstream_response_time';\n", name)
}

// Measure implements strategies.Measurer. It counts from its first call on.
func (c *Counting) Measure(ctx context.Context) ([]strategies.Measure, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.follow(); err != nil {
		return nil, fmt.Errorf("count the requests of NGINX: %w\n  next: see that its location has: access_log %s %s_requests; and that it may be read here", err, c.log, c.options.Name)
	}
	routing, err := c.Observe(ctx)
	if err != nil {
		return nil, err
	}
	var list []strategies.Measure
	for _, b := range routing.Backends {
		m := c.totals[c.options.Name+"_"+string(b.Slot)]
		m.Address, m.Latency = b.Address, maps.Clone(m.Latency)
		list = append(list, m)
	}
	return list, nil
}

// follow reads what was written since the last look, of a log that was rotated in between to its end, and then the new one.
func (c *Counting) follow() (err error) {
	if c.now == nil {
		c.now, err = c.open(io.SeekEnd)
		return err
	}
	if c.before != nil {
		if err := c.read(c.before); err != nil {
			return err
		}
	}
	if err := c.read(c.now); err != nil {
		return err
	}
	was, err := c.now.file.Stat()
	if err != nil {
		return err
	}
	is, err := os.Stat(c.log)
	if os.IsNotExist(err) { // it was moved, and NGINX has not been told to make another
		return nil
	}
	if err != nil {
		return err
	}
	at, err := c.now.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	switch {
	case !os.SameFile(was, is):
		next, err := c.open(io.SeekStart)
		if err != nil {
			return err
		}
		if c.before != nil {
			_ = c.before.file.Close()
		}
		c.before, c.now = c.now, next
	case is.Size() < at: // it was emptied in its place
		if _, err := c.now.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		c.now.rest = nil
	default:
		return nil
	}
	return c.read(c.now)
}

func (c *Counting) open(whence int) (*tail, error) {
	file, err := os.Open(c.log)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, whence); err != nil {
		_ = file.Close()
		return nil, err
	}
	return &tail{file: file}, nil
}

// read counts the lines from where a file was left.
func (c *Counting) read(t *tail) error {
	part := make([]byte, 64<<10)
	for {
		n, err := t.file.Read(part)
		t.rest = append(t.rest, part[:n]...)
		for {
			line, rest, whole := bytes.Cut(t.rest, []byte("\n"))
			if !whole {
				break
			}
			c.count(string(line))
			t.rest = rest
		}
		if err == io.EOF { //nolint:errorlint // of a file, as it is
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// count takes a line into account: "switchback_green 200 0.012". What is no such line, as of a request that went to no version,
// is left out.
func (c *Counting) count(line string) {
	upstream, rest, _ := strings.Cut(line, " ")
	status, times, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(status)
	if err != nil || !strings.HasPrefix(upstream, c.options.Name+"_") {
		return
	}
	m := c.totals[upstream]
	if m.Latency == nil {
		m.Latency = map[time.Duration]uint64{}
	}
	m.Requests++
	if code >= 500 {
		m.Failed++
	}
	if took, answered := spent(times); answered {
		m.Latency[took]++
	}
	c.totals[upstream] = m
}

// spent is how long a version took: 0.012, or where a connection that was kept had been closed, 0.000, 0.012.
func spent(times string) (took time.Duration, answered bool) {
	for _, text := range strings.FieldsFunc(times, func(r rune) bool { return r == ',' || r == ':' || r == ' ' }) {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(seconds) || seconds < 0 {
			continue
		}
		took, answered = took+time.Duration(seconds*float64(time.Second)).Round(time.Millisecond), true
	}
	return took, answered
}
