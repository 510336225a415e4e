package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/switchbackdb/switchback/internal/freeport"
)

// NGINX is an NGINX of a test's own: a child process with its configuration in a folder.
type NGINX struct {
	Dir    string
	URL    string   // where it takes requests
	Test   []string // tests its configuration
	Reload []string // has it load that
	proc   *exec.Cmd
	ended  chan error
}

// StartNGINX starts one with a configuration that answers 503 to everything.
func StartNGINX(ctx context.Context, dir string) (*NGINX, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil, fmt.Errorf("NGINX is not installed (apt-get install --no-install-recommends nginx): %w", err)
		}
	}
	address, err := freeport.Address(ctx)
	if err != nil {
		return nil, err
	}
	n := &NGINX{Dir: dir, URL: "http://" + address}
	args := []string{program, "-p", dir + "/", "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log")}
	n.Test = append(args[:len(args):len(args)], "-t")
	n.Reload = append(args[:len(args):len(args)], "-s", "reload")
	if err := n.Configure("", "return 503;"); err != nil {
		return nil, err
	}
	return n, n.Start(ctx, args)
}

// Start starts NGINX, without args as it was started before, and waits until it answers.
func (n *NGINX) Start(ctx context.Context, args []string) error {
	if args == nil {
		args = n.proc.Args
	}
	n.proc = exec.CommandContext(context.WithoutCancel(ctx), args[0], args[1:]...)
	var said bytes.Buffer
	n.proc.Stderr = &said
	if err := n.proc.Start(); err != nil {
		return err
	}
	n.ended = make(chan error, 1)
	go func(proc *exec.Cmd, ended chan error) { ended <- proc.Wait() }(n.proc, n.ended)
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			return resp.Body.Close()
		}
		select {
		case err := <-n.ended:
			return fmt.Errorf("NGINX ended: %w: %s", err, said.String())
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), n.Stop())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Process is the number of its master process.
func (n *NGINX) Process() int { return n.proc.Process.Pid }

// Configure writes nginx.conf with more in its http block, and what location / does. NGINX does not load it yet.
func (n *NGINX) Configure(more, location string) error {
	text := fmt.Sprintf(`daemon off;
worker_processes 2;
pid %[1]s/nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    %[2]s
    server {
        listen %[3]s;
        location / { %[4]s }
    }
}
`, n.Dir, more, n.URL[len("http://"):], location)
	return os.WriteFile(filepath.Join(n.Dir, "nginx.conf"), []byte(text), 0o600)
}

// Include has nginx.conf include a file and send requests where its variable $switchback says.
func (n *NGINX) Include(file string) error {
	return n.Configure("include "+file+";",
		`proxy_pass http://$switchback; proxy_http_version 1.1; proxy_set_header Connection "";`)
}

// Stop ends NGINX and waits for it.
func (n *NGINX) Stop() error {
	_ = n.proc.Process.Signal(syscall.SIGTERM) // ended already: Wait tells
	select {
	case err := <-n.ended:
		n.ended <- err // for a second Stop
		return err
	case <-time.After(10 * time.Second):
		return errors.Join(errors.New("NGINX did not end"), n.proc.Process.Kill())
	}
}
