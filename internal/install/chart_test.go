package install

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// bare takes away what tells who installed an object, and orders what has no
// order.
func bare(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	drop := func(fields ...string) {
		labels, _, _ := unstructured.NestedStringMap(o.Object, fields...)
		for _, l := range []string{"app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"} {
			delete(labels, l)
		}
		if len(labels) > 0 {
			_ = unstructured.SetNestedStringMap(o.Object, labels, fields...)
		}
	}
	drop("metadata", "labels")
	drop("spec", "template", "metadata", "labels")
	if spec, ok := o.Object["spec"].(map[string]any); ok && len(spec) == 0 {
		delete(o.Object, "spec")
	}
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	for _, c := range containers {
		env, _, _ := unstructured.NestedSlice(c.(map[string]any), "env")
		slices.SortFunc(env, func(a, b any) int {
			return strings.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
		})
		c.(map[string]any)["env"] = env
	}
	if containers != nil {
		_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
	}
	return o.Object
}

// What the chart makes of its default values is what config/default builds. It
// differs in two objects: Helm is given a namespace that is there, and a key for the
// probes can be made by a template and not by a file.
func TestChartIsConfig(t *testing.T) {
	index := func(list []*unstructured.Unstructured, without ...string) map[string]map[string]any {
		out := map[string]map[string]any{}
		for _, o := range list {
			if _, twice := out[id(o)]; twice {
				t.Errorf("%s is there twice", id(o))
			}
			if !slices.Contains(without, id(o)) {
				out[id(o)] = bare(o)
			}
		}
		return out
	}
	want := index(kustomize(t, "default"), "Namespace /"+system)
	got := index(mustRender(t, nil), "Secret remediate-probe/remediate-probe-key")
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-config/default +chart\n%s", diff)
	}
	if len(want) < 20 {
		t.Errorf("only %d objects were compared", len(want))
	}
}

