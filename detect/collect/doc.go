// Package collect reads what the probes say and keeps the latest of it.
//
// A probe writes lines to its standard output ([probe.Line]); the kubelet keeps
// them, and the API server's pod log subresource gives them out. That way needs
// neither the pod network nor service addresses nor cluster DNS, which are what may
// be broken. Where a probe can be asked directly it is, as that costs the API server
// nothing.
//
// A [Collector] reads, a [Matrix] remembers. What a probe says is believed of that
// probe alone: who it is says the API server. A probe that is silent is told apart
// from one that cannot be read: see [Matrix.Silent].
package collect
