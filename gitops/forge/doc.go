// Package forge opens, updates, comments on and closes a pull request. It says
// what a forge does and how it fails; the packages below it speak to one kind
// each.
package forge
