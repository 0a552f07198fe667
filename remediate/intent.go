package remediate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/report"
)

// branchRoot is the folder of all our branches.
const branchRoot = "remediate/"

// intent is a change that a plan proposes, with the hashes that it is known by.
type intent struct {
	cluster   string
	signature string
	candidate *v1alpha1.Candidate
	finding   *v1alpha1.Finding
	// change is of what is to be set where: 8 hex digits. facts is of what a
	// refusal rests on, plan of the whole plan.
	change, facts, plan string
}

// intents are those of every candidate, best first.
func intents(p *v1alpha1.Plan, cluster string) []intent {
	var out []intent
	plan := planHash(p)
	for i := range p.Candidates {
		c := &p.Candidates[i]
		if len(c.Fixes) == 0 || len(c.Changes) == 0 {
			continue
		}
		in := intent{cluster: cluster, signature: c.Fixes[0], candidate: c, plan: plan}
		in.finding = findingOf(p, in.signature)
		in.change = changeHash(p.Subject.Release, cluster, in.signature, c.Changes)
		in.facts = factsHash(p, in)
		out = append(out, in)
	}
	return out
}

// findingOf is the cause that a candidate fixes, or nil.
func findingOf(p *v1alpha1.Plan, signature string) *v1alpha1.Finding {
	i := slices.IndexFunc(p.Findings, func(f v1alpha1.Finding) bool { return f.Signature == signature })
	if i < 0 {
		return nil
	}
	return &p.Findings[i]
}

// confidence of the cause; a candidate without one is not confirmed.
func (in intent) confidence() v1alpha1.Confidence {
	if in.finding == nil {
		return v1alpha1.ConfidencePossible
	}
	return in.finding.Confidence
}

// branch is the one that this change is proposed from, always the same.
func (in intent) branch() string { return branchName(in.cluster, in.signature, in.change) }

func branchName(cluster, signature, change string) string {
	return branchRoot + refPart(cluster, "cluster") + "/" + refPart(signature, "change") + "-" + refPart(change, "0")
}

// maxRefPart bounds one element of a branch's name, in characters.
const maxRefPart = 80

// refPart makes one element of a branch's name: what git check-ref-format and
// people's shells take.
func refPart(s, otherwise string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, s)
	for strings.Contains(s, "..") {
		s = strings.ReplaceAll(s, "..", ".")
	}
	s = strings.Trim(s[:min(len(s), maxRefPart)], ".-")
	for strings.HasSuffix(s, ".lock") {
		s = strings.TrimSuffix(s, ".lock")
	}
	if s = strings.Trim(s, ".-"); s == "" {
		return otherwise
	}
	return s
}

// changeHash is the same for the same values of the same release of the same
// cluster for the same cause, whatever they are now and wherever they stand.
func changeHash(release, cluster, signature string, changes []v1alpha1.Change) string {
	type value struct {
		Path string `json:"path"`
		To   any    `json:"to"`
	}
	values := []value{}
	for _, c := range changes {
		values = append(values, value{c.Path, c.To})
	}
	slices.SortFunc(values, func(a, b value) int { return strings.Compare(a.Path, b.Path) })
	return hash([]any{release, cluster, signature, values})[:8]
}

// factsHash covers what a person judged who refused the change. Nodes and their
// ranges come and go every day and are left out.
func factsHash(p *v1alpha1.Plan, in intent) string {
	from := map[string]any{}
	for _, c := range in.candidate.Changes {
		from[c.Path] = c.From
	}
	var severity v1alpha1.Severity
	if in.finding != nil {
		severity = in.finding.Severity
	}
	return hash(map[string]any{
		"signature": in.signature, "severity": severity, "confidence": in.confidence(), "from": from,
		"podPool": statedValues(p.Facts.PodPool), "serviceCIDRs": statedValues(p.Facts.ServiceCIDRs),
		"chart": p.Subject.Chart, "version": p.Subject.Version,
	})[:16]
}

// statedValues leaves out what is only the sum of what was seen.
func statedValues(facts []v1alpha1.Fact) []string {
	values := []string{}
	for _, f := range facts {
		if f.ObservedOnly == nil || !*f.ObservedOnly {
			values = append(values, f.Value)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// planHash is of the plan as it is printed, wherever its checkout is and whatever
// became of it.
func planHash(p *v1alpha1.Plan) string {
	c := *p
	report.Normalize(&c)
	c.Subject.Repository, c.Subject.Revision, c.PullRequest = "", "", nil
	return hash(&c)
}

// hash is SHA-256 over JSON, in hex. Plans hold nothing that JSON cannot.
func hash(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		b = fmt.Appendf(nil, "%#v", v)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// valuesHash is of some Helm values as they are.
func valuesHash(values map[string]any, paths []string) string {
	is := map[string]any{}
	for _, p := range paths {
		is[p], _ = lookupPath(values, p)
	}
	return hash(is)[:16]
}

// paths are the values that the candidate changes.
func (in intent) paths() []string {
	var out []string
	for _, c := range in.candidate.Changes {
		out = append(out, c.Path)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
