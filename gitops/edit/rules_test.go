package edit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/gitops/edit"
)

// rule is one promise about how an edit looks, with the cases that show it.
type rule struct {
	name  string
	cases []edits
}

// Each rule of the package has its name here.
func TestRules(t *testing.T) {
	cidrs := []string{"10.0.0.0/8", "fd00::/8"}
	for _, r := range []rule{
		{"columns count runes", []edits{
			{"value", "größe.ö", 2, "größe: { é: \"日本\", ö: 1 } # ü\n", "größe: { é: \"日本\", ö: 2 } # ü\n"},
			{"new key", "größe.z", 2, "größe: { é: \"😀\" } # ü\n", "größe: { é: \"😀\", z: 2 } # ü\n"},
			{"in a list", "l[1]", "x", "l: [\"é\", \"ü\", \"ß\"]\n", "l: [\"é\", \"x\", \"ß\"]\n"},
		}},
		{"CRLF stays", []edits{
			{"new mapping", "a", map[string]any{"enabled": true, "l": cidrs}, "b: 1\r\n", "b: 1\r\na:\r\n  enabled: true\r\n  l:\r\n    - 10.0.0.0/8\r\n    - fd00::/8\r\n"},
			{"new text", "a", "x\ny\n", "b: |\r\n  z\r\n", "b: |\r\n  z\r\na: |\r\n  x\r\n  y\r\n"},
			{"one line of each kind", "b", 2, "a: 1\r\nb: 1\nc: 1\r\n", "a: 1\r\nb: 2\nc: 1\r\n"},
		}},
		{"BOM stays", []edits{
			{"before the first key", "a", 2, "\ufeffa: 1\n", "\ufeffa: 2\n"},
			{"a new first key", "a", 2, "\ufeff---\nb: 1\nc: 1\nd: 1\ne: 1\n", "\ufeff---\na: 2\nb: 1\nc: 1\nd: 1\ne: 1\n"},
			{"before flow", "a", 2, "\ufeff{a: 1}\n", "\ufeff{a: 2}\n"},
		}},
		{"no newline at the end is added or taken", []edits{
			{"changed", "a.b", 2, "a:\n  b: 1", "a:\n  b: 2"},
			{"added", "a.c", 2, "a:\n  b: 1", "a:\n  b: 1\n  c: 2"},
			{"behind a comment", "c", 2, "a: 1 # end", "a: 1 # end\nc: 2"},
			{"into an empty mapping", "a.b", cidrs, "a: {}", "a:\n  b:\n    - 10.0.0.0/8\n    - fd00::/8"},
		}},
		{"quotes stay", []edits{
			{"double", "a", "fd00::/8", "a: \"10.0.0.0/8\"\n", "a: \"fd00::/8\"\n"},
			{"single", "a", "fd00::/8", "a: '10.0.0.0/8'\n", "a: 'fd00::/8'\n"},
			{"plain", "a", "fd00::/8", "a: 10.0.0.0/8\n", "a: fd00::/8\n"},
			{"a new range as the others", "c", "fd00::/8", "a: '10.0.0.0/8'\nb: native\n", "a: '10.0.0.0/8'\nb: native\nc: 'fd00::/8'\n"},
			{"in a list as its neighbour", "l[1]", "fd00::/8", "l:\n  - '10.0.0.0/8'\nm: \"x\"\n", "l:\n  - '10.0.0.0/8'\n  - 'fd00::/8'\nm: \"x\"\n"},
			{"needed", "a", "1e3", "a: x\n", "a: \"1e3\"\n"},
		}},
		{"flow parents stay flow", []edits{
			{"nested", "a.b.c", cidrs, "{ a: { b: {} } }\n", "{ a: { b: { c: [10.0.0.0/8, \"fd00::/8\"] } } }\n"},
			{"a mapping in a list", "a[0].c", 2, "a: [{ b: 1 }]\n", "a: [{ b: 1, c: 2 }]\n"},
			{"behind a comment", "a.c", 2, "a: {\n  b: 1 # {x}\n}\n", "a: {\n  b: 1, # {x}\n  c: 2\n}\n"},
		}},
		{"empty parents open", []edits{
			{"{}", "a.b.c", 2, "a: {} # why\n", "a: # why\n  b:\n    c: 2\n"},
			{"nothing", "a.b", 2, "a:\n", "a:\n  b: 2\n"},
			{"~", "a.b", 2, "a: ~\n", "a:\n  b: 2\n"},
			{"null with an anchor", "a.b", 2, "a: &x null\n", "a: &x\n  b: 2\n"},
			{"[]", "a[0]", "fd00::/8", "a: []\n", "a:\n  - fd00::/8\n"},
		}},
		{"block scalars end where they end", []edits{
			{"a key behind one", "b", 2, "a: |\n  x\n\n  y\n", "a: |\n  x\n\n  y\nb: 2\n"},
			{"a key behind one that keeps", "b", 2, "a: |+\n  x\n\n", "a: |+\n  x\n\nb: 2\n"},
			{"a key behind folded text", "b", 2, "a: >-\n  x\n   y\n# c\n", "a: >-\n  x\n   y\nb: 2\n# c\n"},
			{"explicit indentation", "a", "x", "a: |2\n    y\nb: 1\n", "a: x\nb: 1\n"},
			{"what looks like a key", "b", 2, "a: |\n  b: 1\nb: 1\n", "a: |\n  b: 1\nb: 2\n"},
		}},
		{"comments stay", []edits{
			{"behind", "a", 2, "a: 1   # one\n", "a: 2   # one\n"},
			{"above", "a", 2, "# one\n\n# two\na: 1\n", "# one\n\n# two\na: 2\n"},
			{"a hash that is none", "a", "x#z", "a: x#y\n", "a: x#z\n"},
			{"behind the last key of a mapping", "a.c", 2, "a:\n  b: 1 # one\n  # two\nd: 1 # three\n", "a:\n  b: 1 # one\n  c: 2\n  # two\nd: 1 # three\n"},
			{"the next key's", "a.c", 2, "a:\n  b: 1\n# about d\nd: 1\n", "a:\n  b: 1\n  c: 2\n# about d\nd: 1\n"},
			{"with a tab", "a", 2, "a: 1\t#\tone\n", "a: 2\t#\tone\n"},
		}},
		{"blank lines stay", []edits{
			{"around a change", "b", 2, "a: 1\n\n\nb: 1\n\nc: 1\n", "a: 1\n\n\nb: 2\n\nc: 1\n"},
			{"behind a mapping that grows", "a.c", 2, "a:\n  b: 1\n\nd: 1\n", "a:\n  b: 1\n  c: 2\n\nd: 1\n"},
			{"with blanks in them", "a.c", 2, "a:\n  b: 1\n  \nd: 1\n", "a:\n  b: 1\n  c: 2\n  \nd: 1\n"},
			{"where all entries have one", "e", map[string]any{"x": 1}, "a:\n  x: 1\n\nb:\n  x: 1\n", "a:\n  x: 1\n\nb:\n  x: 1\n\ne:\n  x: 1\n"},
		}},
		{"the list style of the file", []edits{
			{"compact", "b", cidrs, "a:\n- 1\n", "a:\n- 1\nb:\n- 10.0.0.0/8\n- fd00::/8\n"},
			{"indented", "b", cidrs, "a:\n  - 1\n", "a:\n  - 1\nb:\n  - 10.0.0.0/8\n  - fd00::/8\n"},
			{"by four", "b.c", cidrs, "a:\n    d:\n    - 1\n", "a:\n    d:\n    - 1\nb:\n    c:\n    - 10.0.0.0/8\n    - fd00::/8\n"},
			{"flow", "b", []string{"x", "z"}, "a: [1, 2]\n", "a: [1, 2]\nb: [x, z]\n"},
			{"a dash with more blanks", "a[0].c", 2, "a:\n-   b: 1\n", "a:\n-   b: 1\n    c: 2\n"},
		}},
		{"a new key stands where a person would put it", []edits{
			{"the other family", "ipv6NativeRoutingCIDR", 1, "a: 1\nipv4NativeRoutingCIDR: 1\nb: 1\n", "a: 1\nipv4NativeRoutingCIDR: 1\nipv6NativeRoutingCIDR: 1\nb: 1\n"},
			{"the other family with an own list", "ipv6.x", 1, "ipv4:\n  x: 1\nz: 1\n", "ipv4:\n  x: 1\nipv6:\n  x: 1\nz: 1\n"},
			{"related by words", "enableIPv6Masquerade", 1, "enableIPv4Masquerade: 1\nz: 1\na: 1\n", "enableIPv4Masquerade: 1\nenableIPv6Masquerade: 1\nz: 1\na: 1\n"},
			{"alphabetical", "ipMasqAgent", 1, "bpf: 1\nhubble: 1\nipam: 1\nrouting: 1\n", "bpf: 1\nhubble: 1\nipam: 1\nipMasqAgent: 1\nrouting: 1\n"},
			{"none of these", "ipMasqAgent", 1, "z: 1\nhubble: 1\nipam: 1\nbpf: 1\n", "z: 1\nhubble: 1\nipam: 1\nbpf: 1\nipMasqAgent: 1\n"},
			{"enabled first", "m", map[string]any{"config": map[string]any{"l": cidrs}, "enabled": true}, "a: 1\n", "a: 1\nm:\n  enabled: true\n  config:\n    l:\n      - 10.0.0.0/8\n      - fd00::/8\n"},
			{"an order of its own", "m", []edit.KV{{Key: "z", Value: 1}, {Key: "a", Value: 1}}, "b: 1\n", "b: 1\nm:\n  z: 1\n  a: 1\n"},
		}},
	} {
		t.Run(r.name, func(t *testing.T) { runAll(t, r.cases) })
	}
}

