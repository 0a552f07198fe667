package edit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/remediate-dev/remediate/gitops/edit"
)

const configMap = `apiVersion: v1
kind: ConfigMap
data:
  other: text
  values.yaml: |
    # Cilium
    routingMode: native

    ipv4NativeRoutingCIDR: "10.0.0.0/8" # v4
    ipam:
      mode: kubernetes
  # the end
  last: "1"
`

var valuesPath = []string{"data", "values.yaml"}

func TestApplyBlock(t *testing.T) {
	for _, c := range []struct {
		name    string
		in      string
		changes []edit.Change
		want    string
	}{
		{"replace", configMap,
			[]edit.Change{{Path: []string{"ipam", "mode"}, Value: "cluster-pool"}},
			strings.Replace(configMap, "mode: kubernetes", "mode: cluster-pool", 1)},
		{"add in the middle", configMap,
			[]edit.Change{{Path: []string{"ipv6NativeRoutingCIDR"}, Value: "fd00::/32"}},
			strings.Replace(configMap, "# v4\n", "# v4\n    ipv6NativeRoutingCIDR: \"fd00::/32\"\n", 1)},
		{"add at the end, several", configMap,
			[]edit.Change{
				{Path: []string{"bpf", "masquerade"}, Value: true},
				{Path: []string{"bpf", "lines"}, Value: "a\n\nb\n"},
				{Path: []string{"routingMode"}, Remove: true},
			},
			strings.Replace(strings.Replace(configMap, "    routingMode: native\n", "", 1),
				"mode: kubernetes\n", "mode: kubernetes\n    bpf:\n      masquerade: true\n      lines: |\n        a\n\n        b\n", 1)},
		{"CRLF", strings.ReplaceAll(configMap, "\n", "\r\n"),
			[]edit.Change{{Path: []string{"ipam", "deep"}, Value: []string{"x"}}},
			strings.ReplaceAll(strings.Replace(configMap, "mode: kubernetes\n", "mode: kubernetes\n      deep:\n        - x\n", 1), "\n", "\r\n")},
		{"odd indentation and blanks", "data:\n  values.yaml: |-\n       a:\n         b: 1\n   \n       c: [1]\n\n\nx: 1\n",
			[]edit.Change{{Path: []string{"d"}, Value: 1}, {Path: []string{"a", "e"}, Value: 1}},
			"data:\n  values.yaml: |-\n       a:\n         b: 1\n         e: 1\n   \n       c: [1]\n       d: 1\n\n\nx: 1\n"},
		{"no newline at the end", "data:\n  values.yaml: |-\n    a: 1",
			[]edit.Change{{Path: []string{"b"}, Value: 1}},
			"data:\n  values.yaml: |-\n    a: 1\n    b: 1"},
		{"keep", "data:\n  values.yaml: |+\n    a: 1\n\nx: 1\n",
			[]edit.Change{{Path: []string{"b"}, Value: 1}},
			"data:\n  values.yaml: |+\n    a: 1\n    b: 1\n\nx: 1\n"},
		{"remove the first of several lines", "data:\n  values.yaml: |\n    l:\n    - a: 1\n      b: 1\n",
			[]edit.Change{{Path: []string{"l", "[0]", "a"}, Remove: true}},
			"data:\n  values.yaml: |\n    l:\n    - b: 1\n"},
		{"an empty list in it opens", "data:\n  values.yaml: |\n    l: []\n    m: 1\n",
			[]edit.Change{{Path: []string{"l"}, Value: []string{"x"}}},
			"data:\n  values.yaml: |\n    l:\n      - x\n    m: 1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := edit.ApplyBlock([]byte(c.in), -1, valuesPath, c.changes...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestApplyBlockRefusals(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     error
		line     int
	}{
		{"folded", "data:\n  values.yaml: >\n    a: 1\n", edit.ErrPath, 2},
		{"quoted", "data:\n  values.yaml: \"a: 1\"\n", edit.ErrPath, 2},
		{"missing", "data:\n  values.yml: |\n    a: 1\n", edit.ErrPath, 2},
		{"empty", "data:\n  values.yaml: |\n", edit.ErrPath, 2},
		{"aliased", "data:\n  values.yaml: &v |\n    a: 1\n  copy: *v\n", edit.ErrAliased, 2},
		{"template inside", "data:\n  values.yaml: |\n    x: 1\n    {{ if y }}\n    a: 1\n", edit.ErrTemplate, 4},
		{"encrypted outside", "data:\n  values.yaml: |\n    a: 1\nsops: {}\n", edit.ErrEncrypted, 4},
		{"duplicate inside", "data:\n  values.yaml: |\n    x: 1\n    a: 1\n    x: 2\n", edit.ErrDuplicateKey, 5},
		{"duplicate outside", "data:\n  values.yaml: |\n    a: 1\ndata: {}\n", edit.ErrDuplicateKey, 4},
		{"broken inside", "data:\n  values.yaml: |\n    a: 1\n      b: 2\n", edit.ErrNotYAML, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := edit.ApplyBlock([]byte(c.in), -1, valuesPath, edit.Change{Path: []string{"a"}, Value: 2})
			var refusal *edit.Error
			if !errors.Is(err, c.want) || !errors.As(err, &refusal) || refusal.Line != c.line {
				t.Errorf("error %v, want %v on line %d", err, c.want, c.line)
			}
		})
	}
}

