package servers

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// Images of what is no database.
const (
	NginxImage = "nginx:1"
	EtcdImage  = "quay.io/coreos/etcd:v3.5"
)

// StartNginx starts NGINX with a configuration, on the host's network, so that it can reach what listens
// on the loopback. The configuration says where it listens; it is given the time to do so.
func StartNginx(ctx context.Context, configuration string) (stop func() error, err error) {
	if err := prepare(); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "nginx-*.conf")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if _, err := file.WriteString(configuration); err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	c, err := testcontainers.Run(ctx, NginxImage,
		testcontainers.WithLogger(log.New(io.Discard, "", 0)),
		testcontainers.WithFiles(testcontainers.ContainerFile{HostFilePath: file.Name(), ContainerFilePath: "/etc/nginx/nginx.conf", FileMode: 0o644}),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.NetworkMode = "host" }),
	)
	stop = func() error { return testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0)) }
	if err != nil {
		return stop, fmt.Errorf("start %s: %w", NginxImage, err)
	}
	return stop, nil
}

// StartEtcd starts an etcd and returns the URL of its API.
func StartEtcd(ctx context.Context) (url string, stop func() error, err error) {
	if err := prepare(); err != nil {
		return "", nil, err
	}
	const port = "2379/tcp"
	c, err := testcontainers.Run(ctx, EtcdImage,
		testcontainers.WithLogger(log.New(io.Discard, "", 0)),
		testcontainers.WithExposedPorts(port),
		testcontainers.WithCmd(strings.Fields("etcd --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://0.0.0.0:2379 --unsafe-no-fsync")...),
		testcontainers.WithWaitStrategyAndDeadline(time.Minute, wait.ForHTTP("/health").WithPort(port)),
	)
	stop = func() error { return testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0)) }
	if err != nil {
		return "", stop, fmt.Errorf("start %s: %w", EtcdImage, err)
	}
	url, err = c.PortEndpoint(ctx, port, "http")
	return url, stop, err
}
