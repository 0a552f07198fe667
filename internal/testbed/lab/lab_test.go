//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/internal/cidr"
)

func TestMain(m *testing.M) { Main(m) }

func daemons() []PodSpec {
	return []PodSpec{{Namespace: "remediate-probe", Name: "open"}, {Namespace: "remediate-probe", Name: "guarded", Guarded: true}}
}

func families() []string { return []string{cidr.IPv4, cidr.IPv6} }

func TestConnectivity(t *testing.T) {
	t.Parallel()
	l := New(t, Spec{Daemons: daemons()})
	for _, p := range l.Pods() {
		reflect(t, p.Space, "9971")
	}
	for _, from := range l.Pods() {
		for _, to := range l.Pods() {
			for _, family := range families() {
				for _, network := range []string{"tcp", "udp"} {
					got, err := seen(from.Space, network, to.IP(family), reflector, late)
					if err != nil || got != from.IP(family) {
						t.Errorf("%s to %s, %s, %s: seen %v, %v", from.Name, to.Name, family, network, got, err)
					}
				}
			}
		}
	}
}

// TestGuard: a guarded pod admits its namespace and its own node, nobody else.
func TestGuard(t *testing.T) {
	t.Parallel()
	l := New(t, Spec{Nodes: 2, Daemons: append(daemons(), PodSpec{Namespace: "other", Name: "other"})})
	guarded := l.Pod("remediate-probe", "guarded-1")
	reflect(t, guarded.Space, "9971")
	for _, tc := range []struct {
		name string
		from *Space
		want bool
	}{
		{"same namespace, same node", l.Pod("remediate-probe", "open-1").Space, true},
		{"same namespace, other node", l.Pod("remediate-probe", "open-2").Space, true},
		{"other namespace, same node", l.Pod("other", "other-1").Space, false},
		{"other namespace, other node", l.Pod("other", "other-2").Space, false},
		{"its node", l.Nodes[0].Space, true},
		{"another node", l.Nodes[1].Space, false},
		{"outside", l.Internet, false},
	} {
		for _, family := range families() {
			wait := soon
			if tc.want {
				wait = late
			}
			if _, err := seen(tc.from, "tcp", guarded.IP(family), reflector, wait); (err == nil) != tc.want {
				t.Errorf("%s, %s: %v", tc.name, family, err)
			}
		}
	}
}

// TestIncident: addresses and configuration are those of the bundled incident.
func TestIncident(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "..", "examples", "incidents", "talos-ipv6-ula", "snapshot")
	var bundled struct {
		Data map[string]string `json:"data"`
	}
	read(t, filepath.Join(dir, "cilium-config.yaml"), &bundled)
	for key, value := range Incident().Values {
		if bundled.Data[key] != value {
			t.Errorf("%s is %q, the incident has %q", key, value, bundled.Data[key])
		}
	}
	var nodes struct {
		Items []struct {
			Metadata struct{ Name string } `json:"metadata"`
			Spec     struct {
				Addresses []struct{ IP, Type string } `json:"addresses"`
				IPAM      struct{ PodCIDRs []string } `json:"ipam"`
			} `json:"spec"`
		} `json:"items"`
	}
	read(t, filepath.Join(dir, "ciliumnodes.yaml"), &nodes)
	l := New(t, Spec{Nodes: 4})
	for i, n := range l.Nodes {
		var addrs []string
		for _, a := range nodes.Items[i].Spec.Addresses {
			addrs = append(addrs, a.IP)
		}
		want := []string{n.IP(cidr.IPv6).String(), n.IP(cidr.IPv4).String(), n.RouterIP(cidr.IPv4).String(), n.RouterIP(cidr.IPv6).String()}
		ranges := []string{n.PodCIDR(cidr.IPv4).String(), n.PodCIDR(cidr.IPv6).String()}
		if n.Name != nodes.Items[i].Metadata.Name || !slices.Equal(addrs, want) || !slices.Equal(ranges, nodes.Items[i].Spec.IPAM.PodCIDRs) {
			t.Errorf("%s has %q and %q, the incident %+v", n.Name, want, ranges, nodes.Items[i])
		}
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestSpec(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		spec Spec
		want string
	}{
		{Spec{Nodes: 16}, "1 to 15 nodes"},
		{Spec{Nodes: -1}, "1 to 15 nodes"},
		{Spec{Nodes: 2, Segments: 3}, "do not fill 3 segments"},
		{Spec{Segments: -1}, "segments"},
	} {
		if _, err := tc.spec.withDefaults(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: error %v, want %q in it", tc.spec, err, tc.want)
		}
	}
	l := New(t, Spec{Nodes: 1})
	if _, err := l.addPods([]PodSpec{{Namespace: "x", Name: "y", Node: "node-9"}}); err == nil || !strings.Contains(err.Error(), "no such node") {
		t.Errorf("a pod on a node that does not exist: %v", err)
	}
	var many []PodSpec
	for i := range podsPerNode + 1 {
		many = append(many, PodSpec{Namespace: "x", Name: fmt.Sprint(i), Node: "node-1"})
	}
	if _, err := l.addPods(many); err == nil || !strings.Contains(err.Error(), "no address left") {
		t.Errorf("too many pods: %v", err)
	}
}

