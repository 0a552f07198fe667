//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

const reflector = 9971

// TestModelAgrees sends each flow through the kernel and through the model, which
// read the same configuration, and holds one against the other: whether it arrives,
// and whose address is seen.
func TestModelAgrees(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		spec   Spec
		config cilium.Config
		// want is what is seen cross node at the open and at the guarded target.
		want map[string][2]string
	}{
		{"healthy", Spec{}, Healthy(), outcome("pod pod", "pod pod")},
		{"incident", Spec{}, Incident(), outcome("pod pod", "node -")},
		{"incident, BPF", Spec{}, Incident("enable-bpf-masquerade", "true"), outcome("pod pod", "node -")},
		{"the pods' range only", Spec{}, Healthy("enable-ipv4-masquerade", "true", "ipv4-native-routing-cidr", "10.101.224.0/19", "ipv6-native-routing-cidr", "fd00:101:224::/60"), outcome("pod pod", "pod pod")},
		{"the pods' range only, BPF", Spec{}, Healthy("enable-bpf-masquerade", "true", "enable-ipv4-masquerade", "true", "ipv4-native-routing-cidr", "10.101.224.0/19", "ipv6-native-routing-cidr", "fd00:101:224::/60"), outcome("pod pod", "pod pod")},
		{"egress interface, the pods' range only", Spec{}, Healthy("egress-masquerade-interfaces", "eth0", "ipv6-native-routing-cidr", "fd00:101:224::/60"), outcome("pod pod", "pod pod")},
		{"incident, IPv4", Spec{}, IncidentIPv4(), outcome("node -", "pod pod")},
		{"masquerading off", Spec{}, Incident("enable-ipv6-masquerade", "false"), outcome("pod pod", "pod pod")},
		{"egress interface", Spec{}, Incident("egress-masquerade-interfaces", "eth0"), outcome("pod pod", "node -")},
		{"ip-masq-agent with the node range", Spec{}, MasqAgent("nonMasqueradeCIDRs: [fd00:101::/48]\n"), outcome("node -", "node -")},
		{"ip-masq-agent with the pod range", Spec{}, MasqAgent("nonMasqueradeCIDRs: ['fd00:101:224::/60', 10.101.224.0/19]\n"), outcome("pod pod", "pod pod")},
		{"ip-masq-agent, no file content", Spec{}, MasqAgent(""), outcome("pod pod", "node -")},
		{"no direct routes", Spec{}, Healthy("auto-direct-node-routes", "false", "direct-routing-skip-unreachable", "false"), outcome("- -", "- -")},
		{"routes by the router", Spec{RouterHasPodRoutes: true}, Healthy("auto-direct-node-routes", "false", "direct-routing-skip-unreachable", "false"), outcome("pod pod", "pod pod")},
		{"two segments", Spec{Segments: 2}, Healthy(), outcome("- -", "- -")},
		{"two segments, routes by the router", Spec{Segments: 2, RouterHasPodRoutes: true}, Healthy(), outcome("pod pod", "pod pod")},
		{"two segments, incident", Spec{Segments: 2, RouterHasPodRoutes: true}, Incident(), outcome("pod pod", "node -")},
		{"endpoint routes", Spec{}, Healthy("enable-endpoint-routes", "true"), outcome("pod pod", "pod pod")},
		{"endpoint routes, incident", Spec{}, Incident("enable-endpoint-routes", "true"), outcome("pod pod", "node -")},
		{"endpoint routes, incident, IPv4", Spec{}, IncidentIPv4("enable-endpoint-routes", "true"), outcome("node -", "pod pod")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.spec.Nodes, tc.spec.Config, tc.spec.Daemons = 2, &tc.config, daemons()
			agree(t, New(t, tc.spec), tc.want)
		})
	}
}

// outcome reads "open guarded" per family.
func outcome(four, six string) map[string][2]string {
	out := map[string][2]string{}
	for family, s := range map[string]string{cidr.IPv4: four, cidr.IPv6: six} {
		fields := strings.Fields(s)
		out[family] = [2]string{fields[0], fields[1]}
	}
	return out
}

// end is one end of a flow, for the kernel and for the model.
type end struct {
	name  string
	space *Space
	model datapath.End
	addr  func(family string) netip.Addr
	port  uint16
	// node is where it is, nil outside.
	node    *Node
	guarded bool
}

// ends are all pods, nodes and the outside, which may send, and services, which may not.
func ends(t *testing.T, l *Lab) (senders, services []end) {
	t.Helper()
	for _, p := range l.Pods() {
		senders = append(senders, end{p.Name, p.Space, p.End(netip.Addr{}), p.IP, reflector, p.Node, p.Guarded})
	}
	for _, n := range l.Nodes {
		senders = append(senders, end{n.Name, n.Space, datapath.End{Kind: datapath.EndNode, Node: n.Name}, n.IP, reflector, n, false})
	}
	for _, e := range senders {
		reflect(t, e.space, "9971")
	}
	for _, p := range l.Pods() {
		s := l.AddService(Service{
			Namespace: p.Namespace, Name: p.Name, Endpoints: p.IPs(),
			Ports: []ServicePort{{Protocol: "TCP", Port: 80, TargetPort: reflector}},
		})
		addr := func(family string) netip.Addr { return cidr.AddrsOfFamily(s.ClusterIPs, family)[0] }
		model := datapath.End{Kind: datapath.EndService, Namespace: s.Namespace, Name: s.Name}
		services = append(services, end{"service " + s.Name, nil, model, addr, 80, p.Node, p.Guarded})
	}
	return senders, services
}

