package repo

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// Limits of a commit message. GitHub shows far less; the template of one is a
// few lines.
const (
	// maxMessage is in bytes.
	maxMessage = 32 << 10
	// maxSteps bounds the work of a template: actions and turns of loops.
	maxSteps = 20_000
)

// MessageOptions make a commit message.
type MessageOptions struct {
	// Template is a Go template as in Flux's ImageUpdateAutomation
	// (spec.git.commit.messageTemplate), with sprig's functions on strings.
	Template string
	// Values are given as .Values.
	Values map[string]string
	// Data is a struct, or a map of strings; its fields stand beside .Values. Of
	// its strings, and of Values, every one is folded to one line.
	Data any
	// SignOff adds Signed-off-by of Author: the Developer Certificate of Origin.
	SignOff bool
	Author  Identity
	// Trailers are keys and values; one without a value is left out.
	Trailers [][2]string
}

// Message writes a commit message: what the template gives, and the trailers as
// git interpret-trailers puts them. It holds no control characters, its
// paragraphs are apart by one empty line, and a line that git am would take for
// the end of the message is indented by one space. What the template writes in
// the name of one of the trailers is left out, so that data cannot forge them.
//
// A template that does not end within fixed bounds of work and size, or that
// asks for a field that is not there, is an error.
func Message(o MessageOptions) (string, error) {
	if err := o.checkTrailers(); err != nil {
		return "", err
	}
	text, err := o.render()
	if err != nil {
		return "", fmt.Errorf("commit message: %w", err)
	}
	paragraphs := o.withoutForged(tidy(text))
	if len(paragraphs) == 0 {
		return "", errors.New("commit message: the template gives no text")
	}
	return joinParagraphs(o.withTrailers(paragraphs)), nil
}

// trailerLine is a trailer as git reads it.
var trailerLine = regexp.MustCompile(`^([A-Za-z0-9-]+)[ \t]*:`)

var trailerKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*$`)

func (o MessageOptions) checkTrailers() error {
	for _, t := range o.Trailers {
		if !trailerKey.MatchString(t[0]) {
			return fmt.Errorf("commit message: %q is no key of a trailer: letters, digits and dashes only", t[0])
		}
	}
	if o.SignOff {
		return o.Author.check()
	}
	return nil
}

// render runs the template.
func (o MessageOptions) render() (string, error) {
	t, err := template.New("message").Option("missingkey=zero").Funcs(templateFuncs()).Parse(o.Template)
	if err != nil {
		return "", err
	}
	data, err := templateData(o.Values, o.Data)
	if err != nil {
		return "", err
	}
	countSteps(t)
	var out bounded
	if err := t.Execute(&out, data); err != nil {
		return "", err
	}
	return out.String(), nil
}

// tidy gives the paragraphs of a message: lines without control characters and
// trailing space, the subject alone in the first.
func tidy(text string) [][]string {
	var paragraphs [][]string
	var current []string
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		line = strings.TrimRight(cleanLine(line), " \t")
		if line == "" {
			if len(current) > 0 {
				paragraphs, current = append(paragraphs, current), nil
			}
			continue
		}
		current = append(current, line)
		if len(paragraphs) == 0 {
			// Git would join a second line to the subject.
			paragraphs, current = append(paragraphs, []string{oneLine(line, maxMessage)}), nil
		}
	}
	if len(current) > 0 {
		paragraphs = append(paragraphs, current)
	}
	return paragraphs
}

// cleanLine keeps tabs and indentation, and nothing else that is not text.
func cleanLine(line string) string {
	parts := strings.Split(line, "\t")
	for i, p := range parts {
		parts[i] = dropControls(p)
	}
	return guardLine(strings.Join(parts, "\t"))
}

// withoutForged drops lines that begin like one of our own trailers, together
// with the lines that continue them.
func (o MessageOptions) withoutForged(paragraphs [][]string) [][]string {
	var out [][]string
	for _, p := range paragraphs {
		dropping := false
		kept := slices.DeleteFunc(slices.Clone(p), func(line string) bool {
			if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
				key := trailerLine.FindStringSubmatch(line)
				dropping = key != nil && o.isOurs(key[1])
			}
			return dropping
		})
		if len(kept) > 0 {
			out = append(out, kept)
		}
	}
	return out
}

func (o MessageOptions) isOurs(key string) bool {
	return slices.ContainsFunc(o.Trailers, func(t [2]string) bool { return strings.EqualFold(t[0], key) })
}

// withTrailers puts the trailers into the last paragraph when that is one of
// trailers, and below it otherwise.
func (o MessageOptions) withTrailers(paragraphs [][]string) [][]string {
	var lines []string
	for _, t := range o.Trailers {
		if value := oneLine(t[1], maxMessage); value != "" {
			lines = append(lines, t[0]+": "+value)
		}
	}
	last := len(paragraphs) - 1
	trailing := last > 0 && onlyTrailers(paragraphs[last])
	if sign := "Signed-off-by: " + o.Author.String(); o.SignOff && !(trailing && slices.Contains(paragraphs[last], sign)) {
		lines = append(lines, sign)
	}
	switch {
	case len(lines) == 0:
		return paragraphs
	case trailing:
		paragraphs[last] = append(slices.Clone(paragraphs[last]), lines...)
		return paragraphs
	}
	return append(paragraphs, lines)
}

// onlyTrailers reports whether git takes a paragraph for trailers.
func onlyTrailers(lines []string) bool {
	for i, line := range lines {
		continued := i > 0 && (line[0] == ' ' || line[0] == '\t')
		if !continued && !trailerLine.MatchString(line) {
			return false
		}
	}
	return true
}

func joinParagraphs(paragraphs [][]string) string {
	texts := make([]string, len(paragraphs))
	for i, p := range paragraphs {
		texts[i] = strings.Join(p, "\n")
	}
	return strings.Join(texts, "\n\n") + "\n"
}
