package recipe

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

// Size is how large a table is, by the statistics of the database the change is planned for.
type Size struct {
	Rows  int64
	Bytes int64 // of the table without its indexes
}

// ReadTime is about how long it takes to read all rows.
func (s Size) ReadTime() time.Duration { return s.takes(reads) }

// IndexTime is about how long it takes to build an index.
func (s Size) IndexTime() time.Duration { return s.takes(indexes) }

// CopyTime is about how long it takes to write the table anew.
func (s Size) CopyTime() time.Duration { return s.takes(copies) }

// takes is about how long a statement takes that does that with the rows.
func (s Size) takes(a access) time.Duration {
	seconds := 0.0
	switch a {
	case reads:
		seconds = float64(s.Bytes) / readBytes
	case indexes:
		seconds = float64(s.Bytes) / indexBytes
	case copies:
		seconds = float64(s.Bytes) / copyBytes
	case batches:
		seconds = float64(s.Rows) / batchRows
	}
	return time.Duration(seconds * float64(time.Second))
}

// access is what a statement does with the rows of its table.
type access int

const (
	catalogue access = iota // nothing
	reads                   // reads them all
	indexes                 // reads them all and writes an index
	batches                 // writes them, batch by batch
	copies                  // writes the table anew
)

// How fast rows are gone through when there is nothing better to go by: what the benchmarks of this project
// saw on a small machine, with something in hand. They turn sizes into a time for people.
const (
	readBytes  = 100 << 20 // a second
	indexBytes = 40 << 20
	copyBytes  = 40 << 20
	batchRows  = 50_000
)

// effect is what a statement locks and touches, by the engine's manual.
type effect struct {
	lock   string // the strongest lock, and what it keeps out; empty: none
	access access
}

// kind is a form of statement with its effect.
type kind struct {
	form *regexp.Regexp
	effect
}

// tableMade and tableFilled find the table that a statement makes, or writes rows of.
var (
	tableMade   = regexp.MustCompile(`(?is)^\s*CREATE TABLE ` + tableName)
	tableFilled = regexp.MustCompile(`(?is)^\s*INSERT INTO ` + tableName)
	pointing    = regexp.MustCompile(`(?is) FOREIGN KEY .* REFERENCES `)
)

// tableIn finds the table a statement is about.
var tableIn = regexp.MustCompile(`(?is)^\s*(?:ALTER TABLE(?: ONLY)?|UPDATE|DROP TABLE|CREATE (?:UNIQUE )?INDEX.*?\bON(?: ONLY)?|CREATE TRIGGER.*?\bON|DROP TRIGGER \S+ ON|INSERT INTO.*?\bFROM|SELECT.*?\bFROM)\s+` + tableName)

// tableName is the name of a table as scripts have it.
const tableName = `((?:"(?:[^"]|"")+"|` + "`(?:[^`]|``)+`" + `|[\w$])+(?:\.(?:"(?:[^"]|"")+"|[\w$])+)?)`

// describe says what the statements of a script lock and touch, in a line of each for the reviewer.
func (p *planner) describe(list []Statement) {
	empty := map[string]bool{} // tables that the script has made, and nobody uses
	for i, s := range list {
		if s.Resumed {
			continue
		}
		list[i].Effect = p.effect(s, empty)
		if m := tableMade.FindStringSubmatch(s.SQL); m != nil {
			empty[m[1]] = true
		}
		if m := tableFilled.FindStringSubmatch(s.SQL); m != nil {
			delete(empty, m[1])
		}
	}
}

// effect says what a statement locks and touches; empty where there is nothing to say.
func (p *planner) effect(s Statement, empty map[string]bool) string {
	e, ok := effectOf(p.engine.effects(), s)
	if !ok {
		return ""
	}
	if m := tableIn.FindStringSubmatch(s.SQL); m != nil && empty[m[1]] && e.access != catalogue {
		if pointing.MatchString(s.SQL) {
			return "The table is new and empty; locks the one that it points to for a moment."
		}
		return "The table is new and empty."
	}
	var parts []string
	if e.lock != "" {
		parts = append(parts, "Lock: "+e.lock+".")
	}
	if touched := p.touched(s.SQL, e.access); touched != "" {
		parts = append(parts, touched)
	}
	return strings.Join(parts, " ")
}

func effectOf(kinds []kind, s Statement) (effect, bool) {
	for _, k := range kinds {
		if k.form.MatchString(s.SQL) {
			if s.Batch != nil {
				k.access = batches
			}
			return k.effect, true
		}
	}
	return effect{}, false
}

// touched says how much of its table a statement touches, and about how long that takes.
func (p *planner) touched(sql string, a access) string {
	if a == catalogue {
		return "Touches the catalogue only."
	}
	what := map[access]string{reads: "Reads", indexes: "Reads, and writes an index of,", batches: "Writes in batches up to", copies: "Writes anew"}[a]
	size, ok := p.sizeOf(sql)
	if !ok {
		return what + " all rows."
	}
	return fmt.Sprintf("%s about %s rows (%s), in %s.", what, roundly(size.Rows), bytesOf(size.Bytes), about(size.takes(a)))
}

// sizeOf finds the size of the table a statement is about, under whichever of its names.
func (p *planner) sizeOf(sql string) (Size, bool) {
	m := tableIn.FindStringSubmatch(sql)
	if m == nil || len(p.sizes) == 0 {
		return Size{}, false
	}
	for t, size := range p.sizes {
		if p.engine.table(t) == m[1] {
			return size, true
		}
	}
	return Size{}, false
}

// roundly writes a number with two digits that say something: plans do not change with every row.
func roundly(n int64) string {
	if n < 100 {
		return fmt.Sprint(n)
	}
	unit := int64(math.Pow10(int(math.Log10(float64(n))) - 1))
	text := fmt.Sprint((n + unit/2) / unit * unit)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func bytesOf(n int64) string {
	value, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, u
	}
	return fmt.Sprintf("%.2g %s", value, unit)
}

// about is a time for people.
func about(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 10*time.Second:
		return "about " + d.Round(time.Second).String()
	case d < 2*time.Minute:
		return "about " + d.Round(10*time.Second).String()
	case d < 2*time.Hour:
		return fmt.Sprintf("about %d minutes", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("about %d hours", int(d.Round(time.Hour).Hours()))
}
