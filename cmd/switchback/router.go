package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/drivers/router/nginx"
	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/strategies"
)

// noRouter is the driver of where an orchestrator moves traffic by itself.
const noRouter = "none"

// router is the router that the configuration names.
func (p *project) router() (strategies.Router, error) {
	r := p.config.Release.Router
	switch r.Driver {
	case "proxy":
		return proxy.NewRouter(r.Admin), nil
	case "nginx":
		router, err := nginx.New(nginx.Options{Include: r.Include, Name: r.Name, Beacon: r.Beacon, Test: r.Test, Reload: r.Reload, Timeout: r.Timeout})
		var wrong *nginx.OptionError
		if errors.As(err, &wrong) {
			return nil, p.config.Fault("release.router."+wrong.Option, wrong.Reason)
		}
		return router, err
	case noRouter:
		return nil, p.config.Fault("release.router.driver", "is \"none\": there is no traffic to look at or to shift; without a router there are rolling releases alone")
	}
	return nil, p.config.Fault("release.router.driver", fmt.Sprintf("is %q; this version knows \"proxy\", \"nginx\" and \"none\"", r.Driver))
}

// observe asks the router what it does now, before anything is changed.
func (p *project) observe(ctx context.Context, router strategies.Router) (strategies.Routing, error) {
	routing, err := router.Observe(ctx)
	r := p.config.Release.Router
	switch {
	case errors.Is(err, proxy.ErrNotRunning):
		return routing, fmt.Errorf("%w\n  state: nothing was changed\n  next: switchback proxy --listen ADDRESS --admin %s, in a terminal or service of its own", err, r.Admin)
	case errors.Is(err, nginx.ErrNotRunning):
		test := "nginx -t"
		if len(r.Test) > 0 {
			test = strings.Join(r.Test, " ")
		}
		return routing, fmt.Errorf("%w\n  state: nothing was changed\n  next: %s, see that its http block has: include %s; then start or reload NGINX", err, test, r.Include)
	case err != nil:
		return routing, fmt.Errorf("%w\n  state: nothing was changed", err)
	}
	return routing, nil
}
