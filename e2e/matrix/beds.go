package matrix

import (
	"slices"
	"strings"
)

// Beds are all beds with all stages, in the order of the page.
func Beds() []Bed {
	return []Bed{segment(), endpointRoutes(), policies(), segments(), routed(), apart(), tunnel(), smallDevice(), addresses()}
}

// Rows is how many flows there are in all stages.
func Rows(beds []Bed) (rows int, err error) {
	for _, b := range beds {
		for _, s := range b.Stages {
			flows, err := ParseFlows(s.Flows...)
			if err != nil {
				return 0, err
			}
			rows += len(flows)
		}
	}
	return rows, nil
}

// guarded is the policy that the incident's pods have.
const guarded = "same namespace"

// closed is the policy of the pods behind services.
const closed = "team-b closed"

// closedIn is the same for ingress alone.
const closedIn = "team-b closed for ingress"

// masqueraded are flows whose source an agent may change.
func masqueraded() []string {
	return fromEach("a@ -> a#: 46 T", "a@ -> a#: 4 I", "a@ -> a#: 6 U", "a@ -> node-#: 46 T",
		"a@ -> near: 46 T", "a@ -> wide: 46 T", "a@ -> far: 46 T")
}

// segment is one segment of layer 2, whose router knows no pods: each node has its own
// configuration, for it is the sender's that masquerades.
func segment() Bed {
	b := Bed{Name: "segment", Title: "One segment; the router knows no pods", OneVersion: true}
	three := func(name string, core bool, flows []string, configs ...string) {
		b.Stages = append(b.Stages, Stage{Name: name, Core: core, Configs: configs, Policies: []string{guarded}, Flows: flows})
	}
	for _, r := range ranges() {
		with := " native CIDR " + r.holds
		core := slices.Contains([]string{"holds nodes and near", "holds pods"}, r.holds)
		three("native CIDR "+r.holds, core, masqueraded(), "iptables,"+with, "BPF, legacy host routing,"+with, "BPF,"+with)
	}
	three("native CIDR holds one family's everything", false, masqueraded(), everything()[0].Name, everything()[1].Name, everything()[0].Name)
	other := otherMasquerading()
	for i, name := range []string{"ip-masq-agent", "ip-masq-agent, lists of its own", "families off", "families off, and random ports", "devices", "source of the route"} {
		three(name, i == 0, masqueraded(), other[3*i].Name, other[3*i+1].Name, other[3*i+2].Name)
	}
	lb := services()
	clusterIP := fromEach("b@ -> s#: 46 TU", "b@ -> s@: 46 T", "node-@ -> s#: 46 TU", "node-@ -> s@: 46 T", "a@ -> a#: 46 T")
	three("ClusterIPs", true, clusterIP, lb[0].Name, lb[1].Name, lb[2].Name)
	b.Stages = append(b.Stages, Stage{
		Name: "a pod's own ClusterIP", Core: true, Configs: []string{lb[0].Name, lb[1].Name, lb[2].Name},
		Policies: []string{guarded, closed}, Flows: fromEach("b@ -> s@: 46 T", "b@ -> s#: 4 T"),
	})
	b.Stages = append(b.Stages, Stage{
		Name: "a pod's own ClusterIP, ingress", Configs: []string{lb[0].Name, lb[1].Name, lb[2].Name},
		Policies: []string{guarded, closedIn}, Flows: fromEach("b@ -> s@: 46 T"),
	})
	three("ClusterIPs without kube-proxy replacement", false, fromEach("b@ -> s#: 46 TU", "node-@ -> s#: 46 TU"), lb[3].Name, lb[2].Name, lb[3].Name)
	routes := routing()
	three("nodes as ends", false, append(ofNodes(), fromEach("a@ -> router-#: 46 IT")...), routes[3].Name)
	return b
}

// endpointRoutes has pods that were made with them: the agent asks at a pod's creation,
// and leaves older pods as they are.
func endpointRoutes() Bed {
	b := Bed{Name: "endpoint-routes", Title: "A route for each pod"}
	flows := append(masqueraded(), fromEach("a@ -> b@: 46 ITU", "node-@ -> b@: 46 I")...)
	routes := routing()
	for i, name := range []string{"endpoint routes", "endpoint routes and devices"} {
		b.Stages = append(b.Stages, Stage{Name: name, Policies: []string{guarded}, Flows: append(ofNodes(), flows...)})
		for _, config := range routes[9*i:][:3] {
			b.Stages[i].Configs = append(b.Stages[i].Configs, config.Name)
		}
	}
	b.Stages[1].Flows = fromEach("a@ -> b@: 46 T", "a@ -> a#: 46 T", "a@ -> near: 46 T")
	return b
}

