package report

import "strings"

// ReversalOptions are what a pull request says that takes a change back. All texts
// are escaped here.
type ReversalOptions struct {
	// Link is the pull request that is taken back, Commit what it was merged as.
	Link, Commit string
	// Because says why; Evidence says more, one line each.
	Because  string
	Evidence []string
}

// Reversal writes the body of such a pull request, Markdown of at most 65,536
// characters.
func Reversal(o ReversalOptions) string {
	lines := []string{"This takes back " + mdLink(o.Link) + ", which was merged as " + mdCode(clip(line(o.Commit), 64)) + ".", "",
		"**" + mdShort(orElse(o.Because, "It made something worse.")) + "**", ""}
	for i, e := range o.Evidence {
		if i == 40 {
			break
		}
		lines = append(lines, "- "+mdShort(e))
	}
	lines = append(lines, "", "It is a draft: people decide whether what broke weighs more than what the change cured. Closing it is remembered.")
	return inertText(strings.Join(lines, "\n") + "\n")
}
