package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/service/docker"
	"github.com/switchbackdb/switchback/drivers/service/process"
	"github.com/switchbackdb/switchback/strategies"
)

// service is the container service that the configuration names.
func (t *target) service(r config.Release) (strategies.Service, error) {
	for key, given := range map[string]bool{"publish": r.Service.Publish != 0, "publish_mode": r.Service.PublishMode != "", "endpoint": r.Service.Endpoint != ""} {
		if given {
			return nil, t.config.Fault("release.service."+key, "is a word of the driver \"swarm\"")
		}
	}
	switch r.Service.Driver {
	case "process":
		return process.New(r.Service.State), nil
	case "docker":
		s, err := docker.New(r.Application)
		if err != nil {
			return nil, err
		}
		t.closers = append(t.closers, s.Close)
		return s, nil
	}
	return nil, t.config.Fault("release.service.driver", fmt.Sprintf("is %q; this version knows \"process\", \"docker\" and \"swarm\"", r.Service.Driver))
}

// candidate is the version that a release starts, as the configuration describes it.
func candidate(s config.Service, release, version string) (strategies.Version, error) {
	v := strategies.Version{
		Release: release, Slot: strategies.Green, Name: version, Command: s.Command, Env: s.Env, Health: s.Health,
	}
	if s.Driver != "docker" && s.Driver != swarmDriver {
		if len(s.Command) == 0 {
			return v, fmt.Errorf("%s does not say how the application is started\n  next: set release.service.command, see docs/releases.md", config.FileName)
		}
		var err error
		v.Dir, err = filepath.Abs(s.Dir)
		return v, err
	}
	if s.Image == "" {
		return v, fmt.Errorf("%s does not say which image the application is\n  next: set release.service.image, see docs/releases.md", config.FileName)
	}
	v.Container = &strategies.Container{Image: s.Image, Port: s.Port, Ports: s.Ports, Network: s.Network, Endpoint: s.Endpoint}
	if s.Publish != 0 {
		v.Container.Publish = &strategies.Publish{Port: s.Publish, Mode: s.PublishMode}
	}
	if h := s.Healthcheck; h != nil {
		v.Container.Healthcheck = &strategies.Healthcheck{
			Command: h.Command, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
		}
	}
	for _, volume := range s.Volumes {
		source, target, _ := strings.Cut(volume, ":")
		if strings.HasPrefix(source, ".") { // a folder; another word is a volume's name
			var err error
			if source, err = filepath.Abs(filepath.Join(s.Dir, source)); err != nil {
				return v, err
			}
		}
		v.Container.Volumes = append(v.Container.Volumes, source+":"+target)
	}
	return v, nil
}
