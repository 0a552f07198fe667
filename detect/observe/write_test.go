package observe

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

func TestWriteReadsBack(t *testing.T) {
	for _, from := range []string{"testdata/kinds", "../../examples/incidents/talos-ipv6-ula/snapshot", "../../examples/incidents/talos-ipv6-healthy/snapshot"} {
		t.Run(filepath.Base(filepath.Dir(from)), func(t *testing.T) {
			cfg := serve(t, from).start()
			want, err := Cluster(context.Background(), cfg, ClusterOptions{})
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "new", "snap")
			written, err := Write(context.Background(), cfg, dir, ClusterOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := Dir(context.Background(), dir)
			if err != nil {
				t.Fatal(err)
			}
			got.Origin, want.Origin = "", ""
			if diff := cmp.Diff(dump(t, want), dump(t, got)); diff != "" {
				t.Errorf("(-cluster +folder):\n%s", diff)
			}
			if len(written.Files) != len(resources("")) || written.Objects < 20 || len(written.Unreadable) > 0 {
				t.Errorf("Written = %+v", written)
			}
		})
	}
}

func TestWriteIsReduced(t *testing.T) {
	cfg := serve(t, "testdata/kinds").start()
	dir := filepath.Join(t.TempDir(), "snap")
	if _, err := Write(context.Background(), cfg, dir, ClusterOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range filesOf(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{canary, "kind: Secret", "last-applied", "env:", "PRIVATE KEY"} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s holds %q:\n%s", name, bad, text)
			}
		}
	}
	for _, name := range []string{"pod.yaml", "configmap.yaml", "ciliumnetworkpolicy.yaml", "ciliumbgpclusterconfig.yaml"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join("testdata", "written-"+name), string(text))
	}
}

func TestWriteModesAndRepetition(t *testing.T) {
	cfg := serve(t, "../../examples/incidents/talos-ipv6-ula/snapshot").start()
	parent := t.TempDir()
	var first map[string]string
	for _, name := range []string{"a", "b"} {
		dir := filepath.Join(parent, name)
		if name == "b" { // an empty folder is as good as none
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Write(context.Background(), cfg, dir, ClusterOptions{}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
		content := map[string]string{}
		for _, f := range filesOf(t, dir) {
			path := filepath.Join(dir, f)
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			content[f] = string(text)
		}
		if first == nil {
			first = content
		}
		if diff := cmp.Diff(first, content); diff != "" {
			t.Errorf("written twice (-first +second):\n%s", diff)
		}
	}
	if got := filesOf(t, parent); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("left beside the folders: %v", got)
	}
}

func TestWriteRefuses(t *testing.T) {
	parent := t.TempDir()
	full := filepath.Join(parent, "full")
	if err := os.Mkdir(full, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(full, "mine.txt"), "mine")
	plain := filepath.Join(parent, "plain")
	write(t, plain, "mine")
	empty := filepath.Join(parent, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(parent, "linked")
	link(t, empty, linked)
	cfg := serve(t, "testdata/kinds").start()
	broken := serve(t, "testdata/kinds")
	broken.denied["/api/v1/pods"] = 401
	tests := []struct {
		name, dir, want string
		cfg             *rest.Config
	}{
		{"a folder with content", full, "is not empty: choose a new folder", cfg},
		{"a file", plain, "is not a folder", cfg},
		{"a link", linked, "is not a folder", cfg},
		{"a cluster that fails midway", filepath.Join(parent, "half"), "list pods", broken.start()},
		{"a cluster that fails midway, into an empty folder", empty, "list pods", broken.start()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := filesOf(t, parent)
			_, err := Write(context.Background(), tt.cfg, tt.dir, ClusterOptions{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
			if after := filesOf(t, parent); !slices.Equal(before, after) {
				t.Errorf("before %v, after %v", before, after)
			}
		})
	}
	if len(filesOf(t, empty)) != 0 || len(filesOf(t, full)) != 1 {
		t.Error("something was written")
	}
}

func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := fs.ReadDir(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
