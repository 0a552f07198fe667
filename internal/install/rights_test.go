package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"

	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/remediate/delivery"
)

// may asks the server, as the controller.
func (c *cluster) may(t *testing.T, a authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review, err := c.kube.AuthorizationV1().SelfSubjectAccessReviews().Create(bounded(t), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &a},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

const remediation = `{"apiVersion": "remediate.dev/v1alpha1", "kind": "Remediation", "metadata": {"name": "r", "namespace": "` + system + `"},
"spec": {"policyRef": {"name": "p"}, "signature": "native-routing-cidr-excludes-pods", "cause": "0123456789abcdef", "releaseRef": {"name": "cilium", "namespace": "kube-system"}}}`

func parsed(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return o
}

// rightsSuffice does what the controller does, as the controller.
func rightsSuffice(t *testing.T, admin *cluster) {
	c := admin.controller(t)
	created := parsed(t, remediation)
	incidents, err := c.resource(t, created)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "create a Remediation", func() error {
		_, err := incidents.Create(bounded(t), created, metav1.CreateOptions{})
		return err
	})
	status := []byte(`{"status": {"observedGeneration": 1}}`)
	if _, err := incidents.Patch(bounded(t), "r", types.MergePatchType, status, metav1.PatchOptions{}, "status"); err != nil {
		t.Errorf("its status: %v", err)
	}
	if err := incidents.Delete(bounded(t), "r", metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete it: %v", err)
	}
	now := metav1.NewMicroTime(time.Now())
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "remediate-leader-election"}}
	leases := c.kube.CoordinationV1().Leases(system)
	got, err := leases.Create(bounded(t), lease, metav1.CreateOptions{})
	if err == nil {
		got.Spec.RenewTime = &now
		_, err = leases.Update(bounded(t), got, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Errorf("the Lease: %v", err)
	}
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "e", Namespace: "kube-system"},
		InvolvedObject: corev1.ObjectReference{Kind: "HelmRelease", Namespace: "kube-system", Name: "cilium"},
	}
	if _, err := c.kube.CoreV1().Events("kube-system").Create(bounded(t), event, metav1.CreateOptions{}); err != nil {
		t.Errorf("an event about the HelmRelease: %v", err)
	}
	if _, err := c.kube.CoreV1().Events("kube-system").Patch(bounded(t), "e", types.MergePatchType, []byte(`{"count": 2}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("the same event again: %v", err)
	}
	for _, name := range delivery.Leases() {
		if _, err := c.kube.CoordinationV1().Leases("flux-system").Get(bounded(t), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("Flux's Lease %s: %v", name, err)
		}
	}
	readsSecretsByName(t, admin, c)
	if err := writesMembers(t, c, false); err != nil {
		t.Errorf("write the members: %v", err)
	}
}

func readsSecretsByName(t *testing.T, admin, c *cluster) {
	t.Helper()
	for _, ns := range []string{system, "flux-system"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "token"}}
		if _, err := admin.kube.CoreV1().Secrets(ns).Create(bounded(t), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.kube.CoreV1().Secrets(system).Get(bounded(t), "token", metav1.GetOptions{}); err != nil {
		t.Errorf("a Secret that a policy names: %v", err)
	}
	if _, err := c.kube.CoreV1().Secrets("flux-system").Get(bounded(t), "token", metav1.GetOptions{}); forbidden(err) != nil {
		t.Errorf("another namespace's Secret: %v", err)
	}
}

// writesMembers does so with the code that the controller does it with. host: the
// probes have twins.
func writesMembers(t *testing.T, c *cluster, host bool) error {
	t.Helper()
	client, err := deploy.New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.Follow(bounded(t), deploy.Name, host)
	if err != nil {
		t.Fatalf("follow the probes: %v", err)
	}
	if !w.SeesDNS() {
		t.Error("the cluster's DNS is not seen")
	}
	wrote := make(chan error, 1)
	told := func(err error) {
		select {
		case wrote <- err:
		default:
		}
	}
	writer := &deploy.Writer{Client: client, Watch: w, Failed: told, Options: deploy.Options{Namespace: deploy.Name, Host: host},
		Members: func(deploy.Facts) mesh.Membership { return mesh.Membership{} }}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go writer.Run(ctx)
	return <-wrote
}

// twinsTakeRights of their own, in their namespace, which are not in the default
// install.
func twinsTakeRights(t *testing.T, admin *cluster) {
	const namespace = "remediate-probe-host"
	admin.namespace(t, namespace)
	c := admin.controller(t)
	log := authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods", Subresource: "log", Namespace: namespace, Name: "some"}
	if err := writesMembers(t, c, true); err == nil || c.may(t, log) {
		t.Errorf("the default install has the rights: %v", err)
	}
	admin.apply(t, kustomize(t, "access/probe-host"))
	eventually(t, "write the members of the twins", func() error { return writesMembers(t, c, true) })
	if _, err := admin.kube.CoreV1().ConfigMaps(namespace).Get(bounded(t), "remediate-probe-members", metav1.GetOptions{}); err != nil {
		t.Errorf("the twins are told nothing: %v", err)
	}
	if !c.may(t, log) {
		t.Error("the twins' lines cannot be read")
	}
	secrets := authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets", Namespace: namespace, Name: "remediate-probe-key"}
	if c.may(t, secrets) {
		t.Error("the key of the twins can be read")
	}
}

// noOtherRights asks about every verb on every kind that the server has, in the
// namespaces that matter, and compares with what the controller is to write.
func noOtherRights(t *testing.T, admin *cluster) {
	c := admin.controller(t)
	_, lists, err := admin.kube.Discovery().ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		t.Fatal(err)
	}
	wanted := writes()
	asked := 0
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range l.APIResources {
			for _, a := range questions(gv, r) {
				asked++
				key := keyOf(a)
				if got := c.may(t, a); got != wanted[key] {
					t.Errorf("may %s: %t, want %t", key, got, wanted[key])
				}
				delete(wanted, key)
			}
		}
	}
	if asked < 1000 || len(wanted) > 0 {
		t.Errorf("%d questions; nothing was asked about %q", asked, slices.Sorted(maps.Keys(wanted)))
	}
	refused(t, c)
}

func keyOf(a authorizationv1.ResourceAttributes) string {
	kind := strings.TrimSuffix(a.Group+"/"+a.Resource+"/"+a.Subresource, "/")
	return fmt.Sprintf("%s %s in %q, name %q", a.Verb, strings.TrimPrefix(kind, "/"), a.Namespace, a.Name)
}

// questions are all verbs that change a kind or give away what is secret, in each
// namespace and in all of them, about any object and about one.
func questions(gv schema.GroupVersion, r metav1.APIResource) []authorizationv1.ResourceAttributes {
	kind, sub, _ := strings.Cut(r.Name, "/")
	verbs := []string{"create", "update", "patch", "delete", "deletecollection", "impersonate", "bind", "escalate", "approve", "sign"}
	if kind == "secrets" || sub == "log" || sub == "proxy" || sub == "exec" || sub == "portforward" || sub == "attach" {
		verbs = append(verbs, "get", "list", "watch")
	}
	namespaces := []string{""}
	if r.Namespaced {
		namespaces = append(namespaces, system, "remediate-probe", "kube-system", "flux-system", "default")
	}
	var out []authorizationv1.ResourceAttributes
	for _, verb := range verbs {
		for _, ns := range namespaces {
			for _, name := range []string{"", "some"} {
				out = append(out, authorizationv1.ResourceAttributes{
					Verb: verb, Group: gv.Group, Version: gv.Version, Resource: kind, Subresource: sub, Namespace: ns, Name: name,
				})
			}
		}
	}
	return out
}

// writes are all writes of the controller, and what it reads that others keep to
// themselves.
func writes() map[string]bool {
	out := map[string]bool{}
	allow := func(group, kind, verbs string, namespaces ...string) {
		resource, sub, _ := strings.Cut(kind, "/")
		for verb := range strings.FieldsSeq(verbs) {
			for _, ns := range namespaces {
				for _, name := range []string{"", "some"} {
					out[keyOf(authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: ns, Name: name})] = true
				}
			}
		}
	}
	everywhere := []string{"", system, "remediate-probe", "kube-system", "flux-system", "default"}
	allow("remediate.dev", "remediations", "create delete", everywhere...)
	allow("remediate.dev", "remediations/status", "patch update", everywhere...)
	allow("remediate.dev", "remediationpolicies/status", "patch update", everywhere...)
	allow("", "events", "create patch", everywhere...)
	allow("coordination.k8s.io", "leases", "create", system)
	allow("", "secrets", "get", system)
	allow("", "pods/log", "get", "remediate-probe")
	allow("", "configmaps", "create", "remediate-probe")
	// What the API server grants everybody who is known to it (system:basic-user).
	for _, kind := range []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews"} {
		allow("authorization.k8s.io", kind, "create", "")
	}
	allow("authentication.k8s.io", "selfsubjectreviews", "create", "")
	return out
}

// refused tries what must not be possible.
func refused(t *testing.T, c *cluster) {
	t.Helper()
	patch := []byte(`{"metadata": {"annotations": {"a": "b"}}}`)
	for _, ns := range []string{"", system, "remediate-probe", "flux-system"} {
		if _, err := c.kube.CoreV1().Secrets(ns).List(bounded(t), metav1.ListOptions{}); forbidden(err) != nil {
			t.Errorf("list the Secrets of %q: %v", ns, err)
		}
		if _, err := c.kube.CoreV1().Secrets(ns).Watch(bounded(t), metav1.ListOptions{}); forbidden(err) != nil {
			t.Errorf("watch the Secrets of %q: %v", ns, err)
		}
	}
	release := c.client.Resource(schema.GroupVersionResource{Group: "helm.toolkit.fluxcd.io", Version: "v2", Resource: "helmreleases"}).Namespace("kube-system")
	policies := c.client.Resource(schema.GroupVersionResource{Group: "remediate.dev", Version: "v1alpha1", Resource: "remediationpolicies"}).Namespace(system)
	tries := map[string]func() error{
		"change the HelmRelease": func() error {
			_, err := release.Patch(bounded(t), "cilium", types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		},
		"change a policy": func() error {
			_, err := policies.Patch(bounded(t), "cilium", types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		},
		"change cilium-config": func() error {
			_, err := c.kube.CoreV1().ConfigMaps("kube-system").Patch(bounded(t), "cilium-config", types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		},
		"restart the agents": func() error {
			_, err := c.kube.AppsV1().DaemonSets("kube-system").Patch(bounded(t), "cilium", types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		},
		"another Lease": func() error {
			_, err := c.kube.CoordinationV1().Leases(system).Patch(bounded(t), "another", types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		},
		"another ConfigMap of the probes": func() error {
			return c.kube.CoreV1().ConfigMaps("remediate-probe").Delete(bounded(t), "another", metav1.DeleteOptions{})
		},
		"the probes' key": func() error {
			_, err := c.kube.CoreV1().Secrets("remediate-probe").Get(bounded(t), "remediate-probe-key", metav1.GetOptions{})
			return err
		},
	}
	for what, try := range tries {
		if err := forbidden(try()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// readsTheCluster: every kind of a snapshot, with no word of a right that is missing.
func readsTheCluster(t *testing.T, admin *cluster) {
	s, err := observe.Cluster(bounded(t), admin.controller(t).cfg, observe.ClusterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range s.Unreadable {
		if strings.Contains(u, "forbid") || strings.Contains(u, "may not") || strings.Contains(u, "not allowed") {
			t.Error(u)
		}
	}
	// The same without rights says so: the words above are the right ones.
	anonymous := admin.controller(t).cfg
	anonymous.BearerToken = ""
	s, err = observe.Cluster(bounded(t), anonymous, observe.ClusterOptions{})
	var said []byte
	if err == nil {
		said, err = json.Marshal(s.Unreadable)
	}
	if text := string(said) + errors.Join(err, errors.New("")).Error(); !strings.Contains(text, "forbid") && !strings.Contains(text, "may not") && !strings.Contains(text, "not allowed") {
		t.Errorf("without rights: %s", text)
	}
}
