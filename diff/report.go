package diff

import (
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/schema"
)

// Report is a comparison with what people have to know about it. It is plain data: Text, JSON, Markdown
// and HTML show all of it. What is optional is left out of each when it is empty; package drift fills it.
type Report struct {
	Format  string    `json:"format"`          // ReportFormat, or that of the package that filled it
	Version int       `json:"version"`         // of the format
	Title   string    `json:"title"`           // the heading, such as "Schema comparison"
	Made    time.Time `json:"made,omitzero"`   // optional
	From    Side      `json:"from"`            // what a script would change
	To      Side      `json:"to"`              // what it would look like after
	Summary []Count   `json:"summary"`         // counts of the changed objects by kind
	Notes   []string  `json:"notes,omitempty"` // optional: sentences that stand at the top

	Renames  []Rename   `json:"renames,omitempty"`
	Proposed []Proposal `json:"proposed_renames,omitempty"`
	Changes  []Change   `json:"changes"`
	LeftOut  []string   `json:"left_out,omitempty"` // what the options leave out, such as "owners"

	Since     map[string]time.Time `json:"since,omitempty"`     // optional: by the path that Walk gives, when a change was first seen
	Explained map[string]string    `json:"explained,omitempty"` // optional: by path, the pending change that would make the difference go away
	Ignored   []Ignored            `json:"ignored,omitempty"`   // optional: what differs and is no finding; not in Changes
	Pending   []Pending            `json:"pending,omitempty"`   // optional: change folders that do not stand alike on both sides
	Data      []TableData          `json:"data,omitempty"`      // optional: the tables whose rows were compared
	Sections  []Section            `json:"sections,omitempty"`  // optional: whatever else, as tables
	Scripts   []Script             `json:"scripts,omitempty"`   // optional: SQL, shown folded
}

// ReportFormat and ReportVersion stand at the head of a report in JSON. A version is only ever raised
// when a reader of the older one would misunderstand the document.
const (
	ReportFormat  = "switchback.diff"
	ReportVersion = 1
)

// Side is one of the two schemas.
type Side struct {
	Name      string          `json:"name"`                // the source, as the user named it, without password
	Engine    string          `json:"engine,omitempty"`    // empty for the empty schema
	Version   string          `json:"version,omitempty"`   // the server's
	Uncovered []schema.Census `json:"uncovered,omitempty"` // outside the model or out of sight, so not compared
}

// Count counts the changes of a kind.
type Count struct {
	Kind     schema.Kind `json:"kind"`
	Added    int         `json:"added"`
	Dropped  int         `json:"dropped"`
	Modified int         `json:"modified"` // with a property or something below it that differs
}

// Proposal is a rename that was not confirmed, so the object is among the changes as dropped and added.
type Proposal struct {
	Rename
	Confirm string `json:"confirm"` // the option that confirms it, quoted for a shell
}

// Ignored is a difference that a rule says to ignore.
type Ignored struct {
	Path   string    `json:"path"` // as Walk gives it
	Action Action    `json:"action"`
	Rule   string    `json:"rule,omitempty"` // the pattern that matched
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"` // when the rule expires; zero: never
}

// Pending is a change folder with how far it is applied on each side.
type Pending struct {
	Change   string `json:"change"`
	From     string `json:"from"` // such as "contract", or empty for not applied
	To       string `json:"to"`
	Explains int    `json:"explains"` // how many of the differences it would make go away
}

// TableData says how the rows of a table differ.
type TableData struct {
	Table     string          `json:"table"`
	Key       []string        `json:"key,omitempty"` // the columns that rows are matched by
	RowsFrom  int64           `json:"rows_from"`
	RowsTo    int64           `json:"rows_to"`
	OnlyFrom  int64           `json:"only_from"`
	OnlyTo    int64           `json:"only_to"`
	Different int64           `json:"different"`
	Sample    []RowDifference `json:"sample,omitempty"` // the first few, by key
	Note      string          `json:"note,omitempty"`   // such as how it was compared, or why it could not be
}

// Same tells whether the rows do not differ.
func (t TableData) Same() bool { return t.OnlyFrom+t.OnlyTo+t.Different == 0 }

// RowDifference is a row that only one side has, or that differs.
type RowDifference struct {
	Action Action           `json:"action"` // Add: only on the side To; Drop: only on the side From
	Key    []string         `json:"key"`    // values in the order of TableData.Key
	Values []PropertyChange `json:"values,omitempty"`
}

