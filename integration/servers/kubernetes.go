package servers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed" // for the nodes
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/switchbackdb/switchback/internal/freeport"
)

// Kubernetes is the control plane of a cluster: API server, controller manager, scheduler and etcd as they are
// released. Its one node is played by KWOK: pods get ready, or do not (see nodes.yaml), and no process is behind
// them, so that no request can be sent to them.
type Kubernetes struct {
	Dir        string // where its files are
	Kubeconfig string // of who may do everything
	API        dynamic.Interface
}

// KubernetesVariable is the environment variable that names the folder of a running control plane.
const KubernetesVariable = "SWITCHBACK_TEST_KUBERNETES"

// Cluster returns the control plane that the environment names, or starts one for this process. One that is missing
// is a failure.
func Cluster(t testing.TB) *Kubernetes {
	t.Helper()
	dir := os.Getenv(KubernetesVariable)
	if dir == "" {
		s, _ := running.LoadOrStore("kubernetes", &started{})
		one := s.(*started)
		one.once.Do(func() { one.url, one.stop, one.err = StartKubernetes(context.Background()) })
		require.NoError(t, one.err, "a missing control plane is a failure, see `make built`")
		dir = one.url
	}
	k, err := openKubernetes(dir)
	require.NoError(t, err)
	return k
}

func openKubernetes(dir string) (*Kubernetes, error) {
	k := &Kubernetes{Dir: dir, Kubeconfig: filepath.Join(dir, "admin.kubeconfig")}
	c, err := clientcmd.BuildConfigFromFlags("", k.Kubeconfig)
	if err != nil {
		return nil, err
	}
	c.QPS, c.Burst = 100, 200
	k.API, err = dynamic.NewForConfig(c)
	return k, err
}

// Namespace makes a namespace and returns its name. It goes with the test.
func (k *Kubernetes) Namespace(t testing.TB) string {
	t.Helper()
	name := "test-" + unique()
	namespaces := k.API.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	_, err := namespaces.Create(t.Context(), object("v1", "Namespace", name, nil), metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, namespaces.Delete(ctx, name, metav1.DeleteOptions{}))
	})
	return name
}

// Create makes an object in a namespace.
func (k *Kubernetes) Create(t testing.TB, namespace string, kind schema.GroupVersionResource, o map[string]any) {
	t.Helper()
	_, err := k.API.Resource(kind).Namespace(namespace).Create(t.Context(), &unstructured.Unstructured{Object: o}, metav1.CreateOptions{FieldManager: "somebody"})
	require.NoError(t, err)
}

// Service makes a Service that selects nothing.
func (k *Kubernetes) Service(t testing.TB, namespace, name string) {
	t.Helper()
	k.Create(t, namespace, schema.GroupVersionResource{Version: "v1", Resource: "services"}, map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"ports": []any{map[string]any{"port": int64(80), "targetPort": int64(8080)}}},
	})
}

// KubeconfigOf writes a kubeconfig like that of who may do everything, with another cluster or user.
func (k *Kubernetes) KubeconfigOf(t testing.TB, change func(*api.Cluster, *api.AuthInfo)) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(k.Kubeconfig)
	require.NoError(t, err)
	change(config.Clusters["test"], config.AuthInfos["admin"])
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, file))
	return file
}

// Limited makes the user one without rights, but those that a test gives to the user "limited".
func Limited(_ *api.Cluster, user *api.AuthInfo) { user.Token = limitedToken }

// Faults puts Faults before the API. Who comes by them may do everything: a client says who he is over TLS only.
func (k *Kubernetes) Faults(t testing.TB) *Faults {
	t.Helper()
	c, err := clientcmd.BuildConfigFromFlags("", k.Kubeconfig)
	require.NoError(t, err)
	transport, err := rest.TransportFor(c)
	require.NoError(t, err)
	return NewFaults(t, c.Host, transport)
}

// Through makes the cluster one that is reached through Faults.
func Through(f *Faults) func(*api.Cluster, *api.AuthInfo) {
	return func(c *api.Cluster, _ *api.AuthInfo) { c.Server, c.CertificateAuthority = f.URL, "" }
}

// Expired makes the user one who may do everything, with a certificate that has expired.
func (k *Kubernetes) Expired(t testing.TB) func(*api.Cluster, *api.AuthInfo) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(k.Dir, authority), filepath.Join(k.Dir, authorityKey))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "late", Organization: []string{"system:masters"}},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, pair.Leaf, pair.Leaf.PublicKey, pair.PrivateKey)
	require.NoError(t, err)
	key, err := os.ReadFile(filepath.Join(k.Dir, authorityKey))
	require.NoError(t, err)
	return func(_ *api.Cluster, user *api.AuthInfo) {
		user.Token, user.ClientKeyData = "", key
		user.ClientCertificateData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
}

// OtherAuthority is a certificate that the API server's is not signed by.
func OtherAuthority(t testing.TB) []byte {
	t.Helper()
	cert, _, err := certificate()
	require.NoError(t, err)
	return cert
}

// The API server's certificate, which signs itself and users', and its key.
const (
	authority    = "certs/apiserver.crt"
	authorityKey = "certs/apiserver.key"
)

// Of a server on the loopback, for the time of a test.
const (
	adminToken   = "admin-token"
	limitedToken = "limited-token"
)

//go:embed nodes.yaml
var nodes []byte

