//go:build linux

package storytest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/internal/testbed/story"
)

// TestStory plays one incident from the healthy cluster to the verdict, with agents
// that somebody restarts by hand.
func TestStory(t *testing.T) {
	s := newStage(t, story.Options{})
	s.proc.start(t)
	s.policy(t, v1alpha1.ModePropose)
	p := s.ready(t)
	if all := s.remediations(t); len(all) != 0 || len(s.bed.PullRequests(t)) != 0 {
		t.Fatalf("of a healthy cluster: %s, pull requests %+v", describeAll(all), s.bed.PullRequests(t))
	}
	t.Logf("healthy; %+v; the controller has %d MiB", *p.Status.Probes, s.proc.resident())

	clock := &figures{live: s.breakIt(t)}
	o := s.until(t, "confirmed", func(o *v1alpha1.Remediation) bool { return o.Status.Finding != nil })
	clock.confirmed = time.Now()
	if o.Spec.Signature != flagship || o.Spec.Family != "IPv6" {
		t.Errorf("confirmed %s %s", o.Spec.Signature, o.Spec.Family)
	}
	o = s.until(t, "proposed", inPhase(v1alpha1.PhaseProposed))
	clock.proposed = time.Now()
	pr := s.wantProposal(t, o)

	s.settle(t)
	commit := s.bed.Merge(t, pr.Number)
	clock.merged = time.Now()
	s.bed.WaitConfig(t, nativeKey, goodCIDR)
	clock.released = time.Now()
	o = s.until(t, "not active", withVerdict(v1alpha1.VerdictMergedNotActive))
	clock.notActive = time.Now()
	s.wantNotActive(t, o, commit)

	for n, node := range s.bed.Lab.Nodes {
		s.bed.RestartAgent(t, node.Name)
		clock.rolled = time.Now()
		if left := len(s.bed.Lab.Nodes) - n - 1; left > 0 {
			s.until(t, fmt.Sprintf("active on all but %d", left), func(o *v1alpha1.Remediation) bool {
				return o.Status.Nodes != nil && len(o.Status.Nodes.Waiting) == left && !waits(o, node.Name)
			})
		}
	}
	o = s.until(t, "verified", withVerdict(v1alpha1.VerdictVerified))
	clock.verified = time.Now()
	s.wantVerified(t, o, commit)
	t.Logf("%s; the controller has %d MiB\n%s\n%s", clock, s.proc.resident(), s.measured(t), describe(o))
	s.proc.stop(t)
	s.wantSilence(t)
}

// figures are when what was seen, by the test's clock.
type figures struct {
	live, confirmed, proposed, merged, released, notActive, rolled, verified time.Time
}

func (f *figures) String() string {
	seconds := func(from, to time.Time) float64 { return to.Sub(from).Seconds() }
	return fmt.Sprintf("last agent broken → confirmed %.1f s; confirmed → pull request %.1f s; merged → released %.1f s; released → MergedNotActive %.1f s (grace %d s); last agent cured → Verified %.1f s (hold %d s)",
		seconds(f.live, f.confirmed), seconds(f.confirmed, f.proposed), seconds(f.merged, f.released), seconds(f.released, f.notActive), grace, seconds(f.rolled, f.verified), hold)
}

// measured are the controller's own sums of its times.
func (s *stage) measured(t *testing.T) string {
	t.Helper()
	resp, err := http.Get("http://127.0.0.1:9790/metrics")
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	var out []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "remediate_time_to_") && (has(line, "_sum{") || has(line, "_count{")) || strings.HasPrefix(line, "remediate_verdicts_total") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}

// wantProposal checks the one pull request: a line of one file, and what a reader is
// told.
func (s *stage) wantProposal(t *testing.T, o *v1alpha1.Remediation) forges.PR {
	t.Helper()
	pr := s.onePR(t)
	if pr.State != "open" || pr.Draft || pr.Author != s.bed.Forge.Bot() {
		t.Errorf("pull request %d is %s, draft %t, by %s", pr.Number, pr.State, pr.Draft, pr.Author)
	}
	was, is := s.changedLines(t, "main", pr.Branch)
	if len(is) != 1 || !has(was[0], badCIDR) || !has(is[0], goodCIDR) {
		t.Errorf("changed %q to %q, want %s to %s alone", was, is, badCIDR, goodCIDR)
	}
	contains(t, "the pull request", pr.Title+"\n"+pr.Body, flagship, goodCIDR, "node-1")
	st := &o.Status
	if st.Plan == nil || st.Plan.Candidate != widen || st.Plan.Hash == "" || st.PullRequest == nil || st.PullRequest.Number != int64(pr.Number) {
		t.Errorf("the proposal is not whole: %s", describe(o))
	}
	for _, want := range []string{"Confirmed", "Planned", "Proposed"} {
		s.wantEvent(t, want)
	}
	return pr
}

