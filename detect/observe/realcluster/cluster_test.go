// Package realcluster tests observe against Kubernetes' own API server, which
// holds the bundled incident under Cilium's and Flux's own schemas.
package realcluster

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// The incident's cluster in its own words: the API server's ranges are the
// incident's, and it advertises an address of the first one's family, which the
// server insists on.
func incidentFlags() []string {
	return []string{"--service-cluster-ip-range=fd00:101:96::/108,10.101.96.0/20", "--advertise-address=fd00:101::10"}
}

var incident = filepath.Join("..", "..", "..", "examples", "incidents", "talos-ipv6-ula", "snapshot")

// Starting a server takes longer than the tests, so they share one, and it goes
// through the states of a cluster's life in order: bare, with the incident, with
// many objects, with secrets, frozen, stopped.
func TestCluster(t *testing.T) {
	server := testbed.Start(t, incidentFlags()...)
	t.Run("without Cilium and Flux", func(t *testing.T) { testBare(t, server) })

	testbed.InstallCRDs(t, server.Config)
	testbed.Load(t, server.Config, incident, "ProbeReport")
	t.Run("equals the folder", func(t *testing.T) { testEqualsFolder(t, server) })
	t.Run("written folder equals the cluster", func(t *testing.T) { testWritten(t, server) })
	t.Run("with the role we ship", func(t *testing.T) { testShippedRole(t, server) })
	t.Run("without the right to list policies", func(t *testing.T) { testForbidden(t, server) })
	t.Run("without any right", func(t *testing.T) { testNoRights(t, server) })
	t.Run("command line", func(t *testing.T) { testCommands(t, server, buildCLI(t)) })
	t.Run("several pages", func(t *testing.T) { testPages(t, server) })
	t.Run("secrets stay in the cluster", func(t *testing.T) { testSecrets(t, server) })

	if err := server.Freeze(); err != nil {
		t.Fatal(err)
	}
	t.Run("frozen", func(t *testing.T) { testNoAnswer(t, server, "2s") })
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Run("stopped", func(t *testing.T) { testNoAnswer(t, server, "connection refused") })
}

func testBare(t *testing.T, server *testbed.Server) {
	got := read(t, server, observe.ClusterOptions{})
	if got.Origin != server.Config.Host {
		t.Errorf("Origin = %q, want the server's address %q", got.Origin, server.Config.Host)
	}
	for _, kind := range builtIn() {
		if !got.Read(kind) {
			t.Errorf("%s counts as unread", kind)
		}
	}
	if n := len(got.ReadKinds); n != len(builtIn()) {
		t.Errorf("%d kinds count as read, want %d: %v", n, len(builtIn()), sortedKeys(got.ReadKinds))
	}
	var want []string
	for _, kind := range append(installed(), "ProbeReport") {
		want = append(want, kind+": not installed")
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got.Unreadable); diff != "" {
		t.Errorf("Unreadable (-want +got):\n%s", diff)
	}
	if got.AgentConfig.Known || got.HasBGP != snapshot.Unknown || len(got.Flux) != 0 || len(got.Nodes) != 0 {
		t.Errorf("the empty cluster has %s", dump(t, got))
	}
}

// builtIn are the kinds that every API server has.
func builtIn() []string {
	return []string{
		"Node", "Namespace", "Pod", "Service", "EndpointSlice", "ConfigMap", "DaemonSet", "Deployment",
		"NetworkPolicy", "ServiceCIDR", "Event",
	}
}

// installed are the kinds that Cilium and Flux bring.
func installed() []string {
	return []string{
		"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "CiliumNode", "CiliumEndpoint", "CiliumIdentity",
		"CiliumNodeConfig", "CiliumPodIPPool", "CiliumBGPClusterConfig", "CiliumBGPPeeringPolicy",
		"HelmRelease", "Kustomization", "GitRepository", "OCIRepository", "HelmRepository",
	}
}

func testEqualsFolder(t *testing.T, server *testbed.Server) {
	want, err := observe.Dir(t.Context(), incident)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, server, observe.ClusterOptions{Origin: "here"})
	if got.Origin != "here" {
		t.Errorf("Origin = %q", got.Origin)
	}
	if diff := cmp.Diff([]string{"ProbeReport: not installed"}, got.Unreadable); diff != "" {
		t.Errorf("Unreadable (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sorted(append(builtIn(), installed()...)), sortedKeys(got.ReadKinds)); diff != "" {
		t.Errorf("ReadKinds (-want +got):\n%s", diff)
	}
	for kind := range want.ReadKinds {
		if !got.Read(kind) && kind != "ProbeReport" {
			t.Errorf("the folder has %s, the cluster does not", kind)
		}
	}
	checkCreated(t, got)
	checkKubernetesService(t, got)
	if diff := cmp.Diff(alike(t, want), alike(t, got)); diff != "" {
		t.Errorf("(-folder +cluster):\n%s", diff)
	}
}

