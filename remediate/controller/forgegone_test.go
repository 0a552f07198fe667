package controller

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// gone waits until a Remediation says that the forge, or Git on it, cannot be asked.
func (b *bed) gone(ended v1alpha1.Phase) {
	b.Helper()
	b.poke()
	o := b.until("without its forge", func(o *v1alpha1.Remediation) bool {
		c := conditions.Get(o, meta.ReadyCondition)
		return c != nil && c.Status == "False" && (c.Reason == v1alpha1.ForgeReason || c.Reason == v1alpha1.GitReason)
	})
	if o.IsEnded() || o.Status.Phase == ended {
		b.Errorf("it went on without the forge: %s", describe(o))
	}
	if text := describe(o); strings.Contains(text, string(b.forge.Secret()["password"])) {
		b.Error("the status holds the forge's token")
	}
}

// The forge is away before the pull request opens, while people merge, and when the
// verdict is due, and loses answers to what it did: nothing is lost, nothing doubled.
func TestForgeGone(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	proxy := forges.Proxy(t, b.forge)
	must(t, b.c.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "remediate-system", Name: "proxy"}, Data: proxy.Secret()}))
	b.policy(v1alpha1.ModePropose, func(s *v1alpha1.RemediationPolicySpec) {
		s.Git.URL, s.Git.SecretRef = proxy.CloneURL(), &meta.LocalObjectReference{Name: "proxy"}
	})
	cut := func() { proxy.Fail(nil, -1, forges.Fault{Cut: forges.CutBefore}) }
	b.probes.say(incidentFinding())
	b.follow.is(stateOf(verify.StageMerged, verify.Pending, "no verdict yet"))

	cut()
	b.start()
	b.gone(v1alpha1.PhaseProposed)
	b.prs(0)
	proxy.Heal()
	proxy.Fail(forges.Path("POST", "/pulls"), 1, forges.Fault{Cut: forges.CutAfter})
	b.poke()
	b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	b.prs(1)

	cut()
	commit := b.forge.MergePR(t, 1)
	b.gone(v1alpha1.PhaseMerged)
	proxy.Heal()
	b.poke()
	b.until("merged", func(o *v1alpha1.Remediation) bool { return o.Status.Commit == commit })

	cut()
	b.probes.say()
	b.follow.is(stateOf(verify.StageVerified, verify.Verified, "Verified: what failed works"))
	b.gone(v1alpha1.PhaseEnded)
	proxy.Heal()
	proxy.Fail(forges.Path("POST", "/comments"), 1, forges.Fault{Cut: forges.CutAfter})
	b.poke()
	o := b.until("verified", withVerdict(v1alpha1.VerdictVerified))
	if len(o.Status.Attempts) != 1 || len(b.remediations()) != 1 {
		t.Errorf("%d Remediations; %s", len(b.remediations()), describe(o))
	}
	if comments := b.prs(1)[0].Comments; len(comments) != 1 || !strings.Contains(comments[0], "Verified") {
		t.Errorf("comments %q", comments)
	}
}
