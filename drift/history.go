package drift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/internal/filelock"
)

// History remembers when each finding of a pair of environments was seen, in a file of its own.
type History struct {
	file string
	keep bool // false: it is read only, because not everything was compared
}

// NewHistory returns the history of a pair in a folder. keep is false where only a part is compared: then
// what is not seen may well be there, so nothing is written.
func NewHistory(dir, from, to string, keep bool) *History {
	return &History{file: filepath.Join(dir, url.PathEscape(from)+".."+url.PathEscape(to)+".json"), keep: keep}
}

// historyVersion is the version of the file.
const historyVersion = 1

// maxHistory is the most a history may weigh, in bytes.
const maxHistory = 256 << 20

// record is the content of the file.
type record struct {
	Version  int                 `json:"version"`
	Findings map[string]sighting `json:"findings"` // by path
}

// sighting is when a finding was seen.
type sighting struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// remember puts into the report since when its findings are there and which are gone, and updates the
// history. What goes wrong with it is a note: it is no reason to keep a report back.
func (d *Drift) remember(ctx context.Context, o Options) {
	if o.History == nil {
		return
	}
	before, gone, notes := o.History.update(ctx, findings(d.Report), o.Now.UTC())
	d.Report.Notes = append(d.Report.Notes, notes...)
	d.Report.Since = before
	if len(gone) > 0 {
		s := diff.Section{Title: "Resolved since the last run", Head: []string{"finding", "first seen", "last seen"}}
		for _, path := range slices.Sorted(maps.Keys(gone)) {
			s.Rows = append(s.Rows, []string{path, gone[path].First.Format(dateLayout), gone[path].Last.Format(dateLayout)})
		}
		d.Report.Sections = append(d.Report.Sections, s)
	}
}

// findings are the paths of what a report says differs.
func findings(r diff.Report) []string {
	var paths []string
	diff.Walk(r.Changes, func(path string, _ diff.Change) { paths = append(paths, path) })
	for _, t := range r.Data {
		if !t.Same() {
			paths = append(paths, "rows of "+t.Table)
		}
	}
	return paths
}

// update records the findings of now, and returns since when each is there and which of the last run are
// gone.
func (h *History) update(ctx context.Context, paths []string, now time.Time) (since map[string]time.Time, gone map[string]sighting, notes []string) {
	since = map[string]time.Time{}
	for _, p := range paths {
		since[p] = now
	}
	if err := os.MkdirAll(filepath.Dir(h.file), 0o755); err != nil {
		return since, nil, []string{fmt.Sprintf("the history cannot be kept: %v", err)}
	}
	lock, err := filelock.Take(ctx, h.file+".lock")
	if err != nil {
		return since, nil, []string{fmt.Sprintf("the history cannot be kept: %v", err)}
	}
	defer lock.Close()
	old, note := h.read(now)
	if note != "" {
		notes = append(notes, note)
	}
	next := record{Version: historyVersion, Findings: map[string]sighting{}}
	for _, p := range paths {
		s := sighting{First: now, Last: now}
		if seen, ok := old.Findings[p]; ok && seen.First.Before(now) {
			s.First = seen.First
		}
		since[p], next.Findings[p] = s.First, s
	}
	if !h.keep {
		return since, nil, notes
	}
	gone = map[string]sighting{}
	for p, s := range old.Findings {
		if _, still := next.Findings[p]; !still {
			gone[p] = s
		}
	}
	text, err := json.MarshalIndent(next, "", "  ")
	if err == nil {
		err = atomicfile.Write(h.file, append(text, '\n'), 0o644)
	}
	if err != nil {
		notes = append(notes, fmt.Sprintf("the history cannot be kept: %v", err))
	}
	return since, gone, notes
}

// read reads the file. One that cannot be understood is kept aside under another name.
func (h *History) read(now time.Time) (old record, note string) {
	info, err := os.Stat(h.file)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, ""
	}
	var text []byte
	if err == nil && info.Size() > maxHistory {
		err = fmt.Errorf("it is larger than %d MiB", maxHistory>>20)
	}
	if err == nil {
		text, err = os.ReadFile(h.file)
	}
	if err == nil {
		err = json.Unmarshal(text, &old)
	}
	if err == nil && old.Version != historyVersion {
		err = fmt.Errorf("it has version %d, this binary knows %d", old.Version, historyVersion)
	}
	if err == nil {
		return old, ""
	}
	aside := h.file + ".damaged-" + now.Format("20060102T150405Z")
	if h.keep {
		err = errors.Join(err, os.Rename(h.file, aside))
	}
	return record{}, fmt.Sprintf("the history %s cannot be read, so it begins anew; the old one is kept as %s: %v", h.file, filepath.Base(aside), err)
}
