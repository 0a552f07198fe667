package collect

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/detect/mesh"
)

func member(name, node, target string, change func(*corev1.Pod), ips ...string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "probes", Name: name, Labels: map[string]string{LabelTarget: target}, CreationTimestamp: metav1.NewTime(start)},
		Spec:       corev1.PodSpec{NodeName: node, HostNetwork: target == TargetHost},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for _, ip := range ips {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	if change != nil {
		change(p)
	}
	return p
}

func machine(name, zone string, ips ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{labelZone: zone}}}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeExternalIP, Address: "192.0.2.1"}}
	for _, ip := range ips {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip})
	}
	return n
}

func service(ns, name string, port int32, labels, selector map[string]string, ips ...string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: labels},
		Spec:       corev1.ServiceSpec{Selector: selector, ClusterIPs: ips, Ports: []corev1.ServicePort{{Port: port}}},
	}
}

func slice(ns, of string, ready bool, ips ...string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: of + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: of}},
		Endpoints:  []discoveryv1.Endpoint{{Addresses: ips, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func equalMembership(t *testing.T, got, want mesh.Membership) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("membership (-want +got):\n%s", diff)
	}
}

func TestMembership(t *testing.T) {
	deleting := func(p *corev1.Pod) { now := metav1.Now(); p.DeletionTimestamp = &now }
	pods := []*corev1.Pod{
		member("o-1", "n-1", "open", nil, "10.1.1.1", "fd00::11", "fd00::12"),
		member("g-1", "n-1", "guarded", nil, "10.1.1.2", "fd00::13"),
		member("h-1", "n-1", "host", nil, "10.0.0.1"),
		member("o-2", "n-2", "open", nil),                     // no address yet
		member("g-2", "n-2", "guarded", deleting, "10.1.2.2"), // going
		member("o-3", "n-3", "open", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, "10.1.3.1"),
		member("g-3", "n-3", "guarded", func(p *corev1.Pod) { p.Status.PodIP = "10.1.3.2" }),
		member("h-3", "n-3", "host", func(p *corev1.Pod) { p.Spec.HostNetwork = false }, "10.0.0.3"),
		member("o-9", "n-9", "open", nil, "10.1.9.1"), // its node is not there
		member("app", "n-1", "", nil, "10.1.1.9"),
	}
	gone := machine("n-8", "", "10.0.0.8")
	now := metav1.Now()
	gone.DeletionTimestamp = &now
	nodes := []*corev1.Node{
		machine("n-3", "rack-b", "10.0.0.3"), machine("n-1", "rack-a", "10.0.0.1", "10.0.0.99", "fd01::1"), machine("n-2", "", "no address"), gone,
	}
	dns := map[string]string{dnsLabel: dnsApp}
	services := []*corev1.Service{
		service("other", "kube-dns-copy", 53, dns, nil, "10.96.9.9"),
		service("kube-system", "kube-dns", 53, dns, nil, "10.96.0.10", "fd02::a"),
		service("kube-system", "kube-dns-metrics", 9153, dns, nil, "10.96.0.11"),
		service("probes", "leads-back", 9971, nil, map[string]string{LabelTarget: "open"}, "10.96.0.70", "fd02::70"),
		service("probes", "remediate-probe", 9971, nil, map[string]string{LabelTarget: "guarded"}, "10.96.0.77", "fd02::77"),
		service("probes", "remediate-probe-2", 9971, nil, map[string]string{LabelTarget: "guarded"}, "10.96.0.78"),
		service("probes", "headless", 9971, nil, map[string]string{LabelTarget: "guarded"}, "None"),
	}
	slices := []*discoveryv1.EndpointSlice{
		slice("kube-system", "kube-dns", true, "10.1.7.3", "10.1.7.1", "10.1.7.2", "fd00::71"), slice("kube-system", "kube-dns", true, "10.1.7.1", "x"),
		slice("kube-system", "kube-dns", false, "10.1.0.1"), slice("other", "kube-dns", true, "10.1.0.2"),
	}
	want := mesh.Membership{
		Version: 1,
		Members: []mesh.Member{
			{
				Node: "n-1", Zone: "rack-a", NodeIPs: addrs("10.0.0.1", "fd01::1"),
				Open:    &mesh.Target{Namespace: "probes", Pod: "o-1", IPs: addrs("10.1.1.1", "fd00::11")},
				Guarded: &mesh.Target{Namespace: "probes", Pod: "g-1", IPs: addrs("10.1.1.2", "fd00::13")},
				Host:    &mesh.Target{Namespace: "probes", Pod: "h-1", IPs: addrs("10.0.0.1")},
			},
			{Node: "n-2"},
			{
				Node: "n-3", Zone: "rack-b", NodeIPs: addrs("10.0.0.3"),
				Guarded: &mesh.Target{Namespace: "probes", Pod: "g-3", IPs: addrs("10.1.3.2")},
			},
		},
		Services: addrs("10.96.0.77", "fd02::77"),
		DNS:      mesh.DNS{Services: addrs("10.96.0.10", "fd02::a"), Pods: addrs("10.1.7.1", "10.1.7.2", "fd00::71"), Name: dnsName},
	}
	for i := range 20 {
		equalMembership(t, Membership(pods, nodes, services, slices), want)
		r := rand.New(rand.NewPCG(1, uint64(i)))
		r.Shuffle(len(pods), func(i, j int) { pods[i], pods[j] = pods[j], pods[i] })
		r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		r.Shuffle(len(services), func(i, j int) { services[i], services[j] = services[j], services[i] })
		r.Shuffle(len(slices), func(i, j int) { slices[i], slices[j] = slices[j], slices[i] })
	}
}

func TestMembershipOfTwoPodsOnANode(t *testing.T) {
	ready := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	young := func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(start.Add(time.Hour)) }
	tests := []struct {
		name string
		a, b *corev1.Pod
	}{
		{"the ready one", member("a", "n", "open", ready, "10.1.0.1"), member("b", "n", "open", young, "10.1.0.2")},
		{"the younger", member("a", "n", "open", young, "10.1.0.1"), member("b", "n", "open", nil, "10.1.0.2")},
		{"the first by name", member("a", "n", "open", nil, "10.1.0.1"), member("b", "n", "open", nil, "10.1.0.2")},
	}
	for _, tt := range tests {
		for _, pods := range [][]*corev1.Pod{{tt.a, tt.b}, {tt.b, tt.a}} {
			got := Membership(pods, []*corev1.Node{machine("n", "")}, nil, nil)
			if got.Members[0].Open.Pod != "a" {
				t.Errorf("%s: got %s", tt.name, got.Members[0].Open.Pod)
			}
		}
	}
}

func TestMembershipOfNothing(t *testing.T) {
	equalMembership(t, Membership(nil, nil, nil, nil), mesh.Membership{Version: 1})
	dns := map[string]string{dnsLabel: dnsApp}
	headless := Membership(nil, nil, []*corev1.Service{service("kube-system", "kube-dns", 53, dns, nil, "None")}, nil)
	equalMembership(t, headless, mesh.Membership{Version: 1})
	old := service("kube-system", "kube-dns", 53, dns, nil)
	old.Spec.ClusterIP = "10.96.0.10"
	if got := Membership(nil, nil, []*corev1.Service{old}, nil); fmt.Sprint(got.DNS.Services) != "[10.96.0.10]" {
		t.Errorf("got %+v", got.DNS)
	}
}
