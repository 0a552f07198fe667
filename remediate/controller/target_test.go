package controller

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pull requests go to branches: a source that follows something else is refused.
func TestOfRepository(t *testing.T) {
	for _, tt := range []struct {
		name    string
		ref     *sourcev1.GitRepositoryRef
		branch  string
		refused bool
	}{
		{"no reference", nil, "master", false},
		{"a branch", &sourcev1.GitRepositoryRef{Branch: "main"}, "main", false},
		{"a branch by its full name", &sourcev1.GitRepositoryRef{Name: "refs/heads/live"}, "live", false},
		{"a commit on a branch", &sourcev1.GitRepositoryRef{Branch: "main", Commit: "abc"}, "main", false},
		{"a tag", &sourcev1.GitRepositoryRef{Tag: "v1"}, "", true},
		{"versions", &sourcev1.GitRepositoryRef{SemVer: ">=1"}, "", true},
		{"a commit alone", &sourcev1.GitRepositoryRef{Commit: "abc"}, "", true},
		{"a pull request", &sourcev1.GitRepositoryRef{Name: "refs/pull/1/head"}, "", true},
	} {
		g := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "fleet"}}
		g.Spec.URL, g.Spec.Reference, g.Spec.SecretRef = "https://git.example.com/o/r", tt.ref, &meta.LocalObjectReference{Name: "s"}
		o, err := ofRepository(g, "clusters/home")
		if (err != nil) != tt.refused || !tt.refused && (o.branch != tt.branch || o.secret != "s" || o.name != "flux-system/fleet") {
			t.Errorf("%s: %+v, %v", tt.name, o, err)
		}
		if err != nil && !asFault(err).stalled {
			t.Errorf("%s: %v does not stall", tt.name, err)
		}
	}
}
