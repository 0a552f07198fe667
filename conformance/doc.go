// Package conformance holds remediate's model against the real Cilium: its own
// policy engine, its own chart, and tables of what its agent did on a real
// kernel.
//
// It is a module of its own because nothing else here may link Cilium. The
// policy engine is in a second module, oracle/, built and run as a program:
// Cilium 1.18.6 does not compile with the Kubernetes libraries that remediate
// requires. Its first build takes some minutes and about 3 GB of memory.
package conformance
