package search

const podNamespace = "k8s:io.kubernetes.pod.namespace"

func (d *Draw) ciliumPolicy() map[string]any {
	spec := map[string]any{"endpointSelector": d.selector("app", 60)}
	for _, s := range []struct {
		name, side string
		share      int
	}{{"ingress", "from", 65}, {"egress", "to", 40}, {"ingressDeny", "from", 20}, {"egressDeny", "to", 15}} {
		if d.chance(s.share) {
			spec[s.name] = some(d, 3, func() any { return d.ciliumRule(s.side) })
		}
	}
	if len(spec) == 1 {
		spec["ingress"] = []any{d.ciliumRule("from")}
	}
	if d.chance(15) {
		spec["enableDefaultDeny"] = pick(d, map[string]any{"ingress": false}, map[string]any{"egress": false}, map[string]any{"ingress": false, "egress": false})
	}
	return spec
}

// ciliumRule has peers of one kind: Cilium refuses more.
func (d *Draw) ciliumRule(side string) any {
	rule := map[string]any{}
	switch n := d.IntN(20); {
	case n < 6:
		rule[side+"Endpoints"] = some(d, 2, d.endpoints)
	case n < 11:
		rule[side+"Entities"] = some(d, 2, d.entity)
	case n < 14:
		rule[side+"CIDR"] = some(d, 2, func() any { return d.block() })
	case n < 18:
		rule[side+"CIDRSet"] = some(d, 2, d.cidrSet)
	}
	switch n := d.IntN(20); {
	case n < 6:
		rule["toPorts"] = []any{map[string]any{"ports": some(d, 2, d.ciliumPort)}}
	case n < 9:
		rule["icmps"] = []any{map[string]any{"fields": some(d, 2, d.icmp)}}
	}
	return rule
}

// endpoints of a rule are those of the policy's namespace, unless they name another.
func (d *Draw) endpoints() any {
	if d.chance(40) {
		return d.selector(podNamespace, 0)
	}
	return d.selector("app", 30)
}

func (d *Draw) entity() any {
	return pick(d, "all", "world", "cluster", "host", "remote-node", "kube-apiserver", "remote-node", "unmanaged", "health", "init", "ingress", "none")
}

func (d *Draw) ciliumPort() any {
	port := map[string]any{"port": pick(d, "8080", "8081", "8080", "8081", "53", "0"), "protocol": pick(d, "TCP", "TCP", "UDP", "ANY")}
	if d.chance(20) {
		port["port"], port["endPort"] = pick(d, "1", "8000"), pick(d, 8080, 8085, 65535)
	}
	return port
}

func (d *Draw) icmp() any {
	if d.chance(50) {
		return map[string]any{"family": "IPv6", "type": pick(d, 128, 128, 129)}
	}
	return map[string]any{"family": "IPv4", "type": pick(d, 8, 8, 0)}
}
