package testbed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func objectsOf(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	path := filepath.Join(t.TempDir(), "objects.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Objects(t, path)
}

func names(objects []*unstructured.Unstructured) string {
	var out []string
	for _, o := range objects {
		out = append(out, o.GetKind()+" "+o.GetName())
	}
	return strings.Join(out, ", ")
}

func TestObjects(t *testing.T) {
	got := objectsOf(t, `# Only a comment.
---
apiVersion: v1
kind: Pod
metadata: {name: a}
---
apiVersion: v1
kind: PodList
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: b}
- apiVersion: v1
  kind: Pod
  metadata: {name: c}
---
apiVersion: v1
kind: ServiceList
items: []
---
`)
	if want := "Pod a, Pod b, Pod c"; names(got) != want {
		t.Errorf("got %s, want %s", names(got), want)
	}
}

func TestObjectsErrors(t *testing.T) {
	for name, text := range map[string]string{"no YAML": "a: [", "no object": "a: b\n"} {
		path := filepath.Join(t.TempDir(), "objects.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readObjects(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %s, %v", name, names(got), err)
		}
	}
}

// What an object of the bundled incidents says stands in the completed one too.
func TestCompleteKeepsWhatIsSaid(t *testing.T) {
	root, err := checkout()
	if err != nil {
		t.Fatal(err)
	}
	incidents, err := filepath.Glob(filepath.Join(root, "examples", "incidents", "*", "snapshot"))
	if err != nil || len(incidents) == 0 {
		t.Fatalf("no incidents (%v)", err)
	}
	for _, dir := range incidents {
		objects, err := folderObjects(dir)
		if err != nil || len(objects) < 50 {
			t.Fatalf("%s: %d objects, %v", dir, len(objects), err)
		}
		for _, o := range objects {
			before := o.DeepCopy()
			done := complete(o)
			if diff := cmp.Diff(before, o); diff != "" {
				t.Errorf("%s %s was changed:\n%s", o.GetKind(), o.GetName(), diff)
			}
			if o.GetKind() == "HelmRelease" {
				unstructured.RemoveNestedField(o.Object, "status", "lastAppliedRevision")
			}
			if lost := missing(o.Object, done.Object); len(lost) > 0 {
				t.Errorf("%s %s lost %v", o.GetKind(), o.GetName(), lost)
			}
		}
	}
}

// missing lists what a says and b does not, or says otherwise.
func missing(a, b any) []string {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			return []string{"mapping"}
		}
		var out []string
		for k, v := range a {
			for _, m := range missing(v, b[k]) {
				out = append(out, k+"."+m)
			}
		}
		return out
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return []string{"list"}
		}
		var out []string
		for i := range a {
			out = append(out, missing(a[i], b[i])...)
		}
		return out
	}
	if a != b {
		return []string{"value"}
	}
	return nil
}

func TestComplete(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		path []string
		want any
	}{
		"image": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
			[]string{"spec", "containers"}, []any{object{"name": "app", "image": "registry.example.com/app:1"}},
		},
		"address": {
			"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIPs: ['fd00::1', 10.0.0.1]}\n",
			[]string{"spec", "clusterIP"}, "fd00::1",
		},
		"selector": {
			"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: a}\n",
			[]string{"spec", "selector", "matchLabels", "k8s-app"}, "a",
		},
		"replicas": {
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nstatus: {availableReplicas: 2}\n",
			[]string{"status", "readyReplicas"}, int64(2),
		},
		"interval": {
			"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {interval: 1h}\n",
			[]string{"spec", "interval"}, "1h",
		},
		"revision": {
			"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a}\nstatus: {lastAppliedRevision: 1.2.3}\n",
			[]string{"status", "lastAppliedRevision"}, nil,
		},
	} {
		got, _, err := unstructured.NestedFieldNoCopy(complete(objectsOf(t, tt.text)[0]).Object, tt.path...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCRDs(t *testing.T) {
	files := CRDs(t)
	for _, want := range []string{"ciliumnodes.yaml", "ciliumpodippools.yaml", "helm.toolkit.fluxcd.io_helmreleases.yaml", "source.toolkit.fluxcd.io_ocirepositories.yaml"} {
		found := false
		for _, f := range files {
			found = found || filepath.Base(f) == want
		}
		if !found {
			t.Errorf("no %s among %d files", want, len(files))
		}
	}
}