// Section is a table of what has no place elsewhere.
type Section struct {
	Title string     `json:"title"`
	Intro string     `json:"intro,omitempty"`
	Head  []string   `json:"head,omitempty"`
	Rows  [][]string `json:"rows,omitempty"`
}

// Script is SQL that goes with a report.
type Script struct {
	Title string `json:"title"` // what it does, such as "turns staging into production"
	SQL   string `json:"sql"`
}

// NewReport makes the report of a comparison of two sources by their names, which hold no password.
func NewReport(fromName, toName string, r *Result, o Options) Report {
	report := Report{
		Format: ReportFormat, Version: ReportVersion, Title: "Schema comparison",
		From: side(fromName, r.From), To: side(toName, r.To),
		Renames: r.Renames, Changes: r.Changes, Summary: Counts(r.Changes), LeftOut: o.leftOut(r),
	}
	if !o.ColumnOrder {
		report.Notes = reordered(r.From, r.To)
	}
	for _, p := range r.Proposed {
		report.Proposed = append(report.Proposed, Proposal{Rename: p, Confirm: "--rename " + shellQuoted(p.String())})
	}
	return report
}

// reordered names the tables whose columns stand in another order, in one sentence if there are any.
func reordered(from, to *schema.Database) []string {
	var names []string
	for _, s := range from.Schemas {
		other := to.Schema(s.Name)
		if other == nil {
			continue
		}
		tables := map[string]*schema.Table{}
		for _, t := range other.Tables {
			tables[t.Name] = t
		}
		for _, t := range s.Tables {
			if u := tables[t.Name]; u != nil && !slices.Equal(shared(t, u), shared(u, t)) {
				names = append(names, s.Name+"."+t.Name)
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	sort.Strings(names)
	return []string{"Columns stand in another order in " + noun.Counted(len(names), "table") + ": " + few(names, len(names)) + ". That is no difference unless asked for."}
}

// shared are the names of a table's columns that the other has too, in the table's order.
func shared(t, other *schema.Table) []string {
	have := map[string]bool{}
	for _, c := range other.Columns {
		have[c.Name] = true
	}
	var names []string
	for _, c := range t.Columns {
		if have[c.Name] {
			names = append(names, c.Name)
		}
	}
	return names
}

func side(name string, d *schema.Database) Side {
	return Side{Name: name, Engine: d.Engine, Version: d.Version, Uncovered: d.Uncovered}
}

// leftOut names what the options leave out of the comparison. SQLite has neither owners nor grants to leave
// out.
func (o Options) leftOut(r *Result) []string {
	roles := r.From.Engine != "sqlite" || r.To.Engine != "sqlite"
	var out []string
	for _, x := range []struct {
		out  bool
		what string
	}{
		{o.NoOwners && roles, "owners"},
		{o.NoGrants && roles, "grants"},
		{o.NoComments, "comments"},
		{o.NoSettings, "settings of the database"},
		{len(o.Include)+len(o.Exclude)+len(o.Kinds) > 0, "objects by filter"},
	} {
		if x.out {
			out = append(out, x.what)
		}
	}
	return out
}

// Same tells whether nothing differs.
func (r Report) Same() bool {
	for _, t := range r.Data {
		if !t.Same() {
			return false
		}
	}
	return len(r.Changes) == 0 && len(r.Renames) == 0
}

// Counts counts changed objects by kind: those of the database and those of its schemas. What belongs to a
// table or another object is counted with it. A schema counts when it comes, goes or has a property that
// differs.
func Counts(changes []Change) []Count {
	byKind := map[schema.Kind]*Count{}
	count(changes, byKind)
	out := []Count{}
	for _, c := range byKind {
		out = append(out, *c)
	}
	sort.Slice(out, func(i, j int) bool { return kindBefore(out[i].Kind, out[j].Kind) })
	return out
}

func count(changes []Change, byKind map[schema.Kind]*Count) {
	for _, c := range changes {
		if c.Kind == schema.KindSchema {
			count(c.Children, byKind)
			if c.Action == Modify && len(c.Properties) == 0 {
				continue
			}
		}
		n := byKind[c.Kind]
		if n == nil {
			n = &Count{Kind: c.Kind}
			byKind[c.Kind] = n
		}
		switch c.Action {
		case Add:
			n.Added++
		case Drop:
			n.Dropped++
		case Modify:
			n.Modified++
		}
	}
}

// kindBefore orders kinds as people read them.
func kindBefore(a, b schema.Kind) bool {
	if rank(a) != rank(b) {
		return rank(a) < rank(b)
	}
	return a < b
}

// shellQuoted quotes a word for a POSIX shell where it needs it.
func shellQuoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.=-/:@", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
