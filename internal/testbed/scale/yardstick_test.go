//go:build linux

package scale

import (
	"context"
	"fmt"
	"os"
	"testing"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/remediate/controller"
)

// yardstickEnv names the kubeconfig by which this program is the yardstick and no
// test.
const yardstickEnv = "SCALE_YARDSTICK"

// yardstick starts a bare manager, of the same informers as the controller's and
// nothing else.
func yardstick(t testing.TB, kubeconfig string) *process {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	return run(t, []string{yardstickEnv + "=" + kubeconfig}, self)
}

// runYardstick is the other program.
func runYardstick(kubeconfig string) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	scheme, err := controller.NewScheme()
	if err != nil {
		return err
	}
	in := func(namespace string, c cache.Config) map[string]cache.Config {
		return map[string]cache.Config{namespace: c}
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Cache: cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.ConfigMap{}: {Namespaces: in("kube-system", cache.Config{FieldSelector: fields.OneTermEqualSelector("metadata.name", "cilium-config")})},
			&corev1.Pod{}:       {Namespaces: in(deploy.Name, cache.Config{})},
			&corev1.Service{}:   {Namespaces: in(deploy.Name, cache.Config{})},
			&appsv1.DaemonSet{}: {Namespaces: in(deploy.Name, cache.Config{})},
		}}})
	if err != nil {
		return err
	}
	ctx := context.Background()
	for _, o := range []client.Object{&v1alpha1.RemediationPolicy{}, &v1alpha1.Remediation{}, &helmv2.HelmRelease{}, &kustomizev1.Kustomization{},
		&sourcev1.GitRepository{}, &corev1.ConfigMap{}, &corev1.Node{}, &corev1.Pod{}, &corev1.Service{}, &appsv1.DaemonSet{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, o, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("%T: %w", o, err)
		}
	}
	return mgr.Start(ctx)
}
