// Package source finds the Cilium HelmRelease in a Flux repository, and the
// file, line and YAML path that decide each of its Helm values.
//
// It does what Flux does with the tree: the Flux Kustomizations that lead to
// the release are built by kustomize (with the parents' patches applied to
// their children), post-build variables are substituted, and the values are
// merged by helm-controller's own code. Origin annotations then lead back from
// each built object to the file that a person edits.
//
// Start with [Find]. [Release.Where] says who sets a value, [Release.Place]
// where a new value is to be written, [Release.Rebuild] what the values would be
// with other file contents, and [Release.Affects] who else reads a file.
// [Stated] and [ReadSettings] give the network facts that the repository states.
//
// The tree is untrusted: nothing is executed, nothing is fetched, no symbolic
// link is followed out of the root, and sizes, depths and aliases are bounded.
// Paths are always relative to the root, with forward slashes.
package source
