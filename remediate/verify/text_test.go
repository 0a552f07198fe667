package verify

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// What others wrote is shown without what a terminal would act on, and cut at whole
// characters.
func TestClip(t *testing.T) {
	tests := []struct {
		name, in string
		n        int
		want     string
	}{
		{"plain", "node-1", 20, "node-1"},
		{"lines", "one\ntwo\r\n\tthree", 40, "one two three"},
		{"escape", "a\x1b[31mred", 40, "a [31mred"},
		{"zero", "a\x00b", 40, "a b"},
		{"other direction", "a\u202eb", 40, "a b"},
		{"no width", "a\u200bb", 40, "a b"},
		{"no UTF-8", "a\xff\xfeb", 40, "a��b"},
		{"spaces at both ends", "  a  ", 40, "a"},
		{"nothing but controls", "\x00\n\x1b", 40, ""},
		{"cut", "abcdef", 3, "abc"},
		{"cut within a character", "aéé", 2, "a"},
		{"cut before a space", "ab cd", 3, "ab"},
		{"nothing", "", 5, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := clip(tt.in, tt.n)
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if len(got) > tt.n || !utf8.ValidString(got) {
				t.Errorf("%q: %d bytes", got, len(got))
			}
		})
	}
	if got := name(strings.Repeat("n", 5000)); len(got) != maxName {
		t.Errorf("%d bytes of a name", len(got))
	}
}

func TestSome(t *testing.T) {
	for want, names := range map[string][]string{
		"":                         nil,
		"a":                        {"a"},
		"a, b, c, d, e":            {"a", "b", "c", "d", "e"},
		"a, b, c, d, e and 2 more": {"a", "b", "c", "d", "e", "f", "g"},
		"a b":                      {"a\nb"},
	} {
		if got := some(names); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		plural(0, "key differs", "keys differ"): "0 keys differ",
		plural(1, "key differs", "keys differ"): "1 key differs",
		plural(2, "key differs", "keys differ"): "2 keys differ",
		lasted(-time.Second):                    "0s",
		lasted(1499 * time.Millisecond):         "1s",
		lasted(16 * time.Hour):                  "16h0m0s",
		said(""):                                "",
		said("\n\x00"):                          "",
		said("why\nnot"):                        ": why not",
		short(commit):                           commit[:12],
		short("main"):                           "main",
		short("0123456789abcdefg"):              "0123456789abcdefg",
		revision(""):                            "no revision",
		revision("main@sha1:x"):                 "main@sha1:x",
		unready(snapshot.Yes, "fine"):           "",
		unready(snapshot.Unknown, "who knows"):  "",
		unready(snapshot.No, "time out"):        ": time out",
		shown(nil):                              "not set",
		shown(ptr("a\"b")):                      `"a\"b"`,
		Wait{Text: "b"}.String():                "b",
		Wait{Object: "a", Text: "b"}.String():   "a: b",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := shown(ptr(strings.Repeat("v", 500))); len(got) > 90 {
		t.Errorf("%d bytes of a value", len(got))
	}
}

// Times that are not known are none, neither the first nor the last.
func TestEarliestAndLatest(t *testing.T) {
	none, a, b := time.Time{}, after(0), after(time.Minute)
	if got := earliest(none, b, a, none); !got.Equal(a) {
		t.Errorf("earliest %s", got)
	}
	if got := latest(none, b, a, none); !got.Equal(b) {
		t.Errorf("latest %s", got)
	}
	if !earliest().IsZero() || !earliest(none).IsZero() || !latest(none).IsZero() {
		t.Error("of nothing there is none")
	}
	if got := latestOr(b, a); !got.Equal(a) {
		t.Errorf("what lies ahead is not believed: %s", got)
	}
	if got := latestOr(none, b); !got.Equal(b) {
		t.Errorf("what is not known: %s", got)
	}
}

func TestAll(t *testing.T) {
	const y, n, u = snapshot.Yes, snapshot.No, snapshot.Unknown
	for _, tt := range []struct {
		in   []snapshot.Tri
		want snapshot.Tri
	}{{nil, y}, {[]snapshot.Tri{y, y}, y}, {[]snapshot.Tri{y, u}, u}, {[]snapshot.Tri{u, n, y}, n}, {[]snapshot.Tri{n, u}, n}} {
		if got := all(tt.in...); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.in, got, tt.want)
		}
	}
}