// StartKubernetes starts a control plane and returns its folder.
func StartKubernetes(ctx context.Context) (dir string, stop func() error, err error) {
	program, err := ControlPlane.Path()
	if err != nil {
		return "", nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return "", nil, fmt.Errorf("the control plane is not built (make built): %w", err)
	}
	p := plane{program: program}
	if p.dir, err = os.MkdirTemp("", "kubernetes"); err != nil {
		return "", nil, err
	}
	if err := p.start(ctx); err != nil {
		return p.dir, p.stop, fmt.Errorf("start Kubernetes: %w", err)
	}
	return p.dir, p.stop, nil
}

// plane is a control plane that runs.
type plane struct {
	program string
	dir     string
	etcd    func() error
	parts   []*part
}

// part is one of its processes.
type part struct {
	name  string
	proc  *exec.Cmd
	log   *os.File
	ended chan struct{}
}

func (p *plane) path(name string) string { return filepath.Join(p.dir, name) }

func (p *plane) start(ctx context.Context) error {
	etcd, stop, err := StartEtcd(ctx)
	p.etcd = stop
	if err != nil {
		return err
	}
	address, err := freeport.Address(ctx)
	if err != nil {
		return err
	}
	if err := p.files(address); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	server, err := p.run(ctx, "kube-apiserver", "--etcd-servers="+etcd, "--cert-dir="+p.path("certs"), "--bind-address=127.0.0.1", "--secure-port="+port,
		"--service-account-key-file="+p.path("sa.key"), "--service-account-signing-key-file="+p.path("sa.key"), "--service-account-issuer=https://kubernetes.default.svc",
		"--token-auth-file="+p.path("tokens.csv"), "--client-ca-file="+p.path(authority), "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
		// No controller here takes the taints away again that a new node gets.
		"--disable-admission-plugins=TaintNodesByCondition")
	if err != nil {
		return err
	}
	k, err := p.ready(ctx, server)
	if err != nil {
		return err
	}
	kubeconfig := "--kubeconfig=" + k.Kubeconfig
	for _, args := range [][]string{
		{
			"kube-controller-manager", kubeconfig, "--service-account-private-key-file=" + p.path("sa.key"), "--leader-elect=false", "--secure-port=0", "--kube-api-qps=200", "--kube-api-burst=400",
			"--controllers=deployment-controller,replicaset-controller,endpointslice-controller,garbage-collector-controller,namespace-controller,serviceaccount-controller",
		},
		{"kube-scheduler", kubeconfig, "--leader-elect=false", "--secure-port=0"},
		{"kwok", kubeconfig, "--config=" + p.path("nodes.yaml"), "--manage-all-nodes=true"},
	} {
		if _, err := p.run(ctx, args[0], args[1:]...); err != nil {
			return err
		}
	}
	_, err = k.API.Resource(schema.GroupVersionResource{Version: "v1", Resource: "nodes"}).Create(ctx, object("v1", "Node", "node-1", map[string]any{
		"status": map[string]any{"allocatable": map[string]any{"cpu": "1000", "memory": "1Ti", "pods": "1000"}, "capacity": map[string]any{"cpu": "1000", "memory": "1Ti", "pods": "1000"}},
	}), metav1.CreateOptions{})
	return err
}

// files writes what the processes read.
func (p *plane) files(address string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	cert, certKey, err := certificate()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.path("certs"), 0o700); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		authority:    cert,
		authorityKey: certKey,
		"tokens.csv": []byte(adminToken + ",admin,1,system:masters\n" + limitedToken + ",limited,2,\n"),
		"nodes.yaml": nodes,
		"admin.kubeconfig": fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin}}]
clusters: [{name: test, cluster: {server: "https://%s", certificate-authority: %s}}]
users: [{name: admin, user: {token: %s}}]
`, address, p.path(authority), adminToken),
	} {
		if err := os.WriteFile(p.path(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// certificate is one of the loopback that signs itself.
func certificate() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes of a test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	privateDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: privateDER}), nil
}

// run starts a process of the control plane; what it says is in a file.
func (p *plane) run(ctx context.Context, name string, args ...string) (*part, error) {
	log, err := os.Create(p.path(name + ".log"))
	if err != nil {
		return nil, err
	}
	one := &part{name: name, proc: exec.CommandContext(context.WithoutCancel(ctx), p.program, append([]string{name}, args...)...), log: log, ended: make(chan struct{})}
	one.proc.Stdout, one.proc.Stderr, one.proc.Dir = log, log, p.dir
	if err := one.proc.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p.parts = append(p.parts, one)
	go func() {
		_ = one.proc.Wait() // its log tells
		close(one.ended)
	}()
	return one, nil
}

// ready waits until the API answers.
func (p *plane) ready(ctx context.Context, server *part) (*Kubernetes, error) {
	k, err := openKubernetes(p.dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		_, err := k.API.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			return k, nil
		}
		select {
		case <-server.ended:
			said, _ := os.ReadFile(server.log.Name())
			return nil, fmt.Errorf("%s ended: %s", server.name, said[max(0, len(said)-2000):])
		case <-ctx.Done():
			return nil, fmt.Errorf("the API is not ready: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop ends everything, the last started first.
func (p *plane) stop() error {
	var failed error
	for n := len(p.parts) - 1; n >= 0; n-- {
		one := p.parts[n]
		_ = one.proc.Process.Signal(syscall.SIGKILL) // what it has stored goes with it
		<-one.ended
		failed = errors.Join(failed, one.log.Close())
	}
	if p.etcd != nil {
		failed = errors.Join(failed, p.etcd())
	}
	return errors.Join(failed, os.RemoveAll(p.dir))
}

func object(version, kind, name string, more map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}}}
	for key, value := range more {
		o.Object[key] = value
	}
	return o
}
