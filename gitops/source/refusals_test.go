package source

import (
	"context"
	"errors"
	"strings"
	"testing"
)

const justSync = "flux/sync.yaml"

func TestRefusals(t *testing.T) {
	sync := fluxed("flux-system", "flux", "") + "---\n" + fluxed("infra", "infra", "")
	values := plain + "  values: {routingMode: native}\n"
	app := func(kind, spec string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: net}\nspec:\n" + spec
	}
	cases := []struct {
		name  string
		files map[string]string
		is    error
		want  []string
		not   string
	}{
		{"an annotation makes no Argo CD Application", map[string]string{
			"infra/job.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: wait-for-cilium, annotations: {argocd.argoproj.io/hook: PostSync}}\nspec: {}\n",
		}, ErrNoRelease, nil, "Argo"},
		{"nor does an Application of something else", map[string]string{
			"infra/app.yaml": app("Application", "  destination: {namespace: cilium}\n  source: {repoURL: https://git.example.com/web, path: web} # needs cilium\n"),
		}, ErrNoRelease, nil, "Argo"},
		{"an Application of the chart", map[string]string{
			"infra/app.yaml": "# network\n" + app("Application", "  source: {repoURL: https://helm.cilium.io/, chart: cilium, targetRevision: 1.18.6}\n"),
		}, ErrNotOurs, []string{"infra/app.yaml:2 is an Argo CD Application"}, ""},
		{"an Application of a directory", map[string]string{
			"infra/app.yaml": app("Application", "  sources: [{repoURL: https://git.example.com/fleet, path: apps/cilium/overlay}]\n"),
		}, ErrNotOurs, []string{"Argo CD Application"}, ""},
		{"an ApplicationSet", map[string]string{
			"infra/app.yaml": app("ApplicationSet", "  generators: [{list: {elements: [{name: cilium}, {name: web}]}}]\n  template: {spec: {source: {path: \"apps/{{name}}\"}}}\n"),
		}, ErrNotOurs, []string{"Argo CD ApplicationSet"}, ""},
		{"an Application in a file that is no plain YAML", map[string]string{
			"infra/app.yaml": app("Application", "  source:\n    chart: cilium\n    version: {{ .Values.version }}: x\n"),
		}, ErrNotOurs, []string{"infra/app.yaml:2 is an Argo CD Application"}, ""},
		{"an annotation in Terraform configures nothing", map[string]string{
			"tf/svc.tf": "resource \"kubernetes_service\" \"x\" { annotations = { \"lbipam.cilium.io/ips\" = \"10.0.0.1\" } }\n",
		}, ErrNoRelease, nil, "Terraform"},
		{"a chart in Terraform does", map[string]string{
			"tf/net.tf": "resource \"helm_release\" \"net\" { repository = \"https://helm.cilium.io\" }\n",
		}, ErrNotOurs, []string{"tf/net.tf configures Cilium in Terraform"}, ""},
		{"a README made of a template", map[string]string{
			"charts/x/README.md.gotmpl": "works with Cilium\n",
		}, ErrNoRelease, nil, "template"},
		{"a chart around the chart", map[string]string{
			"apps/net/Chart.yaml": "apiVersion: v2\nname: net\nversion: 0.1.0\ndependencies:\n- name: cilium\n  version: 1.18.6\n  repository: https://helm.cilium.io\n",
		}, ErrNotOurs, []string{"apps/net/Chart.yaml wraps the chart"}, ""},
		{"a release that its kustomization does not list", map[string]string{
			"infra/kustomization.yaml": "# infra\nresources:\n- cm.yaml\n",
			"infra/cm.yaml":            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
			"infra/cilium.yaml":        "# cilium\n" + values,
		}, ErrNoRelease, []string{"infra/cilium.yaml:2", "infra/kustomization.yaml:2 does not list it", "add cilium.yaml to its resources"}, "Argo"},
		{"a ResourceSet that generates Kustomizations", map[string]string{
			"infra/set.yaml": "apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {name: apps, namespace: flux-system}\nspec:\n  inputs: [{name: a}]\n  resources:\n  - apiVersion: kustomize.toolkit.fluxcd.io/v1\n    kind: Kustomization\n    metadata: {name: << inputs.name >>}\n    spec: {path: ./apps/<< inputs.name >>}\n",
		}, ErrNoRelease, []string{"ResourceSet flux-system/apps (infra/set.yaml:1) generates Kustomizations, which is not read"}, ""},
		{"a ResourceSet with a template", map[string]string{
			"infra/set.yaml": "apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {name: net, namespace: flux-system}\nspec:\n  resourcesTemplate: |\n    apiVersion: helm.toolkit.fluxcd.io/v2\n    kind: HelmRelease # cilium\n    metadata: {name: cilium}\n",
		}, ErrNoRelease, []string{"ResourceSet flux-system/net (infra/set.yaml:1) generates HelmReleases"}, ""},
		{"a ResourceSet of other objects", map[string]string{
			"infra/set.yaml": "apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {name: other, namespace: flux-system}\nspec:\n  # not for kustomize.toolkit.fluxcd.io\n  resources: [{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}]\n",
		}, ErrNoRelease, nil, "ResourceSet"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.files[justSync] = sync
			root := layFiles(t, c.files)
			_, err := Find(context.Background(), Options{Root: root})
			if !errors.Is(err, c.is) {
				t.Fatalf("%v", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v\ndoes not say %q", err, w)
				}
			}
			if c.not != "" && strings.Contains(strings.ReplaceAll(err.Error(), root, ""), c.not) {
				t.Errorf("%v\nspeaks of %q", err, c.not)
			}
		})
	}
}

