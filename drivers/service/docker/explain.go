package docker

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/drivers/service/engine"
)

// explainStart says what to do where a container that was made does not start.
func explainStart(name string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "port is already allocated"), strings.Contains(text, "address already in use"), strings.Contains(text, "all ports are allocated"):
		return fmt.Errorf("no port is free for the container %s: %w\n  next: make release.service.ports wider, or leave it out; docker ps shows who has which", name, err)
	case strings.Contains(text, "OCI runtime"), strings.Contains(text, "executable file not found"), strings.Contains(text, "no such file or directory"):
		return fmt.Errorf("the container %s cannot run its command: %w\n  next: mend release.service.command or the image", name, err)
	}
	return engine.Explain(err)
}
