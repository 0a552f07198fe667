package conformance

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

var policySets = flag.Uint64("policy-sets", 1200, "sets of policies to try against Cilium's engine")

// TestPolicyOracle holds detect/policy against Cilium's own policy engine.
func TestPolicyOracle(t *testing.T) {
	o := startOracle(t)
	t.Run("generated", func(t *testing.T) { testGenerated(t, o, *policySets) })
	t.Run("refused", func(t *testing.T) { testRefused(t, o) })
}

func testGenerated(t *testing.T, o *oracle, sets uint64) {
	const flows = 40
	var n counts
	for seed := range sets {
		c := newCase(seed, flows)
		want, err := o.ask(&c)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, pretty(c.Policies))
		}
		if len(want.Refused) > 0 {
			t.Errorf("seed %d: the generator makes policies that Cilium refuses: %v\n%s", seed, want.Refused, pretty(c.Policies))
			continue
		}
		got := model(t, &c)
		for i, f := range c.Flows {
			outcome := compare(got[i], want.Verdicts[i], &c, f)
			n.add(outcome, got[i])
			if outcome == differs && n.disagreed <= 3 {
				t.Error(explain(t, o, c, f))
			}
		}
	}
	n.check(t, sets)
}

// counts is what came out of the comparison.
type counts struct {
	agreed, disagreed, unknown int
	// allowed and denied count the agreed cases in which policies were enforced.
	allowed, denied int
	reasons         []string
}

func (n *counts) add(o outcome, d policy.Decision) {
	switch {
	case o == differs:
		n.disagreed++
	case o == saysUnknown:
		n.unknown++
		n.reasons = append(n.reasons, d.Reason)
	default:
		n.agreed++
		if d.Enforced && d.Verdict == policy.Allow {
			n.allowed++
		}
		if d.Verdict == policy.Deny {
			n.denied++
		}
	}
}

func (n *counts) check(t *testing.T, sets uint64) {
	total := n.agreed + n.disagreed + n.unknown
	t.Logf("%d cases in %d sets of policies: %d agreed (%d allowed by a policy, %d denied), %d disagreed, %d unknown (%.1f %%)",
		total, sets, n.agreed, n.allowed, n.denied, n.disagreed, n.unknown, 100*float64(n.unknown)/float64(total))
	slices.Sort(n.reasons)
	for i, reason := range n.reasons {
		if i+1 == len(n.reasons) || n.reasons[i+1] != reason {
			t.Logf("unknown %5d: %s", i+1-slices.Index(n.reasons, reason), reason)
		}
	}
	switch {
	case n.disagreed > 0:
		t.Errorf("%d cases disagree", n.disagreed)
	case total < 10_000:
		t.Errorf("%d cases are too few", total)
	case n.unknown*20 >= total:
		t.Errorf("%d of %d cases are unknown, which is more than 5 %%", n.unknown, total)
	case n.allowed*10 < total || n.denied*10 < total:
		t.Errorf("the cases are too easy: %d allowed and %d denied by a policy, of %d", n.allowed, n.denied, total)
	}
}

type outcome int

const (
	differs outcome = iota
	agrees
	saysUnknown
)

// compare: where a proxy or an authentication decides further the model must say
// unknown, but for the pod's own node, which a proxy always lets in
// (pkg/policy/rule.go:360-372).
func compare(got policy.Decision, want string, c *oracleCase, f oracleFlow) outcome {
	host := f.Ingress && len(c.Identities[f.Peer].Reserved) > 0 && c.Identities[f.Peer].Reserved[0] == "host"
	switch {
	case got.Verdict == policy.Unknown:
		return saysUnknown
	case want == "redirect" && host && got.Verdict == policy.Allow:
		return agrees
	case got.Verdict.String() == want:
		return agrees
	}
	return differs
}

