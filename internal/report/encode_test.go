package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/remediate-dev/remediate/api/v1alpha1"
	sigsyaml "sigs.k8s.io/yaml"
)

func encoded(t testing.TB, doc any) string {
	t.Helper()
	var b bytes.Buffer
	if err := JSON(&b, doc); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// readYAML reads YAML as Kubernetes tools do.
func readYAML(t failer, text []byte) any {
	var v any
	if err := sigsyaml.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

func TestYAMLGolden(t *testing.T) {
	var b bytes.Buffer
	if err := YAML(&b, incident(t)); err != nil {
		t.Fatal(err)
	}
	golden(t, "incident.yaml", b.Bytes())
}

func TestJSONOfTheFixtureIsTheFixture(t *testing.T) {
	var want, got any
	raw, err := json.Marshal(incident(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(encoded(t, incident(t))), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestEmptyPlanHasTheContractsLists holds every list of the contract, none null.
func TestEmptyPlanHasTheContractsLists(t *testing.T) {
	want := `{
  "apiVersion": "remediate.dev/v1alpha1",
  "kind": "Plan",
  "subject": {
    "release": "",
    "chart": "",
    "version": "",
    "repository": "",
    "revision": "",
    "values": []
  },
  "facts": {
    "podCIDRs": [],
    "podPool": [],
    "serviceCIDRs": [],
    "nodeAddresses": [],
    "unknown": []
  },
  "findings": [],
  "candidates": [],
  "rejected": [],
  "abstained": "",
  "unexplained": [],
  "delivery": {
    "fluxAffected": false,
    "how": ""
  }
}
`
	if diff := cmp.Diff(want, encoded(t, &v1alpha1.Plan{})); diff != "" {
		t.Error(diff)
	}
}

func TestNestedListsAreNeverNull(t *testing.T) {
	p := v1alpha1.Plan{
		Findings:   []v1alpha1.Finding{{}},
		Candidates: []v1alpha1.Candidate{{Changes: []v1alpha1.Change{{}}}},
		Walks:      []v1alpha1.Walk{{}},
	}
	for name, doc := range map[string]any{
		"plan": p, "plan pointer": &p,
		"check": &v1alpha1.CheckResult{Problems: []v1alpha1.Problem{{}}}, "check value": v1alpha1.CheckResult{},
		"detect":       v1alpha1.DetectResult{Reports: []v1alpha1.ProbeReport{{Kind: "ProbeReport"}}, Findings: []v1alpha1.Finding{{}}},
		"empty detect": &v1alpha1.DetectResult{},
	} {
		got := encoded(t, doc)
		for l := range strings.SplitSeq(got, "\n") {
			key := strings.Trim(strings.TrimSpace(l), ",")
			if strings.HasSuffix(key, ": null") && key != `"from": null` && key != `"to": null` && key != `"tried": null` && key != `"agentStarts": null` {
				t.Errorf("%s: %s", name, l)
			}
		}
		if !strings.Contains(got, `"kind": "`) || strings.Contains(got, `"kind": ""`) {
			t.Errorf("%s: no kind in %s", name, got)
		}
	}
	if p.Candidates[0].Fixes != nil {
		t.Error("JSON changed the document")
	}
}

func TestNormalizeLeavesSharedSlicesAlone(t *testing.T) {
	shared := []v1alpha1.Finding{{Signature: "a"}}
	p := &v1alpha1.Plan{Findings: shared}
	Normalize(p)
	if shared[0].Evidence != nil {
		t.Error("the shared finding was changed")
	}
	if p.Findings[0].Evidence == nil || p.Kind != "Plan" {
		t.Error("the plan was not normalized")
	}
	once := *p
	Normalize(p)
	if diff := cmp.Diff(once, *p); diff != "" {
		t.Errorf("twice is not once:\n%s", diff)
	}
}

func TestYAMLKeepsTypesAndOrder(t *testing.T) {
	doc := struct {
		B string   `json:"b"`
		A string   `json:"a"`
		N int64    `json:"n"`
		F float64  `json:"f"`
		T bool     `json:"t"`
		Z *string  `json:"z"`
		L []string `json:"l"`
		M map[string]string
	}{"no", "1.18", 1 << 60, 1.5, true, nil, []string{"0x10", "1:20", "null", "~", " a ", "a: b", "- x", "#c", "", "line\nbreak\n", "tab\there", "fd00::/48"}, map[string]string{"on": "off", "1": "2"}}
	var b bytes.Buffer
	if err := YAML(&b, doc); err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal([]byte(encoded(t, doc)), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, readYAML(t, b.Bytes())); diff != "" {
		t.Errorf("%s\n%s", diff, b.String())
	}
	if !strings.HasPrefix(b.String(), "b: ") {
		t.Errorf("the order is lost:\n%s", b.String())
	}
}

func TestUnencodableIsAnError(t *testing.T) {
	for name, f := range map[string]func() error{
		"JSON": func() error { return JSON(&bytes.Buffer{}, func() {}) },
		"YAML": func() error { return YAML(&bytes.Buffer{}, make(chan int)) },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), "JSON") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestHostileDocumentsReadBack(t *testing.T) {
	for _, p := range hostilePlans() {
		checkReadBack(t, p)
	}
}

// failer is what *testing.T and *rapid.T have in common here.
type failer interface {
	Fatalf(format string, args ...any)
	Fatal(args ...any)
	Errorf(format string, args ...any)
}

// checkReadBack reads the JSON and YAML of p and compares them with p.
func checkReadBack(t failer, p *v1alpha1.Plan) {
	var want any
	plain, err := json.Marshal(normal(p))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(plain, &want); err != nil {
		t.Fatal(err)
	}
	var j, y bytes.Buffer
	if err := JSON(&j, p); err != nil {
		t.Fatal(err)
	}
	if err := YAML(&y, p); err != nil {
		t.Fatal(err)
	}
	var fromJSON any
	if err := json.Unmarshal(j.Bytes(), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, fromJSON); diff != "" {
		t.Errorf("JSON reads back differently:\n%s", diff)
	}
	if diff := cmp.Diff(want, readYAML(t, y.Bytes())); diff != "" {
		t.Errorf("YAML reads back differently:\n%s\n%s", diff, y.String())
	}
	for _, s := range []string{j.String(), y.String()} {
		for _, r := range s {
			if r != '\n' && r != '\t' && unprintable(r) {
				t.Fatalf("unprintable %U in a document", r)
			}
		}
	}
}
