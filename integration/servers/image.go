package servers

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"
)

// Docker opens the engine that the tests run on. A missing one fails the test.
func Docker(t testing.TB) *client.Client {
	t.Helper()
	engine, err := client.New(client.FromEnv)
	require.NoError(t, err)
	t.Cleanup(func() { _ = engine.Close() })
	_, err = engine.Ping(t.Context(), client.PingOptions{})
	require.NoError(t, err, "a missing Docker engine is a failure")
	return engine
}

// Image builds an image with one program in it, /program, and returns its name. It is removed when the test ends.
// The rest of its Dockerfile is given; nothing is pulled for it.
func Image(t testing.TB, engine *client.Client, program, dockerfile string) string {
	t.Helper()
	tag, remove, err := BuildImage(t.Context(), engine, program, dockerfile)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, remove()) })
	return tag
}

// BuildImage does so outside of a test.
func BuildImage(ctx context.Context, engine *client.Client, program, dockerfile string) (tag string, remove func() error, err error) {
	binary, err := os.ReadFile(program)
	if err != nil {
		return "", nil, err
	}
	files, err := archive(map[string][]byte{"program": binary, "Dockerfile": []byte("FROM scratch\nCOPY program /program\n" + dockerfile)})
	if err != nil {
		return "", nil, err
	}
	tag = "switchback-test:" + unique()
	// Without the cache no two images share layers: one that is removed would take those of one that is being built along.
	built, err := engine.ImageBuild(ctx, files, client.ImageBuildOptions{Tags: []string{tag}, Remove: true, ForceRemove: true, NoCache: true})
	if err != nil {
		return "", nil, fmt.Errorf("build an image of %s: %w", program, err)
	}
	said, err := io.ReadAll(built.Body)
	if err = errors.Join(err, built.Body.Close()); err != nil {
		return "", nil, fmt.Errorf("build an image of %s: %w", program, err)
	}
	if _, err = engine.ImageInspect(ctx, tag); err != nil {
		return "", nil, fmt.Errorf("build an image of %s: %w: %s", program, err, said)
	}
	return tag, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_, err := engine.ImageRemove(ctx, tag, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		return err
	}, nil
}

// archive is a tar of files that everybody may run.
func archive(files map[string][]byte) (*bytes.Buffer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	return &b, w.Close()
}

// Application returns a name for an application on the engine. Containers and volumes with the label of its
// name are removed when the test ends.
func Application(t testing.TB, engine *client.Client, label string) string {
	t.Helper()
	name := "test-" + unique()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		filters := make(client.Filters).Add("label", label+"="+name)
		containers, err := engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
		require.NoError(t, err)
		for _, c := range containers.Items {
			_, err := engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			require.NoError(t, err)
		}
		volumes, err := engine.VolumeList(ctx, client.VolumeListOptions{Filters: filters})
		require.NoError(t, err)
		for _, v := range volumes.Items {
			_, err := engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
			require.NoError(t, err)
		}
	})
	return name
}
