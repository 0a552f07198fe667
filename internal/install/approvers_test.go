package install

import (
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// person is somebody with ClusterRoles in the controller's namespace.
func (c *cluster) person(t *testing.T, name string, roles ...string) dynamic.ResourceInterface {
	t.Helper()
	for _, role := range roles {
		_, err := c.kube.RbacV1().RoleBindings(system).Create(bounded(t), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name + "-" + role},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	as := rest.CopyConfig(c.cfg)
	as.Impersonate = rest.ImpersonationConfig{UserName: name}
	r, err := connect(t, as).resource(t, parsed(t, remediation))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// annotate gives the Remediation of these tests an annotation; an empty value takes
// it away.
func annotate(t *testing.T, r dynamic.ResourceInterface, key, value string) error {
	t.Helper()
	text := fmt.Sprintf("%q", value)
	if value == "" {
		text = "null"
	}
	_, err := r.Patch(bounded(t), "r", types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, key, text), metav1.PatchOptions{})
	return err
}

// approversOnly: whoever may annotate a Remediation may approve a break-glass, until
// the policy says otherwise.
func approversOnly(t *testing.T, admin *cluster) {
	const approval = v1alpha1.AnnotationApproveBreakGlass
	admin.namespace(t, system)
	all, err := admin.resource(t, parsed(t, remediation))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.Create(bounded(t), parsed(t, remediation), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	editor := admin.person(t, "wilma", "remediate-edit")
	eventually(t, "an editor approves", func() error { return annotate(t, editor, approval, "0123 wilma") })

	admin.apply(t, kustomize(t, "break-glass/approvers"))
	approver := admin.person(t, "jane", "remediate-break-glass-approver")
	n := 0
	eventually(t, "an editor is refused", func() error {
		n++ // what is there already is no approval
		return forbidden(annotate(t, editor, approval, fmt.Sprintf("4567 wilma %d", n)))
	})
	err = annotate(t, editor, approval, "89ab wilma")
	if err == nil || !strings.Contains(err.Error(), "wilma may not approve a break-glass") || !strings.Contains(err.Error(), "remediate-break-glass-approver") {
		t.Errorf("what the editor is told: %v", err)
	}
	for what, err := range map[string]error{
		"another annotation":    annotate(t, editor, "example.com/note", "seen"),
		"to take it back":       annotate(t, editor, approval, ""),
		"the approver approves": annotate(t, approver, approval, "0123 jane"),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	controllersWritesPass(t, admin)
	born := parsed(t, remediation)
	born.SetName("born-approved")
	born.SetAnnotations(map[string]string{approval: "0123 mallory"})
	if _, err := as(t, admin.controller(t)).Create(bounded(t), born, metav1.CreateOptions{}); forbidden(err) != nil {
		t.Errorf("the controller approves by itself: %v", err)
	}
}

// as is somebody's way to Remediations.
func as(t *testing.T, c *cluster) dynamic.ResourceInterface {
	t.Helper()
	r, err := c.resource(t, parsed(t, remediation))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// controllersWritesPass although the object that they leave as it is bears an approval.
func controllersWritesPass(t *testing.T, admin *cluster) {
	t.Helper()
	status := []byte(`{"status": {"observedGeneration": 2}}`)
	got, err := as(t, admin.controller(t)).Patch(bounded(t), "r", types.MergePatchType, status, metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatalf("the controller's status: %v", err)
	}
	if got.GetAnnotations()[v1alpha1.AnnotationApproveBreakGlass] != "0123 jane" {
		t.Errorf("annotations %q", got.GetAnnotations())
	}
}

// kubectl apply -k sorts as kustomize has done since ever; a namespace comes before
// what is in it, and a definition before objects of it.
func TestNamespacesComeFirst(t *testing.T) {
	seen, defined := map[string]bool{"kube-system": true}, map[string]bool{}
	for _, o := range kustomizeIn(t, onDisk(), path(t, "config", "default")) {
		switch o.GetKind() {
		case "Namespace":
			seen[o.GetName()] = true
		case "CustomResourceDefinition":
			group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
			defined[group] = true
		}
		if ns := o.GetNamespace(); ns != "" && !seen[ns] {
			t.Errorf("%s comes before namespace %s", id(o), ns)
		}
		if group, _, _ := strings.Cut(o.GetAPIVersion(), "/"); strings.HasSuffix(group, "remediate.dev") && !defined[group] {
			t.Errorf("%s comes before its definition", id(o))
		}
	}
	if !seen[system] || !seen["remediate-probe"] || !defined["remediate.dev"] {
		t.Errorf("namespaces %v, definitions %v", seen, defined)
	}
}
