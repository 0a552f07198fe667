package gitea

import (
	"os"
	"testing"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/forgetest"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

func TestMain(m *testing.M) { os.Exit(forges.Main(m)) }

// connect goes the way of the product: from the GitRepository's address and Secret.
func connect(t *testing.T, s forges.Server) *repository {
	t.Helper()
	a, err := access.New(access.Options{URL: s.CloneURL(), Git: s.Secret()})
	if err != nil {
		t.Fatal(err)
	}
	place, err := forge.Locate(s.CloneURL())
	if err != nil {
		t.Fatal(err)
	}
	place.API = s.API()
	f, err := New(place, a)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*repository)
}

func TestGitea(t *testing.T) {
	forgetest.Run(t,
		func(t *testing.T) forges.Server { return forges.Gitea(t) },
		func(t *testing.T, s forges.Server) forge.Forge { return connect(t, s) })
}
