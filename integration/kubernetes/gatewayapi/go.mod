// The Gateway API, whose definition of an HTTPRoute the tests give to their Kubernetes (integration/servers/gatewayapi.go).
// Nothing of it is compiled: a module of its own says which version that is, and by which checksum.
module github.com/switchbackdb/switchback/integration/kubernetes/gatewayapi

go 1.26.0

require sigs.k8s.io/gateway-api v1.4.1
