//go:build linux

package storytest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
	"github.com/remediate-dev/remediate/internal/testbed/story"
)

// TestStories plays what else may become of an incident, one after the other in one
// cluster, which each leaves as it was. Its API server keeps nothing to go on from
// but what etcd has.
func TestStories(t *testing.T) {
	s := newStage(t, story.Options{Rollout: true, APIServer: []string{"--watch-cache=false"}})
	s.proc.start(t)
	type variant struct {
		name string
		play func(*testing.T)
	}
	for _, v := range []variant{
		{"observe-then-closed", s.observeThenClosed}, {"human-first", s.humanFirst}, {"not-effective", s.notEffective}, {"regressed", s.regressed},
		{"held", s.held}, {"cut-off", s.cutOff}, {"api-gone", s.apiGone}, {"killed", s.killed},
	} {
		t.Run(v.name, func(t *testing.T) {
			began := time.Now()
			defer func() {
				s.heal(t)
				t.Logf("%.0f s", time.Since(began).Seconds())
			}()
			v.play(t)
		})
		if t.Failed() {
			return // the cluster may not be as it was
		}
	}
	s.wantSilence(t)
	t.Log(s.bed.Memory())
}

// incident breaks the cluster and waits for the pull request.
func (s *stage) incident(t *testing.T, change ...func(*v1alpha1.RemediationPolicySpec)) forges.PR {
	t.Helper()
	s.policy(t, v1alpha1.ModePropose, change...)
	s.ready(t)
	s.breakIt(t)
	return s.proposed(t)
}

func (s *stage) proposed(t *testing.T) forges.PR {
	t.Helper()
	s.until(t, "proposed", inPhase(v1alpha1.PhaseProposed))
	return s.onePR(t)
}

// observeThenClosed: in mode Observe the plan is there and nothing else; in mode
// Propose a pull request that a person closes is not opened again.
func (s *stage) observeThenClosed(t *testing.T) {
	p := s.policy(t, v1alpha1.ModeObserve)
	s.ready(t)
	s.breakIt(t)
	o := s.until(t, "held", inPhase(v1alpha1.PhaseHeld))
	if st := o.Status.Plan; st == nil || st.Candidate != widen || !has(st.Diff, "+ipv6NativeRoutingCIDR: "+goodCIDR) {
		t.Errorf("plan %+v", st)
	}
	s.wantEvent(t, "Observed")
	if all := s.prs(t); len(all) != 0 || len(s.bed.Forge.Branches(t)) != 1 {
		t.Errorf("pull requests %+v, branches %v", all, s.bed.Forge.Branches(t))
	}

	diff := o.Status.Plan.Diff
	s.change(t, p, func(p *v1alpha1.RemediationPolicy) { p.Spec.Mode = v1alpha1.ModePropose })
	pr := s.proposed(t)
	s.bed.Forge.ClosePR(t, pr.Number)
	o = s.until(t, "closed", withVerdict(v1alpha1.VerdictClosed))
	if o.IsEnded() || o.Status.Plan.Diff != diff {
		t.Errorf("plan %s, was %s: %s", o.Status.Plan.Diff, diff, describe(o))
	}
	// Another controller remembers it too, and so does one whose Remediation is gone.
	s.proc.kill()
	must(t, s.c.Delete(t.Context(), o))
	s.proc.start(t)
	s.until(t, "closed again", func(n *v1alpha1.Remediation) bool {
		return n.UID != o.UID && (n.Status.Verdict == v1alpha1.VerdictClosed || n.Status.Phase == v1alpha1.PhaseHeld)
	})
	if pr := s.onePR(t); pr.State != "closed" {
		t.Errorf("pull request %d is %s", pr.Number, pr.State)
	}
	s.wantOne(t)
}

// humanFirst: the base moves under the pull request, which follows; then a person
// fixes it elsewhere, and it closes.
func (s *stage) humanFirst(t *testing.T) {
	pr := s.incident(t)
	text := s.bed.Forge.Show(t, "main", story.ValuesPath)
	s.bed.Commit(t, story.ValuesPath, []byte("# Another change.\n"+text))
	s.eventually(t, "the pull request follows its base", func() string {
		if now := s.onePR(t); now.State != "open" || !has(s.bed.Forge.Show(t, now.Branch, story.ValuesPath), "# Another change.") {
			return now.State
		}
		return ""
	})
	if was, is := s.changedLines(t, "main", pr.Branch); len(is) != 1 || !has(is[0], goodCIDR) {
		t.Errorf("%q became %q", was, is)
	}
	s.bed.Cure(t)
	s.eventually(t, "our pull request is closed", func() string {
		if now := s.onePR(t); now.State != "closed" {
			return now.State + "\n" + describeAll(s.remediations(t))
		}
		return ""
	})
	s.roll(t, goodCIDR)
	o := s.until(t, "fixed elsewhere", withVerdict(v1alpha1.VerdictFixedElsewhere))
	if !o.IsEnded() || o.Status.Commit != "" {
		t.Error(describe(o))
	}
	s.onePR(t)
	s.wantOne(t)
}