// model asks detect/policy.
func model(t testing.TB, c *oracleCase) []policy.Decision {
	set := policy.Compile(policiesOf(t, c.Policies), policy.Options{
		Enforcement: c.Options.Enforcement, CIDRMatchNodes: c.Options.CIDRMatchNodes,
		SingleStack: c.Options.SingleStack, LocalClusterOnly: c.Options.LocalClusterOnly,
		NodeSelectorLabels: c.Options.NodeLabels,
		NamespaceLabels:    func(ns string) map[string]string { return c.Namespaces[ns] },
	})
	decisions := make([]policy.Decision, len(c.Flows))
	for i, f := range c.Flows {
		subject, peer := c.Identities[f.Subject], c.Identities[f.Peer]
		s := policy.Subject{Namespace: subject.Namespace, Labels: subject.Labels}
		p := policy.Peer{Reserved: peer.Reserved, Namespace: peer.Namespace, Labels: peer.Labels}
		if peer.IP != "" {
			p.IP = netip.MustParseAddr(peer.IP)
		}
		if f.Ingress {
			decisions[i] = set.Ingress(s, p, portOf(f))
		} else {
			decisions[i] = set.Egress(s, p, portOf(f))
		}
	}
	return decisions
}

func portOf(f oracleFlow) policy.Port {
	switch f.Proto {
	case "ICMP":
		return policy.Port{Protocol: "ICMP", Family: "IPv4", ICMPType: f.Port}
	case "ICMPv6":
		return policy.Port{Protocol: "ICMP", Family: "IPv6", ICMPType: f.Port}
	}
	return policy.Port{Protocol: f.Proto, Number: f.Port}
}

func policiesOf(t testing.TB, objects []map[string]any) []snapshot.Policy {
	var list []snapshot.Policy
	for _, obj := range objects {
		meta := obj["metadata"].(map[string]any)
		p := snapshot.Policy{Kind: obj["kind"].(string), Name: meta["name"].(string)}
		p.Namespace, _ = meta["namespace"].(string)
		p.Source = fmt.Sprintf("%s %s", p.Kind, p.Name)
		if p.Kind == "NetworkPolicy" {
			raw, err := json.Marshal(obj["spec"])
			if err != nil {
				t.Fatal(err)
			}
			p.Kubernetes = new(networkingv1.NetworkPolicySpec)
			if err := json.Unmarshal(raw, p.Kubernetes); err != nil {
				t.Fatal(err)
			}
		} else {
			p.Cilium = specsOf(obj)
		}
		list = append(list, p)
	}
	return list
}

func specsOf(obj map[string]any) []map[string]any {
	var specs []map[string]any
	if spec, ok := obj["spec"].(map[string]any); ok {
		specs = append(specs, spec)
	}
	list, _ := obj["specs"].([]any)
	for _, spec := range list {
		specs = append(specs, spec.(map[string]any))
	}
	return specs
}

