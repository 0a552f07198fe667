package breakglass

import (
	"testing"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	release "helm.sh/helm/v4/pkg/release/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/internal/testbed"
)

// rights: the account can do what an upgrade takes, and not more.
func (b *bed) rights(e *Executor) {
	b.t.Helper()
	scheme := b.client.Scheme()
	if err := rbacv1.AddToScheme(scheme); err != nil {
		b.t.Fatal(err)
	}
	c, err := client.New(e.Config, client.Options{Scheme: scheme})
	if err != nil {
		b.t.Fatal(err)
	}
	merge := func(o client.Object, patch string) error {
		return c.Patch(b.t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch)))
	}
	object := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	everything := `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`
	tests := []struct {
		name string
		err  error
	}{
		{"widen Cilium's ClusterRole", merge(&rbacv1.ClusterRole{ObjectMeta: object("", "cilium")}, everything)},
		{"widen its own ClusterRole", merge(&rbacv1.ClusterRole{ObjectMeta: object("", "remediate-break-glass")}, everything)},
		{"widen its own Role", merge(&rbacv1.Role{ObjectMeta: object("kube-system", "remediate-break-glass")}, everything)},
		{"bind Cilium's account to another role", merge(&rbacv1.ClusterRoleBinding{ObjectMeta: object("", "cilium")}, `{"subjects":[{"kind":"User","name":"x","apiGroup":"rbac.authorization.k8s.io"}]}`)},
		{"change another HelmRelease", merge(&helmv2.HelmRelease{ObjectMeta: object("kube-system", "other")}, `{"spec":{"suspend":true}}`)},
		{"read Flux's Secrets", c.List(b.t.Context(), &corev1.SecretList{}, client.InNamespace("flux-system"))},
		{"read all Secrets", c.List(b.t.Context(), &corev1.SecretList{})},
		{"write elsewhere", c.Create(b.t.Context(), &corev1.ConfigMap{ObjectMeta: object("default", "x")})},
		{"make pods", c.Create(b.t.Context(), &corev1.Pod{ObjectMeta: object("kube-system", "x"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "x"}}}})},
	}
	for _, tt := range tests {
		if !apierrors.IsForbidden(tt.err) {
			b.t.Errorf("%s: %v", tt.name, tt.err)
		}
	}
}

func TestLoadChart(t *testing.T) {
	path := testbed.ChartDir(t)
	tests := []struct {
		name, chart, version string
		ok                   bool
	}{
		{"the same", "cilium", "1.18.6", true},
		{"with an artifact's digest", "cilium", "1.18.6+4f0a", true},
		{"an upgrade", "cilium", "1.18.5", false},
		{"another chart", "tetragon", "1.18.6", false},
		{"no version", "cilium", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			live := &release.Release{Name: "cilium", Chart: &chart.Chart{Metadata: &chart.Metadata{Name: tt.chart, Version: tt.version}}}
			c, err := loadChart(path, live)
			if (err == nil) != tt.ok {
				t.Fatalf("%v", err)
			}
			if tt.ok && c.Metadata.Version != tt.version {
				t.Errorf("version %s, want the live one's %s", c.Metadata.Version, tt.version)
			}
		})
	}
	if _, err := loadChart(path, &release.Release{Name: "cilium"}); err == nil {
		t.Error("a release without a chart passed")
	}
	if _, err := loadChart(t.TempDir(), &release.Release{}); err == nil {
		t.Error("an empty folder passed")
	}
}

func TestReleaseName(t *testing.T) {
	long := "a-release-name-that-is-much-longer-than-helm-takes-because-of-its-namespace"
	tests := []struct{ name, want string }{
		{"cilium", "cilium"},
		{long, "a-release-name-that-is-much-longer-than--229337af3e51"},
	}
	for _, tt := range tests {
		hr := &helmv2.HelmRelease{Spec: helmv2.HelmReleaseSpec{ReleaseName: tt.name}}
		if got := releaseName(hr); got != tt.want || len(got) > 53 {
			t.Errorf("%s: got %s (%d), want %s", tt.name, got, len(got), tt.want)
		}
	}
}
