package s3

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/snapshot"
)

// TestAddress reads addresses; none shows a key.
func TestAddress(t *testing.T) {
	for _, bad := range []string{"", "s3:", "s3://", "s3:///prefix", "https://bucket/prefix", "s3://key:secret@bucket/prefix", "s3://bucket?endpoint=nowhere", "s3://bucket?endpoint=ftp://host"} {
		_, err := Open(bad)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "secret")
	}
	b, err := Open("s3://bucket/some/prefix/?endpoint=http://localhost:9&region=here")
	require.NoError(t, err)
	require.Equal(t, "s3://bucket/some/prefix", b.String())
}

// TestBlobs holds the folder and a bucket of a real server to the same contract.
func TestBlobs(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server of S3")
	}
	address := startServer(t)
	bucket, err := Open(address + "&region=us-east-1")
	require.NoError(t, err)
	t.Run("folder", func(t *testing.T) { contract(t, snapshot.Folder(t.TempDir())) })
	t.Run("bucket", func(t *testing.T) { contract(t, bucket) })
	t.Run("snapshot", func(t *testing.T) { takeAndProve(t, bucket) })
	t.Run("no such bucket", func(t *testing.T) {
		b, err := Open(strings.Replace(address, "s3://snapshots", "s3://absent", 1))
		require.NoError(t, err)
		require.ErrorContains(t, b.Put(t.Context(), "a/b", []byte("x")), "there is no such bucket")
	})
	t.Run("wrong key", func(t *testing.T) {
		t.Setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
		b, err := Open(address)
		require.NoError(t, err)
		err = b.Put(t.Context(), "a/b", []byte("x"))
		require.ErrorContains(t, err, "write a/b")
		require.NotContains(t, err.Error(), "another-secret")
	})
}

func contract(t *testing.T, b snapshot.Blobs) {
	ctx := t.Context()
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	for name, data := range map[string][]byte{"one/a": []byte("1"), "one/deep/b": large, "one/deep/c": nil, "two/a": []byte("2")} {
		require.NoError(t, b.Put(ctx, name, data))
		require.Equal(t, string(data), get(t, b, name))
		size, err := b.Size(ctx, name)
		require.NoError(t, err)
		require.EqualValues(t, len(data), size)
	}
	require.NoError(t, b.Put(ctx, "one/a", []byte("other")), "one that is there is replaced")
	require.Equal(t, "other", get(t, b, "one/a"))

	list := func(prefix string) []string {
		names, err := b.List(ctx, prefix)
		require.NoError(t, err)
		return names
	}
	require.ElementsMatch(t, []string{"one/", "two/"}, list(""))
	require.ElementsMatch(t, []string{"one/a", "one/deep/"}, list("one/"))
	require.Empty(t, list("three/"))

	_, err := b.Get(ctx, "one/none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = b.Size(ctx, "one/none")
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.Error(t, b.Remove(ctx, ""), "the whole store is never removed")
	require.NoError(t, b.Remove(ctx, "three/", "three/a"), "what is not there needs no removing")
	require.NoError(t, b.Remove(ctx, "one/", "one/a"))
	require.ElementsMatch(t, []string{"two/"}, list(""))
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, folder := b.(snapshot.Folder); !folder { // a file is written at once or not at all
		require.ErrorIs(t, b.Put(cancelled, "four/a", []byte("x")), context.Canceled)
	}
}

func get(t *testing.T, b snapshot.Blobs, name string) string {
	t.Helper()
	r, err := b.Get(t.Context(), name)
	require.NoError(t, err)
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return string(data)
}

// takeAndProve takes an encrypted snapshot into the bucket, verifies it by restoring, pins and prunes.
func takeAndProve(t *testing.T, b *Bucket) {
	ctx := t.Context()
	db, err := sqlite.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "shop.db"), sqlite.Options{Create: true})
	require.NoError(t, err)
	defer db.Close()
	_, err = db.DB().ExecContext(ctx, "CREATE TABLE a (n INTEGER PRIMARY KEY, b BLOB); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO a SELECT i, randomblob(100000) FROM n")
	require.NoError(t, err)
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	store := snapshot.NewStore(b)
	m, err := store.Create(ctx, db, snapshot.About{Engine: "sqlite", Source: "shop"}, snapshot.CreateOptions{Workers: 2, Recipients: []snapshot.Recipient{{Name: key.Recipient().String(), Recipient: key.Recipient()}}})
	require.NoError(t, err)
	v, err := store.Verify(ctx, m.ID, snapshot.LevelRestored, snapshot.VerifyOptions{Workers: 2, Keys: []age.Identity{key}, Scratch: func(context.Context, *snapshot.Manifest) (snapshot.Site, func() error, error) {
		return sqlite.NewCopy(t.TempDir()), func() error { return nil }, nil
	}})
	require.NoError(t, err)
	require.True(t, v.OK, v.Found)
	older, err := store.Create(ctx, db, snapshot.About{Engine: "sqlite", Source: "shop"}, snapshot.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, store.Pin(ctx, older.ID, "for the auditors"))
	decisions, err := store.Prune(ctx, snapshot.Policy{Last: 1}, time.Now().Add(time.Hour), false)
	require.NoError(t, err)
	require.Len(t, decisions, 2)
	list, err := store.List(ctx)
	require.NoError(t, err)
	require.Len(t, list, 2, "one is the newest that was verified, the other is pinned: %+v", decisions)
}

// startServer starts a server of S3 on files, and returns the address of a bucket there.
func startServer(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("versitygw")
	if err != nil {
		path, _ := exec.Command("go", "env", "GOPATH").Output()
		program = filepath.Join(strings.TrimSpace(string(path)), "bin", "versitygw")
	}
	require.FileExists(t, program, "make test installs it")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	where := listener.Addr().String()
	require.NoError(t, listener.Close())
	root := t.TempDir()
	t.Setenv("AWS_ACCESS_KEY_ID", "tester")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "tester-secret")
	cmd := exec.CommandContext(t.Context(), program, "--port", where, "--access", "tester", "--secret", "tester-secret", "--quiet", "posix", "--sidecar", t.TempDir(), root)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address := "s3://snapshots/shop?endpoint=http://" + where
	b, err := Open(address + "&region=us-east-1")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return b.client.MakeBucket(t.Context(), "snapshots", minio.MakeBucketOptions{Region: "us-east-1"}) == nil
	}, 20*time.Second, 50*time.Millisecond)
	return address
}
