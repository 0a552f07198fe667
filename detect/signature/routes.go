package signature

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// IDs of the signatures about routes between nodes.
const (
	DirectRouteSkipped  = "direct-route-skipped"
	NoRouteBetweenNodes = "no-route-between-nodes"
)

const routeSource = "pkg/datapath/linux/node.go:151-173 (1.18.6)"

func directRouteSkipped() Signature {
	return Signature{
		ID:       DirectRouteSkipped,
		Title:    "Direct routes to nodes behind a router are skipped in silence",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "autoDirectNodeRoutes installs a route to a node's pod CIDR only when the node is reached without a gateway. With directRoutingSkipUnreachable the agent " +
			"skips the others and says so at debug level only. Unless the network itself routes the pod CIDRs, packets to those pods follow the default route and are lost.",
		Shows:     []string{"some pairs of nodes fail both ways, others work; node addresses are reachable", "cilium-health: node reachable, endpoint not"},
		DependsOn: []string{"the agent's configuration", "the nodes' addresses and their on-link prefixes"},
		Confirms:  []string{"between two nodes on different segments an open target is not reached from a pod, while the node path works"},
		Refutes:   []string{"an open target on such a pair is reached"},
		Quorum:    groupQuorum(),
		Neighbours: []Neighbour{
			{NativeRoutingCIDRExcludesPods, "there open targets are reached and only guarded ones are not"},
			{NoRouteBetweenNodes, "there every pair of nodes fails"},
			{ZoneCut, "there the nodes do not reach each other either"},
		},
		Effects:  []string{FluxIsAVictim},
		Versions: "1.16 to 1.20; logged at warning level before 1.18.4",
		Sources:  []string{routeSource, "cilium/cilium#42210", "cilium/cilium#31124"},
		Detect: func(in *Input) []v1alpha1.Finding {
			if !in.Settings.AutoDirectNodeRoutes || !in.Settings.DirectRoutingSkipUnreachable {
				return nil
			}
			return in.orProbed(DirectRouteSkipped, segmentFindings(in, DirectRouteSkipped, "directRoutingSkipUnreachable", "direct-routing-skip-unreachable"))
		},
	}
}

func noRoute() Signature {
	return Signature{
		ID:       NoRouteBetweenNodes,
		Title:    "Nothing routes pod CIDRs between nodes",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "With native routing somebody must route every node's pod CIDR: autoDirectNodeRoutes on one segment, BGP, or static routes. " +
			"Without any, packets follow the default route. The agent stays healthy and logs nothing.",
		Shows:     []string{"no pod reaches a pod on another node, with or without policies; pods of one node talk", "pods do not reach other nodes either: the answer finds no way back"},
		DependsOn: []string{"the agent's configuration", "BGP objects"},
		Confirms:  []string{"an open target on another node is not reached while the node path works"},
		Refutes:   []string{"an open target on another node is reached"},
		Quorum:    clusterQuorum(),
		Neighbours: []Neighbour{
			{NativeRoutingCIDRExcludesPods, "there open targets are reached"},
			{DirectRouteSkipped, "there only some pairs of nodes fail"},
			{TunnelBlocked, "there pods of different nodes talk through tunnels"},
			{FamilyDown, "there the nodes do not reach each other over the family either"},
		},
		Effects:  []string{FluxIsAVictim},
		Versions: "1.16 to 1.20; measured with 1.18.6",
		Sources:  []string{"pkg/datapath/linux/node.go:141-221 (1.18.6)"},
		Detect: func(in *Input) []v1alpha1.Finding {
			return in.orProbed(NoRouteBetweenNodes, detectNoRoute(in))
		},
	}
}

// orProbed adds what probes alone prove of a signature, for the families in
// which the configuration says nothing of it.
func (in *Input) orProbed(id string, configured []v1alpha1.Finding) []v1alpha1.Finding {
	for _, f := range in.cutFindings(id) {
		if !slices.ContainsFunc(configured, func(have v1alpha1.Finding) bool { return have.Family == f.Family }) {
			configured = append(configured, f)
		}
	}
	return configured
}

