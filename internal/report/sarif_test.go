package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func sarifOptions() SARIFOptions {
	return SARIFOptions{Version: "0.3.0", Rules: []Rule{
		{ID: "not-used", Title: "Not used"},
		{ID: "values-key-has-no-effect", Title: "A key does nothing", Explanation: "No template reads it.", Severity: v1alpha1.SeverityWarning},
		{ID: "native-routing-cidr-excludes-pods", Title: "The native routing CIDR leaves pods out", Explanation: "A node masquerades what leaves the CIDR.", Severity: v1alpha1.SeverityCritical},
	}}
}

func sarifDoc(t testing.TB, r *v1alpha1.CheckResult) string {
	t.Helper()
	var b bytes.Buffer
	if err := SARIF(&b, r, sarifOptions()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSARIFGolden(t *testing.T) {
	for _, c := range checkCases() {
		t.Run(c.name, func(t *testing.T) {
			golden(t, "check-"+c.name+".sarif", []byte(sarifDoc(t, c.r)))
		})
	}
}

// The same result gives the same bytes, and printing leaves it alone.
func TestSARIFIsDeterministic(t *testing.T) {
	for _, c := range append(checkCases(), hostileChecks()...) {
		before := printed(t, "json", c.r)
		if first, again := sarifDoc(t, c.r), sarifDoc(t, c.r); first != again {
			t.Errorf("%s is printed differently", c.name)
		}
		if diff := cmp.Diff(before, printed(t, "json", c.r)); diff != "" {
			t.Errorf("%s is changed:\n%s", c.name, diff)
		}
	}
}

func TestSARIFErrors(t *testing.T) {
	if err := SARIF(refusing{}, result(), sarifOptions()); !errors.Is(err, errRefused) {
		t.Errorf("got error %v, want the writer's", err)
	}
	if err := SARIF(io.Discard, nil, sarifOptions()); err == nil {
		t.Error("no result is no error")
	}
	if err := SARIF(io.Discard, result(), SARIFOptions{}); err != nil {
		t.Errorf("without version and rules: %v", err)
	}
}

// sarifRun reads the SARIF of r, holds it against the standard's schema and
// returns its one run.
func sarifRun(t *testing.T, r *v1alpha1.CheckResult) *sarif.Run {
	t.Helper()
	text := sarifDoc(t, r)
	checkPrintable(t, text)
	checkInert(t, "SARIF", text, false)
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&sarif.Report{}); err != nil {
		t.Fatalf("%v in\n%.2000s", err, text)
	}
	report, err := sarif.FromBytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Validate(); err != nil {
		t.Fatalf("%v in\n%.2000s", err, text)
	}
	if len(report.Runs) != 1 || report.Version != "2.1.0" {
		t.Fatalf("%d runs of version %s", len(report.Runs), report.Version)
	}
	return report.Runs[0]
}

func TestSARIFIsValid(t *testing.T) {
	for _, c := range append(checkCases(), hostileChecks()...) {
		t.Run(c.name, func(t *testing.T) {
			run := sarifRun(t, c.r)
			if len(run.Results) != len(c.r.Problems) {
				t.Errorf("%d results of %d problems", len(run.Results), len(c.r.Problems))
			}
			rules := run.Tool.Driver.Rules
			seen := map[string]bool{}
			for _, res := range run.Results {
				if res.RuleIndex < 0 || res.RuleIndex >= len(rules) || *rules[res.RuleIndex].ID != *res.RuleID {
					t.Errorf("rule %d is not %s", res.RuleIndex, *res.RuleID)
				}
				if id := res.PartialFingerprints[fingerprint]; id == "" || seen[id] {
					t.Errorf("fingerprint %q is empty or not unique", id)
				} else {
					seen[id] = true
				}
				checkLocations(t, res)
			}
		})
	}
}

// checkLocations wants one place, which is inside of the repository.
func checkLocations(t *testing.T, res *sarif.Result) {
	t.Helper()
	if len(res.Locations) != 1 {
		t.Fatalf("%d locations", len(res.Locations))
	}
	physical := res.Locations[0].PhysicalLocation
	if physical == nil {
		return
	}
	u, err := url.Parse(*physical.ArtifactLocation.URI)
	if err != nil || u.IsAbs() || u.Host != "" || strings.HasPrefix(u.Path, "/") || slices.Contains(strings.Split(u.Path, "/"), "..") {
		t.Errorf("URI %q is not below the root (%v)", *physical.ArtifactLocation.URI, err)
	}
	if base := physical.ArtifactLocation.URIBaseID; base == nil || *base != "%SRCROOT%" {
		t.Errorf("no uriBaseId")
	}
	if physical.Region != nil && (physical.Region.StartLine == nil || *physical.Region.StartLine < 1) {
		t.Errorf("region %+v", physical.Region)
	}
}

// A reader takes a run without results for one that looked for nothing.
func TestHealthySARIFHasResults(t *testing.T) {
	var doc struct {
		Runs []map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(sarifDoc(t, result())), &doc); err != nil {
		t.Fatal(err)
	}
	if got := string(doc.Runs[0]["results"]); got != "[]" {
		t.Errorf("results: %q, want an empty list", got)
	}
}

func TestSARIFLevels(t *testing.T) {
	r := result()
	want := []string{"error new", "warning new", "note new", "note new", "error unchanged"}
	for _, s := range []v1alpha1.Severity{v1alpha1.SeverityCritical, v1alpha1.SeverityWarning, v1alpha1.SeverityInfo, "odd"} {
		p := excludes(true)
		p.Severity = s
		r.Problems = append(r.Problems, p)
	}
	r.Problems = append(r.Problems, excludes(false))
	var got []string
	for _, res := range sarifRun(t, r).Results {
		got = append(got, res.Level+" "+*res.BaselineState)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSARIFRules(t *testing.T) {
	r := result()
	unknown := excludes(true)
	unknown.Signature, unknown.Severity = "another", v1alpha1.SeverityInfo
	r.Problems = []v1alpha1.Problem{dead("mtu", true), excludes(true), unknown, dead("bpf.lbMode", false)}
	var got []string
	for _, rule := range sarifRun(t, r).Tool.Driver.Rules {
		got = append(got, fmt.Sprintf("%s %s: %s / %s", rule.DefaultConfiguration.Level, *rule.ID, *rule.ShortDescription.Text, *rule.Help.Text))
	}
	want := []string{
		"note another: another / another",
		"error native-routing-cidr-excludes-pods: The native routing CIDR leaves pods out / A node masquerades what leaves the CIDR.",
		"warning values-key-has-no-effect: A key does nothing / No template reads it.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// fingerprints of the results, in order.
func fingerprints(t *testing.T, problems ...v1alpha1.Problem) []string {
	t.Helper()
	r := result()
	r.Problems = problems
	var out []string
	for _, res := range sarifRun(t, r).Results {
		out = append(out, res.PartialFingerprints[fingerprint])
	}
	return out
}

func TestFingerprintsSurviveMoves(t *testing.T) {
	base := excludes(true)
	base.Summary = "ipv6NativeRoutingCIDR at values.yaml:52 leaves pods out"
	moved := base
	moved.Line, moved.Summary = 60, "ipv6NativeRoutingCIDR at values.yaml:60 leaves pods out"
	moved.Introduced, moved.Evidence, moved.Advice = false, nil, ""
	if a, b := fingerprints(t, base), fingerprints(t, moved); a[0] != b[0] {
		t.Errorf("a line added above changes the fingerprint: %s, %s", a[0], b[0])
	}
	for name, change := range map[string]func(*v1alpha1.Problem){
		"signature": func(p *v1alpha1.Problem) { p.Signature = "x" },
		"release":   func(p *v1alpha1.Problem) { p.Release = "x" },
		"cluster":   func(p *v1alpha1.Problem) { p.ClusterPath = "x" },
		"family":    func(p *v1alpha1.Problem) { p.Family = "IPv4" },
		"file":      func(p *v1alpha1.Problem) { p.File = "x" },
		"key":       func(p *v1alpha1.Problem) { p.Summary = "another key" },
	} {
		other := base
		change(&other)
		if a, b := fingerprints(t, base), fingerprints(t, other); a[0] == b[0] {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
	if got := fingerprints(t, base, base); got[1] != got[0]+":2" {
		t.Errorf("two of one kind: %q", got)
	}
}

func TestFileURIs(t *testing.T) {
	for file, want := range map[string]string{
		"kubernetes/apps/values.yaml": "kubernetes/apps/values.yaml",
		"./a/./b.yaml":                "a/b.yaml",
		"a b/ü#?.yaml":                "a%20b/%C3%BC%23%3F.yaml",
		"c:d/e.yaml":                  "./c:d/e.yaml",
		"a\x00\n.yaml":                "a%00%0A.yaml",
		"":                            "",
		".":                           "",
		"..":                          "",
		"../x":                        "",
		"a/../../x":                   "",
		"/etc/passwd":                 "",
	} {
		if got := fileURI(file); got != want {
			t.Errorf("%q: got %q, want %q", file, got, want)
		}
	}
}

func TestSARIFTextHasNoLinks(t *testing.T) {
	for in, want := range map[string]string{
		"see [this](http://evil.example)": `see [this\](http://evil.example)`,
		"a list [x] (y)":                  "a list [x] (y)",
		"${VAR:=x} and {0}":               "${VAR:=x} and {0}",
		"a\nb":                            "a\nb",
		"a\x1b[2J":                        `a\x1b[2J`,
		"token: abc":                      "token: [redacted]",
	} {
		if got := sarifText(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestSARIFNamesWhatIsUnknown(t *testing.T) {
	r := result()
	r.Unknown = []string{"pod CIDRs"}
	notes := sarifRun(t, r).Invocations[0].ToolExecutionNotifications
	if len(notes) != 1 || *notes[0].Message.Text != "not known: pod CIDRs" || notes[0].Level != "note" {
		t.Errorf("got %+v", notes)
	}
}

func TestPrune(t *testing.T) {
	got, err := pruned([]byte(`{"a":[],"b":{"c":-1,"d":{}},"e":null,"f":[{"g":-1},[]],"results":[],"rules":[],"h":0,"i":"","j":-2,"k":false}`))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, got); err != nil {
		t.Fatal(err)
	}
	if want := `{"f":[{},[]],"h":0,"i":"","j":-2,"k":false,"results":[],"rules":[]}`; b.String() != want {
		t.Errorf("got  %s\nwant %s", b.String(), want)
	}
	if _, err := pruned([]byte("{")); err == nil {
		t.Error("half a document is pruned")
	}
}
