// Package s3 keeps snapshots in a bucket of S3, or of what speaks its protocol.
//
// A store is s3://BUCKET/PREFIX. Who we are comes from where the AWS tools look: AWS_ACCESS_KEY_ID and
// AWS_SECRET_ACCESS_KEY, ~/.aws/credentials, or the machine's role. Where the store is comes from the address,
// s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME, or from AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and
// AWS_REGION; without, it is Amazon's.
package s3

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/switchbackdb/switchback/snapshot"
)

// Bucket is a prefix of a bucket.
type Bucket struct {
	client       *minio.Client
	name, prefix string // the prefix ends with a slash, or is empty
}

var _ snapshot.Blobs = (*Bucket)(nil)

// Amazon is the endpoint when none is named.
const amazon = "https://s3.amazonaws.com"

// Open returns the store of an address. Nothing is asked of the server yet.
func Open(address string) (*Bucket, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil {
		return nil, errors.New("want s3://BUCKET/PREFIX, with no key in it: those are read from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	q := u.Query()
	endpoint, err := url.Parse(cmp.Or(q.Get("endpoint"), os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), amazon))
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http" {
		return nil, fmt.Errorf("the endpoint of %s is no address: want https://HOST", redact(u))
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Secure: endpoint.Scheme == "https",
		Region: cmp.Or(q.Get("region"), os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", redact(u), err)
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	return &Bucket{client: client, name: u.Host, prefix: prefix}, nil
}

// redact leaves out whatever an address holds besides its place.
func redact(u *url.URL) string { return "s3://" + u.Host + u.Path }

// String names the place.
func (b *Bucket) String() string { return "s3://" + b.name + "/" + strings.TrimSuffix(b.prefix, "/") }

// Put implements snapshot.Blobs. The server checks what it got against its SHA-256, and shows an object only
// once it is whole.
func (b *Bucket) Put(ctx context.Context, name string, data []byte) error {
	_, err := b.client.PutObject(ctx, b.name, b.prefix+name, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{
		ContentType: "application/octet-stream", DisableMultipart: len(data) <= maxPut, SendContentMd5: false,
	})
	return b.explain("write", name, err)
}

// maxPut is the most that is sent in one request, in bytes: half of what the protocol allows.
const maxPut = 2 << 30

// Get implements snapshot.Blobs.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	o, err := b.client.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, b.explain("read", name, err)
	}
	if _, err := o.Stat(); err != nil { // asks the server; before that nothing is known to be there
		return nil, errors.Join(b.explain("read", name, err), o.Close())
	}
	return o, nil
}

// Size implements snapshot.Blobs.
func (b *Bucket) Size(ctx context.Context, name string) (int64, error) {
	info, err := b.client.StatObject(ctx, b.name, b.prefix+name, minio.StatObjectOptions{})
	return info.Size, b.explain("look at", name, err)
}

// List implements snapshot.Blobs.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var names []string
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix + prefix}) {
		if o.Err != nil {
			return nil, b.explain("list", prefix, o.Err)
		}
		names = append(names, strings.TrimPrefix(o.Key, b.prefix))
	}
	return names, nil
}

// Remove implements snapshot.Blobs.
func (b *Bucket) Remove(ctx context.Context, prefix string, first ...string) error {
	if strings.Trim(prefix, "/.") == "" {
		return fmt.Errorf("remove %q: that would be the whole store", prefix)
	}
	for _, name := range first {
		if err := b.client.RemoveObject(ctx, b.name, b.prefix+name, minio.RemoveObjectOptions{}); err != nil {
			return b.explain("remove", name, err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return b.explain("list", prefix, o.Err)
		}
		if err := b.client.RemoveObject(ctx, b.name, o.Key, minio.RemoveObjectOptions{}); err != nil {
			return b.explain("remove", o.Key, err)
		}
	}
	return nil
}

// explain says what was tried on which object; what is not there is fs.ErrNotExist.
func (b *Bucket) explain(what, name string, err error) error {
	if err == nil {
		return nil
	}
	r := minio.ToErrorResponse(err)
	switch {
	case r.Code == minio.NoSuchKey || r.StatusCode == http.StatusNotFound && r.Code != minio.NoSuchBucket:
		err = fs.ErrNotExist
	case r.Code == minio.NoSuchBucket:
		err = errors.New("there is no such bucket")
	}
	return fmt.Errorf("%s %s in %s: %w", what, name, b, err)
}
