package source

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// artifact is a repository whose artifact is made of deploy/: two clusters set
// the path of a shared Kustomization.
func artifact() map[string]string {
	overlay := func(provider string) string {
		return "resources: [../base]\npatches:\n- target: {kind: Kustomization, name: infra}\n  patch: |\n    - {op: replace, path: /spec/path, value: providers/" + provider + "/infra}\n"
	}
	return map[string]string{
		"deploy/clusters/base/kustomization.yaml":         "resources: [infra.yaml]\n",
		"deploy/clusters/base/infra.yaml":                 from("infra", "providers/PROVIDER/infra", "OCIRepository", "flux-system", ""),
		"deploy/clusters/one/kustomization.yaml":          overlay("metal"),
		"deploy/clusters/two/kustomization.yaml":          overlay("box"),
		"deploy/providers/metal/infra/kustomization.yaml": "resources: [../../../bases/infra]\n",
		"deploy/providers/box/infra/kustomization.yaml":   "resources: [../../../bases/infra]\npatches: [{path: mtu.yaml}]\n",
		"deploy/providers/box/infra/mtu.yaml":             remotePatch,
		"deploy/bases/infra/kustomization.yaml":           "resources: [cilium, other]\n",
		"deploy/bases/infra/cilium/kustomization.yaml":    "resources: [release.yaml]\n",
		"deploy/bases/infra/cilium/release.yaml":          plain + "  values: {routingMode: native}\n",
		"deploy/bases/infra/other/kustomization.yaml":     "resources: [release.yaml]\n",
		"deploy/bases/infra/other/release.yaml":           strings.ReplaceAll(plain, "cilium", "other") + "  values: {a: b} # needs cilium\n",
	}
}

func TestArtifactRoot(t *testing.T) {
	root := layFiles(t, artifact())
	_, err := Find(context.Background(), Options{Root: root})
	var several *SeveralError
	if !errors.As(err, &several) || len(several.Releases) != 2 {
		t.Fatalf("want two releases: %v", err)
	}
	lines := strings.Split(err.Error(), "\n")[1:]
	if lines[0] == lines[1] || !strings.Contains(lines[0], "--cluster-path deploy/clusters/") {
		t.Errorf("nothing to choose by:\n%v", err)
	}
	for cluster, mtu := range map[string]any{"one": nil, "two": 1400.0} {
		r, err := Find(context.Background(), Options{Root: root, ClusterPath: "deploy/clusters/" + cluster})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Where("MTU").Value; got != mtu || !r.Live() || r.ClusterPath() != "deploy/clusters/"+cluster {
			t.Errorf("%s: MTU %v, live %v, cluster path %s", cluster, got, r.Live(), r.ClusterPath())
		}
		if got := r.Affects("deploy/bases/infra/cilium/release.yaml"); len(got) != 2 || !strings.Contains(got[0], "deploy/clusters/one") {
			t.Errorf("%s: affects %q", cluster, got)
		}
	}
}

func TestArtifactEditIsVerified(t *testing.T) {
	files := artifact()
	root := layFiles(t, files)
	r, err := Find(context.Background(), Options{Root: root, ClusterPath: "deploy/clusters/two"})
	if err != nil {
		t.Fatal(err)
	}
	p := r.Place("MTU")
	if p.File != "deploy/providers/box/infra/mtu.yaml" {
		t.Fatalf("MTU is written to %s", p.File)
	}
	edited := map[string][]byte{p.File: write(t, p, []byte(files[p.File]), 1350)}
	got, err := r.Rebuild(edited)
	if err != nil || got["MTU"] != 1350.0 {
		t.Errorf("rebuilt MTU %v: %v", got["MTU"], err)
	}
	if _, err := r.Verify(context.Background(), edited); err != nil {
		t.Error(err)
	}
}

func TestBaseOfPath(t *testing.T) {
	file := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
	root := layFiles(t, map[string]string{"one/apps/net/a.yaml": file, "one/clusters/a.yaml": file, "two/apps/net/a.yaml": file, "two/only/a.yaml": file})
	tr, err := openOverlaid(root, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, file, want string }{
		{"./apps/net", "one/clusters/a.yaml", "one"},
		{"apps/net", "elsewhere/a.yaml", ""},
		{"only", "one/clusters/a.yaml", "two"},
		{"nowhere", "one/clusters/a.yaml", ""},
		{".", "one/clusters/a.yaml", ""},
		{"../x", "one/clusters/a.yaml", ""},
	} {
		if got := tr.base(c.path, c.file); got != c.want {
			t.Errorf("base of %q for %s is %q, want %q", c.path, c.file, got, c.want)
		}
	}
}

func TestArtifactOfFluxInstance(t *testing.T) {
	root := layFiles(t, map[string]string{
		"k8s/flux/instance.yaml":      "apiVersion: fluxcd.controlplane.io/v1\nkind: FluxInstance\nmetadata: {name: flux, namespace: flux-system}\nspec: {sync: {kind: OCIRepository, url: \"oci://r.example.com/fleet\", path: clusters/main}}\n",
		"k8s/clusters/main/apps.yaml": from("apps", "apps", "OCIRepository", "flux-system", ""),
		"k8s/apps/release.yaml":       plain + "  values: {routingMode: native}\n",
	})
	r := mustFind(t, root)
	if got := r.ClusterPath(); got != "k8s/clusters/main" || !r.Live() || !slices.ContainsFunc(r.Kustomizations, func(k string) bool { return strings.Contains(k, "spec.path k8s/apps") }) {
		t.Errorf("cluster path %s, live %v, %q", got, r.Live(), r.Kustomizations)
	}
}

// A path that only the parent's variables give is taken from there.
func TestPathByVariable(t *testing.T) {
	root := layFiles(t, map[string]string{
		"a/flux-system/gotk-sync.yaml": fluxed("flux-system", "a", "  postBuild: {substitute: {KIND: metal}}\n"),
		"a/net.yaml":                   fluxed("net", "net/${KIND}", ""),
		"net/metal/release.yaml":       plain + "  values: {routingMode: native}\n",
	})
	r := mustFind(t, root)
	if got := chainOf(r); got != "flux-system net" || !r.Live() {
		t.Errorf("applied by %q, live %v", got, r.Live())
	}
}
