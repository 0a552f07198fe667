package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// mostAnnotations is how many annotations of each type GitHub shows of one step
// of a workflow (docs.github.com, "Usage limits" of workflow commands).
const mostAnnotations = 10

// mostOfOne bounds what the last annotation says of one that is not shown, in cells.
const mostOfOne = 300

// GitHub writes r as workflow commands, which GitHub shows beside the changed
// lines: error for critical, warning for warning, notice for the rest; what was
// wrong before is one notice. The first line is the verdict for the log. No
// string of r can start a command of its own.
func GitHub(w io.Writer, r *v1alpha1.CheckResult) error {
	if r == nil {
		return errNoCheck
	}
	v := newCheckView(r)
	var b strings.Builder
	b.WriteString(inertLines(v.headline(200)) + "\n")
	notices := v.annotations(v1alpha1.SeverityInfo)
	if left := v.leftNotice(); left != nil {
		notices = append(capped(notices, mostAnnotations-1), *left)
	}
	for _, group := range [][]annotation{
		v.annotations(v1alpha1.SeverityCritical), v.annotations(v1alpha1.SeverityWarning), notices,
	} {
		for _, a := range capped(group, mostAnnotations) {
			b.WriteString(a.command() + "\n")
		}
	}
	return write(w, "GitHub", []byte(b.String()))
}

// annotation is one workflow command before it is escaped.
type annotation struct {
	level, file, title string
	line               int // 0: the whole file
	message            []string
}

// annotations are those of the introduced problems of one severity; an unknown
// severity counts as info.
func (v *checkView) annotations(s v1alpha1.Severity) []annotation {
	var out []annotation
	for _, p := range v.introduced {
		if p.Severity != s && (s != v1alpha1.SeverityInfo || p.Severity.Rank() > 1) {
			continue
		}
		file, n := v.location(p)
		out = append(out, annotation{
			level: githubLevel(s), file: file, line: n, title: p.Signature, message: v.message(p),
		})
	}
	return out
}

func githubLevel(s v1alpha1.Severity) string {
	switch s {
	case v1alpha1.SeverityCritical:
		return "error"
	case v1alpha1.SeverityWarning:
		return "warning"
	}
	return "notice"
}

// message is a problem in plain lines: summary, evidence, advice.
func (v *checkView) message(p v1alpha1.Problem) []string {
	lines := []string{line(p.Summary)}
	if about := v.about(p.Release, p.ClusterPath, p.Family); about != "" {
		lines[0] += " (" + about + ")"
	}
	shown := p.Evidence[:min(len(p.Evidence), mostEvidence)]
	for _, e := range shown {
		text := line(e.Text)
		if e.Source != "" {
			text += " (" + line(e.Source) + ")"
		}
		lines = append(lines, "- "+text)
	}
	if rest := len(p.Evidence) - len(shown); rest > 0 {
		lines = append(lines, more(rest))
	}
	if p.Advice != "" {
		lines = append(lines, "→ "+line(p.Advice))
	}
	return lines
}

// leftNotice is the one notice of everything that was wrong before; nil when
// nothing was.
func (v *checkView) leftNotice() *annotation {
	if len(v.left) == 0 {
		return nil
	}
	a := &annotation{level: "notice", title: "already wrong, not introduced here"}
	for i, p := range v.left {
		if i == mostLeft && len(v.left) > mostLeft+1 {
			a.message = append(a.message, more(len(v.left)-i))
			break
		}
		a.message = append(a.message, cut(v.oneLine(p), mostOfOne))
	}
	return a
}

// oneLine is a problem's name, place and summary.
func (v *checkView) oneLine(p v1alpha1.Problem) string {
	s := line(p.Signature)
	if file, n := v.location(p); file != "" {
		s += " at " + at(file, n)
	}
	return s + ": " + line(p.Summary)
}

// capped leaves at most n annotations; the last one then names the rest.
func capped(all []annotation, n int) []annotation {
	if len(all) <= n {
		return all
	}
	kept, rest := all[:n-1:n-1], all[n-1:]
	last := annotation{level: rest[0].level, title: fmt.Sprintf("%d more", len(rest))}
	for i, a := range rest {
		if i == 3*mostAnnotations {
			last.message = append(last.message, more(len(rest)-i))
			break
		}
		s := line(a.title)
		if a.file != "" {
			s += " at " + at(a.file, a.line)
		}
		last.message = append(last.message, cut(s+": "+strings.Join(a.message[:min(1, len(a.message))], ""), mostOfOne))
	}
	return append(kept, last)
}

// The escapes of workflow commands (actions/toolkit, packages/core/src/command.ts).
var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// command is the annotation as one line of output.
func (a annotation) command() string {
	var props []string
	add := func(key, value string) {
		if value = line(value); value != "" {
			props = append(props, key+"="+githubProperty.Replace(inertLines(value)))
		}
	}
	add("file", a.file)
	if a.file != "" && a.line > 0 {
		add("line", fmt.Sprint(a.line))
		add("endLine", fmt.Sprint(a.line))
	}
	add("title", a.title)
	return "::" + strings.TrimSuffix(a.level+" "+strings.Join(props, ","), " ") +
		"::" + githubData.Replace(inertLines(strings.Join(a.message, "\n")))
}
