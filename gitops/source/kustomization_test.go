package source

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/kustomize/api/krusty"
	kustypes "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// builtBy builds a directory as Flux would, with the files that keep chooses.
func builtBy(t *testing.T, root, dir string, keep func(string) bool) ([]built, error) {
	t.Helper()
	tr, err := openTree(root, 0)
	if err != nil {
		t.Fatal(err)
	}
	k := &flux{doc: document{id: objectID{kind: "directory"}}, spec: map[string]any{}, path: dir}
	return newBuilder(tr, newGraph(tr), nil).build(k, keep)
}

// asKustomize builds it with kustomize itself, from the disk.
func asKustomize(root, dir string) ([]map[string]any, error) {
	k := krusty.MakeKustomizer(&krusty.Options{LoadRestrictions: kustypes.LoadRestrictionsNone, PluginConfig: kustypes.DisabledPluginConfig()})
	m, err := k.Run(filesys.MakeFsOnDisk(), filepath.Join(root, dir))
	if err != nil {
		return nil, err
	}
	var out []map[string]any
	for _, r := range m.Resources() {
		o, err := r.Map()
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// stderr is what a function writes to the process's standard error.
func stderr(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	was := os.Stderr
	os.Stderr = w
	said := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		said <- string(b)
	}()
	f()
	os.Stderr = was
	w.Close()
	return <-said
}

// What states nothing at all is refused by kustomize, and what lists nothing is
// not; below the top, where Flux adds nothing of its own.
func TestEmptyKustomizationsBuildAsInKustomize(t *testing.T) {
	for _, text := range []string{
		"", "# only a comment\n", "resources: []\n", "resources:\n", "resources: null\n", "bases: []\n", "components: []\n",
		"imageTags: []\n", "images: []\n", "namespace: x\n", "namespace: ''\n", "commonLabels: {}\n", "patches: []\n",
		"patchesStrategicMerge: []\n", "patchesJson6902: []\n", "helmChartInflationGenerator: []\n", "generatorOptions: {}\n",
		"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
		"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n",
		"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: x}\n",
		"configMapGenerator: [{name: x, literals: [a=b]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n",
	} {
		root := t.TempDir()
		put(t, root, "top/kustomization.yaml", "resources: [cm.yaml, ../below]\n")
		put(t, root, "top/cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
		put(t, root, "below/kustomization.yaml", text)
		want, wantErr := asKustomize(root, "top")
		got, err := builtBy(t, root, "top", nil)
		if (err != nil) != (wantErr != nil) || len(got) != len(want) {
			t.Errorf("%q gives %d objects (%v), kustomize %d (%v)", text, len(got), err, len(want), wantErr)
		}
	}
}

// At the top Flux adds what keeps kustomize from refusing it.
func TestEmptyTopBuildsAsInFlux(t *testing.T) {
	for _, text := range []string{"", "resources: []\n", "kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\n"} {
		root := t.TempDir()
		put(t, root, "top/kustomization.yaml", text)
		if got, err := builtBy(t, root, "top", nil); err != nil || len(got) != 0 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

const oldFields = `
-- top/kustomization.yaml --
namespace: space
namePrefix: pre-
bases: [../base]
commonLabels: {team: net}
labels: [{pairs: {tier: low}}]
commonAnnotations: {note: here}
imageTags: [{name: pause, newTag: "3.10"}]
patchesStrategicMerge:
- strategic.yaml
- |
  apiVersion: v1
  kind: ConfigMap
  metadata: {name: b}
  data: {inline: "yes", order: strategic}
- '{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, $patch: delete}'
patchesJson6902:
- path: json.yaml
  target: {version: v1, kind: ConfigMap, name: a}
- target: {group: apps, version: v1, kind: Deployment, name: d}
  patch: |
    - {op: add, path: /spec/template/metadata/labels/added, value: late}
    - {op: replace, path: /metadata/namespace, value: moved}
patches:
- patch: |
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: b}
    data: {order: patches}
-- top/strategic.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {two: "2"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
data: {three: "3"}
-- top/json.yaml --
- {op: add, path: /metadata/annotations/late, value: "on"}
- {op: remove, path: /data/one}
-- base/kustomization.yaml --
resources: [all.yaml]
configMapGenerator: [{name: made, env: made.env}]
-- base/made.env --
A=1
-- base/all.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {one: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec: {containers: [{name: d, image: "pause:1"}]}
`

// Deprecated fields give what kustomize makes of them, and no warning.
func TestDeprecatedFields(t *testing.T) {
	root := lay(t, txtar.Parse([]byte(oldFields)))
	var want []map[string]any
	var err error
	warned := stderr(t, func() { want, err = asKustomize(root, "top") })
	if err != nil || len(want) != 4 || strings.Count(warned, "deprecated") < 5 {
		t.Fatalf("the fixture: %d objects, %v, it warns %q", len(want), err, warned)
	}
	var got []built
	warned = stderr(t, func() { got, err = builtBy(t, root, "top", nil) })
	if err != nil || warned != "" {
		t.Fatalf("%v, stderr %q", err, warned)
	}
	var objects []map[string]any
	for _, o := range got {
		objects = append(objects, o.object)
	}
	byName := func(a, b map[string]any) int {
		return strings.Compare(fmt.Sprint(a["kind"], a["metadata"]), fmt.Sprint(b["kind"], b["metadata"]))
	}
	slices.SortFunc(objects, byName)
	slices.SortFunc(want, byName)
	if diff := cmp.Diff(want, objects); diff != "" {
		t.Error(diff)
	}
}

// patchedChild applies clusters/lab, which applies apps with a patch for its children,
// from one of which a release comes.
const patchedChild = `
-- clusters/lab/sync.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: flux-system, namespace: flux-system}
spec: {path: ./clusters/lab, sourceRef: {kind: GitRepository, name: flux-system}}
-- clusters/lab/apps.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  path: ./apps
  sourceRef: {kind: GitRepository, name: flux-system}
  patches:
  - target: {kind: Kustomization}
    patch: |
      apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata: {name: all}
      spec: {postBuild: {substitute: {RANGE: 10.60.0.0/16}}}
-- apps/ks.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: net}
spec: {path: ./net, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}
-- net/release.yaml --
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cilium, namespace: kube-system}
spec:
  chart: {spec: {chart: cilium, sourceRef: {kind: HelmRepository, name: x}}}
  valuesFrom: [{kind: ConfigMap, name: cilium-values, optional: true}]
  values: {ipv4NativeRoutingCIDR: "${RANGE:=unset}"}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: x, namespace: kube-system}
spec: {url: https://helm.cilium.io}
`

// changedBy adds files to an archive.
func changedBy(archive string, files map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for _, f := range txtar.Parse([]byte(archive)).Files {
		out[f.Name] = f.Data
	}
	for f, text := range files {
		out[f] = []byte(text)
	}
	return out
}

const notYAML = "a: [\n" // a build with it fails

// A build is not done in full because of what the choice of files leaves out:
// the file that does not parse shows that it was.
func TestChosenFilesAreEnough(t *testing.T) {
	sibling := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n"
	for name, files := range map[string]map[string]string{
		"a directory without entries": {
			"apps/kustomization.yaml": "namespace: kube-system\nresources: [ks.yaml, empty, bad.yaml]\n", "apps/empty/kustomization.yaml": "resources: []\n"},
		"a directory of which nothing is chosen": {
			"apps/kustomization.yaml": "namespace: kube-system\nresources: [ks.yaml, other, bad.yaml]\n", "apps/other/kustomization.yaml": "resources: [cm.yaml]\n", "apps/other/cm.yaml": sibling},
		"a component of which nothing is chosen": {
			"apps/kustomization.yaml":     "namespace: kube-system\nresources: [ks.yaml, bad.yaml]\ncomponents: [../all]\n",
			"all/kustomization.yaml":      "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nresources: [cm.yaml]\ncomponents: [deep]\n",
			"all/deep/kustomization.yaml": "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nresources: [cm.yaml]\n",
			"all/cm.yaml":                 sibling, "all/deep/cm.yaml": strings.Replace(sibling, "other", "another", 1)},
		"a patch without selector": {
			"apps/kustomization.yaml": "namespace: kube-system\nresources: [ks.yaml, cm.yaml, bad.yaml]\npatches: [{path: p.yaml}]\n", "apps/cm.yaml": sibling, "apps/p.yaml": sibling + "data: {a: b}\n"},
		"a patch written in the kustomization": {
			"apps/kustomization.yaml": "namespace: kube-system\nresources: [ks.yaml, cm.yaml, bad.yaml]\npatches:\n- patch: |\n    " + strings.ReplaceAll(sibling, "\n", "\n    ") + "data: {a: b}\n", "apps/cm.yaml": sibling},
		"an old patch": {
			"apps/kustomization.yaml": "namespace: kube-system\nresources: [ks.yaml, cm.yaml, bad.yaml]\npatchesStrategicMerge: [p.yaml]\n", "apps/cm.yaml": sibling, "apps/p.yaml": sibling + "data: {a: b}\n"},
		"the source of a replacement": {
			"apps/kustomization.yaml": "namespace: kube-system\nresources: [ks.yaml, space.yaml, bad.yaml]\nreplacements: [{path: r.yaml}]\n",
			"apps/space.yaml":         "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n",
			"apps/r.yaml":             "source: {kind: Namespace, fieldPath: metadata.name}\ntargets: [{select: {kind: Kustomization}, fieldPaths: [spec.targetNamespace], options: {create: true}}]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			all := changedBy(patchedChild, files)
			all["apps/bad.yaml"] = []byte(notYAML)
			r, err := Find(context.Background(), Options{Root: t.TempDir(), Files: all})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Kustomizations[len(r.Kustomizations)-1]; !strings.HasPrefix(got, "Kustomization kube-system/net ") {
				t.Errorf("applied by %s, so the parent was lost", got)
			}
			if len(r.Missing) > 0 || r.Values["ipv4NativeRoutingCIDR"] != "10.60.0.0/16" {
				t.Errorf("%v, missing %q", r.Values, r.Missing)
			}
		})
	}
}

// A file on the network stands in the way of what needs it, and of nothing else.
func TestFilesOnTheNetwork(t *testing.T) {
	const far = "https://u:SECRET@example.org/far.yaml?token=SECRET"
	generator := "generatorOptions: {disableNameSuffixHash: true}\nconfigMapGenerator:\n- name: %s\n  namespace: kube-system\n  %s: ['%s']\n"
	in := func(dir, list, generated, field, item string) map[string]string {
		return map[string]string{dir + "/kustomization.yaml": "resources: [" + list + "]\n" + fmt.Sprintf(generator, generated, field, item)}
	}
	missing := ":6: https://xxxxx@example.org/far.yaml would be fetched over the network"
	for _, test := range []struct {
		name       string
		files      map[string]string
		missing    []string
		unreadable bool
	}{
		{"beside the release", in("net", "release.yaml", "boards", "files", far), []string{"net/kustomization.yaml" + missing}, false},
		{"env beside the release", in("net", "release.yaml", "boards", "envs", far), []string{"net/kustomization.yaml" + missing}, false},
		{"beside the parent's Kustomization", in("apps", "ks.yaml", "boards", "files", "board.json="+far), []string{"apps/kustomization.yaml" + missing}, false},
		{"several beside the release", in("net", "release.yaml", "boards", "files", far+"', 'two.yaml="+far+"', 'three.yaml="+far), []string{"net/kustomization.yaml" + missing, "(and 2 more in this file)"}, false},
		{"in another directory", map[string]string{"net/kustomization.yaml": "resources: [release.yaml, boards]\n",
			"net/boards/kustomization.yaml": fmt.Sprintf(generator, "boards", "files", far)}, nil, false},
		{"the release's values", in("net", "release.yaml", "cilium-values", "files", "values.yaml="+far), []string{"ConfigMap kube-system/cilium-values key values.yaml: net/kustomization.yaml:6:"}, true},
		{"the release's values, of another Kustomization", in("apps", "ks.yaml", "cilium-values", "files", "values.yaml="+far), []string{"ConfigMap kube-system/cilium-values key values.yaml: apps/kustomization.yaml:6:"}, true},
		{"a patch", map[string]string{"net/kustomization.yaml": "resources: [release.yaml]\npatches: [{path: '" + far + "'}]\n"}, []string{"net/kustomization.yaml:2:", "it may change the release"}, false},
		{"an old patch", map[string]string{"net/kustomization.yaml": "resources: [release.yaml]\npatchesStrategicMerge: ['" + far + "']\n"}, []string{"net/kustomization.yaml:2:", "it may change the release"}, false},
		{"a transformer", map[string]string{"net/kustomization.yaml": "resources: [release.yaml]\ntransformers: ['" + far + "']\n"}, []string{"it may change the release"}, false},
		{"a schema", map[string]string{"net/kustomization.yaml": "resources: [release.yaml]\nopenapi: {path: '" + far + "'}\n"}, []string{"it may change the release"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := Find(context.Background(), Options{Root: t.TempDir(), Files: changedBy(patchedChild, test.files)})
			if err != nil {
				t.Fatal(err)
			}
			said := strings.Join(r.Missing, "\n")
			for _, want := range test.missing {
				if !strings.Contains(said, want) {
					t.Errorf("missing %q lacks %q", r.Missing, want)
				}
			}
			if len(test.missing) == 0 && said != "" || strings.Contains(said, "SECRET") {
				t.Errorf("missing %q", r.Missing)
			}
			if got := r.Values["ipv4NativeRoutingCIDR"]; got != "10.60.0.0/16" {
				t.Errorf("the range is %v, so the parent was lost", got)
			}
			if r.Sources[0].Unreadable != test.unreadable || len(r.Values) != 1 {
				t.Errorf("sources %+v, values %v", r.Sources, r.Values)
			}
			edit := map[string][]byte{"net/release.yaml": []byte(strings.Replace(string(changedBy(patchedChild, nil)["net/release.yaml"]), "unset", "other", 1))}
			if _, err := r.Verify(context.Background(), edit); err != nil {
				t.Error(err)
			}
		})
	}
}

// Variables that come from a file on the network are not known.
func TestVariablesOnTheNetwork(t *testing.T) {
	for field, item := range map[string]string{"files": "RANGE=https://example.org/x", "envs": "https://example.org/x.env", "env": "https://example.org/x.env"} {
		files := changedBy(patchedChild, map[string]string{
			"clusters/lab/kustomization.yaml": "resources: [sync.yaml, apps.yaml]\nconfigMapGenerator:\n- {name: settings, namespace: flux-system, " + field + ": " + map[bool]string{true: item, false: "[" + item + "]"}[field == "env"] + "}\n",
		})
		maps.Copy(files, map[string][]byte{"clusters/lab/apps.yaml": []byte(strings.Replace(string(files["clusters/lab/apps.yaml"]), "{substitute: {RANGE: 10.60.0.0/16}}", "{substituteFrom: [{kind: ConfigMap, name: settings}]}", 1)),
			"net/release.yaml": []byte(strings.Replace(string(files["net/release.yaml"]), ":=unset", "", 1))})
		r, err := Find(context.Background(), Options{Root: t.TempDir(), Files: files})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Unresolved) != 1 || !strings.Contains(r.Unresolved[0].Why, "clusters/lab/kustomization.yaml:3: https://example.org/x") {
			t.Errorf("%s: unresolved %+v, values %v, missing %q", field, r.Unresolved, r.Values, r.Missing)
		}
	}
}