// ofNodes are flows with a node or a host outside at one end.
func ofNodes() []string {
	return append(fromEach("node-@ -> a@: 46 T", "node-@ -> b@: 46 U", "node-@ -> a#: 46 T", "node-@ -> b#: 46 ITU",
		"node-@ -> node-#: 46 T", "a@ -> node-@: 46 ITU"), "near -> node-1: 46 ITU", "node-1 -> near: 46 T", "near -> b1: 46 T")
}

// policies is every kind of policy, under a configuration that masquerades pods' IPv6
// and not their IPv4.
func policies() Bed {
	const config = "IPv6 pods outside the native CIDR"
	b := Bed{Name: "policies", Title: "One segment; the router knows all pods", RouterHasPodRoutes: true}
	ingress := []string{"a1 -> a2: 46 T", "a1 -> a2: 4 I", "a1 -> a2: 6 U", "b1 -> a2: 46 T", "c1 -> a2: 4 T", "b2 -> a2: 6 T", "node-1 -> a2: 46 T", "node-2 -> a2: 4 T", "near -> a2: 46 T"}
	egress := []string{"a1 -> a2: 46 T", "a1 -> b2: 4 U", "a1 -> b1: 6 T", "a1 -> node-2: 46 T", "a1 -> node-1: 6 T", "a1 -> near: 46 T", "a1 -> s2: 4 T"}
	for _, p := range Policies() {
		if p.Name == closed || p.Name == closedIn {
			continue // of the bed segment
		}
		flows := ingress
		if strings.HasPrefix(p.Name, "egress") {
			flows = egress
		}
		core := slices.Contains([]string{"deny all", "ipBlock of nodes", "egress to near", "entity remote-node"}, p.Name)
		b.Stages = append(b.Stages, Stage{Name: p.Name, Core: core, Configs: []string{config}, Policies: []string{p.Name}, Flows: flows})
	}
	b.Stages = append(b.Stages,
		Stage{Name: "an API server on the node, entity kube-apiserver", Configs: []string{config}, APIServer: "node-1", Policies: []string{"entity kube-apiserver"}, Flows: ingress},
		Stage{Name: "an API server on the node, entity remote-node", Configs: []string{config}, APIServer: "node-1", Policies: []string{"entity remote-node"}, Flows: ingress},
		Stage{Name: "enforcement always", Configs: []string{"enforcement always"}, Policies: []string{guarded}, Flows: append(slices.Clone(egress), ingress[1:]...)},
		Stage{Name: "enforcement never", Configs: []string{"enforcement never"}, Policies: []string{guarded}, Flows: ingress},
		Stage{Name: "audit mode", Configs: []string{"policies in audit mode"}, Policies: []string{guarded}, Flows: ingress},
		Stage{Name: "CIDR rules match nodes", Configs: []string{"CIDR rules match nodes"}, Policies: []string{"CIDR of nodes and near"}, Flows: ingress},
		Stage{Name: "CIDR rules match nodes, egress", Configs: []string{"CIDR rules match nodes"}, Policies: []string{"egress to a CIDR"}, Flows: egress},
	)
	return b
}

// across are flows between nodes that may have no way.
func across() []string {
	return []string{"a1 -> a2: 46 ITU", "a2 -> a1: 46 T", "a1 -> a3: 46 T", "a1 -> node-2: 46 T", "node-1 -> b2: 46 T", "node-2 -> b2: 46 T",
		"node-1 -> node-2: 46 T", "b1 -> s2: 46 T", "a1 -> near: 46 T", "near -> b2: 46 T", "near -> node-2: 46 T"}
}

// segments are two, and what a node behind the router is depends on the sender.
func segments() Bed {
	routes := routing()
	return Bed{Name: "segments", Title: "Two segments; the router knows no pods", Segments: 2, Stages: []Stage{{
		Name: "direct routes, refused and skipped", Configs: []string{routes[3].Name, routes[4].Name, routes[3].Name}, Policies: []string{guarded}, Flows: across(),
	}}}
}

func routed() Bed {
	routes := routing()
	return Bed{
		Name: "routed", Title: "Two segments; the router knows all pods, carries 1400 bytes and says so",
		Segments: 2, RouterHasPodRoutes: true, PathMTU: 1400, TooBig: true,
		Stages: []Stage{{
			Name: "unreachable nodes skipped", Configs: []string{routes[4].Name, routes[5].Name, routes[4].Name}, Policies: []string{guarded},
			Flows: append(across(), "a1 -> a2: 46 I size 1300", "a1 -> a2: 46 I size 1395", "a1 -> a2: 46 T size 100000", "b1 -> b2: 46 T size 100000", "a1 -> a2: 46 I size 1500"),
		}},
	}
}

