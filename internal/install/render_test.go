package install

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// system is the namespace of the controller, account its ServiceAccount.
const (
	system  = "remediate-system"
	account = "remediate"
)

func root(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func path(t testing.TB, elements ...string) string {
	t.Helper()
	return filepath.Join(append([]string{root(t)}, elements...)...)
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// kustomize is what a folder of config builds to, with components on top of it.
func kustomize(t testing.TB, dir string, components ...string) []*unstructured.Unstructured {
	t.Helper()
	at := path(t, "config", dir)
	if len(components) > 0 {
		k := types.Kustomization{Resources: []string{relative(t, dir)}}
		for _, c := range components {
			k.Components = append(k.Components, relative(t, c))
		}
		at = filepath.Join(path(t, "config"), "overlay-of-a-test")
		return kustomizeIn(t, overlay(t, at, k), at)
	}
	return kustomizeIn(t, onDisk(), at)
}

func relative(t testing.TB, dir string) string {
	t.Helper()
	return filepath.Join("..", dir)
}

// overlay copies config into memory, and a kustomization beside it.
func overlay(t testing.TB, at string, k types.Kustomization) filesys.FileSystem {
	t.Helper()
	fs := filesys.MakeFsInMemory()
	base := path(t, "config")
	err := filepath.WalkDir(base, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return fs.WriteFile(file, []byte(read(t, file)))
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(k)
	if err == nil {
		err = fs.WriteFile(filepath.Join(at, "kustomization.yaml"), text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func kustomizeIn(t testing.TB, fs filesys.FileSystem, dir string) []*unstructured.Unstructured {
	t.Helper()
	o := krusty.MakeDefaultOptions()
	o.Reorder = krusty.ReorderOptionLegacy // as kubectl does
	built, err := krusty.MakeKustomizer(o).Run(fs, dir)
	if err != nil {
		t.Fatalf("kustomize build %s: %v", dir, err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, string(text))
}

func onDisk() filesys.FileSystem { return filesys.MakeFsOnDisk() }

// objects takes YAML documents apart.
func objects(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for doc := range strings.SplitSeq("\n"+text, "\n---") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if len(o) > 0 {
			out = append(out, &unstructured.Unstructured{Object: o})
		}
	}
	return out
}

func chart(t testing.TB) *v2.Chart {
	t.Helper()
	c, err := loader.Load(path(t, "charts", "remediate"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render is what Helm makes of the chart and of values as YAML: what it installs
// of its own accord, which are the files in crds, included. With a cluster the
// chart can look objects up.
func render(t testing.TB, cfg *rest.Config, values ...string) ([]*unstructured.Unstructured, error) {
	t.Helper()
	c := chart(t)
	merged := map[string]any{}
	for _, text := range values {
		var v map[string]any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		merged = chartutil.CoalesceTables(v, merged)
	}
	release := common.ReleaseOptions{Name: "remediate", Namespace: system, Revision: 1, IsInstall: true}
	in, err := chartutil.ToRenderValues(c, merged, release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	e := engine.Engine{Strict: true}
	if cfg != nil {
		e = engine.New(cfg)
	}
	files, err := e.RenderWithContext(t.Context(), c, in)
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for _, crd := range c.CRDObjects() {
		out = append(out, objects(t, string(crd.File.Data))...)
	}
	for _, name := range slices.Sorted(keys(files)) {
		if strings.HasSuffix(name, ".yaml") {
			out = append(out, objects(t, files[name])...)
		}
	}
	return out, nil
}

func mustRender(t testing.TB, cfg *rest.Config, values ...string) []*unstructured.Unstructured {
	t.Helper()
	out, err := render(t, cfg, values...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func keys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// id names an object among others.
func id(o *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName())
}

// named is the object with this id, as [id] writes it.
func named(t testing.TB, list []*unstructured.Unstructured, want string) *unstructured.Unstructured {
	t.Helper()
	i := slices.IndexFunc(list, func(o *unstructured.Unstructured) bool { return id(o) == want })
	if i < 0 {
		t.Fatalf("there is no %s", want)
	}
	return list[i]
}

// into reads an object as a type, strictly.
func into[T any](t testing.TB, o *unstructured.Unstructured) T {
	t.Helper()
	var out T
	text, err := yaml.Marshal(o.Object)
	if err == nil {
		err = yaml.UnmarshalStrict(text, &out)
	}
	if err != nil {
		t.Fatalf("%s: %v", id(o), err)
	}
	return out
}
