package servers

import (
	"archive/tar"
	"bytes"
	"context"
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
	binary, err := os.ReadFile(program)
	require.NoError(t, err)
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for name, content := range map[string][]byte{"program": binary, "Dockerfile": []byte("FROM scratch\nCOPY program /program\n" + dockerfile)} {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}))
		_, err := w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	tag := "switchback-test:" + unique()
	// Without the cache no two images share layers: one that is removed would take those of one that is being built along.
	built, err := engine.ImageBuild(t.Context(), &files, client.ImageBuildOptions{Tags: []string{tag}, Remove: true, ForceRemove: true, NoCache: true})
	require.NoError(t, err)
	defer built.Body.Close()
	var said bytes.Buffer
	_, err = said.ReadFrom(built.Body)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := engine.ImageRemove(ctx, tag, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		require.NoError(t, err)
	})
	_, err = engine.ImageInspect(t.Context(), tag)
	require.NoError(t, err, said.String())
	return tag
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
