package policy

import (
	"fmt"
	"strings"
	"testing"
)

func TestUnknown(t *testing.T) {
	const all = `{endpointSelector: {}, ingress: [{fromEntities: [all]}]}`
	for _, tt := range []struct{ name, policies, question, reason string }{
		{"HTTP rules", ciliumPolicy(`{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}`), "team-a/ < team-a/ TCP/80", "HTTP rules"},
		{"Kafka rules", ciliumPolicy(`{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {kafka: [{topic: a}]}}]}]}`), "team-a/ < team-a/ TCP/80", "Kafka rules"},
		{"l7proto", ciliumPolicy(`{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {l7proto: echo}}]}]}`), "team-a/ < team-a/ TCP/80", "layer 7 rules"},
		{"DNS rules", ciliumPolicy(`{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]}]}`), "team-a/ > team-b/ UDP/53", "DNS rules"},
		{"server names", ciliumPolicy(`{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: "443"}], serverNames: [a.example]}]}]}`), "team-a/ > team-b/ TCP/443", "server names"},
		{"TLS", ciliumPolicy(`{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: "443"}], originatingTLS: {secret: {name: s}}}]}]}`), "team-a/ > team-b/ TCP/443", "TLS interception"},
		{"listener", ciliumPolicy(`{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: "443"}], listener: {name: l, envoyConfig: {name: e}}}]}]}`), "team-a/ > team-b/ TCP/443", "a proxy listener"},
		{"a proxy beside an allow", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [all]}, {toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}`), "team-a/ < team-a/ TCP/80", "HTTP rules"},
		{"authentication", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [all], authentication: {mode: required}}]}`), "team-a/ < team-a/ TCP/80", "mutual authentication (mode required)"},
		{"FQDNs", ciliumPolicy(`{endpointSelector: {}, egress: [{toFQDNs: [{matchName: a.example}]}]}`), "team-a/ > @world=192.0.2.1 TCP/80", "not known"},
		{"services", ciliumPolicy(`{endpointSelector: {}, egress: [{toServices: [{k8sService: {serviceName: s}}]}]}`), "team-a/ > team-b/ TCP/80", "toServices"},
		{"groups", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromGroups: [{aws: {}}]}]}`), "team-a/ < @world TCP/80", "groups"},
		{"CIDR group", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromCIDRSet: [{cidrGroupRef: g}]}]}`), "team-a/ < @world=192.0.2.1 TCP/80", "not known"},
		{"CIDR groups by label", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromCIDRSet: [{cidrGroupSelector: {matchLabels: {a: b}}}]}]}`), "team-a/ < team-b/ TCP/80", "CIDR groups"},
		{"requirements", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{}], fromRequires: [{matchLabels: {a: b}}]}]}`), "team-a/ < team-a/ TCP/80", "fromRequires"},
		{"requirements of another policy", networkPolicy(`{podSelector: {}, ingress: [{}]}`) + "\n---\n" + ciliumPolicy(`{endpointSelector: {}, ingress: [{fromRequires: [{matchLabels: {a: b}}]}]}`), "team-a/ < team-a/ TCP/80", "fromRequires"},
		{"service account", ciliumPolicy(`{endpointSelector: {matchLabels: {io.cilium.k8s.policy.serviceaccount: x}}, ingress: [{}]}`), "team-a/ < team-a/ TCP/80", "whether it selects the pod"},
		{"namespace labels", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {"k8s:io.cilium.k8s.namespace.labels.team": c}}]}]}`), "team-a/ < nowhere/ TCP/80", "not known"},
		{"unknown field", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [all], fromMoon: [{}]}]}`), "team-a/ < team-a/ TCP/80", "fromMoon"},
		{"unknown field in another case", ciliumPolicy(`{endpointSelector: {}, ingress: [{FromEntities: [all]}]}`), "team-a/ < team-a/ TCP/80", "FromEntities"},
		{"unknown field of a deny", ciliumPolicy(`{endpointSelector: {}, ingressDeny: [{fromEntities: [all], authentication: {}}]}`), "team-a/ < team-a/ TCP/80", "authentication"},
		{"refused", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [moon]}]}`), "team-a/ < team-a/ TCP/80", `ingress[0]: entity "moon"`},
		{"refused with its neighbours", "kind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: team-a}\nspecs:\n- " + all + "\n- {endpointSelector: {matchLabels: {a: b}}, egress: [{toPorts: [{ports: [{port: x_y}]}]}]}\n", "team-a/ < team-a/ TCP/80", `egress[0]: port "x_y"`},
		{"a bad spec for nobody knows whom", clusterwidePolicy(`{endpointSelector: [], ingress: [{}]}`), "team-b/ < team-a/ TCP/80", "does not decode"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := Compile(parsePolicies(t, tt.policies), testOptions())
			d := parseQuestion(t, tt.question).ask(set)
			if d.Verdict != Unknown || !strings.Contains(d.Reason, tt.reason) || d.By == "" {
				t.Errorf("got %+v, want unknown because of %q", d, tt.reason)
			}
		})
	}
}

// TestNotUnknown: what is not modelled must not spoil what it cannot touch.
func TestNotUnknown(t *testing.T) {
	for _, tt := range []verdictTable{{
		name:     "names and groups of CIDRs are no pods",
		policies: ciliumPolicy(`{endpointSelector: {}, egress: [{toFQDNs: [{matchName: a.example}]}, {toCIDRSet: [{cidrGroupRef: g}]}]}`),
		lines: `team-a/ > team-b/ TCP/80 : deny
			team-a/ > @remote-node TCP/80 : deny`,
	}, {
		name:     "other ports than the proxy's",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}`),
		lines: `team-a/ < team-a/ TCP/81 : deny
			team-a/ < @host TCP/80 : allow`,
	}, {
		name:     "empty layer 7 rules are none",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: []}}]}]}`),
		lines:    `team-a/ < team-a/ TCP/80 : allow`,
	}, {
		name:     "authentication that is switched off",
		policies: ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [all], authentication: {mode: disabled}}]}`),
		lines:    `team-a/ < team-a/ TCP/80 : allow`,
	}, {
		name:     "a certain deny beside an undecodable policy",
		policies: ciliumPolicy(`{endpointSelector: {}, ingressDeny: [{fromEntities: [world]}]}`) + "\n---\n" + policyObject("CiliumNetworkPolicy", "odd", "team-a", `{endpointSelector: {}, ingress: [{odd: 1}]}`),
		lines: `team-a/ < @world=192.0.2.1 TCP/80 : deny
			team-a/ < team-a/ TCP/80 : unknown`,
	}, {
		name:     "an undecodable policy for other pods",
		policies: ciliumPolicy(`{endpointSelector: {matchLabels: {app: odd}}, odd: 1, ingress: [{}]}`),
		lines: `team-a/app=web < team-a/ TCP/80 : allow
			team-a/app=odd < team-a/ TCP/80 : unknown`,
	}, {
		name:     "a service account cannot turn a deny into an allow",
		policies: networkPolicy(`{podSelector: {}}`) + "\n---\n" + ciliumPolicy(`{endpointSelector: {matchLabels: {io.cilium.k8s.policy.serviceaccount: x}}, ingress: [{fromEntities: [health]}]}`),
		lines: `team-a/ < team-a/ TCP/80 : deny
			team-a/ < @health TCP/80 : unknown`,
	}, {
		name:     "the name of a namespace is known without its labels",
		policies: policyObject("NetworkPolicy", "p", "team-a", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: nowhere}}}]}]}`),
		lines: `team-a/ < nowhere/ TCP/80 : allow
			team-a/ < elsewhere/ TCP/80 : deny`,
	}} {
		tt.run(t)
	}
}

func TestRequirementsOfOneDirection(t *testing.T) {
	policies := ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEndpoints: [{}]}], ingressDeny: [{fromRequires: [{matchLabels: {a: b}}]}], egress: [{toEndpoints: [{}]}]}`)
	verdictTable{name: "deny", policies: policies, lines: `team-a/ < team-a/ TCP/80 : allow
		team-a/ > team-a/ TCP/80 : allow`}.run(t)
}

