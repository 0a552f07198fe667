// Package render builds what Flux would apply from a chart and its values,
// with Helm's own engine, and compares such builds.
//
// Renders are deterministic: the template functions that draw random numbers,
// read the clock or make certificates return placeholders. Cilium's chart makes
// Hubble's certificates in templates/hubble/tls-helm (1.18.6), so without this
// two renders of the same values differ, and most of the time goes into keys
// that nobody reads. Secrets are left out of every comparison and are never
// handed out.
//
// Charts are untrusted: nothing is executed, no cluster is asked, symbolic
// links that leave the chart are refused and sizes are bounded.
package render
