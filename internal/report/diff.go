package report

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// DiffOptions choose the diff and how it is shown.
type DiffOptions struct {
	// Candidate is a candidate's id; empty means the first one.
	Candidate string
	// Color paints the diff for a terminal.
	Color bool
	// Terminal makes characters visible that would act on a terminal; Color
	// implies it. Without either the diff is printed byte for byte, so that
	// `git apply` takes it.
	Terminal bool
}

// Diff writes the unified diff of one candidate. A plan without findings has an
// empty diff, and so has one that abstained: the caller says why, elsewhere.
func Diff(w io.Writer, p *v1alpha1.Plan, opt DiffOptions) error {
	if p == nil {
		return errors.New("no plan to print: the document is empty")
	}
	p, err := Choose(p, opt.Candidate)
	if err != nil {
		return err
	}
	if len(p.Candidates) == 0 {
		return nil
	}
	text := p.Candidates[0].Diff
	if opt.Color || opt.Terminal {
		text = terminalDiff(text, ink(opt.Color))
	}
	return write(w, "diff", []byte(text))
}

func terminalDiff(text string, on ink) string {
	var b strings.Builder
	for l := range strings.Lines(text) {
		b.WriteString(on.diffLine(visible(strings.TrimSuffix(l, "\n"))))
		b.WriteString("\n")
	}
	return b.String()
}

// contextSecret is an unchanged line of a diff whose key is that of a credential
// or a certificate. Values there are nobody's business; the diff itself has them
// so that it applies.
var contextSecret = regexp.MustCompile(`(?i)^( [\s-]*["']?[\w./-]*(?:passw\w*|passphrase|token|secret|credentials?|key|certt?|crt|pem|private\w*)["']?\s*:\s*)\S.*$`)

func maskContext(l string) string { return contextSecret.ReplaceAllString(l, "${1}"+mask) }

// diffLines are the lines of a diff for a page: visible, without credentials,
// long lines and long diffs cut.
func diffLines(text string, mostLines int) []string {
	if text == "" {
		return nil
	}
	var lines []string
	rest := 0
	for l := range strings.Lines(text) {
		if len(lines) == mostLines {
			rest++
			continue
		}
		lines = append(lines, visible(redact(maskContext(clip(strings.TrimRight(l, "\r\n"), maxLine)))))
	}
	if rest > 0 {
		lines = append(lines, more(rest))
	}
	return slices.Clip(lines)
}
