package edit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/gitops/edit"
)

func TestComment(t *testing.T) {
	const why = "remediate: why"
	for _, c := range []struct {
		name, path string
		value      any
		in, want   string
	}{
		{"above a changed key", "a.b", 2, "a:\n  b: 1 # c\n  d: 1\n", "a:\n  # remediate: why\n  b: 2 # c\n  d: 1\n"},
		{"below comments that stand there", "b", 2, "a: 1\n\n# about b\nb: 1\n", "a: 1\n\n# about b\n# remediate: why\nb: 2\n"},
		{"not twice", "b", 2, "a: 1\n# remediate: why\nb: 1\n", "a: 1\n# remediate: why\nb: 2\n"},
		{"not twice in another spelling", "b", 2, "#remediate: why\nb: 1\n", "#remediate: why\nb: 2\n"},
		{"nothing for what is so already", "b", 2, "b: 2\n", "b: 2\n"},
		{"above a new key", "b.c", 2, "a: 1\n", "a: 1\n# remediate: why\nb:\n  c: 2\n"},
		{"above a new key among others", "ipv6Range", "x", "ipv4Range: \"y\"\nz: 1\n", "ipv4Range: \"y\"\n# remediate: why\nipv6Range: \"x\"\nz: 1\n"},
		{"above a new key that goes first", "a", 1, "---\nb: 1\nc: 1\nd: 1\ne: 1\n", "---\n# remediate: why\na: 1\nb: 1\nc: 1\nd: 1\ne: 1\n"},
		{"with blank lines between", "c", 1, "a: 1\n\nb: 1\n\nbb: 1\n", "a: 1\n\nb: 1\n\nbb: 1\n\n# remediate: why\nc: 1\n"},
		{"above an empty mapping that opens", "a.b", 2, "x: 1\na: {}\n", "x: 1\n# remediate: why\na:\n  b: 2\n"},
		{"above a changed list", "a", []string{"x", "w"}, "a:\n  - x\n", "# remediate: why\na:\n  - x\n  - w\n"},
		{"above a new item", "a[1]", "w", "a:\n- x\nb: 1\n", "a:\n- x\n# remediate: why\n- w\nb: 1\n"},
		{"above a changed item", "a[1]", "z", "a:\n- x\n- y\n", "a:\n- x\n# remediate: why\n- z\n"},
		{"above the item whose first key changes", "a[0].n", "w", "a:\n  - n: x\n    m: 1\n", "a:\n  # remediate: why\n  - n: w\n    m: 1\n"},
		{"above the line in flow style", "a.b.c", 2, "x: 1\na: { b: { c: 1 } }\n", "x: 1\n# remediate: why\na: { b: { c: 2 } }\n"},
		{"above a flow mapping of several lines", "a.c", 2, "a: {\n  b: 1\n}\n", "# remediate: why\na: {\n  b: 1,\n  c: 2\n}\n"},
		{"flow at the root", "a", 2, "{a: 1}\n", "# remediate: why\n{a: 2}\n"},
		{"none where no line begins", "a", 2, "--- {a: 1}\n", "--- {a: 2}\n"},
		{"none in JSON", "a", 2, "{\n  \"a\": 1\n}\n", "{\n  \"a\": 2\n}\n"},
		{"CRLF", "a", 2, "x: 1\r\na: 1\r\n", "x: 1\r\n# remediate: why\r\na: 2\r\n"},
		{"BOM", "a", 2, "\xef\xbb\xbfa: 1\n", "\xef\xbb\xbf# remediate: why\na: 2\n"},
		{"no newline at the end", "a", 2, "a: 1", "# remediate: why\na: 2"},
		{"comments close to their mark", "b", 2, "#one\na: 1 #two\n#three\nb: 1\n", "#one\na: 1 #two\n#three\n#remediate: why\nb: 2\n"},
		{"into a file of comments", "a.b", 2, "# nothing yet\n", "# nothing yet\n# remediate: why\na:\n  b: 2\n"},
		{"into an empty document", "a", 2, "---\n# nothing yet\n", "---\n# nothing yet\n# remediate: why\na: 2\n"},
		{"behind a block scalar", "b", 2, "a: |\n  text\n\nb: 1\n", "a: |\n  text\n\n# remediate: why\nb: 2\n"},
		{"behind a block scalar that keeps its end", "b", 2, "a: |+\n  text\n\nb: 1\n", "a: |+\n  text\n\n# remediate: why\nb: 2\n"},
		{"an anchored entry", "a", 2, "x: 1\na: &x 1\n", "x: 1\n# remediate: why\na: &x 2\n"},
		{"a block scalar that grows", "a", "x\ny\n", "b: 1\na: |\n  x\n", "b: 1\n# remediate: why\na: |\n  x\n  y\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, err := edit.ParsePath(c.path)
			if err != nil {
				t.Fatal(err)
			}
			change := edit.Change{Document: -1, Path: path, Value: c.value, Comment: why}
			got, err := edit.Apply([]byte(c.in), change)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("text differs (-want +got):\n%s", diff)
			}
			if again, err := edit.Apply(got, change); err != nil || string(again) != string(got) {
				t.Errorf("a second time: %v\n%s", err, again)
			}
		})
	}
}

