package report

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestLine(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "pods are fine", "pods are fine"},
		{"letters of the world", "größe 字 é", "größe 字 é"},
		{"line breaks and tabs", " a\r\n\tb \n c ", "a b c"},
		{"escape sequence", "\x1b[31mred", `\x1b[31mred`},
		{"bell and delete", "a\a\x7f", `a\x07\x7f`},
		{"C1 control", "\u009b31m", `\x9b31m`},
		{"right-to-left override", "a\u202eb", `a\u202eb`},
		{"isolates and marks", "\u2066\u2069\u200f", `\u2066\u2069\u200f`},
		{"zero width", "a\u200bb\ufeff", `a\u200bb\ufeff`},
		{"tags", "\U000e0041", `\U000e0041`},
		{"line separator", "a\u2028b", `a\u2028b`},
		{"invalid UTF-8", "a\xffb", `a\xffb`},
		{"replacement rune itself", "a\ufffdb", "a\ufffdb"},
		{"invisible letter", "a\u3164b", `a\u3164b`},
		{"carriage return inside", "a\rb", "a b"},
		{"vertical tab", "a\vb", `a\x0bb`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := line(tt.in); got != tt.want {
				t.Errorf("line(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestLineIsBounded(t *testing.T) {
	if got := line(strings.Repeat("字", 1<<20)); len(got) > maxLine+len("…") || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes, ends in %q", len(got), got[len(got)-6:])
	}
}

func TestLineIsAlwaysPrintable(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(r, "s")
		got := line(s)
		if !utf8.ValidString(got) {
			r.Fatalf("line(%q) = %q is not UTF-8", s, got)
		}
		for _, c := range got {
			if unprintable(c) {
				r.Fatalf("line(%q) holds %U", s, c)
			}
		}
		if line(got) != got && !strings.HasSuffix(got, "…") && !strings.Contains(got, mask) {
			r.Fatalf("line is not stable: %q, then %q", got, line(got))
		}
	})
}

func TestRedact(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"user and password in a URL", "fetch https://bot:hunter2@git.example/repo failed", "fetch https://[redacted]@git.example/repo failed"},
		{"token alone in a URL", "https://s3cr3t@git.example", "https://[redacted]@git.example"},
		{"URL without user", "https://git.example/a@b", "https://git.example/a@b"},
		{"bearer", "Authorization: Bearer abcdefghijklmnop.q", "Authorization: Bearer [redacted]"},
		{"GitHub", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[redacted]"},
		{"GitLab", "use glpat-abcdefghijklmnopqrst now", "use [redacted] now"},
		{"AWS", "AKIAABCDEFGHIJKLMNOP", "[redacted]"},
		{"JWT", "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM", "[redacted]"},
		{"values", "  adminPassword: hunter2 # really", "  adminPassword: [redacted]"},
		{"added line of a diff", "+  token: abc", "+  token: [redacted]"},
		{"JSON", `{"apiKey": "abc"}`, `{"apiKey": [redacted]}`},
		{"reference to a Secret", "secretName: cilium-ca", "secretName: cilium-ca"},
		{"key of a mapping", "secret:\n  name: x", "secret:\n  name: x"},
		{"key", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "[redacted]"},
		{"address", "[fd00:101:96::8:d48b]:80: i/o timeout", "[fd00:101:96::8:d48b]:80: i/o timeout"},
		{"word bearer", "the bearer of news", "the bearer of news"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := redact(tt.in); got != tt.want {
				t.Errorf("redact(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestCredentialsReachNoPage(t *testing.T) {
	p := incident(t)
	const leak = "hunter2hunter2"
	p.Findings[0].Evidence[5].Text = "GET https://bot:" + leak + "@git.example: 403"
	p.Candidates[0].Diff += "\n password: " + leak + "\n"
	p.Subject.Repository = "https://bot:" + leak + "@git.example/repo"
	p.Commands[0].Command = "curl -H 'Authorization: Bearer " + leak + "'"
	for name, got := range map[string]string{"text": text(t, p, TextOptions{}), "markdown": markdown(t, p), "html": htmlPage(t, p)} {
		if strings.Contains(got, leak) {
			t.Errorf("%s holds the credential", name)
		}
	}
}