// TestLargest: fifteen nodes keep their addresses apart.
func TestLargest(t *testing.T) {
	t.Parallel()
	l := New(t, Spec{Nodes: maxNodes, Daemons: daemons()[:1]})
	pods := l.Pods()
	for _, p := range pods {
		reflect(t, p.Space, "9971")
	}
	for i, p := range pods {
		to := pods[(i+1)%len(pods)]
		for _, family := range families() {
			if got, err := seen(p.Space, "tcp", to.IP(family), reflector, late); err != nil || got != p.IP(family) {
				t.Errorf("%s to %s, %s: seen %v, %v", p.Name, to.Name, family, got, err)
			}
		}
	}
}

// TestProcesses: a pod's process is in the pod's network and finds cluster DNS; it
// ends with the lab.
func TestProcesses(t *testing.T) {
	t.Parallel()
	l := New(t, Spec{Nodes: 2, Daemons: daemons()[:1]})
	pod := l.Nodes[1].Pods()[0]
	d := l.StartDNS(l.Nodes[0])
	out, err := pod.Run(t.Context(), "cat", "/etc/resolv.conf", "/proc/net/if_inet6")
	if err != nil || !strings.Contains(out, "nameserver "+d.Service.ClusterIPs[0].String()) || !strings.Contains(out, "fd0001010224000200000000000001") {
		t.Errorf("%v: %s", err, out)
	}
	if own, err := os.ReadFile("/etc/resolv.conf"); err == nil && strings.Contains(string(own), d.Service.ClusterIPs[0].String()) {
		t.Error("the test's own resolv.conf is the pod's")
	}
	if _, err := pod.Run(t.Context(), "false"); err == nil || !strings.Contains(err.Error(), "false in remediate-probe/open-2: exit status 1") {
		t.Errorf("a command that fails: %v", err)
	}
	if _, err := pod.Run(t.Context(), "/nonexistent"); err == nil || !strings.Contains(err.Error(), "failed to start") {
		t.Errorf("a command that does not exist: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := pod.Run(ctx, "sleep", "1000"); err == nil {
		t.Error("a command outlived its context")
	}
	cmd := exec.Command("sleep", "1000")
	if err := pod.Start(cmd); err != nil {
		t.Fatal(err)
	}
	pod.Stop(cmd)
	pod.Stop(cmd)
	if cmd.ProcessState == nil || cmd.ProcessState.Success() {
		t.Errorf("stopped: %v", cmd.ProcessState)
	}
}

func TestDNS(t *testing.T) {
	t.Parallel()
	l := New(t, Spec{Nodes: 2, Daemons: daemons()[:1]})
	d := l.StartDNS(l.Nodes[0])
	svc := l.AddService(Service{Namespace: "x", Name: "svc", Ports: []ServicePort{{Protocol: "TCP", Port: 80}}})
	d.Add("Example.test.", Outside()...)
	pod := l.Nodes[1].Pods()[0]
	for _, family := range families() {
		r := pod.Resolver(d, family)
		for name, want := range map[string]string{
			"svc.x.svc.cluster.local.": fmt.Sprint(svc.ClusterIPs), "example.test.": fmt.Sprint(Outside()),
		} {
			got, err := r.LookupNetIP(t.Context(), "ip", name)
			for i := range got {
				got[i] = got[i].Unmap()
			}
			slices.SortFunc(got, func(a, b netip.Addr) int { return a.Compare(b) })
			if err != nil || fmt.Sprint(got) != want {
				t.Errorf("%s by %s: %v, %v, want %s", name, family, got, err, want)
			}
		}
		var missing *net.DNSError
		if _, err := r.LookupNetIP(t.Context(), "ip", "nothing.test."); !errors.As(err, &missing) || !missing.IsNotFound {
			t.Errorf("a name that does not exist: %v", err)
		}
	}
}

// TestNothingIsLeft: labs one after another leave no goroutine, no open file and no
// device. It is not parallel, as it counts all of the process's.
func TestNothingIsLeft(t *testing.T) {
	one := func(t *testing.T) {
		l := New(t, Spec{Nodes: 2, Daemons: daemons()})
		for _, p := range l.Pods() {
			reflect(t, p.Space, "9971")
		}
		l.StartDNS(l.Nodes[0])
		l.Nodes[0].Delay(time.Millisecond)
		if err := l.Nodes[1].Start(exec.Command("sleep", "1000")); err != nil {
			t.Fatal(err)
		}
		if _, err := seen(l.Pods()[0].Space, "tcp", l.Pods()[3].IP(cidr.IPv6), reflector, late); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("warm", one) // the runtime opens files of its own
	files, links, others := openFiles(t), devices(t), goleak.IgnoreCurrent()
	for i := range 3 {
		t.Run(fmt.Sprint(i), one)
	}
	if after := openFiles(t); after != files {
		t.Errorf("%d open files before, %d after", files, after)
	}
	if after := devices(t); !slices.Equal(links, after) {
		t.Errorf("devices before %q, after %q", links, after)
	}
	goleak.VerifyNone(t, others)
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestBind: a port in use is an error, and one that is set free meanwhile is not.
func TestBind(t *testing.T) {
	t.Parallel()
	l := New(t, Spec{Nodes: 1})
	first, err := l.Nodes[0].Listen("tcp", ":9000")
	if err != nil {
		t.Fatal(err)
	}
	if second, err := l.Nodes[0].Listen("tcp", ":9000"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v, %v", second, err)
	}
	time.AfterFunc(20*time.Millisecond, func() { first.Close() })
	second, err := l.Nodes[0].Listen("tcp", ":9000")
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

// BenchmarkNew is the start and the end of five nodes with two pods each.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		l := New(b, Spec{Nodes: 5, Daemons: Probes()})
		l.close()
	}
}
