// Package delivery answers one question about a merged commit: does Flux bring
// it into the cluster, although Flux's own controllers talk over the network
// that the commit repairs? Where it does not, the package words what a person
// can do instead, and decides whether the controller may do it.
//
// A merged commit passes four legs. Each is yes, partly, no or unknown, and
// carries what that rests on:
//
//	Git remote ──► source-controller ──► kustomize-controller ──► API server
//	                       └───────────► helm-controller ───────► API server
//
// Everything here is pure: no client, no clock. [FactsOf] takes what it needs
// from a snapshot and a model; package breakglass, below, is what acts.
package delivery
