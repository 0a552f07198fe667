package install

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/remediate-dev/remediate/internal/testbed"
)

// cluster is a real API server, its administrator's access, and the controller's.
type cluster struct {
	cfg    *rest.Config
	kube   kubernetes.Interface
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

func connect(t *testing.T, cfg *rest.Config) *cluster {
	t.Helper()
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 1000, 2000
	cfg.WarningHandler = rest.NoWarnings{}
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{cfg, kube, client, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kube.Discovery()))}
}

// controller is the access that the controller itself has: the token of its
// ServiceAccount, and nothing of the administrator's.
func (c *cluster) controller(t *testing.T) *cluster {
	t.Helper()
	token, err := c.kube.CoreV1().ServiceAccounts(system).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := rest.AnonymousClientConfig(c.cfg)
	cfg.BearerToken = token.Status.Token
	return connect(t, cfg)
}

func (c *cluster) resource(t *testing.T, o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	t.Helper()
	gvk := o.GroupVersionKind()
	m, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset()
		m, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.client.Resource(m.Resource).Namespace(o.GetNamespace()), nil
	}
	return c.client.Resource(m.Resource), nil
}

// apply is what `kubectl apply --server-side` and Flux do, in their order.
func (c *cluster) apply(t *testing.T, list []*unstructured.Unstructured) {
	t.Helper()
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	for _, o := range list {
		eventually(t, "apply "+id(o), func() error { return c.applyOne(t, o) })
	}
}

// rank is 0 for namespaces, 1 for definitions, 2 for all that needs them.
func rank(o *unstructured.Unstructured) int {
	switch o.GetKind() {
	case "Namespace":
		return 0
	case "CustomResourceDefinition":
		return 1
	}
	return 2
}

func (c *cluster) applyOne(t *testing.T, o *unstructured.Unstructured) error {
	t.Helper()
	r, err := c.resource(t, o)
	if err != nil {
		return err
	}
	text, err := json.Marshal(o.Object)
	if err != nil {
		return err
	}
	force := true
	_, err = r.Patch(t.Context(), o.GetName(), types.ApplyPatchType, text, metav1.PatchOptions{
		FieldManager: "test", Force: &force, FieldValidation: metav1.FieldValidationStrict,
	})
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		t.Fatalf("apply %s: %v", id(o), err)
	}
	return err
}

// eventually asks again: what the server grants and serves follows its objects by a
// moment.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func (c *cluster) namespace(t *testing.T, name string) {
	t.Helper()
	_, err := c.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// TestOnARealAPIServer installs what users install, and asks the server what it
// makes of it.
func TestOnARealAPIServer(t *testing.T) {
	admin := connect(t, testbed.APIServer(t))
	testbed.InstallCRDs(t, admin.cfg)
	admin.namespace(t, "flux-system")
	t.Run("config/default", func(t *testing.T) { admin.apply(t, kustomize(t, "default")) })
	t.Run("the controller's rights", func(t *testing.T) { rightsSuffice(t, admin) })
	t.Run("no other rights", func(t *testing.T) { noOtherRights(t, admin) })
	t.Run("it reads all that a snapshot holds", func(t *testing.T) { readsTheCluster(t, admin) })
	t.Run("PodSecurity", func(t *testing.T) { restrictedButForTheNetwork(t, admin) })
	t.Run("the chart", func(t *testing.T) { chartIsAccepted(t, admin) })
	t.Run("the key of the probes stays", func(t *testing.T) { keyStays(t, admin) })
	t.Run("the twins' namespace", func(t *testing.T) { twinsTakeRights(t, admin) })
	t.Run("the options", func(t *testing.T) { optionsAreAccepted(t, admin) })
	t.Run("who approves", func(t *testing.T) { approversOnly(t, admin) })
	t.Run("the examples for Flux", func(t *testing.T) { examplesAreAccepted(t, admin) })
}

