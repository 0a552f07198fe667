package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// The sizes that every forge takes, in characters.
const (
	maxTitle       = 255
	maxPullRequest = maxMarkdown
)

// PullRequestOptions say what a pull request's text is about besides the plan.
type PullRequestOptions struct {
	// Candidate is the id of the change; empty is the first one.
	Candidate string
	// Draft says in the text why the pull request is a draft.
	Draft bool
	// NoCommands leaves out what can be said in comments: nobody reads them where
	// only a branch is pushed or a file is written.
	NoCommands bool
	// Delivery is Markdown that says how to bring the change in when Flux cannot;
	// it is folded, and left out when it does not fit.
	Delivery string
	// Record is an HTML comment for machines that ends the body; it is never cut.
	Record string
}

// PullRequest writes a pull request's title, one plain line of at most 255
// characters, and its body, Markdown of at most 65,536 characters: one screen
// first, the rest folded. It is an error when the plan has no such candidate, or
// when the record is none.
func PullRequest(p *v1alpha1.Plan, o PullRequestOptions) (title, body string, err error) {
	v, err := changeView(p, o.Candidate)
	if err != nil {
		return "", "", err
	}
	if err := checkRecord(o.Record); err != nil {
		return "", "", err
	}
	body = mdFit(inertBlocks(prBlocks(v, o)), maxPullRequest-len(o.Record)-2)
	if o.Record != "" {
		body += "\n" + o.Record + "\n"
	}
	if len(body) > maxPullRequest {
		return "", "", fmt.Errorf("the text of the pull request has %d bytes, more than the %d that forges take", len(body), maxPullRequest)
	}
	return subjectLine(v.best, maxTitle), body, nil
}

// changeView arranges p around one candidate and the finding that it fixes.
func changeView(p *v1alpha1.Plan, candidate string) (*view, error) {
	p, err := Choose(p, candidate)
	if err != nil {
		return nil, err
	}
	v, err := newView(p)
	if err != nil {
		return nil, err
	}
	if v.best == nil {
		return nil, errors.New("no change to request: " + orElse(line(v.plan.Abstained), "the plan proposes none"))
	}
	v.aboutFixes()
	return v, nil
}

// aboutFixes makes the worst finding that the first candidate fixes the cause.
func (v *view) aboutFixes() {
	if v.cause == nil || slices.Contains(v.best.Fixes, v.cause.Signature) {
		return
	}
	i := slices.IndexFunc(v.others, func(f v1alpha1.Finding) bool { return slices.Contains(v.best.Fixes, f.Signature) })
	if i < 0 {
		return
	}
	cause := v.others[i]
	v.others = slices.Concat([]v1alpha1.Finding{*v.cause}, v.others[:i], v.others[i+1:])
	v.cause = &cause
}

// checkRecord says whether s is empty or exactly one HTML comment in one line.
func checkRecord(s string) error {
	if s == "" {
		return nil
	}
	inner, ok := strings.CutPrefix(s, "<!-- ")
	inner, closed := strings.CutSuffix(inner, " -->")
	switch {
	case !ok || !closed || strings.ContainsAny(inner, "\r\n") || strings.Contains(inner, "-->") || strings.Contains(inner, "--!>"):
		return errors.New("the record is not one HTML comment in one line")
	case !utf8.ValidString(s) || len(s) > maxPullRequest/2:
		return fmt.Errorf("the record of %d bytes is not text, or too long", len(s))
	}
	return nil
}

// inertText keeps a forge from reading a line as a command, as GitLab does with
// one that starts with a slash, and anybody from reading a record that is not
// ours: no other HTML comment starts in our texts.
func inertText(s string) string {
	s = strings.ReplaceAll(s, "<!--", "< !--")
	return strings.TrimPrefix(strings.ReplaceAll("\n"+s, "\n/", "\n /"), "\n")
}

func inertBlocks(blocks []block) []block {
	for _, b := range blocks {
		for _, list := range [][]string{b.head, b.items, b.tail} {
			for i, s := range list {
				list[i] = inertText(s)
			}
		}
	}
	return blocks
}