// tells says whether a baseline has flows that fail, and flows that work.
func tells(b *v1alpha1.Baseline) bool {
	fails := slices.ContainsFunc(b.Flows, func(f v1alpha1.FlowClass) bool { return f.Lost+f.Masked > 0 })
	return fails && slices.ContainsFunc(b.Flows, func(f v1alpha1.FlowClass) bool { return f.OK > 0 && f.Lost == 0 })
}

// wantNotActive: every node is named with a reason, and there is a way on.
func (s *stage) wantNotActive(t *testing.T, o *v1alpha1.Remediation, commit string) {
	t.Helper()
	st := &o.Status
	if st.Commit != commit || st.Nodes == nil || int(st.Nodes.Wanted) != len(s.bed.Lab.Nodes) || st.Nodes.Active != 0 || st.FollowUp == "" {
		t.Errorf("commit %s, want %s; nodes %+v; follow-up %q", st.Commit, commit, st.Nodes, st.FollowUp)
	}
	for _, n := range s.bed.Lab.Nodes {
		if !waits(o, n.Name) {
			t.Errorf("%s is not named", n.Name)
		}
	}
	if o.IsEnded() {
		t.Error("the incident has ended")
	}
	for _, c := range []string{v1alpha1.MergedCondition, v1alpha1.ReconciledCondition} {
		if !trueIn(st.Conditions, c) {
			t.Errorf("%s is not true", c)
		}
	}
	s.wantEvent(t, string(v1alpha1.VerdictMergedNotActive))
}

func waits(o *v1alpha1.Remediation, node string) bool {
	return o.Status.Nodes != nil && slices.ContainsFunc(o.Status.Nodes.Waiting, func(w v1alpha1.WaitingNode) bool { return w.Node == node && w.Reason != "" })
}

// wantVerified: the end, in the Remediation, below the pull request and as an event.
func (s *stage) wantVerified(t *testing.T, o *v1alpha1.Remediation, commit string) {
	t.Helper()
	s.eventually(t, "the Remediation is Ready", func() string {
		for _, c := range append(v1alpha1.Steps()[1:], meta.ReadyCondition) {
			if !trueIn(o.Status.Conditions, c) {
				o = s.until(t, "verified", withVerdict(v1alpha1.VerdictVerified))
				return c + " is not true: " + describe(o)
			}
		}
		return ""
	})
	if a := o.Status.Attempts; !o.IsEnded() || len(a) != 1 || a[0].Commit != commit || a[0].Verdict != v1alpha1.VerdictVerified {
		t.Errorf("attempts %+v of %s", a, describe(o))
	}
	pr := s.onePR(t)
	if len(pr.Comments) != 1 {
		t.Errorf("%d comments: %q", len(pr.Comments), pr.Comments)
	}
	contains(t, "the comment", strings.Join(pr.Comments, "\n"), string(v1alpha1.VerdictVerified), "IPv6")
	s.wantEvent(t, string(v1alpha1.VerdictVerified))
}

func (s *stage) wantEvent(t *testing.T, reason string) {
	t.Helper()
	s.eventually(t, "event "+reason, func() string {
		if all := s.events(t); !slices.Contains(all, reason) {
			return fmt.Sprintf("events %q", all)
		}
		return ""
	})
}

// wantSilence: the controller said no secret, and nothing that it should not need.
func (s *stage) wantSilence(t *testing.T) {
	t.Helper()
	text := s.proc.log.String() + s.standby.log.String()
	for name, data := range s.bed.Forge.Secret() {
		if name == "password" && has(text, string(data)) {
			t.Error("the log holds the forge's token")
		}
	}
	for line := range strings.Lines(text) {
		for _, bad := range []string{"forbidden", "panic", "DATA RACE"} {
			if has(line, bad) {
				t.Errorf("the controller said: %s", line)
			}
		}
	}
}
