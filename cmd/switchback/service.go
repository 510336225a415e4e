package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/drivers/service/docker"
	"github.com/switchbackdb/switchback/drivers/service/kubernetes"
	"github.com/switchbackdb/switchback/drivers/service/process"
	"github.com/switchbackdb/switchback/drivers/service/swarm"
	"github.com/switchbackdb/switchback/strategies"
)

// service is the container service that the configuration names.
func (t *target) service(r config.Release) (strategies.Service, error) {
	if err := t.serviceWords(r.Service); err != nil {
		return nil, err
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
	case swarmDriver:
		s, err := swarm.NewVersions(r.Application, r.Grace)
		if err != nil {
			return nil, err
		}
		t.closers = append(t.closers, s.Close)
		return s, nil
	case kubernetesDriver:
		c, err := openCluster(r.Service.Cluster)
		if err != nil {
			return nil, err
		}
		if r.Router.Driver != r.Service.Driver {
			return kubernetes.New(c, r.Application)
		}
		return kubernetes.New(c, r.Application, behind(r.Router)...)
	case execDriver, webhookDriver:
		return t.customService(r.Service)
	}
	return nil, t.config.Fault("release.service.driver", fmt.Sprintf("is %q; this version knows \"process\", \"docker\", \"kubernetes\", \"swarm\", \"exec\" and \"webhook\"", r.Service.Driver))
}

// serviceWords refuses words of the configuration that the driver does not know.
func (t *target) serviceWords(s config.Service) error {
	for key, given := range map[string]bool{"publish": s.Publish != 0, "publish_mode": s.PublishMode != "", "endpoint": s.Endpoint != ""} {
		if given && s.Driver != swarmDriver {
			return t.config.Fault("release.service."+key, "is a word of the driver \"swarm\"")
		}
	}
	for key, given := range map[string]bool{"template": s.Template != "", "container": s.Container != "", "namespace": s.Namespace != ""} {
		if given && s.Driver != kubernetesDriver {
			return t.config.Fault("release.service."+key, "is a word of the driver \"kubernetes\"")
		}
	}
	if s.Replicas != 0 && s.Driver != kubernetesDriver && s.Driver != swarmDriver {
		return t.config.Fault("release.service.replicas", "is a word of the drivers \"kubernetes\" and \"swarm\"")
	}
	if s.Timeout != 0 && !isCustom(s.Driver) {
		return t.config.Fault("release.service.timeout", "is a word of the drivers \"exec\" and \"webhook\"")
	}
	return t.words(servicePort(s))
}

// behind are the Services whose pods a release changes.
func behind(r config.Router) []string {
	if r.Route != "" {
		return r.Services
	}
	return []string{r.Service}
}

// openCluster opens the Kubernetes cluster that the configuration names.
func openCluster(c config.Cluster) (*cluster.Cluster, error) {
	return cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig, Context: c.Context, Namespace: c.Namespace})
}

// candidate is the version that a release starts, as the configuration describes it.
func candidate(s config.Service, release, version string) (strategies.Version, error) {
	v := strategies.Version{
		Release: release, Slot: strategies.Green, Name: version, Command: s.Command, Env: s.Env, Health: s.Health,
	}
	switch s.Driver {
	case "docker", swarmDriver:
		return inContainer(v, s)
	case kubernetesDriver:
		return inPods(v, s)
	case execDriver, webhookDriver:
		v.Container = &strategies.Container{Image: s.Image, Port: s.Port}
		var err error
		v.Dir, err = filepath.Abs(s.Dir)
		return v, err
	default:
		if len(s.Command) == 0 {
			return v, fmt.Errorf("%s does not say how the application is started\n  next: set release.service.command, see docs/releases.md", config.FileName)
		}
		var err error
		v.Dir, err = filepath.Abs(s.Dir)
		return v, err
	}
}

// variables refuses a version whose environment wants variables that are not set, before there is a release of it.
func (t *target) variables(v strategies.Version) error {
	for _, name := range slices.Sorted(maps.Keys(v.Env)) {
		if _, err := config.Substitute(v.Env[name]); err != nil {
			return t.config.Fault("release.service.env", fmt.Sprintf("cannot be used: %s: %v", name, err))
		}
	}
	return nil
}

// released is the service with what the command line says of it, and the name of the version to release.
func released(c *cli.Context, s config.Service) (config.Service, string, error) {
	version, image := c.String("version"), c.String("image")
	if image == "" {
		if version == "" {
			return s, "", errors.New("which version is to be released?\n  next: say --version NAME, or, where it runs in containers, --image IMAGE")
		}
		return s, version, nil
	}
	if s.Driver == "process" {
		return s, "", errors.New("processes have no image\n  next: say --version NAME, or set release.service.driver, see docs/releases.md")
	}
	s.Image = image
	if version == "" {
		if version = tagOf(image); version == "" {
			return s, "", fmt.Errorf("image %s has no tag that could be the version's name\n  next: say --version NAME as well", image)
		}
	}
	return s, version, nil
}

// tagOf is the tag of an image, or nothing.
func tagOf(image string) string {
	name, _, _ := strings.Cut(image, "@")
	_, tag, _ := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	return tag
}

// inPods is a version that runs in pods of a Kubernetes cluster. The text of its template is part of it, so that the way
// back has the one it went out with.
func inPods(v strategies.Version, s config.Service) (strategies.Version, error) {
	v.Container = &strategies.Container{Image: s.Image, Port: s.Port, Name: s.Container, Replicas: s.Replicas}
	if s.Template == "" {
		if s.Image == "" {
			return v, fmt.Errorf("%s does not say which image the application is\n  next: set release.service.image, or release.service.template, see docs/kubernetes.md", config.FileName)
		}
		return v, nil
	}
	text, err := os.ReadFile(s.Template)
	if err != nil {
		return v, fmt.Errorf("read the template of the application's Deployment: %w\n  next: mend release.service.template in %s", err, config.FileName)
	}
	v.Container.Template = string(text)
	return v, nil
}

// inContainer is a version that runs in a container of a Docker engine.
func inContainer(v strategies.Version, s config.Service) (strategies.Version, error) {
	if s.Image == "" {
		return v, fmt.Errorf("%s does not say which image the application is\n  next: set release.service.image, see docs/releases.md", config.FileName)
	}
	v.Container = &strategies.Container{Image: s.Image, Port: s.Port, Ports: s.Ports, Network: s.Network, Endpoint: s.Endpoint, Replicas: s.Replicas}
	if s.Publish != 0 || s.PublishMode != "" {
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
