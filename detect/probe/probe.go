// Package probe measures what a pod's packets meet: whether a target answers, and
// which source address that target saw. What could not be checked is said so, with
// the reason; a prober that was itself starved says that too.
package probe
