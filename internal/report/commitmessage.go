package report

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

const (
	// maxSubject and commitWidth are what Git's own tools show without a break.
	maxSubject  = 72
	commitWidth = 72
	// maxCommitChanges is how many changes a message names.
	maxCommitChanges = 12
)

// CommitSummary writes a commit's message without trailers: a subject of at most
// 72 characters, and a body in plain text, wrapped at 72: cause, change, proof
// and rollout. An empty id is the first candidate; both are empty when the plan
// has no such candidate.
func CommitSummary(p *v1alpha1.Plan, candidateID string) (subject, body string) {
	v, err := changeView(p, candidateID)
	if err != nil {
		return "", ""
	}
	var parts []string
	if v.cause != nil {
		parts = append(parts, paragraph(orElse(v.cause.Summary, v.cause.Signature)))
	}
	parts = append(parts, commitChanges(v.best), paragraph(commitProof(v.best)))
	if s := commitRollout(v.best.Rollout); s != "" {
		parts = append(parts, paragraph(s))
	}
	return subjectLine(v.best, maxSubject), strings.Join(parts, "\n\n") + "\n"
}

// paragraph is s as wrapped plain lines that no tool reads as anything else.
func paragraph(s string) string {
	lines := wrap(plainText(clip(line(s), 2*brief)), commitWidth-1)
	for i, l := range lines {
		lines[i] = inert(l)
	}
	return strings.Join(lines, "\n")
}

func commitChanges(c *v1alpha1.Candidate) string {
	var lines []string
	for i, change := range c.Changes {
		if i == maxCommitChanges {
			lines = append(lines, fmt.Sprintf("* %d more", len(c.Changes)-i))
			break
		}
		s := plainText(clip(fmt.Sprintf("%s: %s -> %s", line(change.Path), value(change.From), value(change.To)), brief))
		for j, l := range wrap(s, commitWidth-2) {
			lines = append(lines, map[bool]string{true: "* ", false: "  "}[j == 0]+l)
		}
	}
	return strings.Join(lines, "\n")
}

func commitProof(c *v1alpha1.Candidate) string {
	f := c.Proof.Flows
	s := fmt.Sprintf("Proven before it was proposed: %s; of all flow classes %d fixed, %d broken, %d unchanged", proof(c.Proof), f.Fixed, f.Broken, f.Unchanged)
	if f.Unknown > 0 {
		s += fmt.Sprintf(", %d not known", f.Unknown)
	}
	return s + "."
}

func commitRollout(r v1alpha1.Rollout) string {
	var parts []string
	if s := restart(r); s != "" {
		parts = append(parts, "Rollout needs: "+s+".")
	}
	if s := r.Note; s != "" {
		parts = append(parts, line(s))
	}
	return strings.Join(parts, " ")
}

// subjectLine is a Conventional Commit's first line, at most most characters.
func subjectLine(c *v1alpha1.Candidate, most int) string {
	const scope = "fix(cilium): "
	title := strings.TrimRight(lowerFirst(plainText(clip(line(orElse(orElse(c.Title, c.ID), "change values")), 2*brief))), ".")
	return scope + shorten(title, most-len(scope))
}

// lowerFirst lowers the first letter of a word, and leaves a name like BGP.
func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	next, _ := utf8.DecodeRuneInString(s[n:])
	if unicode.IsUpper(next) {
		return s
	}
	return string(unicode.ToLower(r)) + s[n:]
}

// shorten cuts s to most characters: after a clause, else after a word.
func shorten(s string, most int) string {
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	head := string(runes[:most+1])
	if i := max(strings.LastIndex(head, ", "), strings.LastIndex(head, "; ")); i > most/3 {
		return head[:i]
	}
	head = string(runes[:most-1])
	if i := strings.LastIndexByte(head, ' '); i > len(head)/2 {
		head = head[:i]
	}
	return strings.TrimRight(head, " ,;:") + "…"
}

var (
	// plainReference finds @name, #1, !1, $1, &1, ~label, %milestone and GH-1.
	plainReference = regexp.MustCompile(`@+(\w)|[#!$&]+(\d)|[%~]+([\w"{])|(?i:\b(GH)-(\d))`)
	// plainEmoji finds what forges draw as a picture although it is part of an
	// address: fd00:100::/48, fd00:abcd::/32.
	plainEmoji = regexp.MustCompile(`(?i):(?:100|1234|a|b|ab|abc|abcd|bed):`)
	// plainSkip finds what makes a forge skip its checks: [skip ci], [no ci].
	plainSkip  = regexp.MustCompile(`(?i)\[([^\[\]]*(?:skip|no[ -]?(?:ci|build))[^\[\]]*)\]`)
	plainMarks = strings.NewReplacer("://", ":", "<", "(", ">", ")", "***", "*", "\ufffd", "?")
)

// plainText makes one printable line of s that no forge reads as a mention, a
// reference, a link, a tag or a mark to skip its checks, where Markdown's own
// escapes are not read: in titles and commit messages.
func plainText(s string) string {
	arrow := strings.Split(s, "->")
	for i, part := range arrow {
		part = plainMarks.Replace(part)
		for plainReference.MatchString(part) {
			part = plainReference.ReplaceAllString(part, "${1}${2}${3}${4}${5}")
		}
		arrow[i] = part
	}
	words := strings.Fields(plainSkip.ReplaceAllString(strings.Join(arrow, "->"), "($1)"))
	for i, w := range words {
		if from, to := trimWord(w, 0, len(w)); isAddress(w[from:to]) && plainEmoji.MatchString(w) {
			words[i] = w[:from] + "`" + w[from:to] + "`" + w[to:]
		}
	}
	return strings.Join(words, " ")
}

// inertLine finds a line that Git or git am reads as a trailer, a header or the
// start of a patch, and one that an editor drops as a comment.
var inertLine = regexp.MustCompile(`^(?:[A-Za-z0-9-]+\s*:|#|>|/|---|diff -|Index: |-- )`)

// inert indents such a line, which then is text. A line that starts with an
// address is text as it is.
func inert(l string) string {
	word, _, _ := strings.Cut(l, " ")
	if from, to := trimWord(word, 0, len(word)); isAddress(word[from:to]) || !inertLine.MatchString(l) {
		return l
	}
	return " " + l
}
