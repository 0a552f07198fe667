package observe

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// agree checks that the fast converter gives up or says what the parser says.
func agree(t rapid.TB, text string) (plain bool) {
	t.Helper()
	fast, ok := plainToJSON([]byte(text))
	if !ok {
		return false
	}
	full, err := yamlToJSON([]byte(text), defaultLimits())
	if err != nil {
		t.Fatalf("the parser refuses what the fast converter takes: %v\n%s\n%s", err, text, fast)
	}
	if string(full) != string(fast) {
		t.Fatalf("parser %s\n  fast %s\n%s", full, fast, text)
	}
	return true
}

func TestPlainToJSON(t *testing.T) {
	tests := []struct {
		text  string
		plain bool
	}{
		{"a: b\n", true},
		{"a: 1\nb: true\nc: \"2\"\nd: 'x y'\ne:\nf: {}\ng: []\nh: \"\"\n", true},
		{"a:\n- x\n- y: 1\n  z: 2\n- w\nb: c\n", true},
		{"a:\n  - x\n  -   y: 1\n      z: 2\n", true},
		{"# head\na:\n\n  # between\n  b: c # d\n", false},
		{"# head\na:\n\n  # between\n  b: c\n", true},
		{"- a: 1\n  b:\n  - 2\n", true},
		{"f:data: {}\napp.kubernetes.io/name: x\n", true},
		{"ip: fd00:101::10\ncidr: 10.0.0.0/8\nversion: 1.18.6\nflag: --a=b,c\ntime: 2026-01-02T03:04:05Z\n", true},
		{"url: http://x/y\n", true},
		{"a: 1.5\n", false}, {"a: 010\n", false}, {"a: 1_000\n", false}, {"a: 0x1f\n", false}, {"a: 1e3\n", false}, {"a: -0\n", false},
		{"a: ~\n", false}, {"a: null\n", false}, {"a: Yes\n", false}, {"a: .inf\n", false}, {"a: -5\n", true}, {"a: 0\n", true},
		{"a: &x b\n", false}, {"a: *x\n", false}, {"a: !!str 5\n", false}, {"<<: *x\n", false}, {"? a\n", false},
		{"a: |\n  x\n", false}, {"a: >-\n  x\n", false}, {"a: b\n  c\n", false}, {"a: \"b\n  c\"\n", false},
		{"a: \"\\n\"\n", false}, {"a: 'it''s'\n", false}, {"a: {b: c}\n", false}, {"a: [b]\n", false},
		{"a: b: c\n", false}, {"a: b:\n", false}, {"a\n", false}, {"- - a\n", false}, {"-\n  a: b\n", false},
		{"a: 1\na: 2\n", false}, {"a: 1\n b: 2\n", false}, {"a:\n   b: 1\n  c: 2\n", false}, {"a: b\n---\nc: d\n", false},
		{"a:\tb\n", false}, {"a: b\r\n", false}, {"a: ä\n", false}, {" a: b\n", false}, {"", false}, {"# only\n", false},
		{"a:\n- b\n-c\n", false}, {"a: '\"'\n", false}, {"a: - b\n", false}, {"-1: x\n", false}, {"a: ---b\n", false},
		{"--- a\n", false}, {"true: 1\n1: 2\n", true},
	}
	for _, tt := range tests {
		if got := agree(t, tt.text); got != tt.plain {
			t.Errorf("plain(%q) = %v, want %v", tt.text, got, tt.plain)
		}
	}
}

// scalars that YAML readers are known to disagree about stand among plain ones.
var scalars = rapid.SampledFrom([]any{
	"x", "a b", "true", "yes", "null", "~", "1", "1.5", "0x10", "010", "1e3", "10.0.0.0/8", "fd00::1", "2001:db8::", "::1", "1.2.3",
	"- a", "a: b", "a #b", "#b", " lead", "trail ", "", "--flag=x", "-", "--", "a\nb\n", "ä", "\"", "'", "\\", "{}", "[]", "*a", "&a", "!a", "@a", "%a", "2026-01-02T03:04:05Z", "12:30", "1:2:3", "5f4bd54c9d", "12e5", "1e5d", "0b1f", "0x1g", "1_0a", "0o8", "a:", ":a", "<<", "=", "+1", ".5", "_", "1_0",
	0, 1, -7, 123456789012345, 1.5, true, false, nil,
})

func genValue(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 3).Draw(t, "kind")
	if depth == 0 || kind == 0 {
		return scalars.Draw(t, "scalar")
	}
	n := rapid.IntRange(0, 3).Draw(t, "n")
	if kind == 1 {
		out := []any{}
		for range n {
			out = append(out, genValue(t, depth-1))
		}
		return out
	}
	out := map[string]any{}
	for range n {
		key := rapid.SampledFrom([]string{"a", "b-c", "d.e/f", "g:h", "true", "1", "on", "-x", "k l", "", "~", "'", "0x1", "<<"}).Draw(t, "key")
		out[key] = genValue(t, depth-1)
	}
	return out
}

func TestPlainToJSONAgreesWithTheParser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := yaml.Marshal(genValue(t, 4))
		if err != nil {
			t.Fatal(err)
		}
		agree(t, string(text))
	})
}

// The parser agrees too on lines put together at random.
func TestPlainToJSONOnOddText(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b:", ": ", ":", "- ", "-", "  ", " ", "\n", "\n", "1", ".", "\"", "'", "#", "x y", "true", "/", "{}", "---", ",", "(", "="})
	rapid.Check(t, func(t *rapid.T) {
		agree(t, strings.Join(rapid.SliceOfN(part, 1, 14).Draw(t, "parts"), ""))
	})
}

// What Write writes is plain but for texts: otherwise the speed would be lost.
func TestIncidentIsMostlyPlain(t *testing.T) {
	files, err := filepath.Glob(incidents + "talos-ipv6-ula/snapshot/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		plain := agree(t, string(text))
		if base := filepath.Base(name); (base == "pods.yaml" || base == "nodes.yaml" || base == "ciliumendpoints.yaml") && !plain {
			t.Errorf("%s is not plain", base)
		}
	}
}

func FuzzPlainToJSON(f *testing.F) {
	f.Add("a:\n- b: 1\n  c: 'x'\n")
	f.Add("0:\n#0000\x00000")
	f.Add("0:\n- A ")
	f.Fuzz(func(t *testing.T, text string) {
		fast, ok := plainToJSON([]byte(text))
		if !ok {
			return
		}
		full, err := yamlToJSON([]byte(text), defaultLimits())
		if err != nil {
			t.Fatalf("the parser refuses what the fast converter takes: %v\n%q", err, text)
		}
		var a, b any
		if json.Unmarshal(fast, &a) != nil || json.Unmarshal(full, &b) != nil || !cmp.Equal(a, b) {
			t.Fatalf("parser %s\n  fast %s\n%q", full, fast, text)
		}
	})
}
