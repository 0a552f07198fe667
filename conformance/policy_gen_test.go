package conformance

import (
	"fmt"
	"math/rand/v2"
)

// The little cluster that generated policies speak of.
var (
	genNamespaces = map[string]map[string]string{
		"team-a":      {"kubernetes.io/metadata.name": "team-a", "team": "a", "stage": "prod"},
		"team-b":      {"kubernetes.io/metadata.name": "team-b", "team": "b"},
		"kube-system": {"kubernetes.io/metadata.name": "kube-system"},
	}
	genPods = []oracleIdentity{
		{Namespace: "team-a", Labels: map[string]string{"app": "web", "tier": "front", "pod-template-hash": "5d9f"}},
		{Namespace: "team-a", Labels: map[string]string{"app": "db", "app.kubernetes.io/name": "db", "statefulset.kubernetes.io/pod-name": "db-0"}},
		{Namespace: "team-a"},
		{Namespace: "team-b", Labels: map[string]string{"app": "web", "tier": "back"}},
		{Namespace: "team-b", Labels: map[string]string{"app": "cache", "host": ""}},
		{Namespace: "kube-system", Labels: map[string]string{"k8s-app": "kube-dns"}},
		{Namespace: "kube-system", Labels: map[string]string{"init": "yes"}},
	}
	genOthers = []oracleIdentity{
		{Reserved: []string{"host"}, IP: "10.101.0.21"},
		{Reserved: []string{"remote-node"}, IP: "10.101.0.22", Labels: map[string]string{"zone": "a"}},
		{Reserved: []string{"remote-node", "kube-apiserver"}, IP: "fd00:101::23"},
		{Reserved: []string{"world"}, IP: "192.0.2.7"},
		{Reserved: []string{"world"}, IP: "198.51.100.9"},
		{Reserved: []string{"world"}, IP: "10.1.2.3"},
		{Reserved: []string{"world"}, IP: "2001:db8::7"},
		{Reserved: []string{"world", "kube-apiserver"}, IP: "203.0.113.4"},
		{Reserved: []string{"health"}},
		{Reserved: []string{"ingress"}},
		{Reserved: []string{"unmanaged"}},
	}
	genFlows = []oracleFlow{
		{Proto: "TCP", Port: 80}, {Proto: "TCP", Port: 443}, {Proto: "TCP", Port: 8080}, {Proto: "TCP", Port: 65535},
		{Proto: "UDP", Port: 53}, {Proto: "UDP", Port: 8085}, {Proto: "SCTP", Port: 80},
		{Proto: "ICMP", Port: 8}, {Proto: "ICMPv6", Port: 128}, {Proto: "ICMP", Port: 3},
	}
	genCIDRs = []string{
		"0.0.0.0/0", "::/0", "10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24", "192.0.2.7/32", "198.51.100.0/25",
		"2001:db8::/32", "10.101.0.0/24", "fd00:101::/64", "203.0.113.4/32", "128.0.0.0/1",
	}
	genExcept = map[string][]string{
		"0.0.0.0/0":    {"10.0.0.0/8", "192.0.2.0/24", "10.101.0.0/24"},
		"::/0":         {"2001:db8::/32", "fd00:101::/64"},
		"10.0.0.0/8":   {"10.1.0.0/16", "10.101.0.0/24"},
		"192.0.2.0/24": {"192.0.2.7/32", "192.0.2.128/25"},
		"128.0.0.0/1":  {"192.0.2.0/24"},
	}
	genEntities = []string{
		"all", "world", "cluster", "host", "remote-node", "kube-apiserver", "health", "init", "unmanaged",
		"ingress", "none", "world-ipv4", "world-ipv6",
	}
)

// gen makes policies; the same seed makes the same ones.
type gen struct {
	*rand.Rand
	opts oracleOptions
}

func (g *gen) chance(percent float64) bool { return g.Float64()*100 < percent }

func pick[T any](g *gen, list []T) T { return list[g.IntN(len(list))] }

// some is a list of 1 to n made elements.
func some(g *gen, n int, make func() any) []any {
	list := []any{make()}
	for len(list) < n && g.chance(50) {
		list = append(list, make())
	}
	return list
}

// newCase makes a set of policies and the questions about it.
func newCase(seed uint64, flows int) oracleCase {
	g := &gen{Rand: rand.New(rand.NewPCG(seed, 1))}
	g.opts = g.options()
	c := oracleCase{Options: g.opts, Namespaces: genNamespaces}
	c.Identities = append(append(c.Identities, genPods...), g.others()...)
	for i := range 1 + g.IntN(4) {
		c.Policies = append(c.Policies, g.policy(fmt.Sprintf("p%d", i)))
	}
	for range flows {
		f := pick(g, genFlows)
		if g.chance(35) {
			f = genFlows[0]
		}
		f.Subject, f.Peer, f.Ingress = g.subject(&c), g.IntN(len(c.Identities)), g.chance(60)
		c.Flows = append(c.Flows, f)
	}
	return c
}

