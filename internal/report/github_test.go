package report

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// ownCommand is every form of a command that we write.
var ownCommand = regexp.MustCompile(`^::(error|warning|notice)( (file=[^:,\r\n]+|line=\d+|endLine=\d+|title=[^:,\r\n]+)(,(line=\d+|endLine=\d+|title=[^:,\r\n]+))*)?::[^\r\n]*$`)

// checkInert finds what GitHub's runner takes for a command: ##[name] anywhere
// in a line, and ::name:: at its start after spaces.
func checkInert(t failer, form, text string, commands bool) {
	for l := range strings.SplitSeq(text, "\n") {
		if i := strings.Index(l, "##["); i >= 0 {
			t.Fatalf("%s: a command in %.200q", form, l)
		}
		trimmed := strings.TrimSpace(l)
		if rest, ok := strings.CutPrefix(trimmed, "::"); !ok || !strings.Contains(rest, "::") {
			continue
		}
		if !commands || !ownCommand.MatchString(l) {
			t.Fatalf("%s: a command in %.200q", form, l)
		}
	}
}

// annotated are the commands of the output, without the verdict's line.
func annotated(t *testing.T, r *v1alpha1.CheckResult) []string {
	t.Helper()
	first, rest, _ := strings.Cut(printed(t, "github", r), "\n")
	if strings.HasPrefix(first, "::") {
		t.Errorf("the first line is no verdict: %q", first)
	}
	return strings.FieldsFunc(rest, func(c rune) bool { return c == '\n' })
}

func TestGitHubEscapes(t *testing.T) {
	r := result()
	p := excludes(true)
	p.File, p.Signature = "a,b:c%0A::error::x/values.yaml", "x,title=y::error"
	p.Summary = "100% of packets\n::error::owned, a:b"
	p.Evidence, p.Advice = []v1alpha1.Evidence{{Text: "::stop-commands::t", Source: "f:1"}}, "##[add-path]/tmp"
	r.Problems = []v1alpha1.Problem{p}
	got := annotated(t, r)
	want := "::error file=a%2Cb%3Ac%250A%3A%3Aerror%3A%3Ax/values.yaml,line=52,endLine=52,title=x%2Ctitle=y%3A%3Aerror" +
		"::100%25 of packets ::error::owned, a:b (IPv6)%0A- ::stop-commands::t (f:1)%0A→ #·[add-path]/tmp"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestGitHubLevels(t *testing.T) {
	r := result()
	for _, s := range []v1alpha1.Severity{v1alpha1.SeverityInfo, v1alpha1.SeverityWarning, v1alpha1.SeverityCritical, "odd"} {
		p := excludes(true)
		p.Severity = s
		r.Problems = append(r.Problems, p)
	}
	r.Problems = append(r.Problems, excludes(false), dead("mtu", false))
	var levels []string
	for _, l := range annotated(t, r) {
		level, _, _ := strings.Cut(strings.TrimPrefix(l, "::"), " ")
		levels = append(levels, level)
	}
	if want := []string{"error", "warning", "notice", "notice", "notice"}; !slices.Equal(levels, want) {
		t.Errorf("got %q, want %q", levels, want)
	}
}

// GitHub shows ten annotations of a type and drops the rest, so the tenth names it.
func TestGitHubShowsTen(t *testing.T) {
	for _, n := range []int{9, 10, 11, 40, 200} {
		r := result()
		for i := range n {
			r.Problems = append(r.Problems, dead(fmt.Sprintf("key%03d", i), true))
		}
		r.Problems = append(r.Problems, dead("old", false))
		got := annotated(t, r)
		if want := min(n, mostAnnotations) + 1; len(got) != want {
			t.Fatalf("%d problems give %d annotations, want %d", n, len(got), want)
		}
		last := got[len(got)-2]
		if n <= mostAnnotations {
			continue
		}
		if !strings.Contains(last, fmt.Sprintf("title=%d more::", n-mostAnnotations+1)) || !strings.Contains(last, "key009") {
			t.Errorf("%d problems: the last annotation is %.200q", n, last)
		}
		if n == 40 && !strings.Contains(last, "key038") {
			t.Errorf("the last annotation leaves the last problems out: %q", last)
		}
		if len(last) > 20_000 {
			t.Errorf("%d problems: the last annotation has %d bytes", n, len(last))
		}
	}
}

func TestGitHubNoticesLeaveRoomForWhatWasWrong(t *testing.T) {
	r := result()
	for i := range 15 {
		p := dead(fmt.Sprintf("key%02d", i), true)
		p.Severity = v1alpha1.SeverityInfo
		r.Problems = append(r.Problems, p)
	}
	r.Problems = append(r.Problems, dead("old", false))
	got := annotated(t, r)
	if len(got) != mostAnnotations || !strings.Contains(got[9], "title=already wrong, not") && !strings.Contains(got[9], "title=already wrong%2C not") {
		t.Errorf("%d annotations, the last is %q", len(got), got[len(got)-1])
	}
}

func TestGitHubProblemWithoutAnyFile(t *testing.T) {
	r := result()
	r.Releases[0].File = ""
	p := excludes(true)
	p.File = ""
	r.Problems = []v1alpha1.Problem{p}
	if got := annotated(t, r); len(got) != 1 || strings.Contains(got[0], "file=") || strings.Contains(got[0], "line=") {
		t.Errorf("got %q", got)
	}
}

func FuzzGitHubCommands(f *testing.F) {
	for _, s := range append(hostile[:10:10], "::error::x", "##[debug]y", "a\r\n::stop-commands::z") {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, file, name, text string) {
		r := result()
		p := excludes(true)
		p.File, p.Signature, p.Summary, p.Advice = file, name, text, text
		p.Evidence = []v1alpha1.Evidence{{Kind: name, Text: text, Source: file}}
		r.Problems = []v1alpha1.Problem{p, dead(text, false)}
		r.Base.Name, r.Releases[0].Release = name, text
		for form := range checkForms() {
			checkInert(t, form, printed(t, form, r), form == "github")
		}
	})
}