func outsideEnd(t *testing.T, l *Lab, family string) end {
	t.Helper()
	addr := cidr.AddrsOfFamily(Outside(), family)[0]
	return end{"outside", l.Internet, datapath.End{Kind: datapath.EndOutside, Addr: addr}, func(string) netip.Addr { return addr }, reflector, nil, false}
}

// agree holds the kernel against the model for every flow of a lab, and what is seen
// between pods of two nodes against want.
func agree(t *testing.T, l *Lab, want map[string][2]string) {
	t.Helper()
	senders, services := ends(t, l)
	reflect(t, l.Internet, "9971")
	model, err := l.Model()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, family := range families() {
		targets := append(slices.Clone(services), outsideEnd(t, l, family))
		for _, from := range senders {
			for _, to := range append(targets, senders...) {
				if from.space == to.space || to.name == "service "+from.name {
					continue // a pod to itself, which the model does not know
				}
				wg.Go(func() { hold(t, model, from, to, family, want[family]) })
			}
		}
	}
	wg.Wait()
}

func hold(t *testing.T, model *datapath.Model, from, to end, family string, want [2]string) {
	result := model.Trace(datapath.Flow{From: from.model, To: to.model, Family: family, Protocol: "TCP", Port: int(to.port)})
	predicted, wait := predict(result), soon
	if predicted.delivered == snapshot.Yes {
		wait = late
	}
	kernel := observe(from, to, family, wait)
	if kernel != predicted {
		t.Errorf("%s to %s, %s: the kernel shows %s, the model says %s: %s, %s", from.name, to.name, family, kernel, predicted, result.Reason, result.MasqueradeWhy)
	}
	if from.model.Kind != datapath.EndPod || to.model.Kind != datapath.EndPod || from.node == to.node {
		return
	}
	expected := want[0]
	if to.guarded {
		expected = want[1]
	}
	if kernel.short() != expected {
		t.Errorf("%s to %s, %s: the kernel shows %s, want %s", from.name, to.name, family, kernel, expected)
	}
}

// sight is what became of a flow.
type sight struct {
	delivered snapshot.Tri
	source    datapath.SourceKind
}

func (s sight) String() string { return s.delivered.String() + " " + string(s.source) }

func (s sight) short() string {
	if s.delivered != snapshot.Yes {
		return "-"
	}
	return string(s.source)
}

func predict(r datapath.Result) sight {
	if r.Delivered != snapshot.Yes {
		return sight{delivered: r.Delivered}
	}
	return sight{r.Delivered, r.Source}
}

func observe(from, to end, family string, wait time.Duration) sight {
	addr, err := seen(from.space, "tcp", to.addr(family), to.port, wait)
	if err != nil {
		return sight{delivered: snapshot.No}
	}
	switch addr {
	case from.node.IP(family):
		return sight{snapshot.Yes, datapath.SourceNode}
	case from.node.RouterIP(family):
		return sight{snapshot.Yes, datapath.SourceRouter}
	case from.addr(family):
		return sight{snapshot.Yes, datapath.SourcePod}
	}
	return sight{snapshot.Yes, datapath.SourceOutside}
}

// TestModelAgreesOnSize: packets with the don't-fragment bit on a wire of 1450.
func TestModelAgreesOnSize(t *testing.T) {
	t.Parallel()
	l, a, b := pair(t, Spec{})
	l.Cut(Cut{LongerThan: 1450})
	in := datapath.Input{Config: Healthy(), Snapshot: l.Snapshot(), Topology: l.Topology()}
	in.Topology.PathMTU, in.Topology.PathAnswersTooBig = 1450, snapshot.No
	model, err := datapath.New(in)
	if err != nil {
		t.Fatal(err)
	}
	for family, header := range map[string]int{cidr.IPv4: 28, cidr.IPv6: 48} {
		for _, size := range []int{1280, 1450, 1451, 1500, 1501} {
			r := model.Trace(datapath.Flow{
				From: a.End(netip.Addr{}), To: b.End(netip.Addr{}), Family: family, Protocol: "UDP", Port: reflector, Size: size,
			})
			want := 0
			if r.Delivered == snapshot.Yes {
				want = 5
			}
			expectFlood(t, fmt.Sprintf("%d bytes: the model says %s, %s", size, r.Delivered, r.Reason), a, b, family, size-header, want, want)
		}
	}
}
