package report

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

const record = `<!-- remediate {"v":1,"signature":"native-routing-cidr-excludes-pods","unknown":["--cluster-cidr"]} -->`

func pullRequest(t testing.TB, p *v1alpha1.Plan, o PullRequestOptions) (title, body string) {
	t.Helper()
	title, body, err := PullRequest(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return title, body
}

func TestPullRequestGolden(t *testing.T) {
	for _, tt := range []struct {
		name string
		plan *v1alpha1.Plan
		opt  PullRequestOptions
	}{
		{"pr-incident", incident(t), PullRequestOptions{Record: record}},
		{"pr-agent", incident(t), PullRequestOptions{Candidate: "use-ip-masq-agent", Record: record}},
		{"pr-draft", predicted(incident(t)), PullRequestOptions{Draft: true, Record: record}},
		{"pr-bundle", triedBefore(incident(t)), PullRequestOptions{NoCommands: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			title, body := pullRequest(t, tt.plan, tt.opt)
			golden(t, tt.name+".md", []byte(title+"\n\n"+body))
		})
	}
}

func predicted(p *v1alpha1.Plan) *v1alpha1.Plan {
	p.Findings[0].Confidence = v1alpha1.ConfidencePredicted
	return unrendered(p)
}

// rendered counts the lines that Markdown takes on a page of that many columns,
// as a browser sets it: a paragraph wraps, a row of a table too when the table is
// wider than the page, and a blank line parts two blocks.
func rendered(markdown string, columns int) int {
	n := 0
	for l := range strings.Lines(markdown) {
		l = strings.TrimRight(strings.NewReplacer("`", "", "**", "", "\\", "", gap, "").Replace(l), "\n")
		switch {
		case strings.HasPrefix(l, "|---"):
		case l == "":
			n++
		default:
			n += (utf8.RuneCountInString(l) + columns - 1) / columns
		}
	}
	return n
}

func TestPullRequestFirstScreen(t *testing.T) {
	_, body := pullRequest(t, incident(t), PullRequestOptions{Record: record})
	first, folded, ok := strings.Cut(body, "<details>")
	if !ok {
		t.Fatal("nothing is folded")
	}
	if n := rendered(first, 120); n > 38 {
		t.Errorf("the first screen has %d lines of 120 columns", n)
	}
	for _, want := range []string{"### Cause", "is outside", "### Change", "| before | after |", "`fd00:101::/48` | `fd00:101::/38`",
		"### Risk and rollout", "restart", "Flux cannot reconcile", "### How to verify", "now 0 received; after 3 received"} {
		if !strings.Contains(first, want) {
			t.Errorf("the first screen does not say %q", want)
		}
	}
	for _, want := range []string{"How we know", "```mermaid", "```diff", "Why not something else", "Commands that verify", "Facts used",
		"not known", "Ways to get the change into the cluster", "/remediate replan", "/remediate reject", "/remediate candidate", "/remediate snooze"} {
		if !strings.Contains(folded, want) {
			t.Errorf("the folded part does not say %q", want)
		}
	}
	if !strings.HasSuffix(body, "\n"+record+"\n") {
		t.Error("the body does not end with the record")
	}
}

func TestPullRequestFoldsLongRisks(t *testing.T) {
	p := incident(t)
	for i := range 20 {
		p.Candidates[0].SideEffects = append(p.Candidates[0].SideEffects, fmt.Sprintf("side effect %d", i))
	}
	_, body := pullRequest(t, p, PullRequestOptions{})
	first, folded, _ := strings.Cut(body, "<details>")
	if n := rendered(first, 120); n > 40 {
		t.Errorf("the first screen has %d lines", n)
	}
	for i := range 20 {
		if want := fmt.Sprintf("- Side effect %d.\n", i); !strings.Contains(body, want) {
			t.Errorf("%q is lost", want)
		}
	}
	if !strings.Contains(first, "Flux cannot reconcile") || !strings.Contains(first, "more below, folded") {
		t.Errorf("the first screen hides what matters:\n%s", first)
	}
	if !strings.Contains(folded, "More on risk and rollout") {
		t.Error("the rest is not folded")
	}
}

// What merging alone does not do comes before the other risks.
func TestPullRequestSaysFirstThatFluxIsCut(t *testing.T) {
	p := incident(t)
	_, body := pullRequest(t, p, PullRequestOptions{})
	if _, risk, _ := strings.Cut(body, "### Risk and rollout\n\n"); !strings.HasPrefix(risk, "- **Flux cannot reconcile") {
		t.Errorf("risk begins with %.100q", risk)
	}
	p.Delivery.FluxAffected = false
	p.Delivery.How = "merge it, Flux does the rest"
	_, body = pullRequest(t, p, PullRequestOptions{})
	if !strings.Contains(body, "\n- Merge it, Flux does the rest.\n\n### How to verify") {
		t.Errorf("the usual way is not the last of the risks:\n%s", body)
	}
}

// Two flows are shown; the others are not lost.
func TestPullRequestFoldsFlows(t *testing.T) {
	p := incident(t)
	var all []v1alpha1.FlowExample
	for i := range 6 {
		all = append(all, v1alpha1.FlowExample{From: fmt.Sprintf("pod a%d", i), To: "pod b", Family: "IPv6", Before: "dropped", After: "delivered"})
	}
	p.Candidates[0].Proof.Flows.Examples = all
	_, body := pullRequest(t, p, PullRequestOptions{})
	first, folded, _ := strings.Cut(body, "<details>")
	for i := range 6 {
		want := fmt.Sprintf("| pod a%d → pod b, IPv6 | dropped | delivered |", i)
		if strings.Contains(first, want) != (i < 2) || strings.Contains(folded, want) != (i >= 2) {
			t.Errorf("flow %d stands in the wrong place", i)
		}
	}
	if !strings.Contains(first, "Proof: **fixed 12 · broken 0 · unchanged 40** flow classes; chart rendered, agents start.") {
		t.Errorf("the proof is not in sight:\n%s", first)
	}
}

func TestPullRequestIsAboutWhatTheCandidateFixes(t *testing.T) {
	p := incident(t)
	minor := v1alpha1.Finding{Signature: "mtu-mismatch", Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidencePossible, Summary: "The MTU is too large."}
	p.Findings = append(p.Findings, minor)
	p.Candidates[1].Fixes = []string{"mtu-mismatch"}
	_, body := pullRequest(t, p, PullRequestOptions{Candidate: p.Candidates[1].ID})
	if first, _, _ := strings.Cut(body, "### Change"); !strings.Contains(first, "The MTU is too large.") || !strings.Contains(first, "possible") {
		t.Errorf("the cause is another one's:\n%s", first)
	}
	if _, others, _ := strings.Cut(body, "Also found"); !strings.Contains(others, "native-routing-cidr-excludes-pods") {
		t.Error("the other finding is gone")
	}
	if strings.Count(body, "The MTU is too large.") != 1 {
		t.Error("the cause is listed among the others as well")
	}
}

func TestPullRequestSaysWhyItIsADraft(t *testing.T) {
	for _, tt := range []struct {
		confidence v1alpha1.Confidence
		want       string
	}{
		{v1alpha1.ConfidenceConfirmed, "drafts are asked for"},
		{v1alpha1.ConfidencePredicted, "no observation has confirmed it"},
		{v1alpha1.ConfidencePossible, "some of which are missing"},
	} {
		p := incident(t)
		p.Findings[0].Confidence = tt.confidence
		if _, body := pullRequest(t, p, PullRequestOptions{Draft: true}); !strings.Contains(body, tt.want) {
			t.Errorf("%s: the body does not say %q", tt.confidence, tt.want)
		}
		if _, body := pullRequest(t, p, PullRequestOptions{}); strings.Contains(body, "draft") {
			t.Errorf("%s: the body speaks of a draft", tt.confidence)
		}
	}
}

func TestPullRequestErrors(t *testing.T) {
	withRecord := func(s string) PullRequestOptions { return PullRequestOptions{Record: s} }
	for _, tt := range []struct {
		name string
		plan *v1alpha1.Plan
		opt  PullRequestOptions
		want string
	}{
		{"no plan", nil, PullRequestOptions{}, "no plan"},
		{"no candidates", abstained(incident(t)), PullRequestOptions{}, "no change to request: The pool"},
		{"healthy", healthy(incident(t)), PullRequestOptions{}, "the plan proposes none"},
		{"no such candidate", incident(t), PullRequestOptions{Candidate: "x"}, "choose one of"},
		{"record without an end", incident(t), withRecord("<!-- remediate {}"), "not one HTML comment"},
		{"record of two", incident(t), withRecord("<!-- a --> @all <!-- b -->"), "not one HTML comment"},
		{"record that ends early", incident(t), withRecord("<!-- a --!> @all -->"), "not one HTML comment"},
		{"record of two lines", incident(t), withRecord("<!-- a\n/close -->"), "not one HTML comment"},
		{"record without a beginning", incident(t), withRecord("@all -->"), "not one HTML comment"},
		{"record that is no text", incident(t), withRecord("<!-- \xff -->"), "not text"},
		{"record that is too long", incident(t), withRecord("<!-- " + strings.Repeat("x", 40000) + " -->"), "too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			title, body, err := PullRequest(tt.plan, tt.opt)
			if err == nil || !strings.Contains(err.Error(), tt.want) || title+body != "" {
				t.Errorf("%q, %d bytes, error %v, want one that says %q", title, len(body), err, tt.want)
			}
		})
	}
}

