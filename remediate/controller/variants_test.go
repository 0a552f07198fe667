package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// proposedOn brings a bed to the open pull request.
func proposedOn(t *testing.T) *bed {
	t.Helper()
	b := newBed(t)
	b.policy(v1alpha1.ModePropose)
	b.probes.say(incidentFinding())
	b.follow.is(stateOf(verify.StageMerged, verify.Pending, "no verdict yet"))
	b.start()
	b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	return b
}

// A change without effect is marked tried, and its like is not proposed again.
func TestNotEffectiveIsNotProposedAgain(t *testing.T) {
	t.Parallel()
	b := proposedOn(t)
	first := b.until("proposed", inPhase(v1alpha1.PhaseProposed)).Status.Plan.Candidate
	b.forge.MergePR(t, 1)
	b.live("ipv6-native-routing-cidr", "fd00:101::/38")
	b.follow.is(stateOf(verify.StageRolledOut, verify.NotEffective, "NotEffective: every agent runs the change, and it is still confirmed"))
	b.poke()
	o := b.until("not effective", func(o *v1alpha1.Remediation) bool {
		return len(o.Status.Attempts) == 1 && o.Status.Attempts[0].Verdict == v1alpha1.VerdictNotEffective && o.Status.Plan != nil
	})
	if o.IsEnded() || o.Status.Commit != "" || o.Status.Plan.Candidate == first {
		t.Errorf("%s\nplan %+v", describe(o), o.Status.Plan)
	}
	contains(t, b.forge.PRs(t)[0].Comments[0], "NotEffective")
	for range 3 {
		b.poke()
		time.Sleep(500 * time.Millisecond)
	}
	if o := b.remediations()[0]; len(o.Status.Attempts) != 1 || o.Status.Commit != "" {
		t.Errorf("it was taken up again: %s", describe(&o))
	}
}

// What broke is taken back by a draft, with the evidence.
func TestRegressedOpensADraftThatReverts(t *testing.T) {
	t.Parallel()
	b := proposedOn(t)
	before := b.forge.Show(t, "main", valuesFile)
	b.forge.MergePR(t, 1)
	s := stateOf(verify.StageRolledOut, verify.Regressed, "Regressed: IPv4 TCP PodIP open worked before and fails")
	s.Flows = []verify.FlowState{{Class: verify.Class{Via: "PodIP", Family: "IPv4", Protocol: "TCP", Target: "open"}, Before: verify.Count{OK: 90}, After: verify.Count{Lost: 80}}}
	b.follow.is(s)
	b.poke()
	o := b.until("regressed", withVerdict(v1alpha1.VerdictRegressed))
	if !o.IsEnded() {
		t.Errorf("%s", describe(o))
	}
	back := b.prs(2)[1]
	if !back.Draft || !strings.Contains(back.Branch, "revert-") || b.forge.Show(t, back.Branch, valuesFile) != before {
		t.Errorf("draft %v from %s", back.Draft, back.Branch)
	}
	contains(t, back.Body, "worked before", "90 ok", "80 lost")
	contains(t, b.forge.PRs(t)[0].Comments[0], "Regressed", "/pulls/2")
}

// A pull request that a person closes stays closed, as long as the cause is there.
func TestClosedIsRemembered(t *testing.T) {
	t.Parallel()
	b := proposedOn(t)
	b.forge.ClosePR(t, 1)
	b.poke()
	b.until("closed", withVerdict(v1alpha1.VerdictClosed))
	for range 3 {
		b.poke()
		time.Sleep(300 * time.Millisecond)
	}
	o := b.until("held", inPhase(v1alpha1.PhaseHeld))
	b.prs(1)
	if len(b.remediations()) != 1 || o.IsEnded() {
		t.Errorf("%s", describe(o))
	}
	b.probes.say()
	b.poke()
	b.until("ended", func(o *v1alpha1.Remediation) bool { return o.IsEnded() && o.Status.Verdict == v1alpha1.VerdictClosed })
}

// A person fixes it first: our pull request closes, and the incident ends once the
// failure is gone.
func TestFixedElsewhere(t *testing.T) {
	t.Parallel()
	b := proposedOn(t)
	fixed := strings.Replace(b.forge.Show(t, "main", valuesFile), "fd00:101::/48", "fd00:101::/38", 1)
	b.forge.Push(t, "main", map[string][]byte{valuesFile: []byte(fixed)})
	b.live("ipv6-native-routing-cidr", "fd00:101::/38")
	b.renewAgents()
	b.probes.say()
	end := time.Now().Add(patience)
	for b.forge.PRs(t)[0].State == "open" && time.Now().Before(end) {
		b.poke()
		time.Sleep(300 * time.Millisecond)
	}
	if pr := b.forge.PRs(t)[0]; pr.State != "closed" {
		t.Fatalf("pull request is %s; %s", pr.State, describe(&b.remediations()[0]))
	}
	o := b.until("fixed elsewhere", withVerdict(v1alpha1.VerdictFixedElsewhere))
	if !o.IsEnded() {
		t.Errorf("%s", describe(o))
	}
}

// What heals before anything is proposed ends without a pull request.
func TestHealed(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.policy(v1alpha1.ModeObserve)
	hostile := incidentFinding()
	hostile.Summary = strings.Repeat("\x1b[31m<script>\x00\u202e", 20_000)
	hostile.Evidence[0].Text = hostile.Summary
	b.probes.say(hostile)
	b.start()
	held := b.until("held", inPhase(v1alpha1.PhaseHeld))
	if text := held.Status.Finding.Summary + held.Status.Evidence[0].Text; len(text) > 2000 || strings.ContainsAny(text, "\x1b\x00\u202e") {
		t.Errorf("%d bytes: %.100q", len(text), text)
	}
	b.probes.say()
	b.poke()
	o := b.until("healed", withVerdict(v1alpha1.VerdictFixedElsewhere))
	contains(t, o.Status.Because, "no change of ours was merged")
}

// Two controllers with leader election act once.
func TestTwoManagers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.policy(v1alpha1.ModePropose)
	b.probes.say(incidentFinding())
	elected := func(o *Options) {
		o.LeaderElection.Enable, o.LeaderElection.ReleaseOnCancel = true, true
		o.LeaderElection.LeaseDuration, o.LeaderElection.RenewDeadline, o.LeaderElection.RetryPeriod = 3*time.Second, 2*time.Second, 500*time.Millisecond
	}
	stop := b.start(elected)
	b.start(elected)
	b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	stop()
	b.poke()
	time.Sleep(4 * time.Second)
	b.prs(1)
	if all := b.remediations(); len(all) != 1 {
		t.Errorf("%d Remediations", len(all))
	}
}
