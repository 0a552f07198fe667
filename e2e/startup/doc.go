// Package startup is the table of configurations with which real Cilium agents of several
// releases are started, what those agents were seen to do, and the page that shows it:
// docs/fidelity-startup.md.
//
// The tests of package e2e start the agents; the tests of this package hold the catalogue
// of detect/cilium against what was seen then, and need no root.
package startup