func detectNoRoute(in *Input) []v1alpha1.Finding {
	s := in.Settings
	if s.RoutingMode != "native" || len(in.Snapshot.Nodes) < 2 {
		return nil
	}
	if s.AutoDirectNodeRoutes {
		if s.DirectRoutingSkipUnreachable {
			return nil
		}
		return segmentFindings(in, NoRouteBetweenNodes, "autoDirectNodeRoutes", "auto-direct-node-routes")
	}
	var out []v1alpha1.Finding
	for _, family := range in.Families() {
		f := v1alpha1.Finding{
			Signature: NoRouteBetweenNodes, Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidencePossible, Family: family,
			Summary: fmt.Sprintf("native routing with autoDirectNodeRoutes off: nothing in view routes %s pod CIDRs between nodes", family),
			Evidence: []v1alpha1.Evidence{
				{Kind: "config", Text: "routingMode: native", Source: in.where("routingMode", "routing-mode")},
				{Kind: "config", Text: "autoDirectNodeRoutes: false", Source: in.where("autoDirectNodeRoutes", "auto-direct-node-routes")},
			},
			Lacked: []string{"routes of the network between the nodes (BGP or static), which this configuration relies on", lostOpenTarget("on another node")},
		}
		if !confirmRoute(in, family, nil, &f) || maybeBGP(in, f) {
			continue
		}
		out = append(out, f)
	}
	return out
}

// lostOpenTarget is the observation that confirms a missing route.
func lostOpenTarget(where string) string {
	return "a probe from a pod to an open target " + where + " that is lost while the nodes reach each other"
}

// segmentFindings looks for node pairs whose addresses share no on-link prefix.
func segmentFindings(in *Input, id, helmKey, flag string) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	if in.Settings.RoutingMode != "native" {
		return nil
	}
	for _, family := range in.Families() {
		apart, groups := segments(in.Snapshot, family)
		if len(groups) < 2 {
			continue
		}
		f := v1alpha1.Finding{
			Signature: id, Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidencePossible, Family: family,
			Summary: fmt.Sprintf("nodes sit in %d different %s networks (%s); no direct route is installed between those that are reached through a gateway",
				len(groups), family, shorten(groups, 3)),
			Evidence: []v1alpha1.Evidence{
				{Kind: "config", Text: helmKey + " decides what happens to nodes behind a gateway", Source: in.where(helmKey, flag)},
				{Kind: "fact", Text: "node networks: " + shorten(groups, 6), Source: "Node objects"},
			},
			Lacked: []string{"the nodes' routing tables: whether the network between these segments routes the pod CIDRs", lostOpenTarget("in another of these networks")},
		}
		if confirmRoute(in, family, apart, &f) && !maybeBGP(in, f) {
			out = append(out, f)
		}
	}
	return out
}

// maybeBGP: with BGP objects about, routes may come from there, and only a lost
// open target says that they do not.
func maybeBGP(in *Input, f v1alpha1.Finding) bool {
	return in.Snapshot.HasBGP == snapshot.Yes && f.Confidence != v1alpha1.ConfidenceConfirmed
}

// confirmRoute raises the finding when an open target between the nodes was
// lost, and reports false when one was reached.
func confirmRoute(in *Input, family string, apart func(a, b string) bool, f *v1alpha1.Finding) bool {
	if other := in.cutBy(family); other != "" && other != f.Signature {
		f.Lacked = append(f.Lacked, "another shape of the failures: the probes together show "+other)
		return true
	}
	for _, o := range in.Snapshot.Probes {
		if !counts(in, o, family) || (apart != nil && !apart(o.From.Node, o.To.Node)) {
			continue
		}
		switch {
		case o.Outcome == v1alpha1.OutcomeOK || o.SourceSeen != "":
			return false
		case o.Outcome == v1alpha1.OutcomeTimeout && in.isOpen(o):
			f.Confidence, f.Lacked = v1alpha1.ConfidenceConfirmed, nil
			f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "probe", Source: o.Source,
				Text: fmt.Sprintf("open target on %s not reached from a pod on %s", o.To.Node, o.From.Node)})
		}
	}
	return true
}

// segments groups nodes by the network of their first InternalIP: /64 for IPv6,
// /24 for IPv4, which is what is on-link on most networks; stated node CIDRs
// override it.
func segments(s *snapshot.Snapshot, family string) (apart func(a, b string) bool, groups []string) {
	bits := 64
	if family == cidr.IPv4 {
		bits = 24
	}
	of := map[string]netip.Prefix{}
	seen := map[netip.Prefix]bool{}
	for _, n := range s.Nodes {
		addrs := cidr.AddrsOfFamily(n.InternalIPs, family)
		if len(addrs) == 0 {
			continue
		}
		p, err := addrs[0].Prefix(bits)
		if err != nil {
			continue
		}
		for _, c := range s.NodeCIDRs {
			if c.Prefix.Contains(addrs[0]) {
				p = c.Prefix
			}
		}
		of[n.Name] = p
		seen[p] = true
	}
	for p := range seen {
		groups = append(groups, p.String())
	}
	sort.Strings(groups)
	return func(a, b string) bool {
		pa, okA := of[a]
		pb, okB := of[b]
		return okA && okB && pa != pb
	}, groups
}
