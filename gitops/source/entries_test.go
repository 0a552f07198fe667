package source

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// tree of files, laid below a new directory.
func layFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for f, content := range files {
		put(t, root, f, content)
	}
	return root
}

const plainValues = plain + "  values: {routingMode: native, ipv4NativeRoutingCIDR: \"${CIDR}\"}\n"

// from is a Flux Kustomization with another source.
func from(name, dir, kind, source, more string) string {
	k := fluxed(name, dir, more)
	return strings.Replace(k, "{kind: GitRepository, name: flux-system}", "{kind: "+kind+", name: "+source+"}", 1)
}

func gitSource(name, url string) string {
	return "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: " + name + ", namespace: flux-system}\nspec: {url: \"" + url + "\"}\n---\n"
}

const givesCIDR = "  patches:\n  - target: {kind: Kustomization}\n    patch: |\n      - {op: add, path: /spec/postBuild, value: {substitute: {CIDR: 10.9.0.0/16}}}\n"

const alsoCIDR = "  patches:\n  - target: {kind: Kustomization}\n    patch: |\n      - {op: add, path: /spec/postBuild, value: {substitute: {CIDR: 10.1.0.0/16}}}\n"

func TestEntryPoints(t *testing.T) {
	// Wanted is the chain of Kustomizations, or "" where none of them is live.
	cases := []struct {
		name  string
		files map[string]string
		want  string
		live  bool
	}{
		{"a child that holds itself", map[string]string{
			"k8s/flux/apps.yaml":               fluxed("apps", "k8s/apps", givesCIDR),
			"k8s/apps/cilium/ks.yaml":          fluxed("cilium", "k8s/apps/cilium/app", ""),
			"k8s/apps/cilium/app/release.yaml": plainValues,
			"k8s/apps/kustomization.yaml":      "resources: [cilium/ks.yaml, tunnel/ks.yaml]\n",
			"k8s/apps/tunnel/ks.yaml":          fluxed("tunnel", "k8s/apps/tunnel", ""),
		}, "apps cilium", true},
		{"a left-over that holds itself", map[string]string{
			"k8s/flux/apps.yaml":               fluxed("apps", "k8s/apps", givesCIDR),
			"k8s/apps/kustomization.yaml":      "resources: [cilium/ks.yaml]\n",
			"k8s/apps/cilium/ks.yaml":          fluxed("cilium", "k8s/apps/cilium/app", ""),
			"k8s/apps/cilium/app/release.yaml": plainValues,
			"stray/tunnel/ks.yaml":             fluxed("tunnel", "stray/tunnel", ""),
		}, "apps cilium", true},
		{"a second cluster that nothing applies is not live beside one that is", map[string]string{
			"a/flux-system/gotk-sync.yaml": fluxed("flux-system", "a", ""),
			"a/cilium.yaml":                fluxed("cilium", "net", ""),
			"net/release.yaml":             plainValues,
			"b/cilium.yaml":                fluxed("cilium", "net", alsoCIDR),
		}, "flux-system cilium", true},
		{"what no entry reaches has its parents all the same", map[string]string{
			"a/flux-system/gotk-sync.yaml": fluxed("flux-system", "a", ""),
			"b/flux/apps.yaml":             fluxed("apps", "b/apps", givesCIDR),
			"b/apps/cilium.yaml":           fluxed("cilium", "net", ""),
			"net/release.yaml":             plainValues,
		}, "apps cilium", false},
		{"a circle is entered at flux-system", map[string]string{
			"a/flux-system/gotk-sync.yaml": fluxed("flux-system", "a/deep/down", givesCIDR),
			"a/deep/down/all.yaml":         fluxed("all", "a", ""),
			"a/cilium.yaml":                fluxed("cilium", "net", givesCIDR),
			"net/release.yaml":             plainValues,
		}, "flux-system all cilium", true},
		{"a circle without flux-system is entered at the shortest path", map[string]string{
			"x/y/apps.yaml":    fluxed("apps", "z", ""),
			"z/back.yaml":      fluxed("back", "x/y", ""),
			"z/cilium.yaml":    fluxed("cilium", "net", ""),
			"net/release.yaml": plainValues,
		}, "apps cilium", true},
		{"a copy of what holds itself is no entry point", map[string]string{
			"bootstrap/all.yaml": fluxed("all", "flux", ""),
			"flux/all.yaml":      fluxed("all", "flux", givesCIDR),
			"flux/cilium.yaml":   fluxed("cilium", "net", ""),
			"net/release.yaml":   plainValues,
		}, "all cilium", true},
		{"an archive is no entry point", map[string]string{
			"archive/ks/all.yaml": fluxed("all", "archive", givesCIDR),
			"flux/cilium.yaml":    fluxed("cilium", "net", ""),
			"net/release.yaml":    plainValues,
		}, "cilium", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := layFiles(t, c.files)
			for range 3 {
				r := mustFind(t, root)
				if got := chainOf(r); got != c.want || r.Live() != c.live {
					t.Fatalf("applied by %q, live %v; want %q, %v", got, r.Live(), c.want, c.live)
				}
				if v := r.Where("ipv4NativeRoutingCIDR").Value; strings.Contains(c.want, "apps cilium") && strings.Contains(c.files["k8s/flux/apps.yaml"]+c.files["b/flux/apps.yaml"], "10.9") && v != "10.9.0.0/16" {
					t.Errorf("the parent's patch is lost: %v", v)
				}
			}
		})
	}
}

// chainOf names the Kustomizations that lead to a release.
func chainOf(r *Release) string {
	var names []string
	for _, k := range r.at.eff.lineage() {
		names = append(names, k.doc.id.name)
	}
	return strings.TrimSpace(strings.Join(names, " "))
}

