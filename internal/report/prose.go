package report

import (
	"net/netip"
	"regexp"
	"strings"
)

// span is a piece of a sentence; code is set in a fixed-width font.
type span struct {
	Text string
	Code bool
}

// The words that are set as code: flags, Helm keys, camel-case keys, files with
// a line, and objects by kind and name.
var technical = []*regexp.Regexp{
	regexp.MustCompile(`^--[a-z][a-z0-9-]*(=\S+)?$`),
	regexp.MustCompile(`^[a-z][A-Za-z0-9_]+(\.[A-Za-z][A-Za-z0-9_]+)+(:\d+)?$`),
	regexp.MustCompile(`^[a-z]+[0-9]*[A-Z][A-Za-z0-9]*$`),
	regexp.MustCompile(`^\S+/\S+\.[a-z]+(:\d+)?$`),
	regexp.MustCompile(`^[A-Z][A-Za-z]+/[a-z0-9][a-z0-9./-]*$`),
}

// spans splits a sentence into prose and code: what stands between backticks,
// addresses, and words in the form of a key, a flag, a file or an object.
func spans(s string) []span {
	parts := strings.Split(s, "`")
	if len(parts)%2 == 0 {
		parts = []string{s}
	}
	var out []span
	for i, part := range parts {
		switch {
		case part == "":
		case i%2 == 1:
			out = append(out, span{part, true})
		default:
			out = append(out, words(part)...)
		}
	}
	return merged(out)
}

// merged joins code that stands directly beside code, which two pairs of
// backticks could not tell apart.
func merged(spans []span) []span {
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && s.Code && out[n-1].Code {
			out[n-1].Text += s.Text
			continue
		}
		out = append(out, s)
	}
	return out
}

// firstWord is a plain word at a sentence's start, and none like kube-proxy.
var firstWord = regexp.MustCompile(`^[a-z]+(\s|$)`)

// sentence begins s with a capital letter, where it begins with a plain word, and
// ends it with a full stop, where nothing else ends it.
func sentence(s string) string {
	if firstWord.MatchString(s) {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?:") || strings.HasSuffix(s, "…") {
		return s
	}
	return s + "."
}

// words finds the code words of a piece of prose.
func words(s string) []span {
	var out []span
	start := 0
	flush := func(end int) {
		if end > start {
			out = append(out, span{s[start:end], false})
		}
		start = end
	}
	for i := 0; i < len(s); {
		end := i + strings.IndexByte(s[i:]+" ", ' ')
		from, to := trimWord(s, i, end)
		if isTechnical(s[from:to]) {
			flush(from)
			out = append(out, span{s[from:to], true})
			start = to
		}
		i = end + 1
	}
	flush(len(s))
	return out
}

// trimWord leaves the punctuation around a word out, but not the brackets of an
// address with a port.
func trimWord(s string, from, to int) (int, int) {
	for from < to && strings.IndexByte(`.,:;!?`, s[to-1]) >= 0 && !strings.HasSuffix(s[from:to], "::") {
		to--
	}
	for from < to && strings.IndexByte(`("'[!`, s[from]) >= 0 && !strings.Contains(s[from:to], "]:") {
		from++
	}
	for from < to && strings.IndexByte(`)"'].,;`, s[to-1]) >= 0 && !closes(s[from:to]) {
		to--
	}
	return from, to
}

// closes says whether a word ends in a quote that it opens itself, as in
// --flag="true".
func closes(word string) bool {
	last := word[len(word)-1]
	return (last == '"' || last == '\'') && strings.Count(word, string(last))%2 == 0
}

func isTechnical(word string) bool {
	if len(word) < 2 || len(word) > 200 {
		return false
	}
	if !strings.ContainsAny(word, "./:ABCDEFGHIJKLMNOPQRSTUVWXYZ") && !strings.HasPrefix(word, "--") {
		return false
	}
	if isAddress(word) {
		return true
	}
	for _, form := range technical {
		if form.MatchString(word) {
			return true
		}
	}
	return false
}

// isAddress says whether word is an address, a prefix, or an address with a port.
func isAddress(word string) bool {
	if strings.IndexByte(word, ':') < 0 && strings.Count(word, ".") < 3 {
		return false
	}
	if _, err := netip.ParseAddr(word); err == nil {
		return true
	}
	if _, err := netip.ParsePrefix(word); err == nil {
		return true
	}
	_, err := netip.ParseAddrPort(word)
	return err == nil
}
