package observe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

func openText(text string) opener {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

// found is what a chunk turned out to hold, for comparison.
type found struct {
	kind, name string
	line       int
}

func readAll(t rapid.TB, split splitFunc, text string, lim limits) []found {
	t.Helper()
	var out []found
	err := split(openText(text), lim, func(c chunk) error {
		d, err := c.decode(lim)
		if err != nil {
			return err
		}
		for _, o := range d.items {
			out = append(out, found{o.head().Kind, o.head().Metadata.Name, c.line})
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return out
}

func names(fs []found) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.kind+" "+f.name)
	}
	return out
}

// genList draws a typed list whose items say, or do not say, what they are.
func genList(t *rapid.T) (object map[string]any, want []string) {
	kind := rapid.SampledFrom([]string{"Node", "Namespace", "CiliumNode"}).Draw(t, "kind")
	api := map[string]string{"Node": "v1", "Namespace": "v1", "CiliumNode": "cilium.io/v2"}[kind]
	said := rapid.Bool().Draw(t, "items say their kind")
	items := []any{}
	for i := range rapid.IntRange(0, 12).Draw(t, "items") {
		name := fmt.Sprintf("x%d", i)
		text := rapid.SampledFrom([]string{"", "plain", "- dash", "a\nb\n\n- c\n# d\n", "items:\n- x\n", "--- x", "\n---\n", "ä\"'\\"}).Draw(t, "text")
		item := map[string]any{
			"metadata": map[string]any{"name": name, "annotations": map[string]any{"a": text}},
			"status":   map[string]any{"other": []any{map[string]any{"items": text}, []any{}}},
		}
		if said {
			item["apiVersion"], item["kind"] = api, kind
		}
		items = append(items, item)
		want = append(want, kind+" "+name)
	}
	return map[string]any{"apiVersion": api, "kind": kind + "List", "items": items, "metadata": map[string]any{"resourceVersion": "1"}}, want
}

// However a list is written and however small the pieces it is read in, its
// items come out whole and in order.
func TestSplitFindsEveryItem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, want := genList(t)
		asYAML, err := yaml.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.MarshalIndent(list, "", rapid.SampledFrom([]string{"", " "}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		text := string(asYAML)
		if rapid.Bool().Draw(t, "indented dashes") {
			text = indentItems(text)
		}
		if rapid.Bool().Draw(t, "CRLF") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		whole, small := defaultLimits(), defaultLimits()
		small.object = 500
		for _, lim := range []limits{whole, small} {
			if diff := cmp.Diff(want, names(readAll(t, splitYAML, text, lim))); diff != "" {
				t.Fatalf("YAML, pieces of %d (-want +got):\n%s\n%s", lim.object, diff, text)
			}
			if diff := cmp.Diff(want, names(readAll(t, splitJSON, string(asJSON), lim))); diff != "" {
				t.Fatalf("JSON, pieces of %d (-want +got):\n%s\n%s", lim.object, diff, asJSON)
			}
		}
	})
}

// indentItems moves the items of a list two columns to the right.
func indentItems(text string) string {
	var out strings.Builder
	in := false
	for line := range strings.Lines(text) {
		if in && (strings.HasPrefix(line, "- ") || strings.HasPrefix(line, " ")) {
			out.WriteString("  ")
		}
		in = in && !(line[0] >= 'a' && line[0] <= 'z') || line == "items:\n"
		out.WriteString(line)
	}
	return out.String()
}

func TestLinesOfItems(t *testing.T) {
	yamlText := "# head\napiVersion: v1\nitems:\n- metadata: {name: a}\n\n- metadata:\n    name: b\nkind: NodeList\n---\nkind: Node\napiVersion: v1\nmetadata: {name: c}\n"
	lim := defaultLimits()
	lim.object = 60
	want := []found{{"Node", "a", 4}, {"Node", "b", 6}, {"Node", "c", 10}}
	if diff := cmp.Diff(want, readAll(t, splitYAML, yamlText, lim), cmp.AllowUnexported(found{})); diff != "" {
		t.Errorf("YAML (-want +got):\n%s", diff)
	}
	jsonText := "{\"items\":\n[\n{\"metadata\":{\"name\":\"a\"}},\n\n{\"metadata\":\n{\"name\":\"b\"}}],\n\"apiVersion\":\"v1\",\"kind\":\"NodeList\"}\n"
	want = []found{{"Node", "a", 3}, {"Node", "b", 5}}
	if diff := cmp.Diff(want, readAll(t, splitJSON, jsonText, lim), cmp.AllowUnexported(found{})); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestSplitErrors(t *testing.T) {
	lim := defaultLimits()
	lim.object = 200
	filler := strings.Repeat("- metadata: {name: a}\n", 20)
	tests := []struct {
		name, text, want string
		split            splitFunc
	}{
		{"long object", "kind: Node\nx:\n" + filler, "line 1: an object of more than 200 bytes", splitYAML},
		{"items under an anchor", "kind: NodeList\nitems: &all\n" + filler, "line 1: a list of more than 200 bytes without a line", splitYAML},
		{"items that do not line up", "kind: NodeList\nitems:\n    - a: 1\n  - b: 1\n" + filler, "line 4: an indentation", splitYAML},
		{"long item", "kind: NodeList\nitems:\n- a: 1\n" + strings.Repeat("  x: 1\n", 50), "line 3: an object of more than 200 bytes", splitYAML},
		{"items is a map", `{"items": {}}`, "items is not a list", splitJSON},
		{"second list with its kind last", `{"kind":"X"}{"items":[{"metadata":{"name":"a"}}],"kind":"NodeList"}`, "put kind first", splitJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.split(openText(tt.text), lim, func(c chunk) error { return nil })
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: v1\nkind: Node\nmetadata: {name: n}\n",
		"kind: NodeList\napiVersion: v1\nitems:\n- metadata: {name: n}\n",
		`{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"n"}}]}`,
		"a: &a [*a]\n", "--- |\n x\n...\n", "<<: *x", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubeadm-config}\ndata: {ClusterConfiguration: '{'}\n",
		"apiVersion: remediate.dev/v1alpha1\nkind: ProbeReport\nmetadata: {name: p}\nobservations: [{}]\n",
	} {
		f.Add([]byte(seed))
	}
	lim := defaultLimits()
	lim.object, lim.expanded = 256, 4096
	f.Fuzz(func(t *testing.T, text []byte) {
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
		for _, name := range []string{"a.yaml", "a.json"} {
			r := &reader{ctx: t.Context(), lim: lim, builder: newBuilder("fuzz")}
			if err := r.file(name, open); err == nil {
				r.builder.finish()
			}
		}
	})
}
