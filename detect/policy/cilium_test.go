package policy

import "testing"

func TestCiliumEndpoints(t *testing.T) {
	for _, tt := range []verdictTable{{
		name:     "endpoints stay in the policy's namespace",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]}`),
		lines: `team-a/ < team-a/app=web TCP/80 : allow
			team-a/ < team-b/app=web TCP/80 : deny
			team-a/ < @remote-node TCP/80 : deny`,
	}, {
		name:     "endpoints that name namespaces",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": team-b, "k8s:app": web}}]}]}`),
		lines: `team-a/ < team-b/app=web TCP/80 : allow
			team-a/ < team-b/ TCP/80 : deny
			team-a/ < team-a/app=web TCP/80 : deny`,
	}, {
		name:     "endpoints by labels of their namespace",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.team: b}}]}]}`),
		lines: `team-a/ < team-b/ TCP/80 : allow
			team-a/ < team-a/ TCP/80 : deny`,
	}, {
		name:     "a negated namespace lets in all that has none",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: NotIn, values: [team-b]}]}]}]}`),
		lines: `team-a/ < team-a/ TCP/80 : allow
			team-a/ < team-b/ TCP/80 : deny
			team-a/ < @remote-node TCP/80 : allow
			team-a/ < @world=192.0.2.1 TCP/80 : allow`,
	}, {
		name:     "but not with policy-default-local-cluster",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: NotIn, values: [team-b]}]}]}]}`),
		options:  func(o *Options) { o.LocalClusterOnly = true },
		lines: `team-a/ < team-a/ TCP/80 : allow
			team-a/ < @remote-node TCP/80 : deny`,
	}, {
		name:     "reserved labels in a selector",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {"reserved:remote-node": ""}}, {matchLabels: {"$health": ""}}, {matchLabels: {reserved.ingress: ""}}]}]}`),
		lines: `team-a/ < @remote-node TCP/80 : allow
			team-a/ < @remote-node+kube-apiserver TCP/80 : allow
			team-a/ < @health TCP/80 : allow
			team-a/ < @ingress TCP/80 : allow
			team-a/ < @unmanaged TCP/80 : deny
			team-a/ < team-a/ TCP/80 : deny`,
	}} {
		tt.run(t)
	}
}

func TestClusterwide(t *testing.T) {
	for _, tt := range []verdictTable{{
		name:     "clusterwide endpoints are pods of any namespace",
		policies: clusterwidePolicy(`{endpointSelector: {matchLabels: {"k8s:io.kubernetes.pod.namespace": team-a}}, ingress: [{fromEndpoints: [{}]}]}`),
		lines: `team-a/ < team-b/ TCP/80 : allow
			team-a/ < @remote-node TCP/80 : deny
			team-b/ < @remote-node TCP/80 : allow`,
	}, {
		name:     "clusterwide with the init label matches all identities",
		policies: clusterwidePolicy(`{endpointSelector: {matchExpressions: [{key: "reserved:init", operator: DoesNotExist}]}, ingress: [{fromEndpoints: [{}]}]}`),
		lines: `team-a/ < team-b/ TCP/80 : allow
			team-a/ < @remote-node TCP/80 : allow`,
	}, {
		name:     "the policy's namespace beats one in its subject",
		policies: ciliumPolicy(`{endpointSelector: {matchLabels: {"k8s:io.kubernetes.pod.namespace": team-b}}, ingress: [{}]}`),
		lines: `team-a/ < team-a/ TCP/80 : deny
			team-b/ < team-a/ TCP/80 : allow`,
	}} {
		tt.run(t)
	}
}

