package policy

import (
	"testing"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

func TestKubernetesNetworkPolicy(t *testing.T) {
	for _, tt := range []verdictTable{{
		name:     "policyTypes defaults to ingress",
		policies: networkPolicy(`{podSelector: {}}`),
		lines: `team-a/ < team-a/ TCP/80 : deny
			team-a/ > team-a/ TCP/80 : allow`,
	}, {
		name:     "egress rules count without their policy type",
		policies: networkPolicy(`{podSelector: {}, policyTypes: [Ingress], egress: [{to: [{podSelector: {}}]}]}`),
		lines: `team-a/ > team-a/ TCP/80 : allow
			team-a/ > team-b/ TCP/80 : deny
			team-a/ < team-a/ TCP/80 : deny`,
	}, {
		name:     "ingress rules count without their policy type",
		policies: networkPolicy(`{podSelector: {}, policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}]}`),
		lines: `team-a/ < team-a/ TCP/80 : allow
			team-a/ < team-b/ TCP/80 : deny
			team-a/ > team-a/ TCP/80 : deny
			team-a/ > @host TCP/80 : deny`,
	}, {
		name:     "namespace and pod selector together",
		policies: networkPolicy(`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchExpressions: [{key: app, operator: In, values: [db, cache]}]}}]}]}`),
		lines: `team-a/app=web < team-b/app=db TCP/80 : allow
			team-a/app=web < team-b/app=web TCP/80 : deny
			team-a/app=web < team-a/app=db TCP/80 : deny
			team-a/app=db < team-b/app=web TCP/80 : allow`,
	}, {
		name:     "operators",
		policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}, {key: tier, operator: DoesNotExist}]}}, {podSelector: {matchExpressions: [{key: front, operator: Exists}]}}]}]}`),
		lines: `team-a/ < team-a/app=db TCP/80 : allow
			team-a/ < team-a/ TCP/80 : allow
			team-a/ < team-a/app=web TCP/80 : deny
			team-a/ < team-a/app=db,tier=1 TCP/80 : deny
			team-a/ < team-a/app=web,front=1 TCP/80 : allow`,
	}} {
		tt.run(t)
	}
}

func TestKubernetesBlocksAndPorts(t *testing.T) {
	for _, tt := range []verdictTable{{
		name:     "ipBlock matches the world only, without the exceptions",
		policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}`),
		lines: `team-a/ < @world=192.0.2.1 TCP/80 : allow
			team-a/ < @world=::ffff:192.0.2.1 TCP/80 : allow
			team-a/ < @world=10.1.2.3 TCP/80 : deny
			team-a/ < @world=2001:db8::1 TCP/80 : deny
			team-a/ < @world TCP/80 : unknown
			team-a/ < @remote-node=192.0.2.2 TCP/80 : deny
			team-a/ < @world+kube-apiserver=192.0.2.3 TCP/80 : allow
			team-a/ < team-a/ TCP/80 : deny
			team-a/ < @host TCP/80 : allow`,
	}, {
		name:     "ipBlock with CIDR match mode nodes",
		policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.101.0.0/24}}]}]}`),
		options:  func(o *Options) { o.CIDRMatchNodes = true },
		lines: `team-a/ < @remote-node=10.101.0.22 TCP/80 : allow
			team-a/ < @remote-node=10.102.0.22 TCP/80 : deny
			team-a/ < @remote-node TCP/80 : unknown
			team-a/ < team-a/ TCP/80 : deny`,
	}, {
		name:     "ipBlock of the own node with CIDR match mode nodes",
		policies: networkPolicy(`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.101.0.0/24}}]}]}`),
		options:  func(o *Options) { o.CIDRMatchNodes = true },
		lines: `team-a/ > @host=10.101.0.22 TCP/80 : allow
			team-a/ > @host=fd00:101::22 TCP/80 : unknown
			team-a/ > @host=10.102.0.22 TCP/80 : unknown
			team-a/ > @remote-node=fd00:101::22 TCP/80 : deny`,
	}, {
		name:     "ipBlock with CIDR match mode pods",
		policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.101.224.0/19}}]}]}`),
		options:  func(o *Options) { o.CIDRMatchPods = true },
		lines: `team-a/ < team-b/#10.101.224.7 TCP/80 : allow
			team-a/ < team-b/#10.101.0.7 TCP/80 : deny
			team-a/ < team-b/#fd00:101:224::7 TCP/80 : unknown
			team-a/ < team-b/ TCP/80 : unknown
			team-a/ < @remote-node=10.101.224.7 TCP/80 : deny
			team-a/ < @world=10.101.224.7 TCP/80 : allow`,
	}, {
		name:     "ipBlock of everything with CIDR match mode pods",
		policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.101.0.0/24]}}]}]}`),
		options:  func(o *Options) { o.CIDRMatchPods = true },
		lines: `team-a/ < team-b/#10.101.224.7 TCP/80 : allow
			team-a/ < team-b/#10.101.0.7 TCP/80 : deny
			team-a/ < team-b/#fd00:101:224::7 TCP/80 : unknown`,
	}, {
		name:     "ipBlock beside policy-default-local-cluster, since 1.19",
		policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.101.0.0/24}}, {podSelector: {}}]}]}`),
		options:  func(o *Options) { o.LocalClusterOnly, o.LocalClusterBlocks = true, true },
		lines: `team-a/ < @world=10.101.0.99 TCP/80 : allow
			team-a/ < @world=10.102.0.99 TCP/80 : deny
			team-a/ < team-a/ TCP/80 : allow`,
	}, {
		name:     "ipBlock beside policy-default-local-cluster, up to 1.18",
		policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.101.0.0/24}}]}]}`),
		options:  func(o *Options) { o.LocalClusterOnly = true },
		lines:    `team-a/ < @world=10.101.0.99 TCP/80 : unknown`,
	}, {
		name:     "ports",
		policies: networkPolicy(`{podSelector: {}, ingress: [{ports: [{port: 80}, {protocol: UDP, port: 8000, endPort: 8010}, {protocol: SCTP}]}]}`),
		lines: `team-a/ < @remote-node TCP/80 : allow
			team-a/ < @remote-node TCP/81 : deny
			team-a/ < @remote-node TCP/0 : deny
			team-a/ < @remote-node UDP/80 : deny
			team-a/ < @remote-node UDP/8000 : allow
			team-a/ < @remote-node UDP/8010 : allow
			team-a/ < @remote-node UDP/8011 : deny
			team-a/ < @remote-node SCTP/0 : allow
			team-a/ < @remote-node ICMP/8 : deny`,
	}, {
		name:     "a named port is not resolved",
		policies: networkPolicy(`{podSelector: {}, ingress: [{ports: [{port: http}]}]}`),
		lines: `team-a/ < team-a/ TCP/80 : unknown
			team-a/ < team-a/ UDP/80 : deny
			team-a/ < team-a/ TCP/0 : deny
			team-a/ < @host TCP/80 : allow`,
	}, {
		name:     "another rule makes a named port irrelevant",
		policies: networkPolicy(`{podSelector: {}, ingress: [{ports: [{port: http}]}, {from: [{podSelector: {}}]}]}`),
		lines: `team-a/ < team-a/ TCP/80 : allow
			team-a/ < team-b/ TCP/80 : unknown`,
	}, {
		name:     "labels that Cilium keeps out of identities match nothing",
		policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod-template-hash: abc}}}, {podSelector: {matchLabels: {app.kubernetes.io/name: web}}}]}]}`),
		lines: `team-a/ < team-a/pod-template-hash=abc TCP/80 : deny
			team-a/ < team-a/app.kubernetes.io/name=web TCP/80 : allow`,
	}, {
		name:     "two policies add up",
		policies: networkPolicy(`{podSelector: {}}`) + "\n---\n" + policyObject("NetworkPolicy", "more", "team-a", `{podSelector: {matchLabels: {app: web}}, ingress: [{}]}`),
		lines: `team-a/app=web < team-b/ TCP/80 : allow
			team-a/app=db < team-b/ TCP/80 : deny`,
	}, {
		name:     "a peer without members limits nothing when ports are given",
		policies: networkPolicy(`{podSelector: {}, ingress: [{from: [{}], ports: [{port: 80}]}]}`),
		lines: `team-a/ < @remote-node TCP/80 : allow
			team-a/ < @remote-node TCP/81 : deny`,
	}} {
		tt.run(t)
	}
}

func TestKubernetesRefused(t *testing.T) {
	for name, spec := range map[string]string{
		"both kinds of peer":     `{podSelector: {}, ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]}`,
		"bad CIDR":               `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]}`,
		"except outside":         `{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [192.0.2.0/24]}}]}]}`,
		"bad selector":           `{podSelector: {matchLabels: {"a b": c}}, ingress: [{}]}`,
		"bad peer":               `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {a: "b c"}}}]}]}`,
		"bad namespace selector": `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}]}]}`,
		"bad pods of namespaces": `{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: a, operator: Exists, values: [x]}]}}]}]}`,
		"bad protocol":           `{podSelector: {}, ingress: [{ports: [{protocol: ICMP, port: 8}]}]}`,
		"bad port name":          `{podSelector: {}, ingress: [{ports: [{port: a-very-long-port-name}]}]}`,
	} {
		set := Compile(parsePolicies(t, networkPolicy(spec)), testOptions())
		for _, line := range []string{"team-a/ < team-a/ TCP/80", "team-a/ > team-a/ TCP/80", "team-a/ < @host TCP/80"} {
			if d := parseQuestion(t, line).ask(set); d.Verdict != Unknown || d.By != "NetworkPolicy np" {
				t.Errorf("%s: %s: got %+v, want unknown because of the policy", name, line, d)
			}
		}
		if d := parseQuestion(t, "team-b/ < team-a/ TCP/80").ask(set); d.Verdict != Allow || d.Enforced {
			t.Errorf("%s: it reaches other namespaces: %+v", name, d)
		}
	}
}

func TestPolicyWithoutSpec(t *testing.T) {
	set := Compile([]snapshot.Policy{{Kind: "NetworkPolicy", Namespace: "team-a", Name: "p"}}, testOptions())
	d := parseQuestion(t, "team-a/ < team-a/ TCP/80").ask(set)
	if d.Verdict != Unknown || d.By != "NetworkPolicy team-a/p" {
		t.Errorf("got %+v, want unknown because of NetworkPolicy team-a/p", d)
	}
}
