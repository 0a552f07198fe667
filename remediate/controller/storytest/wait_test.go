//go:build linux

package storytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/internal/testbed/story"
)

// patience with what takes seconds on an idle machine.
const patience = 6 * time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually asks until the answer is empty; otherwise it is what is in the way.
func eventually(t testing.TB, within time.Duration, what string, is func() string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		why := is()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s: %s", within, what, why)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// eventually waits, as long as the controller lives.
func (s *stage) eventually(t testing.TB, what string, is func() string) {
	t.Helper()
	eventually(t, patience, what, func() string {
		if s.meanwhile != nil {
			s.meanwhile()
		}
		for _, p := range []*process{s.proc, s.standby} {
			if err := p.alive(); err != nil {
				t.Fatal(err)
			}
		}
		return is()
	})
}

// until waits for a Remediation of the incident to be as wanted.
func (s *stage) until(t testing.TB, what string, is func(*v1alpha1.Remediation) bool) *v1alpha1.Remediation {
	t.Helper()
	var found *v1alpha1.Remediation
	s.eventually(t, "a Remediation is "+what, func() string {
		all := s.remediations(t)
		n := slices.IndexFunc(all, func(o v1alpha1.Remediation) bool {
			return o.Spec.Signature == flagship && is(&o)
		})
		if n < 0 {
			return describeAll(all)
		}
		found = &all[n]
		return ""
	})
	return found
}

func describeAll(all []v1alpha1.Remediation) string {
	text := fmt.Sprintf("%d Remediations", len(all))
	for i := range all {
		text += "\n" + describe(&all[i])
	}
	return text
}

func describe(o *v1alpha1.Remediation) string {
	s := &o.Status
	text := fmt.Sprintf("%s: phase %s verdict %q because %q commit %.12s", o.Name, s.Phase, s.Verdict, s.Because, s.Commit)
	if s.PullRequest != nil {
		text += fmt.Sprintf("\n  pull request %+v", *s.PullRequest)
	}
	if s.Delivery != nil {
		text += fmt.Sprintf("\n  delivery %+v", *s.Delivery)
	}
	if s.Nodes != nil {
		text += fmt.Sprintf("\n  nodes %+v", *s.Nodes)
	}
	for name, b := range map[string]*v1alpha1.Baseline{"before": s.Baseline, "now": s.Now} {
		if b != nil {
			text += fmt.Sprintf("\n  %s %+v", name, b.Flows)
		}
	}
	text += conditionsText(s.Conditions)
	for _, h := range s.History {
		text += fmt.Sprintf("\n  - %s %s: %s", h.At.UTC().Format("15:04:05"), h.Step, h.Text)
	}
	return text
}

func conditionsText(all []metav1.Condition) (text string) {
	for _, c := range all {
		text += fmt.Sprintf("\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return text
}

func trueIn(all []metav1.Condition, kind string) bool {
	return slices.ContainsFunc(all, func(c metav1.Condition) bool { return c.Type == kind && c.Status == metav1.ConditionTrue })
}

func inPhase(p v1alpha1.Phase) func(*v1alpha1.Remediation) bool {
	return func(o *v1alpha1.Remediation) bool { return o.Status.Phase == p }
}

func withVerdict(v v1alpha1.Verdict) func(*v1alpha1.Remediation) bool {
	return func(o *v1alpha1.Remediation) bool { return o.Status.Verdict == v }
}

func has(text, part string) bool { return strings.Contains(text, part) }

// contains fails the test for each word that is missing.
func contains(t testing.TB, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !has(text, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, text)
		}
	}
}

// replaceNative is the values file with the healthy prefix.
func replaceNative(text string) string {
	lines := strings.Split(text, "\n")
	for n, line := range lines {
		if strings.HasPrefix(line, "ipv6NativeRoutingCIDR:") {
			lines[n] = story.NativeCIDR
		}
	}
	return strings.Join(lines, "\n")
}

// prs are the pull requests whose branch names the test's cluster.
func (s *stage) prs(t *testing.T) []forges.PR {
	t.Helper()
	var out []forges.PR
	for _, pr := range s.bed.PullRequests(t) {
		if has(pr.Branch, clusterOf(t)) {
			out = append(out, pr)
		}
	}
	return out
}

// onePR is the only one.
func (s *stage) onePR(t *testing.T) forges.PR {
	t.Helper()
	all := s.prs(t)
	if len(all) != 1 {
		t.Fatalf("%d pull requests, want 1: %+v", len(all), all)
	}
	return all[0]
}

// changedLines are the lines of the values file that are others on two revisions.
func (s *stage) changedLines(t testing.TB, from, to string) (was, is []string) {
	t.Helper()
	a := strings.Split(s.bed.Forge.Show(t, from, story.ValuesPath), "\n")
	b := strings.Split(s.bed.Forge.Show(t, to, story.ValuesPath), "\n")
	if len(a) != len(b) {
		t.Fatalf("%d lines became %d", len(a), len(b))
	}
	for n := range a {
		if a[n] != b[n] {
			was, is = append(was, a[n]), append(is, b[n])
		}
	}
	return was, is
}
