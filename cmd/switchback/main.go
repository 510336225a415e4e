// Command switchback takes database changes to production beside the application release that needs
// them, and brings both back.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	_ "golang.org/x/crypto/x509roots/fallback" // where the machine has no root certificates, as in our image

	"github.com/switchbackdb/switchback/migrate"
)

// Exit codes, as DESIGN and the help state them.
const (
	exitOK         = 0
	exitError      = 1
	exitFindings   = 2
	exitRolledBack = 3
	exitLocked     = 4
)

// version is set by the linker for releases.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := newApp(stdout, stderr)
	err := app.RunContext(ctx, reorder(app.Commands, args))
	if err == nil {
		return exitOK
	}
	if isSaid(err) {
		return codeOf(err)
	}
	fmt.Fprintln(stderr, "switchback: "+strings.TrimSpace(inOrder(err.Error())))
	return codeOf(err)
}

// inOrder puts the lines of an error in the order in which people read them: what happened, what state things are in, what to
// run next. An error that was wrapped on its way may have brought lines of its own along.
func inOrder(text string) string {
	var happened, state, next []string
	for _, line := range strings.Split(text, "\n") {
		into := &happened
		switch {
		case strings.HasPrefix(line, "  state: "):
			into = &state
		case strings.HasPrefix(line, "  next: "):
			into = &next
		}
		if into == &happened || !slices.Contains(*into, line) {
			*into = append(*into, line)
		}
	}
	return strings.Join(slices.Concat(happened, state, next), "\n")
}

// exitCode is an error that asks for an exit code. Without an err nothing is printed.
type exitCode struct {
	code int
	err  error
}

func (e *exitCode) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitCode) Unwrap() error { return e.err }

// findings is returned by commands that found something to say and have said it.
var findings = &exitCode{code: exitFindings}

// isSaid tells whether an error is of something that the command has said already.
func isSaid(err error) bool {
	var code *exitCode
	return errors.As(err, &code) && code.err == nil
}

func codeOf(err error) int {
	var code *exitCode
	var locked *migrate.LockedError
	switch {
	case errors.As(err, &code):
		return code.code
	case errors.As(err, &locked), errors.Is(err, migrate.ErrLockLost), errors.Is(err, migrate.ErrBusy):
		return exitLocked
	}
	return exitError
}

func newApp(stdout, stderr io.Writer) *cli.App {
	return &cli.App{
		Name:  "switchback",
		Usage: "database changes for continuous delivery: no change goes out that can't come back",
		Description: `A change is a folder of paired SQL scripts: expand, backfill and contract, each with the
script that undoes it. Switchback runs them beside a release of the application, moves the
traffic, and brings both back.

Begin with:  switchback demo       everything at once, on SQLite, nothing to install
             switchback init       a project of your own

Exit codes: 0 done, 1 error, 2 findings, 3 the release was rolled back, 4 locked by another run.`,
		Version:                   version,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		HideHelpCommand:           true,
		Suggest:                   true,
		EnableBashCompletion:      true,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              usageError,
		CommandNotFound:           nil,
		Action:                    rootAction,
		Commands:                  commands(),
		DisableSliceFlagSeparator: true,
	}
}

func rootAction(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("there is no command %q\n  next: switchback --help", c.Args().First())
	}
	return cli.ShowAppHelp(c)
}

func usageError(c *cli.Context, err error, _ bool) error {
	name := "switchback"
	if c.Command != nil && c.Command.HelpName != "" {
		name = c.Command.HelpName
	}
	return fmt.Errorf("%w\n  next: %s --help", err, name)
}

// given returns an error where a flag that a command cannot do without is not there.
func given(c *cli.Context, flag string) error {
	if c.IsSet(flag) {
		return nil
	}
	return usageError(c, fmt.Errorf("--%s is missing", flag), false)
}

func commands() []*cli.Command {
	all := []*cli.Command{
		initCommand(), newCommand(), planCommand(), sumCommand(), checkCommand(), recordCommand(),
		statusCommand(), historyCommand(),
		expandCommand(), backfillCommand(), contractCommand(), purgeCommand(), upCommand(), atticCommand(),
		rollbackCommand(), rollforwardCommand(), resolveCommand(),
		importCommand(), lintCommand(), statsCommand(), diffCommand(), driftCommand(), schemaCommand(), snapshotCommand(),
		releaseCommand(), trafficCommand(), proxyCommand(), agentCommand(),
		demoCommand(), shopCommand(),
	}
	for _, c := range all {
		if slices.Contains([]string{"check", "status", "history", "attic", "stats", "diff", "drift", "schema"}, c.Name) {
			reads(c)
		}
		c.OnUsageError = usageError
		for _, sub := range c.Subcommands {
			sub.OnUsageError = usageError
		}
	}
	return all
}