// Helm installs only what lies in the chart's own folder.
func TestChartHasTheDefinitions(t *testing.T) {
	bases, chart := path(t, "config", "crd", "bases"), path(t, "charts", "remediate", "crds")
	names := func(dir string) []string {
		var out []string
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	if a, b := names(bases), names(chart); !slices.Equal(a, b) || len(a) != 2 {
		t.Fatalf("config has %q, the chart %q: run make generate", a, b)
	}
	for _, name := range names(bases) {
		if read(t, filepath.Join(bases, name)) != read(t, filepath.Join(chart, name)) {
			t.Errorf("%s differs between config/crd/bases and charts/remediate/crds: run make generate", name)
		}
	}
}

func deployment(t *testing.T, list []*unstructured.Unstructured) appsv1.Deployment {
	t.Helper()
	return into[appsv1.Deployment](t, named(t, list, "Deployment.apps "+system+"/remediate"))
}

func env(t *testing.T, list []*unstructured.Unstructured, name string) string {
	t.Helper()
	for _, e := range deployment(t, list).Spec.Template.Spec.Containers[0].Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// The ways to the API server are the same by component and by value.
func TestWaysToTheAPIServer(t *testing.T) {
	for _, tt := range []struct{ component, port string }{{"kubeprism", "7445"}, {"k3s", "6444"}} {
		built := kustomize(t, "default", "api-server/"+tt.component)
		rendered := mustRender(t, nil, "apiServer: {host: localhost, port: "+tt.port+"}")
		for what, list := range map[string][]*unstructured.Unstructured{"config": built, "chart": rendered} {
			if h, p := env(t, list, "KUBERNETES_SERVICE_HOST"), env(t, list, "KUBERNETES_SERVICE_PORT"); h != "localhost" || p != tt.port {
				t.Errorf("%s, %s: %s:%s", what, tt.component, h, p)
			}
			var names []string
			for _, e := range deployment(t, list).Spec.Template.Spec.Containers[0].Env {
				names = append(names, e.Name)
			}
			slices.Sort(names)
			if want := []string{"GOMEMLIMIT", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "POD_NAME", "POD_UID", "RUNTIME_NAMESPACE"}; !slices.Equal(names, want) {
				t.Errorf("%s, %s: variables %v, want %v", what, tt.component, names, want)
			}
		}
	}
	if got := env(t, mustRender(t, nil), "KUBERNETES_SERVICE_HOST"); got != "" {
		t.Errorf("by default %q", got)
	}
}

// What is not in the default install is the same by component and by value.
func TestOptionsOfConfigAndChart(t *testing.T) {
	for _, tt := range []struct{ component, values string }{
		{"access/flux-system", "rbac: {secrets: [{namespace: flux-system, names: [flux-system, remediate-forge]}]}"},
		{"access/agent-metrics", "rbac: {agentMetrics: true}"},
		{"access/probe-host", "probe: {host: true}"},
		{"break-glass", "rbac: {breakGlass: true}"},
		{"break-glass/approvers", "rbac: {breakGlassApprovers: true}"},
		{"notification/cilium", "notification: {policy: cilium}"},
		{"notification/kubernetes", "notification: {policy: kubernetes}"},
		{"probe/host", "probe: {host: true, key: {create: false}}"},
	} {
		t.Run(tt.component, func(t *testing.T) {
			want := kustomize(t, tt.component)
			rendered, byDefault := mustRender(t, nil, tt.values), mustRender(t, nil)
			if len(want) == 0 {
				t.Fatal("the component is empty")
			}
			for _, o := range want {
				if diff := gocmp.Diff(bare(o), bare(named(t, rendered, id(o)))); diff != "" {
					t.Errorf("-config +chart\n%s", diff)
				}
				if slices.ContainsFunc(byDefault, func(d *unstructured.Unstructured) bool { return id(d) == id(o) }) {
					t.Errorf("%s is in the default install", id(o))
				}
			}
		})
	}
}

func TestChartValues(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	all := mustRender(t, nil, `
image: {repository: mirror.example/remediate, digest: "`+digest+`", pullPolicy: Always, pullSecrets: [{name: pull}]}
replicas: 2
ports: {metrics: 19790, health: 19791}
extraArgs: ["--log-level=debug"]
notification: {address: "http://10.96.3.4/"}
podAnnotations: {a: b}
podLabels: {c: d}
nodeSelector: {e: f}
affinity: {nodeAffinity: {}}
probe: {image: {tag: v9}, namespace: elsewhere, host: true}
`)
	d := deployment(t, all)
	pod, c := d.Spec.Template, d.Spec.Template.Spec.Containers[0]
	if c.Image != "mirror.example/remediate@"+digest || c.ImagePullPolicy != "Always" || pod.Spec.ImagePullSecrets[0].Name != "pull" {
		t.Errorf("image %s, %s, %v", c.Image, c.ImagePullPolicy, pod.Spec.ImagePullSecrets)
	}
	for _, want := range []string{"--metrics-addr=:19790", "--health-addr=:19791", "--log-level=debug", "--events-addr=http://10.96.3.4/"} {
		if !slices.Contains(c.Args, want) {
			t.Errorf("%q is not among %q", want, c.Args)
		}
	}
	if c.Ports[0].ContainerPort != 19790 || c.Ports[1].ContainerPort != 19791 || *d.Spec.Replicas != 2 {
		t.Errorf("ports %v, %d replicas", c.Ports, *d.Spec.Replicas)
	}
	if pod.Annotations["a"] != "b" || pod.Labels["c"] != "d" || !equality.Semantic.DeepEqual(pod.Spec.NodeSelector, map[string]string{"kubernetes.io/os": "linux", "e": "f"}) {
		t.Errorf("annotations %v, labels %v, node selector %v", pod.Annotations, pod.Labels, pod.Spec.NodeSelector)
	}
	probe := into[appsv1.DaemonSet](t, named(t, all, "DaemonSet.apps elsewhere/remediate-probe"))
	if got := probe.Spec.Template.Spec.Containers[0].Image; got != "ghcr.io/remediate-dev/remediate-probe:v9" {
		t.Errorf("probe runs %s", got)
	}
	named(t, all, "DaemonSet.apps elsewhere-host/remediate-probe-host")
	for _, ns := range []string{"elsewhere", "elsewhere-host"} {
		named(t, all, "Role.rbac.authorization.k8s.io "+ns+"/remediate-controller")
		named(t, all, "RoleBinding.rbac.authorization.k8s.io "+ns+"/remediate-controller")
	}
	keys := [2]string{}
	for i, ns := range []string{"elsewhere", "elsewhere-host"} {
		keys[i] = string(into[corev1.Secret](t, named(t, all, "Secret "+ns+"/remediate-probe-key")).Data["key"])
	}
	if len(keys[0]) != 32 || keys[0] != keys[1] {
		t.Errorf("keys of %d and %d bytes, the same: %t", len(keys[0]), len(keys[1]), keys[0] == keys[1])
	}
	if second := into[corev1.Secret](t, named(t, mustRender(t, nil), "Secret remediate-probe/remediate-probe-key")); string(second.Data["key"]) == keys[0] {
		t.Errorf("two installs have the same key %s", base64.StdEncoding.EncodeToString(second.Data["key"]))
	}
	for _, o := range mustRender(t, nil, "probe: {enabled: false}", "rbac: {aggregate: false}") {
		if o.GetKind() == "DaemonSet" || o.GetKind() == "Secret" || o.GetLabels()["rbac.authorization.k8s.io/aggregate-to-view"] != "" {
			t.Errorf("%s is there although it is off", id(o))
		}
	}
}

// A policy of the profiles clones the repository with what bootstrap left, which the
// controller must be allowed to read.
func TestProfilesReachTheRepository(t *testing.T) {
	for _, profile := range []string{"observe", "propose"} {
		all := mustRender(t, nil, read(t, path(t, "charts", "remediate", "profiles", profile+".yaml")))
		role := into[rbacv1.Role](t, named(t, all, "Role.rbac.authorization.k8s.io flux-system/remediate-git"))
		if want := []string{"flux-system"}; len(role.Rules) != 1 || !slices.Equal(role.Rules[0].ResourceNames, want) || !slices.Equal(role.Rules[0].Verbs, []string{"get"}) {
			t.Errorf("profile %s may read %+v", profile, role.Rules)
		}
	}
}

// A chart elsewhere than in its usual namespace binds its own account.
func TestChartNamesItsNamespace(t *testing.T) {
	for _, o := range mustRender(t, nil) {
		if o.GetKind() != "RoleBinding" && o.GetKind() != "ClusterRoleBinding" {
			continue
		}
		b := into[rbacv1.RoleBinding](t, o)
		if len(b.Subjects) != 1 || b.Subjects[0] != (rbacv1.Subject{Kind: "ServiceAccount", Name: account, Namespace: system}) {
			t.Errorf("%s binds %v", id(o), b.Subjects)
		}
	}
}

func TestChartRefuses(t *testing.T) {
	for values, says := range map[string]string{
		"replica: 2":                                        "replica",
		"replicas: many":                                    "/replicas",
		"image: {digest: sha256:abc}":                       "/image/digest",
		"apiServer: {host: localhost}":                      "/apiServer",
		"apiServer: {port: 7445}":                           "/apiServer",
		"apiServer: {host: \"https://x\", port: 1}":         "/apiServer/host",
		"resources: {limits: {cpu: 1, memory: null}}":       "memory",
		"rbac: {secrets: [{namespace: a, names: []}]}":      "/rbac/secrets",
		"rbac: {secrets: [{namespace: a}]}":                 "names",
		"rbac: {breakGlassApprovers: [jane]}":               "/rbac/breakGlassApprovers",
		"notification: {policy: all}":                       "/notification/policy",
		"notification: {address: \"http://u:p@host/\"}":     "/notification/address",
		"probe: {namespace: Upper}":                         "/probe/namespace",
		"ports: {metrics: 0}":                               "/ports/metrics",
		"extraArgs: [controller]":                           "/extraArgs",
		"policies: [{name: cilium}]":                        "spec",
		"policies: [{name: cilium, spec: {}, extra: true}]": "extra",
	} {
		if _, err := render(t, nil, values); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want a message about %q", values, err, says)
		}
	}
}
