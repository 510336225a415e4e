package nginx

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/strategies"
)

// kept is how many generations before the newest are kept for people to look at.
const kept = 3

// files are the link that nginx.conf includes and the folder beside it.
type files struct {
	link string
	dir  string
}

// state is what a run leaves to the next.
type state struct {
	Kind    string `json:"kind,omitempty"` // see include
	Fence   int64  `json:"fence"`          // the highest seen
	Current int64  `json:"current"`        // the generation that was proven last; 0 before the first
	Next    int64  `json:"next,omitempty"` // the one on its way into force, or cut off there
}

// generation is the record of a generation.
type generation struct {
	Routing strategies.Routing `json:"routing"`
	Mark    string             `json:"mark"` // with which its beacon answers
	Number  int64              `json:"-"`    // known by the file's name
	// The rest is of Upstreams, which have no routing.
	Pools   []Pool `json:"pools,omitempty"`
	Content string `json:"content,omitempty"` // a hash of what differs between generations beside their number
}

func (f files) path(n int64, ext string) string {
	return filepath.Join(f.dir, fmt.Sprintf("gen-%d.%s", n, ext))
}

func (f files) target(n int64) string {
	return filepath.Join(filepath.Base(f.dir), filepath.Base(f.path(n, "conf")))
}

func (f files) state() (s state, err error) {
	err = readJSON(filepath.Join(f.dir, "state.json"), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	return s, err
}

func (f files) setState(s state) error {
	return writeJSON(filepath.Join(f.dir, "state.json"), s)
}

func (f files) generation(n int64) (g generation, err error) {
	err = readJSON(f.path(n, "json"), &g)
	g.Number = n
	return g, err
}

func (f files) setGeneration(n int64, g generation) error {
	return writeJSON(f.path(n, "json"), g)
}

// write stores a generation. The link does not point to it yet.
func (f files) write(n int64, g generation, text string) error {
	if err := f.setGeneration(n, g); err != nil {
		return err
	}
	for _, ext := range []string{"written", "conf"} {
		if err := atomicfile.Write(f.path(n, ext), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// point makes the link point to a generation, or takes it away for 0.
func (f files) point(n int64) error {
	if target, err := os.Readlink(f.link); err == nil && n != 0 && target == f.target(n) {
		return atomicfile.SyncDir(filepath.Dir(f.link)) // it may be of a run that was killed before this
	}
	if n == 0 {
		if err := os.Remove(f.link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return atomicfile.SyncDir(filepath.Dir(f.link))
	}
	// Under the lock, so one name is enough. It must not end in .conf: nginx.conf may include all of those.
	temporary := f.link + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(f.target(n), temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, f.link); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(f.link))
}

// untouched tells whether the link and what it points to are as they were left. load is the command that has NGINX
// load what was put right.
func (f files) untouched(s state, load string) error {
	ours := fmt.Sprintf("ln -sfn %s %s && %s", f.target(s.Current), f.link, load)
	if s.Current == 0 {
		ours = "mv " + f.link + " " + f.link + ".theirs"
	}
	target, err := os.Readlink(f.link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if s.Current == 0 {
			return nil
		}
		return fmt.Errorf("%s is gone: %w; put it back with: %s", f.link, strategies.ErrForeignChange, ours)
	case err != nil:
		return fmt.Errorf("%s is no link of switchback's: %w; keep a copy if it is needed, then: %s", f.link, strategies.ErrForeignChange, ours)
	}
	list, err := f.numbers()
	if err != nil {
		return err
	}
	for _, n := range list {
		if n >= s.Current && target == f.target(n) { // a later one is of a run that was cut off
			return f.unedited(n, load)
		}
	}
	return fmt.Errorf("%s points to %s: %w; put it right with: %s", f.link, target, strategies.ErrForeignChange, ours)
}

// unedited tells whether the file of a generation is the one that was written.
func (f files) unedited(n int64, load string) error {
	want, err := os.ReadFile(f.path(n, "written"))
	if err != nil {
		return err
	}
	got, err := os.ReadFile(f.path(n, "conf"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(got) == string(want) {
		return nil
	}
	return fmt.Errorf("%s: %w: %s; move what is wanted to nginx.conf, then: cp %s %s && %s",
		f.path(n, "conf"), strategies.ErrForeignChange, difference(string(want), string(got)), f.path(n, "written"), f.path(n, "conf"), load)
}

// difference names the first line in which two texts differ.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("line %d is %q, switchback wrote %q", i+1, strings.TrimSpace(y), strings.TrimSpace(x))
		}
	}
	return "it has other line ends"
}

// numbers are the generations that have files, in order.
func (f files) numbers() ([]int64, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []int64
	for _, e := range entries {
		var n int64
		if _, err := fmt.Sscanf(e.Name(), "gen-%d.json", &n); err == nil {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// prune removes what is long past: of generations that were replaced, and of those that were not loaded.
func (f files) prune(s state) error {
	list, err := f.numbers()
	if err != nil {
		return err
	}
	for i, n := range list {
		if i >= len(list)-1-kept {
			break
		}
		if n == s.Current || n == s.Next {
			continue
		}
		for _, ext := range []string{"conf", "written", "json"} { // the record last: it is what is found here
			if err := os.Remove(f.path(n, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(data, '\n'), 0o644)
}
