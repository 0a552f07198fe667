//go:build linux

package storytest

import (
	"fmt"
	"strings"
	"testing"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/fluxcd/pkg/apis/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed/story"
)

// cutOff: the incident cuts kustomize- and helm-controller off from
// source-controller, which is on another node. The pull request says so before the
// merge, the merged commit does not arrive, and after a person's approval the
// controller brings it in under the account that may. Flux takes the release back.
func (s *stage) cutOff(t *testing.T) {
	s.moveFlux(t, s.bed.Lab.Nodes[1].Name)
	defer s.moveFlux(t, s.bed.Lab.Nodes[0].Name)
	s.apply(t, "config/break-glass")
	s.home = home
	defer func() { s.home = story.FluxNamespace }()

	pr := s.incident(t, func(spec *v1alpha1.RemediationPolicySpec) { spec.BreakGlass = &v1alpha1.BreakGlassSpec{Enabled: true} })
	defer s.heal(t)
	o := s.until(t, "said not to arrive", func(o *v1alpha1.Remediation) bool {
		return o.Status.Delivery != nil && o.Status.Delivery.WillArrive == "no"
	})
	contains(t, "status.delivery", o.Status.Delivery.Why+o.Status.Delivery.How, "source-controller", "helm upgrade")
	s.eventually(t, "the pull request says so", func() string {
		if body := s.onePR(t).Body; !has(body, "does not arrive by itself") {
			return body
		}
		return ""
	})
	s.settle(t)
	commit := s.bed.Merge(t, pr.Number)
	s.waitsForApproval(t, commit)

	s.approve(t, strings.Repeat("0", 40)+" mallory")
	s.until(t, "refused", glassSays("the approval is for"))
	if hr := s.helmRelease(t); hr.Spec.Suspend {
		t.Error("the HelmRelease is suspended without an approval")
	}
	s.approve(t, commit+" jane")
	o = s.until(t, "brought in", func(o *v1alpha1.Remediation) bool { return o.Status.BreakGlass.Done != nil })
	if b := o.Status.BreakGlass; b.ApprovedBy != "jane" || b.Commit != commit {
		t.Errorf("%+v", b)
	}
	s.wantEvent(t, "BreakGlass")
	o = s.until(t, "verified", withVerdict(v1alpha1.VerdictVerified))
	s.wantAdopted(t, o, commit)
	s.wantOne(t)
}

// moveFlux has the controllers that fetch from source-controller run on a node.
func (s *stage) moveFlux(t *testing.T, node string) {
	t.Helper()
	for _, name := range []string{"kustomize-controller", "helm-controller"} {
		s.bed.Flux.Move(t, name, node)
	}
}

// waitsForApproval: the commit is merged and fetched, and goes no further.
func (s *stage) waitsForApproval(t *testing.T, commit string) {
	t.Helper()
	o := s.until(t, "waiting for an approval", glassSays(v1alpha1.AnnotationApproveBreakGlass+"="+commit))
	if o.Status.BreakGlass.Done != nil || trueIn(o.Status.Conditions, v1alpha1.ReconciledCondition) {
		t.Error(describe(o))
	}
	s.wantEvent(t, v1alpha1.ApprovalReason)
	for _, a := range s.bed.Agents(t) {
		if is := a.Config.Values[nativeKey]; is != badCIDR {
			t.Errorf("the commit arrived on %s: %s", a.Node, is)
		}
	}
}

func glassSays(text string) func(*v1alpha1.Remediation) bool {
	return func(o *v1alpha1.Remediation) bool {
		return o.Status.BreakGlass != nil && has(o.Status.BreakGlass.Message, text)
	}
}

// approve annotates the Remediation as a person does.
func (s *stage) approve(t *testing.T, value string) {
	t.Helper()
	for _, o := range s.remediations(t) {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationApproveBreakGlass, value)
		must(t, s.c.Patch(t.Context(), &o, client.RawPatch("application/merge-patch+json", patch)))
	}
}

func (s *stage) helmRelease(t *testing.T) *helmv2.HelmRelease {
	t.Helper()
	hr := &helmv2.HelmRelease{}
	must(t, s.c.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium"}, hr))
	return hr
}

// wantAdopted: Flux has the release back, at the merged commit, and does not change
// what break-glass made: the values are the same, and no agent restarts.
func (s *stage) wantAdopted(t *testing.T, o *v1alpha1.Remediation, commit string) {
	t.Helper()
	if b := o.Status.BreakGlass; b == nil || b.Agrees == nil || !*b.Agrees || o.Status.Commit != commit || len(o.Status.Attempts) != 1 {
		t.Errorf("break-glass %+v: %s", b, describe(o))
	}
	agents := s.bed.Agents(t)
	s.eventually(t, "Flux has released the commit", func() string {
		hr := s.helmRelease(t)
		switch {
		case hr.Spec.Suspend || len(hr.Annotations[v1alpha1.GroupVersion.Group+"/break-glass"]) > 0:
			return "it is suspended"
		case !trueIn(hr.Status.Conditions, meta.ReadyCondition) || hr.Status.ObservedGeneration != hr.Generation:
			return conditionsText(hr.Status.Conditions)
		}
		return ""
	})
	s.bed.WaitConfig(t, nativeKey, goodCIDR)
	for n, a := range s.bed.Agents(t) {
		if a.Pod != agents[n].Pod || a.Config.Values[nativeKey] != goodCIDR {
			t.Errorf("the agent of %s was %s and is %s with %s", a.Node, agents[n].Pod, a.Pod, a.Config.Values[nativeKey])
		}
	}
	if pr := s.onePR(t); len(pr.Comments) != 1 {
		t.Errorf("comments %q", pr.Comments)
	}
}
