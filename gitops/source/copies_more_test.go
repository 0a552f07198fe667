package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

const inlineRelease = plain + "  values: {ipv6NativeRoutingCIDR: \"fd00:101::/38\"}\n"

// copiesOf lists the copies in a repository of these files, as file:line.
func copiesOf(t testing.TB, opts Options, files map[string]string) (*Release, []Copy) {
	t.Helper()
	if opts.Root == "" {
		opts.Root = t.TempDir()
	}
	put(t, opts.Root, "flux/cilium.yaml", inlineRelease)
	for f, content := range files {
		put(t, opts.Root, f, content)
	}
	r, err := Find(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	copies, err := r.Copies(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r, copies
}

func placesOf(copies []Copy) []string {
	var out []string
	for _, c := range copies {
		out = append(out, fmt.Sprintf("%s:%d", c.File, c.Line))
	}
	return out
}

const ownHelmfile = "releases:\n  - chart: cilium/cilium\n    values: [%s]\n"

// A link to the release's own values is the same source; a link out of the
// repository is not followed.
func TestCopyLinks(t *testing.T) {
	root := t.TempDir()
	put(t, root, "apps/values.yaml", "ipv6NativeRoutingCIDR: fd00::/8\n")
	put(t, root, "apps/kustomization.yaml", "resources: [cilium.yaml]\nconfigMapGenerator: [{name: v, files: [values.yaml]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n")
	put(t, root, "apps/cilium.yaml", plain+"  valuesFrom: [{kind: ConfigMap, name: v}]\n")
	put(t, root, "boot/helmfile.yaml", fmt.Sprintf(ownHelmfile, "linked.yaml, outside.yaml, gone.yaml"))
	outside := filepath.Join(t.TempDir(), "secret.yaml")
	put(t, filepath.Dir(outside), "secret.yaml", "ipv6NativeRoutingCIDR: fd00:5ec::/32\n")
	for name, to := range map[string]string{"linked.yaml": "../apps/values.yaml", "outside.yaml": outside, "gone.yaml": "nowhere.yaml"} {
		if err := os.Symlink(to, filepath.Join(root, "boot", name)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Find(context.Background(), Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	copies, err := r.Copies(context.Background())
	if err != nil || len(copies) != 0 {
		t.Errorf("%v, %v", placesOf(copies), err)
	}
}

// The overlay adds a copy, changes one and takes one away.
func TestCopiesOfAnotherState(t *testing.T) {
	root := t.TempDir()
	files := map[string]string{
		"a/helmfile.yaml": fmt.Sprintf(ownHelmfile, "{MTU: 1400}"),
		"b/helmfile.yaml": fmt.Sprintf(ownHelmfile, "{MTU: 1400}"),
		"c/values.yaml":   "MTU: 1400\n",
		"c/boot.sh":       "cilium install -f c/values.yaml\n",
	}
	_, copies := copiesOf(t, Options{Root: root}, files)
	if got := placesOf(copies); !slices.Equal(got, []string{"a/helmfile.yaml:3", "b/helmfile.yaml:3", "c/values.yaml:1"}) {
		t.Fatal(got)
	}
	r, err := Find(context.Background(), Options{Root: root, Files: map[string][]byte{
		"a/helmfile.yaml": nil, "b/helmfile.yaml": []byte(fmt.Sprintf(ownHelmfile, "{MTU: 1500}")),
		"c/boot.sh": nil, "d/boot.sh": []byte("cilium install --set MTU=9000\n"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	copies, err = r.Copies(context.Background())
	if err != nil || !slices.Equal(placesOf(copies), []string{"b/helmfile.yaml:3", "d/boot.sh:1"}) {
		t.Fatal(placesOf(copies), err)
	}
	for i, want := range []string{"1500", "9000"} {
		if v, ok := copies[i].Where("MTU"); !ok || fmt.Sprint(v.Value) != want {
			t.Errorf("%s: %v", copies[i].File, v.Value)
		}
	}
}

// A copy that an edit takes away is not found again.
func TestRereadGone(t *testing.T) {
	r, copies := copiesOf(t, Options{}, map[string]string{"a/helmfile.yaml": fmt.Sprintf(ownHelmfile, "{MTU: 1400}")})
	if _, err := copies[0].Reread(r, map[string][]byte{"a/helmfile.yaml": []byte("releases: []\n")}); err == nil || !strings.Contains(err.Error(), "a/helmfile.yaml:3") {
		t.Errorf("error %v", err)
	}
}

func TestCopiesStopsWhenAsked(t *testing.T) {
	r, _ := copiesOf(t, Options{}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Copies(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Files made to take time or memory are read all the same.
func TestHostileCopies(t *testing.T) {
	const size = 1 << 20
	long := func(s string) string { return strings.Repeat(s, size/len(s)) }
	resource := "resource \"helm_release\" \"cilium\" {\n  chart = \"cilium\"\n"
	files := map[string]string{
		"a/continued.sh":  "helm install cilium cilium/cilium " + long("\\\n"),
		"a/many.sh":       long("helm install cilium cilium/cilium -f x\n"),
		"a/heredocs.tf":   resource + long("<<A\n"),
		"a/brackets.tf":   resource + long("<"),
		"a/resources.tf":  long(resource),
		"a/strings.tf":    resource + long("\"\\"),
		"a/helmfile.yaml": "releases:\n  - chart: cilium\n    set:\n" + strings.Repeat("      - {name: a, value: b}\n", 5000),
		"a/texts.yaml":    "# cilium-config\nx:\n" + strings.Repeat("  - |\n    # cilium-config\n    y: z\n", 5000),
		"a/large.yaml":    "# cilium-config\n# " + strings.Repeat("x", 5<<20) + "\n",
		"a/binary.sh":     "cilium\x00\xff\xfehelm install cilium",
	}
	_, copies := copiesOf(t, Options{}, files)
	for _, c := range copies {
		for _, path := range []string{"", ".", "a", "a.b", "a[0]", "[", "ipv6NativeRoutingCIDR"} {
			c.Where(path)
		}
	}
}

// Whatever the style, a value is found on the line where its key stands.
func TestCopyLinesAreThoseOfKeys(t *testing.T) {
	tr, err := openTree(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		values := map[string]any{}
		for i := range rapid.IntRange(1, 6).Draw(t, "keys") {
			inner := map[string]any{}
			for j := range rapid.IntRange(1, 3).Draw(t, "inner") {
				inner[fmt.Sprintf("k%d%d", i, j)] = fmt.Sprintf("v%d%d", i, j)
			}
			values[fmt.Sprintf("m%d", i)] = inner
		}
		text, err := yaml.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		depth := rapid.IntRange(0, 3).Draw(t, "depth")
		file := holder(string(text), depth)
		f := newFinder(tr, "x.yaml")
		docs, err := documents("x.yaml", []byte(file))
		if err != nil {
			t.Fatal(err)
		}
		f.documents(docs, frame{})
		if len(f.out) != 1 {
			t.Fatalf("%d installations in\n%s", len(f.out), file)
		}
		l := f.out[0].layers[0]
		c := Copy{File: "x.yaml", Line: l.line, Values: l.values, at: l}
		lines := strings.Split(file, "\n")
		for m, inner := range values {
			for k := range inner.(map[string]any) {
				v, ok := c.Where(m + "." + k)
				if !ok || !strings.Contains(lines[v.Line-1], k+":") || len(v.Blocks) != depth+1 {
					t.Fatalf("%s.%s: %v on line %d, %d blocks, of\n%s", m, k, ok, v.Line, len(v.Blocks), file)
				}
			}
		}
	})
}

// holder wraps values in a HelmChart, and that in so many manifests.
func holder(values string, depth int) string {
	text := "kind: HelmChart\napiVersion: helm.cattle.io/v1\nspec:\n  chart: cilium\n  valuesContent: |\n" + indented(values, "    ")
	for i := range depth {
		text = fmt.Sprintf("# level %d\nx: 1\n---\ncluster:\n  inlineManifests:\n    - name: x\n      contents: |\n", i) + indented(text, "        ")
	}
	return text
}

func indented(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+by) + "\n"
}

func FuzzCopies(f *testing.F) {
	archives, _ := filepath.Glob("testdata/copies/*.txtar")
	for _, a := range archives {
		if b, err := os.ReadFile(a); err == nil {
			f.Add("x.yaml", string(b))
		}
	}
	f.Add("x.tf", "resource \"helm_release\" \"c\" {\n chart = \"cilium\"\n values = [<<A\na: 1\nA\n]\n}")
	f.Add("x.sh", "cilium install \\\n --set a=1 -f x")
	f.Add("helmfile.yaml.gotmpl", "releases:\n{{ x }}\n chart: cilium")
	empty, err := openTree(f.TempDir(), 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, content string) {
		if fileKind(name) == "" || strings.ContainsAny(name, "/\x00") || len(name) > 100 {
			return
		}
		tr := empty.with(map[string][]byte{name: []byte(content)})
		for _, in := range newFinder(tr, name).find() {
			for i, l := range in.layers {
				c := l.copy(in, in.layers[i+1:])
				for k := range c.Values {
					c.Where(k)
				}
			}
		}
	})
}

// BenchmarkCopies looks for copies in a repository of 10,000 files, once the
// release is known.
func BenchmarkCopies(b *testing.B) {
	root := layMany(b, 500)
	put(b, root, "bootstrap/helmfile.yaml", fmt.Sprintf(ownHelmfile, "{MTU: 1400}"))
	r, err := Find(context.Background(), Options{Root: root})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if copies, err := r.Copies(context.Background()); err != nil || len(copies) != 1 {
			b.Fatal(placesOf(copies), err)
		}
	}
}
