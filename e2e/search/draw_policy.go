package search

import "fmt"

// Policies draws a set of policies; often it is small, for those are easier to read.
func (d *Draw) Policies() {
	d.now.Policies = nil
	for i := range pick(d, 0, 1, 1, 2, 3) {
		d.now.Policies = append(d.now.Policies, d.policy(fmt.Sprintf("p%d", i)))
	}
}

func (d *Draw) policy(name string) Policy {
	meta := map[string]any{"name": name, "namespace": pick(d, "team-a", "team-a", "team-b")}
	switch n := d.IntN(20); {
	case n < 9:
		return Policy{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": d.networkPolicy()}
	case n < 17:
		return Policy{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": meta, "spec": d.ciliumPolicy()}
	}
	return Policy{
		"apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy",
		"metadata": map[string]any{"name": name}, "spec": d.ciliumPolicy(),
	}
}

func (d *Draw) networkPolicy() map[string]any {
	spec := map[string]any{"podSelector": d.selector("app", 65)}
	types := pick(d, []any{"Ingress"}, []any{"Ingress"}, []any{"Egress"}, []any{"Ingress", "Egress"})
	spec["policyTypes"] = types
	for _, t := range types {
		section, side := "ingress", "from"
		if t == "Egress" {
			section, side = "egress", "to"
		}
		if d.chance(85) {
			spec[section] = some(d, 3, func() any { return d.networkRule(side) })
		}
	}
	return spec
}

func (d *Draw) networkRule(side string) any {
	rule := map[string]any{}
	if d.chance(90) {
		rule[side] = some(d, 3, d.networkPeer)
	}
	if d.chance(35) {
		rule["ports"] = some(d, 2, d.networkPort)
	}
	return rule
}

func (d *Draw) networkPeer() any {
	switch n := d.IntN(10); {
	case n < 3:
		return map[string]any{"podSelector": d.selector("app", 30)}
	case n < 5:
		return map[string]any{"namespaceSelector": d.selector(namespaceName, 30)}
	case n < 6:
		return map[string]any{"namespaceSelector": d.selector(namespaceName, 30), "podSelector": d.selector("app", 30)}
	}
	return map[string]any{"ipBlock": d.cidrSet()}
}

func (d *Draw) networkPort() any {
	port := map[string]any{"protocol": pick(d, "TCP", "TCP", "UDP")}
	switch n := d.IntN(10); {
	case n < 1:
	case n < 3:
		port["port"], port["endPort"] = pick(d, 1, 8000, 8081), pick(d, 8081, 8090, 65535)
	default:
		port["port"] = pick(d, 8080, 8081, 8080, 8081, 53)
	}
	return port
}

const namespaceName = "kubernetes.io/metadata.name"

// selector of labels by one key; empty in a share of cases.
func (d *Draw) selector(key string, empty int) map[string]any {
	if d.chance(empty) {
		return map[string]any{}
	}
	value := func() any { return pick(d, "a", "b", "c") }
	if key != "app" {
		value = func() any { return pick(d, "team-a", "team-b", "default") }
	}
	if d.chance(60) {
		return map[string]any{"matchLabels": map[string]any{key: value()}}
	}
	e := map[string]any{"key": key, "operator": pick(d, "In", "NotIn", "Exists", "DoesNotExist")}
	if e["operator"] == "In" || e["operator"] == "NotIn" {
		e["values"] = some(d, 2, value)
	}
	return map[string]any{"matchExpressions": []any{e}}
}

// blocks are ranges of addresses with holes that they may have.
func blocks() map[string][]any {
	return map[string][]any{
		"0.0.0.0/0":       {"10.0.0.0/8", "10.101.0.0/24", "10.101.0.99/32", "10.101.224.0/19", "203.0.113.0/24"},
		"::/0":            {"fd00:101::/64", "fd00:101::99/128", "fd00:101:224::/60", "2001:db8::/32"},
		"10.101.0.0/16":   {"10.101.0.99/32", "10.101.0.0/24", "10.101.224.64/27"},
		"fd00:101::/32":   {"fd00:101::99/128", "fd00:101::/64", "fd00:101:224:2::/64"},
		"10.101.0.0/24":   {"10.101.0.99/32", "10.101.0.11/32"},
		"fd00:101::/64":   {"fd00:101::99/128", "fd00:101::11/128"},
		"10.101.0.99/32":  nil,
		"10.101.0.11/32":  nil,
		"10.101.224.0/19": {"10.101.224.32/27"}, "fd00:101:224::/60": {"fd00:101:224:1::/64"},
		"fd00:101::99/128": nil, "fd00:101::11/128": nil,
		"203.0.113.0/24": nil, "2001:db8::/32": nil, "10.96.0.0/12": nil, "fd00:101:96::/108": nil,
		"0.0.0.0/1": {"10.101.0.0/16"}, "8000::/1": {"fd00:101::/32"},
	}
}

func (d *Draw) block() string {
	return pick(d, "0.0.0.0/0", "::/0", "10.101.0.0/16", "fd00:101::/32", "10.101.0.0/24", "fd00:101::/64", "10.101.0.99/32", "10.101.0.11/32",
		"10.101.224.0/19", "fd00:101:224::/60", "fd00:101::99/128", "fd00:101::11/128", "203.0.113.0/24", "2001:db8::/32",
		"10.96.0.0/12", "fd00:101:96::/108", "0.0.0.0/1", "8000::/1")
}

func (d *Draw) cidrSet() any {
	set := map[string]any{"cidr": d.block()}
	if holes := blocks()[set["cidr"].(string)]; len(holes) > 0 && d.chance(45) {
		set["except"] = some(d, 2, func() any { return pick(d, holes...) })
	}
	return set
}