func TestPullRequestStaysBelowTheLimit(t *testing.T) {
	p := large(t)
	for i := range 300 {
		p.Candidates[0].Changes = append(p.Candidates[0].Changes, v1alpha1.Change{Path: fmt.Sprint("k", i), To: strings.Repeat("@", 900), Chain: []string{strings.Repeat("a", 400), "b"}})
	}
	long := "<!-- " + strings.Repeat("字", 9000) + " -->"
	_, body := pullRequest(t, p, PullRequestOptions{Record: long})
	if len(body) > 65536 || len(body) < 32768 {
		t.Errorf("the body has %d bytes", len(body))
	}
	if !strings.HasSuffix(body, "\n"+long+"\n") {
		t.Error("the record was cut")
	}
	if !strings.Contains(body, "/remediate snooze") {
		t.Error("the commands were cut, which are short")
	}
}

func TestHostilePullRequest(t *testing.T) {
	for _, p := range hostilePlans() {
		p.Candidates[0].Fixes = []string{p.Findings[0].Signature}
		title, body := pullRequest(t, p, PullRequestOptions{Record: record, Draft: true})
		checkPrintable(t, title+body)
		checkPlain(t, title, 255)
		prose, _ := splitFences(t, strings.TrimSuffix(body, record+"\n"))
		for _, l := range prose {
			checkProse(t, l)
		}
		for l := range strings.SplitSeq(body, "\n") {
			if strings.HasPrefix(l, "/") {
				t.Fatalf("GitLab takes a line for a command: %.100s", l)
			}
		}
		if n := strings.Count(body, "<!--"); n != 1 {
			t.Errorf("%d HTML comments, where only the record is one", n)
		}
		if len(body) > 65536 {
			t.Errorf("%d bytes", len(body))
		}
	}
}