func TestCiliumEntities(t *testing.T) {
	for _, tt := range []verdictTable{{
		name:     "entities of the world by family",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [world-ipv4]}]}`),
		lines: `team-a/ < @world=192.0.2.1 TCP/80 : allow
			team-a/ < @world-ipv6=2001:db8::1 TCP/80 : deny
			team-a/ < @world TCP/80 : unknown`,
	}, {
		name:     "in a single-stack cluster the world has no family",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [world-ipv4]}, {fromEndpoints: [{matchLabels: {"reserved:world": ""}}], toPorts: [{ports: [{port: "443"}]}]}]}`),
		options:  func(o *Options) { o.SingleStack = "IPv4" },
		lines: `team-a/ < @world=192.0.2.1 TCP/80 : deny
			team-a/ < @world=192.0.2.1 TCP/443 : allow`,
	}, {
		name:     "an API server outside the cluster",
		policies: ciliumPolicy(`{endpointSelector: {}, egress: [{toEntities: [kube-apiserver]}]}`),
		lines: `team-a/ > @world+kube-apiserver=203.0.113.4 TCP/6443 : allow
			team-a/ > @world=203.0.113.5 TCP/6443 : deny
			team-a/ > @host+kube-apiserver TCP/6443 : allow
			team-a/ > @host TCP/6443 : deny`,
	}, {
		name:     "entity all and entity none",
		policies: ciliumPolicy(`{endpointSelector: {matchLabels: {app: open}}, ingress: [{fromEntities: [all]}]}`) + "\n---\n" + policyObject("CiliumNetworkPolicy", "none", "team-a", `{endpointSelector: {matchLabels: {app: shut}}, ingress: [{fromEntities: [none]}]}`),
		lines: `team-a/app=open < @unmanaged TCP/80 : allow
			team-a/app=shut < @unmanaged TCP/80 : deny`,
	}} {
		tt.run(t)
	}
}

func TestCiliumCIDRs(t *testing.T) {
	for _, tt := range []verdictTable{{
		name:     "addresses and prefixes",
		policies: ciliumPolicy(`{endpointSelector: {}, egress: [{toCIDR: [192.0.2.7, "2001:db8::/32"]}, {toCIDRSet: [{cidr: 198.51.100.0/24, except: [198.51.100.128/25]}]}]}`),
		lines: `team-a/ > @world=192.0.2.7 TCP/80 : allow
			team-a/ > @world=192.0.2.8 TCP/80 : deny
			team-a/ > @world=2001:db8:1::1 TCP/80 : allow
			team-a/ > @world=198.51.100.1 TCP/80 : allow
			team-a/ > @world=198.51.100.200 TCP/80 : deny
			team-a/ > team-a/ TCP/80 : deny`,
	}, {
		name:     "an exception of one prefix does not bind another",
		policies: ciliumPolicy(`{endpointSelector: {}, egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}, {cidr: 10.1.2.0/24}]}]}`),
		lines: `team-a/ > @world=10.1.2.3 TCP/80 : allow
			team-a/ > @world=10.1.3.3 TCP/80 : deny`,
	}, {
		name:     "with one family, ::/0 in a set opens IPv4 too, in a list not",
		policies: ciliumPolicy(`{endpointSelector: {matchLabels: {app: set}}, egress: [{toCIDRSet: [{cidr: "::/0"}]}]}`) + "\n---\n" + policyObject("CiliumNetworkPolicy", "list", "team-a", `{endpointSelector: {matchLabels: {app: list}}, egress: [{toCIDR: ["::/0"]}]}`),
		options:  func(o *Options) { o.SingleStack = "IPv4" },
		lines: `team-a/app=set > @world=192.0.2.1 TCP/80 : allow
			team-a/app=list > @world=192.0.2.1 TCP/80 : deny`,
	}} {
		tt.run(t)
	}
}

func TestCiliumLabelSources(t *testing.T) {
	for _, tt := range []verdictTable{{
		name:     "nodes by label",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromNodes: [{}]}], egress: [{toNodes: [{matchLabels: {zone: a}}]}]}`),
		options:  func(o *Options) { o.NodeSelectorLabels = true },
		lines: `team-a/ < @remote-node TCP/80 : allow
			team-a/ < team-a/ TCP/80 : deny
			team-a/ > @remote-node TCP/80 : unknown
			team-a/ > @world=192.0.2.1 TCP/80 : deny`,
	}, {
		name:     "labels of another source",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {"container:app": web}}]}]}`),
		lines:    `team-a/ < team-a/app=web TCP/80 : deny`,
	}, {
		name:     "the local cluster by name",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {"k8s:io.cilium.k8s.policy.cluster": east}}]}]}`),
		options:  func(o *Options) { o.ClusterName = "east" },
		lines:    `team-a/ < team-a/ TCP/80 : allow`,
	}, {
		name:     "a pod cannot bring Cilium's own labels along",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.owner: me}}]}]}`),
		lines:    `team-a/ < team-a/io.cilium.k8s.owner=me TCP/80 : deny`,
	}} {
		tt.run(t)
	}
}

