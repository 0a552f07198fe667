package report

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		in   string
		w    int
		want string
	}{
		{"short", 10, "short"},
		{"exactly", 7, "exactly"},
		{"a sentence that is too long", 20, "a sentence that is…"},
		{"unbroken-and-long", 8, "unbroke…"},
		{"字字字字", 5, "字字…"},
		{"words, then", 8, "words…"},
	} {
		if got := cut(tt.in, tt.w); got != tt.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.in, tt.w, got, tt.want)
		}
	}
}

func TestCutMiddle(t *testing.T) {
	for _, tt := range []struct {
		in   string
		w    int
		want string
	}{
		{"a/b.yaml:5", 20, "a/b.yaml:5"},
		{"kubernetes/apps/networking/cilium/app/values.yaml:52", 24, "…/app/values.yaml:52"},
		{"averyveryverylongname", 6, "…gname"},
	} {
		if got := cutMiddle(tt.in, tt.w); got != tt.want {
			t.Errorf("cutMiddle(%q, %d) = %q, want %q", tt.in, tt.w, got, tt.want)
		}
	}
}

func TestCutSentence(t *testing.T) {
	for _, tt := range []struct {
		in   string
		w    int
		want string
	}{
		{"It fits.", 20, "It fits."},
		{"The first part holds. The second is cut", 30, "The first part holds"},
		{"No clause in the whole of this text", 20, "No clause in the…"},
		{"It helps, but it also hurts much", 16, "It helps, but…"},
	} {
		if got := cutSentence(tt.in, tt.w); got != tt.want {
			t.Errorf("cutSentence(%q, %d) = %q, want %q", tt.in, tt.w, got, tt.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		in   string
		w    int
		want []string
	}{
		{"", 10, []string{""}},
		{"one two three", 9, []string{"one two", "three"}},
		{"abcdefghijkl", 8, []string{"abcdefgh", "ijkl"}},
		{"a abcdefghijkl b", 8, []string{"a abcdef", "ghijkl b"}},
		{"pod flux-system/source-controller-6ccfd78764-rzfnk on node-2", 45, []string{"pod flux-system/source-controller-6ccfd78764-", "rzfnk on node-2"}},
	} {
		if got := wrap(tt.in, tt.w); !slices.Equal(got, tt.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.in, tt.w, got, tt.want)
		}
	}
	if got := wrapMax("one two three four five", 9, 2); !slices.Equal(got, []string{"one two", "three…"}) {
		t.Errorf("wrapMax = %q", got)
	}
}

func TestWrapFitsAndLosesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := line(rapid.String().Draw(r, "s"))
		w := rapid.IntRange(8, 60).Draw(r, "w")
		lines := wrap(s, w)
		for _, l := range lines {
			if width(l) > w {
				r.Fatalf("%q has %d of %d cells", l, width(l), w)
			}
		}
		got, want := strings.ReplaceAll(strings.Join(lines, ""), " ", ""), strings.Join(strings.Fields(s), "")
		if got != want {
			r.Fatalf("got %q, want %q", got, want)
		}
		if c := cut(s, w); width(c) > w {
			r.Fatalf("cut to %q, %d of %d cells", c, width(c), w)
		}
	})
}

func TestPad(t *testing.T) {
	if got := pad("字", 4) + "|" + padLeft("a", 3) + "|" + pad("long", 2); got != "字  |  a|long" {
		t.Errorf("got %q", got)
	}
}

func TestSpans(t *testing.T) {
	code := func(s string) string {
		var out []string
		for _, sp := range spans(s) {
			if sp.Code {
				out = append(out, sp.Text)
			}
		}
		return strings.Join(out, " ")
	}
	for _, tt := range []struct{ in, want string }{
		{"the pods' range fd00:101:224::/60 is outside.", "fd00:101:224::/60"},
		{"(fd00:101::15), the node", "fd00:101::15"},
		{"dial tcp [fd00:101:96::8:d48b]:80: i/o timeout", "[fd00:101:96::8:d48b]:80"},
		{"10.101.0.0/16 and 10.1.2.3:80", "10.101.0.0/16 10.1.2.3:80"},
		{"set bpf.masquerade, rollOutCiliumPods and --chart.", "bpf.masquerade rollOutCiliumPods --chart"},
		{"in app/values.yaml:52 of DaemonSet/cilium", "app/values.yaml:52 DaemonSet/cilium"},
		{"run `cilium status` now", "cilium status"},
		{"`a``b` joins", "ab"},
		{"plain words, and/or e.g. pod-to-pod IPv6 at 1.18.6", ""},
		{"an odd ` tick", ""},
		{"", ""},
	} {
		if got := code(tt.in); got != tt.want {
			t.Errorf("%q: code %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestSpansLoseNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.StringMatching("[a-z:. /\\[\\]()A-Z0-9-]*").Draw(r, "s")
		var b strings.Builder
		for _, sp := range spans(s) {
			b.WriteString(sp.Text)
		}
		if b.String() != s {
			r.Fatalf("spans of %q give %q", s, b.String())
		}
	})
}
