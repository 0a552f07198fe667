package realcluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/testbed"
)

var rbac = filepath.Join("..", "..", "..", "config", "rbac")

// as is the server's access as another user, whom RBAC judges.
func as(server *testbed.Server, user string) *rest.Config {
	cfg := rest.CopyConfig(server.Config)
	cfg.Impersonate.UserName = user
	return cfg
}

// The roles in config/rbac are enough for all that an administrator can read.
func testShippedRole(t *testing.T, server *testbed.Server) {
	for _, file := range []string{filepath.Join("..", "manager", "namespace.yaml"), filepath.Join("..", "probe", "namespace.yaml")} {
		testbed.LoadObjects(t, server.Config, testbed.Objects(t, filepath.Join(rbac, file))...)
	}
	testbed.Load(t, server.Config, rbac, "Kustomization")
	got, err := observe.Cluster(t.Context(), as(server, "system:serviceaccount:remediate-system:remediate"), observe.ClusterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dump(t, read(t, server, observe.ClusterOptions{})), dump(t, got)); diff != "" {
		t.Errorf("(-administrator +service account):\n%s", diff)
	}
}

// With the same roles but for NetworkPolicies, those are unknown, and nothing
// else changes.
func testForbidden(t *testing.T, server *testbed.Server) {
	const user = "auditor"
	testbed.LoadObjects(t, server.Config, rolesWithout(t, user, "networkpolicies")...)
	cfg := as(server, user)
	got, err := observe.Cluster(t.Context(), cfg, observe.ClusterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Read("NetworkPolicy") {
		t.Error("NetworkPolicies count as read")
	}
	unreadable := []string{"NetworkPolicy: not allowed to list it", "ProbeReport: not installed"}
	if diff := cmp.Diff(unreadable, got.Unreadable); diff != "" {
		t.Errorf("Unreadable (-want +got):\n%s", diff)
	}
	want := read(t, server, observe.ClusterOptions{})
	want.Policies = slices.DeleteFunc(slices.Clone(want.Policies), func(p snapshot.Policy) bool { return p.Kind == "NetworkPolicy" })
	delete(want.ReadKinds, "NetworkPolicy")
	want.Unreadable = unreadable
	if diff := cmp.Diff(dump(t, want), dump(t, got)); diff != "" {
		t.Errorf("(-administrator +%s):\n%s", user, diff)
	}

	dir := filepath.Join(t.TempDir(), "snapshot")
	written, err := observe.Write(t.Context(), cfg, dir, observe.ClusterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(unreadable, written.Unreadable); diff != "" {
		t.Errorf("written: Unreadable (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "networkpolicy.yaml")); err == nil {
		t.Error("a file says that there are no NetworkPolicies")
	}
	folder, err := observe.Dir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if folder.Read("NetworkPolicy") || !folder.Read("CiliumNetworkPolicy") {
		t.Errorf("the written folder's kinds: %v", sortedKeys(folder.ReadKinds))
	}
}

// rolesWithout are the shipped roles under other names, for a user, and without
// one resource.
func rolesWithout(t *testing.T, user, resource string) []*unstructured.Unstructured {
	t.Helper()
	roles := testbed.Objects(t, filepath.Join(rbac, "reader_role.yaml"))
	dropped := 0
	for _, role := range roles {
		role.SetName(user)
		for _, rule := range role.Object["rules"].([]any) {
			rule := rule.(map[string]any)
			all := rule["resources"].([]any)
			kept := slices.DeleteFunc(slices.Clone(all), func(r any) bool { return r == resource })
			dropped += len(all) - len(kept)
			rule["resources"] = kept
		}
	}
	if dropped != 1 {
		t.Fatalf("the shipped roles name %s %d times", resource, dropped)
	}
	bindings := testbed.Objects(t, filepath.Join(rbac, "reader_binding.yaml"))
	for _, b := range bindings {
		b.SetName(user)
		b.Object["roleRef"].(map[string]any)["name"] = user
		b.Object["subjects"] = []any{map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}}
	}
	return append(roles, bindings...)
}

// Whoever may read nothing learns that, kind by kind; whom the server does not
// know is refused.
func testNoRights(t *testing.T, server *testbed.Server) {
	got, err := observe.Cluster(t.Context(), as(server, "stranger"), observe.ClusterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, kind := range slices.Concat(builtIn(), installed(), []string{"ProbeReport"}) {
		want = append(want, kind+": not allowed to list it")
	}
	if diff := cmp.Diff(sorted(want), got.Unreadable); diff != "" {
		t.Errorf("Unreadable (-want +got):\n%s", diff)
	}
	if len(got.ReadKinds) != 0 {
		t.Errorf("kinds count as read: %v", sortedKeys(got.ReadKinds))
	}

	cfg := rest.CopyConfig(server.Config)
	cfg.BearerToken = "a-token-that-expired"
	_, err = observe.Cluster(t.Context(), cfg, observe.ClusterOptions{})
	if err == nil || !strings.Contains(err.Error(), "refuses the credentials") || strings.Contains(err.Error(), cfg.BearerToken) {
		t.Errorf("error = %v", err)
	}
}
