package conformance

// keyValue is a label key with values that selectors may ask for.
type keyValue struct {
	key    string
	values []string
}

// selector makes a label selector; empty in the given share of cases.
func (g *gen) selector(key func() keyValue, empty float64) map[string]any {
	sel := map[string]any{}
	if g.chance(empty) {
		return sel
	}
	if g.chance(65) {
		kv := key()
		sel["matchLabels"] = map[string]any{kv.key: pick(g, kv.values)}
	}
	if len(sel) == 0 || g.chance(25) {
		sel["matchExpressions"] = some(g, 2, func() any { return g.expression(key()) })
	}
	return sel
}

func (g *gen) expression(kv keyValue) any {
	op := pick(g, []string{"In", "NotIn", "Exists", "DoesNotExist"})
	e := map[string]any{"key": kv.key, "operator": op}
	if op == "In" || op == "NotIn" {
		e["values"] = some(g, 2, func() any { return pick(g, kv.values) })
	}
	return e
}

func (g *gen) k8sKey() keyValue {
	return pick(g, []keyValue{
		{"app", []string{"web", "db", "cache"}}, {"app", []string{"web"}}, {"tier", []string{"front", "back"}},
		{"app.kubernetes.io/name", []string{"db"}}, {"k8s-app", []string{"kube-dns"}}, {"pod-template-hash", []string{"5d9f"}},
		{"statefulset.kubernetes.io/pod-name", []string{"db-0"}}, {"io.cilium.k8s.policy.cluster", []string{"default", "other"}},
	})
}

func (g *gen) namespaceKey() keyValue {
	return pick(g, []keyValue{
		{"kubernetes.io/metadata.name", []string{"team-a", "team-b", "kube-system"}},
		{"team", []string{"a", "b"}}, {"stage", []string{"prod"}},
	})
}

// ciliumKey is a key with a source, a namespace, or a reserved name.
func (g *gen) ciliumKey() keyValue {
	switch n := g.IntN(40); {
	case n < 16:
		return g.k8sKey()
	case n < 24:
		kv := g.k8sKey()
		kv.key = pick(g, []string{"k8s:", "any:", "container:"}) + kv.key
		return kv
	case n < 32:
		return keyValue{pick(g, []string{"", "k8s:", "any:"}) + "io.kubernetes.pod.namespace", []string{"team-a", "team-b", "kube-system"}}
	case n < 36:
		kv := g.namespaceKey()
		kv.key = pick(g, []string{"", "k8s:"}) + "io.cilium.k8s.namespace.labels." + kv.key
		return kv
	case n == 36 && g.chance(20):
		return keyValue{"io.cilium.k8s.policy.serviceaccount", []string{"default"}}
	case n == 37:
		return keyValue{pick(g, []string{"host", "remote-node"}), []string{""}}
	}
	return keyValue{"reserved:" + pick(g, []string{"host", "remote-node", "kube-apiserver", "world", "world-ipv4", "health", "init"}), []string{""}}
}

func (g *gen) ciliumSpec() any {
	spec := map[string]any{"endpointSelector": g.selector(g.ciliumKey, 60)}
	if g.chance(4) {
		spec["endpointSelector"] = map[string]any{"matchLabels": map[string]any{"app": "web"}, "matchExpressions": []any{
			map[string]any{"key": "reserved:init", "operator": "DoesNotExist"}}}
	}
	for _, section := range []struct {
		name, side string
		share      float64
		deny       bool
	}{
		{"ingress", "from", 65, false}, {"egress", "to", 40, false},
		{"ingressDeny", "from", 15, true}, {"egressDeny", "to", 12, true},
	} {
		if g.chance(section.share) {
			spec[section.name] = some(g, 4, func() any { return g.ciliumRule(section.side, section.deny) })
		}
	}
	if len(spec) == 1 {
		spec["ingress"] = []any{map[string]any{}}
	}
	if g.chance(20) {
		deny := map[string]any{}
		if g.chance(70) {
			deny["ingress"] = g.chance(30)
		}
		if g.chance(70) {
			deny["egress"] = g.chance(30)
		}
		spec["enableDefaultDeny"] = deny
	}
	return spec
}

func (g *gen) ciliumRule(side string, deny bool) any {
	rule := map[string]any{}
	switch n := g.IntN(20); {
	case n < 7:
		rule[side+"Endpoints"] = some(g, 2, func() any { return g.selector(g.ciliumKey, 25) })
	case n < 11:
		rule[side+"Entities"] = some(g, 2, func() any { return pick(g, genEntities) })
	case n < 13:
		rule[side+"CIDR"] = some(g, 2, func() any { return g.cidr() })
	case n < 16:
		rule[side+"CIDRSet"] = some(g, 2, g.cidrSet)
	case n == 16 && g.opts.NodeLabels:
		rule[side+"Nodes"] = some(g, 2, func() any { return g.selector(func() keyValue { return keyValue{"zone", []string{"a", "b"}} }, 50) })
	case n == 16 && g.chance(40):
		rule[side+pick(g, []string{"Endpoints", "Entities", "CIDR", "CIDRSet"})] = []any{}
	}
	switch {
	case side == "to" && !deny && len(rule) == 0 && g.chance(15):
		rule["toFQDNs"] = []any{map[string]any{"matchName": "example.com"}}
	case g.chance(2):
		rule[side+"Requires"] = []any{map[string]any{"matchLabels": map[string]any{"app": "web"}}}
	}
	switch n := g.IntN(20); {
	case n < 7:
		rule["toPorts"] = some(g, 2, func() any { return g.portRule(deny) })
	case n < 9:
		rule["icmps"] = some(g, 2, g.icmpRule)
	}
	if !deny && g.chance(1.5) {
		rule["authentication"] = map[string]any{"mode": pick(g, []string{"required", "disabled"})}
	}
	return rule
}

func (g *gen) cidr() any {
	if g.chance(15) {
		return pick(g, []string{"192.0.2.7", "2001:db8::7", "10.101.0.22"})
	}
	return pick(g, genCIDRs)
}

func (g *gen) portRule(deny bool) any {
	rule := map[string]any{}
	if g.chance(95) {
		rule["ports"] = some(g, 3, g.ciliumPort)
	}
	if !deny && g.chance(3) {
		rule["ports"] = []any{map[string]any{"port": "80", "protocol": "TCP"}}
		rule["rules"] = map[string]any{"http": []any{map[string]any{"method": "GET"}}}
	}
	return rule
}

func (g *gen) ciliumPort() any {
	port := map[string]any{"port": pick(g, []string{"80", "443", "53", "8080", "0", "80", "443", "0x50"})}
	if port["port"] == "0x50" && !g.chance(20) {
		port["port"] = "010"
	}
	if g.chance(75) {
		port["protocol"] = pick(g, []string{"TCP", "UDP", "ANY", "TCP", "SCTP", "tcp"})
	}
	if g.chance(20) {
		port["endPort"] = pick(g, []int{79, 90, 9000, 65535})
	}
	if g.chance(1) {
		port = map[string]any{"port": "http", "protocol": "TCP"}
	}
	return port
}

func (g *gen) icmpRule() any {
	return map[string]any{"fields": some(g, 2, func() any {
		if g.chance(40) {
			return map[string]any{"family": "IPv6", "type": pick(g, []any{128, "EchoRequest", "128", 129})}
		}
		field := map[string]any{"type": pick(g, []any{8, "EchoRequest", "Echo", 3, 0, "EchoReply"})}
		if g.chance(50) {
			field["family"] = "IPv4"
		}
		return field
	})}
}
