package edit

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	goyaml "sigs.k8s.io/yaml/goyaml.v2"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

var (
	hints = []yaml.Style{0, yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle, yaml.LiteralStyle, yaml.FoldedStyle}
	odd   = rapid.OneOf(
		rapid.String(),
		rapid.StringOf(rapid.SampledFrom([]rune("a1-:#,[]{}&*!|>'\"%@`?~=. \t\n\\xüE_0+<"))),
		rapid.SampledFrom([]string{"", "yes", "No", "ON", "y", "n", "null", "Null", "~", "true", "1e3", "0x1f", "0o7", "017", "1_000",
			"1:30", ".5", ".inf", "-.INF", ".nan", "2026-01-02", "2026-01-02T03:04:05Z", "=", "<<", "---", "...", "--- a", "- a", "? a", "a:",
			": a", "a: b", "a #b", "#a", "::1", "fd00::", "fd00::/8", "${X}", "{{x}}", "\u0085", "\u2028", "\ufeff", "\x7f", "a\n", "\na", "a\n\n", " a\n", "a \nb"}),
	)
)

// A string comes back from block and flow context in any style, read by YAML
// 1.2 and by the YAML 1.1 reader that Helm uses.
func TestScalarsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := odd.Draw(t, "string")
		hint := rapid.SampledFrom(hints).Draw(t, "hint")
		w := &writer{look: &style{width: 2, list: 2}}
		v := scalar("!!str", s)
		block := strings.Join(w.entry("k", v, hint), "\n") + "\n"
		flow := "[" + w.scalar(v, hint, true) + ", {k: " + w.scalar(v, hint, true) + "}]\n"
		for text, want := range map[string]any{
			block: map[string]any{"k": s},
			flow:  []any{s, map[string]any{"k": s}},
		} {
			var got any
			if err := yaml.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%q reads as %#v (%v), want %#v", text, got, err, want)
			}
			var old any
			if err := goyaml.Unmarshal([]byte(text), &old); err != nil || !reflect.DeepEqual(stringKeys(old), want) {
				t.Fatalf("%q reads as %#v (%v) in YAML 1.1, want %#v", text, old, err, want)
			}
		}
	})
}

func TestKeysRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := odd.Draw(t, "key")
		w := &writer{look: &style{width: 2, list: 2}}
		want := map[string]any{key: 1}
		for _, text := range []string{strings.Join(w.entry(key, scalar("!!int", "1"), 0), "\n"), "{" + w.pair(key, scalar("!!int", "1"), 0) + "}"} {
			var got any
			if err := yaml.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, any(want)) {
				t.Fatalf("%q reads as %#v (%v)", text, got, err)
			}
		}
	})
}

func stringKeys(v any) any {
	switch v := v.(type) {
	case map[any]any:
		out := map[string]any{}
		for k, x := range v {
			s, _ := k.(string)
			out[s] = stringKeys(x)
		}
		return out
	case []any:
		for i := range v {
			v[i] = stringKeys(v[i])
		}
	}
	return v
}

func TestToNode(t *testing.T) {
	for _, c := range []struct {
		in   any
		want string
	}{
		{nil, "k: null"}, {true, "k: true"}, {"x", "k: x"}, {int8(-1), "k: -1"}, {uint64(math.MaxUint64), "k: 18446744073709551615"},
		{1.0, "k: 1"}, {0.25, "k: 0.25"}, {float32(0.5), "k: 0.5"}, {1e300, "k: 1e+300"}, {math.Inf(1), "k: .inf"}, {math.Inf(-1), "k: -.inf"}, {math.NaN(), "k: .nan"},
		{[]string{"a"}, "k:\n  - a"}, {[]any{}, "k: []"}, {map[string]string{}, "k: {}"},
		{map[string]any{"b": 1, "enabled": true, "a": nil}, "k:\n  enabled: true\n  a: null\n  b: 1"},
		{map[string]string{"b": "1", "a": "x"}, "k:\n  a: x\n  b: \"1\""},
		{[]map[string]any{{"a": 1}}, "k:\n  - a: 1"},
		{[]KV{{"b", 1}, {"a", []KV{}}}, "k:\n  b: 1\n  a: {}"},
		{parsed(t, "b: 0x10 # c\na: ['1', 2.50, ~, on]\n"), "k:\n  b: 0x10\n  a:\n    - \"1\"\n    - 2.50\n    - ~\n    - \"on\""},
	} {
		n, err := toNode(c.in)
		if err != nil {
			t.Errorf("%v: %v", c.in, err)
			continue
		}
		w := &writer{look: &style{width: 2, list: 2}}
		if diff := cmp.Diff(c.want, strings.Join(w.entry("k", n, 0), "\n")); diff != "" {
			t.Errorf("%v:\n%s", c.in, diff)
		}
	}
}

