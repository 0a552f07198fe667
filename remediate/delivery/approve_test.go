package delivery

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestCheck(t *testing.T) {
	const commit, other = "0123456789abcdef0123456789abcdef01234567", "fedcba9876543210fedcba9876543210fedcba98"
	cilium := types.NamespacedName{Namespace: "kube-system", Name: "cilium"}
	tests := []struct {
		name   string
		change func(*Request)
		want   string
	}{
		{"all given", func(*Request) {}, ""},
		{"with a name", func(r *Request) { r.Approved += " jane@example.org" }, ""},
		{"whether it arrives is not known", func(r *Request) { r.Arrives = Unknown }, ""},
		{"nothing given", func(r *Request) { *r = Request{} }, "spec.breakGlass.enabled"},
		{"not enabled", func(r *Request) { r.Enabled = false }, "spec.breakGlass.enabled"},
		{"another release", func(r *Request) { r.Target.Name = "flux" }, "for HelmRelease kube-system/cilium only"},
		{"another namespace", func(r *Request) { r.Target.Namespace = "default" }, "not for default/cilium"},
		{"no release", func(r *Request) { r.Incident, r.Target = types.NamespacedName{}, types.NamespacedName{} }, "which the incident is about"},
		{"not merged", func(r *Request) { r.Merged = false }, "merge it first"},
		{"merged, commit not known", func(r *Request) { r.Commit, r.Approved = "", "" }, "merge it first"},
		{"short commit", func(r *Request) { r.Commit, r.Approved = commit[:12], commit[:12] }, "not the full hash"},
		{"a branch", func(r *Request) { r.Commit, r.Approved = "main", "main" }, "not the full hash"},
		{"not approved", func(r *Request) { r.Approved = "" }, "annotate the Remediation with remediate.dev/"},
		{"approved blankly", func(r *Request) { r.Approved = "  " }, "nobody has approved"},
		{"wrong commit", func(r *Request) { r.Approved = other }, "the merged commit is " + commit},
		{"abbreviated approval", func(r *Request) { r.Approved = commit[:12] }, "the merged commit is " + commit},
		{"true", func(r *Request) { r.Approved = "true" }, "the approval is for"},
		{"Flux brings it", func(r *Request) { r.Arrives = Yes }, "by itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Request{Enabled: true, Approved: commit, Commit: commit, Merged: true, Incident: cilium, Target: cilium, Arrives: No}
			tt.change(&r)
			err := r.Check()
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if got := (Request{Approved: commit + "  jane\x1b[2J"}).ApprovedBy(); got != "jane [2J" {
		t.Errorf("approved by %q", got)
	}
}
