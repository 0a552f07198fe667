package remediate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// hear adds the reports of probes that were given besides.
func (r *Run) hear(context.Context) error {
	if len(r.opts.Probes) == 0 {
		return nil
	}
	s := *r.snapshot
	s.Probes, s.ReadKinds = slices.Clone(s.Probes), maps.Clone(s.ReadKinds)
	if s.ReadKinds == nil {
		s.ReadKinds = map[string]bool{}
	}
	s.ReadKinds["ProbeReport"] = true
	for _, report := range r.opts.Probes {
		for i, o := range report.Observations {
			s.Probes = append(s.Probes, snapshot.ProbeObservation{Observation: o, Source: fmt.Sprintf("ProbeReport %s #%d", report.Metadata.Name, i+1)})
		}
	}
	r.snapshot = &s
	return nil
}

// confirmed raises findings whose cause was confirmed elsewhere. What is about
// nothing in particular confirms every finding of its signature and family.
func confirmed(findings, by []v1alpha1.Finding) []v1alpha1.Finding {
	for i := range findings {
		f := &findings[i]
		n := slices.IndexFunc(by, func(c v1alpha1.Finding) bool { return sameCause(&c, f) })
		if n < 0 || f.Confidence == v1alpha1.ConfidenceConfirmed {
			continue
		}
		f.Confidence, f.Lacked = v1alpha1.ConfidenceConfirmed, nil
		f.Evidence = slices.Clone(f.Evidence)
		for _, e := range by[n].Evidence {
			if e.Kind != "config" && !slices.Contains(f.Evidence, e) {
				f.Evidence = append(f.Evidence, e)
			}
		}
	}
	return findings
}

func sameCause(c, f *v1alpha1.Finding) bool {
	return c.Confidence == v1alpha1.ConfidenceConfirmed && c.Signature == f.Signature &&
		(c.Family == "" || f.Family == "" || c.Family == f.Family) && (c.About == "" || f.About == "" || c.About == f.About)
}

// leaveOut takes out candidates that were live and did not help.
func leaveOut(p *v1alpha1.Plan, tried map[string]v1alpha1.Tried) {
	if len(tried) == 0 {
		return
	}
	kept := []v1alpha1.Candidate{}
	for _, c := range p.Candidates {
		was, ok := tried[c.ID]
		if !ok {
			kept = append(kept, c)
			continue
		}
		p.Rejected = append(p.Rejected, v1alpha1.Rejected{ID: c.ID, Tried: &was,
			Because: fmt.Sprintf("it was merged as %.12s and active on every agent, and the failure stayed: %s", was.Commit, was.Outcome)})
	}
	if len(kept) == 0 && len(p.Candidates) > 0 && p.Abstained == "" {
		p.Abstained = "every change that is known for this was tried and did not help"
	}
	p.Candidates = kept
}
