package report

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/remediate-dev/remediate/api/v1alpha1"
	"golang.org/x/net/html"
	"pgregory.net/rapid"
)

// hostile strings try to leave the place that they are printed in.
var hostile = []string{
	"```\n</details>\n# owned",
	"~~~\n````\n`````` x",
	"<script>alert(1)</script>",
	`"><img src=x onerror=alert(1)>`,
	"</text></svg><script>1</script>",
	"</title></style><b>",
	"@all fixes #12 @org/team closes org/repo#1 !7 %3",
	"[x](javascript:alert(1)) ![y](http://evil.example/p.png)",
	"https://evil.example www.evil.example",
	"| a | b |\n|---|---|\n",
	"\x1b[2J\x1b]0;owned\x07 \x1b[31mred",
	"\u009b31m \u0085 \x00 \x7f \b\b\b",
	"user\u202eexe.txt \u2066a\u2069 \u200bzero\ufeff \U000e0041",
	"bad \xff\xfe utf-8 \xed\xa0\x80",
	"line\r\nbreak\u2028and\u2029more\tand\vthat",
	"\n/close\n/approve\n- [ ] task\n1. list\n===\n---\n",
	`"]; click w0s0 "javascript:alert(1)"`,
	"%%{init: {'securityLevel': 'loose'}}%%",
	"end\n  subgraph x",
	"a`b``c```d|e\\|f\\",
	"{{.Plan}} {{template \"x\"}} <!-- --> &lt;&#60; $x$",
	"- item # heading > quote",
	strings.Repeat("W", 3000),
	strings.Repeat("字", 2000),
}

// fill sets every string in v from text, and gives every list n items.
func fill(v reflect.Value, n int, text func() string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text())
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n, text)
	case reflect.Interface:
		v.Set(reflect.ValueOf(text()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(v.Index(i), n, text)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range n {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n, text)
			fill(elem, n, text)
			v.SetMapIndex(key, elem)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n, text)
		}
	}
}

// filled is a plan whose every string comes from text, with a walk before and after.
func filled(n int, text func() string) *v1alpha1.Plan {
	p := &v1alpha1.Plan{}
	fill(reflect.ValueOf(p).Elem(), n, text)
	if len(p.Walks) > 0 {
		p.Walks[0].Config = "current"
		p.Walks[0].Steps[0].Bad = true
	}
	if len(p.Walks) > 1 && len(p.Candidates) > 0 {
		p.Walks[1].Config = p.Candidates[0].ID
	}
	return p
}

// hostilePlans are one plan per hostile string, and one of all of them.
func hostilePlans() []*v1alpha1.Plan {
	var plans []*v1alpha1.Plan
	for _, s := range hostile {
		plans = append(plans, filled(2, func() string { return s }))
	}
	i := 0
	return append(plans, filled(3, func() string { i++; return hostile[i%len(hostile)] }))
}

func TestHostileText(t *testing.T) {
	for _, p := range hostilePlans() {
		for _, color := range []bool{false, true} {
			got := text(t, p, TextOptions{Color: color})
			var findings bytes.Buffer
			if err := FindingsText(&findings, p.Findings, TextOptions{Color: color}); err != nil {
				t.Fatal(err)
			}
			checkPrintable(t, sgr.ReplaceAllString(got+findings.String(), ""))
			if !color && strings.Contains(got, "\x1b") {
				t.Error("colour without Color")
			}
			for l := range strings.SplitSeq(got, "\n") {
				if width(l) > 100 {
					t.Fatalf("a line of %d cells: %.300s", width(l), l)
				}
			}
			if n := strings.Count(got, "\n"); n > 250 {
				t.Fatalf("%d lines", n)
			}
		}
	}
}

// checkPrintable finds what acts on a terminal or deceives the eye.
func checkPrintable(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Error("not valid UTF-8")
	}
	for i, r := range s {
		if r != '\n' && r != '\t' && unprintable(r) {
			t.Fatalf("unprintable %U at %q", r, s[max(0, i-20):min(len(s), i+20)])
		}
	}
}

