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
	path, err := program.Path()
	if err != nil {
		return err
	}
	args = append(args, "--url", p.url, "--dir", filepath.Dir(p.changes))
	for mark := 1 + *kills%4; ; mark = mark*2 + 1 {
		var out bytes.Buffer
		c := exec.CommandContext(p.t.Context(), path, args...)
		c.Env = append(os.Environ(), fmt.Sprint("SWITCHBACK_FAILPOINT_KILL=", mark))
		c.Stdout, c.Stderr = &out, &out
		c.WaitDelay = 5 * time.Second
		err := c.Run()
		if err == nil {
			return nil
		}
		if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
			return fmt.Errorf("%v, to be killed at mark %d: %w\n%s", args, mark, err, out.String())
		}
		*kills++
	}
}

// TestKilled kills the real binary over and over in every phase, there and back, while clients write: with some
// cases, and in the long run with all.
func TestKilled(t *testing.T) {
	if testing.Short() {
		return
	}
	sample := map[string][]string{
		"postgres": {"ten at once on one table"}, "mysql": {"rename column", "partition table"}, "mariadb": {"rename column"}, "sqlite": {"change type, wider number"},
	}
	for _, engine := range engines() {
		for _, c := range cases() {
			if !thorough() && !slices.Contains(sample[engine], c.name) || strings.HasPrefix(c.verdict(engine), refused) {
				continue
			}
			t.Run(engine+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				p := begin(t, c.on(engine), engine)
				before := p.model()
				_, err := p.plan(c.operations.on(engine))
				require.NoError(t, err)
				const change = "20261124093001_change"
				kills := 0
				do := func(args ...string) func() error { return func() error { return p.killed(&kills, args...) } }
				p.fleet.start(blue, 1)
				p.phase(expanding, expanded, "expand", do("expand"), p.book.expand, blue, green)
				p.fleet.start(green, 1)
				p.phase(expanded, expanded, "backfill", do("backfill"), p.book.fill, blue, green)
				p.fleet.end(blue)
				p.phase(contracting, contracted, "contract", do("contract"), nil, green)
				// Back to where it was, not a phase back: that would be another one each time.
				to := "0"
				if phases := strings.Fields(strings.TrimSuffix(p.applied(), string(migrate.Contract))); len(phases) > 0 {
					to = change + ":" + phases[len(phases)-1]
				}
				p.phase(contracting, expanded, "rollback of contract", do("rollback", "--to", to), nil, blue, green)
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
