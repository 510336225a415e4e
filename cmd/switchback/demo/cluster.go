package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/drivers/database"
)

// Kubernetes is Tour.On where the shop runs in pods of a cluster.
const Kubernetes = "kubernetes"

// clusterConfig is the project's configuration there.
const clusterConfig = `environments:
  shop:
    url: %[1]q
release:
  application: shop
  bake: 1s
  healthy: 5m
  service:
    driver: kubernetes
    context: %[2]q
    namespace: %[3]s
    image: %[4]q
    command: [shop, --version, "{{version}}", --listen, "{{address}}", --linger, 5s]
    env: {SHOP_DB: %[1]q}
    port: 8080
    replicas: 2
    health: /healthz
  router: {driver: kubernetes, service: shop, settle: 2s}
`

// ground is what the demo has made for a tour on a cluster: a namespace there, and a database on a server of the user's.
type ground struct {
	cluster *cluster.Cluster
	name    string // of the database
	server  database.Database
}

// onCluster is Run on a cluster. There is no load: pods are reached inside a cluster alone.
func (t *tour) onCluster(ctx context.Context) (result *Result, err error) {
	if t.Image == "" {
		return nil, errors.New("--on kubernetes wants --image: one that the cluster's nodes can pull, with switchback as its entry point\n  state: nothing was made\n  next: build one of a switchback for Linux with this Dockerfile, and push it to a registry of the cluster:\n    FROM scratch\n    COPY switchback /switchback\n    ENTRYPOINT [\"/switchback\"]")
	}
	here, err := url.Parse(t.DatabaseURL)
	if err != nil || t.DatabaseURL == "" {
		return nil, errors.New("--on kubernetes wants --database-url: a PostgreSQL or MySQL server that this machine and the cluster's pods both reach; a database is made on it and dropped again\n  state: nothing was made")
	}
	if t.Database = "postgres"; here.Scheme == "mysql" || here.Scheme == "mariadb" {
		t.Database = "mysql"
	}
	id := random(3)
	g := ground{name: "demo_" + id}
	if g.cluster, err = cluster.Open(cluster.Options{Context: t.Context, Namespace: "demo-" + id}); err != nil {
		return nil, err
	}
	if g.server, err = database.Open(ctx, t.DatabaseURL, database.Options{}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.server.Close()) }()
	t.chapter("On the cluster at %s it makes the namespace %s with a Service, and in it two Deployments with their Secrets, Services and a Lease;\non the database server at %s it makes the database %s. All of it is removed at the end, and nothing else is touched.",
		g.cluster.Where(), g.cluster.Namespace, here.Host, g.name)
	if !t.Keep {
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Minute)
			defer cancel()
			if cerr := g.clear(ctx, t.Database); cerr != nil {
				err = errors.Join(err, fmt.Errorf("something of the demo is still there: %w\n  next: %s", cerr, g.removal()))
			}
		}()
	}
	here.Path = "/" + g.name
	if err := t.settle(ctx, g, here.String()); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.db.Close()) }()
	t.chapter("Version v1 of the shop knows its %d customers by first_name and last_name.", t.Customers)
	if err := t.command(ctx, "release", "start", "--version", V1); err != nil {
		return nil, err
	}
	t.chapter("No requests are sent: pods are reached inside the cluster alone. To ask the shop while this goes on:\n  %s",
		g.cluster.Kubectl("run ask --rm -it --restart=Never --image=busybox -- sh -c 'while sleep 1; do wget -qSO- shop/customers/1; done'"))
	if err := t.chapters(ctx); err != nil {
		return nil, err
	}
	if t.Keep {
		t.print("\n  it all stays; to remove it:\n  " + g.removal())
	}
	t.load = NewLoad("") // that has sent nothing
	return t.sums(ctx, t.db.DB(), t.Customers)
}

// settle makes the namespace with the clients' Service, the database with the shop's table, and the project.
func (t *tour) settle(ctx context.Context, g ground, shop string) error {
	if err := g.cluster.MakeNamespace(ctx); err != nil {
		return err
	}
	_, err := g.cluster.Create(ctx, cluster.Services, cluster.New("v1", "Service", "shop", map[string]any{
		"spec": map[string]any{"ports": []any{map[string]any{"port": int64(80), "targetPort": int64(8080)}}},
	}))
	if err != nil {
		return err
	}
	if _, err := g.server.DB().ExecContext(ctx, "CREATE DATABASE "+g.name); err != nil {
		return fmt.Errorf("make the database %s: %w", g.name, err)
	}
	if t.db, err = database.Open(ctx, shop, database.Options{}); err != nil {
		return err
	}
	err = t.fill(ctx)
	if err == nil { // it has the database's password
		err = os.WriteFile(filepath.Join(t.Dir, "switchback.yaml"), fmt.Appendf(nil, clusterConfig, shop, t.Context, g.cluster.Namespace, t.Image), 0o600)
	}
	if err != nil {
		return errors.Join(err, t.db.Close())
	}
	return nil
}

// clear removes the namespace, and then the database, which nobody uses any more.
func (g ground) clear(ctx context.Context, engine string) error {
	if err := g.cluster.RemoveNamespace(ctx); err != nil {
		return err
	}
	drop := "DROP DATABASE IF EXISTS " + g.name
	if engine == "postgres" {
		drop += " WITH (FORCE)"
	}
	if _, err := g.server.DB().ExecContext(ctx, drop); err != nil {
		return fmt.Errorf("drop the database %s: %w", g.name, err)
	}
	return nil
}

// removal are the commands that remove by hand what was kept.
func (g ground) removal() string {
	kubectl, _, _ := strings.Cut(g.cluster.Kubectl(""), " -n ")
	return kubectl + " delete namespace " + g.cluster.Namespace + "\n  and on the database server: DROP DATABASE " + g.name
}