// An edit inside a block is the edit of the text alone, indented.
func TestBlockEqualsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, _, a := write(t)
		src = strings.TrimPrefix(src, "\xef\xbb\xbf")
		if !strings.HasSuffix(src, a.eol) {
			src += a.eol
		}
		margin := strings.Repeat(" ", 2+a.pick(4, "margin"))
		outer := "data:" + a.eol + "  values.yaml: |" + a.eol
		for line := range strings.SplitSeq(strings.TrimSuffix(src, a.eol), a.eol) {
			if line != "" {
				line = "  " + margin + line
			}
			outer += line + a.eol
		}
		outer += "x: 1" + a.eol
		path := a.parents[a.pick(len(a.parents), "parent")]
		path = append(below(path, "new"), "deep")
		change := edit.Change{Path: path, Value: []string{"x", "fd00::/8"}}
		inner, err := edit.Apply([]byte(src), change)
		if err != nil {
			t.Fatal(err)
		}
		out, err := edit.ApplyBlock([]byte(outer), 0, valuesPath, change)
		if err != nil {
			t.Fatalf("%v\n%s", err, outer)
		}
		var got struct {
			Data map[string]string
		}
		if err := yaml.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(string(inner), "\r\n", "\n")
		if diff := cmp.Diff(want, got.Data["values.yaml"]); diff != "" && !strings.HasPrefix(want, "\n") {
			t.Fatalf("%s\n%s", diff, out)
		}
	})
}

func TestPosition(t *testing.T) {
	const src = "# ü\nbase: &b\n  k: {x: 1}\nlist:\n  - a: 1\n  - b: 2\nm:\n  <<: *b\n  own: 1\nalias: *b\nü: {ö: 1, ä: 2}\n"
	for _, c := range []struct {
		path         string
		line, column int
	}{
		{"base", 2, 1}, {"base.k", 3, 3}, {"base.k.x", 3, 7}, {"list", 4, 1}, {"list[1]", 6, 5}, {"list[1].b", 6, 5},
		{"m.own", 9, 3}, {"m.k", 3, 3}, {"alias.k.x", 3, 7}, {"ü.ä", 11, 11},
		{"base.z", 0, 0}, {"list[2]", 0, 0}, {"list.a", 0, 0}, {"base.k.x.y", 0, 0},
	} {
		path, err := edit.ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		line, column, found, err := edit.Position([]byte(src), -1, path)
		if err != nil || found != (c.line > 0) || line != c.line || column != c.column {
			t.Errorf("%s: %d:%d, %v, %v; want %d:%d", c.path, line, column, found, err, c.line, c.column)
		}
	}
	if _, _, _, err := edit.Position([]byte("a: [\n"), -1, nil); !errors.Is(err, edit.ErrNotYAML) {
		t.Errorf("broken YAML: error %v", err)
	}
	if _, _, found, err := edit.Position(nil, -1, []string{"a"}); found || err != nil {
		t.Errorf("empty text: %v, %v", found, err)
	}
}

func TestPositionBlock(t *testing.T) {
	line, column, found, err := edit.PositionBlock([]byte(configMap), 0, valuesPath, []string{"ipam", "mode"})
	if err != nil || !found || line != 11 || column != 7 {
		t.Errorf("%d:%d, %v, %v; want 11:7", line, column, found, err)
	}
	if _, _, found, err = edit.PositionBlock([]byte(configMap), 0, valuesPath, []string{"x"}); found || err != nil {
		t.Errorf("missing key: %v, %v", found, err)
	}
	if _, _, _, err = edit.PositionBlock([]byte(configMap), 0, []string{"data", "other"}, nil); !errors.Is(err, edit.ErrPath) {
		t.Errorf("plain scalar: error %v", err)
	}
}

func TestParsePath(t *testing.T) {
	for in, want := range map[string][]string{
		"":                        nil,
		"a":                       {"a"},
		"spec.values.a":           {"spec", "values", "a"},
		`data.values\.yaml`:       {"data", "values.yaml"},
		"list[0].name":            {"list", "[0]", "name"},
		"a[0][12]":                {"a", "[0]", "[12]"},
		`a\[0]`:                   {"a[0]"},
		`back\\slash.ü`:           {`back\slash`, "ü"},
		"[1]":                     {"[1]"},
		"annotations.foo/bar\\.x": {"annotations", "foo/bar.x"},
	} {
		got, err := edit.ParsePath(in)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", in, err, diff)
		}
		if back := edit.FormatPath(got); err == nil && back != in {
			t.Errorf("%q comes back as %q", in, back)
		}
	}
	for _, in := range []string{".", "a.", ".a", "a..b", "a[", "a[x]", "a[0]b", "a\\", "a[]", "a[-1]", "a[9999999999]"} {
		if got, err := edit.ParsePath(in); !errors.Is(err, edit.ErrPath) {
			t.Errorf("%q: %q, %v; want ErrPath", in, got, err)
		}
	}
}
