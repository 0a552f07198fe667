// Package matrix is the table of configurations, policies and flows under which the
// model of detect/datapath is held against real Cilium agents, what those agents were
// seen to do, and the page that shows both: docs/fidelity.md.
//
// The table is written down once, as [Beds]. The tests of package e2e build each bed
// with real agents and send its flows; the tests of this package ask the model alone,
// need no root, and compare it with what was measured.
package matrix
