package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// For every layout: rebuilding with nothing changed gives the values as found,
// and with the value at its place changed gives what finding anew gives.
func TestRebuildAgreesWithFind(t *testing.T) {
	files, err := filepath.Glob("testdata/layouts/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	edited := 0
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		root := lay(t, a)
		all, err := List(context.Background(), Options{Root: root})
		if errors.Is(err, ErrNoRelease) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, r := range all {
			same, err := r.Rebuild(nil)
			if err != nil || !reflect.DeepEqual(same, r.Values) {
				t.Errorf("%s: rebuild of nothing: %v, %v", file, same, err)
			}
			if editAndCompare(t, file, root, r) {
				edited++
			}
		}
	}
	if edited < 15 {
		t.Errorf("only %d layouts could be edited", edited)
	}
}

// editAndCompare replaces the routing CIDR in the line that Place names.
func editAndCompare(t *testing.T, name, root string, r *Release) bool {
	t.Helper()
	const path, next = "ipv6NativeRoutingCIDR", "fd00:999::/44"
	p := r.Place(path)
	if p.Err != nil {
		return false
	}
	old, ok := r.Where(path).Value.(string)
	if !ok {
		return false
	}
	disk := filepath.Join(root, filepath.FromSlash(p.File))
	src, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(src), "\n")
	if !strings.Contains(lines[p.Line-1], old) {
		t.Errorf("%s: %s:%d is %q, without %s", name, p.File, p.Line, lines[p.Line-1], old)
		return false
	}
	lines[p.Line-1] = strings.Replace(lines[p.Line-1], old, next, 1)
	content := write(t, p, src, next)
	if want := strings.Join(lines, ""); string(content) != want {
		t.Errorf("%s: the edit at %+v gives\n%s\nwant\n%s", name, p, content, want)
	}
	got, err := r.Rebuild(map[string][]byte{p.File: content})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return false
	}
	if got[path] != next {
		t.Errorf("%s: %s is %v after the edit of %s:%d", name, path, got[path], p.File, p.Line)
	}
	if err := os.WriteFile(disk, content, 0o644); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(disk, src, 0o644)
	all, err := List(context.Background(), Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if n.sortKey() == r.sortKey() && reflect.DeepEqual(n.Kustomizations, r.Kustomizations) && !reflect.DeepEqual(n.Values, got) {
			t.Errorf("%s: rebuilt %v, found anew %v", name, got, n.Values)
		}
	}
	return true
}

// write edits the file as the planner does.
func write(t *testing.T, p Place, src []byte, value any) []byte {
	t.Helper()
	out, err := applyAt(p, src, value)
	if err != nil {
		t.Fatalf("edit %+v: %v", p, err)
	}
	return out
}

// A key that no source sets ends up in the values once it is written at its
// place.
func TestNewKeyArrives(t *testing.T) {
	for _, layout := range []string{"inline", "generator", "generator-beside", "block", "several-configmaps", "variables", "elsewhere"} {
		a, err := txtar.ParseFile("testdata/layouts/" + layout + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		root := lay(t, a)
		r, err := Find(context.Background(), Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		p := r.Place("ipMasqAgent.config.nonMasqueradeCIDRs")
		if p.Err != nil {
			t.Fatalf("%s: %v", layout, p.Err)
		}
		src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p.File)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Rebuild(map[string][]byte{p.File: write(t, p, src, []string{"fd00::/8"})})
		if err != nil {
			t.Fatalf("%s: %v", layout, err)
		}
		if v, _ := valueAt(got, splitPath(p.Path)); !reflect.DeepEqual(v, []any{"fd00::/8"}) {
			t.Errorf("%s: %v", layout, v)
		}
	}
}

func TestRebuildConcurrently(t *testing.T) {
	a, err := txtar.ParseFile("testdata/layouts/variables.txtar")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Find(context.Background(), Options{Root: lay(t, a)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			file, content := "infra/cilium/values.yaml", "ipv6NativeRoutingCIDR: fd00:7::/48\n"
			if i%2 == 0 {
				file, content = "clusters/main/settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cluster-settings, namespace: flux-system}\ndata: {POD_CIDR6: fd00:7::/48}\n"
			}
			got, err := r.Rebuild(map[string][]byte{file: []byte(content)})
			if err != nil || got["ipv6NativeRoutingCIDR"] != "fd00:7::/48" {
				t.Errorf("%s: %v, %v", file, got["ipv6NativeRoutingCIDR"], err)
			}
			r.Where("ipv6NativeRoutingCIDR")
			r.Affects(file)
		}()
	}
	wg.Wait()
}

func TestRebuildErrors(t *testing.T) {
	a, err := txtar.ParseFile("testdata/layouts/generator.txtar")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Find(context.Background(), Options{Root: lay(t, a)})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, file string
		content    []byte
		want       string
	}{
		{"not YAML", "infra/cilium/helm/values.yaml", []byte("a: 1\nb: [\n"), "infra/cilium/helm/values.yaml:"},
		{"the values are gone", "infra/cilium/helm/values.yaml", nil, "file does not exist"},
		{"the release is gone", "infra/cilium/release.yaml", []byte("a: 1\n"), "not applied"},
		{"the Kustomization is gone", "clusters/main/infra.yaml", nil, "infra.yaml: file does not exist"},
		{"the Kustomization is renamed", "clusters/main/infra.yaml", []byte("kind: Kustomization\nmetadata: {name: x}\n"), "no longer in"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := r.Rebuild(map[string][]byte{test.file: test.content})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	got, err := r.Rebuild(map[string][]byte{"docs/readme.yaml": []byte("kind: x\n"), "./infra/cilium/helm/values.yaml": []byte("{}\n")})
	if err != nil || len(got) != 0 {
		t.Errorf("an unrelated file and no values: %v, %v", got, err)
	}
}
