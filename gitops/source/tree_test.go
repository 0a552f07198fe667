package source

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func TestOverlay(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{"a/one.yaml", "a/two.yaml", "b/only.yaml", "b/sub/deep.yaml", "c.tf", "was-file"} {
		put(t, root, f, f)
	}
	link(t, "a", filepath.Join(root, "to-a"))
	link(t, "a/one.yaml", filepath.Join(root, "to-one.yaml"))
	link(t, "gone/later.yaml", filepath.Join(root, "dangling.yaml"))
	open := func(t *testing.T, files map[string][]byte) *tree {
		t.Helper()
		tr, err := openOverlaid(root, 0, files)
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	type want map[string]string // path → content, "-" not there, "/" a directory
	for _, test := range []struct {
		name  string
		files map[string][]byte
		want  want
		yamls string
	}{
		{"nothing", nil, want{"a/one.yaml": "a/one.yaml", "to-a/one.yaml": "a/one.yaml", "to-one.yaml": "a/one.yaml", "dangling.yaml": "-", "b": "/", "none": "-", "to-a": "/"},
			"a/one.yaml a/two.yaml b/only.yaml b/sub/deep.yaml dangling.yaml to-one.yaml"},
		{"changed", map[string][]byte{"a/one.yaml": []byte("x")}, want{"a/one.yaml": "x", "to-a/one.yaml": "x", "to-one.yaml": "x", "a/two.yaml": "a/two.yaml"},
			"a/one.yaml a/two.yaml b/only.yaml b/sub/deep.yaml dangling.yaml to-one.yaml"},
		{"gone", map[string][]byte{"a/one.yaml": nil}, want{"a/one.yaml": "-", "to-a/one.yaml": "-", "to-one.yaml": "-", "a": "/", "to-a/two.yaml": "a/two.yaml"},
			"a/two.yaml b/only.yaml b/sub/deep.yaml dangling.yaml to-one.yaml"},
		{"a directory goes", map[string][]byte{"b/only.yaml": nil, "b/sub/deep.yaml": nil}, want{"b": "-", "b/sub": "-", "a": "/"},
			"a/one.yaml a/two.yaml dangling.yaml to-one.yaml"},
		{"a directory goes in part", map[string][]byte{"b/only.yaml": nil}, want{"b": "/", "b/sub": "/"},
			"a/one.yaml a/two.yaml b/sub/deep.yaml dangling.yaml to-one.yaml"},
		{"a directory comes", map[string][]byte{"n/m/new.yaml": []byte("n")}, want{"n": "/", "n/m": "/", "n/m/new.yaml": "n", "n/new.yaml": "-"},
			"a/one.yaml a/two.yaml b/only.yaml b/sub/deep.yaml dangling.yaml n/m/new.yaml to-one.yaml"},
		{"a file becomes a directory", map[string][]byte{"was-file": nil, "was-file/x.yaml": []byte("x")}, want{"was-file": "/", "was-file/x.yaml": "x"},
			"a/one.yaml a/two.yaml b/only.yaml b/sub/deep.yaml dangling.yaml to-one.yaml was-file/x.yaml"},
		{"a directory becomes a file", map[string][]byte{"b/only.yaml": nil, "b/sub/deep.yaml": nil, "b": []byte("f")}, want{"b": "f", "b/sub": "-"},
			"a/one.yaml a/two.yaml dangling.yaml to-one.yaml"},
		{"a link becomes a directory", map[string][]byte{"to-a": nil, "to-a/new.yaml": []byte("n")}, want{"to-a": "/", "to-a/new.yaml": "n", "to-a/one.yaml": "-"},
			"a/one.yaml a/two.yaml b/only.yaml b/sub/deep.yaml dangling.yaml to-a/new.yaml to-one.yaml"},
		{"what a link leads to comes", map[string][]byte{"gone/later.yaml": []byte("l")}, want{"dangling.yaml": "l", "gone": "/"},
			"a/one.yaml a/two.yaml b/only.yaml b/sub/deep.yaml dangling.yaml gone/later.yaml to-one.yaml"},
		{"a file behind a link comes", map[string][]byte{"a/new.yaml": []byte("n")}, want{"to-a/new.yaml": "n"},
			"a/new.yaml a/one.yaml a/two.yaml b/only.yaml b/sub/deep.yaml dangling.yaml to-one.yaml"},
		{"empty content", map[string][]byte{"a/one.yaml": {}}, want{"a/one.yaml": ""},
			"a/one.yaml a/two.yaml b/only.yaml b/sub/deep.yaml dangling.yaml to-one.yaml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := open(t, test.files)
			for p, want := range test.want {
				src, err := tr.read(p)
				got := string(src)
				switch {
				case tr.isDir(p):
					got = "/"
				case errors.Is(err, fs.ErrNotExist):
					got = "-"
				}
				if got != want || tr.isFile(p) != (want != "-" && want != "/") {
					t.Errorf("%s is %q (%v), a file: %v; want %q", p, got, err, tr.isFile(p), want)
				}
			}
			if got := strings.Join(tr.yamls, " "); got != test.yamls {
				t.Errorf("listed %s", got)
			}
			if got := strings.Join(tr.others, " "); got != "c.tf" {
				t.Errorf("others %s", got)
			}
		})
	}
	if _, err := openOverlaid(root, 0, map[string][]byte{"../x": nil}); !errors.Is(err, ErrOutside) {
		t.Errorf("a path out of the root: %v", err)
	}
	if _, err := open(t, map[string][]byte{"a/one.yaml": make([]byte, defaultMaxFileBytes+1)}).read("a/one.yaml"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// An overlay in front of one state of a repository gives what that other state
// gives on disk.
func TestOverlayIsTheOtherState(t *testing.T) {
	layouts, err := filepath.Glob("testdata/layouts/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for i := range layouts {
		from, err := txtar.ParseFile(layouts[i])
		if err != nil {
			t.Fatal(err)
		}
		to, err := txtar.ParseFile(layouts[(i+1)%len(layouts)])
		if err != nil {
			t.Fatal(err)
		}
		overlay := map[string][]byte{}
		for _, f := range from.Files {
			overlay[f.Name] = nil
		}
		for _, f := range to.Files {
			if f.Name != "want" {
				overlay[f.Name] = f.Data
			}
		}
		got, want := known(lay(t, from), overlay), known(lay(t, to), nil)
		if got != want {
			t.Errorf("%s over %s: with the overlay\n%s\non disk\n%s", layouts[(i+1)%len(layouts)], layouts[i], got, want)
		}
	}
}

// known writes what is found in a repository.
func known(root string, files map[string][]byte) string {
	var b strings.Builder
	all, err := List(context.Background(), Options{Root: root, Files: files})
	if err != nil {
		b.WriteString(strings.ReplaceAll(err.Error(), root, "ROOT"))
	}
	for _, r := range all {
		var out strings.Builder
		b.WriteString(strings.Join(r.Kustomizations, ", ") + "\n")
		b.WriteString(asYAML(r.Values) + out.String())
		for _, s := range r.Sources {
			b.WriteString(s.File + " ")
			b.WriteString(strings.Join(r.Affects(s.File), ", ") + "\n")
		}
	}
	facts, err := Stated(root, files)
	if err != nil {
		b.WriteString(err.Error())
	}
	b.WriteString(strings.Join(statedLines(facts), "\n"))
	return b.String()
}

func TestStatedAndSettingsSeeTheOverlay(t *testing.T) {
	root := t.TempDir()
	put(t, root, "talconfig.yaml", "clusterPodNets: [10.1.0.0/16]\n")
	put(t, root, SettingsFile, "facts: {podCIDRs: [10.1.0.0/16]}\n")
	for _, test := range []struct {
		files map[string][]byte
		fact  string
		hand  string
	}{
		{nil, "10.1.0.0/16", "10.1.0.0/16"},
		{map[string][]byte{"talconfig.yaml": []byte("clusterPodNets: [10.2.0.0/16]\n"), SettingsFile: []byte("facts: {podCIDRs: [10.3.0.0/16]}\n")}, "10.2.0.0/16", "10.3.0.0/16"},
		{map[string][]byte{"talconfig.yaml": nil, SettingsFile: nil, "new/talconfig.yaml": []byte("clusterPodNets: [10.4.0.0/16]\n")}, "10.4.0.0/16", ""},
	} {
		facts, err := Stated(root, test.files)
		if err != nil || len(facts) != 1 || facts[0].Value != test.fact {
			t.Errorf("stated %v, %v; want %s", facts, err, test.fact)
		}
		s, err := ReadSettings(root, test.files)
		if err != nil {
			t.Fatal(err)
		}
		var hand []string
		for _, c := range s.PodCIDRs {
			hand = append(hand, c.Value)
		}
		if strings.Join(hand, " ") != test.hand {
			t.Errorf("by hand %v, want %s", hand, test.hand)
		}
	}
}

// What was read once is not read again, so that every answer about a release is
// about one state of the disk.
func TestOneStateOfTheDisk(t *testing.T) {
	root := lay(t, txtar.Parse([]byte(twoClusters)))
	r, err := Find(context.Background(), Options{Root: root, ClusterPath: "clusters/a"})
	if err != nil {
		t.Fatal(err)
	}
	put(t, root, "base/values.yaml", "ipv6NativeRoutingCIDR: fd00:999::/48\n")
	got, err := r.Rebuild(nil)
	if err != nil || !reflect.DeepEqual(got, r.Values) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestContentsAreBounded(t *testing.T) {
	c := &contents{}
	c.put("large", make([]byte, maxKeptFile+1))
	for i := range 2 * maxKept / maxKeptFile {
		c.put(itoa(i), make([]byte, maxKeptFile))
	}
	if _, ok := c.get("large"); ok || c.bytes > maxKept || len(c.files) != maxKept/maxKeptFile {
		t.Errorf("%d files, %d bytes", len(c.files), c.bytes)
	}
	c.putDocuments("a", maxParsed, parsed{})
	c.putDocuments("b", 1, parsed{})
	if names := sortedKeys(c.parsed); !slices.Equal(names, []string{"a"}) {
		t.Errorf("parsed %v", names)
	}
}
