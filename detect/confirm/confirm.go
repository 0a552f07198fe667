// Package confirm decides which failures of the catalogue are confirmed by what
// probes said lately: by how many independent ones, over how long, and against
// what. It reads no clock and no cluster; time comes in as values.
package confirm

import (
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
)

// Count is how many checks of one kind a probe made between two heartbeats and
// what became of them. It has the fields of probe.Tally in the same order, so
// that one converts into the other; this package does not link the probe.
type Count struct {
	Via        string
	Family     string
	Protocol   string
	Target     string
	SameNode   bool
	OK         int
	Masked     int
	Lost       int
	Unreliable int
	NotChecked int
	SlowestMs  int
}

// Judgement is what a [Tracker] concludes at one moment.
type Judgement struct {
	// Findings, worst first. Those of confidence confirmed met the quorum of
	// their signature; effects of a confirmed cause are left out.
	Findings []v1alpha1.Finding
	// Pending are findings that observations support and that do not meet their
	// quorum, or not for long enough; Lacked says what is missing.
	Pending []v1alpha1.Finding
	// Records tell about each confirmed finding, in the order of Findings.
	Records []Record
	// Suppressed are findings that a confirmed one explains; CausedBy names it.
	Suppressed []v1alpha1.Finding
}

// Confirmed says whether anything of severity warning or worse is.
func (j Judgement) Confirmed() bool {
	for _, f := range j.Findings {
		if f.Confidence == v1alpha1.ConfidenceConfirmed && f.Severity.Rank() >= v1alpha1.SeverityWarning.Rank() {
			return true
		}
	}
	return false
}

// Record is the life of one confirmed finding.
type Record struct {
	Signature, Family, About string
	// Since is the first observation that supports it, Confirmed when the quorum was met.
	Since, Confirmed time.Time
	// Support is how many said so, and who.
	Support signature.Support
	// Flaps counts how often it was confirmed again within ten minutes of having gone.
	Flaps int
}