// apart are nodes that install no routes to each other's pods.
func apart() Bed {
	routes := routing()
	const off = "IPv6 off"
	return Bed{Name: "apart", Title: "One segment without direct routes; the router knows no pods", Stages: []Stage{
		{
			Name: "no direct routes", Configs: []string{routes[6].Name, routes[7].Name, routes[8].Name}, Policies: []string{guarded},
			Flows: append(across(), "a3 -> a1: 46 T", "a3 -> near: 46 T", "a2 -> near: 46 T"),
		},
		{Name: off, Configs: []string{off}, Flows: []string{"a1 -> a2: 46 T", "a1 -> b1: 46 T", "node-1 -> b1: 46 T", "a1 -> node-1: 46 T"}},
	}}
}

// tunnel has endpoint routes on node-3 from the first pod on.
func tunnel() Bed {
	b := Bed{Name: "tunnel", Title: "A tunnel (VXLAN) between the nodes"}
	flows := fromEach("a@ -> a#: 46 TI", "a@ -> b@: 46 T", "a@ -> node-#: 46 T", "node-@ -> b#: 46 T", "node-@ -> b@: 46 T", "a@ -> router-#: 46 T",
		"a@ -> near: 46 T", "a@ -> far: 46 T", "b@ -> s#: 46 T")
	all := tunnels()
	for i, name := range []string{"no native CIDR", "native CIDR holds nodes", "masquerading off, and socket LB for the host only"} {
		b.Stages = append(b.Stages, Stage{Name: name, Configs: []string{all[2*i].Name, all[2*i+1].Name, all[6].Name}, Policies: []string{guarded}, Flows: flows})
	}
	b.Stages[0].Flows = append(slices.Clone(flows), "near -> node-1: 46 T", "near -> a1: 46 T",
		"a1 -> a2: 4 I size 1420", "a1 -> a2: 4 I size 1430", "a1 -> a2: 6 I size 1400", "a1 -> a2: 6 I size 1410", "a1 -> a2: 46 T size 100000", "a1 -> b1: 4 I size 1420", "a1 -> b1: 4 I size 1430", "a1 -> near: 4 I size 1430")
	return b
}

// smallDevice: the pods of node-1 and node-2 have a larger MTU than the uplinks.
func smallDevice() Bed {
	all := sizes()
	return Bed{Name: "small-device", Title: "Uplinks of 1450 bytes", MTU: 1450, Stages: []Stage{{
		Name: "an MTU of its own for each node", Configs: []string{all[0].Name, all[1].Name, all[2].Name}, Policies: []string{guarded},
		Flows: fromEach("a@ -> a#: 46 IU size 1380", "a@ -> a#: 46 I size 1440", "a@ -> a#: 46 T size 100000", "a@ -> a#: 46 T", "a@ -> b@: 46 I size 1380", "a@ -> a#: 46 I size 1600"),
	}}}
}

// addresses are those of nodes that the agents know in different ways. The wire is
// that of the other beds but for packets of more than 1450 bytes.
func addresses() Bed {
	b := Bed{
		Name: "addresses", Title: "Nodes with further addresses and a source in their default routes; a wire that loses more than 1450 bytes in silence",
		MoreAddresses: true, RouteSource: true, PathMTU: 1450,
	}
	flows := []string{"a1 -> extern-2: 46 T", "a1 -> other-2: 46 T", "a1 -> node-2: 46 T", "a1 -> node-3: 46 T", "a3 -> extern-2: 46 T", "a3 -> node-2: 46 T",
		"a3 -> near: 46 T", "a3 -> far: 46 T", "node-3 -> b2: 6 T"}
	const iptables, bpf = "iptables, native CIDR holds pods", "BPF, native CIDR holds pods"
	const source = "iptables to the route's source, native CIDR holds nobody"
	for i, configs := range [][]string{{iptables, bpf, source}, {bpf, iptables, "iptables to the route's source"}} {
		b.Stages = append(b.Stages, Stage{
			Name: []string{"iptables on node-1", "BPF on node-1"}[i], Configs: configs, Policies: []string{guarded}, Flows: flows,
		})
	}
	b.Stages[0].Flows = append(slices.Clone(flows), "a1 -> a2: 46 IU size 1380", "a1 -> a2: 46 I size 1440", "a1 -> a2: 46 T size 100000", "a1 -> b1: 46 I size 1440")
	return b
}