func TestHostileDiffOnATerminal(t *testing.T) {
	for _, p := range hostilePlans() {
		var b bytes.Buffer
		if err := Diff(&b, p, DiffOptions{Color: true}); err != nil {
			t.Fatal(err)
		}
		checkPrintable(t, sgr.ReplaceAllString(b.String(), ""))
	}
}

var (
	// mdTag is the only HTML that the Markdown may hold.
	mdTag = regexp.MustCompile(`^(</?details>|</?summary>)`)
	// mdLive is what a forge acts on: mentions, references, links, pictures.
	mdLive = regexp.MustCompile(`@[A-Za-z]|#\d|!\[|\]\(|https?://|(?i:www\.[a-z])`)
	// mermaidLine is every form of a line of the drawing.
	mermaidLine = regexp.MustCompile(`^(flowchart LR|  w0 ~~~ w1|  subgraph w[01]\["[^"]*"\]|    direction TB|    w[01](s\d+\["([^"<>]*<br/>)?[^"<>]*"\]|o\(\["[^"<>]*"\]\))(:::(good|bad))?|    w[01]s\d+ --> w[01](s\d+|o)|  end|  classDef (bad|good) [a-z0-9#:,]+)$`)
)

func TestHostileMarkdown(t *testing.T) {
	for _, p := range hostilePlans() {
		got := markdown(t, p)
		checkPrintable(t, got)
		prose, fences := splitFences(t, got)
		for _, l := range prose {
			checkProse(t, l)
		}
		for _, f := range fences {
			if f.info != "mermaid" {
				continue
			}
			for _, l := range f.lines {
				if !mermaidLine.MatchString(l) {
					t.Fatalf("Mermaid line out of place: %.300s", l)
				}
			}
		}
		opened := strings.Count("\n"+strings.Join(prose, "\n"), "\n<details>")
		if closed := countLines(prose, "</details>"); opened == 0 || opened != closed {
			t.Errorf("%d details open, %d close", opened, closed)
		}
		if len(got) > maxMarkdown {
			t.Errorf("%d bytes", len(got))
		}
	}
}

func countLines(lines []string, want string) int {
	n := 0
	for _, l := range lines {
		if l == want {
			n++
		}
	}
	return n
}

// checkProse looks for what is live outside of code in a line of Markdown.
func checkProse(t *testing.T, l string) {
	t.Helper()
	outside := withoutCode(strings.NewReplacer(gap, "\u200b", `\]`, "").Replace(l))
	if m := mdLive.FindString(outside); m != "" {
		t.Fatalf("%q is live in: %.300s", m, l)
	}
	for i, r := range outside {
		if r == '<' && !mdTag.MatchString(outside[i:]) {
			t.Fatalf("a tag in: %.300s", l)
		}
	}
	for _, bad := range []string{"/", "===", "    "} {
		if strings.HasPrefix(l, bad) {
			t.Fatalf("the line starts with %q: %.300s", bad, l)
		}
	}
}

// withoutCode drops code spans as CommonMark reads them: a run of backticks up
// to the next run of the same length, and an escaped backtick opens none.
func withoutCode(l string) string {
	var b strings.Builder
	for i := 0; i < len(l); {
		if l[i] == '\\' && i+1 < len(l) {
			b.WriteString(l[i : i+2])
			i += 2
			continue
		}
		n := 0
		for i+n < len(l) && l[i+n] == '`' {
			n++
		}
		if end := closingRun(l, i+n, n); n > 0 && end >= 0 {
			i = end
			continue
		}
		b.WriteString(l[i : i+max(n, 1)])
		i += max(n, 1)
	}
	return b.String()
}

func closingRun(l string, from, n int) int {
	for i := from; i < len(l); {
		run := 0
		for i+run < len(l) && l[i+run] == '`' {
			run++
		}
		if run == n && n > 0 {
			return i + run
		}
		i += max(run, 1)
	}
	return -1
}

type fenced struct {
	info  string
	lines []string
}

