// Package policy says whether network policies let a packet into or out of a
// pod: Kubernetes NetworkPolicy and CiliumNetworkPolicy on layers 3 and 4, by
// identity, as Cilium does it. What it does not model is Unknown, never a guess.
//
// It is pure and held against Cilium's own policy engine in conformance/.
package policy

import (
	"net/netip"
)

// Verdict of a set of policies over one packet.
type Verdict int8

const (
	Unknown Verdict = iota
	Allow
	Deny
)

func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	}
	return "unknown"
}

// Reserved identities, as their label names (pkg/identity/numericidentity.go, 1.18.6).
const (
	Host          = "host"
	World         = "world"
	Unmanaged     = "unmanaged"
	Health        = "health"
	Init          = "init"
	RemoteNode    = "remote-node"
	KubeAPIServer = "kube-apiserver"
	Ingress       = "ingress"

	worldIPv4 = "world-ipv4"
	worldIPv6 = "world-ipv6"
)

// Peer is the other side of a packet as an identity.
type Peer struct {
	// Reserved identity names: a control-plane node is remote-node and
	// kube-apiserver both. Empty for a pod.
	Reserved []string
	// Namespace and Labels of a pod. Labels are those of the object; which of
	// them become part of an identity is decided here.
	Namespace string
	Labels    map[string]string
	// IP matters for CIDR rules, which match world only.
	IP netip.Addr
}

// Subject is the pod whose policy is asked.
type Subject struct {
	Namespace string
	Labels    map[string]string
}

// Port is the destination port; Protocol is TCP, UDP, SCTP or ICMP. Number 0
// stands for a port that no rule names.
type Port struct {
	Protocol string
	Number   int
	// Family is "IPv4" or "IPv6"; ICMP rules depend on it.
	Family string
	// ICMPType for Protocol ICMP; -1 when unspecified.
	ICMPType int
}

// Decision is a verdict with the reason.
type Decision struct {
	Verdict Verdict
	// Enforced: at least one policy selects the pod in this direction (or
	// enforcement is "always"). Without it there is no verdict event.
	Enforced bool
	Reason   string
	// By is the source of the policy that decided, where one did.
	By string
	// Explicit: a deny rule decided, not the want of one that allows.
	Explicit bool
	// Audited: it would have been denied, and audit mode lets it pass.
	Audited bool
}

// Options are what the agent's configuration says about policies. The zero
// value is the agent's default.
type Options struct {
	// Enforcement is enable-policy: default, always or never; "" and anything
	// else count as default.
	Enforcement string
	// CIDRMatchNodes is policy-cidr-match-mode=nodes: CIDR rules match nodes too.
	CIDRMatchNodes bool
	// CIDRMatchPods is policy-cidr-match-mode=pods (1.20 and later): CIDR rules match
	// pods too, and a pod by either of its addresses whatever family a packet has.
	CIDRMatchPods bool
	// NodeSelectorLabels is enable-node-selector-labels.
	NodeSelectorLabels bool
	// NamespaceLabels returns a namespace's labels, nil when they are not known.
	// It must give the same answer every time.
	NamespaceLabels func(namespace string) map[string]string
	// AuditMode is policy-audit-mode: verdicts are reported, not enforced.
	AuditMode bool
	// SingleStack is "IPv4" or "IPv6" where only that family is enabled.
	SingleStack string
	// ClusterName is cluster-name; "" is "default".
	ClusterName string
	// LocalClusterOnly is policy-default-local-cluster.
	LocalClusterOnly bool
	// LocalClusterBlocks: beside LocalClusterOnly agents take a NetworkPolicy with an
	// ipBlock under ingress (1.19 and later), which earlier ones refuse.
	LocalClusterBlocks bool
	// HostFirewall is enable-host-firewall.
	HostFirewall bool
	// IdentityLabels are the patterns of the agent's option "labels".
	IdentityLabels []string
}
