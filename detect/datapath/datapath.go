// Package datapath models Cilium's packet path: for one flow under one
// configuration it says every hop, rewrite, identity and verdict, with the
// reason and its source in Cilium 1.18.6.
//
// It is pure, and held against what the real agent did on a real kernel by the
// truth tables in conformance/.
package datapath

import (
	"net/netip"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// EndKind says what one end of a flow is.
type EndKind string

const (
	EndPod     EndKind = "pod"
	EndNode    EndKind = "node"
	EndService EndKind = "service"
	EndOutside EndKind = "outside"
)

// End is one end of a flow. For a pod: Namespace, Labels, Node and Addr. For a
// node: Node, and Addr when one particular address is meant. For a service:
// Namespace, Name and Backend (the pod it is translated to). For outside: Addr.
type End struct {
	Kind      EndKind
	Namespace string
	Name      string
	Labels    map[string]string
	Node      string
	Addr      netip.Addr
	Backend   *End
}

// Flow is a first packet of a new connection.
type Flow struct {
	From, To End
	Family   string // cidr.IPv4 or cidr.IPv6
	Protocol string // ICMP, TCP, UDP
	Port     int
	// Size of the IP packet in bytes, sent with don't-fragment; 0 is small.
	// For TCP a Size above the path's MTU stands for a bulk transfer.
	Size int
}

// SourceKind says whose address the receiver sees.
type SourceKind string

const (
	SourceUnknown SourceKind = ""
	SourcePod     SourceKind = "pod"
	SourceNode    SourceKind = "node"
	// SourceRouter is the node's cilium_host address (CiliumInternalIP).
	SourceRouter SourceKind = "router"
	// SourceOutside is the address of a host outside.
	SourceOutside SourceKind = "outside"
)

// Step is one hop, rewrite or decision of a packet's walk.
type Step struct {
	Where  string
	What   string
	Why    string
	Source string // file:line in Cilium, or the configuration's source
	Bad    bool
}

// Result is what happens to a flow.
type Result struct {
	// Delivered is Yes when the receiver got the packet and its answer can come
	// back. An outside host is assumed to reach every node; whether it reaches a
	// pod's address is [Topology.RouterHasPodRoutes], and No for a private
	// address seen on the internet.
	Delivered snapshot.Tri
	// IfRouted is Delivered for a network that carries the packet and its answer
	// wherever it is not known whether it does. It differs from Delivered only
	// when Delivered is Unknown for want of a known route.
	IfRouted snapshot.Tri
	// Reason says in one phrase why it was not delivered or is not known.
	Reason string
	Source SourceKind
	// SourceAddr is the address that the receiver sees, where it is known.
	SourceAddr netip.Addr
	// Identity at the receiver: "pod", or a reserved name; empty for a receiver
	// outside and for a packet that never arrives.
	Identity   string
	Verdict    policy.Decision // ingress at the destination
	Egress     policy.Decision // egress at the sender
	DropReason string          // Cilium's name of the drop reason, "Policy denied"
	// MasqueradeBy is off when the packet keeps its source; empty when unknown.
	MasqueradeBy cilium.Masquerade
	// MasqueradeWhy is the rule that decided, in words.
	MasqueradeWhy string
	Route         string // "local", "direct", "tunnel", "default gateway", "none", "unknown"
	// ReplyRoute is the way back to the source that the receiver sees.
	ReplyRoute string
	Translated string // "", "socket", "per packet"
	Steps      []Step
}

// Topology is what the model knows of the wire, beyond Kubernetes objects.
type Topology struct {
	// SameSegment says whether two nodes share a layer-2 segment; nil means
	// derive it from their addresses' known prefixes, else unknown.
	SameSegment func(a, b string) snapshot.Tri
	// RouterHasPodRoutes: the network between segments routes pod CIDRs (BGP, static).
	RouterHasPodRoutes snapshot.Tri
	// MTUs in bytes of an IP packet, 0 when unknown: of the nodes' devices, of
	// the pods' devices as they are now, and of what the wire carries.
	DeviceMTU, PodMTU int
	PathMTU           int
	PathAnswersTooBig snapshot.Tri
	// OnLink are the prefixes that nodes' devices are directly connected to.
	OnLink []netip.Prefix
	// Devices are the names of the nodes' uplinks; nil means read them from the
	// configuration's key "devices", else unknown.
	Devices []string
	// DefaultRouteSource: the nodes' default routes name a source address, which
	// enable-masquerade-to-route-source depends on.
	DefaultRouteSource snapshot.Tri
}

// Input is everything a model is made of. Nothing in it is changed.
type Input struct {
	Config cilium.Config
	// PerNode overrides Config for the sender or receiver of that name.
	PerNode  map[string]cilium.Config
	Snapshot *snapshot.Snapshot
	Topology Topology
	// Ranges are further prefixes whose members an analysis tells apart, beside
	// those that the configurations name. More than eight of one length, such as
	// the pod CIDRs of all nodes, are told apart from the rest but not from each
	// other; so is the list of an ip-masq-agent.
	Ranges []netip.Prefix
}
