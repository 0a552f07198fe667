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
	for _, top := range []string{"config", "examples/incidents", "examples/flux"} {
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
		if kind := r.GetKind(); kind != "ClusterRole" && kind != "Role" || r.GetName() != "remediate-reader" {
			continue // what the others grant, internal/install asks a real API server
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

// probeObjects are what `remediate detect` makes and removes, or, where names
// follow, what it touches of that kind.
func probeObjects() map[string][]string {
	return map[string][]string{
		"namespaces": nil, "services": nil, "pods": nil, "apps/daemonsets": nil, "networking.k8s.io/networkpolicies": nil,
		"configmaps": {"remediate-probe-members", "remediate-probe-members-1", "remediate-probe-members-2", "remediate-probe-members-3"},
		"secrets":    {"remediate-probe-key"},
	}
}

// excess says what of a rule goes beyond reading what probes are made of, and
// making, changing and removing them.
func excess(rule rbacv1.PolicyRule) []string {
	var out []string
	reads := []string{"nodes", "pods", "pods/log", "services", "namespaces", "events", "apps/daemonsets", "discovery.k8s.io/endpointslices", "networking.k8s.io/networkpolicies"}
	objects := probeObjects()
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			kind := strings.TrimPrefix(group+"/"+resource, "/")
			names, ours := objects[kind]
			narrow := len(rule.ResourceNames) > 0 && slices.Equal(rule.ResourceNames, names)
			for _, verb := range rule.Verbs {
				ok := ours && verb == "create"
				switch verb {
				case "get", "list", "watch":
					ok = slices.Contains(reads, kind) || narrow && verb == "get"
				case "patch", "delete":
					ok = ours && names == nil && (kind != "pods" || verb == "patch") || narrow
				}
				if !ok || kind == "pods" && verb == "create" {
					out = append(out, fmt.Sprintf("may %s %s %q", verb, kind, rule.ResourceNames))
				}
			}
		}
	}
	return out
}

func TestRightsToDetect(t *testing.T) {
	roles := build(t, filepath.Join(root(t), "config", "probe", "rbac")).Resources()
	if len(roles) != 1 {
		t.Fatalf("%d objects, want the ClusterRole alone", len(roles))
	}
	text, err := roles[0].AsYAML()
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(text, &role); err != nil {
		t.Fatal(err)
	}
	for _, rule := range role.Rules {
		report(t, excess(rule))
	}
}

func TestExcessBites(t *testing.T) {
	rule := func(group, resource, verb string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: names}
	}
	for _, tt := range []struct {
		rule rbacv1.PolicyRule
		want bool
	}{
		{rule("", "secrets", "get"), true},
		{rule("", "secrets", "get", "remediate-probe-key"), false},
		{rule("", "secrets", "get", "remediate-probe-key", "admin"), true},
		{rule("", "secrets", "list", "remediate-probe-key"), true},
		{rule("", "secrets", "create"), false},
		{rule("", "configmaps", "delete"), true},
		{rule("", "configmaps", "list"), true},
		{rule("", "pods", "patch"), false},
		{rule("", "pods", "create"), true},
		{rule("", "pods/exec", "create"), true},
		{rule("", "pods", "delete"), true},
		{rule("apps", "daemonsets", "delete"), false},
		{rule("apps", "daemonsets", "deletecollection"), true},
		{rule("apps", "deployments", "create"), true},
		{rule("*", "*", "get"), true},
		{rule("", "namespaces", "*"), true},
		{rule("rbac.authorization.k8s.io", "clusterrolebindings", "create"), true},
	} {
		if got := excess(tt.rule); (len(got) > 0) != tt.want {
			t.Errorf("%v: got %q", tt.rule, got)
		}
	}
}
