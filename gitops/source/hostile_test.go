package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

const plain = `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cilium, namespace: kube-system}
spec:
  chart: {spec: {chart: cilium, sourceRef: {kind: HelmRepository, name: x}}}
`

func put(t testing.TB, root, file, content string) {
	t.Helper()
	p := filepath.Join(root, filepath.FromSlash(file))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFindErrors(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	generator := "resources: [release.yaml]\nconfigMapGenerator: [{name: v, namespace: kube-system, files: [%s]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n"
	for _, test := range []struct {
		name  string
		files map[string]string
		is    error
		want  []string
	}{
		{"empty", nil, ErrNoRelease, []string{"no HelmRelease with chart cilium under ROOT", "--repo"}},
		{"another chart", map[string]string{"a.yaml": strings.Replace(plain, "chart: cilium", "chart: cilium-cni-x", 1)}, ErrNoRelease, nil},
		{"Argo CD", map[string]string{"apps/cilium.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cilium}\n"}, ErrNotOurs, []string{"apps/cilium.yaml", "Argo CD"}},
		{"template", map[string]string{"apps/cilium/helmrelease.yaml.j2": "x"}, ErrNotOurs, []string{"helmrelease.yaml.j2 is a template"}},
		{"Terraform", map[string]string{"tf/cilium.tf": "x"}, ErrNotOurs, []string{"Terraform", ".remediate.yaml"}},
		{"Nix", map[string]string{"nix/cilium.nix": "x"}, ErrNotOurs, []string{"generates"}},
		{"CUE", map[string]string{"apps/cilium.cue": "x"}, ErrNotOurs, []string{"apps/cilium.cue generates the manifests with CUE"}},
		{"KCL", map[string]string{"apps/main.k": "chart = \"cilium\""}, ErrNotOurs, []string{"apps/main.k generates the manifests with KCL", "generated repository"}},
		{"Jsonnet", map[string]string{"apps/main.jsonnet": "{chart: 'cilium'}"}, ErrNotOurs, []string{"Jsonnet"}},
		{"Go template", map[string]string{"templates/network.yaml.tmpl": "chart: cilium"}, ErrNotOurs, []string{"templates/network.yaml.tmpl is a template"}},
		{"Terraform by content", map[string]string{"main.tf": "resource \"helm_release\" \"cilium\" {}"}, ErrNotOurs, []string{"main.tf configures Cilium in Terraform"}},
		{"other Terraform", map[string]string{"main.tf": "resource \"x\" \"y\" {}"}, ErrNoRelease, nil},
		{"script", map[string]string{"bootstrap/up.sh": "helm repo add x\nhelm upgrade --install cilium cilium/cilium -f v.yaml\n"}, ErrNotOurs, []string{"bootstrap/up.sh installs Cilium with a command", "HelmRelease"}},
		{"cilium CLI", map[string]string{"Makefile": "up:\n\tcilium install --version 1.18.6\n"}, ErrNotOurs, []string{"Makefile installs"}},
		{"k3s", map[string]string{"k3s/cni.yaml": "apiVersion: helm.cattle.io/v1\nkind: HelmChart\nmetadata: {name: cilium}\n"}, ErrNotOurs, []string{"k3s/cni.yaml is a HelmChart of k3s"}},
		{"helmCharts", map[string]string{"a/kustomization.yaml": "helmCharts:\n- {name: cilium, repo: https://helm.cilium.io}\n"}, ErrNotOurs, []string{"a/kustomization.yaml inflates"}},
		{"rendered", map[string]string{"a/cilium.yaml": "apiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: cilium\n  namespace: kube-system\n"}, ErrNotOurs, []string{"a/cilium.yaml is a rendered manifest", "never edited"}},
		{"bare", map[string]string{"HEAD": "ref: refs/heads/main\n", "objects/x": "", "refs/x": ""}, ErrNoRelease, []string{"bare repository", "clone it"}},
		{"helmfile", map[string]string{"helmfile.yaml": "releases: [{name: cilium, chart: cilium/cilium}]\n"}, ErrNotOurs, []string{"helmfile"}},
		{"unparsable release", map[string]string{"a/b.yaml": plain + "  x: [\n"}, nil, []string{"a/b.yaml:"}},
		{"template in YAML", map[string]string{"a/b.yaml": plain + "  x: {{ y }}\n{% if z %}\n"}, nil, []string{"a/b.yaml:", "template"}},
		{"alias bomb", map[string]string{"a/b.yaml": plain + bomb}, nil, []string{"a/b.yaml:1", "aliases"}},
		{"deep", map[string]string{"a/b.yaml": plain + "x: " + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "\n"}, nil, []string{"a/b.yaml:1", "deeper"}},
		{"self alias", map[string]string{"a/b.yaml": plain + "x: &x [*x]\n"}, nil, []string{"a/b.yaml"}},
		{"large release", map[string]string{"cilium/b.yaml": plain + "# " + strings.Repeat("x", 5<<20) + "\n"}, ErrTooLarge, []string{"cilium/b.yaml", "bytes"}},
		{"large values", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": fmt.Sprintf(generator, "values.yaml"), "a/values.yaml": strings.Repeat("#x\n", 2<<20)}, ErrTooLarge, []string{"a/values.yaml"}},
		{"generator out of the root", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": fmt.Sprintf(generator, "../../../etc/passwd")}, ErrOutside, []string{"a/kustomization.yaml:2"}},
		{"absolute", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": fmt.Sprintf(generator, "/etc/passwd")}, ErrOutside, []string{"a/kustomization.yaml:2"}},
		{"resource out of the root", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": "resources: [release.yaml, ../../x]\n"}, ErrOutside, []string{"a/kustomization.yaml:1"}},
		{"absolute resource", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": "resources: [release.yaml, /etc/passwd]\n"}, ErrOutside, []string{"a/kustomization.yaml:1", "/etc/passwd", "relative to this file"}},
		{"patch out of the root", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": "resources: [release.yaml]\npatches: [{path: ../../p.yaml}]\n"}, ErrOutside, []string{"a/kustomization.yaml:2"}},
		{"env file out of the root", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": "resources: [release.yaml]\nconfigMapGenerator:\n- name: x\n  envs: [../../x.env]\n"}, ErrOutside, []string{"a/kustomization.yaml:4"}},
		{"remote path by name", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": "resources: [release.yaml, '../remote:x/y']\n"}, ErrOutside, []string{"a/kustomization.yaml:1"}},
		{"component cycle", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": "resources: [release.yaml]\ncomponents: [../b]\n", "b/kustomization.yaml": "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\ncomponents: [../c]\n", "c/kustomization.yaml": "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\ncomponents: [../b]\n"}, nil, []string{"cycle"}},
		{"submodule not checked out", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": "resources:\n- release.yaml\n- ../vendor/net/x\n", ".gitmodules": "[submodule \"net\"]\n\tpath = vendor/net\n\turl = https://example.com/net\n"}, nil, []string{"a/kustomization.yaml:3", "submodule vendor/net", "git submodule update --init vendor/net"}},
		{"values in a submodule not checked out", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": fmt.Sprintf(generator, "../vendor/net/values.yaml"), ".gitmodules": "[submodule \"net\"]\n\tpath = vendor/net\n\turl = https://example.com/net\n"}, nil, []string{"a/kustomization.yaml:2", "git submodule update --init vendor/net"}},
		{"release in a submodule not checked out", map[string]string{".gitmodules": "[submodule \"net\"]\n\tpath = vendor/net\n\turl = https://example.com/net\n"}, ErrNoRelease, []string{"git submodule update --init vendor/net"}},
		{"case clash of files", map[string]string{"a/release.yaml": plain, "a/Release.yaml": "x: y\n"}, nil, []string{"a/Release.yaml and a/release.yaml differ only in case", "rename one"}},
		{"case clash of directories", map[string]string{"apps/net/release.yaml": plain, "Apps/x.txt": ""}, nil, []string{"Apps and apps differ only in case"}},
		{"remote base", map[string]string{"a/kustomization.yaml": "resources:\n- x.yaml\n- https://u:SECRET@github.com/org/net//cilium?ref=v1&token=SECRET\n", "a/x.yaml": "a: b\n"}, ErrNoRelease, []string{"a/kustomization.yaml:3", "https://xxxxx@github.com/org/net//cilium?ref=v1", "--allow-remote-bases"}},
		{"missing resource", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": "resources:\n- release.yaml\n- gone.yaml\n"}, os.ErrNotExist, []string{"a/kustomization.yaml:3", "gone.yaml"}},
		{"values not YAML", map[string]string{"a/release.yaml": plain + "  valuesFrom: [{kind: ConfigMap, name: v}]\n", "a/kustomization.yaml": fmt.Sprintf(generator, "values.yaml"), "a/values.yaml": "a: 1\nb: [\n"}, nil, []string{"a/values.yaml:"}},
		{"cycle", map[string]string{"a/release.yaml": plain, "a/kustomization.yaml": "resources: [release.yaml, ../b]\n", "b/kustomization.yaml": "resources: [../a]\n"}, nil, []string{"cycle"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for f, c := range test.files {
				put(t, root, f, c)
			}
			_, err := Find(context.Background(), Options{Root: root})
			if err == nil {
				t.Fatal("no error")
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("a secret in %q", err)
			}
			for _, w := range test.want {
				if !strings.Contains(strings.ReplaceAll(err.Error(), root, "ROOT"), w) {
					t.Errorf("%q misses %q", err, w)
				}
			}
		})
	}
	if _, err := Find(context.Background(), Options{Root: filepath.Join(t.TempDir(), "gone")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	root := t.TempDir()
	put(t, root, "a.yaml", plain)
	if _, err := Find(ctx, Options{Root: root}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// What clashes, cannot be built or is not checked out, and plays no part, is no
// error.
func TestNotNeeded(t *testing.T) {
	root := t.TempDir()
	put(t, root, "flux/sync.yaml", fluxed("flux-system", "flux", "")+"---\n"+fluxed("net", "net", "")+"---\n"+fluxed("broken", "broken", "")+"---\n"+fluxed("sub", "sub", ""))
	put(t, root, "net/release.yaml", plain)
	put(t, root, "broken/kustomization.yaml", "resources: [gone.yaml, ../../x]\n")
	put(t, root, "sub/kustomization.yaml", "resources: [../vendor/x]\n")
	put(t, root, ".gitmodules", "[submodule \"x\"]\n\tpath = vendor\n\turl = https://example.com/x\n")
	put(t, root, "docs/README.md", "")
	put(t, root, "docs/readme.md", "")
	put(t, root, "bad.json", "{")
	put(t, root, "bad.gitmodules/x.yaml", "a: [")
	r, err := Find(context.Background(), Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Missing) != 1 || !strings.Contains(r.Missing[0], "HelmRepository x") {
		t.Errorf("missing %q", r.Missing)
	}
}

// The caller can name submodules that .gitmodules does not.
func TestSubmodulesOption(t *testing.T) {
	root := t.TempDir()
	put(t, root, "vendor/net/release.yaml", plain+"  values: {MTU: 1500}\n")
	for _, subs := range [][]string{nil, {"vendor/net/"}, {"vendor/ne"}} {
		r, err := Find(context.Background(), Options{Root: root, Submodules: subs})
		if err != nil {
			t.Fatal(err)
		}
		want := len(subs) == 1 && subs[0] == "vendor/net/"
		if p := r.Place("MTU"); (p.Err != nil) != want || want && !errors.Is(p.Err, ErrNotWritable) {
			t.Errorf("%v: %v", subs, p.Err)
		}
	}
}

func TestSymlinks(t *testing.T) {
	outside := t.TempDir()
	put(t, outside, "values.yaml", "secret: value\n")
	kustomization := "resources: [release.yaml]\nconfigMapGenerator: [{name: v, namespace: kube-system, files: [values.yaml]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n"
	release := plain + "  valuesFrom: [{kind: ConfigMap, name: v}]\n"

	t.Run("out of the root, needed", func(t *testing.T) {
		root := t.TempDir()
		put(t, root, "a/release.yaml", release)
		put(t, root, "a/kustomization.yaml", kustomization)
		link(t, filepath.Join(outside, "values.yaml"), filepath.Join(root, "a/values.yaml"))
		_, err := Find(context.Background(), Options{Root: root})
		if !errors.Is(err, ErrOutside) || !strings.Contains(err.Error(), "a/values.yaml") || strings.Contains(err.Error(), "value\n") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("out of the root, not needed", func(t *testing.T) {
		root := t.TempDir()
		put(t, root, "a/release.yaml", plain)
		link(t, outside, filepath.Join(root, "elsewhere"))
		link(t, "/dev/zero", filepath.Join(root, "zero.yaml"))
		if err := syscall.Mkfifo(filepath.Join(root, "pipe.yaml"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Find(context.Background(), Options{Root: root}); err != nil {
			t.Errorf("error %v", err)
		}
	})
	t.Run("inside the root", func(t *testing.T) {
		root := t.TempDir()
		put(t, root, "a/release.yaml", release)
		put(t, root, "a/kustomization.yaml", kustomization)
		put(t, root, "shared/values.yaml", "MTU: 1\n")
		link(t, "../shared/values.yaml", filepath.Join(root, "a/values.yaml"))
		r, err := Find(context.Background(), Options{Root: root})
		if err != nil || r.Values["MTU"] != 1.0 {
			t.Errorf("%v, %v", r, err)
		}
	})
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// Secrets that stand in the clear do not reach errors or chains.
func TestSecretsStayHidden(t *testing.T) {
	a, err := txtar.ParseFile("testdata/layouts/target-path.txtar")
	if err != nil {
		t.Fatal(err)
	}
	root := lay(t, a)
	r, err := Find(context.Background(), Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if w := r.Where("encryption.key"); !w.Secret || strings.Contains(strings.Join(w.Chain, ""), "hunter2") {
		t.Errorf("%+v", w)
	}
	objects := filepath.Join(root, "infra/cilium/objects.yaml")
	src, err := os.ReadFile(objects)
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.Replace(src, []byte("encryption: {key: hunter2}"), []byte("hunter2: [hunter2"), 1)
	if err := os.WriteFile(objects, broken, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(context.Background(), Options{Root: root}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

// bigRepo has one Kustomization per app, as home clusters have.
func bigRepo(t testing.TB, apps int) string {
	t.Helper()
	a, err := txtar.ParseFile("testdata/layouts/variables.txtar")
	if err != nil {
		t.Fatal(err)
	}
	root := lay(t, a)
	list := "resources:\n- ks.yaml\n- ks2.yaml\n"
	for i := range apps {
		app := fmt.Sprintf("app%d", i)
		list += "- " + app + "/ks.yaml\n"
		put(t, root, "infra/"+app+"/ks.yaml", fmt.Sprintf("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: %s, namespace: flux-system}\nspec:\n  path: ./infra/%s/app\n  sourceRef: {kind: GitRepository, name: flux-system}\n", app, app))
		put(t, root, "infra/"+app+"/app/kustomization.yaml", "resources: [helmrelease.yaml, cm.yaml]\n")
		put(t, root, "infra/"+app+"/app/helmrelease.yaml", strings.ReplaceAll(plain, "cilium", app)+strings.Repeat("  # a comment\n", 60))
		put(t, root, "infra/"+app+"/app/cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"+strings.Repeat("# a comment\n", 60))
		put(t, root, "infra/"+app+"/app/values.yaml", strings.Repeat("key: value\n", 1)+strings.Repeat("# a comment\n", 60))
	}
	put(t, root, "infra/kustomization.yaml", list)
	return root
}

func TestLargeRepositoryIsFast(t *testing.T) {
	root := bigRepo(t, 200)
	start := time.Now()
	if _, err := Find(context.Background(), Options{Root: root}); err != nil {
		t.Fatal(err)
	}
	// Generous: the point is to fail when every file is parsed again and again.
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("1,000 files took %v", d)
	}
}

func BenchmarkFind5000(b *testing.B) {
	root := bigRepo(b, 1000)
	b.ResetTimer()
	for b.Loop() {
		if _, err := Find(context.Background(), Options{Root: root}); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte("a: &a [*a]\n---\n{b: {<<: *a}}\n"))
	f.Add([]byte("metadata: {<<: [{name: x}, {name: y}]}\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		docs, err := parse("f.yaml", src)
		if err != nil {
			return
		}
		for _, d := range docs {
			lookup(d.node, "spec", "values", "[0]")
			keyLine(d.node, "metadata", "name")
			statedIn(d)
			isEncrypted(d.node)
		}
	})
}
