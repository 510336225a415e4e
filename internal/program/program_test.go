package program

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	var out, problems bytes.Buffer
	dir := t.TempDir()
	p := Program{
		Command: []string{"sh", "-c", `cat; echo "$STEP"; pwd; echo bad >&2; exit 3`},
		Dir:     dir, Env: map[string]string{"STEP": "shift"}, Input: []byte("in\n"), Output: &out, Errors: &problems,
	}
	err := p.Run(t.Context())
	require.Equal(t, 3, ExitCode(err))
	require.False(t, Killed(err))
	require.Equal(t, "in\nshift\n"+dir+"\n", out.String())
	require.EqualError(t, Said(err, strings.TrimSpace(problems.String())), "exit status 3: bad")
	require.True(t, Killed(Program{Command: []string{"sh", "-c", "kill -9 $$"}}.Run(t.Context())))
	require.Error(t, Program{}.Run(t.Context()))
	require.Equal(t, -1, ExitCode(Program{Command: []string{"./nothing-of-this-name"}}.Run(t.Context())))
}

// TestRunEndsAll has a program end with what it has started, also when that does not listen.
func TestRunEndsAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := Program{
		Command: []string{"sh", "-c", `trap '' TERM; sleep 600 & echo $! > "$FILE"; wait; wait`},
		Env:     map[string]string{"FILE": file}, Grace: 100 * time.Millisecond,
	}.Run(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !runs(pid) }, 10*time.Second, 10*time.Millisecond)
}

// runs tells whether a process is there that is not only waited for.
func runs(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	return !strings.Contains(string(stat), ") Z ")
}

func TestLastLine(t *testing.T) {
	l := &LastLine{}
	for _, part := range []string{"a\nb", "c\n", "  \n", "\n"} {
		_, _ = l.Write([]byte(part))
	}
	require.Equal(t, "bc", l.String())
	_, _ = l.Write([]byte(strings.Repeat("ä", 500)))
	require.Equal(t, strings.Repeat("ä", 100), l.String())
}

func TestKept(t *testing.T) {
	tail, head := &Tail{Most: 4}, &Head{Most: 4}
	for _, part := range []string{"ab", "cd"} {
		_, _ = tail.Write([]byte(part))
		_, _ = head.Write([]byte(part))
	}
	text, whole := head.Bytes()
	require.Equal(t, "abcd", string(text))
	require.True(t, whole)
	for _, part := range []string{"e", "fghijk"} {
		n, err := head.Write([]byte(part))
		require.NoError(t, err)
		require.Len(t, part, n)
		_, _ = tail.Write([]byte(part))
	}
	text, whole = head.Bytes()
	require.Equal(t, "abcd", string(text))
	require.False(t, whole)
	require.Equal(t, "hijk", tail.String())
}
