package remediate

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const notShown = "(not shown)"

var (
	// secretKey finds the names under which credentials are kept.
	secretKey = regexp.MustCompile(`(?i)passw|passphrase|token|secret|credential|private|certt?($|[^g])|apikey|psk|\bcrt\b|\bpem\b|(^|[._-]|[a-z])key$|^key|^tls$|^ca$`)
	// secretText finds what looks like a credential whatever its key is.
	secretText = regexp.MustCompile(`-----BEGIN|^(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|AKIA|AGE-SECRET-KEY|eyJ)|://[^/\s]*:[^/\s]*@`)
	opaqueText = regexp.MustCompile(`^[A-Za-z0-9+/_=-]{24,}$`)
	keyValue   = regexp.MustCompile(`^[\s-]*["']?([\w./-]+)["']?\s*:\s*(\S.*)$`)
)

// shown is a value fit for an output: not one whose key or form is that of a
// credential.
func shown(path string, v any) string {
	for _, seg := range strings.Split(path, ".") {
		if secretKey.MatchString(seg) {
			return notShown
		}
	}
	switch {
	case v == nil:
		return "null"
	case secretInside(v):
		return notShown
	}
	return fmt.Sprint(v)
}

func secretInside(v any) bool {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			if secretKey.MatchString(k) || secretInside(e) {
				return true
			}
		}
	case []any:
		for _, e := range x {
			if secretInside(e) {
				return true
			}
		}
	case string:
		return looksSecret(x)
	}
	return false
}

// looksSecret: a PEM block, a known token, or long text of letters and digits
// that is no word.
func looksSecret(s string) bool {
	s = strings.TrimSpace(s)
	return secretText.MatchString(s) || opaqueText.MatchString(s) && strings.ContainsAny(s, "0123456789") && strings.ContainsAny(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ=+")
}

// secretLine reports whether a line of YAML shows a credential.
func secretLine(l string) bool {
	l = strings.TrimRight(l, "\r\n")
	if m := keyValue.FindStringSubmatch(l); m != nil {
		return secretKey.MatchString(m[1]) || looksSecret(strings.Trim(m[2], `"'`))
	}
	return looksSecret(strings.Trim(strings.TrimLeft(l, " -"), `"'`))
}

var hunkHead = regexp.MustCompile(`^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)$`)

// hideContext shortens the context of a unified diff where a line of it shows a
// credential. git apply takes less context before a change at any place, and
// after it as long as one line is left: with none it looks for the file's end.
// A line that cannot be spared stays, for the diff must apply.
func hideContext(diff string) string {
	lines := strings.SplitAfter(diff, "\n")
	var out strings.Builder
	for i := 0; i < len(lines); {
		m := hunkHead.FindStringSubmatch(strings.TrimSuffix(lines[i], "\n"))
		if m == nil {
			out.WriteString(lines[i])
			i++
			continue
		}
		end := i + 1
		for end < len(lines) && lines[end] != "" && strings.ContainsRune(` +-\`, rune(lines[end][0])) && !strings.HasPrefix(lines[end], "--- ") {
			end++
		}
		out.WriteString(hunk(m, lines[i+1:end]))
		i = end
	}
	return out.String()
}

// hunk writes a hunk with as little context as hides its credentials.
func hunk(head, body []string) string {
	lead := 0
	for lead < len(body) && body[lead][0] == ' ' {
		lead++
	}
	tail := len(body)
	for tail > lead && body[tail-1][0] == ' ' {
		tail--
	}
	from, to := 0, len(body)
	for i := 0; i < lead; i++ {
		if secretLine(body[i][1:]) {
			from = i + 1
		}
	}
	for i := len(body) - 1; i > tail; i-- {
		if secretLine(body[i][1:]) {
			to = i
		}
	}
	if from == 0 && to == len(body) {
		return head[0] + "\n" + strings.Join(body, "")
	}
	cut := from + len(body) - to
	before, after := number(head[2], 1)-cut, number(head[4], 1)-cut
	start := number(head[1], 0) + from
	if before == 0 {
		// A range without lines names the line before it.
		start--
	}
	return fmt.Sprintf("@@ -%d,%d +%d,%d @@%s\n", start, before, number(head[3], 0)+from, after, head[5]) + strings.Join(body[from:to], "")
}

func number(s string, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return otherwise
	}
	return n
}
