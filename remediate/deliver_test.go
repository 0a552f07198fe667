package remediate

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/remediate/delivery"
)

// In the incident both controllers run on other nodes than source-controller,
// and its Service has an IPv6 address only.
func TestDeliverIncident(t *testing.T) {
	res := mustPlan(t, layIncident(t, "talos-ipv6-ula"))
	a, steps := res.Deliver(res.Plan.Candidates[0].ID, DeliverOptions{})
	want := []delivery.Arrival{delivery.Yes, delivery.No, delivery.No, delivery.Unknown}
	for i, l := range a.Legs {
		if l.Works != want[i] {
			t.Errorf("%s: %s, want %s: %s", l.Name, l.Works, want[i], l.Because)
		}
	}
	if a.Arrives != delivery.No || a.Way != delivery.Instruct || a.CoLocate != delivery.Yes || strings.Join(a.Move, " ") != "kustomize-controller helm-controller" {
		t.Errorf("assessment %+v", a)
	}
	text := delivery.Plain(&a, steps)
	for _, part := range []string{
		"helm upgrade cilium", "--version 1.18.6", "ipv6NativeRoutingCIDR: fd00:101::/38", `"suspend":true`,
		"podAffinity", "rollout restart daemonset/cilium", "kustomizations.kustomize.toolkit.fluxcd.io cilium reconcile", "commit=$(git ls-remote",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in the instructions:\n%s", part, text)
		}
	}
	if res.values["ipv6NativeRoutingCIDR"] != "fd00:101::/48" {
		t.Error("the instructions changed the plan's values")
	}
}

// It stands in the pull request, before anybody merges.
func TestPullRequestSaysThatFluxIsCutOff(t *testing.T) {
	res := mustPlan(t, layIncident(t, "talos-ipv6-ula"))
	files, err := Bundle(res, "", v1alpha1.PullRequestSpec{}, "home", time.Unix(1_800_000_000, 0).UTC())
	if err != nil {
		t.Fatal(err)
	}
	body := string(files["pull-request.md"])
	for _, part := range []string{"Flux cannot bring this change by itself", "kubectl -n flux-system patch deployment kustomize-controller", "cat > values.yaml <<'VALUES'"} {
		if !strings.Contains(body, part) {
			t.Errorf("no %q in the pull request", part)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

// A pull request shows no credential: the live release has the values then.
func TestDeliverHidesCredentials(t *testing.T) {
	opts := layIncident(t, "talos-ipv6-ula")
	amend(t, filepath.Join(opts.Repo, valuesFile), "routingMode: native", "routingMode: native\nextraConfig:\n  password: hunter2hunter2")
	res := mustPlan(t, opts)
	a, steps := res.Deliver(res.Plan.Candidates[0].ID, DeliverOptions{})
	text := delivery.Plain(&a, steps)
	if strings.Contains(text, "hunter2") {
		t.Errorf("the instructions show a credential:\n%s", text)
	}
	for _, part := range []string{"looks like a credential", "helm get values cilium -n kube-system -o yaml > live.yaml", "ipv6NativeRoutingCIDR: fd00:101::/38"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

func TestWithoutPassword(t *testing.T) {
	tests := []struct{ in, want string }{
		{"https://git.example/x", "https://git.example/x"},
		{"ssh://git@git.example/x", "ssh://git@git.example/x"},
		{"git@git.example:x.git", "git@git.example:x.git"},
		{"https://token@git.example/x", ""},
		{"https://jane:hunter2@git.example/x", ""},
		{"ssh://git:hunter2@git.example/x", ""},
		{"", ""},
	}
	for _, tt := range tests {
		if got := withoutPassword(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.in, got, tt.want)
		}
	}
}
