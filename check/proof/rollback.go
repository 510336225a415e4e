package proof

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/migrate"
)

// The rules of the proof.
const (
	NotInverse   = "rollback-not-inverse" // the schema after the way back is another
	LosesData    = "rollback-loses-data"  // rows are gone, or others, after the way back
	Missing      = "rollback-missing"     // there is no way back
	Fails        = "rollback-fails"       // a rollback script fails
	ForwardFails = "forward-fails"
	RefusesRows  = "refuses-rows"      // a roll-forward script fails on the rows that were made up
	WithoutRows  = "without-rows"      // no row could be made up for a table that a change works on
	NotAgain     = "not-repeatable"    // it cannot go forward a second time
	BlueBreaks   = "blue-query-breaks" // a write of the old shape fails while the old version still runs
)

// Rollback proves that the changes come back. The error is one of proving, such as a scratch that cannot be made; what
// is wrong with the changes are findings.
func (p *Proof) Rollback(ctx context.Context) (_ check.Part, err error) {
	begun := time.Now()
	r := &run{Proof: p, fewer: plainRows, named: map[string]bool{}}
	defer func() { err = errors.Join(err, r.drop(tried, written, control)) }()
	for i := range p.Changes {
		on, err := r.change(ctx, i)
		if err != nil {
			return check.Part{}, fmt.Errorf("prove the way back of %s: %w", p.Changes[i].ID, err)
		}
		if !on {
			r.after = len(p.Changes) - i - 1
			break
		}
	}
	r.withoutRows()
	part := check.Part{Name: "rollback", Took: time.Since(begun), Findings: r.findings, Looked: r.looked()}
	if part.Findings == nil {
		part.Findings = []check.Finding{}
	}
	return part, nil
}

// run is a proof under way.
type run struct {
	*Proof
	fewer    amount // of rows, in the changes before upTo, one of which refuses some
	upTo     int
	findings []check.Finding
	tries    int // ways forward and back
	made     int // rows in the last scratch that was filled
	unfilled []unfilled
	named    map[string]bool // by table: whether a change names it
	after    int             // changes that were not looked at, as one before them does not go forward

	scratches [lanes]*subject
}

func (r *run) looked() string {
	text := fmt.Sprintf("%s, %s forward and back, over %s", noun.Counted(len(r.Changes)-r.after, "change"), noun.Counted(r.tries, "way"), noun.Counted(r.made, "row"))
	if len(r.unfilled) > 0 {
		var names []string
		for _, u := range r.unfilled {
			names = append(names, u.shown)
		}
		text += "; no row could be made up for " + strings.Join(names, ", ")
	}
	if r.upTo > 0 {
		text += fmt.Sprintf("; with %s up to %s, for those that it refuses", r.fewer, r.Changes[r.upTo-1].ID)
	}
	if r.after > 0 {
		text += fmt.Sprintf("; not looked at: %s behind one that fails", noun.Counted(r.after, "change"))
	}
	return text
}

func (r *run) found(f check.Finding) { r.findings = append(r.findings, f) }

// withoutRows finds the tables that a change works on and that no row could be made up for.
func (r *run) withoutRows() {
	for _, u := range r.unfilled {
		at := slices.IndexFunc(r.Changes, func(c *migrate.Change) bool { return mentions(c, u.table) })
		if at < 0 {
			continue
		}
		f := check.Finding{
			Rule: WithoutRows, Severity: check.Warning, Object: "table " + u.shown, Place: scriptOf(r.Changes[at], r.Changes[at].Phases()[0], false),
			Message: fmt.Sprintf("no row could be made up for %s: the way back is proven with that table empty", u.shown),
			Why:     "Whether rows are lost is known only where there are some.",
		}
		if u.err != nil {
			f.Evidence = u.err.Error()
		}
		r.found(f)
	}
}

// change proves one change. on says that the next can be looked at. A scratch database in which something was found is not
// used for the next.
func (r *run) change(ctx context.Context, i int) (on bool, err error) {
	count := len(r.findings)
	on, err = r.proveChange(ctx, i)
	if err != nil || len(r.findings) == count {
		return on, err
	}
	return on, r.drop(tried, written, control)
}