func parsed(t *testing.T, src string) *yaml.Node {
	t.Helper()
	docs, err := Documents([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return docs[0]
}

func TestToNodeRefuses(t *testing.T) {
	endless := []any{nil}
	endless[0] = endless
	for name, v := range map[string]any{
		"an odd type": make(chan int), "an endless list": endless, "an alias": parsed(t, "a: &x 1\nb: *x\n"),
		"a tag": parsed(t, "a: !mine x\n"), "a mapping as key": parsed(t, "? {a: 1}\n: 1\n"), "a key twice": []KV{{"a", 1}, {"a", 2}},
		"a key that is not UTF-8": map[string]any{"\xff": 1},
	} {
		if n, err := toNode(v); err == nil {
			t.Errorf("%s: %v", name, n)
		}
	}
}

func TestDetectStyle(t *testing.T) {
	for _, c := range []struct {
		name, src   string
		width, list int
		flow, pad   bool
		ranges      yaml.Style
		strings     yaml.Style
	}{
		{"nothing to see", "a: 1\n", 2, 2, false, false, 0, 0},
		{"four", "a:\n    b:\n        c: 1\n", 4, 4, false, false, 0, 0},
		{"lists without indentation", "a:\n- 1\nb:\n- 2\nc:\n  - 3\n", 2, 0, false, false, 0, 0},
		{"flow", "a: [1]\nb: { c: 1 }\n", 2, 2, true, true, 0, 0},
		{"quotes by kind", "a: native\nb: x\nc: \"10.0.0.0/8\"\nd: 'fd00::/8'\ne: \"::1\"\n", 2, 2, false, false, yaml.DoubleQuotedStyle, 0},
		{"single quotes", "a: 'x'\nb: 'y'\nc: z\n", 2, 2, false, false, yaml.SingleQuotedStyle, yaml.SingleQuotedStyle},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &editor{src: newText([]byte(c.src)), root: parsed(t, c.src).Content[0]}
			s := e.style()
			if s.width != c.width || s.list != c.list || s.flowList != c.flow || s.pad != c.pad {
				t.Errorf("style %+v", s)
			}
			if got := s.hint("fd00::/8"); got != c.ranges {
				t.Errorf("a range is quoted as %d, want %d", got, c.ranges)
			}
			if got := s.hint("text"); got != c.strings {
				t.Errorf("a string is quoted as %d, want %d", got, c.strings)
			}
		})
	}
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		keys    string
		key     string
		after   int
		related bool
	}{
		{"routingMode ipv4NativeRoutingCIDR mtu", "ipv6NativeRoutingCIDR", 1, true},
		{"enableIPv4Masquerade bpf", "enableIPv6Masquerade", 0, true},
		{"ipv6NativeRoutingCIDR bpf", "ipv4NativeRoutingCIDR", 0, true},
		{"k8sServiceHost bpf", "k8sServicePort", 0, true},
		{"bpf ipam", "ipMasqAgent", 1, false},
		{"a c e g", "d", 1, false},
		{"b c e g", "a", -1, false},
		{"a c b g", "d", 3, false},
		{"B c E g", "d", 1, false},
		{"ipv4 bpf", "ipv6", 0, true},
		{"masquerade enableIPv4Masquerade enableIPv4BIGTCP", "enableIPv6BIGTCP", 2, true},
	} {
		m := &yaml.Node{Kind: yaml.MappingNode}
		for k := range strings.FieldsSeq(c.keys) {
			m.Content = append(m.Content, scalar("!!str", k), scalar("!!int", "1"))
		}
		if after, related := place(m, c.key); after != c.after || related != c.related {
			t.Errorf("%s among %s: after %d, related %v; want %d, %v", c.key, c.keys, after, related, c.after, c.related)
		}
	}
}