// testRefused: what Cilium does not take must leave the model without a certain
// answer for the pods concerned.
func testRefused(t *testing.T, o *oracle) {
	const web = `"endpointSelector":{"matchLabels":{"app":"web"}}`
	specs := []string{
		`{` + web + `}`,
		`{"ingress":[{}]}`,
		`{` + web + `,"nodeSelector":{},"ingress":[{}]}`,
		`{"nodeSelector":{},"ingress":[{}]}`,
		`{"endpointSelector":{"matchLabels":{"bad key":"x"}},"ingress":[{}]}`,
		`{"endpointSelector":{"matchLabels":{"app":"bad value"}},"ingress":[{}]}`,
		`{"endpointSelector":{"matchLabels":{"k60aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":"x"}},"ingress":[{}]}`,
		`{"endpointSelector":{"matchExpressions":[{"key":"app","operator":"In"}]},"ingress":[{}]}`,
		`{"endpointSelector":{"matchExpressions":[{"key":"app","operator":"Exists","values":["a"]}]},"ingress":[{}]}`,
		`{"endpointSelector":{"matchExpressions":[{"key":"app","operator":"Like","values":["a"]}]},"ingress":[{}]}`,
		`{` + web + `,"ingress":[{"fromEntities":["moon"]}]}`,
		`{` + web + `,"ingress":[{"fromEndpoints":[{}],"fromEntities":["world"]}]}`,
		`{` + web + `,"ingress":[{"fromCIDR":["10.0.0.0/8"],"fromCIDRSet":[{"cidr":"10.0.0.0/8"}]}]}`,
		`{` + web + `,"ingress":[{"fromCIDR":["10.0.0.0/33"]}]}`,
		`{` + web + `,"ingress":[{"fromCIDR":[""]}]}`,
		`{` + web + `,"ingress":[{"fromCIDRSet":[{"cidr":"10.0.0.1"}]}]}`,
		`{` + web + `,"ingress":[{"fromCIDRSet":[{}]}]}`,
		`{` + web + `,"ingress":[{"fromCIDRSet":[{"cidr":"10.0.0.0/8","cidrGroupRef":"g"}]}]}`,
		`{` + web + `,"ingress":[{"fromCIDRSet":[{"cidr":"10.0.0.0/8","except":["192.0.2.0/24"]}]}]}`,
		`{` + web + `,"ingress":[{"fromNodes":[{}]}]}`,
		`{` + web + `,"ingress":[{"toPorts":[{"ports":[{"port":"-1"}]}]}]}`,
		`{` + web + `,"ingress":[{"toPorts":[{"ports":[{"port":"65536"}]}]}]}`,
		`{` + web + `,"ingress":[{"toPorts":[{"ports":[{"port":""}]}]}]}`,
		`{` + web + `,"ingress":[{"toPorts":[{"ports":[{"port":"a-name-of-17-char"}]}]}]}`,
		`{` + web + `,"ingress":[{"toPorts":[{"ports":[{"port":"80","protocol":"ICMP"}]}]}]}`,
		`{` + web + `,"ingress":[{"toPorts":[{"ports":[{"port":"80"}]}],"icmps":[{"fields":[{"type":8}]}]}]}`,
		`{` + web + `,"ingress":[{"icmps":[{"fields":[{"family":"IPv5","type":8}]}]}]}`,
		`{` + web + `,"ingress":[{"icmps":[{"fields":[{"type":"NeighborSolicitation"}]}]}]}`,
		`{` + web + `,"ingress":[{"toPorts":[{"ports":[{"port":"53"}],"rules":{"dns":[{"matchPattern":"*"}]}}]}]}`,
		`{` + web + `,"egress":[{"toEndpoints":[{}],"toFQDNs":[{"matchName":"a.b"}]}]}`,
		`{` + web + `,"egressDeny":[{"toEntities":["world"],"toCIDR":["10.0.0.0/8"]}]}`,
		`{` + web + `,"ingress":"all"}`,
		`{` + web + `,"ingress":[{"toPorts":[{"ports":[{"port":80}]}]}]}`,
	}
	for _, spec := range specs {
		var raw map[string]any
		if err := json.Unmarshal([]byte(spec), &raw); err != nil {
			t.Fatal(err)
		}
		c := oracleCase{
			Namespaces: genNamespaces, Identities: genPods, Flows: []oracleFlow{{Subject: 0, Peer: 3, Ingress: true, Proto: "TCP", Port: 80}},
			Policies: []map[string]any{{"kind": "CiliumNetworkPolicy", "metadata": map[string]any{"name": "p", "namespace": "team-a"}, "spec": raw}},
		}
		answer, err := o.ask(&c)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Refused[0] == "" {
			t.Errorf("Cilium takes %s", spec)
		}
		if d := model(t, &c)[0]; d.Verdict != policy.Unknown {
			t.Errorf("Cilium refuses %s (%s), the model says %s: %s", spec, answer.Refused[0], d.Verdict, d.Reason)
		}
	}
}
