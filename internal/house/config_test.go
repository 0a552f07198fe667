package house

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

func build(t *testing.T, dir string) resmap.ResMap {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatalf("kustomize build %s: %v", dir, err)
	}
	return built
}

// kustomizations lists the folders below dir that hold a kustomization.yaml.
func kustomizations(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "kustomization.yaml" {
			out = append(out, filepath.Dir(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestKustomizationsBuild(t *testing.T) {
	base := root(t)
	for _, top := range []string{"config", "examples/incidents"} {
		dirs := kustomizations(t, filepath.Join(base, top))
		if len(dirs) == 0 {
			t.Errorf("%s holds no kustomization.yaml", top)
		}
		for _, dir := range dirs {
			rel, err := filepath.Rel(base, dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(rel, func(t *testing.T) { build(t, dir) })
		}
	}
}

// snapshotKinds are what the snapshot reads of a cluster, as RBAC names them.
func snapshotKinds() []string {
	return []string{
		"apps/daemonsets", "apps/deployments",
		"cilium.io/ciliumbgpadvertisements", "cilium.io/ciliumbgpclusterconfigs",
		"cilium.io/ciliumbgpnodeconfigoverrides", "cilium.io/ciliumbgpnodeconfigs",
		"cilium.io/ciliumbgppeerconfigs", "cilium.io/ciliumbgppeeringpolicies",
		"cilium.io/ciliumclusterwidenetworkpolicies", "cilium.io/ciliumendpoints",
		"cilium.io/ciliumidentities", "cilium.io/ciliumnetworkpolicies",
		"cilium.io/ciliumnodeconfigs", "cilium.io/ciliumnodes", "cilium.io/ciliumpodippools",
		"configmaps", "discovery.k8s.io/endpointslices", "events",
		"helm.toolkit.fluxcd.io/helmreleases", "kustomize.toolkit.fluxcd.io/kustomizations",
		"namespaces", "networking.k8s.io/networkpolicies", "networking.k8s.io/servicecidrs",
		"nodes", "pods", "remediate.dev/probereports", "services",
		"source.toolkit.fluxcd.io/gitrepositories", "source.toolkit.fluxcd.io/helmrepositories",
		"source.toolkit.fluxcd.io/ocirepositories",
	}
}

// granted flattens rules into "group/resource" names, and lists what is more
// than reading named kinds.
func granted(rules []rbacv1.PolicyRule) (resources, problems []string) {
	for _, rule := range rules {
		for _, verb := range rule.Verbs {
			if !slices.Contains([]string{"get", "list", "watch"}, verb) {
				problems = append(problems, fmt.Sprintf("verb %q on %v writes", verb, rule.Resources))
			}
		}
		for _, resource := range rule.Resources {
			if resource == "secrets" || resource == "*" {
				problems = append(problems, "grants "+resource)
			}
			for _, group := range rule.APIGroups {
				resources = append(resources, strings.TrimPrefix(group+"/"+resource, "/"))
			}
		}
	}
	return resources, problems
}

func TestRightsAreThoseOfASnapshot(t *testing.T) {
	var got []string
	for _, r := range build(t, filepath.Join(root(t), "config", "default")).Resources() {
		if kind := r.GetKind(); kind != "ClusterRole" && kind != "Role" {
			continue
		}
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		var role rbacv1.ClusterRole
		if err := yaml.UnmarshalStrict(text, &role); err != nil {
			t.Fatal(err)
		}
		resources, problems := granted(role.Rules)
		report(t, problems)
		got = append(got, resources...)
	}
	slices.Sort(got)
	if want := snapshotKinds(); !slices.Equal(got, want) {
		t.Errorf("rights\n got %q\nwant %q", got, want)
	}
}

func TestGrantedBites(t *testing.T) {
	tests := []struct {
		rule rbacv1.PolicyRule
		want string
	}{
		{rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}, "grants secrets"},
		{rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"*"}, Verbs: []string{"get"}}, "grants *"},
		{rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"daemonsets"}, Verbs: []string{"patch"}}, "writes"},
		{rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"daemonsets"}, Verbs: []string{"*"}}, "writes"},
		{rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"daemonsets"}, Verbs: []string{"list"}}, ""},
	}
	for _, tt := range tests {
		_, problems := granted([]rbacv1.PolicyRule{tt.rule})
		got := strings.Join(problems, "\n")
		if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%v: got %q, want %q", tt.rule, got, tt.want)
		}
	}
}