// notEffective: a person changes our pull request to something that does not help,
// and merges it. The next candidate follows, and helps.
func (s *stage) notEffective(t *testing.T) {
	pr := s.incident(t)
	const useless = "fd00:101::/47"
	text := s.bed.Forge.Show(t, pr.Branch, story.ValuesPath)
	s.bed.Forge.Push(t, pr.Branch, map[string][]byte{story.ValuesPath: []byte(strings.Replace(text, goodCIDR, useless, 1))})
	s.settle(t)
	s.bed.Merge(t, pr.Number)
	s.bed.UntilRunning(t, nativeKey, useless)
	o := s.until(t, "proposed again", func(o *v1alpha1.Remediation) bool {
		return len(o.Status.Attempts) == 2 && o.Status.Phase == v1alpha1.PhaseProposed
	})
	if a := o.Status.Attempts[0]; a.Verdict != v1alpha1.VerdictNotEffective || a.Candidate != widen || o.Status.Attempts[1].Candidate == widen {
		t.Errorf("attempts %+v", o.Status.Attempts)
	}
	s.wantEvent(t, string(v1alpha1.VerdictNotEffective))
	all := s.prs(t)
	if len(all) != 2 || all[1].State != "open" {
		t.Fatalf("pull requests %+v", all)
	}
	contains(t, "the first one's comment", strings.Join(all[0].Comments, "\n"), string(v1alpha1.VerdictNotEffective))
	contains(t, "the second one", all[1].Body, widen)
	s.settle(t)
	s.bed.Merge(t, all[1].Number)
	s.until(t, "verified", withVerdict(v1alpha1.VerdictVerified))
	s.wantOne(t)
}

// regressed: what worked before breaks with the change, and a draft takes it back.
func (s *stage) regressed(t *testing.T) {
	pr := s.incident(t)
	s.settle(t)
	commit := s.bed.Merge(t, pr.Number)
	s.bed.UntilRunning(t, nativeKey, goodCIDR)
	var undo func()
	s.bed.Change(func(l *lab.Lab) { undo = l.Cut(lab.Cut{Family: "IPv4"}) })
	defer s.bed.Change(func(*lab.Lab) { undo() })
	o := s.until(t, "regressed", withVerdict(v1alpha1.VerdictRegressed))
	if !o.IsEnded() || o.Status.Commit != commit {
		t.Error(describe(o))
	}
	all := s.bed.PullRequests(t)
	back := all[len(all)-1]
	if back.State != "open" || !back.Draft || back.Number == pr.Number {
		t.Fatalf("pull request %d is %s, draft %t", back.Number, back.State, back.Draft)
	}
	if was, is := s.changedLines(t, "main", back.Branch); len(is) != 1 || !has(was[0], goodCIDR) || !has(is[0], badCIDR) {
		t.Errorf("the revert makes %q of %q", is, was)
	}
	contains(t, "the revert", back.Title+back.Body, commit[:12], "IPv4")
	s.wantEvent(t, string(v1alpha1.VerdictRegressed))
	for _, now := range s.prs(t) {
		if now.Number == pr.Number && (len(now.Comments) != 1 || !has(now.Comments[0], string(v1alpha1.VerdictRegressed))) {
			t.Errorf("comments %q", now.Comments)
		}
	}
	s.bed.Forge.ClosePR(t, back.Number)
}

// held: a freeze holds the pull request back, then the release's suspension does. Of
// what people change the controller hears though all its watches have expired.
func (s *stage) held(t *testing.T) {
	version := s.version(t)
	from, to := metav1.NewTime(time.Now().Add(-time.Hour)), metav1.NewTime(time.Now().Add(time.Hour))
	p := s.policy(t, v1alpha1.ModePropose, func(spec *v1alpha1.RemediationPolicySpec) {
		spec.Freezes = []v1alpha1.Freeze{{From: &from, To: &to, Reason: "nobody is here"}}
	})
	s.ready(t)
	s.breakIt(t)
	s.heldBy(t, "nobody is here")
	s.expire(t, version)
	s.suspend(t, true)
	s.change(t, p, func(p *v1alpha1.RemediationPolicy) { p.Spec.Freezes = nil })
	s.heldBy(t, "suspended")
	s.suspend(t, false)
	s.proposed(t)
	s.wantOne(t)
}

func (s *stage) heldBy(t *testing.T, why string) {
	t.Helper()
	s.until(t, "held: "+why, func(o *v1alpha1.Remediation) bool {
		return o.Status.Phase == v1alpha1.PhaseHeld && has(conditionsText(o.Status.Conditions), why)
	})
	if all := s.prs(t); len(all) != 0 {
		t.Errorf("pull requests %+v", all)
	}
}

func (s *stage) suspend(t *testing.T, yes bool) {
	t.Helper()
	o := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "cilium"}}
	must(t, s.c.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, yes))))
}

// change changes the policy.
func (s *stage) change(t *testing.T, p *v1alpha1.RemediationPolicy, do func(*v1alpha1.RemediationPolicy)) {
	t.Helper()
	must(t, s.c.Get(t.Context(), client.ObjectKeyFromObject(p), p))
	base := p.DeepCopy()
	do(p)
	must(t, s.c.Patch(t.Context(), p, client.MergeFrom(base)))
}
