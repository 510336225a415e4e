package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/internal/secret"
)

// LastProbe is what the last run of a healthcheck printed.
func LastProbe(h *container.Health) string {
	if len(h.Log) == 0 {
		return ""
	}
	last := h.Log[len(h.Log)-1]
	return fmt.Sprintf(": exit code %d %s", last.ExitCode, strings.TrimSpace(last.Output))
}

// What is shown of a log: so many lines and bytes, and so many bytes of it are read for that.
const (
	shownLines = 10
	shownBytes = 2000
	readBytes  = 1 << 20
)

// readTimeout limits reading them.
const readTimeout = 2 * time.Second

var errLong = errors.New("its last lines are too long to show")

// LastLines are the last lines that a container printed. Values of its environment are replaced before anything
// is cut, so that no half of one is left.
func LastLines(ctx context.Context, engine *client.Client, c container.InspectResponse, secrets secret.Values) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	stream, err := engine.ContainerLogs(ctx, c.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(shownLines)})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	limited := &io.LimitedReader{R: stream, N: readBytes}
	var out bytes.Buffer
	if c.Config.Tty {
		_, err = io.Copy(&out, limited)
	} else {
		_, err = stdcopy.StdCopy(&out, &out, limited)
	}
	if limited.N == 0 {
		return "", errLong
	}
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(secrets.Text(strings.ToValidUTF8(out.String(), "?")))
	if len(text) > shownBytes {
		text = "…" + strings.ToValidUTF8(text[len(text)-shownBytes:], "")
	}
	return text, nil
}
