package report

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// StatusOptions are what our one comment below a pull request says. All texts
// are escaped here; they are no Markdown.
type StatusOptions struct {
	// State is one sentence: what is so now.
	State string
	// Link is the address that State is about: another pull request. Empty: none.
	Link string
	// History are short lines, oldest first; of many the newest stay.
	History []string
	// Replies answer commands, oldest first; of many the newest stay.
	Replies []Reply
	// Closing is the word with which the pull request was closed by us.
	Closing string
	// Blocks are folded, at the end; they are the first to be left out of a comment
	// that is too long.
	Blocks []StatusBlock
	// Record is an HTML comment for machines that ends the text; it is never cut,
	// and left out when it is not one comment in one line.
	Record string
}

// StatusBlock is text in columns below a title.
type StatusBlock struct{ Title, Text string }

// Reply answers one command.
type Reply struct {
	// By asked for Asked, in their own words.
	By, Asked string
	// Done is what was done about it, or why nothing was.
	Done string
}

const (
	// statusLines is how many lines of history, and how many replies, a comment keeps.
	statusLines = 10
	// statusLine bounds one of them, in bytes before it is escaped.
	statusLine = 300
)

// StatusComment writes the one comment that is edited over a pull request's
// life, Markdown of at most 65,536 characters. The same options give the same
// text, so that a comment that would not change need not be written.
func StatusComment(o StatusOptions) string {
	record := ""
	if o.Record != "" && checkRecord(o.Record) == nil {
		record = "\n" + o.Record + "\n"
	}
	for keep := statusLines; ; keep-- {
		text := statusText(o, keep)
		if keep == 0 || len(text)+len(record) <= maxPullRequest {
			return text + statusBlocks(o.Blocks, maxPullRequest-len(text)-len(record)) + record
		}
	}
}

// statusText is the comment without its record.
func statusText(o StatusOptions, keep int) string {
	lines := []string{"**" + mdShort(orElse(o.State, "Nothing to report.")) + "**"}
	if o.Link != "" {
		lines = append(lines, "", "See "+mdLink(o.Link)+".")
	}
	if o.Closing != "" {
		lines = append(lines, "", mdBrief(o.Closing))
	}
	lines = append(lines, statusList("Answers", keep, len(o.Replies), func(i int) string { return mdReply(o.Replies[i]) })...)
	lines = append(lines, statusList("So far", keep, len(o.History), func(i int) string { return mdShort(o.History[i]) })...)
	return inertText(strings.Join(lines, "\n") + "\n")
}

// statusBlocks are as many of the blocks as there is room for, in bytes.
func statusBlocks(blocks []StatusBlock, room int) string {
	out := ""
	for _, b := range blocks {
		lines := strings.Split(strings.TrimRight(b.Text, "\n"), "\n")
		for i, l := range lines {
			if line(l) != strings.Join(strings.Fields(l), " ") {
				l = line(l) // something in it is hidden, and its columns do not matter
			}
			lines[i] = strings.TrimRight("| "+plainColumns(l), " ")
		}
		fence := fenceFor(lines)
		text := "\n<details><summary>" + mdShort(b.Title) + "</summary>\n\n" + fence + "text\n" + strings.Join(lines, "\n") + "\n" + fence + "\n\n</details>\n"
		if len(out)+len(text) > room {
			break
		}
		out += text
	}
	return out
}

// plainColumns takes out control characters and what forges and Markdown give a
// meaning, and leaves the spaces.
func plainColumns(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune("<>@#!%`[]{}$&*_~\\", r):
			return '|'
		case unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ':
			return ' '
		}
		return r
	}, strings.NewReplacer("://", ": //", "www.", "www .", "WWW.", "WWW .").Replace(s))
}

// Matrices draws grids as plain text, with the legend; empty without any.
func Matrices(grids []Grid) string {
	if len(grids) == 0 {
		return ""
	}
	t := newScreen(TextOptions{})
	for _, g := range grids {
		t.grid(g)
	}
	t.legend(grids)
	return strings.Trim(t.b.String(), "\n")
}

// statusList is a list of the newest of n items, oldest first.
func statusList(title string, keep, n int, item func(int) string) []string {
	if n == 0 {
		return nil
	}
	lines := []string{"", title + ":", ""}
	from := max(0, n-keep)
	if from > 0 {
		lines = append(lines, fmt.Sprintf("- %d earlier left out", from))
	}
	for i := from; i < n; i++ {
		lines = append(lines, "- "+item(i))
	}
	return lines
}

func mdReply(r Reply) string {
	by := mdCode(clip(line(r.By), statusLine))
	asked := mdCode(clip(line(r.Asked), statusLine))
	return orElse(by, "someone") + " asked " + orElse(asked, "for something") + ": " + mdShort(orElse(r.Done, "done"))
}

func mdShort(s string) string { return mdText(clip(line(s), statusLine)) }

// safeLink is an address that nothing can hide in.
var safeLink = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$`)

// mdLink shows an address, as a link if it is a plain one.
func mdLink(url string) string {
	if len(url) <= statusLine && safeLink.MatchString(url) {
		return "<" + url + ">"
	}
	return mdCode(clip(line(url), statusLine))
}