// subject is mostly a pod in a namespace that a policy speaks of.
func (g *gen) subject(c *oracleCase) int {
	meta := pick(g, c.Policies)["metadata"].(map[string]any)
	for range 5 {
		if i := g.IntN(len(genPods)); genPods[i].Namespace == meta["namespace"] {
			return i
		}
	}
	return g.IntN(len(genPods))
}

func (g *gen) options() oracleOptions {
	var o oracleOptions
	switch n := g.IntN(20); {
	case n == 0:
		o.Enforcement = "never"
	case n < 3:
		o.Enforcement = "always"
	case n < 6:
		o.CIDRMatchNodes = true
	case n < 8:
		o.SingleStack = pick(g, []string{"IPv4", "IPv6"})
	case n < 10:
		o.LocalClusterOnly = true
	case n < 12:
		o.NodeLabels = true
	}
	return o
}

// others leaves out addresses of a family that is off.
func (g *gen) others() []oracleIdentity {
	var list []oracleIdentity
	for _, id := range genOthers {
		v6 := len(id.IP) > 4 && (id.IP[4] == ':')
		if id.IP == "" || g.opts.SingleStack == "" || v6 == (g.opts.SingleStack == "IPv6") {
			list = append(list, id)
		}
	}
	return list
}

func (g *gen) policy(name string) map[string]any {
	ns := pick(g, []string{"team-a", "team-a", "team-a", "team-a", "team-b", "team-b", "kube-system"})
	obj := map[string]any{"metadata": map[string]any{"name": name, "namespace": ns}}
	switch n := g.IntN(20); {
	case n < 9:
		obj["apiVersion"], obj["kind"] = "networking.k8s.io/v1", "NetworkPolicy"
		obj["spec"] = g.networkPolicy()
	case n < 17:
		obj["apiVersion"], obj["kind"] = "cilium.io/v2", "CiliumNetworkPolicy"
		g.specs(obj)
	default:
		obj["apiVersion"], obj["kind"] = "cilium.io/v2", "CiliumClusterwideNetworkPolicy"
		obj["metadata"] = map[string]any{"name": name}
		g.specs(obj)
	}
	return obj
}

func (g *gen) specs(obj map[string]any) {
	if g.chance(10) {
		obj["specs"] = []any{g.ciliumSpec(), g.ciliumSpec()}
		return
	}
	obj["spec"] = g.ciliumSpec()
}

func (g *gen) networkPolicy() map[string]any {
	spec := map[string]any{"podSelector": g.selector(g.k8sKey, 65)}
	if g.chance(75) {
		types := []any{"Ingress", "Egress"}
		spec["policyTypes"] = pick(g, [][]any{types, types[:1], types[1:]})
	}
	if g.chance(70) {
		spec["ingress"] = some(g, 4, func() any { return g.networkRule("from") })
	}
	if g.chance(40) {
		spec["egress"] = some(g, 2, func() any { return g.networkRule("to") })
	}
	return spec
}

func (g *gen) networkRule(peers string) any {
	rule := map[string]any{}
	if g.chance(80) {
		rule[peers] = some(g, 4, func() any { return g.networkPeer(peers) })
	}
	if g.chance(40) {
		rule["ports"] = some(g, 3, g.networkPort)
	}
	return rule
}

func (g *gen) networkPeer(peers string) any {
	switch n := g.IntN(10); {
	case n < 4:
		return map[string]any{"podSelector": g.selector(g.k8sKey, 30)}
	case n < 6:
		return map[string]any{"namespaceSelector": g.selector(g.namespaceKey, 35)}
	case n < 7 || (g.opts.LocalClusterOnly && peers == "from"):
		return map[string]any{"namespaceSelector": g.selector(g.namespaceKey, 35), "podSelector": g.selector(g.k8sKey, 30)}
	}
	return map[string]any{"ipBlock": g.cidrSet()}
}

func (g *gen) networkPort() any {
	port := map[string]any{}
	if g.chance(70) {
		port["protocol"] = pick(g, []string{"TCP", "TCP", "UDP", "SCTP"})
	}
	switch n := g.IntN(40); {
	case n == 0:
		port["port"] = "http"
	case n < 5:
	case n < 15:
		port["port"], port["endPort"] = pick(g, []int{1, 53, 79, 8000}), pick(g, []int{80, 443, 8085, 9000, 65535})
		if port["endPort"].(int) < port["port"].(int) {
			port["endPort"] = 65535
		}
	default:
		port["port"] = pick(g, []int{80, 443, 53, 8080})
	}
	return port
}

func (g *gen) cidrSet() any {
	cidr := pick(g, genCIDRs)
	set := map[string]any{"cidr": cidr}
	if holes := genExcept[cidr]; len(holes) > 0 && g.chance(50) {
		set["except"] = some(g, 2, func() any { return pick(g, holes) })
	}
	return set
}
