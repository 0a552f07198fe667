// Package verify says whether a merged change reached every agent and whether it
// helped: [Judge] takes what was seen of Git, Flux, cilium-config, the agents and
// the probes, and returns how far the change got, what each step waits for, and a
// verdict where the observations allow one.
//
// It reads no clock and no cluster. Whatever was not seen is unknown, and what is
// unknown is never counted as fine: a verdict about flows rests on probes that
// made new connections after the agents had the change.
package verify
