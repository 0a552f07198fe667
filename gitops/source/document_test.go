package source

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestSplitPath(t *testing.T) {
	for _, test := range []struct {
		path string
		want []string
	}{
		{"MTU", []string{"MTU"}},
		{"ipMasqAgent.config.nonMasqueradeCIDRs", []string{"ipMasqAgent", "config", "nonMasqueradeCIDRs"}},
		{`data.values\.yaml`, []string{"data", "values.yaml"}},
		{"a[0].b", []string{"a", "[0]", "b"}},
		{"", nil},
	} {
		if got := splitPath(test.path); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: %q, want %q", test.path, got, test.want)
		}
	}
}

func TestPathRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segs := rapid.SliceOfN(rapid.StringMatching(`[a-z.\\]{1,5}|\[[0-9]\]`), 1, 5).Draw(t, "segs")
		if got := splitPath(joinPath(segs)); !reflect.DeepEqual(got, segs) {
			t.Errorf("%q became %q", segs, got)
		}
	})
}

func TestLookupThroughMergesAndLists(t *testing.T) {
	docs, err := parse("f.yaml", []byte("base: &b {x: 1, y: 2}\nlist: [{n: a}, {n: b}]\nown: {<<: *b, x: 3}\nalias: *b\nnone:\n"))
	if err != nil {
		t.Fatal(err)
	}
	n := docs[0].node
	for _, test := range []struct {
		path []string
		want string
		line int
	}{
		{[]string{"own", "x"}, "3", 3},
		{[]string{"own", "y"}, "2", 1},
		{[]string{"alias", "x"}, "1", 1},
		{[]string{"list", "[1]", "n"}, "b", 2},
		{[]string{"list", "[2]", "n"}, "", 0},
		{[]string{"none"}, "", 5},
		{[]string{"none", "x"}, "", 0},
	} {
		if got := text(lookup(n, test.path...)); got != test.want {
			t.Errorf("%v is %q, want %q", test.path, got, test.want)
		}
		if got := keyLine(n, test.path...); got != test.line {
			t.Errorf("%v in line %d, want %d", test.path, got, test.line)
		}
	}
}