func TestCiliumPorts(t *testing.T) {
	for _, tt := range []verdictTable{{
		name:     "an empty rule allows nothing",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{}]}`),
		lines: `team-a/ < team-a/ TCP/80 : deny
			team-a/ < @host TCP/80 : allow
			team-a/ > team-a/ TCP/80 : allow`,
	}, {
		name:     "ports without peers are open to everybody",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80"}]}]}]}`),
		lines: `team-a/ < @unmanaged TCP/80 : allow
			team-a/ < @unmanaged UDP/80 : allow
			team-a/ < @unmanaged SCTP/80 : allow
			team-a/ < @unmanaged ICMP/8 : deny`,
	}, {
		name:     "an empty list of peers is nobody",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [], toPorts: [{ports: [{port: "80"}]}]}]}`),
		lines:    `team-a/ < team-a/ TCP/80 : deny`,
	}, {
		name:     "a list without ports allows nothing",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{toPorts: [{}]}]}`),
		lines:    `team-a/ < team-a/ TCP/80 : deny`,
	}, {
		name:     "port 0 and ranges",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "0", protocol: TCP}, {port: "8000", endPort: 9000, protocol: UDP}, {port: "90", endPort: 80, protocol: SCTP}]}]}]}`),
		lines: `team-a/ < @world TCP/0 : allow
			team-a/ < @world TCP/65535 : allow
			team-a/ < @world UDP/8500 : allow
			team-a/ < @world UDP/9001 : deny
			team-a/ < @world UDP/0 : deny
			team-a/ < @world SCTP/90 : allow
			team-a/ < @world SCTP/85 : deny`,
	}, {
		name:     "numbers are read in any base, 0x names a port",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "010", protocol: TCP}, {port: "0x50", protocol: UDP}]}]}]}`),
		lines: `team-a/ < @world TCP/8 : allow
			team-a/ < @world TCP/10 : deny
			team-a/ < @world UDP/80 : unknown`,
	}, {
		name:     "ICMP types",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{icmps: [{fields: [{type: 8}, {family: IPv6, type: EchoRequest}]}]}]}`),
		lines: `team-a/ < @world ICMP/8 : allow
			team-a/ < @world ICMP/3 : deny
			team-a/ < @world ICMP/- : unknown
			team-a/ < @world ICMPv6/128 : allow
			team-a/ < @world ICMPv6/129 : deny
			team-a/ < @world TCP/8 : deny`,
	}, {
		name:     "ICMP type 0 stands for every type",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{icmps: [{fields: [{type: EchoReply}]}]}]}`),
		lines: `team-a/ < @world ICMP/8 : allow
			team-a/ < @world ICMP/- : allow
			team-a/ < @world ICMPv6/128 : deny`,
	}} {
		tt.run(t)
	}
}