// checkCreated: the server itself says when an object was created.
func checkCreated(t *testing.T, s *snapshot.Snapshot) {
	t.Helper()
	for _, p := range s.Pods {
		if p.Created.IsZero() {
			t.Errorf("%s has no creation time", p.Source)
		}
	}
}

// checkKubernetesService: the server makes default/kubernetes by itself, at the
// first address of its range, and leads it to its own port.
func checkKubernetesService(t *testing.T, s *snapshot.Snapshot) {
	t.Helper()
	svc := serviceNamed(s, "default", "kubernetes")
	if svc == nil || len(svc.Ports) != 1 || svc.Ports[0].TargetPort == 0 {
		t.Fatalf("Service default/kubernetes: %+v", svc)
	}
}

func serviceNamed(s *snapshot.Snapshot, namespace, name string) *snapshot.Service {
	i := slices.IndexFunc(s.Services, func(svc snapshot.Service) bool { return svc.Namespace == namespace && svc.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Services[i]
}

// alike is a snapshot as text without what must differ between the folder
// and the cluster; testEqualsFolder looks at each of these by itself.
func alike(t *testing.T, s *snapshot.Snapshot) string {
	t.Helper()
	c := *s
	c.Origin, c.Unreadable, c.ReadKinds = "", nil, nil
	c.Probes = nil // no cluster object: the ProbeReports were left out
	c.Pods = slices.Clone(s.Pods)
	for i := range c.Pods {
		c.Pods[i].Created = time.Time{}
	}
	c.Services = slices.Clone(s.Services)
	svc := serviceNamed(&c, "default", "kubernetes")
	svc.Ports = slices.Clone(svc.Ports)
	svc.Ports[0].TargetPort = 0
	return dump(t, &c)
}

func testWritten(t *testing.T, server *testbed.Server) {
	dir := filepath.Join(t.TempDir(), "snapshot")
	written, err := observe.Write(t.Context(), server.Config, dir, observe.ClusterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkModes(t, dir)
	if len(written.Files) != len(builtIn())+len(installed()) || written.Objects < 60 {
		t.Errorf("%d files, %d objects", len(written.Files), written.Objects)
	}
	got, err := observe.Dir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, server, observe.ClusterOptions{})
	if diff := cmp.Diff(want.Unreadable, written.Unreadable); diff != "" {
		t.Errorf("Unreadable (-cluster +written):\n%s", diff)
	}
	// A folder cannot say why it holds nothing of a kind.
	want.Origin, got.Origin, want.Unreadable = "", "", nil
	if diff := cmp.Diff(dump(t, want), dump(t, got)); diff != "" {
		t.Errorf("(-cluster +written folder):\n%s", diff)
	}
}

func checkModes(t *testing.T, dir string) {
	t.Helper()
	for path, info := range walk(t, dir) {
		want := os.FileMode(0o600)
		if info.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
}

// testNoAnswer: a server that does not answer is given up after the timeout, one
// that is gone at once.
func testNoAnswer(t *testing.T, server *testbed.Server, says string) {
	opts := observe.ClusterOptions{Timeout: 2 * time.Second}
	_, err := observe.Cluster(t.Context(), server.Config, opts)
	if !errors.Is(err, observe.ErrNoAnswer) || !strings.Contains(err.Error(), server.Config.Host) || !strings.Contains(err.Error(), says) {
		t.Errorf("error = %v, want ErrNoAnswer with the address and %q", err, says)
	}
	dir := filepath.Join(t.TempDir(), "snapshot")
	if _, err := observe.Write(t.Context(), server.Config, dir, opts); !errors.Is(err, observe.ErrNoAnswer) {
		t.Errorf("Write: error = %v, want ErrNoAnswer", err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 0 {
		t.Errorf("Write left %v (%v)", left, err)
	}
}

func read(t *testing.T, server *testbed.Server, opts observe.ClusterOptions) *snapshot.Snapshot {
	t.Helper()
	s, err := observe.Cluster(t.Context(), server.Config, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dump(t *testing.T, s *snapshot.Snapshot) string {
	t.Helper()
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
