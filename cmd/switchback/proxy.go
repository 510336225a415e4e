package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/drivers/router/proxy"
)

func proxyCommand() *cli.Command {
	return &cli.Command{
		Name:  "proxy",
		Usage: "the built-in router: a reverse proxy that splits traffic between blue and green",
		Flags: append(outputFlags(),
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:8080", Usage: "the `ADDRESS` of the application's clients"},
			&cli.StringFlag{Name: "state", Usage: "the `FILE` that keeps the routing over a restart", DefaultText: ".switchback/proxy.json"},
			&cli.StringFlag{Name: "admin", Usage: "the `SOCKET` it is told by", DefaultText: ".switchback/proxy.sock"},
			&cli.StringFlag{Name: "health", Usage: "the `PATH` at which the backends are probed", DefaultText: "release.service.health"},
			&cli.StringFlag{Name: "sticky", Usage: "keep a client at its backend with a cookie of this `NAME`"},
			&cli.BoolFlag{Name: "trust-forwarded", Usage: "keep the X-Forwarded headers of requests: behind another proxy only"},
		),
		Action: runProxy,
	}
}

func runProxy(c *cli.Context) error {
	p, err := openProject(c)
	if err != nil {
		return err
	}
	cfg := proxy.Config{
		Listen: c.String("listen"), StateFile: c.String("state"), AdminSocket: c.String("admin"),
		Health: proxy.Health{Path: c.String("health")}, StickyCookie: c.String("sticky"), TrustForwarded: c.Bool("trust-forwarded"),
	}
	if cfg.AdminSocket == "" {
		cfg.AdminSocket = p.config.Release.Router.Admin
	}
	if cfg.StateFile == "" {
		cfg.StateFile = filepath.Join(filepath.Dir(cfg.AdminSocket), "proxy.json")
	}
	if cfg.Health.Path == "" {
		cfg.Health.Path = p.config.Release.Service.Health
	}
	if !p.out.quiet {
		cfg.Log = slog.New(slog.NewTextHandler(p.out.progress, nil))
	}
	for _, path := range []string{cfg.StateFile, cfg.AdminSocket} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("make the folder of %s: %w", path, err)
		}
	}
	server, err := proxy.Listen(c.Context, cfg)
	if err != nil {
		return err
	}
	p.out.printf("listening on http://%s, told by %s", server.Addr(), cfg.AdminSocket)
	return server.Run(c.Context)
}
