package matrix

import "fmt"

// Policy selects pods of team-a, unless its YAML says otherwise.
type Policy struct{ Name, YAML string }

// Policies are all of them; a stage with Policies of the same name applies them.
func Policies() []Policy { return append(kubernetesPolicies(), ciliumPolicies()...) }

// PolicyOf finds a policy by its name.
func PolicyOf(name string) (Policy, error) {
	for _, p := range Policies() {
		if p.Name == name {
			return p, nil
		}
	}
	return Policy{}, fmt.Errorf("no policy is called %q: see e2e/matrix", name)
}

// network is a NetworkPolicy over all pods of team-a.
func network(name, spec string) Policy {
	return Policy{name, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: matrix, namespace: team-a}
spec:
  podSelector: {}
` + spec}
}

func kubernetesPolicies() []Policy {
	const in, out = "  policyTypes: [Ingress]\n", "  policyTypes: [Egress]\n"
	return []Policy{
		network(guarded, in+"  ingress: [{from: [{podSelector: {}}]}]\n"),
		network("deny all", in),
		network("empty rule", in+"  ingress: [{}]\n"),
		network("namespace team-b", in+"  ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: team-b}}}]}]\n"),
		network("any namespace", in+"  ingress: [{from: [{namespaceSelector: {}}]}]\n"),
		network("pods labelled c", in+"  ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [c]}]}}]}]\n"),
		network("ipBlock of nodes", in+"  ingress: [{from: [{ipBlock: {cidr: 10.101.0.0/24}}, {ipBlock: {cidr: 'fd00:101::/64'}}]}]\n"),
		network("ipBlock of pods", in+"  ingress: [{from: [{ipBlock: {cidr: 10.101.224.0/19}}, {ipBlock: {cidr: 'fd00:101:224::/60'}}]}]\n"),
		network("ipBlock of all but near", in+"  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.101.0.99/32]}}, {ipBlock: {cidr: '::/0', except: ['fd00:101::99/128']}}]}]\n"),
		network("TCP 8080 of the namespace", in+"  ingress: [{from: [{podSelector: {}}], ports: [{protocol: TCP, port: 8080}]}]\n"),
		network("UDP 8000 to 8090 of anybody", in+"  ingress: [{ports: [{protocol: UDP, port: 8000, endPort: 8090}]}]\n"),
		network("egress denied", out),
		{closed, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: team-b}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
`},
		{closedIn, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed-in, namespace: team-b}
spec: {podSelector: {}, policyTypes: [Ingress]}
`},
		network("egress to the namespace", out+"  egress: [{to: [{podSelector: {}}]}]\n"),
		network("egress to near", out+"  egress: [{to: [{ipBlock: {cidr: 10.101.0.99/32}}, {ipBlock: {cidr: 'fd00:101::99/128'}}]}]\n"),
		network("egress to any address", out+"  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]}]\n"),
	}
}

// ciliumPolicy is a CiliumNetworkPolicy over all pods of team-a.
func ciliumPolicy(name, rules string) Policy {
	return Policy{name, `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: matrix, namespace: team-a}
spec:
  endpointSelector: {}
` + rules}
}

func ciliumPolicies() []Policy {
	entity := func(name string) Policy {
		return ciliumPolicy("entity "+name, "  ingress: [{fromEntities: ["+name+"]}]\n")
	}
	return []Policy{
		entity("host"), entity("remote-node"), entity("kube-apiserver"), entity("world"), entity("cluster"), entity("all"),
		ciliumPolicy("endpoints labelled c", "  ingress: [{fromEndpoints: [{matchLabels: {app: c}}]}]\n"),
		ciliumPolicy("endpoints of team-b", "  ingress: [{fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: team-b}}]}]\n"),
		ciliumPolicy("CIDR of nodes and near", "  ingress: [{fromCIDR: [10.101.0.0/24, 'fd00:101::/64']}]\n"),
		ciliumPolicy("CIDR set without near", "  ingress: [{fromCIDRSet: [{cidr: 10.101.0.0/16, except: [10.101.0.99/32]}, {cidr: 'fd00:101::/32', except: ['fd00:101::99/128']}]}]\n"),
		ciliumPolicy("all but team-b", "  ingress: [{fromEntities: [all]}]\n  ingressDeny: [{fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: team-b}}]}]\n"),
		ciliumPolicy("TCP 8080 of the cluster", "  ingress: [{fromEntities: [cluster], toPorts: [{ports: [{port: '8080', protocol: TCP}]}]}]\n"),
		ciliumPolicy("echo requests", "  ingress: [{fromEntities: [cluster], icmps: [{fields: [{type: 8, family: IPv4}, {type: 128, family: IPv6}]}]}]\n"),
		ciliumPolicy("denies team-b and nothing else", "  enableDefaultDeny: {ingress: false}\n  ingressDeny: [{fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: team-b}}]}]\n"),
		ciliumPolicy("egress to world", "  egress: [{toEntities: [world]}]\n"),
		ciliumPolicy("egress to nodes", "  egress: [{toEntities: [host, remote-node]}]\n"),
		ciliumPolicy("egress to a CIDR", "  egress: [{toCIDR: [10.101.0.99/32, 'fd00:101::99/128', 10.101.224.0/19]}]\n"),
		ciliumPolicy("egress denied to team-b", "  egress: [{toEntities: [all]}]\n  egressDeny: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: team-b}}]}]\n"),
		{"clusterwide, entity cluster", `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: matrix}
spec:
  endpointSelector: {matchLabels: {app: a}}
  ingress: [{fromEntities: [cluster]}]
`},
	}
}