// Only the document asked for changes, however the others end.
func TestRuleDocumentsStay(t *testing.T) {
	const src = "%YAML 1.1\n---\na: 1\n...\n# between\n---\na: 1 # two\n--- # three\na: 1\n---\n"
	for doc, want := range []string{
		strings.Replace(src, "a: 1\n...", "a: 2\n...", 1),
		strings.Replace(src, "a: 1 # two", "a: 2 # two", 1),
		strings.Replace(src, "# three\na: 1", "# three\na: 2", 1),
	} {
		got, err := edit.Apply([]byte(src), edit.Change{Document: doc, Path: []string{"a"}, Value: 2})
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("document %d: %v\n%s", doc, err, diff)
		}
	}
}

func TestRuleDuplicateKeysAreRefused(t *testing.T) {
	many := "k0: 1\n"
	for i := range 40 {
		many += "k" + strings.Repeat("x", i+1) + ": 1\n"
	}
	for name, src := range map[string]string{
		"at the root":     "a: 1\nb: 1\na: 1\n",
		"of a sibling":    "a: 1\nb: {c: 1, c: 1}\n",
		"in another list": "a: 1\nb:\n  - c: 1\n    \"c\": 1\n",
		"among many keys": "a: 1\n" + many + "kx: 1\n",
	} {
		if _, err := edit.Apply([]byte(src), edit.Change{Path: []string{"a"}, Value: 2}); !errors.Is(err, edit.ErrDuplicateKey) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if got, err := edit.Apply([]byte(many+"a: 1\n"), edit.Change{Path: []string{"a"}, Value: 2}); err != nil || !strings.HasSuffix(string(got), "a: 2\n") {
		t.Errorf("many keys: %v", err)
	}
	if _, err := edit.Apply([]byte("a: 1\n---\na: 1\nb: 1\nb: 1\n"), edit.Change{Path: []string{"a"}, Value: 2}); err != nil {
		t.Errorf("in another document: %v", err)
	}
}

// A manifest inside a machine configuration: several documents in one block,
// and a block inside one of them.
const machine = `machine:
  type: controlplane
cluster:
  inlineManifests:
    - name: cilium
      contents: |
        ---
        # rendered
        apiVersion: v1
        kind: ServiceAccount
        ---
        apiVersion: v1
        kind: ConfigMap
        data:
          ipv4-native-routing-cidr: "10.0.0.0/8" # wide
          values.yaml: |
            # inner
            mtu: 1450

            routingMode: native
        ---
        kind: Other
    - name: other
`

func TestNestedBlocks(t *testing.T) {
	contents := edit.Block{Path: []string{"cluster", "inlineManifests", "[0]", "contents"}}
	values := edit.Block{Document: 1, Path: []string{"data", "values.yaml"}}
	for _, c := range []struct {
		name      string
		blocks    []edit.Block
		change    edit.Change
		old, want string
		line      int
	}{
		{"no block", nil, edit.Change{Path: []string{"machine", "type"}, Value: "worker"}, "controlplane", "worker", 2},
		{"a document of a block", []edit.Block{contents}, edit.Change{Document: 1, Path: []string{"data", "ipv4-native-routing-cidr"}, Value: "10.0.0.0/9"},
			"10.0.0.0/8", "10.0.0.0/9", 15},
		{"a new key in the last document", []edit.Block{contents}, edit.Change{Document: 2, Path: []string{"spec", "x"}, Value: 1},
			"kind: Other\n", "kind: Other\n        spec:\n          x: 1\n", 23},
		{"a block in a block", []edit.Block{contents, values}, edit.Change{Path: []string{"mtu"}, Value: 1500, Comment: "why"},
			"            mtu: 1450\n", "            # why\n            mtu: 1500\n", 19},
		{"its last entry", []edit.Block{contents, values}, edit.Change{Path: []string{"bpf", "masquerade"}, Value: true},
			"native\n", "native\n            bpf:\n              masquerade: true\n", 21},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := edit.ApplyNested([]byte(machine), c.blocks, c.change)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Replace(machine, c.old, c.want, 1), string(got)); diff != "" {
				t.Error(diff)
			}
			line, _, found, err := edit.PositionNested(got, c.blocks, c.change.Document, c.change.Path)
			if len(c.change.Path) > 1 && c.change.Path[0] != "machine" && c.change.Path[0] != "data" {
				line, _, found, err = edit.PositionNested(got, c.blocks, c.change.Document, c.change.Path[:1])
			}
			if err != nil || !found || line != c.line {
				t.Errorf("line %d, %v, %v; want %d", line, found, err, c.line)
			}
		})
	}
}