func TestCiliumDeny(t *testing.T) {
	for _, tt := range []verdictTable{{
		name:     "deny beats allow, the narrower and the wider",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [all]}], ingressDeny: [{fromEndpoints: [{matchLabels: {app: bad}}]}, {toPorts: [{ports: [{port: "22", protocol: TCP}]}]}]}`),
		lines: `team-a/ < team-a/app=good TCP/80 : allow
			team-a/ < team-a/app=good TCP/22 : deny
			team-a/ < team-a/app=bad TCP/80 : deny
			team-a/ < @host TCP/80 : allow
			team-a/ < @host TCP/22 : deny`,
	}, {
		name:     "a deny for everybody shuts out the node as well",
		policies: ciliumPolicy(`{endpointSelector: {}, ingressDeny: [{fromEntities: [all]}]}`),
		lines:    `team-a/ < @host TCP/80 : deny`,
	}, {
		name:     "denied egress",
		policies: ciliumPolicy(`{endpointSelector: {}, egress: [{toEntities: [world]}], egressDeny: [{toCIDR: [169.254.169.254/32]}]}`),
		lines: `team-a/ > @world=192.0.2.1 TCP/80 : allow
			team-a/ > @world=169.254.169.254 TCP/80 : deny`,
	}, {
		name:     "enableDefaultDeny: false denies only what is denied",
		policies: ciliumPolicy(`{endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingress: [{toPorts: [{ports: [{port: http}]}]}], ingressDeny: [{fromEntities: [remote-node]}]}`),
		lines: `team-a/ < @world TCP/80 : allow
			team-a/ < @remote-node TCP/80 : deny
			team-a/ > @world TCP/80 : allow`,
	}, {
		name:     "one policy with default deny is enough",
		policies: ciliumPolicy(`{endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingress: [{}]}`) + "\n---\n" + networkPolicy(`{podSelector: {matchLabels: {app: web}}}`),
		lines: `team-a/app=db < @world TCP/80 : allow
			team-a/app=web < @world TCP/80 : deny`,
	}, {
		name:     "enableDefaultDeny: true without rules in the direction does nothing",
		policies: ciliumPolicy(`{endpointSelector: {}, enableDefaultDeny: {egress: true}, ingress: [{}]}`),
		lines:    `team-a/ > @world TCP/80 : allow`,
	}, {
		name:     "several specs",
		policies: "kind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: team-a}\nspecs:\n- {endpointSelector: {}, ingress: [{fromEntities: [remote-node]}]}\n- {endpointSelector: {}, ingress: [{fromEntities: [health]}]}\n",
		lines: `team-a/ < @remote-node TCP/80 : allow
			team-a/ < @health TCP/80 : allow
			team-a/ < @world TCP/80 : deny`,
	}} {
		tt.run(t)
	}
}

func TestOptions(t *testing.T) {
	denyAll := networkPolicy(`{podSelector: {}}`)
	for _, tt := range []verdictTable{{
		name: "never", policies: denyAll, options: func(o *Options) { o.Enforcement = "never" },
		lines: `team-a/ < @world TCP/80 : allow`,
	}, {
		name: "always", options: func(o *Options) { o.Enforcement = "always" },
		lines: `team-a/ < team-a/ TCP/80 : deny
			team-a/ > team-a/ TCP/80 : deny
			team-a/ < @host TCP/80 : allow
			team-a/ > @host TCP/80 : deny`,
	}, {
		name: "nonsense counts as default", options: func(o *Options) { o.Enforcement = "sometimes" },
		lines: `team-a/ < team-a/ TCP/80 : allow`,
	}, {
		name: "audit mode", policies: denyAll, options: func(o *Options) { o.AuditMode = true },
		lines: `team-a/ < @world TCP/80 : allow`,
	}, {
		name:     "audit mode does not reach into proxies",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}`),
		options:  func(o *Options) { o.AuditMode = true },
		lines: `team-a/ < @world TCP/80 : unknown
			team-a/ < @world TCP/81 : allow`,
	}, {
		name: "a pod labelled host escapes", policies: denyAll,
		lines: `team-a/host=x < @world TCP/80 : allow`,
	}, {
		name: "not with the host firewall", policies: denyAll, options: func(o *Options) { o.HostFirewall = true },
		lines: `team-a/host=x < @world TCP/80 : deny`,
	}, {
		name:  "a pod labelled init is shut",
		lines: `team-a/init= < @world TCP/80 : deny`,
	}, {
		name: "labels of one's own choosing", policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}, {podSelector: {matchLabels: {tier: web}}}]}]}`),
		options: func(o *Options) { o.IdentityLabels = []string{"k8s:app", "k8s:!tier"} },
		lines: `team-a/ < team-a/app=web TCP/80 : allow
			team-a/ < team-a/tier=web TCP/80 : deny`,
	}, {
		name: "a pattern that is none is passed over", policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`),
		options: func(o *Options) { o.IdentityLabels = []string{"k8s:(("} },
		lines:   `team-a/ < team-a/app=web TCP/80 : allow`,
	}} {
		tt.run(t)
	}
}
