package source

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// bases is a chain of kustomizations, each of which lists the next, by so many
// ways.
func bases(t *testing.T, levels, ways int) string {
	t.Helper()
	root := t.TempDir()
	put(t, root, "d0/release.yaml", plain)
	for i := range levels {
		list := ""
		for w := range ways {
			way := fmt.Sprintf("d%d-%d", i, w)
			list += ", ../" + way
			put(t, root, way+"/kustomization.yaml", fmt.Sprintf("resources: [../d%d]\n", i+1))
		}
		if i == 0 {
			list += ", release.yaml"
		}
		put(t, root, fmt.Sprintf("d%d/kustomization.yaml", i), "resources: ["+strings.TrimPrefix(list, ", ")+"]\n")
	}
	put(t, root, fmt.Sprintf("d%d/kustomization.yaml", levels), "resources: [end.yaml]\n")
	put(t, root, fmt.Sprintf("d%d/end.yaml", levels), "# no ConfigMap yet\n")
	return root
}

// Hostile kustomizations end with an error that names a file, not with a stack
// that overflows or a build that never ends.
func TestNesting(t *testing.T) {
	for _, test := range []struct {
		name         string
		levels, ways int
		want         string
	}{
		{"some levels", 5, 1, ""},
		{"some ways", 4, 2, ""},
		{"a long chain", 300, 1, "nest deeper than 100 levels"},
		{"too many ways", 30, 2, "more than 50000 times"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := bases(t, test.levels, test.ways)
			done := make(chan error, 1)
			go func() {
				_, err := Find(context.Background(), Options{Root: root})
				done <- err
			}()
			select {
			case err := <-done:
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
			case <-time.After(time.Minute):
				t.Fatal("it does not end")
			}
		})
	}
}

func fluxFor(name, dir string) string {
	return fmt.Sprintf("---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: %s, namespace: flux-system}\nspec: {path: ./%s, sourceRef: {kind: GitRepository, name: flux-system}}\n", name, dir)
}

// Kustomizations that apply each other, in a ring or all of them all others,
// have ways without end; some of them are enough.
func TestFluxCycles(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
	}{
		{"itself", map[string]string{"a/ks.yaml": fluxFor("a", "a"), "a/release.yaml": plain}},
		{"two", map[string]string{"a/ks.yaml": fluxFor("b", "b"), "b/ks.yaml": fluxFor("a", "a"), "a/release.yaml": plain}},
		{"a ring below a root", map[string]string{"r/ks.yaml": fluxFor("r", "r") + fluxFor("a", "a"), "a/ks.yaml": fluxFor("b", "b"), "b/ks.yaml": fluxFor("c", "c"), "c/ks.yaml": fluxFor("a2", "a"), "a/release.yaml": plain}},
		{"all of them all", func() map[string]string {
			files := map[string]string{"x/release.yaml": plain}
			for i := range 60 {
				files[fmt.Sprintf("x/ks%d.yaml", i)] = fluxFor(fmt.Sprintf("k%d", i), "x")
			}
			return files
		}()},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for f, c := range test.files {
				put(t, root, f, c)
			}
			rs, err := List(context.Background(), Options{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			file := rs[0].File
			if len(rs[0].Affects(file)) == 0 {
				t.Error("nothing reads the release's file")
			}
			v, err := rs[0].Verify(context.Background(), map[string][]byte{file: []byte(plain + "  values: {a: 1}\n")})
			if err != nil || len(v.Values) != 1 {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}

func TestBaseCycles(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"bases":      {"a/release.yaml": plain, "a/kustomization.yaml": "resources: [release.yaml, ../b]\n", "b/kustomization.yaml": "resources: [../a]\n"},
		"components": {"a/release.yaml": plain, "a/kustomization.yaml": "resources: [release.yaml]\ncomponents: [../b]\n", "b/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [../b]\n"},
	} {
		root := t.TempDir()
		for f, c := range files {
			put(t, root, f, c)
		}
		_, err := Find(context.Background(), Options{Root: root})
		if err == nil || errors.Is(err, ErrNoRelease) || !strings.Contains(err.Error(), "cycle: ") || !strings.Contains(err.Error(), "b/kustomization.yaml") && !strings.Contains(err.Error(), "a/kustomization.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