// restrictedButForTheNetwork: without the host's network the controller's pod is
// admitted at the level restricted; with it, the host's network is all that is said
// against it.
func restrictedButForTheNetwork(t *testing.T, admin *cluster) {
	admin.namespace(t, "strict")
	label := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted","pod-security.kubernetes.io/enforce-version":"latest"}}}`)
	if _, err := admin.kube.CoreV1().Namespaces().Patch(t.Context(), "strict", types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	template := deployment(t, kustomize(t, "default")).Spec.Template
	create := func(namespace string, hostNetwork bool) error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: template.Labels}, Spec: *template.Spec.DeepCopy()}
		pod.Spec.HostNetwork = hostNetwork
		_, err := admin.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	eventually(t, "without the host's network the pod is admitted", func() error { return create("strict", false) })
	err := create("strict", true)
	if err == nil {
		t.Fatal("the host's network is admitted at level restricted")
	}
	_, violations, _ := strings.Cut(err.Error(), `"restricted:latest": `)
	for v := range strings.SplitSeq(violations, "), ") {
		if !strings.HasPrefix(v, "host namespaces") && !strings.HasPrefix(v, "hostPort") {
			t.Errorf("it is not as restricted says: %s", v)
		}
	}
	if err := create(system, true); err != nil {
		t.Errorf("its own namespace does not admit it: %v", err)
	}
}

func chartIsAccepted(t *testing.T, admin *cluster) {
	for _, profile := range []string{"observe", "propose"} {
		admin.apply(t, mustRender(t, admin.cfg, read(t, path(t, "charts", "remediate", "profiles", profile+".yaml"))))
		policy := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "remediate.dev/v1alpha1", "kind": "RemediationPolicy"}}
		policy.SetNamespace(system)
		r, err := admin.resource(t, policy)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Get(t.Context(), "cilium", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if mode, _, _ := unstructured.NestedString(got.Object, "spec", "mode"); !strings.EqualFold(mode, profile) {
			t.Errorf("profile %s has mode %q", profile, mode)
		}
	}
}

// keyStays: an upgrade keeps the key that the first install made, and one that
// somebody else made is left to them.
func keyStays(t *testing.T, admin *cluster) {
	const want = "Secret remediate-probe/remediate-probe-key"
	secrets := admin.kube.CoreV1().Secrets("remediate-probe")
	first, err := secrets.Get(t.Context(), "remediate-probe-key", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	again := into[corev1.Secret](t, named(t, mustRender(t, admin.cfg), want))
	if len(first.Data["key"]) != 32 || string(again.Data["key"]) != string(first.Data["key"]) {
		t.Error("a second rendering makes another key")
	}
	first.Labels["app.kubernetes.io/managed-by"] = "somebody"
	if _, err := secrets.Update(t.Context(), first, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, o := range mustRender(t, admin.cfg) {
		if id(o) == want {
			t.Error("the chart takes over a key that somebody else made")
		}
	}
}

func optionsAreAccepted(t *testing.T, admin *cluster) {
	admin.namespace(t, "remediate-probe-host")
	admin.namespace(t, "cilium-secrets")
	for _, dir := range []string{"break-glass", "access/flux-system", "access/agent-metrics", "access/probe-host", "notification/cilium", "notification/kubernetes", "probe/host", "samples/talos"} {
		admin.apply(t, kustomize(t, dir))
	}
	admin.apply(t, mustRender(t, admin.cfg, `
apiServer: {host: localhost, port: 7445}
notification: {policy: cilium, address: "http://10.96.3.4/"}
rbac: {breakGlass: true, agentMetrics: true, secrets: [{namespace: flux-system, names: [flux-system]}]}
probe: {host: true}
`))
}

// examplesAreAccepted: by Flux's own definitions; and the values in them by the chart.
func examplesAreAccepted(t *testing.T, admin *cluster) {
	for _, dir := range []string{"helm", "kustomize", "kustomize/policy"} {
		list := kustomizeIn(t, onDisk(), path(t, "examples", "flux", dir))
		admin.apply(t, list)
		for _, o := range list {
			if o.GetKind() != "HelmRelease" {
				continue
			}
			values, _, err := unstructured.NestedMap(o.Object, "spec", "values")
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(values)
			if err != nil {
				t.Fatal(err)
			}
			admin.apply(t, mustRender(t, admin.cfg, string(text)))
		}
	}
	// The components that the example names are there.
	sync := named(t, kustomizeIn(t, onDisk(), path(t, "examples", "flux", "kustomize")), "Kustomization.kustomize.toolkit.fluxcd.io flux-system/remediate")
	components, _, _ := unstructured.NestedStringSlice(sync.Object, "spec", "components")
	for i, c := range components {
		components[i] = strings.TrimPrefix(c, "../")
	}
	if got := kustomize(t, "default", components...); len(components) == 0 || env(t, got, "KUBERNETES_SERVICE_PORT") != "7445" {
		t.Errorf("components %q", components)
	}
}

// bounded is a context for one request.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// forbidden is nil where the server refused for want of rights.
func forbidden(err error) error {
	if apierrors.IsForbidden(err) {
		return nil
	}
	return fmt.Errorf("not refused: %w", err)
}
