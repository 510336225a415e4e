package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/switchbackdb/switchback/internal/filelock"
	"github.com/switchbackdb/switchback/strategies"
)

// launcher writes the process's own number down and then becomes the application.
const launcher = `echo $$ > "$0.tmp" && mv "$0.tmp" "$0" && exec "$@"`

// spawn starts the application in a session of its own, so that neither the end of this command nor a
// Ctrl-C at its terminal reaches it.
func (s *Service) spawn(ctx context.Context, r record, v strategies.Version) error {
	pidFile := s.path(r.ID, "pid")
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// Somebody who only looks holds the lock for a moment too.
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	alive, err := filelock.Take(wait, s.path(r.ID, "alive"))
	if err != nil {
		return err
	}
	defer alive.Close()
	log, err := os.OpenFile(s.path(r.ID, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()

	fill := v.Filler(r.Address)
	argv := []string{"/bin/sh", "-c", launcher, pidFile}
	for _, a := range v.Command {
		argv = append(argv, fill(a))
	}
	env := os.Environ()
	for name, value := range v.Env {
		env = append(env, name+"="+fill(value))
	}
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Dir:   v.Dir,
		Env:   env,
		Files: []*os.File{null, log, log, alive},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	return p.Release()
}

// pollEnd is how often a process that should end is looked at.
const pollEnd = 10 * time.Millisecond

// killWait is how long a killed process may take to be gone: the kernel has to write its pages.
const killWait = 10 * time.Second

// end ends the process of an instance and waits until it is gone.
func (s *Service) end(ctx context.Context, id string, grace time.Duration) error {
	gone, err := s.gone(ctx, id, 0)
	if gone || err != nil {
		return err
	}
	pid, err := s.pid(ctx, id)
	if err != nil {
		return err
	}
	// The lock was held a moment ago, so the number is still that of our process.
	if err := syscall.Kill(-pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("SIGTERM to %d: %w", pid, err)
	}
	if gone, err = s.gone(ctx, id, grace); gone || err != nil {
		return err
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("SIGKILL to %d: %w", pid, err)
	}
	if gone, err = s.gone(ctx, id, killWait); err == nil && !gone {
		return fmt.Errorf("process %d or a child of it still runs after SIGKILL", pid)
	}
	return err
}

// gone waits until no process holds the instance's lock, at most for d.
func (s *Service) gone(ctx context.Context, id string, d time.Duration) (bool, error) {
	deadline := time.Now().Add(d)
	for {
		s.reap(id)
		held, err := filelock.Held(s.path(id, "alive"))
		if err != nil || !held {
			return err == nil, err
		}
		if time.Now().After(deadline) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(pollEnd):
		}
	}
}

// pid reads the number the process wrote down. Just started, it may take a moment.
func (s *Service) pid(ctx context.Context, id string) (int, error) {
	for deadline := time.Now().Add(2 * time.Second); ; {
		if pid, ok := s.readPID(id); ok {
			return pid, nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("it runs, but has not written its number to %s", s.path(id, "pid"))
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(pollEnd):
		}
	}
}

func (s *Service) readPID(id string) (int, bool) {
	data, err := os.ReadFile(s.path(id, "pid"))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	return pid, err == nil && pid > 1
}

// reap lets the kernel forget the process when it was a child of ours and has ended.
func (s *Service) reap(id string) {
	if pid, ok := s.readPID(id); ok {
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	}
}
