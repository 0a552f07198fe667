// Package yamledit compares gitops/edit with the libraries that also change
// YAML files: the same edits on the same generated values files, counted in
// lines that had no reason to change and in values that came out wrong.
//
// It is a module of its own because nothing else here needs those libraries.
package yamledit
