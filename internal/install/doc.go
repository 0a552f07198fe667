// Package install holds the tests of everything that an installation is made of:
// the Kustomize bases in config, the Helm chart, the example for a Flux repository,
// and what a release is built by. There is no code in it but tests.
//
// The bases and the rendered chart are applied to a real API server; what the
// controller may do is asked of that server as the controller's own ServiceAccount.
package install