// Errors inside of blocks name the line of the file.
func TestNestedBlockRefusals(t *testing.T) {
	contents := edit.Block{Path: []string{"cluster", "inlineManifests", "[0]", "contents"}}
	for _, c := range []struct {
		name   string
		blocks []edit.Block
		change edit.Change
		want   error
		line   int
	}{
		{"no such block", []edit.Block{contents, {Document: 1, Path: []string{"data", "x"}}}, edit.Change{}, edit.ErrPath, 15},
		{"no block", []edit.Block{contents, {Document: 1, Path: []string{"kind"}}}, edit.Change{}, edit.ErrPath, 13},
		{"no such document", []edit.Block{contents}, edit.Change{Document: 3, Path: []string{"x"}}, edit.ErrPath, 0},
		{"one of several documents", []edit.Block{contents}, edit.Change{Document: -1, Path: []string{"x"}}, edit.ErrPath, 11},
		{"a scalar parent, deep inside", []edit.Block{contents, {Document: 1, Path: []string{"data", "values.yaml"}}},
			edit.Change{Path: []string{"mtu", "x"}}, edit.ErrPath, 18},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := edit.ApplyNested([]byte(machine), c.blocks, c.change)
			var refusal *edit.Error
			if out != nil || !errors.Is(err, c.want) || !errors.As(err, &refusal) || refusal.Line != c.line {
				t.Errorf("error %v; want %v on line %d", err, c.want, c.line)
			}
		})
	}
}
