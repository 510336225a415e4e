package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/recorder"
	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/internal/noun"
)

// grace is how long a command may take to end once it was asked to.
const grace = 10 * time.Second

func recordCommand() *cli.Command {
	return &cli.Command{
		Name:      "record",
		Usage:     "write down what an application asks its database, for check --workload",
		ArgsUsage: "[-- COMMAND…]",
		Description: `A proxy for the protocols of PostgreSQL, MySQL and MariaDB. Point the application's tests at
its address, or let it run them: COMMAND finds the URL in $SWITCHBACK_RECORD_URL, the address in
$SWITCHBACK_RECORD_ADDRESS, and its exit code is that of record. Without a command it goes on until
it is interrupted.

   switchback record --target postgres://ci@127.0.0.1/app --out green.sql --variable DATABASE_URL -- npm test
   switchback check --from schema.sql --scratch docker:postgres:17 --workload green=green.sql

The file has each statement once, without its constants: they never leave the memory of record. The
application has to connect without TLS; passwords pass to the server as they come.`,
		Flags: append(outputFlags(),
			&cli.StringFlag{Name: "target", Usage: "the database: a `URL`, or env:NAME of " + config.FileName},
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:0", Usage: "the `ADDRESS` for the application; with port 0 any that is free"},
			&cli.StringFlag{Name: "out", Value: "workload.sql", Usage: "the `FILE` that is written"},
			&cli.DurationFlag{Name: "every", Value: 10 * time.Second, Usage: "how often it is written meanwhile"},
			&cli.StringFlag{Name: "variable", Value: "SWITCHBACK_RECORD_URL", Usage: "the environment variable of COMMAND that has the URL, by its `NAME`"},
		),
		Action: runRecord,
	}
}

func runRecord(c *cli.Context) error {
	if err := given(c, "target"); err != nil {
		return err
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	if c.Duration("every") <= 0 {
		return fmt.Errorf("--every %s: want more than 0s", c.Duration("every"))
	}
	target, err := p.recordTarget(c.String("target"))
	if err != nil {
		return err
	}
	proxy, err := recorder.Listen(c.Context, recorder.Config{
		Listen: c.String("listen"), Target: target, Trouble: func(err error) { p.out.line("record: %v", err) },
	})
	if err != nil {
		return fmt.Errorf("%w\n  state: nothing was recorded\n  next: check --target and --listen, and that the server is up", err)
	}
	r := &recordRun{project: p, proxy: proxy, file: c.String("out")}
	if _, err := os.Stat(r.file); err != nil { // so that it is not after a long run that it cannot be written
		if err := r.write(); err != nil {
			return errors.Join(err, proxy.Close())
		}
	}
	p.out.line("recording what is asked on %s", proxy.Address())
	return r.run(c)
}

// recordTarget is the URL that --target says.
func (p *project) recordTarget(name string) (string, error) {
	if env, ok := strings.CutPrefix(name, "env:"); ok {
		e, err := p.config.Environment(env)
		return e.URL, err
	}
	return config.Substitute(name)
}

// recordRun is a recording with the file that it is written to.
type recordRun struct {
	*project
	proxy   *recorder.Proxy
	file    string
	written workload.Counts
}

// run records until the command has ended or, without one, until the run is interrupted.
func (r *recordRun) run(c *cli.Context) error {
	recording, end := context.WithCancel(context.WithoutCancel(c.Context)) // the command may still ask when it is told to end
	defer end()
	served := make(chan error, 1)
	go func() { served <- r.proxy.Run(recording) }()
	asking, stop := context.WithCancel(c.Context)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- r.asking(asking, c) }()
	tick := time.NewTicker(c.Duration("every"))
	defer tick.Stop()
	for {
		select {
		case err := <-served: // it accepts no connections any more
			stop()
			return errors.Join(err, <-done, r.write())
		case <-tick.C:
			if r.proxy.Recording().Counts() == r.written {
				continue
			}
			if err := r.write(); err != nil {
				r.out.line("%v", err)
			}
		case err := <-done:
			end()
			return r.finish(errors.Join(<-served, r.write()), err)
		}
	}
}

// asking waits while the application asks.
func (r *recordRun) asking(ctx context.Context, c *cli.Context) error {
	if c.Args().Present() {
		return r.command(ctx, c)
	}
	<-ctx.Done()
	return nil
}

// command runs the application's tests. An exit code is returned as it is.
func (r *recordRun) command(ctx context.Context, c *cli.Context) error {
	args := c.Args().Slice()
	if args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("there is no command behind --")
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, c.App.Writer, c.App.ErrWriter
	cmd.Env = append(os.Environ(), c.String("variable")+"="+r.proxy.URL(), "SWITCHBACK_RECORD_ADDRESS="+r.proxy.Address())
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, grace
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		code := ended.ExitCode()
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			code = 128 + int(status.Signal()) // as a shell has it
		}
		return &exitCode{code: code}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	return nil
}

// write writes the file.
func (r *recordRun) write() error {
	counts := r.proxy.Recording().Counts()
	if err := atomicfile.Write(r.file, r.proxy.Recording().File(), 0o644); err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	r.written = counts
	return nil
}

// finish says what was recorded. What went wrong with the recording goes before what the command has come to.
func (r *recordRun) finish(err, command error) error {
	if err != nil {
		return err
	}
	n := r.written
	text := fmt.Sprintf("%s: %s, asked %d times", r.file, noun.Counted(n.Distinct, "statement"), n.Asked)
	if n.Left > 0 {
		text += fmt.Sprintf("; %d left out: too long, too many, or with quotes that can be read in two ways", n.Left)
	}
	r.out.line("%s", text)
	if derr := r.out.document(struct {
		workload.Counts
		File string `json:"file"`
	}{n, r.file}); derr != nil {
		return derr
	}
	return command
}
