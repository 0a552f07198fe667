package guard_test

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/remediate/guard"
)

func TestParseCommand(t *testing.T) {
	replan := []guard.Command{{Verb: guard.Replan}}
	reject := func(arg string) []guard.Command { return []guard.Command{{Verb: guard.Reject, Arg: arg}} }
	unknown := func(arg string) []guard.Command { return []guard.Command{{Arg: arg}} }
	tests := []struct {
		name, text string
		want       []guard.Command
	}{
		{"nothing", "", nil},
		{"talk", "I would /remediate replan this", nil},
		{"replan", "/remediate replan", replan},
		{"case", "/Remediate RePlan", replan},
		{"space around", "/remediate \t replan  \t", replan},
		{"not at the line's start", " /remediate replan", nil},
		{"after text", "Thanks!\n\n/remediate replan\nbye", replan},
		{"CRLF", "Thanks!\r\n/remediate replan\r\n", replan},
		{"CR", "Thanks!\r/remediate replan\r", replan},
		{"another bot's", "/remediation replan\n/remediate-now\n/remediate/replan", nil},
		{"several", "/remediate replan\n/remediate reject no", []guard.Command{{Verb: guard.Replan}, {Verb: guard.Reject, Arg: "no"}}},
		{"an argument too many", "/remediate replan now, please", []guard.Command{{Verb: guard.Replan, Arg: "now, please"}}},

		{"reject", "/remediate reject  we use  MTU 9000 ", reject("we use MTU 9000")},
		{"reject without a reason", "/remediate reject", reject("")},
		{"reject with a comment inside", "/remediate reject no <!-- @all -->way", reject("no way")},
		{"reject with a comment that stays open", "/remediate reject no <!-- way\n/remediate replan", reject("no")},
		{"control characters", "/remediate reject a\x1b[2Jb\x00c\u202ed\u200b", reject("a[2Jbcd")},
		{"broken text", "/remediate reject a\xff\xfeb", reject("ab")},

		{"candidate", "/remediate candidate use-ip-masq-agent", []guard.Command{{Verb: guard.Choose, Arg: "use-ip-masq-agent"}}},
		{"candidate as code", "/remediate candidate `use-ip-masq-agent`", []guard.Command{{Verb: guard.Choose, Arg: "use-ip-masq-agent"}}},
		{"no candidate", "/remediate candidate", []guard.Command{{Verb: guard.Choose}}},

		{"nothing to do", "/remediate", unknown("")},
		{"unknown verb", "/remediate merge now", unknown("merge now")},
		{"unknown verb that is long", "/remediate " + strings.Repeat("x", 1000), unknown(strings.Repeat("x", 296) + "…")},

		{"code fence", "```\n/remediate replan\n```", nil},
		{"after a fence", "```sh\nx\n```\n/remediate replan", replan},
		{"tilde fence", "~~~\n/remediate reject no\n```\n~~~\n/remediate replan", replan},
		{"longer fence", "````\n```\n/remediate reject no\n```\n````\n/remediate replan", replan},
		{"fence in a list", "- ```\n/remediate reject no\n  ```\n/remediate replan", replan},
		{"open fence", "```\n/remediate replan", nil},
		{"a closing fence has no text", "```\n``` x\n/remediate replan", nil},
		{"code in a line is no fence", "```x``` is code\n/remediate replan", replan},
		{"indented code", "    /remediate replan\n\t/remediate replan", nil},
		{"quote", "> /remediate replan", nil},
		{"quote, then command", "> do it?\n\n/remediate replan", replan},
		{"list", "- /remediate replan\n1. /remediate replan", nil},
		{"HTML comment", "<!-- \n/remediate replan\n-->", nil},
		{"HTML comment in a line", "<!-- x -->/remediate replan", replan},
		{"after an HTML comment", "<!--\nx\n-->\n/remediate replan", replan},
		{"on the line that ends an HTML comment", "<!--\n-->/remediate replan", nil},
		{"open HTML comment", "hi <!--\n/remediate replan", nil},
		{"two HTML comments", "<!-- a --> <!--\n/remediate reject\n--><!--\n/remediate reject\n-->\n/remediate replan", replan},
		{"fence in an HTML comment", "<!--\n```\n-->\n/remediate replan", replan},
		{"HTML comment in a fence", "```\n<!--\n```\n/remediate replan", replan},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, guard.ParseCommand(tt.text)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseSnooze(t *testing.T) {
	tests := []struct {
		arg  string
		want time.Duration
	}{
		{"30m", 30 * time.Minute},
		{"12h", 12 * time.Hour},
		{"7d", 7 * 24 * time.Hour},
		{"2w", 14 * 24 * time.Hour},
		{"1W", 7 * 24 * time.Hour},
		{"90d", guard.MaxSnooze},
		{"91d", guard.MaxSnooze},
		{"999999w", guard.MaxSnooze},
		{"9999999999999999999999w", 0},
		{"0d", 0},
		{"-7d", 0},
		{"7", 0},
		{"7y", 0},
		{"1d12h", 0},
		{"7d please", 0},
		{"1e9d", 0},
		{"٧d", 0},
		{"", 0},
	}
	for _, tt := range tests {
		t.Run(tt.arg, func(t *testing.T) {
			got := guard.ParseCommand("/remediate snooze " + tt.arg)
			want := []guard.Command{{Verb: guard.Snooze, Arg: tt.arg, For: tt.want}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
			if bad := got[0].Problem() != ""; bad != (tt.want == 0) {
				t.Errorf("problem %q", got[0].Problem())
			}
		})
	}
}

func TestProblem(t *testing.T) {
	tests := []struct {
		text, want string
	}{
		{"/remediate replan", ""},
		{"/remediate reject", ""},
		{"/remediate candidate x", ""},
		{"/remediate candidate", "name the candidate"},
		{"/remediate candidate ``", "name the candidate"},
		{"/remediate snooze", "name the time"},
		{"/remediate approve", guard.Usage},
		{"/remediate", guard.Usage},
	}
	for _, tt := range tests {
		got := guard.ParseCommand(tt.text)
		if len(got) != 1 {
			t.Fatalf("%s: %d commands", tt.text, len(got))
		}
		if p := got[0].Problem(); (p == "") != (tt.want == "") || !strings.Contains(p, tt.want) {
			t.Errorf("%s: %q, want %q", tt.text, p, tt.want)
		}
	}
}

func TestParseCommandIsBounded(t *testing.T) {
	got := guard.ParseCommand(strings.Repeat("/remediate reject "+strings.Repeat("字", 1000)+"\n", 1000))
	if len(got) != 20 {
		t.Errorf("%d commands", len(got))
	}
	checkBounded(t, got)
}

func checkBounded(t *testing.T, commands []guard.Command) {
	t.Helper()
	if len(commands) > 20 {
		t.Errorf("%d commands", len(commands))
	}
	for _, c := range commands {
		if len(c.Arg) > 300 || !utf8.ValidString(c.Arg) {
			t.Errorf("an argument of %d bytes: %.100q", len(c.Arg), c.Arg)
		}
		for _, r := range c.Arg {
			if !unicode.IsPrint(r) {
				t.Errorf("unprintable %U in %q", r, c.Arg)
			}
		}
		if c.For < 0 || c.For > guard.MaxSnooze || c.For != 0 && c.Verb != guard.Snooze {
			t.Errorf("%s for %v", c.Verb, c.For)
		}
		switch c.Verb {
		case guard.Replan, guard.Reject, guard.Choose, guard.Snooze, "":
		default:
			t.Errorf("verb %q", c.Verb)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{
		"/remediate replan", "/remediate snooze 7d\n/remediate reject because", "```\n/remediate replan\n```",
		"> quote\n<!-- x -->\n/remediate candidate `a`", "~~~\r\n<!--\r/remediate\u00a0replan", "- ```\n\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := guard.ParseCommand(s)
		checkBounded(t, got)
		if n := strings.Count(strings.ToLower(s), "/remediate"); len(got) > n {
			t.Errorf("%d commands out of %d mentions", len(got), n)
		}
		// What is quoted whole, and what is code, commands nothing.
		if len(got) > 0 && !strings.ContainsAny(s, "\r") {
			if q := guard.ParseCommand("> " + strings.ReplaceAll(s, "\n", "\n> ")); len(q) > 0 {
				t.Errorf("a quote commands: %+v", q)
			}
		}
		if !strings.Contains(s, "~~~") {
			if q := guard.ParseCommand("~~~\n" + s + "\n~~~"); len(q) > 0 {
				t.Errorf("code commands: %+v", q)
			}
		}
	})
}
