package policy

import (
	"strings"
	"testing"
)

// TestMeasured holds the verdicts that the real agent 1.18.6 gave at a pod of
// namespace team-a, on a real kernel. The columns are: a pod of the same
// namespace, a pod of team-b, the pod's own node, another node, another node
// with the API server; "-" was not measured.
func TestMeasured(t *testing.T) {
	const (
		sameNamespace = `{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}`
		egressAll     = `{endpointSelector: {}, egress: [{toEntities: [all]}]}`
	)
	peers := []string{"team-a/app=a1", "team-b/app=a3", "@host", "@remote-node=10.101.0.21", "@remote-node+kube-apiserver=fd00:101::21"}
	for _, tt := range []struct{ name, policies, want string }{
		{"deny all", networkPolicy(`{podSelector: {}, policyTypes: [Ingress]}`), "deny deny allow deny -"},
		{"same namespace", networkPolicy(sameNamespace), "allow deny allow deny deny"},
		{"empty rule", networkPolicy(`{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}`), "allow allow allow allow -"},
		{"namespace team-b", networkPolicy(`{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: team-b}}}]}]}`), "deny allow allow deny -"},
		{"every namespace", networkPolicy(`{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}}]}]}`), "allow allow allow deny -"},
		{"ipBlock of the nodes", networkPolicy(`{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: "fd00:101::/64"}}, {ipBlock: {cidr: 10.101.0.0/24}}]}]}`), "deny deny allow deny deny"},
		{"ipBlock of the pods", networkPolicy(`{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: "fd00:101:224::/60"}}, {ipBlock: {cidr: 10.101.224.0/19}}]}]}`), "deny deny allow deny deny"},
		{"fromCIDR of the nodes", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromCIDR: ["fd00:101::/64", 10.101.0.0/24]}]}`), "deny deny allow deny -"},
		{"entity cluster", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [cluster]}]}`), "allow allow allow allow allow"},
		{"entity host", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [host]}]}`), "deny deny allow deny deny"},
		{"entity kube-apiserver", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [kube-apiserver]}]}`), "deny deny allow deny allow"},
		{"entity remote-node", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [remote-node]}]}`), "deny deny allow allow allow"},
		{"entity world", ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [world]}]}`), "deny deny allow deny deny"},
		{"same namespace and remote-node", networkPolicy(sameNamespace) + "\n---\n" + ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [remote-node]}]}`), "allow deny allow allow -"},
		{"same namespace and egress to all", networkPolicy(sameNamespace) + "\n---\n" + ciliumPolicy(egressAll), "allow deny allow deny deny"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := Compile(parsePolicies(t, tt.policies), testOptions())
			for i, want := range strings.Fields(tt.want) {
				for _, port := range []string{"TCP/8080", "UDP/8081", "ICMPv6/128", "ICMP/8"} {
					d := parseQuestion(t, "team-a/app=b1 < "+peers[i]+" "+port).ask(set)
					if want != "-" && d.Verdict.String() != want {
						t.Errorf("from %s, %s: got %s (%s), want %s", peers[i], port, d.Verdict, d.Reason, want)
					}
					if !d.Enforced {
						t.Errorf("from %s, %s: not enforced", peers[i], port)
					}
				}
			}
		})
	}
}

// TestMeasuredWithoutPolicy: no verdict event, so nothing is enforced.
func TestMeasuredWithoutPolicy(t *testing.T) {
	for name, policies := range map[string]string{
		"none":                      "",
		"egress only":               ciliumPolicy(`{endpointSelector: {}, egress: [{toEntities: [all]}]}`),
		"in another namespace":      policyObject("NetworkPolicy", "p", "team-b", `{podSelector: {}}`),
		"for other pods":            networkPolicy(`{podSelector: {matchLabels: {app: other}}}`),
		"a policy for nodes":        clusterwidePolicy(`{nodeSelector: {}, ingress: [{fromEntities: [cluster]}]}`),
		"an object without a spec":  "kind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: team-a}\n",
		"a policy for other labels": clusterwidePolicy(`{endpointSelector: {matchLabels: {"reserved:health": ""}}, ingress: [{}]}`),
	} {
		set := Compile(parsePolicies(t, policies), testOptions())
		d := parseQuestion(t, "team-a/app=b1 < @remote-node TCP/80").ask(set)
		if d.Verdict != Allow || d.Enforced || d.By != "" {
			t.Errorf("%s: got %+v, want an allow that no policy enforces", name, d)
		}
	}
}
