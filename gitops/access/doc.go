// Package access turns the Secrets that Flux users already have into what Git
// and the forges take: tokens, SSH keys with known hosts, GitHub Apps, CAs,
// client certificates and proxies.
package access
