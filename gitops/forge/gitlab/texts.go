package gitlab

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// draftPrefix makes a merge request a draft: docs.gitlab.com/user/project/merge_requests/drafts.
const draftPrefix = "Draft: "

// drafts are the three prefixes that GitLab knows, in any case and number.
var drafts = regexp.MustCompile(`(?i)^\s*((\[draft\]|\(draft\)|draft:)\s*)+`)

// cutDraft parts a title from what makes it a draft.
func cutDraft(title string) (prefix, rest string) {
	prefix = drafts.FindString(title)
	return prefix, title[len(prefix):]
}

// addDraft keeps the whole within the limit of a title.
func addDraft(prefix, title string) string {
	room := forge.MaxTitle - utf8.RuneCountInString(prefix)
	if room > 0 && utf8.RuneCountInString(title) > room {
		title = string([]rune(title)[:room-1]) + "…"
	}
	return prefix + title
}

// slash reads as a slash in Markdown, and is none to who looks for commands.
const slash = "&sol;"

// noQuickActions keeps GitLab from acting on a text. A line that begins with a
// slash can be a command to it, in a description as in a comment
// (docs.gitlab.com/user/project/quick_actions); with an entity it reads the same.
// Lines of a block of code are left as they are, as GitLab leaves them.
func noQuickActions(text string) string {
	lines := strings.SplitAfter(newlines.Replace(text), "\n")
	code := codeLines(lines)
	for i, line := range lines {
		start := strings.TrimLeft(line, blank)
		if !code[i] && strings.HasPrefix(start, "/") {
			lines[i] = line[:len(line)-len(start)] + slash + start[1:]
		}
	}
	return strings.Join(lines, "")
}

var escaped = regexp.MustCompile(`(?m)^([` + blank + `]*)` + slash)

// asSent undoes [noQuickActions], so that a text that comes back is the one that
// was sent, and nobody edits it again for the difference.
func asSent(text string) string { return escaped.ReplaceAllString(text, "$1/") }

// newlines leaves one way to end a line.
var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// blank is what may stand before a command: white space, and what is not seen.
const blank = " \t\v\f\u00a0\u200b\u200c\u200d\u2060\ufeff"

const fence = "```"

// codeLines are the lines between two fences that both begin their lines and
// of which the second is alone on it. All other forms of code are not trusted to
// be code to GitLab.
func codeLines(lines []string) map[int]bool {
	code := map[int]bool{}
	open := -1
	for i, line := range lines {
		switch {
		case open < 0 && strings.HasPrefix(line, fence) && !strings.Contains(line[len(fence):], "`"):
			open = i
		case open >= 0 && strings.TrimRight(line, " \n") == fence:
			for n := open + 1; n < i; n++ {
				code[n] = true
			}
			open = -1
		}
	}
	return code
}
