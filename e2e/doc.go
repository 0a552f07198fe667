// Package e2e runs the whole on real Cilium agents. Its tests need root and take the
// build tag e2e: make e2e.
package e2e
