// Package search draws configurations, topologies, policies and flows at random, for
// holding the model of detect/datapath against real agents where nobody has thought of
// it, and makes what disagrees as small as it gets.
//
// It is pure: the tests of package e2e send the flows. Draws depend on a seed only. The
// vocabulary is that of e2e/matrix, and what is found becomes a row there.
package search
