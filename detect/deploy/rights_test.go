package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// as is another user's access.
func as(cfg *rest.Config, user string) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return cfg
}

// allow binds a role's rules to a user.
func allow(t *testing.T, kube kubernetes.Interface, user string, rules []rbacv1.PolicyRule) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules}
	if _, err := kube.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if _, err := kube.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func rightsSuffice(t *testing.T, cfg *rest.Config, admin *Client) {
	allow(t, admin.Kube, "runner", append(readRules(), writeRules()...))
	runner := newClient(t, as(cfg, "runner"))
	o := Options{Namespace: "rights", Run: "0a", Host: true}
	eventually(t, "the runner has its rights", func() bool { return runner.CheckRights(t.Context(), o.Namespace, true) == nil })
	before := everything(t, cfg)
	if err := runner.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := runner.Find(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if _, err := runner.Kube.CoreV1().Events(o.Namespace).List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the reasons why pods do not start: %v", err)
	}
	writesMembers(t, runner, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, err := runner.Follow(ctx, o.Namespace, true)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	w.Close()
	if err := runner.Remove(t.Context(), o.Namespace, o.Run, time.Minute); err != nil {
		t.Fatal(err)
	}
	same(t, before, everything(t, cfg))
}

// writesMembers, and sees no more of ConfigMaps and Secrets than it takes.
func writesMembers(t *testing.T, runner *Client, o Options) {
	t.Helper()
	for range 2 {
		if err := (&Writer{Client: runner, Options: o}).write(t.Context(), byPods(Facts{})); err != nil {
			t.Error(err)
		}
	}
	if err := runner.CheckMembersRights(t.Context(), o.Namespace); err != nil {
		t.Error(err)
	}
	if made, err := runner.EnsureKey(t.Context(), o); err != nil || made {
		t.Errorf("a key was made beside the first: %t, %v", made, err)
	}
	if _, err := runner.Kube.CoreV1().Secrets(o.Namespace).Get(t.Context(), "another", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another Secret may be read: %v", err)
	}
	if _, err := runner.Kube.CoreV1().ConfigMaps("").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("all ConfigMaps may be read: %v", err)
	}
}

// rightsAreNamed takes each right away in turn: the check before a run names it.
func rightsAreNamed(t *testing.T, cfg *rest.Config, admin *Client) {
	all := append(readRules(), writeRules()...)
	n := 0
	for i, r := range all {
		for j := range r.Resources {
			n++
			user := fmt.Sprintf("lacks-%d", n)
			rules := slices.Clone(all)
			rules[i].Resources = slices.Delete(slices.Clone(r.Resources), j, j+1)
			if len(rules[i].Resources) == 0 {
				rules = slices.Delete(rules, i, i+1)
			}
			allow(t, admin.Kube, user, rules)
			c := newClient(t, as(cfg, user))
			var missing *RightsError
			eventually(t, user+" has the other rights", func() bool {
				err := c.CheckRights(t.Context(), "some", true)
				return errors.As(err, &missing) && len(missing.Missing) == len(r.Verbs)
			})
			for k, verb := range r.Verbs {
				if want := verb + " " + r.Resources[j]; !strings.HasPrefix(missing.Missing[k], want) {
					t.Errorf("without %s %q is missing", want, missing.Missing)
				}
			}
			if missing.Hint() == "" {
				t.Error("nothing is said about what to do")
			}
		}
	}
}

// followsOneNamespace: who sees the probes' namespace and no other follows it,
// without the cluster's DNS.
func followsOneNamespace(t *testing.T, cfg *rest.Config, admin *Client) {
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "narrow", Namespace: "default"}, Rules: readRules()}
	if _, err := admin.Kube.RbacV1().Roles("default").Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "narrow"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "narrow"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "narrow"}},
	}
	if _, err := admin.Kube.RbacV1().RoleBindings("default").Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	allow(t, admin.Kube, "narrow", readRules()[:1])
	allowed := func(c *Client) func() bool {
		return func() bool { return c.CheckRights(t.Context(), "default", false) == nil }
	}
	narrow := newClient(t, as(cfg, "narrow"))
	eventually(t, "the rights are there", allowed(narrow))
	for _, tt := range []struct {
		client *Client
		dns    bool
	}{{admin, true}, {narrow, false}} {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := tt.client.Follow(ctx, "default", false)
		if err != nil {
			t.Fatal(err)
		}
		if w.SeesDNS() != tt.dns {
			t.Errorf("sees DNS: %t, want %t", w.SeesDNS(), tt.dns)
		}
		cancel()
		w.Close()
	}
	if _, err := narrow.Find(t.Context(), "default"); err != nil {
		t.Error(err)
	}
	if _, err := narrow.Find(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "--probe-namespace") {
		t.Errorf("got %v", err)
	}
}