func (r *run) proveChange(ctx context.Context, i int) (on bool, err error) {
	c := r.Changes[i]
	if c.Meta.Irreversible != "" {
		r.found(check.Finding{
			Rule: Missing, Severity: check.Warning, Message: "there is no way back: " + c.Meta.Irreversible,
			Place: check.Place{Change: c.ID, File: filepath.ToSlash(filepath.Join(c.Path, "change.yaml"))},
			Why:   "A release that takes it along needs a verified snapshot.",
		})
		return r.goes(ctx, i)
	}
	list, err := r.before(ctx, i, tried)
	if err != nil {
		return false, err
	}
	count := len(r.findings)
	fine, err := r.forthAndBack(ctx, i, list[0])
	if err != nil || !fine {
		return !r.stuck(count), err
	}
	return true, r.withWrites(ctx, i)
}

// stuck tells whether what was found since keeps the change from going forward at all.
func (r *run) stuck(since int) bool {
	return slices.ContainsFunc(r.findings[since:], func(f check.Finding) bool { return f.Rule == ForwardFails })
}

// goes tells whether a change that has no way back goes forward.
func (r *run) goes(ctx context.Context, i int) (on bool, err error) {
	list, err := r.before(ctx, i, tried)
	if err != nil {
		return false, err
	}
	if err := list[0].forward(ctx, r.Changes[i], r.phases(r.Changes[i])); err != nil {
		return false, r.failure(ctx, i, err, ForwardFails)
	}
	return true, nil
}