// splitFences parts Markdown into lines outside and inside of fences.
func splitFences(t *testing.T, s string) (prose []string, fences []fenced) {
	t.Helper()
	open := ""
	for l := range strings.SplitSeq(s, "\n") {
		run := l[:len(l)-len(strings.TrimLeft(l, "`"))]
		switch {
		case open == "" && len(run) >= 3:
			open = run
			fences = append(fences, fenced{info: l[len(run):]})
		case open != "" && len(run) >= len(open) && strings.TrimSpace(l[len(run):]) == "":
			open = ""
		case open != "":
			last := &fences[len(fences)-1]
			last.lines = append(last.lines, l)
		default:
			prose = append(prose, l)
		}
	}
	if open != "" {
		t.Error("a fence stays open")
	}
	return prose, fences
}

func TestHostileHTML(t *testing.T) {
	benign := elements(t, htmlPage(t, filled(2, func() string { return "word" })))
	allowed := map[string]bool{"code": true}
	for _, e := range benign {
		allowed[e] = true
	}
	for _, p := range hostilePlans() {
		got := htmlPage(t, p)
		checkPrintable(t, got)
		for _, e := range elements(t, got) {
			if !allowed[e] {
				t.Errorf("element %s is not the page's own", e)
			}
		}
	}
}

// elements are the names of a page's elements; an attribute that a page must
// not have is an error.
func elements(t *testing.T, page string) []string {
	t.Helper()
	var names []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) {
				t.Fatal(z.Err())
			}
			return names
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			names = append(names, token.Data)
			for _, a := range token.Attr {
				if strings.HasPrefix(a.Key, "on") || slices.Contains([]string{"href", "src", "style", "xlink:href"}, a.Key) {
					t.Errorf("attribute %s in %s", a.Key, token)
				}
			}
		}
	}
}

func TestEveryPlanPrintsTheSameTwice(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		words := rapid.OneOf(rapid.SampledFrom(hostile[:len(hostile)-2]), rapid.String(), rapid.SampledFrom([]string{"current", "critical", "fd00::/48", "delivered", "yes"}))
		n := rapid.IntRange(0, 2).Draw(r, "items")
		pool := rapid.SliceOfN(words, 3, 6).Draw(r, "strings")
		i := 0
		make := func() *v1alpha1.Plan {
			i = 0
			p := &v1alpha1.Plan{}
			fill(reflect.ValueOf(p).Elem(), n, func() string { i++; return pool[i%len(pool)] })
			return p
		}
		checkReadBack(r, make())
		for name, print := range formats() {
			var a, b bytes.Buffer
			if err := print(&a, make()); err != nil {
				r.Fatalf("%s: %v", name, err)
			}
			if err := print(&b, make()); err != nil {
				r.Fatalf("%s: %v", name, err)
			}
			if a.String() != b.String() {
				r.Fatalf("%s prints the same plan differently", name)
			}
		}
	})
}

// formats are all ways to print a plan.
func formats() map[string]func(io.Writer, *v1alpha1.Plan) error {
	return map[string]func(io.Writer, *v1alpha1.Plan) error{
		"text":     func(w io.Writer, p *v1alpha1.Plan) error { return Text(w, p, TextOptions{Color: true}) },
		"findings": func(w io.Writer, p *v1alpha1.Plan) error { return FindingsText(w, p.Findings, TextOptions{}) },
		"json":     func(w io.Writer, p *v1alpha1.Plan) error { return JSON(w, p) },
		"yaml":     func(w io.Writer, p *v1alpha1.Plan) error { return YAML(w, p) },
		"markdown": Markdown,
		"html":     HTML,
	}
}

func TestPrintingLeavesThePlanAlone(t *testing.T) {
	for name, print := range formats() {
		p := incident(t)
		p.Findings[1].RuledOut, p.Candidates[0].Affects = nil, nil
		if err := print(io.Discard, p); err != nil {
			t.Fatal(err)
		}
		want := incident(t)
		want.Findings[1].RuledOut, want.Candidates[0].Affects = nil, nil
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("%s changed the plan:\n%s", name, diff)
		}
	}
}
