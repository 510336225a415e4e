package gate

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/binary"
)

// The root of the project, where CI services look for what is theirs.
const root = "../.."

var program binary.Binary

// project is a project with a change, sound or not, on a branch of its own.
func project(t *testing.T, rollback string) string {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("changes/1_a/expand.sql", "CREATE TABLE a (id integer PRIMARY KEY);\n")
	write("changes/1_a/expand.rollback.sql", rollback)
	return dir
}

// TestAction runs the script of the GitHub action and the GitLab template as they do.
func TestAction(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	program, err := program.Path()
	require.NoError(t, err)
	for _, c := range []struct {
		rollback, want string
		code           int
	}{{"DROP TABLE a;\n", "0 errors", 0}, {"SELECT 1;\n", "::error file=", 2}} {
		p, temp := project(t, c.rollback), t.TempDir()
		require.NoError(t, exec.CommandContext(t.Context(), program, "sum", "--dir", p).Run())
		summary, output := filepath.Join(temp, "summary"), filepath.Join(temp, "output")
		script, err := filepath.Abs(filepath.Join(root, "deploy/check.sh"))
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), "bash", script)
		cmd.Dir = p
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "RUNNER_TEMP="+temp, "GITHUB_ACTIONS=true",
			"GITHUB_STEP_SUMMARY="+summary, "GITHUB_OUTPUT="+output, "ARGS=--only rollback --only release")
		out, err := cmd.CombinedOutput()
		require.Equal(t, c.code, cmd.ProcessState.ExitCode(), "%v: %s", err, out)
		require.Contains(t, string(out), c.want)
		for _, file := range []string{"switchback.sarif", "switchback.md", "switchback.xml", "switchback.gitlab.json"} {
			require.FileExists(t, filepath.Join(temp, file))
		}
		text, err := os.ReadFile(summary)
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(text, []byte("<!-- switchback:report -->")))
		text, err = os.ReadFile(output)
		require.NoError(t, err)
		require.Contains(t, string(text), "sarif="+temp)
	}
}

// TestDeployFiles reads what the CI services read.
func TestDeployFiles(t *testing.T) {
	for _, file := range []string{"action.yml", "deploy/gitlab.yml", ".pre-commit-hooks.yaml"} {
		data, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		var content any
		require.NoError(t, yaml.Unmarshal(data, &content), file)
	}
}

// TestImage builds the image and has it check a project.
func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Docker")
	}
	dir := t.TempDir()
	program, err := program.Path()
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.Link(program, filepath.Join(dir, "bin", "switchback")))
	for _, file := range []string{"Dockerfile", ".dockerignore"} {
		data, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), data, 0o644))
	}
	docker := func(ctx context.Context, args ...string) string {
		out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	name := "switchback-test-" + strings.ToLower(rand.Text()[:12])
	docker(t.Context(), "build", "-q", "-t", name, dir)
	t.Cleanup(func() { docker(context.Background(), "image", "rm", "-f", name) })
	p := project(t, "DROP TABLE a;\n")
	docker(t.Context(), "run", "--rm", "-v", p+":/project", name, "sum")
	require.Contains(t, docker(t.Context(), "run", "--rm", "-v", p+":/project", name, "check"), "0 errors")
}
