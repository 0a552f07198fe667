// Package github speaks to GitHub.
package github

import (
	"errors"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
)

// New is the forge of one repository.
func New(place forge.Place, a *access.Access) (forge.Forge, error) {
	return nil, errors.New("not built")
}
