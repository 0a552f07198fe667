package controller

import (
	"slices"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// In mode Observe the plan is published, as the command line makes it from the same
// facts, and nothing is opened. In mode Propose it is the same plan that is.
func TestObserveOpensNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	p := b.policy(v1alpha1.ModeObserve)
	b.probes.say(incidentFinding())
	b.start()
	b.ready(p, "True")
	o := b.until("held", inPhase(v1alpha1.PhaseHeld))
	if o.Status.Plan == nil || o.Status.Plan.Candidate == "" || len(o.Status.Plan.Changes) == 0 || o.Status.Plan.Diff == "" {
		t.Fatalf("plan %+v", o.Status.Plan)
	}
	b.prs(0)
	if branches := b.forge.Branches(t); len(branches) != 1 {
		t.Errorf("branches %v", branches)
	}
	for _, want := range []string{"Confirmed", "Observed", "Planned"} {
		if !slices.Contains(b.events(), want) {
			t.Errorf("events %q lack %s", b.events(), want)
		}
	}
	dir, _, err := examples.Lay(examples.Default, t.TempDir())
	must(t, err)
	res, err := remediate.Plan(t.Context(), remediate.Options{Repo: dir, Release: "kube-system/cilium", Chart: testbed.ChartDir(t), Cluster: b.cfg,
		ClusterName: "home", Confirmed: []v1alpha1.Finding{incidentFinding()}})
	must(t, err)
	if got, want := o.Status.Plan.Candidate, res.Plan.Candidates[0].ID; got != want {
		t.Errorf("candidate %s, the command line has %s", got, want)
	}
	b.change(p, `{"mode":"Propose"}`)
	proposed := b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	if got, want := proposed.Status.Plan, o.Status.Plan; got.Hash != want.Hash || got.ValuesDigest != want.ValuesDigest || got.Revision != want.Revision {
		t.Errorf("hash %s of %s in mode Propose, %s of %s in mode Observe", got.Hash, got.Revision, want.Hash, want.Revision)
	}
	b.prs(1)
}

// The whole life, with another controller after each step: one pull request, the
// right verdict, one comment, one Remediation.
func TestStoryWithRestarts(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.policy(v1alpha1.ModePropose)
	b.probes.say(incidentFinding())
	b.follow.is(stateOf(verify.StageMerged, verify.Pending, "no verdict yet"))

	stop := b.start()
	b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	pr := b.prs(1)[0]
	contains(t, pr.Body, "remediate")
	stop()

	stop = b.start()
	b.poke()
	b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	b.prs(1)
	stop()

	commit := b.forge.MergePR(t, pr.Number)
	stop = b.start()
	b.poke()
	o := b.until("merged", inPhase(v1alpha1.PhaseMerged))
	if o.Status.Commit != commit {
		t.Errorf("commit %s, want %s", o.Status.Commit, commit)
	}
	stop()

	b.follow.is(stateOf(verify.StageReconciled, verify.MergedNotActive, "MergedNotActive: no node of 3 runs it"))
	stop = b.start()
	b.until("not active", withVerdict(v1alpha1.VerdictMergedNotActive))
	stop()

	b.probes.say()
	b.follow.is(stateOf(verify.StageVerified, verify.Verified, "Verified: what failed works"))
	b.start()
	o = b.until("verified", withVerdict(v1alpha1.VerdictVerified))
	if !o.IsEnded() || len(o.Status.Attempts) != 1 || o.Status.Attempts[0].Commit != commit || o.Status.Because != "what failed works" {
		t.Errorf("%s\nattempts %+v", describe(o), o.Status.Attempts)
	}
	comments := b.prs(1)[0].Comments
	if len(comments) != 1 {
		t.Fatalf("comments %q", comments)
	}
	contains(t, comments[0], "Verified", "IPv6")
	if all := b.remediations(); len(all) != 1 {
		t.Errorf("%d Remediations", len(all))
	}
}

// A deleted Remediation is made again from the forge, also when nothing is confirmed
// any more.
func TestDeletedIsDerivedAgain(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.policy(v1alpha1.ModePropose)
	b.probes.say(incidentFinding())
	b.follow.is(stateOf(verify.StageMerged, verify.Pending, "no verdict yet"))
	stop := b.start()
	first := b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	commit := b.forge.MergePR(t, 1)
	b.poke()
	b.until("merged", inPhase(v1alpha1.PhaseMerged))
	b.probes.say()
	must(t, b.c.Delete(t.Context(), first))
	b.follow.is(stateOf(verify.StageVerified, verify.Verified, "Verified: what failed works"))
	again := b.until("verified again", func(o *v1alpha1.Remediation) bool {
		return o.UID != first.UID && o.Status.Verdict == v1alpha1.VerdictVerified
	})
	if again.Name != first.Name || again.Status.Commit != commit {
		t.Errorf("%s at %s, want %s at %s", again.Name, again.Status.Commit, first.Name, commit)
	}
	stop()
	// What has its verdict is not taken up once more.
	must(t, b.c.Delete(t.Context(), again))
	b.start()
	b.poke()
	p := &v1alpha1.RemediationPolicy{}
	p.Namespace, p.Name = "remediate-system", "cilium"
	b.ready(p, "True")
	if all := b.remediations(); len(all) != 0 {
		t.Errorf("%d Remediations of a change that has its verdict", len(all))
	}
}
