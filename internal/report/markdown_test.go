package report

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func markdown(t testing.TB, p *v1alpha1.Plan) string {
	t.Helper()
	var b bytes.Buffer
	if err := Markdown(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMarkdownGolden(t *testing.T) {
	for _, v := range variants(t) {
		t.Run(v.name, func(t *testing.T) {
			golden(t, v.name+".md", []byte(markdown(t, v.plan)))
		})
	}
}

func TestMarkdownFirstScreen(t *testing.T) {
	first, folded, ok := strings.Cut(markdown(t, incident(t)), "<details>")
	if !ok {
		t.Fatal("nothing is folded")
	}
	if n := strings.Count(first, "\n"); n > 45 {
		t.Errorf("the first screen has %d lines", n)
	}
	for _, want := range []string{"### Cause", "### Change", "| before | after |", "### Risk and rollout", "### How to verify", "Flux cannot reconcile"} {
		if !strings.Contains(first, want) {
			t.Errorf("the first screen does not say %q", want)
		}
	}
	for _, want := range []string{"```mermaid", "```diff", "How we know", "All candidates", "Why not something else",
		"Commands that verify", "Questions and answers", "not known", "What this does not explain"} {
		if !strings.Contains(folded, want) {
			t.Errorf("the folded part does not say %q", want)
		}
	}
}

// large is a plan that no pull request can hold.
func large(t testing.TB) *v1alpha1.Plan {
	p := incident(t)
	for i := range 1500 {
		p.Facts.PodCIDRs = append(p.Facts.PodCIDRs, v1alpha1.Fact{Value: fmt.Sprintf("fd00:101:%x::/64", i), Source: fmt.Sprintf("Node node-%d", i)})
		p.Findings[0].Evidence = append(p.Findings[0].Evidence, v1alpha1.Evidence{Kind: "fact", Text: strings.Repeat("long ", 100), Source: "Node"})
		p.Candidates[0].SideEffects = append(p.Candidates[0].SideEffects, strings.Repeat("@all ", 200))
		p.Delivery.Ways = append(p.Delivery.Ways, v1alpha1.DeliveryWay{Way: "way", Because: strings.Repeat("<b>", 2000)})
	}
	p.Candidates[0].Diff = strings.Repeat("+"+strings.Repeat("x", 300)+"\n", 2500)
	return p
}

func TestMarkdownStaysBelowTheLimit(t *testing.T) {
	got := markdown(t, large(t))
	if len(got) > maxMarkdown {
		t.Errorf("the body has %d bytes", len(got))
	}
	if len(got) < maxMarkdown/2 {
		t.Errorf("the body has only %d bytes: too much was cut", len(got))
	}
	if !strings.Contains(got, "more left out to stay below the size") {
		t.Error("the cut is not mentioned")
	}
	if o, c := strings.Count(got, "<details>"), strings.Count(got, "</details>"); o != c || o == 0 {
		t.Errorf("%d details open, %d close", o, c)
	}
	if n := len(regexp.MustCompile("(?m)^```").FindAllString(got, -1)); n%2 != 0 {
		t.Errorf("%d fences do not pair", n)
	}
}

func TestMarkdownFitCutsFoldedPartsFirst(t *testing.T) {
	rows := make([]string, 100)
	for i := range rows {
		rows[i] = "row"
	}
	blocks := []block{{head: []string{"open"}, items: rows}, {title: "t", head: []string{"```"}, items: rows[:50], tail: []string{"```"}}}
	got := mdFit(blocks, 700)
	if n := strings.Count(got[:strings.Index(got, "<details>")], "row\n"); n != 100 {
		t.Errorf("the open block keeps %d of 100 rows", n)
	}
	if len(got) > 700 {
		t.Errorf("%d bytes", len(got))
	}
	got = mdFit(blocks, 300)
	if strings.Contains(got, "```") {
		t.Errorf("a fence without content stays:\n%s", got)
	}
	if !strings.Contains(got, "_50 more left out") {
		t.Errorf("the cut is not counted:\n%s", got)
	}
}

func TestMdText(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain words, and a dash - here.", "plain words, and a dash - here."},
		{"fd00:101::/48 is outside", "`fd00:101::/48` is outside"},
		{"set bpf.masquerade to true.", "set `bpf.masquerade` to true."},
		{"a `code` span", "a `code` span"},
		{"an odd ` tick", "an odd \\` tick"},
		{"@all and a@b", "@&#8203;all and a@&#8203;b"},
		{"fixes #12", "fixes #&#8203;12"},
		{"see !12 or %3", "see !&#8203;12 or %&#8203;3"},
		{"<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"},
		{"[x](javascript:alert)", "\\[x\\](javascript:alert)"},
		{"https://evil.example", "`https://evil.example`"},
		{"go:https://evil", "go:&#8203;https:&#8203;//evil"},
		{"WWW.1.evil", "WWW&#8203;.1.evil"},
		{"GH-12", "GH&#8203;-12"},
		{"# heading", "\\#&#8203; heading"},
		{"- item", "\\- item"},
		{"1. item", "1\\. item"},
		{"> quote", "&gt; quote"},
		{"*b* _i_ ~s~ |", "\\*b\\* \\_i\\_ \\~s\\~ \\|"},
		{"a:100:b", "a:&#8203;100:b"},
		{"two\nlines\r\nhere", "two lines here"},
		{"&lt;", "&amp;lt;"},
		{`back\slash`, `back\\slash`},
		{"$x$", "&dollar;x&dollar;"},
		{"/approve", "\\/approve"},
		{"", ""},
	} {
		if got := mdText(tt.in); got != tt.want {
			t.Errorf("mdText(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestCodeSpan(t *testing.T) {
	for _, tt := range []struct {
		in   string
		cell bool
		want string
	}{
		{"a", false, "`a`"},
		{"a`b", false, "``a`b``"},
		{"`", false, "`` ` ``"},
		{"a``", false, "``` a`` ```"},
		{"a|b", false, "`a|b`"},
		{"a|b", true, "`a\\|b`"},
		{"", false, ""},
	} {
		if got := codeSpan(tt.in, tt.cell); got != tt.want {
			t.Errorf("codeSpan(%q, %v) = %q, want %q", tt.in, tt.cell, got, tt.want)
		}
	}
}

func TestFenceFor(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{nil, "```"},
		{[]string{"a ` b"}, "```"},
		{[]string{" ```"}, "````"},
		{[]string{"`````` x", "`"}, "```````"},
	} {
		if got := fenceFor(tt.lines); got != tt.want {
			t.Errorf("fenceFor(%q) = %q, want %q", tt.lines, got, tt.want)
		}
	}
}

func TestMermaidText(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"node-7 sends to fd00::1", "node-7 sends to fd00::1"},
		{`"];click a`, "#34;#93;#59;click a"},
		{"%%{init}%%", "#37;#37;#123;init#125;#37;#37;"},
		{"- item", "#45; item"},
		{"1. item", "1#46; item"},
		{"1.18.6", "1.18.6"},
		{"<b>`x`", "#60;b#62;#96;x#96;"},
		{"a#quot;", "a#35;quot#59;"},
	} {
		if got := mermaidText(tt.in); got != tt.want {
			t.Errorf("mermaidText(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