// A file of the repository that holds a record is shown, and is none.
func TestPullRequestHasOneRecord(t *testing.T) {
	fake := `<!-- remediate {"v":1,"head":"evil"} -->`
	p := filled(1, func() string { return fake })
	p.Candidates[0].Diff = "@@ -1 +1 @@\n # " + fake + "\n"
	_, body := pullRequest(t, p, PullRequestOptions{})
	if strings.Contains(body, "<!--") || !strings.Contains(body, "# < !-- remediate") {
		t.Errorf("somebody's record stands in the body:\n%s", body)
	}
	comment := StatusComment(filledStatus(fake))
	if strings.Count(comment, "<!--") != 1 || strings.Contains(strings.TrimSuffix(comment, record+"\n"), "<!-- remediate") {
		t.Errorf("somebody's record stands in the comment:\n%s", comment)
	}
}

// plainLive is what a forge acts on in a title or a commit message.
var plainLive = regexp.MustCompile(`@\w|[#!$&]\d|[%~]\w|(?i:\bGH-\d)|://|<|\*\*\*|(?i:\[[^\]]*(skip|no.ci)[^\]]*\])`)

func checkPlain(t *testing.T, s string, most int) {
	t.Helper()
	if n := utf8.RuneCountInString(s); n > most || strings.Contains(s, "\n") || !strings.HasPrefix(s, "fix(cilium): ") {
		t.Fatalf("no title of at most %d characters: %.400q", most, s)
	}
	if m := plainLive.FindString(s); m != "" {
		t.Fatalf("%q is live in %.300q", m, s)
	}
}

