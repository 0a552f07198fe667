// Package mesh decides which node probes which, when and how, so that the load of
// each node is the same at ten nodes and at five thousand and every ordered pair of
// nodes has its turn within a bounded time. It sends nothing and reads no clock.
package mesh

import (
	"net/netip"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
)

// Membership is who takes part. Whoever reads Nodes and Pods writes it into a
// ConfigMap, and the kubelet carries it to each probe as a file: a path that needs
// neither the pod network nor cluster DNS nor credentials in the probe.
type Membership struct {
	// Version of this format: 1.
	Version int `json:"v"`
	// Members in any order; their order in the ring is [Ring]'s affair.
	Members []Member `json:"members"`
	// Services are the ClusterIPs of the probes' Service, one per family. No prober is
	// behind it (see [BackendPort]).
	Services []netip.Addr `json:"services,omitempty"`
	// DNS is the cluster's; without services it is not checked.
	DNS DNS `json:"dns,omitzero"`
	// External are addresses outside the cluster, with ports; none by default.
	External []netip.AddrPort `json:"external,omitempty"`
}

// Member is a node and the targets on it.
type Member struct {
	Node string `json:"node"`
	// Zone is topology.kubernetes.io/zone, or whatever stands for a rack; may be empty.
	Zone string `json:"zone,omitempty"`
	// Open answers everybody, Guarded only pods of its namespace, Host is in the
	// node's own network. Nil where there is none (yet).
	Open    *Target `json:"open,omitempty"`
	Guarded *Target `json:"guarded,omitempty"`
	Host    *Target `json:"host,omitempty"`
	// NodeIPs are the node's InternalIPs, at most one per family.
	NodeIPs []netip.Addr `json:"nodeIPs,omitempty"`
}

// Target is a pod that answers probes.
type Target struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	// IPs are status.podIPs, at most one per family.
	IPs []netip.Addr `json:"ips"`
}

// DNS is the cluster's DNS: the addresses of its Service and of the pods behind it.
type DNS struct {
	Services []netip.Addr `json:"services,omitempty"`
	Pods     []netip.Addr `json:"pods,omitempty"`
	// Name is what is asked for: a name that every cluster has,
	// "kubernetes.default.svc.cluster.local.".
	Name string `json:"name,omitempty"`
}

// FullSize as a Check's Bytes stands for the MTU of the prober's own device or
// route, which only the prober knows.
const FullSize = -1

// Check is one exchange to be tried: one new connection or one packet and its
// answer. Sizes are bytes on the wire, IP header included.
type Check struct {
	From v1alpha1.Endpoint
	// To has the address and the port; node and pod where the target is one of ours.
	To v1alpha1.Endpoint
	// Via is PodIP, ClusterIP, NodeIP, DNS or External; Family IPv4 or IPv6;
	// Protocol ICMP, TCP, UDP or HTTP; Target open, guarded or empty.
	Via, Family, Protocol, Target string
	// HostNetwork: the prober is in the node's own network.
	HostNetwork bool
	// Bytes is the packet's size, with the don't-fragment bit; 0 is small and
	// [FullSize] the largest that the prober's kernel would send. Back asks for an
	// answer of the same size.
	Bytes int
	Back  bool
	// Name is asked for when Via is DNS.
	Name string
	// Differential: it was caused by a failure and is no part of the ring.
	Differential bool
}
