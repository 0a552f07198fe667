package gitlab

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/remediate-dev/remediate/gitops/forge"
)

func TestDraftPrefix(t *testing.T) {
	for title, want := range map[string][2]string{
		"fix: it":                   {"", "fix: it"},
		"Draft: fix: it":            {"Draft: ", "fix: it"},
		"draft:fix":                 {"draft:", "fix"},
		"[Draft] fix":               {"[Draft] ", "fix"},
		"(DRAFT) fix":               {"(DRAFT) ", "fix"},
		"Draft: [draft] Draft: fix": {"Draft: [draft] Draft: ", "fix"},
		"Drafting a fix":            {"", "Drafting a fix"},
		"fix: Draft: it":            {"", "fix: Draft: it"},
		"Draft:":                    {"Draft:", ""},
		"":                          {"", ""},
	} {
		if prefix, rest := cutDraft(title); prefix != want[0] || rest != want[1] {
			t.Errorf("cutDraft(%q) = %q, %q; want %q", title, prefix, rest, want)
		}
	}
	long := strings.Repeat("ä", forge.MaxTitle)
	got := addDraft(draftPrefix, long)
	if n := utf8.RuneCountInString(got); n != forge.MaxTitle || !strings.HasPrefix(got, "Draft: ä") || !strings.HasSuffix(got, "ä…") {
		t.Errorf("%d characters: %s", n, got)
	}
	if got := addDraft("", long); got != long {
		t.Errorf("cut although it fits: %s", got)
	}
}

func TestNoQuickActions(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"none":                {"a / b\n- /c\n", "a / b\n- /c\n"},
		"first line":          {"/close", "&sol;close"},
		"a later line":        {"a\n/close\nb", "a\n&sol;close\nb"},
		"Windows":             {"a\r\n/close\r\n", "a\n&sol;close\n"},
		"old Macs":            {"a\r/close", "a\n&sol;close"},
		"indented":            {"a\n   /close\n\t/merge", "a\n   &sol;close\n\t&sol;merge"},
		"behind what is none": {"\u200b/close\n\ufeff/close\n\u00a0/close", "\u200b&sol;close\n\ufeff&sol;close\n\u00a0&sol;close"},
		"block of code":       {"```yaml\n/close\n```\n/close\n", "```yaml\n/close\n```\n&sol;close\n"},
		"open block":          {"```\n/close\n", "```\n&sol;close\n"},
		"block, then open":    {"```\n/a\n```\n```\n/close", "```\n/a\n```\n```\n&sol;close"},
		"tildes":              {"~~~\n/close\n~~~\n", "~~~\n&sol;close\n~~~\n"},
		"indented fence":      {" ```\n/close\n ```\n", " ```\n&sol;close\n ```\n"},
		"quoted end":          {"```\n/a\n> ```\n/close\n", "```\n&sol;a\n> ```\n&sol;close\n"},
		"words at the end":    {"```\n/close\n``` x\n", "```\n&sol;close\n``` x\n"},
		"code within a line":  {"``` a ```\n/close\n```\n", "``` a ```\n&sol;close\n```\n"},
		"comment":             {"<!--\n/close\n-->", "<!--\n&sol;close\n-->"},
		"two":                 {"//close", "&sol;/close"},
	} {
		got := noQuickActions(tt.text)
		if got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if again := noQuickActions(got); again != got {
			t.Errorf("%s: the second time %q", name, again)
		}
		if back := asSent(got); back != newlines.Replace(tt.text) {
			t.Errorf("%s: comes back as %q", name, back)
		}
	}
}

// No text gets a line past that GitLab could take for a command.
func FuzzNoQuickActions(f *testing.F) {
	for _, seed := range []string{"/close", "```\n/close\n```", "a\r/close", "```\n```\n/close\n```", "\u2028/close", "```\n \n/merge\n```  \n/close"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := noQuickActions(text)
		inside := false
		for _, line := range strings.Split(got, "\n") {
			switch {
			case strings.HasPrefix(line, fence):
				inside = !inside
			case !inside && strings.HasPrefix(strings.TrimLeft(line, " \t"), "/"):
				t.Fatalf("%q: line %q of %q", text, line, got)
			}
		}
	})
}

func TestWords(t *testing.T) {
	for body, want := range map[string]string{
		`{"message":"404 Project Not Found"}`:                                     "404 Project Not Found",
		`{"message":["Another open","!7"]}`:                                       "Another open; !7",
		`{"message":{"title":["is too long"],"base":["x"]}}`:                      "x; title is too long",
		`{"error":"insufficient_scope","error_description":"more","scope":"api"}`: "insufficient_scope; more; api",
		`{"message":{"a":{"b":["deep"]}}}`:                                        "b deep",
		`{"message":7}`:                                                           "",
		`Retry later`:                                                             "Retry later",
		`["a"]`:                                                                   `["a"]`,
		``:                                                                        "",
	} {
		if got := words([]byte(body)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestIsPath(t *testing.T) {
	for path, want := range map[string]bool{
		"gruppe/größe": true, "a.b_c+d-1": true, strings.Repeat("ä", 255): true,
		"": false, strings.Repeat("ä", 256): false, "a b": false, "a\nb": false, "a\x1b[31m": false,
	} {
		if got := isPath(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}
