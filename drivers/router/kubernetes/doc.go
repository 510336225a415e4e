// Package kubernetes is a router that moves the traffic of a Kubernetes Service from one version to another.
//
// The Service is the user's own. The router changes what it selects, and keeps beside that, in annotations of the same
// object and so in the same write, which routing it stands for:
//
//	Shift ──▶ selector, routing, fence (one write, refused when anybody wrote meanwhile) ──▶ EndpointSlices follow ──▶ done
//
// A backend's address is that of a Service of the same namespace, NAME.NAMESPACE.svc:PORT: its selector is taken.
// What the Service selected before Switchback first moved it is kept too, and has the Service's own name as its
// address: so a release can go out over a version that was deployed by hand, and come back to it.
//
// A selector sends all traffic to one version or to the other: a share between is refused.
package kubernetes
