package cluster

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/switchbackdb/switchback/strategies"
)

// explain says what an error of the API means, and what to do about it.
func (c *Cluster) explain(verb string, kind schema.GroupVersionResource, name string, err error) error {
	if err == nil {
		return nil
	}
	what := strings.TrimSpace(fmt.Sprintf("%s %s %s", verb, kind.GroupResource(), name))
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s in namespace %s: %w", what, c.Namespace, strategies.ErrNotFound)
	case apierrors.IsAlreadyExists(err):
		return fmt.Errorf("%s in namespace %s: %w", what, c.Namespace, ErrConflict)
	case apierrors.IsConflict(err) && foreignFields(err) != "":
		return fmt.Errorf("%s in namespace %s: %w: %s", what, c.Namespace, strategies.ErrForeignChange, foreignFields(err))
	case apierrors.IsConflict(err):
		return fmt.Errorf("%s in namespace %s: %w", what, c.Namespace, ErrConflict)
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), " cannot "):
		return fmt.Errorf("%s in namespace %s: the right to %s %s is missing: %w\n  next: give it by the Role in docs/kubernetes.md; to see it: %s",
			what, c.Namespace, verb, kind.GroupResource(), err, c.Kubectl(fmt.Sprintf("auth can-i %s %s", verb, kind.GroupResource())))
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the Kubernetes API does not accept who asks: the token or certificate has expired, or is another cluster's: %w\n  next: log in again, then see that this works: %s", what, err, c.Kubectl("get deployments"))
	}
	return c.explainConnection(what, err)
}

// explainConnection is explain for errors on the way to the API.
func (c *Cluster) explainConnection(what string, err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var other x509.HostnameError
	var dial *net.OpError
	var asked *url.Error
	switch {
	case errors.As(err, &unknown), errors.As(err, &other):
		return fmt.Errorf("%s: the certificate of the Kubernetes API is not that of this cluster: %w\n  next: set the cluster's certificate-authority-data in the kubeconfig", what, err)
	case errors.As(err, &invalid):
		return fmt.Errorf("%s: the certificate of the Kubernetes API is not valid: %w\n  next: renew it on the cluster, for instance: kubeadm certs renew apiserver", what, err)
	case errors.As(err, &dial) && dial.Op == "remote error":
		return fmt.Errorf("%s: the Kubernetes API refuses the client certificate of the kubeconfig: %w\n  next: renew it, then see that this works: %s", what, err, c.Kubectl("get deployments"))
	case errors.As(err, &asked):
		return fmt.Errorf("%s: the Kubernetes API cannot be reached: %w\n  next: kubectl cluster-info; see the server in the kubeconfig", what, err)
	}
	return fmt.Errorf("%s in namespace %s: %w", what, c.Namespace, err)
}

// foreignFields are the fields that somebody else has set, as the API names them.
func foreignFields(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return ""
	}
	var list []string
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			list = append(list, cause.Field+" ("+cause.Message+")")
		}
	}
	return strings.Join(list, ", ")
}