func TestCommentOfSeveralLines(t *testing.T) {
	got, err := edit.Apply([]byte("a:\n    b: 1\n"), edit.Change{Path: []string{"a", "b"}, Value: 2, Comment: "one \n\ntwo\n"})
	if want := "a:\n    # one\n    #\n    # two\n    b: 2\n"; err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestCommentRefused(t *testing.T) {
	for _, comment := range []string{"a\x00b", "a\x1bb", "a\u2028b: 1", "\xff"} {
		_, err := edit.Apply([]byte("a: 1\n"), edit.Change{Path: []string{"a"}, Value: 2, Comment: comment})
		if !errors.Is(err, edit.ErrValue) {
			t.Errorf("%q: error %v", comment, err)
		}
	}
}

func TestCommentInsideABlock(t *testing.T) {
	got, err := edit.ApplyBlock([]byte(configMap), 0, valuesPath,
		edit.Change{Path: []string{"ipam", "mode"}, Value: "cluster-pool", Comment: "why"},
		edit.Change{Path: []string{"ipv6NativeRoutingCIDR"}, Value: "fd00::/8", Comment: "why"})
	want := strings.Replace(configMap, "      mode: kubernetes", "      # why\n      mode: cluster-pool", 1)
	want = strings.Replace(want, "# v4\n", "# v4\n    # why\n    ipv6NativeRoutingCIDR: \"fd00::/8\"\n", 1)
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// Without its comment lines the text is the one of the edit without comment.
func TestCommentAddsOneLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, _, a := write(t)
		path := below(a.parents[a.pick(len(a.parents), "parent")], "zz")
		if len(a.leaves) > 0 && a.chance(2, "leaf") {
			path = a.leaves[a.pick(len(a.leaves), "which")]
		}
		change := edit.Change{Path: path, Value: "fd00:101::/38"}
		plain, err := edit.Apply([]byte(src), change)
		if err != nil {
			t.Fatal(err)
		}
		change.Comment = "seven times seven"
		noted, err := edit.Apply([]byte(src), change)
		if err != nil {
			t.Fatal(err)
		}
		var kept []string
		for line := range strings.SplitAfterSeq(string(noted), "\n") {
			if strings.Trim(line, "\ufeff \r\n") != "# seven times seven" {
				kept = append(kept, line)
			}
		}
		if diff := cmp.Diff(string(plain), strings.Join(kept, "")); diff != "" && !strings.HasPrefix(src, "\ufeff") {
			t.Fatalf("%s\nbefore:\n%s", diff, src)
		}
		if n := strings.Count(string(noted), "# seven"); n > 1 || n == 0 && string(plain) != src && !strings.HasPrefix(src, "\ufeff") {
			t.Fatalf("%d comments:\n%s", n, noted)
		}
	})
}