func TestSourceOfKustomization(t *testing.T) {
	other := gitSource("other", "ssh://git@git.example.com/me/other.git")
	cases := []struct {
		name    string
		files   map[string]string
		remotes []string
		want    string
		missing string
	}{
		{"another repository at a path that exists here", map[string]string{
			"flux/apps.yaml":   fluxed("apps", "apps", givesCIDR),
			"apps/cilium.yaml": fluxed("cilium", "net", ""),
			"apps/other.yaml":  other + from("other", "flux", "GitRepository", "other", ""),
			"net/release.yaml": plainValues,
		}, nil, "apps cilium", ""},
		{"another repository below one entry point, over the directory of all", map[string]string{
			"flux/net.yaml":    fluxed("net", "apps/net", givesCIDR),
			"flux/misc.yaml":   fluxed("misc", "apps/misc", ""),
			"apps/net/x.yaml":  fluxed("cilium", "net", ""),
			"apps/misc/x.yaml": other + from("other", "flux", "GitRepository", "other", ""),
			"net/release.yaml": plainValues,
		}, nil, "net cilium", ""},
		{"another repository that holds itself here, known by flux-system's address", map[string]string{
			"flux/sync.yaml":   gitSource("flux-system", "https://git.example.com/me/fleet") + fluxed("flux-system", "flux", ""),
			"flux/apps.yaml":   fluxed("apps", "apps", givesCIDR),
			"apps/cilium.yaml": fluxed("cilium", "net", ""),
			"apps/other.yaml":  other + from("other", "apps", "GitRepository", "other", ""),
			"net/release.yaml": plainValues,
		}, nil, "flux-system apps cilium", ""},
		{"the same repository by another address form", map[string]string{
			"flux/sync.yaml":   gitSource("flux-system", "ssh://git@ssh.github.com:443/me/fleet.git") + fluxed("flux-system", "flux", ""),
			"flux/apps.yaml":   gitSource("fleet", "https://github.com/Me/fleet") + from("apps", "apps", "GitRepository", "fleet", givesCIDR),
			"apps/cilium.yaml": fluxed("cilium", "net", ""),
			"net/release.yaml": plainValues,
		}, nil, "flux-system apps cilium", ""},
		{"unknown, but nothing else applies it", map[string]string{
			"flux/apps.yaml":   other + from("apps", "apps", "GitRepository", "other", givesCIDR) + "---\n" + fluxed("more", "more", ""),
			"more/cm.yaml":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
			"apps/cilium.yaml": fluxed("cilium", "net", ""),
			"net/release.yaml": plainValues,
		}, nil, "apps cilium", "flux-system/apps takes apps from GitRepository other (ssh://git@git.example.com/me/other.git), which may be another repository"},
		{"the checkout's remote settles it", map[string]string{
			"flux/apps.yaml":   other + from("apps", "apps", "GitRepository", "other", givesCIDR) + "---\n" + fluxed("more", "more", ""),
			"more/cm.yaml":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
			"apps/cilium.yaml": fluxed("cilium", "net", ""),
			"net/release.yaml": plainValues,
		}, []string{"git@git.example.com:me/other.git"}, "apps cilium", ""},
		{"the only source there is", map[string]string{
			"flux/apps.yaml":   other + from("apps", "apps", "GitRepository", "other", givesCIDR),
			"apps/cilium.yaml": from("cilium", "net", "GitRepository", "other", ""),
			"net/release.yaml": plainValues,
		}, nil, "apps cilium", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, err := Find(context.Background(), Options{Root: layFiles(t, c.files), Remotes: c.remotes})
			if err != nil {
				t.Fatal(err)
			}
			if got := chainOf(r); got != c.want {
				t.Errorf("applied by %q, want %q", got, c.want)
			}
			if v := r.Where("ipv4NativeRoutingCIDR").Value; v != "10.9.0.0/16" {
				t.Errorf("the parent's patch is lost: %v", v)
			}
			if got := strings.Join(r.Missing, "\n"); !strings.Contains(got, c.missing) || c.missing == "" && strings.Contains(got, "another repository") {
				t.Errorf("missing %q, want %q", got, c.missing)
			}
		})
	}
}

func TestForeignOnlyIsNamed(t *testing.T) {
	root := layFiles(t, map[string]string{
		"flux/sync.yaml": gitSource("flux-system", "https://git.example.com/me/fleet") + fluxed("flux-system", "flux", ""),
		"flux/net.yaml":  gitSource("net", "https://git.example.com/me/net") + from("net", "elsewhere/cilium", "GitRepository", "net", ""),
	})
	_, err := Find(context.Background(), Options{Root: root})
	if !errors.Is(err, ErrNoRelease) || !strings.Contains(err.Error(), "https://git.example.com/me/net") || !strings.Contains(err.Error(), "checkout of the one that has it") {
		t.Errorf("%v", err)
	}
}

// Many Kustomizations that all apply each other are entered at one of them, in
// bounded time.
func TestManyInACircle(t *testing.T) {
	files := map[string]string{"net/release.yaml": plainValues, "a/cilium.yaml": fluxed("cilium", "net", "")}
	for i := range 2 * maxCompared {
		n := fmt.Sprintf("k%03d", i)
		files["a/"+n+".yaml"] = fluxed(n, "b/"+n, "")
		files["b/"+n+"/kustomization.yaml"] = "resources: [back.yaml]\n"
		files["b/"+n+"/back.yaml"] = fluxed("back"+n, "a", "")
	}
	r := mustFind(t, layFiles(t, files))
	if got := chainOf(r); !r.Live() || got != "backk000 cilium" {
		t.Errorf("applied by %q, live %v", got, r.Live())
	}
}
