package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// A change of something else is one line even where warnings are old: the count
// of them. What is critical, or what the change touches, is told in full.
func TestOldWarningsBesideAnotherChange(t *testing.T) {
	left := func(change func(*v1alpha1.CheckResult)) *v1alpha1.CheckResult {
		r := result()
		r.Problems = []v1alpha1.Problem{dead("mtu", false), dead("bgp.enabled", false)}
		change(r)
		return r
	}
	tests := []struct {
		name   string
		change func(*v1alpha1.CheckResult)
		lines  int // 0: more than one
		says   string
	}{
		{"another change", func(*v1alpha1.CheckResult) {}, 1, "(base main 1a2b3c4; already wrong: 2 warnings)"},
		{"one", func(r *v1alpha1.CheckResult) { r.Problems = r.Problems[:1] }, 1, "already wrong: 1 warning)"},
		{"and unknown facts", func(r *v1alpha1.CheckResult) { r.Unknown = []string{"a", "b"} }, 1, "2 warnings"},
		{"a value of the release", func(r *v1alpha1.CheckResult) {
			r.Releases[0].Changed = []v1alpha1.ValueChange{{Path: "operator.replicas", From: 1, To: 2}}
		}, 0, "mtu does nothing"},
		{"a new release", func(r *v1alpha1.CheckResult) { r.Releases[0].In = "head" }, 0, "mtu does nothing"},
		{"a critical one", func(r *v1alpha1.CheckResult) { r.Problems = append(r.Problems, excludes(false)) }, 0, "mtu does nothing"},
		{"a repair", func(r *v1alpha1.CheckResult) { r.Repairs = []v1alpha1.Repair{{Signature: "x", Summary: "y"}} }, 0, "mtu does nothing"},
		{"something new", func(r *v1alpha1.CheckResult) { r.Problems = append(r.Problems, dead("other", true)) }, 0, "mtu does nothing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := checkText(t, left(test.change), TextOptions{Width: 140})
			if n := strings.Count(got, "\n"); (n == 1) != (test.lines == 1) || !strings.Contains(got, test.says) {
				t.Errorf("%d lines without %q:\n%s", n, test.says, got)
			}
		})
	}
}

// A gate that compared a state with itself does not say that all is well.
func TestNothingWasCompared(t *testing.T) {
	r := result()
	r.Same = true
	want := "✔ kube-system/cilium: this change breaks nothing, as no file differs (base main 1a2b3c4)\n"
	if got := checkText(t, r, TextOptions{}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := printed(t, "github", r); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Clusters that share a file share its problems: one annotation, not one each.
func TestProblemOfSeveralClusters(t *testing.T) {
	r := result()
	for i := range 5 {
		other := r.Releases[0]
		other.ClusterPath = fmt.Sprintf("clusters/%d", i)
		p := excludes(true)
		p.ClusterPath = other.ClusterPath
		r.Releases, r.Problems = append(r.Releases, other), append(r.Problems, p, dead("mtu", false))
	}
	before := fmt.Sprint(r.Problems)
	github := printed(t, "github", r)
	if n := strings.Count(github, "::error"); n != 1 || !strings.Contains(github, "clusters/0, clusters/1, clusters/2") {
		t.Errorf("%d annotations:\n%s", n, github)
	}
	text := printed(t, "txt", r)
	for _, want := range []string{"introduces 1 problem ", "1 introduced critical · 1 already wrong"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q:\n%s", want, text)
		}
	}
	if n := strings.Count(printed(t, "json", r), `"introduced": true`); n != 5 {
		t.Errorf("JSON has %d of 5", n)
	}
	if fmt.Sprint(r.Problems) != before {
		t.Error("the result was changed")
	}
	r.Problems = slices.DeleteFunc(r.Problems, func(p v1alpha1.Problem) bool { return p.Introduced })
	for i := range r.Problems {
		r.Problems[i].ClusterPath = r.Releases[i].ClusterPath
	}
	if got := checkText(t, r, TextOptions{}); !strings.Contains(got, "already wrong: 1 warning)") || strings.Count(got, "\n") != 1 {
		t.Errorf("old warnings of several clusters:\n%s", got)
	}
}

func TestProblemsOfOtherLinesStay(t *testing.T) {
	r := result()
	a, b, c := excludes(true), excludes(true), excludes(true)
	b.ClusterPath, c.ClusterPath, c.Line = "clusters/b", "clusters/c", 7
	r.Problems = []v1alpha1.Problem{a, b, c}
	if n := strings.Count(printed(t, "github", r), "::error"); n != 2 {
		t.Errorf("%d annotations for two lines", n)
	}
}
