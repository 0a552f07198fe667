// Package snapshot defines Snapshot, the immutable picture of one cluster's
// network at one moment. Every fact carries its source, and what is not known
// is unknown: an absent slice or a Fact with Known false, never a guess.
package snapshot

import (
	"net/netip"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Removed stands where a snapshot left out a value that could be a secret.
const Removed = "(removed)"

// Tri is a fact that may be unknown. The zero value is Unknown.
type Tri int8

const (
	Unknown Tri = iota
	Yes
	No
)

// TriOf turns a known bool into a Tri.
func TriOf(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

func (t Tri) String() string {
	switch t {
	case Yes:
		return "yes"
	case No:
		return "no"
	}
	return "unknown"
}

// Fact is a value with its source: file:line, an object reference such as
// "Node node-2", a flag or a probe. Known is false when nobody stated it.
type Fact[T any] struct {
	Value  T
	Source string
	Known  bool
}

// Known makes a fact.
func Known[T any](value T, source string) Fact[T] {
	return Fact[T]{Value: value, Source: source, Known: true}
}

// CIDR is a prefix with its source. ObservedOnly marks a pool that is no more
// than the ranges of the nodes that were seen. IPAM names the mode that cuts pod
// ranges from this pool ("cluster-pool", say); empty when any mode may.
type CIDR struct {
	Prefix       netip.Prefix
	Source       string
	ObservedOnly bool
	IPAM         string
}

// Snapshot is one cluster's network at one moment. Nothing changes it after
// it was built; share it freely between goroutines.
type Snapshot struct {
	// Origin says where it comes from: a context's name, a folder, an archive,
	// or "repository" when only the repository speaks.
	Origin string

	Nodes      []Node
	Pods       []Pod
	Namespaces []Namespace
	Services   []Service
	Policies   []Policy

	// AgentConfig is the live cilium-config ConfigMap.
	AgentConfig Fact[map[string]string]
	// AgentConfigChanged is when its data last changed (managedFields); zero when unknown.
	AgentConfigChanged time.Time
	// MasqAgentConfig is the live ip-masq-agent ConfigMap's "config" key.
	MasqAgentConfig Fact[string]
	// NodeConfigs are CiliumNodeConfig overrides.
	NodeConfigs []NodeConfig
	// AgentDaemonSet is the cilium DaemonSet.
	AgentDaemonSet Fact[DaemonSet]
	// AgentImageVersion is the version tag of the running agent's image ("1.18.6").
	AgentImageVersion Fact[string]
	// Operator is the cilium-operator Deployment.
	Operator Fact[DaemonSet]

	// PodPools are the pools that node pod CIDRs are cut from, stated
	// (kube-controller-manager --cluster-cidr, cluster-pool lists, kubeadm,
	// Talos, a flag), never derived from nodes.
	PodPools []CIDR
	// ServiceCIDRs as stated by ServiceCIDR objects, the API server's or the
	// controller manager's flags, kubeadm or Talos configuration, or a flag.
	ServiceCIDRs []CIDR
	// NodeCIDRs are ranges that node addresses come from, stated by flag or file.
	NodeCIDRs []CIDR
	// NodeMaskSize per family ("IPv4", "IPv6"): --node-cidr-mask-size-ipv6 and kin.
	NodeMaskSize map[string]Fact[int]

	// Flux objects with their conditions.
	Flux []FluxObject
	// HasBGP: BGP objects of Cilium exist.
	HasBGP Tri
	// Events that name network failures.
	Events []Event
	// Probes, with the object each observation was read from.
	Probes []ProbeObservation

	// AgentMetrics are what agents' metrics say, of those that could be asked, and
	// DropRates what was dropped between two readings of them.
	AgentMetrics []AgentMetrics
	DropRates    []DropRate

	// KubernetesVersion as the nodes' kubelets report it ("v1.32.3").
	KubernetesVersion Fact[string]
	// ReadKinds are the object kinds that were looked for and readable, so that
	// an empty slice can be told from an unread one: Read("NetworkPolicy").
	ReadKinds map[string]bool
	// Unreadable says what was looked for and could not be read, and why, one
	// sentence each: "ProbeReport: not installed".
	Unreadable []string

	index *index
}

// Read says whether objects of the kind were read (the answer may be: none).
func (s *Snapshot) Read(kind string) bool { return s != nil && s.ReadKinds[kind] }

// Node is a cluster node: Node and CiliumNode merged.
type Node struct {
	Name string
	// InternalIPs of the Node object; ExternalIPs likewise.
	InternalIPs []netip.Addr
	ExternalIPs []netip.Addr
	// CiliumInternalIPs are cilium_host's router addresses (CiliumNode).
	CiliumInternalIPs []netip.Addr
	// PodCIDRs are Node.spec.podCIDRs; CiliumPodCIDRs are CiliumNode.spec.ipam.podCIDRs.
	PodCIDRs       []netip.Prefix
	CiliumPodCIDRs []netip.Prefix
	Labels         map[string]string
	Ready          Tri
	Source         string
	// APIServer: the node's address is an endpoint of Service default/kubernetes.
	APIServer Tri
	// MTU of the underlay device, where it is known.
	MTU int
}

// Pod is a pod as the datapath sees it.
type Pod struct {
	Namespace, Name string
	Node            string
	IPs             []netip.Addr
	Labels          map[string]string
	HostNetwork     bool
	// Identity is CiliumEndpoint.status.identity.id; 0 when unknown.
	Identity int64
	Created  time.Time
	Source   string
}

// Namespace with its labels.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Service with the endpoints of its EndpointSlices.
type Service struct {
	Namespace, Name string
	ClusterIPs      []netip.Addr
	IPFamilyPolicy  string
	Headless        bool
	Ports           []ServicePort
	Endpoints       []netip.Addr
	Selector        map[string]string
	Source          string
}

// ServicePort maps a service port to its target.
type ServicePort struct {
	Name       string
	Port       int
	TargetPort int // 0 when named
	Protocol   string
}

// Policy is one NetworkPolicy, CiliumNetworkPolicy or
// CiliumClusterwideNetworkPolicy. Exactly one of Kubernetes and Cilium is set.
type Policy struct {
	Kind            string
	Namespace, Name string
	Kubernetes      *networkingv1.NetworkPolicySpec
	// Cilium is spec and specs of a CiliumNetworkPolicy, undecoded: the model
	// decodes what it knows and says unknown for the rest.
	Cilium []map[string]any
	Source string
}

// NodeConfig is a CiliumNodeConfig.
type NodeConfig struct {
	Name     string
	Selector map[string]string
	// SelectorExpressions: the selector has matchExpressions (not evaluated).
	SelectorExpressions bool
	Defaults            map[string]string
	Source              string
}

// DaemonSet is a workload's rollout state.
type DaemonSet struct {
	Name                        string
	Generation, Observed        int64
	Desired, Updated, Available int
	// ConfigChecksum is the pod template's cilium.io/cilium-configmap-checksum.
	ConfigChecksum string
	// Agents are the pods it owns.
	Agents []AgentPod
}

// AgentPod is one cilium-agent pod. Started is when its init container wrote
// the configuration, else the pod's start; zero when unknown.
type AgentPod struct {
	Name, Node     string
	Started        time.Time
	ConfigChecksum string
	Ready          Tri
	// WaitingReason such as CrashLoopBackOff, and the last termination message.
	WaitingReason   string
	LastTermination string
	Restarts        int
	// ImageVersion is the version tag of the pod's agent image.
	ImageVersion string
}

// FluxObject is a Flux resource with what it says of itself.
type FluxObject struct {
	Kind, Namespace, Name string
	Ready                 Tri
	Reason, Message       string
	Suspended             bool
	// Revision that is applied (status.lastAppliedRevision or artifact revision).
	Revision string
	Path     string // Kustomization spec.path
	URL      string // sources' spec.url
	Source   string
}

// Event is a Kubernetes event, reduced.
type Event struct {
	Object, Reason, Message string
	Source                  string
}

// ProbeObservation is one observation with the object it was read from.
type ProbeObservation struct {
	v1alpha1.Observation
	Source string
}

// AgentMetrics is what one cilium-agent's metrics say.
type AgentMetrics struct {
	Node string
	// Drops are packets since the agent's start.
	Drops map[Drop]float64
	// Drift is the number of keys of cilium-config that differ from what the agent runs.
	Drift Fact[int]
	// NodeHealth and EndpointHealth are what cilium-health found of the other
	// nodes. It probes from the host, never from a pod.
	NodeHealth, EndpointHealth Health
	Source                     string
}

// Drop is why and where a packet was dropped: "Policy denied", "ingress".
type Drop struct{ Reason, Direction string }

// MarshalText makes a Drop the key of a map in JSON.
func (d Drop) MarshalText() ([]byte, error) { return []byte(d.Reason + ", " + d.Direction), nil }

// Health counts nodes.
type Health struct{ Reachable, Unreachable int }

// DropRate is what an agent dropped between two readings.
type DropRate struct {
	Drop
	Node    string
	Packets float64
	Source  string
}