// forthAndBack takes a change forward and back again from each of its phases, one after the other, so that each time
// but the first is a repetition too: the newest phase alone, and then all of them.
func (r *run) forthAndBack(ctx context.Context, i int, one *subject) (fine bool, err error) {
	c := r.Changes[i]
	before, err := one.note(ctx)
	if err != nil {
		return false, err
	}
	all := r.phases(c)
	for k := 1; k <= len(all); k++ {
		if k > 1 && undoes(c, all[k-1]) {
			if fine, err := r.lastAlone(ctx, i, all[:k], one); err != nil || !fine {
				return false, err
			}
		}
		r.tries++
		if err := one.forward(ctx, c, all[:k]); err != nil {
			rule := ForwardFails
			if k > 1 && ranBefore(err, all[k-1]) {
				rule = NotAgain
			}
			return false, r.failure(ctx, i, err, rule)
		}
		if err := one.back(ctx, c, nil); err != nil {
			return false, r.failure(ctx, i, err, Fails)
		}
		same, err := r.compare(ctx, c, all[k-1], before, one, "")
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// undoes tells whether the rollback of a phase brings back what was before it. Without a script, as is usual for a
// backfill, what it filled goes with the phase before.
func undoes(c *migrate.Change, p migrate.Phase) bool {
	pair, ok := c.Pair(p)
	return ok && pair.Rollback != nil
}

// lastAlone takes a change forward and only its newest phase back.
func (r *run) lastAlone(ctx context.Context, i int, until []migrate.Phase, one *subject) (fine bool, err error) {
	c, last := r.Changes[i], until[len(until)-1]
	r.tries++
	if err := one.forward(ctx, c, until[:len(until)-1]); err != nil {
		return false, r.failure(ctx, i, err, NotAgain)
	}
	between, err := one.note(ctx)
	if err != nil {
		return false, err
	}
	if last == migrate.Backfill {
		between.tables = nil // what it has filled does no harm in columns that wait for it
	}
	if err := one.forward(ctx, c, until); err != nil {
		return false, r.failure(ctx, i, err, ForwardFails)
	}
	if err := one.back(ctx, c, []migrate.Phase{last}); err != nil {
		return false, r.failure(ctx, i, err, Fails)
	}
	return r.compare(ctx, c, last, between, one, " to "+string(until[len(until)-2]))
}

// ranBefore tells whether it was an earlier phase than the newest that failed: it has run once already.
func ranBefore(err error, newest migrate.Phase) bool {
	var step *migrate.StepError
	return errors.As(err, &step) && step.Step.Phase != newest
}

// compare compares what is there with what was noted. having says what was done in between.
func (r *run) compare(ctx context.Context, c *migrate.Change, from migrate.Phase, before *noted, one *subject, having string) (bool, error) {
	now, err := one.note(ctx)
	if err != nil {
		return false, err
	}
	same := true
	result, err := diff.Compare(before.schema, now.schema, diff.Options{})
	if err != nil {
		return false, err
	}
	place := scriptOf(c, from, true)
	if !result.Same() {
		same = false
		var text strings.Builder
		if err := diff.NewReport("before", "after the way back", result, diff.Options{}).Text(&text, false); err != nil {
			return false, err
		}
		r.found(check.Finding{
			Rule: NotInverse, Severity: check.Error, Place: place, Object: firstOf(result.Changes), Evidence: strings.TrimSpace(text.String()),
			Message: fmt.Sprintf("forward to %s and back%s, the schema is not what it was", from, having),
			Why:     "What is left over, or missing, is in the way of the next try, and of the version of the application that comes back.",
		})
	}
	for _, lost := range before.lost(now) {
		same = false
		r.loses(place, lost, fmt.Sprintf("forward to %s and back%s, the rows of %s are not what they were", from, having, lost.table))
	}
	return same, nil
}

func (r *run) loses(place check.Place, lost loss, message string) {
	r.found(check.Finding{
		Rule: LosesData, Severity: check.Error, Place: place, Object: "table " + lost.table, Evidence: lost.text(), Message: message,
		Why: "Rows that were there before, or that either version of the application wrote, have to be there after the way back.",
	})
}

func firstOf(changes []diff.Change) (object string) {
	diff.Walk(changes, func(path string, _ diff.Change) {
		if object == "" {
			object = path
		}
	})
	return object
}

// scriptOf is the place of a phase's script, or of its rollback script where it has one.
func scriptOf(c *migrate.Change, p migrate.Phase, back bool) check.Place {
	place := check.Place{Change: c.ID, Phase: p, Back: back}
	if pair, ok := c.Pair(p); ok {
		script := pair.Forward
		if back && pair.Rollback != nil {
			script = *pair.Rollback
		}
		place.File, place.Line = filepath.ToSlash(script.Path), 1
	}
	return place
}

// failure turns the error of a step into a finding; any other error is returned. Where a roll-forward script fails
// on made-up rows, the change is proven once more with fewer of them, and at last without any.
func (r *run) failure(ctx context.Context, i int, failed error, rule string) error {
	var step *migrate.StepError
	if !errors.As(failed, &step) || ctx.Err() != nil {
		return failed
	}
	c := r.Changes[i]
	f := check.Finding{Rule: rule, Severity: check.Error, Place: placeOf(c, step), Evidence: step.Err.Error()}
	verb := "goes forward"
	if f.Place.Back {
		verb = "is rolled back"
	}
	f.Message = fmt.Sprintf("%s does not run when it %s: %s", step.Step.Phase, verb, firstLine(step.Err.Error()))
	if rule == NotAgain {
		f.Message = fmt.Sprintf("%s does not run a second time, after the way back: %s", step.Step.Phase, firstLine(step.Err.Error()))
	}
	if rule != ForwardFails || !r.withFewer(i) {
		r.found(f)
		return nil
	}
	since := len(r.findings)
	if err := r.drop(tried, written, control); err != nil {
		return err
	}
	if _, err := r.change(ctx, i); err != nil {
		return err
	}
	if r.stuck(since) {
		return nil // it fails without rows as well, which is found now
	}
	r.findings = slices.DeleteFunc(r.findings, func(o check.Finding) bool { // of a try in between
		return o.Rule == RefusesRows && o.Place.Change == c.ID
	})
	f.Rule, f.Severity = RefusesRows, check.Warning
	f.Message = fmt.Sprintf("%s fails on rows that were made up: %s", step.Step.Phase, firstLine(step.Err.Error()))
	f.Why = fmt.Sprintf("Whether the target has such rows, only its data tells; the rest of the proof was done with %s.", r.fewer)
	r.found(f)
	return nil
}

// placeOf is where a step failed. A rollback runs the script that was recorded; the place is in its file.
func placeOf(c *migrate.Change, e *migrate.StepError) check.Place {
	place := scriptOf(c, e.Step.Phase, e.Step.Direction == migrate.Back)
	place.Line, place.Text = max(1, e.Line), e.Statement
	return place
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
