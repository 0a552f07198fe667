package deploy

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

var update = flag.Bool("update", false, "write config/probe")

const base = "../../config/probe"

func TestConfigIsWhatDeployBuilds(t *testing.T) {
	want, err := Manifests()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		for name, text := range want {
			file := filepath.Join(base, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(base, name))
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("config/probe/%s is not what deploy builds (%v): run make generate", name, err)
		}
	}
	err = filepath.WalkDir(base, func(file string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(base, file)
		if err == nil && !d.IsDir() && want[filepath.ToSlash(name)] == nil {
			t.Errorf("config/probe/%s is built by nobody", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A user builds the base with Kustomize; what comes out are all the objects.
func TestBasesBuild(t *testing.T) {
	tests := []struct {
		dir  string
		want []string
	}{
		{base, []string{
			"DaemonSet remediate-probe", "DaemonSet remediate-probe-guarded",
			"Namespace remediate-probe", "NetworkPolicy remediate-probe-guarded", "Service remediate-probe",
		}},
		{base + "/host", []string{"DaemonSet remediate-probe-host", "Namespace remediate-probe-host"}},
		{base + "/rbac", []string{"ClusterRole remediate-detect"}},
	}
	for _, tt := range tests {
		t.Run(filepath.Base(tt.dir), func(t *testing.T) {
			built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), tt.dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range built.Resources() {
				got = append(got, r.GetKind()+" "+r.GetName())
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("built %s\nwant  %s", strings.Join(got, ", "), strings.Join(tt.want, ", "))
			}
		})
	}
}
