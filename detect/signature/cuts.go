package signature

import (
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// IDs of the signatures about paths that probes find cut.
const (
	TunnelBlocked       = "tunnel-blocked"
	FamilyDown          = "address-family-down"
	NodePathDown        = "node-path-down"
	NodeDown            = "node-down"
	NodePodsUnreachable = "node-pods-unreachable"
	RouteToPeerMissing  = "route-to-peer-missing"
	PairDown            = "node-pair-down"
	ZoneCut             = "zone-cut"
	OneDirectionDown    = "one-direction-down"
)

// Window is how long an observation counts that is not repeated. Probes repeat
// each minute what deviates.
const Window = 150 * time.Second

// Quora by what a fault takes. A node that restarts, or an agent, is back within
// the hold of a node's quorum; of a fault between all nodes chance is no
// explanation after a moment.
func clusterQuorum() Quorum {
	return Quorum{Probers: 3, Pairs: 6, Exchanges: 24, Window: Window, BothDirections: true, Hold: 4 * time.Second}
}

func groupQuorum() Quorum {
	return Quorum{Probers: 3, Pairs: 6, Exchanges: 16, Window: Window, BothDirections: true, Hold: 8 * time.Second}
}

func nodeQuorum() Quorum {
	return Quorum{Probers: 2, Pairs: 2, Exchanges: 8, Window: Window, Hold: 12 * time.Second}
}

func pairQuorum() Quorum {
	return Quorum{Probers: 2, Pairs: 2, Exchanges: 8, Window: Window, BothDirections: true, Hold: 12 * time.Second}
}

const (
	noProbes     = "probes of at least two nodes"
	onlyPodPath  = "the nodes reach each other by their own addresses"
	notRestarted = "the node and its agent are up for longer than the hold"
	lostPodsBack = "an exchange that succeeds on one of these paths"
	probeTraffic = "detect/probe and detect/mesh: what is probed and when"
)

// catalogue of the cuts; the routes' own signatures are in routes.go.
func cutSignatures() []Signature {
	return []Signature{tunnelBlocked(), familyDown(), nodePathDown(), nodeDown(), nodePods(), routeToPeer(), pairDown(), zoneCut(), oneDirection()}
}

// cut makes the parts that all signatures of cuts have alike.
func cut(s Signature) Signature {
	s.Severity = v1alpha1.SeverityCritical
	s.DependsOn = append([]string{noProbes}, s.DependsOn...)
	s.Refutes = append([]string{lostPodsBack}, s.Refutes...)
	s.Versions, s.Effects = "all", []string{FluxIsAVictim}
	s.Sources = append(s.Sources, probeTraffic)
	id := s.ID
	s.Detect = func(in *Input) []v1alpha1.Finding { return in.cutFindings(id) }
	return s
}

func tunnelBlocked() Signature {
	s := cut(Signature{
		ID: TunnelBlocked, Title: "Tunnels between nodes are blocked", Quorum: clusterQuorum(),
		Explanation: "With tunnel routing pods of different nodes talk inside UDP between the nodes: port 8472 for VXLAN, 6081 for Geneve. A firewall that does not let it pass cuts all pods apart while the nodes reach each other.",
		Shows:       []string{"no pod reaches a pod of another node; nodes reach each other; pods of one node talk"},
		DependsOn:   []string{"the agent's configuration: routingMode tunnel"},
		Confirms:    []string{"between all nodes open and guarded targets are lost alike while " + onlyPodPath},
		Neighbours:  []Neighbour{{NoRouteBetweenNodes, "there routing is native, or not known"}, {NodePathDown, "there the nodes do not reach each other either"}},
		Sources:     []string{"Documentation/operations/system_requirements.rst (1.18.6)"},
	})
	return s
}

func familyDown() Signature {
	return cut(Signature{
		ID: FamilyDown, Title: "One address family does not work between nodes", Quorum: clusterQuorum(),
		Explanation: "Nothing of one address family passes between nodes, neither from pods nor, as far as is seen, from the nodes themselves, while the other family works: a filter, a missing address or a router that does not carry the family.",
		Shows:       []string{"names that resolve to both families work slowly or by turns; everything of the other family works"},
		Confirms:    []string{"between all nodes all exchanges of one family are lost, node addresses included, while the other family works"},
		Refutes:     []string{onlyPodPath + " over this family"},
		Neighbours: []Neighbour{
			{NoRouteBetweenNodes, "there the nodes reach each other over the same family, or a router says that it knows no way"},
			{NativeRoutingCIDRExcludesPods, "there open targets are reached"},
			{NodePathDown, "there the other family is lost as well, or there is none"},
		},
	})
}

func nodePathDown() Signature {
	return cut(Signature{
		ID: NodePathDown, Title: "The nodes' own network is down",
		Quorum:      Quorum{Probers: 3, Pairs: 4, Exchanges: 16, Window: Window, BothDirections: true, Hold: 6 * time.Second},
		Explanation: "Nodes do not reach each other by their own addresses and in their own network namespace. What pods lose follows from it; no value of Cilium's is the cause of it.",
		Shows:       []string{"pods and nodes alike do not reach other nodes; what the API server hears of them may still come"},
		DependsOn:   []string{"probes in the nodes' own network (the host-network twin), or nodes that are not heard"},
		Confirms:    []string{"pods' exchanges and those of the nodes' own network are lost alike"},
		Refutes:     []string{onlyPodPath},
		Neighbours:  []Neighbour{{NoRouteBetweenNodes, "there " + onlyPodPath}, {NodeDown, "there the node is not heard any more"}, {FamilyDown, "there the other family works"}},
	})
}

func nodeDown() Signature {
	s := cut(Signature{
		ID: NodeDown, Title: "A node gives no sign of life", Quorum: nodeQuorum(),
		Explanation: "A node answers on no path and its probe is not heard: it is off, restarts for longer than usual, or is cut off altogether.",
		Shows:       []string{"the node turns NotReady", "all others lose it, and only it"},
		Confirms:    []string{"several nodes lose one node's pods and addresses, reach others, and its probe says nothing"},
		Refutes:     []string{"a line of the node's probe that is newer than the failure", notRestarted},
		Neighbours:  []Neighbour{{NodePodsUnreachable, "there the node's own address answers, or its probe is heard"}, {ZoneCut, "there the nodes of a whole zone are lost"}},
	})
	s.Severity = v1alpha1.SeverityWarning
	s.Effects = append(s.Effects, ProbeSilent)
	return s
}

func nodePods() Signature {
	return cut(Signature{
		ID: NodePodsUnreachable, Title: "The pods of one node are cut off", Quorum: nodeQuorum(),
		Explanation: "Pods of one node neither reach pods of other nodes nor are reached, while the node itself answers or its probe is heard: its agent, its routes or its devices are at fault.",
		Shows:       []string{"everything that talks to pods of one node times out; the node is Ready"},
		Confirms:    []string{"several nodes lose one node's open and guarded targets, reach others, and the node answers by its own address or is heard"},
		Neighbours: []Neighbour{
			{NodeDown, "there the node's own address does not answer and its probe is silent"},
			{ProbeTargetRefuses, "there the target refuses, or only one of the node's two targets is lost"},
			{OneDirectionDown, "there one direction works, or requests arrive"},
		},
	})
}

func routeToPeer() Signature {
	return cut(Signature{
		ID: RouteToPeerMissing, Title: "Pods of some nodes have no route to each other", Quorum: pairQuorum(),
		Explanation: "Between some pairs of nodes packets of pods are lost, while both nodes' pods reach others and the nodes reach each other, or a router says that it knows no way: the route to the other's pod range is missing or wrong. " +
			"Exchanges need both ways, so one missing route fails both directions.",
		Shows:    []string{"a pod fails towards pods of one node and nowhere else"},
		Confirms: []string{"a pair of nodes loses open and guarded targets in both directions, both reach others, and " + onlyPodPath + " or the loss is answered with 'unreachable'"},
		Neighbours: []Neighbour{
			{PairDown, "there the nodes do not reach each other by their own addresses"},
			{NoRouteBetweenNodes, "there every pair of nodes fails"},
			{DirectRouteSkipped, "there the pairs are those of different segments and the configuration skips them"},
		},
		Sources: []string{routeSource},
	})
}

func pairDown() Signature {
	return cut(Signature{
		ID: PairDown, Title: "Two nodes do not reach each other", Quorum: pairQuorum(),
		Explanation: "Between two nodes neither pods nor, as far as is seen, the nodes themselves get through, while both reach all others: a filter or a fault of the network between these two.",
		Shows:       []string{"what one node needs of the other times out; everything else works"},
		Confirms:    []string{"a pair of nodes loses targets and node addresses in both directions and both reach others"},
		Refutes:     []string{onlyPodPath},
		Neighbours:  []Neighbour{{RouteToPeerMissing, "there " + onlyPodPath}, {OneDirectionDown, "there requests of one direction arrive"}},
	})
}

func zoneCut() Signature {
	return cut(Signature{
		ID: ZoneCut, Title: "A zone or rack is cut off from the others", Quorum: groupQuorum(),
		Explanation: "The nodes have fallen into two parts: within each all works, between them nothing does. One cause, not one fault for each node or pair.",
		Shows:       []string{"many pairs of nodes fail and all of them lie between the same two groups"},
		DependsOn:   []string{"the nodes' zones, where they are labelled (topology.kubernetes.io/zone)"},
		Confirms:    []string{"exchanges between two groups are lost in both directions, node addresses included, and none within the groups"},
		Refutes:     []string{"a lost pair within a group", onlyPodPath},
		Neighbours: []Neighbour{
			{DirectRouteSkipped, "there the nodes reach each other, and the configuration skips routes between segments"},
			{RouteToPeerMissing, "there the nodes reach each other"},
			{NodeDown, "there a single node is what all lost pairs have in common"},
		},
	})
}

func oneDirection() Signature {
	return cut(Signature{
		ID: OneDirectionDown, Title: "Packets pass in one direction only", Quorum: nodeQuorum(),
		Explanation: "Exchanges begun by one side succeed and those begun by the other do not, or requests arrive and their answers are lost. A stateful filter, or a route that only one side has.",
		Shows:       []string{"connections in one direction time out; those in the other work, or their requests are seen to arrive"},
		DependsOn:   []string{"what targets received"},
		Confirms: []string{
			"several nodes do not reach one node that reaches them",
			"requests of one direction arrived at their target and their answers did not come back, while none of the other direction arrived",
		},
		Neighbours: []Neighbour{{NodePodsUnreachable, "there nothing is known to arrive in either direction"}, {PairDown, "there nothing is known to arrive in either direction"}},
	})
}

// nameCut is the signature that a cut is told as.
func (in *Input) nameCut(r *Reach, v *verdict) string {
	if v.kind <= cutWay && v.undecided() {
		return ""
	}
	tried, reached := r.families[v.family].podsReachNode(v.pairs)
	nodesLost := v.nodePath == snapshot.No || v.nodePath == snapshot.Unknown && tried > 0 && reached == 0
	switch v.kind {
	case cutAll:
		if tried == 0 && v.wantsNodePath() && !in.skips(v) {
			return ""
		}
		return in.nameAll(v, nodesLost)
	case cutGroups:
		return in.nameGroups(v)
	case cutWay:
		if len(v.groups) == 2 && (v.nodePath == snapshot.Yes || v.noWay) {
			return RouteToPeerMissing // the nodes themselves get through
		}
		return OneDirectionDown
	case cutPair:
		switch {
		case in.skips(v):
			return DirectRouteSkipped
		case v.nodePath == snapshot.Yes, v.noWay && v.nodePath != snapshot.No:
			return RouteToPeerMissing
		}
		return PairDown
	case cutNode:
		switch {
		case v.nodePath == snapshot.Yes:
			return NodePodsUnreachable
		case v.nodePath == snapshot.No && v.heard:
			return NodePathDown
		case v.heard:
			return NodePodsUnreachable
		}
		return NodeDown
	}
	return ""
}

// undecided: the nodes' own network, or what arrives of requests, is about to tell
// which of two causes it is.
func (v *verdict) undecided() bool {
	const wait, seldom = 20 * time.Second, 40 * time.Second
	// Starved probes make few exchanges that count.
	told, enough, lasted := 16*time.Second, 24, v.support.Last.Sub(v.support.First)
	switch {
	case v.kind == cutPair: // whose two probes alone tell, and look at each other seldom
		told, enough = seldom, 12
	case v.kind == cutWay:
		return v.untried && lasted < seldom
	case v.wayElsewhere:
		told = seldom
	}
	return v.nodePath == snapshot.Unknown && v.twins && lasted < wait || v.untold && (lasted < told || v.support.Exchanges < enough)
}

// wantsNodePath: of one family all pods of other nodes are lost, and whether the nodes'
// own network carries it decides which of two causes it is. It is tried within seconds.
func (v *verdict) wantsNodePath() bool {
	const wait = 15 * time.Second
	return v.otherWorks && v.nodePath == snapshot.Unknown && !v.noWay && !v.sameNode && v.support.Last.Sub(v.support.First) < wait
}

func (in *Input) nameAll(v *verdict, nodesLost bool) string {
	switch {
	case v.sameNode:
		return FamilyDown
	case v.nodePath == snapshot.No && v.otherWorks:
		return FamilyDown
	case v.nodePath == snapshot.No:
		return NodePathDown
	case in.skips(v):
		return DirectRouteSkipped
	case v.nodePath == snapshot.Unknown && !v.noWay && nodesLost && v.otherWorks:
		return FamilyDown
	case v.nodePath == snapshot.Unknown && !v.noWay && !v.heard:
		return NodePathDown
	case in.Settings.RoutingMode == "tunnel":
		return TunnelBlocked
	}
	return NoRouteBetweenNodes
}

func (in *Input) nameGroups(v *verdict) string {
	switch {
	case v.nodePath == snapshot.No:
		return ZoneCut
	case in.skips(v):
		return DirectRouteSkipped
	case v.nodePath == snapshot.Yes, v.noWay:
		return RouteToPeerMissing
	}
	return ZoneCut
}

// skips: the configuration leaves out routes between exactly these nodes.
func (in *Input) skips(v *verdict) bool {
	s := &in.Settings
	if s.RoutingMode != "native" || !s.AutoDirectNodeRoutes || !s.DirectRoutingSkipUnreachable || v.nodePath == snapshot.No {
		return false
	}
	apart, groups := segments(in.Snapshot, v.family)
	if len(groups) < 2 {
		return false
	}
	for _, k := range v.pairs {
		if !apart(k.from, k.to) {
			return false
		}
	}
	return true
}
