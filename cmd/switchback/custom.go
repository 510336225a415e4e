package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/custom"
	"github.com/switchbackdb/switchback/drivers/custom/exec"
	"github.com/switchbackdb/switchback/drivers/custom/webhook"
	"github.com/switchbackdb/switchback/internal/tlsfiles"
)

// The drivers that are the user's own, called as a program or by HTTP.
const (
	execDriver    = "exec"
	webhookDriver = "webhook"
)

// isCustom tells whether a driver is the user's own.
func isCustom(driver string) bool { return driver == execDriver || driver == webhookDriver }

// customPort is a port of a release whose driver is the user's own.
type customPort struct {
	place  string // in the configuration: release.service
	driver string
	custom config.Custom
}

// words refuses words of the configuration that the port's driver does not know.
func (p *project) words(c customPort) error {
	for key, of := range map[string]struct {
		given bool
		known bool
	}{
		"program":     {len(c.custom.Program) > 0, c.driver == execDriver},
		"url":         {c.custom.URL != "", c.driver == webhookDriver},
		"secret":      {c.custom.Secret != "", c.driver == webhookDriver},
		"secret_file": {c.custom.SecretFile != "", c.driver == webhookDriver},
		"ca":          {c.custom.CA != "", c.driver == webhookDriver},
		"cert":        {c.custom.Cert != "", c.driver == webhookDriver},
		"key":         {c.custom.Key != "", c.driver == webhookDriver},
		"settings":    {len(c.custom.Settings) > 0, isCustom(c.driver)},
	} {
		if of.given && !of.known {
			return p.config.Fault(c.place+"."+key, fmt.Sprintf("is no word of the driver %q, see docs/custom.md", c.driver))
		}
	}
	return nil
}

// options say how the other side of a port is called.
func (p *project) options(c customPort, timeout time.Duration) (custom.Options, error) {
	o := custom.Options{Application: p.config.Release.Application, Settings: map[string]string{}, Timeout: timeout}
	for name, value := range c.custom.Settings {
		var err error
		if o.Settings[name], err = config.Substitute(value); err != nil {
			return o, p.config.Fault(c.place+".settings", fmt.Sprintf("cannot be used: %s: %v", name, err))
		}
	}
	if c.driver == execDriver {
		if len(c.custom.Program) == 0 {
			return o, p.config.Fault(c.place+".program", "is missing: the program that is called, see docs/custom.md")
		}
		o.Transport = exec.Transport{Command: c.custom.Program, Dir: p.config.Release.Service.Dir}
		return o, nil
	}
	secret, err := p.signing(c)
	if err != nil {
		return o, err
	}
	o.Transport, err = webhook.New(webhook.Options{
		URL: c.custom.URL, Secret: secret, TLS: tlsfiles.Files{CA: c.custom.CA, Cert: c.custom.Cert, Key: c.custom.Key},
	})
	var wrong *webhook.OptionError
	if errors.As(err, &wrong) {
		return o, p.config.Fault(c.place+"."+wrong.Option, wrong.Reason)
	}
	return o, err
}

// oneVariable is a value that is nothing but an environment variable.
var oneVariable = regexp.MustCompile(`^\$\{\w+\}$`)

// signing is the secret that requests are signed with, of the environment or of a file.
func (p *project) signing(c customPort) (string, error) {
	switch s := c.custom; {
	case (s.Secret == "") == (s.SecretFile == ""):
		return "", p.config.Fault(c.place+".secret", "is missing, or there is secret_file as well: requests are signed with one of them")
	case s.SecretFile != "":
		text, err := os.ReadFile(s.SecretFile)
		if err != nil {
			return "", p.config.Fault(c.place+".secret_file", "cannot be read: "+err.Error())
		}
		return strings.TrimSpace(string(text)), nil
	case !oneVariable.MatchString(s.Secret):
		return "", p.config.Fault(c.place+".secret", "is written out; make it ${NAME}, a variable of the environment, or use secret_file")
	}
	secret, err := config.Substitute(c.custom.Secret)
	if err != nil {
		return "", p.config.Fault(c.place+".secret", "cannot be used: "+err.Error())
	}
	return secret, nil
}

// customService is the service of the user's own.
func (p *project) customService(s config.Service) (*custom.Service, error) {
	o, err := p.options(servicePort(s), s.Timeout)
	if err != nil {
		return nil, err
	}
	return custom.NewService(o), nil
}

func servicePort(s config.Service) customPort {
	return customPort{"release.service", s.Driver, s.Custom}
}

// customRouter is the router of the user's own.
func (p *project) customRouter(r config.Router) (*custom.Router, error) {
	o, err := p.options(routerPort(r), r.Timeout)
	if err != nil {
		return nil, err
	}
	return custom.NewRouter(o), nil
}

func routerPort(r config.Router) customPort {
	return customPort{"release.router", r.Driver, r.Custom}
}
