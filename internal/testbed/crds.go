package testbed

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
)

// fluxModules hold the definitions of Flux's kinds. They are the controllers of
// one release of Flux (2.9).
func fluxModules() []string {
	return []string{
		"github.com/fluxcd/helm-controller@v1.6.1",
		"github.com/fluxcd/kustomize-controller@v1.9.5",
		"github.com/fluxcd/source-controller@v1.9.6",
	}
}

// CRDs lists the files of all custom resource definitions of Cilium, of the
// version that conformance/go.mod requires, and of Flux's source, kustomize and
// helm controllers.
func CRDs(t testing.TB) []string {
	t.Helper()
	const cilium = "pkg/k8s/apis/cilium.io/client/crds/*/*.yaml"
	out := moduleFiles(t, "github.com/cilium/cilium@"+ciliumVersion(), cilium)
	for _, module := range fluxModules() {
		out = append(out, moduleFiles(t, module, "config/crd/bases/*.yaml")...)
	}
	return out
}

func moduleFiles(t testing.TB, module, pattern string) []string {
	t.Helper()
	dir, err := moduleDir(t, module)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no %s (%v)", module, pattern, err)
	}
	slices.Sort(files)
	return files
}

// InstallCRDs creates what [CRDs] lists and waits until the server serves them.
func InstallCRDs(t testing.TB, cfg *rest.Config) {
	t.Helper()
	InstallCRDFiles(t, cfg, CRDs(t)...)
}

// InstallCRDFiles does the same with other definitions.
func InstallCRDFiles(t testing.TB, cfg *rest.Config, files ...string) {
	t.Helper()
	l, err := newLoader(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var names []*unstructured.Unstructured
	for _, path := range files {
		for _, o := range Objects(t, path) {
			if err := l.create(o); err != nil {
				t.Fatal(err)
			}
			names = append(names, o)
		}
	}
	for _, o := range names {
		if err := l.untilEstablished(o); err != nil {
			t.Fatal(err)
		}
	}
}

func (l *loader) untilEstablished(crd *unstructured.Unstructured) error {
	return l.retry(func(ctx context.Context) error {
		client, err := l.client(crd)
		if err != nil {
			return err
		}
		have, err := client.Get(ctx, crd.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !hasCondition(have, "Established") {
			return fmt.Errorf("CustomResourceDefinition %s is not established", crd.GetName())
		}
		return nil
	})
}

func hasCondition(o *unstructured.Unstructured, kind string) bool {
	conditions, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
	return err == nil && slices.ContainsFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == kind && m["status"] == "True"
	})
}
