package github_test

import (
	"testing"

	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/forgetest"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

func connect(t *testing.T, s forges.Server) forge.Forge {
	t.Helper()
	return open(t, s.CloneURL(), s.API(), s.Secret())
}

// TestForge holds this forge to what all forges do, on a server that is held to
// GitHub's published description.
func TestForge(t *testing.T) {
	forgetest.Run(t, func(t *testing.T) forges.Server { return forges.GitHub(t) }, connect)
}