// TestLongListsStayFast: a rule of 50,000 prefixes, each twice, is no burden.
func TestLongListsStayFast(t *testing.T) {
	var cidrs strings.Builder
	for i := range 100_000 {
		n := i % 50_000
		fmt.Fprintf(&cidrs, "192.%d.%d.%d, ", n>>16, n>>8&255, n&255)
	}
	set := Compile(parsePolicies(t, ciliumPolicy(`{endpointSelector: {}, egress: [{toCIDR: [`+cidrs.String()+`]}]}`)), testOptions())
	for line, want := range map[string]Verdict{
		"team-a/ > @world=192.0.195.79 TCP/80": Allow,
		"team-a/ > @world=192.0.195.80 TCP/80": Deny,
		"team-a/ > team-b/ TCP/80":             Deny,
	} {
		if d := parseQuestion(t, line).ask(set); d.Verdict != want {
			t.Errorf("%s: got %+v, want %s", line, d, want)
		}
	}
}

func TestTooManyPorts(t *testing.T) {
	ports := strings.Repeat(`{port: "80"},`, maxPorts+1)
	fields := strings.Repeat(`{type: 8},`, maxPorts+1)
	for _, spec := range []string{
		fmt.Sprintf(`{endpointSelector: {}, ingress: [{toPorts: [{ports: [%s]}]}]}`, ports),
		fmt.Sprintf(`{endpointSelector: {}, ingress: [{icmps: [{fields: [%s]}]}]}`, fields),
	} {
		set := Compile(parsePolicies(t, ciliumPolicy(spec)), testOptions())
		if d := parseQuestion(t, "team-a/ < team-a/ TCP/80").ask(set); d.Verdict != Unknown || !strings.Contains(d.Reason, "the limit is 40") {
			t.Errorf("got %+v, want unknown because of the limit", d)
		}
	}
}
