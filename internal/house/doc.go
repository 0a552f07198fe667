// Package house holds no code, only tests of how the others are built: which
// package may import which, that each says what it is for, how large files and
// functions may grow, and that the Kustomize bases build and ask for no more
// rights than a snapshot needs.
package house
