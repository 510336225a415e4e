package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/router/kubernetes"
	"github.com/switchbackdb/switchback/drivers/router/nginx"
	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/strategies"
)

// noRouter is the driver of where an orchestrator moves traffic by itself.
const noRouter = "none"

// router is the router that the configuration names.
func (p *project) router() (strategies.Router, error) {
	r := p.config.Release.Router
	if err := p.words(routerPort(r)); err != nil {
		return nil, err
	}
	switch r.Driver {
	case "proxy":
		return proxy.NewRouter(r.Admin), nil
	case "nginx":
		return p.nginxRouter(r)
	case "kubernetes":
		return p.kubernetesRouter(r)
	case execDriver, webhookDriver:
		return p.customRouter(r)
	case noRouter:
		return nil, p.config.Fault("release.router.driver", "is \"none\": there is no traffic to look at or to shift; without a router there are rolling releases alone")
	}
	return nil, p.config.Fault("release.router.driver", fmt.Sprintf("is %q; this version knows \"proxy\", \"nginx\", \"kubernetes\", \"exec\", \"webhook\" and \"none\"", r.Driver))
}

// nginxRouter is an NGINX of this machine. Where it writes a log for it, it counts requests.
func (p *project) nginxRouter(r config.Router) (router strategies.Router, err error) {
	o := nginx.Options{Include: r.Include, Name: r.Name, Beacon: r.Beacon, Test: r.Test, Reload: r.Reload, Timeout: r.Timeout}
	if r.Log == "" {
		router, err = nginx.New(o)
	} else {
		router, err = nginx.NewCounting(o, r.Log)
	}
	var wrong *nginx.OptionError
	if errors.As(err, &wrong) {
		return nil, p.config.Fault("release.router."+wrong.Option, wrong.Reason)
	}
	return router, err
}

// kubernetesRouter moves the traffic of an HTTPRoute or a Service, of the cluster that the router names, or the service
// driver.
func (p *project) kubernetesRouter(r config.Router) (strategies.Router, error) {
	where := r.Cluster
	if s := p.config.Release.Service; s.Driver == r.Driver && where == (config.Cluster{}) {
		where = s.Cluster
	}
	switch {
	case r.Route != "" && r.Service != "":
		return nil, p.config.Fault("release.router.service", "is there beside route: with an HTTPRoute it is services, the two that its rules name")
	case r.Route != "" && len(r.Services) != 2:
		return nil, p.config.Fault("release.router.services", fmt.Sprintf("has %d of them: it is the two Services that the HTTPRoute's rules name, such as [shop-a, shop-b]", len(r.Services)))
	case r.Route == "" && len(r.Services) > 0:
		return nil, p.config.Fault("release.router.services", "is there without route: the HTTPRoute whose rules name them")
	case r.Route == "" && r.Service == "":
		return nil, p.config.Fault("release.router.service", "is missing: the Service that clients use; or route and services, for an HTTPRoute")
	}
	c, err := openCluster(where)
	if err != nil {
		return nil, err
	}
	o := kubernetes.Options{
		Application: p.config.Release.Application, Service: r.Service, Route: r.Route, Services: r.Services, Settle: r.Settle, Timeout: r.Timeout,
	}
	if r.Route != "" {
		return kubernetes.NewRoute(c, o)
	}
	return kubernetes.New(c, o)
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
