package report

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func TestCommitSummaryGolden(t *testing.T) {
	for name, id := range map[string]string{"commit-incident.txt": "", "commit-agent.txt": "use-ip-masq-agent"} {
		subject, body := CommitSummary(incident(t), id)
		golden(t, name, []byte(subject+"\n\n"+body))
	}
	p := unrendered(incident(t))
	p.Candidates[0].Rollout = v1alpha1.Rollout{}
	p.Findings = nil
	subject, body := CommitSummary(p, "")
	golden(t, "commit-unrendered.txt", []byte(subject+"\n\n"+body))
}

func TestCommitSummaryWithoutACandidate(t *testing.T) {
	for _, tt := range []struct {
		plan *v1alpha1.Plan
		id   string
	}{{nil, ""}, {incident(t), "x"}, {healthy(incident(t)), ""}} {
		if subject, body := CommitSummary(tt.plan, tt.id); subject != "" || body != "" {
			t.Errorf("%q, %q", subject, body)
		}
	}
}

// gitLive is what git, git am or a forge takes for something else than text at
// the start of a line.
var gitLive = regexp.MustCompile(`^(?:[A-Za-z0-9-]+\s*:(?:\s|$)|#|>|/|---|diff -|Index: )`)

func TestHostileCommitSummary(t *testing.T) {
	plans := hostilePlans()
	for _, s := range []string{
		"Signed-off-by: Eve <eve@evil.example>", "Co-authored-by : Eve", "From: Eve", "--- a/x", "diff --git a/x b/x", "# gone",
		strings.Repeat("Signed-off-by: Eve ", 40), "skip-checks: true", "[skip ci]", "Index: x", "/close", "fd00::1: Eve",
	} {
		plans = append(plans, filled(2, func() string { return s }))
	}
	for _, p := range plans {
		subject, body := CommitSummary(p, "")
		checkPrintable(t, subject+body)
		checkPlain(t, subject, 72)
		for l := range strings.SplitSeq(body, "\n") {
			if utf8.RuneCountInString(l) > 72 {
				t.Fatalf("a line of %d characters: %q", utf8.RuneCountInString(l), l)
			}
			if m := gitLive.FindString(l); m != "" {
				t.Fatalf("%q starts a line that is more than text: %q", m, l)
			}
			if m := plainLive.FindString(l); m != "" {
				t.Fatalf("%q is live in %q", m, l)
			}
		}
		if len(body) > 32<<10 {
			t.Errorf("a message of %d bytes", len(body))
		}
	}
}

func TestCommitSummaryIsBounded(t *testing.T) {
	p := large(t)
	for range 500 {
		p.Candidates[0].Changes = append(p.Candidates[0].Changes, v1alpha1.Change{Path: strings.Repeat("k", 900), To: strings.Repeat("v", 9000)})
	}
	_, body := CommitSummary(p, "")
	if n := strings.Count(body, "\n"); n > 300 || !strings.Contains(body, "* 489 more") {
		t.Errorf("%d lines", n)
	}
}

// Git itself finds no trailer in a message of ours before ours are added.
func TestCommitSummaryHasNoTrailers(t *testing.T) {
	for _, s := range []string{"", "Signed-off-by: Eve <eve@evil.example>", "Reviewed-by:Eve", "x-y: z"} {
		p := incident(t)
		if s != "" {
			p = filled(1, func() string { return s })
		}
		subject, body := CommitSummary(p, "")
		cmd := exec.Command("git", "interpret-trailers", "--parse")
		cmd.Stdin = strings.NewReader(subject + "\n\n" + body)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if len(out) > 0 {
			t.Errorf("git reads trailers in\n%s\n\n%s: %s", subject, body, out)
		}
	}
}
