// Package engine has what the drivers of a Docker engine share: what an image says, what a container printed, what an
// error of the engine means, and how values of an environment are kept out of all of it.
package engine

import (
	"fmt"
	"strings"

	"github.com/moby/moby/client"
)

// Explain says what to do where the engine did not answer.
func Explain(err error) error {
	switch {
	case err == nil:
		return nil
	case client.IsErrConnectionFailed(err), strings.Contains(err.Error(), "permission denied while trying to connect"):
		return fmt.Errorf("the Docker engine cannot be reached: %w\n  next: docker info; start Docker, or set DOCKER_HOST", err)
	}
	return fmt.Errorf("the Docker engine: %w", err)
}