func TestTitle(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		most     int
	}{
		{"Widen ipv6NativeRoutingCIDR", "fix(cilium): widen ipv6NativeRoutingCIDR", 255},
		{"Set MTU to 1450.", "fix(cilium): set MTU to 1450", 255},
		{"BGP: set the router's id", "fix(cilium): BGP: set the router's id", 255},
		{"Élargir", "fix(cilium): élargir", 255},
		{"Two\nlines", "fix(cilium): two lines", 255},
		{"Ask @org/team, fixes #12, closes o/r#3 and GH-4", "fix(cilium): ask org/team, fixes 12, closes o/r3 and GH4", 255},
		{"Take !12, %3, &4, $5, ~bug and @@@all", "fix(cilium): take 12, 3, 4, 5, bug and all", 255},
		{"Make 100 % of it, a & b!", "fix(cilium): make 100 % of it, a & b!", 255},
		{"Skip [skip ci] and ***NO_CI***", "fix(cilium): skip (skip ci) and *NO_CI*", 255},
		{"Take [ci-skip], [No CI], [nobuild] and [\"a\"]", "fix(cilium): take (ci-skip), (No CI), (nobuild) and [\"a\"]", 255},
		{"Take [s@kip ci]", "fix(cilium): take (skip ci)", 255},
		{"See https://evil.example <b>", "fix(cilium): see https:evil.example (b)", 255},
		{"Go from a -> b", "fix(cilium): go from a -> b", 255},
		{"Widen to fd00:100::/48, all", "fix(cilium): widen to `fd00:100::/48`, all", 255},
		{"Widen to fd00:101::/48", "fix(cilium): widen to fd00:101::/48", 255},
		{"Widen it to the range, and say why it is so", "fix(cilium): widen it to the range", 40},
		{"Widen it to the range and say why it is so", "fix(cilium): widen it to the range and…", 40},
		{"Widen " + strings.Repeat("x", 300), "fix(cilium): widen " + strings.Repeat("x", 20) + "…", 40},
		{"", "fix(cilium): the-id", 255},
	} {
		got := subjectLine(&v1alpha1.Candidate{ID: "the-id", Title: tt.in}, tt.most)
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
		checkPlain(t, got, tt.most)
	}
	if got := subjectLine(&v1alpha1.Candidate{}, 72); got != "fix(cilium): change values" {
		t.Errorf("a candidate without a name: %q", got)
	}
}

// addresses are the addresses and prefixes that stand in a text.
func addresses(s string) []string {
	var out []string
	for _, w := range regexp.MustCompile(`[0-9A-Fa-f:.]+(/\d+)?`).FindAllString(s, -1) {
		w = strings.TrimRight(w, ".")
		addr, _, _ := strings.Cut(w, "/")
		if _, err := netip.ParseAddr(addr); err == nil && addr != "::" {
			out = append(out, w)
		}
	}
	return out
}

func TestPullRequestHasOnlyThePlansAddresses(t *testing.T) {
	p := incident(t)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	known := addresses(string(text))
	if len(known) < 20 {
		t.Fatalf("the plan has only the addresses %q", known)
	}
	for _, c := range p.Candidates {
		title, body := pullRequest(t, p, PullRequestOptions{Candidate: c.ID})
		subject, message := CommitSummary(p, c.ID)
		shown := addresses(title + "\n" + body + "\n" + subject + "\n" + message)
		if len(shown) < 20 {
			t.Errorf("%s shows only %q", c.ID, shown)
		}
		for _, a := range shown {
			if !slices.Contains(known, a) {
				t.Errorf("%s: %s is not in the plan", c.ID, a)
			}
		}
	}
}

func TestPullRequestRedacts(t *testing.T) {
	secrets := []string{"hunter2hunter2", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"}
	p := filled(1, func() string { return "password: hunter2hunter2" })
	p.Candidates[0].Diff = "@@ -1,2 +1,2 @@\n  token: hunter2hunter2\n-a: ghp_abcdefghijklmnopqrstuvwxyz0123456789\n+b: https://x:hunter2hunter2@git.example\n"
	title, body := pullRequest(t, p, PullRequestOptions{})
	subject, message := CommitSummary(p, "")
	comment := StatusComment(filledStatus("password: hunter2hunter2"))
	for what, text := range map[string]string{"title": title, "body": body, "subject": subject, "message": message, "comment": comment} {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("the %s shows a secret:\n%s", what, text)
			}
		}
		if text == "" {
			t.Errorf("no %s", what)
		}
	}
}

func filledStatus(s string) StatusOptions {
	var o StatusOptions
	fill(reflect.ValueOf(&o).Elem(), 3, func() string { return s })
	o.Record = record
	return o
}
