package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func notActive() *v1alpha1.VerifyResult {
	return &v1alpha1.VerifyResult{APIVersion: v1alpha1.APIVersion, Kind: "VerifyResult", Commit: "0123456789abcdef0123456789abcdef01234567",
		Release: "kube-system/cilium", Stage: "Reconciled", Verdict: "MergedNotActive", Summary: "MergedNotActive: no node of 2 runs it",
		Steps: []v1alpha1.VerifyStep{{Step: "Merged", Done: "yes", Since: "2026-02-12T10:00:00Z"}, {Step: "Reconciled", Done: "yes"},
			{Step: "RolledOut", Done: "no", Waits: []v1alpha1.VerifyWait{{Object: "DaemonSet kube-system/cilium", Text: "0 of 2 pods are of the newest template"}}},
			{Step: "Verified", Done: "unknown", Waits: []v1alpha1.VerifyWait{{Text: "no probes"}}}},
		Nodes:    []v1alpha1.VerifyNode{{Node: "n1", Active: "no", Reason: "made before"}, {Node: "n2", Active: "unknown", Reason: "the node is not Ready"}, {Node: "n3", Active: "yes"}},
		FollowUp: &v1alpha1.VerifyFollowUp{Why: "agents read it when they start", Commands: []string{"kubectl -n kube-system rollout restart ds/cilium"}, Values: map[string]any{"rollOutCiliumPods": true}},
		Flows:    []v1alpha1.VerifyFlow{{Class: "IPv6 TCP PodIP guarded, other node", Before: "40 lost", After: "36 ok", Works: "yes"}},
		Evidence: []v1alpha1.Evidence{{Kind: "flux", Text: "applied it", Source: "Kustomization flux-system/cilium"}}, NotChecked: []string{"the probes"}}
}

func TestVerifyText(t *testing.T) {
	var b bytes.Buffer
	if err := VerifyText(&b, notActive(), TextOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"✗ MergedNotActive", "commit 0123456789ab · kube-system/cilium", "✓ Merged since 2026-02-12T10:00:00Z", "· RolledOut",
		"DaemonSet kube-system/cilium: 0 of 2 pods", "? Verified", "1 of 3 agents run the change", "· n1: made before", "? n2: the node is not Ready",
		"kubectl -n kube-system rollout restart ds/cilium", "rollOutCiliumPods: true", "40 lost → 36 ok", "Kustomization flux-system/cilium applied it", "the probes"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "n3") || strings.Contains(b.String(), "\x1b") {
		t.Errorf("an active node is listed, or colour is used:\n%s", b.String())
	}
}

// Verdicts are told apart at the first glance, and what is long is cut.
func TestVerifyTextVerdicts(t *testing.T) {
	for verdict, mark := range map[string]string{"Verified": "✓ Verified", "NotEffective": "✗ NotEffective", "Regressed": "✗ Regressed", "": "… NO VERDICT YET"} {
		r := notActive()
		r.Verdict = verdict
		for i := range 100 {
			r.Nodes = append(r.Nodes, v1alpha1.VerifyNode{Node: fmt.Sprintf("x%03d", i), Active: "no", Reason: strings.Repeat("long ", 100)})
		}
		var b bytes.Buffer
		if err := VerifyText(&b, r, TextOptions{}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(b.String(), mark) || !strings.Contains(b.String(), "and 82 more") || strings.Count(b.String(), "\n") > 80 {
			t.Errorf("%q:\n%s", mark, b.String())
		}
	}
}

// What a cluster says neither moves the cursor nor ends a line.
func TestVerifyTextHostile(t *testing.T) {
	evil := "a\x1b[31m\r\nb\u202e"
	r := notActive()
	r.Commit, r.Release, r.PullRequest, r.Summary, r.Verdict = evil, evil, evil, evil, evil
	r.Steps = []v1alpha1.VerifyStep{{Step: evil, Done: evil, Since: evil, Waits: []v1alpha1.VerifyWait{{Object: evil, Text: evil}}}}
	r.Nodes = []v1alpha1.VerifyNode{{Node: evil, Active: evil, Reason: evil}}
	r.FollowUp = &v1alpha1.VerifyFollowUp{Why: evil, Commands: []string{evil}, Values: map[string]any{evil: evil}}
	r.Flows = []v1alpha1.VerifyFlow{{Class: evil, Before: evil, After: evil, Works: evil}}
	r.Evidence, r.NotChecked = []v1alpha1.Evidence{{Kind: evil, Text: evil, Source: evil}}, []string{evil}
	var text, doc bytes.Buffer
	if err := VerifyText(&text, r, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(text.String(), "\x1b\r\u202e") {
		t.Errorf("%q", text.String())
	}
	if err := VerifyJSON(&doc, r); err != nil {
		t.Fatal(err)
	}
	var back v1alpha1.VerifyResult
	if err := json.Unmarshal(doc.Bytes(), &back); err != nil || back.Summary != evil {
		t.Errorf("%v: %q", err, back.Summary)
	}
}
