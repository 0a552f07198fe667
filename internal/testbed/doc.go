// Package testbed provides the real parts that tests use: Cilium's chart and
// custom resource definitions, Kubernetes' own API server with etcd and its
// controller manager, Flux's controllers, and Gitea.
//
// What is a server here is built from source by the Go toolchain, out of the
// modules in the folders k8s, etcd, flux and gitea, which pin every dependency. The
// first build of a server takes minutes; what was built is kept in the user's
// cache folder and used again. A part that cannot be had fails the test with
// the reason; no test is passed over for want of it.
package testbed