func TestTemplateIsNotLive(t *testing.T) {
	template := plain + "  values:\n    cluster: {name: CLUSTER_NAME, id: CLUSTER_ID}\n    k8sServiceHost: <api address>\n    operator: {x: change-me}\n    securityContext: {capabilities: {ciliumAgent: [NET_ADMIN, SYS_MODULE]}}\n"
	root := layFiles(t, map[string]string{"net/cilium/release.yaml": template, "net/cilium/kustomization.yaml": "resources: [release.yaml]\n"})
	_, err := Find(context.Background(), Options{Root: root})
	if !errors.Is(err, ErrNoRelease) || errors.Is(err, ErrNotOurs) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"net/cilium/release.yaml:1", "cluster.id: CLUSTER_ID, cluster.name: CLUSTER_NAME, k8sServiceHost: <api address>, and 1 more", "--release kube-system/cilium"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
	for _, o := range []Options{{Release: "kube-system/cilium"}, {ClusterPath: "net"}} {
		o.Root = root
		if r, err := Find(context.Background(), o); err != nil || r.Live() {
			t.Errorf("chosen by %+v: %v", o, err)
		}
	}
	applied := layFiles(t, map[string]string{"net/cilium/release.yaml": template, "flux/net.yaml": fluxed("net", "net/cilium", "")})
	if _, err := Find(context.Background(), Options{Root: applied}); err != nil {
		t.Errorf("one that is applied is what the cluster has: %v", err)
	}
	bare := layFiles(t, map[string]string{"release.yaml": plain + "  values: {extraEnv: [{name: GO_MAX, value: A_B}], securityContext: {capabilities: {ciliumAgent: [NET_ADMIN]}}}\n"})
	if _, err := Find(context.Background(), Options{Root: bare}); err != nil {
		t.Errorf("no placeholder in it: %v", err)
	}
}

// Options choose among what is not live too, when what is live does not fit.
func TestChosenThoughNotLive(t *testing.T) {
	root := layFiles(t, map[string]string{
		"a/flux-system/gotk-sync.yaml": fluxed("flux-system", "a", ""),
		"a/cilium.yaml":                fluxed("cilium", "net", ""),
		"net/release.yaml":             plain + "  values: {routingMode: native}\n",
		"b/apps/cilium.yaml":           fluxed("cilium", "netb", ""),
		"netb/release.yaml":            plain + "  values: {routingMode: tunnel}\n",
	})
	if r := mustFind(t, root); r.File != "net/release.yaml" || !r.Live() {
		t.Errorf("live is %s", r.File)
	}
	r, err := Find(context.Background(), Options{Root: root, ClusterPath: "b"})
	if err != nil || r.File != "netb/release.yaml" || r.Live() {
		t.Errorf("chosen: %v, %v", r, err)
	}
	_, err = Find(context.Background(), Options{Root: root, ClusterPath: "c"})
	if err == nil || !strings.Contains(err.Error(), "net/release.yaml") || strings.Contains(err.Error(), "netb/release.yaml") {
		t.Errorf("what there is: %v", err)
	}
}

func TestGeneratedEntryIsMissing(t *testing.T) {
	root := layFiles(t, map[string]string{
		"k8s/flux/set.yaml":        "apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {name: apps, namespace: flux-system}\nspec:\n  inputs: [{ns: net}]\n  resources:\n  - apiVersion: kustomize.toolkit.fluxcd.io/v1\n    kind: Kustomization\n    metadata: {name: << inputs.ns >>}\n    spec: {path: ./k8s/apps/<< inputs.ns >>}\n",
		"k8s/apps/net/ks.yaml":     fluxed("cilium", "k8s/charts/cilium", ""),
		"k8s/charts/cilium/x.yaml": plain + "  values: {routingMode: native}\n",
	})
	r := mustFind(t, root)
	if got := strings.Join(r.Missing, "\n"); !strings.Contains(got, "ResourceSet flux-system/apps (k8s/flux/set.yaml:1) generates Kustomizations, which is not read: what it patches or substitutes in k8s/apps/net/ks.yaml is not known") {
		t.Errorf("missing: %s", got)
	}
}

func TestSameReleaseIsListedOnce(t *testing.T) {
	root := layFiles(t, map[string]string{
		"net/kustomization.yaml": "resources: [release.yaml, other.yaml, third.yaml]\n",
		"net/release.yaml":       plain + "  values: {routingMode: native}\n",
		"net/other.yaml":         strings.Replace(strings.ReplaceAll(plain, "cilium", "other"), "chart: other", "chart: \"${CHART}\"", 1) + "  values: {a: b} # cilium\n",
		"net/third.yaml":         strings.Replace(strings.ReplaceAll(plain, "cilium", "third"), "chart: third", "chart: \"${CHART}\"", 1) + "  values: {a: b} # cilium\n",
	})
	rs, err := List(context.Background(), Options{Root: root})
	if err != nil || len(rs) != 1 {
		t.Errorf("%d releases: %v", len(rs), err)
	}
}
