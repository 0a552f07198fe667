package delivery

import (
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Sizes that a Remediation's status takes, in bytes.
const (
	maxWhy = 1000
	maxHow = 8000
)

// Status is an assessment as a Remediation holds it. A way that does not fit is
// left out whole, never cut: a script that is cut is worse than none.
func Status(a *Assessment, steps []Step) v1alpha1.DeliveryStatus {
	s := v1alpha1.DeliveryStatus{WillArrive: string(a.Arrives), Why: clip(a.Why, maxWhy)}
	var how, left []string
	size := 0
	for _, step := range steps {
		text := Plain(&Assessment{}, []Step{step})
		_, text, _ = strings.Cut(text, "\n\n")
		text = strings.TrimPrefix(strings.TrimSuffix(text, "\n"+never+"\n"), "1. ")
		if size += len(text) + 1; size > maxHow-200 {
			left = append(left, step.Title)
			continue
		}
		how = append(how, text)
	}
	if len(left) > 0 {
		how = append(how, clip("In the pull request's text: "+strings.Join(left, "; "), 150))
	}
	s.How = strings.Join(how, "\n")
	return s
}
