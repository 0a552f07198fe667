package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/remediate-dev/remediate/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sgr is a colour code of a terminal.
var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// incident reads the plan of the flagship incident.
func incident(t testing.TB) *v1alpha1.Plan {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "incident-plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var p v1alpha1.Plan
	if err := decoder.Decode(&p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// golden compares got with a file in testdata, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test ./internal/report -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got), -update accepts it:\n%s", name, diff)
	}
}

// variant is a plan of a certain shape.
type variant struct {
	name string
	plan *v1alpha1.Plan
}

// variants are the shapes that a plan can have, from full to empty.
func variants(t testing.TB) []variant {
	t.Helper()
	return []variant{
		{"incident", incident(t)},
		{"healthy", healthy(incident(t))},
		{"abstained", abstained(incident(t))},
		{"unjudged", unjudged(incident(t))},
		{"unrendered", unrendered(incident(t))},
		{"tried", triedBefore(incident(t))},
		{"warnings", warnings(incident(t))},
		{"empty", &v1alpha1.Plan{}},
	}
}

// healthy is a plan without findings.
func healthy(p *v1alpha1.Plan) *v1alpha1.Plan {
	return &v1alpha1.Plan{Subject: p.Subject, Facts: p.Facts}
}

// unjudged is a plan without findings because a value is not known.
func unjudged(p *v1alpha1.Plan) *v1alpha1.Plan {
	p = healthy(p)
	p.Abstained = "nothing can be judged while values are not known: ipv6NativeRoutingCIDR: it is ${N6}, and Secret flux-system/cluster-secrets is not in the repository"
	return p
}

// abstained is a predicted finding for which nothing safe is known.
func abstained(p *v1alpha1.Plan) *v1alpha1.Plan {
	p.Findings = p.Findings[:1]
	p.Findings[0].Confidence = v1alpha1.ConfidencePredicted
	p.Findings[0].Evidence = p.Findings[0].Evidence[:2]
	p.Findings[0].Lacked = []string{"a target that saw the sender's address"}
	p.Candidates, p.Rejected, p.Walks = nil, nil, p.Walks[:1]
	p.Facts.PodPool = nil
	p.Facts.Unknown = []string{"the pool of pod CIDRs", "service CIDRs"}
	p.Abstained = "The pool that the nodes' pod CIDRs are cut from is not known, so a new range could leave the next node out."
	p.Delivery = v1alpha1.Delivery{}
	return p
}

// unrendered is a plan made without the chart.
func unrendered(p *v1alpha1.Plan) *v1alpha1.Plan {
	p.Candidates = p.Candidates[:1]
	p.Candidates[0].Proof.Rendered = false
	p.Candidates[0].Proof.AgentStarts = nil
	p.Candidates[0].Proof.Flows.Unknown = 3
	p.Candidates[0].Proof.Notes = []string{"No chart could be had, so the change is not rendered: keys that no template reads and start-up rules were not checked. Pass --chart DIR."}
	return p
}

// triedBefore is a plan whose best candidate was live before.
func triedBefore(p *v1alpha1.Plan) *v1alpha1.Plan {
	p.Candidates = p.Candidates[2:3]
	p.Candidates[0].Tried = &v1alpha1.Tried{Commit: "0123456789abcdef0123456789abcdef01234567", Date: "2026-02-01", Outcome: "reverted a day later"}
	p.Walks = p.Walks[:1]
	p.Delivery = v1alpha1.Delivery{How: "Flux reconciles the fix by itself."}
	return p
}

// warnings is a plan with keys that have no effect and nothing else.
func warnings(p *v1alpha1.Plan) *v1alpha1.Plan {
	p.Findings = p.Findings[2:]
	p.Candidates, p.Walks, p.Unexplained, p.Commands, p.Answers = nil, nil, nil, nil, nil
	p.Delivery = v1alpha1.Delivery{}
	return p
}
