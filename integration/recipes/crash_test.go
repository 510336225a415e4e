package recipes

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/migrate"
)

// program is the command with the failpoints that let a test kill it at a chosen mark.
var program binary.Binary

// killed runs the real command, which is killed at a mark, and again, killed at a later one, until it comes to
// its end. It counts the kills.
func (p *trip) killed(kills *int, args ...string) error {
	for mark := 1 + *kills%4; ; mark = mark*2 + 1 {
		if done, err := p.killedAt(fmt.Sprint(mark), args...); done || err != nil {
			return err
		}
		*kills++
	}
}

// killedAt runs the real command, which is killed at a mark, by its number or its name. It tells whether the command came
// to its end before that.
func (p *trip) killedAt(mark string, args ...string) (done bool, err error) {
	path, err := program.Path()
	if err != nil {
		return false, err
	}
	args = append(args, "--url", p.url, "--dir", filepath.Dir(p.changes))
	var out bytes.Buffer
	c := exec.CommandContext(p.t.Context(), path, args...)
	c.Env = append(os.Environ(), "SWITCHBACK_FAILPOINT_KILL="+mark)
	c.Stdout, c.Stderr = &out, &out
	c.WaitDelay = 5 * time.Second
	if err = c.Run(); err == nil {
		return true, nil
	}
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		return false, fmt.Errorf("%v, to be killed at mark %s: %w\n%s", args, mark, err, out.String())
	}
	return false, nil
}

// beforeContract is where the change was before its contract. That is no matter of a phase back, which would be another one
// each time that it is said.
func (p *trip) beforeContract() string {
	p.t.Helper()
	phases := strings.Fields(strings.TrimSuffix(p.applied(), string(migrate.Contract)))
	if len(phases) == 0 {
		return "0"
	}
	return "20261124093001_change:" + phases[len(phases)-1]
}

// TestKilled kills the real binary over and over in every phase, there and back, while clients write: with some
// cases, and in the long run with all.
func TestKilled(t *testing.T) {
	if testing.Short() {
		return
	}
	sample := map[string][]string{
		"postgres": {"ten at once on one table"}, "mysql": {readRename().name, "partition table"}, "mariadb": {readRename().name}, "sqlite": {"change type, wider number"},
	}
	for _, engine := range engines() {
		for _, c := range cases() {
			if !thorough() && !slices.Contains(sample[engine], c.name) || !strings.HasPrefix(c.verdict(engine), works) {
				continue
			}
			t.Run(engine+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				p := begin(t, c.on(engine), engine)
				before := p.model()
				_, err := p.draft(c.on(engine), engine)
				require.NoError(t, err)
				kills := 0
				do := func(args ...string) func() error { return func() error { return p.killed(&kills, args...) } }
				p.fleet.start(blue, 1)
				p.phase(expanding, expanded, "expand", do("expand"), p.book.expand, blue, green)
				p.fleet.start(green, 1)
				p.phase(expanded, expanded, "backfill", do("backfill"), p.book.fill, blue, green)
				p.fleet.end(blue)
				p.phase(contracting, contracted, "contract", do("contract"), nil, green)
				p.phase(contracting, expanded, "rollback of contract", do("rollback", "--to", p.beforeContract()), nil, blue, green)
				p.fleet.start(blue, 1)
				p.fleet.lap(p.laps)
				p.fleet.end(green)
				p.phase(expanding, plain, "rollback", do("rollback", "--to", "0"), p.book.unexpand, blue)
				p.fleet.end(blue)
				require.Empty(t, p.applied())
				alike(t, before, p.model(), "after the rollback the schema is another one")
				t.Logf("killed %d times", kills)
				require.Greater(t, kills, 3)
			})
		}
	}
}

// TestInterrupted kills the real binary after each statement of the group in which contract exchanges two shapes, there
// and back, where each of them commits by itself. Meanwhile the application that runs goes on, and nothing that it writes
// is missing in the other shape once the group is done.
func TestInterrupted(t *testing.T) {
	if testing.Short() {
		return
	}
	sample := map[string][]string{
		"mysql":   {"set not null with a fill", "rename column that is NOT NULL", "move columns to another table"},
		"mariadb": {"change type, wider number that is NOT NULL"},
	}
	for _, engine := range []string{"mysql", "mariadb"} {
		for _, c := range append(cases(), unsaid(t)...) {
			if !thorough() && !slices.Contains(sample[engine], c.name) || strings.HasPrefix(c.verdict(engine), refused) {
				continue
			}
			t.Run(engine+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				p := beginAt(t, c.on(engine), engine, fresh(t, engine), 300)
				p.book.gaps = true
				_, err := p.plan(c.operations.on(engine))
				require.NoError(t, err)
				kills := 0
				each := func(most int, args ...string) func() error {
					return func() error {
						for range most {
							done, err := p.killedAt("group: after statement", args...)
							if done || err != nil {
								return err
							}
							kills++
							p.fleet.lap(10)
						}
						_, err := p.killedAt("none", args...)
						return err
					}
				}
				p.fleet.start(blue, 1)
				p.expand()
				p.fleet.start(green, 1)
				p.backfill()
				p.fleet.end(blue)
				round := func(most int) {
					t.Helper()
					kills = 0
					p.phase(contracting, contracted, "contract", each(most, "contract"), nil, green)
					p.phase(contracting, expanded, "rollback of contract", each(most, "rollback", "--to", p.beforeContract()), nil, blue, green)
					t.Logf("killed %d times", kills)
				}
				round(100)
				if !thorough() {
					require.Greater(t, kills, 6)
				}
				round(kills / 4) // so that the last run has several statements to do
				p.fleet.end(green)
			})
		}
	}
}

// unsaid are changes of columns that a row cannot do without, and that have no default.
func unsaid(t *testing.T) []*matrixCase {
	t.Helper()
	renames, wider := *caseCalled(t, "rename column"), *caseCalled(t, "change type, wider number")
	bare := func(c *matrixCase, defaults string) *matrixCase {
		c.name += " that is NOT NULL"
		c.before = every(strings.ReplaceAll(c.before[""], defaults, " NOT NULL"))
		c.after = every(strings.ReplaceAll(c.after[""], defaults, " NOT NULL"))
		for _, s := range []*shape{&c.blue, &c.green} {
			s.columns = slices.Clone(s.columns)
			s.columns[0].initial, s.columns[0].required = nil, true
		}
		return c
	}
	return []*matrixCase{bare(&renames, " DEFAULT 'nobody' NOT NULL"), bare(&wider, " DEFAULT 7 NOT NULL")}
}
