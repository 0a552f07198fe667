package edit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/gitops/edit"
)

// edits is one table row: a path in dotted form, a value, the text before and after.
type edits struct {
	name  string
	path  string
	value any
	in    string
	want  string
}

func (c edits) run(t *testing.T) {
	t.Helper()
	path, err := edit.ParsePath(c.path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := edit.Apply([]byte(c.in), edit.Change{Document: -1, Path: path, Value: c.value})
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	if diff := cmp.Diff(c.want, string(got)); diff != "" {
		t.Errorf("text differs (-want +got):\n%s", diff)
	}
}

func runAll(t *testing.T, cases []edits) {
	for _, c := range cases {
		t.Run(c.name, c.run)
	}
}

func TestReplaceScalar(t *testing.T) {
	runAll(t, []edits{
		{"double quotes stay", "a", "fd00:101::/38", "a: \"fd00:101::/48\"  # nodes\nb: 1\n", "a: \"fd00:101::/38\"  # nodes\nb: 1\n"},
		{"single quotes stay", "a", "it's", "a: 'x'\n", "a: 'it''s'\n"},
		{"single quotes give way to a control character", "a", "x\ty", "a: 'x'\n", "a: \"x\\ty\"\n"},
		{"plain stays plain", "a", "fd00:101::/38", "a: fd00:101::/48\n", "a: fd00:101::/38\n"},
		{"plain is quoted when it must", "a", "fd00::", "a: fd00::/48\n", "a: \"fd00::\"\n"},
		{"quotes as elsewhere in the file", "a", "fd00::", "a: fd00::/48\nb: 'x'\n", "a: 'fd00::'\nb: 'x'\n"},
		{"a string that looks like a number", "a", "1500", "a: x\n", "a: \"1500\"\n"},
		{"a string that looks like a bool to YAML 1.1", "a", "on", "a: x\n", "a: \"on\"\n"},
		{"an int over a quoted string", "a", 1500, "a: \"1450\"\n", "a: 1500\n"},
		{"a bool", "a", false, "a: true # why\n", "a: false # why\n"},
		{"a number from JSON", "a", float64(1500), "a: 1450\n", "a: 1500\n"},
		{"a fraction", "a", 0.5, "a: 1\n", "a: 0.5\n"},
		{"null", "a", nil, "a: 1\n", "a: null\n"},
		{"the same value in another spelling is left alone", "a", true, "a: True\n", "a: True\n"},
		{"a template that stands there already", "a", "{{ x }}", "a: '{{ x }}'\n", "a: '{{ x }}'\n"},
		{"what an alias shares and is so already", "a", 1, "a: &x 1\nb: *x\n", "a: &x 1\nb: *x\n"},
		{"over an empty value", "a", "x", "a:\nb: 1\n", "a: x\nb: 1\n"},
		{"over an empty value with a comment", "a", "x", "a: # why\nb: 1\n", "a: x # why\nb: 1\n"},
		{"over a tilde", "a", "x", "a: ~ # why\n", "a: x # why\n"},
		{"columns count runes", "ä.ö", "ü", "ä: {é: 1, ö: \"ß\", z: 2} # æ\n", "ä: {é: 1, ö: \"ü\", z: 2} # æ\n"},
		{"columns count runes beyond the BMP", "k.b", 2, "k: {\"😀\": 1, b: 1}\n", "k: {\"😀\": 1, b: 2}\n"},
		{"non-ASCII comments above", "a", 2, "# größer als ½\n# 日本語\na: 1\n", "# größer als ½\n# 日本語\na: 2\n"},
		{"CRLF", "b", 2, "a: 1\r\nb: 1\r\nc: 1\r\n", "a: 1\r\nb: 2\r\nc: 1\r\n"},
		{"BOM", "a", 2, "\xef\xbb\xbfa: 1\nb: 1\n", "\xef\xbb\xbfa: 2\nb: 1\n"},
		{"BOM, later line", "b", 2, "\xef\xbb\xbfa: 1\nb: 1\n", "\xef\xbb\xbfa: 1\nb: 2\n"},
		{"no newline at the end", "a", 2, "a: 1", "a: 2"},
		{"tab before a value", "a", 2, "a:\t1\nb: 1\n", "a:\t2\nb: 1\n"},
		{"multi-line plain", "a", "x", "a: one\n  two\n\n  three\nb: 1\n", "a: x\nb: 1\n"},
		{"multi-line double-quoted", "a", "x", "a: \"one\n  two \\\n  three\" # c\nb: 1\n", "a: \"x\" # c\nb: 1\n"},
		{"escaped quotes", "a", "x", "a: \"o\\\"ne\" # c\n", "a: \"x\" # c\n"},
		{"doubled single quotes", "a", "x", "a: 'o''ne' # c\n", "a: 'x' # c\n"},
		{"an anchor nobody uses stays", "a", 2, "a: &x 1\nb: 1\n", "a: &x 2\nb: 1\n"},
		{"an anchor on an empty value", "a", 2, "a: &x\nb: 1\n", "a: &x 2\nb: 1\n"},
		{"an explicit tag goes with its value", "a", "6", "a: !!str 5 # c\n", "a: \"6\" # c\n"},
		{"an alias gives way to a value", "b", 2, "a: &x 1\nb: *x # c\n", "a: &x 1\nb: 2 # c\n"},
		{"quoted keys", "a b", 2, "\"a b\": 1\n'c': 1\n", "\"a b\": 2\n'c': 1\n"},
		{"explicit key", "a", 2, "? a\n: 1\n? b\n: 1\n", "? a\n: 2\n? b\n: 1\n"},
		{"list item", "a[1]", "z", "a:\n- x # one\n- \"y\" # two\n", "a:\n- x # one\n- \"z\" # two\n"},
		{"mapping in a list", "a[1].v", 2, "a:\n  - k: x\n    v: 1\n  - k: y\n    v: 1 # here\n", "a:\n  - k: x\n    v: 1\n  - k: y\n    v: 2 # here\n"},
		{"first key of a list item", "a[0].k", "z", "a:\n  - k: x\n    v: 1\n", "a:\n  - k: z\n    v: 1\n"},
		{"empty list item", "a[0]", "z", "a:\n  -\n  - y\n", "a:\n  - z\n  - y\n"},
		{"JSON", "a.b", []string{"x", "y"}, "{\"a\": {\"b\": [\"x\"]}}\n", "{\"a\": {\"b\": [\"x\", \"y\"]}}\n"},
		{"a variable stays plain", "a", "${CLUSTER_CIDR}", "a: 10.0.0.0/8\n", "a: ${CLUSTER_CIDR}\n"},
		{"a double brace is quoted", "a", "{{x}}", "a: b\n", "a: \"{{x}}\"\n"},
	})
}

func TestBlockScalars(t *testing.T) {
	runAll(t, []edits{
		{"literal replaced by one line", "a", "x", "a: |\n  one\n\n  two\n\nb: 1\n", "a: x\n\nb: 1\n"},
		{"literal replaced by literal", "a", "x\ny\n", "a: |\n  one\n  two\nb: 1\n", "a: |\n  x\n  y\nb: 1\n"},
		{"folded replaced", "a", "x", "a: >-\n  one\n   more\n\n  two\nb: 1\n", "a: x\nb: 1\n"},
		{"a value gets several lines", "a", "x\n\ny", "a: one # c\nb: 1\n", "a: |- # c\n  x\n\n  y\nb: 1\n"},
		{"behind a literal", "b", 1, "a: |\n  one\n   # text\n  two\n\n# comment\n", "a: |\n  one\n   # text\n  two\nb: 1\n\n# comment\n"},
		{"behind a keeping literal", "b", 1, "a: |+\n  one\n\n", "a: |+\n  one\n\nb: 1\n"},
		{"behind a literal with an indicator", "b", 1, "a: |2\n    one\n  two\n", "a: |2\n    one\n  two\nb: 1\n"},
		{"behind an empty literal", "c", 1, "a: |\nb: 1\n", "a: |\nb: 1\nc: 1\n"},
		{"behind a literal without newline at the end", "b", 1, "a: |-\n  one", "a: |-\n  one\nb: 1"},
		{"literal in a list", "a[0]", "x", "a:\n- |\n  one\n- two\n", "a:\n- x\n- two\n"},
		{"several lines without newline at the end", "b", "x\ny\n", "a: 1", "a: 1\nb: \"x\\ny\\n\""},
		{"CRLF in a literal", "b", "x\ny\n", "a: 1\r\n", "a: 1\r\nb: |\r\n  x\r\n  y\r\n"},
		{"leading blank forbids a literal", "a", " x\ny\n", "a: 1\n", "a: \" x\\ny\\n\"\n"},
	})
}

func TestAddKey(t *testing.T) {
	list := []string{"x", "yy"}
	agent := []edit.KV{{Key: "enabled", Value: true}, {Key: "config", Value: []edit.KV{{Key: "cidrs", Value: list}}}}
	runAll(t, []edits{
		{"at the end", "b", 2, "a: 1\n", "a: 1\nb: 2\n"},
		{"at the end without a newline", "b", 2, "a: 1", "a: 1\nb: 2"},
		{"with CRLF", "c.d", 2, "a: 1\r\nc:\r\n  e: 1\r\n", "a: 1\r\nc:\r\n  e: 1\r\n  d: 2\r\n"},
		{"next to the other address family", "ipv6NativeRoutingCIDR", "fd00::/32",
			"routingMode: native\n# pods\nipv4NativeRoutingCIDR: \"10.0.0.0/8\" # v4\n\n# MTU\nmtu: 1450\n",
			"routingMode: native\n# pods\nipv4NativeRoutingCIDR: \"10.0.0.0/8\" # v4\nipv6NativeRoutingCIDR: \"fd00::/32\"\n\n# MTU\nmtu: 1450\n"},
		{"next to a key with the same words", "enableIPv6Masquerade", true,
			"enableIPv4Masquerade: false\nbpf:\n  masquerade: true\n", "enableIPv4Masquerade: false\nenableIPv6Masquerade: true\nbpf:\n  masquerade: true\n"},
		{"in a sorted file", "ipMasqAgent", agent,
			"bpf:\n  masquerade: true\nhubble: {}\nk8sServiceHost: x\nmtu: 1\n",
			"bpf:\n  masquerade: true\nhubble: {}\nipMasqAgent:\n  enabled: true\n  config:\n    cidrs:\n      - x\n      - yy\nk8sServiceHost: x\nmtu: 1\n"},
		{"first in a sorted mapping", "p.a", 0, "p:\n  b: 1\n  c: 1\n  d: 1\n  e: 1\n", "p:\n  a: 0\n  b: 1\n  c: 1\n  d: 1\n  e: 1\n"},
		{"not above the file's comment", "a", 0, "# file\nb: 1\nc: 1\nd: 1\ne: 1\n", "# file\nb: 1\nc: 1\nd: 1\ne: 1\na: 0\n"},
		{"before the comments of the next key", "a.c", 2, "a:\n  b: 1 # one\n# about d\nd: 1\n", "a:\n  b: 1 # one\n  c: 2\n# about d\nd: 1\n"},
		{"commented-out keys stay with their mapping", "c", 2, "a:\n  b: 1\n  # x: 1\n\n  # y: 1\n", "a:\n  b: 1\n  # x: 1\n\n  # y: 1\nc: 2\n"},
		{"blank lines between blocks are kept up", "c", agent,
			"a:\n  x: 1\n\nb:\n  y: 1\n", "a:\n  x: 1\n\nb:\n  y: 1\n\nc:\n  enabled: true\n  config:\n    cidrs:\n      - x\n      - yy\n"},
		{"blank lines between all entries", "d", 1, "a: 1\n\nb: 1\n\nc: 1\n", "a: 1\n\nb: 1\n\nc: 1\n\nd: 1\n"},
		{"indent of four", "a.nn.m", 2, "a:\n    b:\n        c: 1\n", "a:\n    b:\n        c: 1\n    nn:\n        m: 2\n"},
		{"list without indent", "a.nn", list, "a:\n  b:\n  - 1\n", "a:\n  b:\n  - 1\n  nn:\n  - x\n  - yy\n"},
		{"list with indent", "a.nn", list, "a:\n  b:\n    - 1\n", "a:\n  b:\n    - 1\n  nn:\n    - x\n    - yy\n"},
		{"flow lists in a file of flow lists", "nn", list, "a: [1]\nb: [2]\n", "a: [1]\nb: [2]\nnn: [x, yy]\n"},
		{"an empty mapping opens", "a.b.c", 2, "a: {} # why\nd: 1\n", "a: # why\n  b:\n    c: 2\nd: 1\n"},
		{"an anchored empty mapping opens", "a.b", 2, "a: &x {}\nd: 1\n", "a: &x\n  b: 2\nd: 1\n"},
		{"an empty value opens", "a.b", 2, "a:\nd: 1\n", "a:\n  b: 2\nd: 1\n"},
		{"an empty value with comments opens below them", "a.b", 2, "a:\n  # c: 1\nd: 1\n", "a:\n  # c: 1\n  b: 2\nd: 1\n"},
		{"an empty list opens", "a", list, "a: [] # why\nd: 1\n", "a: # why\n  - x\n  - yy\nd: 1\n"},
		{"an empty document", "a", 2, "{}\n", "a: 2\n"},
		{"an empty flow parent in flow", "a.b.c", 2, "a: { b: {} }\n", "a: { b: { c: 2 } }\n"},
		{"flow", "a.c", 2, "a: {b: 1} # why\n", "a: {b: 1, c: 2} # why\n"},
		{"flow with blanks", "a.c", "x y", "a: { b: \"1\" }\n", "a: { b: \"1\", c: \"x y\" }\n"},
		{"flow with a last comma", "a.c", 2, "a: {b: 1,}\n", "a: {b: 1, c: 2,}\n"},
		{"flow over lines", "a.c", 2, "a: {\n  b: 1, # one\n  d: 1 # two\n}\n", "a: {\n  b: 1, # one\n  d: 1, # two\n  c: 2\n}\n"},
		{"flow over lines with a last comma", "a.c", 2, "a: {\n  b: 1,\n  d: 1, # two\n}\n", "a: {\n  b: 1,\n  d: 1, # two\n  c: 2,\n}\n"},
		{"a range in flow is quoted", "a.c", "fd00::/32", "a: {b: 1}\n", "a: {b: 1, c: \"fd00::/32\"}\n"},
		{"JSON", "a.c", map[string]any{"z": "1", "y": list}, "{\n  \"a\": {\n    \"b\": \"1\"\n  }\n}\n",
			"{\n  \"a\": {\n    \"b\": \"1\",\n    \"c\": {\"y\": [\"x\", \"yy\"], \"z\": \"1\"}\n  }\n}\n"},
		{"in a list item", "a[0].w", 2, "a:\n  - k: x\n    v: 1\n  - k: y\n", "a:\n  - k: x\n    v: 1\n    w: 2\n  - k: y\n"},
		{"in an empty list item", "a[0].w", 2, "a:\n  - {}\n  - k: y\n", "a:\n  - w: 2\n  - k: y\n"},
		{"quoted keys", "c", 2, "\"a\": 1\n\"b\": 1\n", "\"a\": 1\n\"b\": 1\n\"c\": 2\n"},
		{"a key that must be quoted", "on", 2, "a: 1\n", "a: 1\n\"on\": 2\n"},
		{"before an end marker", "b", 2, "---\na: 1\n...\n", "---\na: 1\nb: 2\n...\n"},
		{"behind a comment at the end of the file", "b", 2, "a: 1\n# the end", "a: 1\nb: 2\n# the end"},
		{"over a merge key", "m.k", 2, "b: &b {k: 1}\nm:\n  <<: *b\n", "b: &b {k: 1}\nm:\n  <<: *b\n  k: 2\n"},
		{"into a file of comments", "a.b", 2, "# nothing yet\n", "# nothing yet\na:\n  b: 2\n"},
		{"into an empty file", "a", list, "", "a:\n  - x\n  - yy\n"},
		{"into an empty document", "a", 2, "---\n# nothing yet\n", "---\n# nothing yet\na: 2\n"},
		{"a list of lists", "a", []any{[]string{"x", "yy"}, []any{}, map[string]any{}, map[string]any{"k": list}}, "b:\n- 1\n",
			"b:\n- 1\na:\n- - x\n  - yy\n- []\n- {}\n- k:\n  - x\n  - yy\n"},
		{"a literal deep in a list", "a", []any{map[string]any{"k": "x\n\n  y\n"}, "p\nq"}, "b: 1\n",
			"b: 1\na:\n  - k: |\n      x\n\n        y\n  - |-\n    p\n    q\n"},
		{"behind an entry without a value", "b", 2, "a:\n", "a:\nb: 2\n"},
		{"in flow behind an entry without a value", "m.b", 2, "m: {a}\n", "m: {a, b: 2}\n"},
		{"value for a flow entry without one", "m.a", 2, "m: {a, b: }\n", "m: {a: 2, b: }\n"},
		{"value for a flow entry with a colon", "m.b", 2, "m: {a, b: }\n", "m: {a, b: 2 }\n"},
	})
}

func TestChangeCollections(t *testing.T) {
	runAll(t, []edits{
		{"append to a list", "a", []string{"x", "yy", "z"}, "a:\n  - x # one\n  # about y\n  - 'yy'\nb: 1\n", "a:\n  - x # one\n  # about y\n  - 'yy'\n  - 'z'\nb: 1\n"},
		{"append by index", "a[2]", "z", "a:\n- x\n- yy\nb: 1\n", "a:\n- x\n- yy\n- z\nb: 1\n"},
		{"append to flow", "a", []string{"x", "yy"}, "a: [\"x\"] # c\n", "a: [\"x\", \"yy\"] # c\n"},
		{"append to flow over lines", "a", []string{"x", "yy", "z"}, "a: [\n  x,\n  yy, # two\n]\n", "a: [\n  x,\n  yy, # two\n  z,\n]\n"},
		{"append two to flow over lines", "a", []string{"x", "yy", "z"}, "a: [\n  x\n]\n", "a: [\n  x,\n  yy,\n  z\n]\n"},
		{"insert in front", "a", []string{"w", "x"}, "a:\n  # about x\n  - x\n", "a:\n  # about x\n  - w\n  - x\n"},
		{"insert in front of flow", "a", []string{"w", "x"}, "a: [x]\n", "a: [w, x]\n"},
		{"insert in the middle", "a", []string{"x", "yy", "z"}, "a:\n  - x # one\n  - z # two\n", "a:\n  - x # one\n  - yy\n  - z # two\n"},
		{"change one item", "a", []string{"x", "q", "z"}, "a:\n  - x # 1\n  - yy # 2\n  - z # 3\n", "a:\n  - x # 1\n  - q # 2\n  - z # 3\n"},
		{"drop an item", "a", []string{"x", "z"}, "a:\n  - x\n  - yy # 2\n  - z\n", "a:\n  - x\n  - z\n"},
		{"drop the last item", "a", []string{"x"}, "a:\n  - x\n  - yy", "a:\n  - x\n"},
		{"empty a list", "a", []string{}, "a: # why\n  - x\n  - yy\nb: 1\n", "a: [] # why\nb: 1\n"},
		{"change in a mapping", "a", map[string]any{"x": 1, "y": 3}, "a:\n  # about x\n  x: 1\n  y: 2 # c\n", "a:\n  # about x\n  x: 1\n  y: 3 # c\n"},
		{"drop from a mapping", "a", map[string]any{"x": 1}, "a:\n  x: 1\n  y: 2\nb: 1\n", "a:\n  x: 1\nb: 1\n"},
		{"drop from flow", "a", map[string]any{"x": 1}, "a: {y: 2, x: 1, z: 3}\n", "a: {x: 1}\n"},
		{"another mapping altogether", "a", map[string]any{"p": 1}, "a:\n    x: 1\n    y: 2\nb: 1\n", "a:\n    p: 1\nb: 1\n"},
		{"mapping to scalar", "a", 5, "a: # why\n  x: 1\n  y: 2 # c\nb: 1\n", "a: 5 # why\nb: 1\n"},
		{"scalar to mapping", "a", map[string]any{"x": 1}, "a: 5 # why\nb: 1\n", "a: # why\n  x: 1\nb: 1\n"},
		{"scalar to list in a list", "a[0]", []string{"x", "yy"}, "a:\n- 5 # why\n- 6\n", "a:\n- - x # why\n  - yy\n- 6\n"},
		{"mapping to scalar in a list", "a[0]", 5, "a:\n- x: 1\n  y: 2\n- 6\n", "a:\n- 5\n- 6\n"},
		{"list to mapping", "a", map[string]any{"x": 1}, "a:\n- 1\n- 2\nb: 1\n", "a:\n  x: 1\nb: 1\n"},
		{"items with blank lines between", "a", []string{"x", "yy", "z"}, "a:\n  - x\n\n  - yy\nb: 1\n", "a:\n  - x\n\n  - yy\n\n  - z\nb: 1\n"},
		{"mapping in a list grows", "a", []any{map[string]any{"k": "x", "v": 1}}, "a:\n  - k: x # c\n", "a:\n  - k: x # c\n    v: 1\n"},
		{"first key of a list item goes", "a[0]", map[string]any{"v": 1}, "a:\n  - k: x\n    v: 1\n", "a:\n  - v: 1\n"},
		{"anchored mapping to scalar", "a", 5, "a: &x\n  k: 1\nb: 1\n", "a: &x 5\nb: 1\n"},
	})
}

func TestRemove(t *testing.T) {
	for _, c := range []struct{ name, path, in, want string }{
		{"an entry", "a.b", "a:\n  b: 1 # c\n  d: 1\n", "a:\n  d: 1\n"},
		{"comments above stay", "b", "a: 1\n# about b\nb:\n  - 1\nc: 1\n", "a: 1\n# about b\nc: 1\n"},
		{"the last entry of the file", "b", "a: 1\nb: 1", "a: 1\n"},
		{"the only entry", "a.b", "a: # c\n  b: 1\nd: 1\n", "a: {} # c\nd: 1\n"},
		{"the only entry of the file", "a", "# f\na: 1\n", "# f\n{}\n"},
		{"an item", "a[0]", "a:\n- 1\n- 2\n", "a:\n- 2\n"},
		{"the only item", "a[0]", "a:\n- 1\nb: 1\n", "a: []\nb: 1\n"},
		{"an item of a nested list", "a[0][0]", "a:\n- - 1\n  - 2\n", "a:\n- - 2\n"},
		{"from flow", "a[1]", "a: [1, 2, 3]\n", "a: [1, 3]\n"},
		{"last from flow", "a[1]", "a: [1, 2]\n", "a: [1]\n"},
		{"what is not there", "a.x.y", "a: {b: 1}\n", "a: {b: 1}\n"},
		{"from an empty file", "a", "# f\n", "# f\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, err := edit.ParsePath(c.path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := edit.Apply([]byte(c.in), edit.Change{Document: -1, Path: path, Remove: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDocuments(t *testing.T) {
	const src = "# first\na: 1\n---\na: 1 # second\n---\n# nothing\n---\na: 1\n"
	for n, want := range []string{
		"# first\na: 2\n---\na: 1 # second\n---\n# nothing\n---\na: 1\n",
		"# first\na: 1\n---\na: 2 # second\n---\n# nothing\n---\na: 1\n",
		"",
		"# first\na: 1\n---\na: 1 # second\n---\n# nothing\n---\na: 2\n",
		"",
	} {
		got, err := edit.Apply([]byte(src), edit.Change{Document: n, Path: []string{"a"}, Value: 2})
		if (want == "") != (err != nil) {
			t.Errorf("document %d: error %v", n, err)
		}
		if string(got) != want {
			t.Errorf("document %d:\n%s", n, got)
		}
	}
	if _, err := edit.Apply([]byte(src), edit.Change{Document: -1, Path: []string{"a"}, Value: 2}); !errors.Is(err, edit.ErrPath) {
		t.Errorf("one document expected: error %v, want ErrPath", err)
	}
	got, err := edit.Apply([]byte("---\n---\na: 1\n"), edit.Change{Document: -1, Path: []string{"a"}, Value: 2})
	if err != nil || string(got) != "---\n---\na: 2\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestSeveralChanges(t *testing.T) {
	got, err := edit.Apply([]byte("bpf:\n  masquerade: false\n# end\n"),
		edit.Change{Path: []string{"bpf", "masquerade"}, Value: true},
		edit.Change{Path: []string{"ipMasqAgent", "enabled"}, Value: true},
		edit.Change{Path: []string{"ipMasqAgent", "config", "nonMasqueradeCIDRs"}, Value: []string{"fd00::/8"}},
		edit.Change{Path: []string{"mtu"}, Remove: true},
	)
	want := "bpf:\n  masquerade: true\nipMasqAgent:\n  enabled: true\n  config:\n    nonMasqueradeCIDRs:\n      - fd00::/8\n# end\n"
	if err != nil || string(got) != want {
		t.Errorf("got %v\n%s", err, got)
	}
}

func TestRefusals(t *testing.T) {
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 7 {
		prev := string(rune('0' + i))
		bomb += "a" + string(rune('1'+i)) + ": &a" + string(rune('1'+i)) + " [" + strings.Repeat("*a"+prev+", ", 9) + "*a" + prev + "]\n"
	}
	for _, c := range []struct {
		name, in, path string
		value          any
		want           error
		line           int
		detail         string
	}{
		{"alias to the value", "a: &x 1\nb: *x\n", "a", 2, edit.ErrAliased, 1, "&x is used on line 2"},
		{"alias to a parent", "p: &probes\n  a: 1\nq: *probes\n", "p.b", 2, edit.ErrAliased, 1, "&probes"},
		{"through an alias", "p: &probes {a: 1}\nq: *probes\n", "q.a", 2, edit.ErrAliased, 2, "&probes"},
		{"an anchor inside", "a: [&x 1, 2]\nb: *x\n", "a", 2, edit.ErrAliased, 1, "&x"},
		{"hidden merge", "b: &b\n  k: {x: 1, y: 2}\nm:\n  <<: *b\n", "m.k.x", 2, edit.ErrAliased, 4, "&b"},
		{"hidden merge of several", "b: &b {k: {x: 1}}\nm:\n  <<: [*b, {z: 1}]\n", "m.k.x", 2, edit.ErrAliased, 3, "&b"},
		{"duplicate key", "a: 1\nb: 1\na: 2\n", "b", 2, edit.ErrDuplicateKey, 3, "line 1"},
		{"duplicate key, deep", "b: 1\nx:\n- {k: 1, k: 2}\n", "b", 2, edit.ErrDuplicateKey, 3, `"k"`},
		{"Go template", "{{- if .Values.x }}\na: 1\n{{- end }}\n", "a", 2, edit.ErrTemplate, 1, "template"},
		{"Go template as a value", "a: {{ .Values.x }}\n", "a", 2, edit.ErrTemplate, 1, ""},
		{"Go template as a value elsewhere", "a: 1\nb: {{ x }}\n", "a", 2, edit.ErrTemplate, 2, ""},
		{"Jinja", "{% if x %}\na: 1\n{% endif %}\n", "a", 2, edit.ErrTemplate, 1, ""},
		{"makejinja", "a: #{ cidr }#\nb: 1\n", "b", 2, edit.ErrTemplate, 1, ""},
		{"makejinja block", "a: 1\n#% if x %#\nb: 1\n#% endif %#\n", "b", 2, edit.ErrTemplate, 2, ""},
		{"templated value", "a: \"{{ x }}\"\n", "a", 2, edit.ErrTemplate, 1, "by hand"},
		{"SOPS", "data:\n  a: ENC[AES256_GCM,data:xyz]\nsops:\n  mac: ENC[]\n", "data.b", 2, edit.ErrEncrypted, 3, "sops"},
		{"SOPS value", "a: ENC[AES256_GCM,data:xyz]\nb: 1\n", "b", 2, edit.ErrEncrypted, 1, ""},
		{"broken YAML", "a: 1\n b: 2\n", "a", 2, edit.ErrNotYAML, 2, ""},
		{"tab as indentation", "a:\n\tb: 1\n", "a.b", 2, edit.ErrNotYAML, 2, ""},
		{"UTF-16", "a: 1\n\xff\xfe", "a", 2, edit.ErrNotYAML, 2, "UTF-8"},
		{"NUL", "a: 1\x00\n", "a", 2, edit.ErrNotYAML, 0, ""},
		{"too deep", "a: " + deep + "\n", "b", 2, edit.ErrTooLarge, 1, "levels"},
		{"too large", "a: " + strings.Repeat("x", edit.MaxBytes), "a", 2, edit.ErrTooLarge, 0, "bytes"},
		{"too many", "a: [" + strings.Repeat("1,", 1_000_001) + "]\n", "a", 2, edit.ErrTooLarge, 0, "values"},
		{"alias bomb", bomb, "b", 2, edit.ErrTooLarge, 0, "expand"},
		{"alias in itself", "a: &a [*a]\n", "b", 2, edit.ErrNotYAML, 1, "itself"},
		{"scalar parent", "a: 1\n", "a.b", 2, edit.ErrPath, 1, "a.b"},
		{"key of a list", "a: [1]\n", "a.b", 2, edit.ErrPath, 1, "list of 1"},
		{"index beyond the end", "a: [1]\n", "a[2]", 2, edit.ErrPath, 1, ""},
		{"new list from [1]", "a: 1\n", "b[1]", 2, edit.ErrPath, 0, "[0]"},
		{"empty path", "a: 1\n", "", 2, edit.ErrPath, 0, "empty"},
		{"a list on top of an empty file", "", "[0]", 2, edit.ErrPath, 0, "mapping"},
		{"a key in an empty list", "a: []\n", "a.b", 2, edit.ErrPath, 1, ""},
		{"value of an odd type", "a: 1\n", "a", struct{}{}, edit.ErrValue, 0, "struct"},
		{"value with a key twice", "a: 1\n", "a", []edit.KV{{Key: "x"}, {Key: "x"}}, edit.ErrValue, 0, "twice"},
		{"value not UTF-8", "a: 1\n", "a", "\xff", edit.ErrValue, 0, "UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, err := edit.ParsePath(c.path)
			if err != nil {
				t.Fatal(err)
			}
			out, err := edit.Apply([]byte(c.in), edit.Change{Document: -1, Path: path, Value: c.value})
			if out != nil {
				t.Errorf("text returned beside the error")
			}
			var refusal *edit.Error
			if !errors.Is(err, c.want) || !errors.As(err, &refusal) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if refusal.Line != c.line && c.line > 0 {
				t.Errorf("line %d, want %d: %v", refusal.Line, c.line, err)
			}
			if !strings.Contains(err.Error(), c.detail) {
				t.Errorf("error %q does not mention %q", err, c.detail)
			}
		})
	}
}
