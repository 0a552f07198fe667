package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// checkForms are the ways to print a result; SARIF has tests of its own.
func checkForms() map[string]func(io.Writer, *v1alpha1.CheckResult) error {
	return map[string]func(io.Writer, *v1alpha1.CheckResult) error{
		"txt":    func(w io.Writer, r *v1alpha1.CheckResult) error { return CheckText(w, r, TextOptions{}) },
		"color":  func(w io.Writer, r *v1alpha1.CheckResult) error { return CheckText(w, r, TextOptions{Color: true}) },
		"json":   CheckJSON,
		"github": GitHub,
	}
}

func printed(t testing.TB, form string, r *v1alpha1.CheckResult) string {
	t.Helper()
	var b bytes.Buffer
	if err := checkForms()[form](&b, r); err != nil {
		t.Fatalf("%s: %v", form, err)
	}
	return b.String()
}

func checkText(t testing.TB, r *v1alpha1.CheckResult, opt TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := CheckText(&b, r, opt); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// result is a check of one release with nothing to say.
func result() *v1alpha1.CheckResult {
	return &v1alpha1.CheckResult{
		Base:   v1alpha1.CheckState{Name: "main", Commit: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", How: "the merge base with origin/main"},
		Head:   v1alpha1.CheckState{Name: "working tree"},
		FailOn: v1alpha1.SeverityWarning,
		Releases: []v1alpha1.CheckedRelease{{
			Release: "kube-system/cilium", ClusterPath: "kubernetes/flux/cluster", Chart: "cilium", Version: "1.18.6",
			File: "kubernetes/apps/cilium/helmrelease.yaml", Line: 2, In: "both",
		}},
	}
}

// excludes is the flagship problem, introduced or not.
func excludes(introduced bool) v1alpha1.Problem {
	return v1alpha1.Problem{
		Signature: "native-routing-cidr-excludes-pods", Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidencePredicted,
		Introduced: introduced, Release: "kube-system/cilium", ClusterPath: "kubernetes/flux/cluster", Family: "IPv6",
		Summary: "ipv6NativeRoutingCIDR is fd00:101::/48, but the pods live in fd00:101:224::/60, outside it, so nodes masquerade pod-to-pod packets",
		File:    "kubernetes/apps/cilium/values.yaml", Line: 52,
		Evidence: []v1alpha1.Evidence{
			{Kind: "config", Text: "ipv6NativeRoutingCIDR: fd00:101::/48", Source: "kubernetes/apps/cilium/values.yaml:52"},
			{Kind: "fact", Text: "pods live in fd00:101:224::/60", Source: "talos/talconfig.yaml:6"},
		},
		Advice: "ipv6NativeRoutingCIDR: fd00:101::/38 would hold nodes and pods",
	}
}

// dead is a key that no template reads.
func dead(key string, introduced bool) v1alpha1.Problem {
	return v1alpha1.Problem{
		Signature: "values-key-has-no-effect", Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidenceConfirmed,
		Introduced: introduced, Release: "kube-system/cilium", ClusterPath: "kubernetes/flux/cluster",
		Summary: key + " does nothing: no template of the chart reads it",
		File:    "kubernetes/apps/cilium/values.yaml", Line: 60,
		Evidence: []v1alpha1.Evidence{{Kind: "config", Text: key + " is set", Source: "kubernetes/apps/cilium/values.yaml:60"}},
	}
}

type checkCase struct {
	name string
	r    *v1alpha1.CheckResult
}

// checkCases are the shapes that a result can have.
func checkCases() []checkCase {
	with := func(change func(*v1alpha1.CheckResult)) *v1alpha1.CheckResult {
		r := result()
		change(r)
		return r
	}
	return []checkCase{
		{"healthy", result()},
		{"unknown", with(func(r *v1alpha1.CheckResult) { r.Unknown = []string{"pod CIDRs", "service CIDRs"} })},
		{"none", with(func(r *v1alpha1.CheckResult) { r.Releases = nil })},
		{"introduced", with(introducing)},
		{"left", with(func(r *v1alpha1.CheckResult) { r.Problems = []v1alpha1.Problem{excludes(false), dead("mtu", false)} })},
		{"repaired", with(func(r *v1alpha1.CheckResult) {
			r.Repairs = []v1alpha1.Repair{{Signature: "native-routing-cidr-excludes-pods", Summary: "the native routing CIDR holds the pods"}}
		})},
		{"masked", with(masking)},
		{"maskedleft", with(func(r *v1alpha1.CheckResult) {
			masking(r)
			still := excludes(false)
			still.ClusterPath, still.Severity = "", v1alpha1.SeverityWarning
			r.Problems = append(r.Problems, still, dead("mtu", false))
		})},
		{"several", with(several)},
		{"info", with(func(r *v1alpha1.CheckResult) {
			p := dead("mtu", true)
			p.Severity = v1alpha1.SeverityInfo
			r.Problems = []v1alpha1.Problem{p}
		})},
		{"nofile", with(func(r *v1alpha1.CheckResult) {
			p := excludes(true)
			p.File, p.Line = "", 0
			r.Problems = []v1alpha1.Problem{p}
		})},
		{"many", with(func(r *v1alpha1.CheckResult) {
			for i := range 30 {
				r.Problems = append(r.Problems, dead(fmt.Sprintf("key%02d", i), true), dead(fmt.Sprintf("old%02d", i), false))
			}
		})},
	}
}

func introducing(r *v1alpha1.CheckResult) {
	r.Releases[0].Changed = []v1alpha1.ValueChange{
		{Path: "ipv6NativeRoutingCIDR", From: "fd00:101::/38", To: "fd00:101::/48", Source: "kubernetes/apps/cilium/values.yaml:52"},
		{Path: "mtu", To: 1450, Source: "kubernetes/apps/cilium/values.yaml:60"},
	}
	r.Releases[0].Flows = &v1alpha1.FlowCounts{Broken: 12, Unchanged: 40}
	r.Problems = []v1alpha1.Problem{excludes(true), dead("mtu", true), dead("bpf.lbMode", false)}
	r.Repairs = []v1alpha1.Repair{{Signature: "values-key-has-no-effect", Summary: "MTu does nothing"}}
}

func masking(r *v1alpha1.CheckResult) {
	r.Problems = []v1alpha1.Problem{{
		Signature: "fault-only-masked", Severity: v1alpha1.SeverityWarning, Introduced: true, Release: "kube-system/cilium",
		Summary: "enableIPv6Masquerade: false hides native-routing-cidr-excludes-pods; pods with unique local addresses lose the IPv6 internet",
		File:    "kubernetes/apps/cilium/values.yaml", Line: 58,
		Advice: "set ipv6NativeRoutingCIDR: fd00:101::/38 instead",
	}}
	r.Repairs = []v1alpha1.Repair{{
		Signature: "native-routing-cidr-excludes-pods", Release: "kube-system/cilium", Summary: "pods are outside of the native routing CIDR", MaskedBy: "enableIPv6Masquerade: false",
	}}
}

func several(r *v1alpha1.CheckResult) {
	other := r.Releases[0]
	other.ClusterPath = "clusters/b"
	r.Releases = append(r.Releases, other)
	a, b := excludes(true), excludes(true)
	b.ClusterPath, b.File = "clusters/b", ""
	r.Problems = []v1alpha1.Problem{a, b}
}

func TestCheckGolden(t *testing.T) {
	for _, c := range checkCases() {
		for _, form := range []string{"txt", "json", "github"} {
			t.Run(c.name+"/"+form, func(t *testing.T) {
				golden(t, "check-"+c.name+"."+form, []byte(printed(t, form, c.r)))
			})
		}
	}
	golden(t, "check-introduced-color.txt", []byte(printed(t, "color", checkCases()[3].r)))
	golden(t, "check-introduced-60.txt", []byte(checkText(t, checkCases()[3].r, TextOptions{Width: 60})))
}

func TestHealthyIsOneLine(t *testing.T) {
	for _, c := range checkCases()[:3] {
		for _, w := range []int{60, 80, 140} {
			got := checkText(t, c.r, TextOptions{Width: w})
			if strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "✔ ") || width(strings.TrimSuffix(got, "\n")) > w {
				t.Errorf("%s, width %d: %q", c.name, w, got)
			}
		}
	}
	if got, want := checkText(t, result(), TextOptions{}), "✔ kube-system/cilium: this change breaks nothing (base main 1a2b3c4)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCheckTextColorOnlyPaints(t *testing.T) {
	for _, c := range checkCases() {
		plain, painted := printed(t, "txt", c.r), printed(t, "color", c.r)
		if painted == plain {
			t.Errorf("%s: Color: true painted nothing", c.name)
		}
		if got := sgr.ReplaceAllString(painted, ""); trimLines(got) != trimLines(plain) {
			t.Errorf("%s: without its colours the painted text differs from the plain one", c.name)
		}
	}
}

func TestCheckTextFitsTheWidth(t *testing.T) {
	for _, w := range []int{10, 60, 79, 100, 140} {
		limit := newScreen(TextOptions{Width: w}).width
		for _, c := range append(checkCases(), hostileChecks()...) {
			for i, l := range strings.Split(checkText(t, c.r, TextOptions{Width: w}), "\n") {
				if width(l) > limit {
					t.Errorf("%s, width %d: line %d has %d cells: %s", c.name, w, i+1, width(l), l)
				}
			}
		}
	}
}

// What is only hidden is told once, as that.
func TestMaskedIsNotAlsoLeft(t *testing.T) {
	for _, c := range checkCases() {
		if c.name != "maskedleft" {
			continue
		}
		got := printed(t, "txt", c.r)
		if n := strings.Count(got, "native-routing-cidr-excludes-pods\n"); n != 1 || !strings.Contains(got, "1 already wrong · 0 repaired · 1 only masked") {
			t.Errorf("named %d times:\n%s", n, got)
		}
		return
	}
	t.Error("no such case")
}

func TestVerdictFollowsFailOn(t *testing.T) {
	tests := []struct {
		failOn, severity v1alpha1.Severity
		want             string
	}{
		{v1alpha1.SeverityWarning, v1alpha1.SeverityCritical, "✗ "},
		{v1alpha1.SeverityWarning, v1alpha1.SeverityWarning, "✗ "},
		{v1alpha1.SeverityWarning, v1alpha1.SeverityInfo, "✔ "},
		{v1alpha1.SeverityCritical, v1alpha1.SeverityCritical, "✗ "},
		{v1alpha1.SeverityCritical, v1alpha1.SeverityWarning, "✔ "},
		{"", v1alpha1.SeverityWarning, "✗ "},
	}
	for _, tt := range tests {
		r := result()
		r.FailOn = tt.failOn
		p := excludes(true)
		p.Severity = tt.severity
		r.Problems = []v1alpha1.Problem{p}
		if got := printed(t, "txt", r); !strings.HasPrefix(got, tt.want) {
			t.Errorf("fail on %q, %s: %.60q", tt.failOn, tt.severity, got)
		}
	}
}

func TestStates(t *testing.T) {
	tests := []struct {
		in   v1alpha1.CheckState
		want string
	}{
		{v1alpha1.CheckState{Name: "main", Commit: "1a2b3c4d5e6f"}, "main 1a2b3c4"},
		{v1alpha1.CheckState{Name: "1a2b3c4d5e6f", Commit: "1a2b3c4d5e6f"}, "1a2b3c4"},
		{v1alpha1.CheckState{Name: "1a2b3", Commit: "1a2b3c4d5e6f"}, "1a2b3c4"},
		{v1alpha1.CheckState{Name: strings.Repeat("0123456789", 4) + "~1", Commit: "1a2b3c4d5e6f"}, "0123456~1 1a2b3c4"},
		{v1alpha1.CheckState{Name: "working tree"}, "working tree"},
		{v1alpha1.CheckState{Commit: "1a2b3c4d5e6f"}, "1a2b3c4"},
		{v1alpha1.CheckState{}, "unknown"},
		{v1alpha1.CheckState{Name: "a\x1b[2Jb", Commit: "xyz"}, `a\x1b[2Jb xyz`},
	}
	for _, tt := range tests {
		if got := state(tt.in); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// JSON never holds null where the contract has a list, and reads back as the
// same result.
func TestCheckJSONReadsBack(t *testing.T) {
	for _, c := range append(checkCases(), hostileChecks()...) {
		text := printed(t, "json", c.r)
		checkPrintable(t, text)
		var raw map[string]any
		if err := json.Unmarshal([]byte(text), &raw); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"releases", "problems", "repairs", "unknown"} {
			if _, ok := raw[key].([]any); !ok {
				t.Errorf("%s: %s is %v, not a list", c.name, key, raw[key])
			}
		}
		if c.r.APIVersion == "" && (raw["kind"] != "CheckResult" || raw["apiVersion"] != v1alpha1.APIVersion) {
			t.Errorf("%s: %v %v", c.name, raw["kind"], raw["apiVersion"])
		}
		var back v1alpha1.CheckResult
		if err := json.Unmarshal([]byte(text), &back); err != nil {
			t.Fatal(err)
		}
		var again v1alpha1.CheckResult
		if err := json.Unmarshal([]byte(printed(t, "json", &back)), &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(back, again); diff != "" {
			t.Errorf("%s reads back differently:\n%s", c.name, diff)
		}
	}
}

// hostileChecks are one result per hostile string, and one of all of them.
func hostileChecks() []checkCase {
	strs := append([]string{
		"\n::error file=x::owned", "::stop-commands::x", "  ::warning::a\n::debug::b", "##[stop-commands]x", "##vso[task.setvariable]y",
		"a,b:c%0A::error::x", "%25", "../../etc/passwd", "/etc/passwd", "a:b/c d.yaml", "[text](http://evil.example)", "${VAR:=x} {0}",
	}, hostile...)
	var out []checkCase
	for i, s := range strs {
		r := &v1alpha1.CheckResult{}
		fill(reflect.ValueOf(r).Elem(), 2, func() string { return s })
		out = append(out, checkCase{fmt.Sprintf("hostile %d", i), seen(r)})
	}
	i := 0
	r := &v1alpha1.CheckResult{}
	fill(reflect.ValueOf(r).Elem(), 3, func() string { i++; return strs[i%len(strs)] })
	return append(out, checkCase{"all hostile", seen(r)})
}

// seen makes the first problem an introduced one with a line.
func seen(r *v1alpha1.CheckResult) *v1alpha1.CheckResult {
	if len(r.Problems) > 0 {
		r.Problems[0].Introduced, r.Problems[0].Line, r.Problems[0].Severity = true, 7, v1alpha1.SeverityCritical
	}
	return r
}

func TestHostileCheckText(t *testing.T) {
	for _, c := range hostileChecks() {
		checkPrintable(t, sgr.ReplaceAllString(printed(t, "color", c.r), ""))
		got := printed(t, "txt", c.r)
		checkPrintable(t, got)
		if n := strings.Count(got, "\n"); n > 120 {
			t.Errorf("%s: %d lines", c.name, n)
		}
		for form := range checkForms() {
			checkInert(t, form, printed(t, form, c.r), form == "github")
		}
	}
}

func TestEveryCheckPrintsTheSameTwice(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		words := rapid.OneOf(rapid.SampledFrom(hostile[:len(hostile)-2]), rapid.String(), rapid.SampledFrom([]string{"critical", "warning", "::error::", "##[x]"}))
		n := rapid.IntRange(0, 3).Draw(r, "items")
		pool := rapid.SliceOfN(words, 3, 6).Draw(r, "strings")
		make := func() *v1alpha1.CheckResult {
			i, res := 0, &v1alpha1.CheckResult{}
			fill(reflect.ValueOf(res).Elem(), n, func() string { i++; return pool[i%len(pool)] })
			return seen(res)
		}
		for form, print := range checkForms() {
			var a, b bytes.Buffer
			if err := print(&a, make()); err != nil {
				r.Fatalf("%s: %v", form, err)
			}
			if err := print(&b, make()); err != nil {
				r.Fatalf("%s: %v", form, err)
			}
			if a.String() != b.String() {
				r.Fatalf("%s prints the same result differently", form)
			}
			checkInert(r, form, a.String(), form == "github")
		}
	})
}

func TestPrintingLeavesTheCheckAlone(t *testing.T) {
	for form, print := range checkForms() {
		for _, c := range checkCases() {
			before, err := json.Marshal(c.r)
			if err != nil {
				t.Fatal(err)
			}
			if err := print(io.Discard, c.r); err != nil {
				t.Fatal(err)
			}
			after, err := json.Marshal(c.r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(before), string(after)); diff != "" {
				t.Errorf("%s changed %s:\n%s", form, c.name, diff)
			}
		}
	}
}

func TestCheckErrorsAreReported(t *testing.T) {
	for form, print := range checkForms() {
		if err := print(refusing{}, result()); err == nil || !strings.Contains(err.Error(), errRefused.Error()) {
			t.Errorf("%s: got error %v, want the writer's", form, err)
		}
		if err := print(io.Discard, nil); err == nil {
			t.Errorf("%s of no result is no error", form)
		}
	}
}
