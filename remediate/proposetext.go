package remediate

import (
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/report"
)

// words are a pull request's title and body. The record in it holds a hash of
// the text above, so that what a person writes there is noticed and kept.
func (x *proposal) words(in intent, rec record, draft bool) (title, body string, err error) {
	o := report.PullRequestOptions{Candidate: in.candidate.ID, Draft: draft, Delivery: x.res.deliveryText(in.candidate.ID)}
	for _, text := range []func() string{func() string { return strings.Repeat("0", 16) }, func() string { return textHash(body) }} {
		rec.Text = text()
		o.Record = rec.String()
		if title, body, err = report.PullRequest(&x.res.Plan, o); err != nil {
			return "", "", err
		}
	}
	return title, body, nil
}

// withRecord puts the record below a text.
func withRecord(text string, rec record) string {
	return strings.TrimRight(text, "\r\n") + "\n\n" + rec.String() + "\n"
}

// draft says how a pull request is to be opened; see [v1alpha1.PullRequestSpec].
func draft(spec v1alpha1.PullRequestSpec, in intent) bool {
	switch spec.Draft {
	case "always":
		return true
	case "never":
		return false
	}
	return in.confidence() != v1alpha1.ConfidenceConfirmed
}

// labels of pull requests; see [v1alpha1.PullRequestSpec].
func labels(spec v1alpha1.PullRequestSpec) []string {
	if spec.Labels == nil {
		return []string{"remediation", "area/cilium"}
	}
	return spec.Labels
}

// missing are those of want that have lacks; forges do not tell case apart.
func missing(want, have []string) []string {
	var out []string
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, w) }) {
			out = append(out, w)
		}
	}
	return out
}
