package forge

import "errors"

// Place is a repository on a forge.
type Place struct {
	// Kind is github, gitlab or gitea; empty when the address does not tell.
	Kind string
	// Host with port of the web address, API the base of its API.
	Host, API string
	// Owner and Name; a GitLab owner may be a path of groups.
	Owner, Name string
}

// Locate reads the address of a repository as GitRepository.spec.url has it:
// https, http, ssh and git@host:path.
func Locate(url string) (Place, error) { return Place{}, errors.New("not built") }
