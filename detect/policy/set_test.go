package policy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// menu is what random sets of policies are put together from.
var menu = []string{
	networkPolicy(`{podSelector: {}}`),
	networkPolicy(`{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}]}`),
	networkPolicy(`{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}]}]}`),
	networkPolicy(`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}], egress: [{to: [{ipBlock: {cidr: "2001:db8::/32"}}]}]}`),
	ciliumPolicy(`{endpointSelector: {}, ingress: [{fromEntities: [remote-node, health]}]}`),
	ciliumPolicy(`{endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": team-b}}]}], ingressDeny: [{fromEntities: [kube-apiserver]}]}`),
	ciliumPolicy(`{endpointSelector: {}, enableDefaultDeny: {egress: false}, egress: [{toPorts: [{ports: [{port: "53", protocol: ANY}]}]}], egressDeny: [{toCIDRSet: [{cidr: 10.0.0.0/8}]}]}`),
	ciliumPolicy(`{endpointSelector: {matchLabels: {app: web}}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{}]}}]}], egress: [{toFQDNs: [{matchName: a.example}]}]}`),
	ciliumPolicy(`{endpointSelector: {matchLabels: {app: odd}}, odd: true, ingress: [{}]}`),
	clusterwidePolicy(`{endpointSelector: {matchExpressions: [{key: app, operator: Exists}]}, ingress: [{fromEntities: [cluster]}]}`),
	clusterwidePolicy(`{endpointSelector: {matchLabels: {io.cilium.k8s.namespace.labels.team: b}}, egress: [{toEntities: [world]}, {toEndpoints: [{}]}]}`),
	clusterwidePolicy(`{endpointSelector: {matchLabels: {io.cilium.k8s.policy.serviceaccount: x}}, ingress: [{fromEntities: [host]}]}`),
}

func drawPolicies(t *rapid.T, tb testing.TB) []snapshot.Policy {
	var list []snapshot.Policy
	for i, text := range rapid.SliceOfN(rapid.SampledFrom(menu), 0, 6).Draw(t, "policies") {
		p := parsePolicies(tb, text)[0]
		p.Name = fmt.Sprint("p", i)
		p.Source = p.Kind + " " + p.Name
		list = append(list, p)
	}
	return list
}

func drawSubject(t *rapid.T) Subject {
	s := Subject{Namespace: rapid.SampledFrom([]string{"team-a", "team-b", "nowhere", ""}).Draw(t, "namespace"), Labels: map[string]string{}}
	for _, key := range []string{"app", "tier", "host", "init"} {
		if rapid.IntRange(0, 3).Draw(t, "has "+key) == 0 || key == "app" {
			s.Labels[key] = rapid.SampledFrom([]string{"web", "db", "odd", "x"}).Draw(t, key)
		}
	}
	return s
}

func drawPeer(t *rapid.T) Peer {
	if rapid.Bool().Draw(t, "pod") {
		s := drawSubject(t)
		return Peer{Namespace: s.Namespace, Labels: s.Labels}
	}
	p := Peer{Reserved: rapid.SampledFrom([][]string{
		{Host}, {RemoteNode}, {RemoteNode, KubeAPIServer}, {World}, {World, KubeAPIServer}, {Health}, {Unmanaged}, {Host, KubeAPIServer},
	}).Draw(t, "reserved")}
	if addr := rapid.SampledFrom([]string{"", "192.0.2.1", "10.1.2.3", "2001:db8::1", "fd00::1"}).Draw(t, "address"); addr != "" {
		p.IP = netip.MustParseAddr(addr)
	}
	return p
}

func drawPort(t *rapid.T) Port {
	return rapid.SampledFrom([]Port{
		{Protocol: "TCP", Number: 80}, {Protocol: "TCP"}, {Protocol: "UDP", Number: 53}, {Protocol: "SCTP", Number: 53},
		{Protocol: "ICMP", Family: "IPv4", ICMPType: 8}, {Protocol: "ICMP", Family: "IPv6", ICMPType: -1}, {Protocol: "GRE"},
	}).Draw(t, "port")
}

func drawOptions(t *rapid.T) Options {
	o := testOptions()
	o.Enforcement = rapid.SampledFrom([]string{"", "default", "always"}).Draw(t, "enforcement")
	o.CIDRMatchNodes = rapid.Bool().Draw(t, "CIDR match nodes")
	o.CIDRMatchPods = rapid.Bool().Draw(t, "CIDR match pods")
	o.SingleStack = rapid.SampledFrom([]string{"", "IPv4", "IPv6"}).Draw(t, "single stack")
	return o
}

func both(s *Set, subject Subject, peer Peer, port Port) [2]Verdict {
	return [2]Verdict{s.Ingress(subject, peer, port).Verdict, s.Egress(subject, peer, port).Verdict}
}

func TestEqualPeerClassesGetEqualAnswers(t *testing.T) {
	equal := 0
	rapid.Check(t, func(rt *rapid.T) {
		set := Compile(drawPolicies(rt, t), drawOptions(rt))
		p, q := drawPeer(rt), drawPeer(rt)
		if set.PeerClass(p) != set.PeerClass(q) {
			return
		}
		equal++
		for range 5 {
			subject, port := drawSubject(rt), drawPort(rt)
			if a, b := both(set, subject, p, port), both(set, subject, q, port); a != b {
				rt.Fatalf("%+v and %+v share class %q, but %+v %+v answers %v and %v", p, q, set.PeerClass(p), subject, port, a, b)
			}
		}
	})
	if equal == 0 {
		t.Error("no two peers ever shared a class")
	}
}

func TestEqualClassesAreSelectedAlike(t *testing.T) {
	equal := 0
	rapid.Check(t, func(rt *rapid.T) {
		set := Compile(drawPolicies(rt, t), drawOptions(rt))
		a, b := drawSubject(rt), drawSubject(rt)
		alike := slices.Equal(set.SelectedBy(a, true), set.SelectedBy(b, true)) && slices.Equal(set.SelectedBy(a, false), set.SelectedBy(b, false))
		if set.Class(a) != set.Class(b) {
			return
		}
		equal++
		if !alike {
			rt.Fatalf("%+v and %+v share class %q, but different policies select them", a, b, set.Class(a))
		}
		for range 5 {
			peer, port := drawPeer(rt), drawPort(rt)
			if x, y := both(set, a, peer, port), both(set, b, peer, port); x != y {
				rt.Fatalf("%+v and %+v share class %q, but %+v %+v gets %v and %v", a, b, set.Class(a), peer, port, x, y)
			}
		}
	})
	if equal == 0 {
		t.Error("no two subjects ever shared a class")
	}
}

func TestOrderOfPoliciesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policies, opts := drawPolicies(rt, t), drawOptions(rt)
		shuffled := rapid.Permutation(policies).Draw(rt, "shuffled")
		one, other := Compile(policies, opts), Compile(shuffled, opts)
		for range 5 {
			subject, peer, port := drawSubject(rt), drawPeer(rt), drawPort(rt)
			if a, b := one.Ingress(subject, peer, port), other.Ingress(subject, peer, port); a != b {
				rt.Fatalf("ingress %+v from %+v: %+v and %+v", subject, peer, a, b)
			}
			if a, b := one.Egress(subject, peer, port), other.Egress(subject, peer, port); a != b {
				rt.Fatalf("egress %+v to %+v: %+v and %+v", subject, peer, a, b)
			}
			if a, b := one.Class(subject), other.Class(subject); a != b {
				rt.Fatalf("class of %+v: %q and %q", subject, a, b)
			}
		}
	})
}

// TestDenyOnlyDenies: a policy that only denies never turns a deny into an allow.
func TestDenyOnlyDenies(t *testing.T) {
	deny := parsePolicies(t, policyObject("CiliumClusterwideNetworkPolicy", "deny", "", `{endpointSelector: {}, enableDefaultDeny: {ingress: false, egress: false}, ingressDeny: [{fromEntities: [remote-node]}], egressDeny: [{toEntities: [world]}]}`))
	rapid.Check(t, func(rt *rapid.T) {
		policies, opts := drawPolicies(rt, t), drawOptions(rt)
		before, after := Compile(policies, opts), Compile(append(deny, policies...), opts)
		subject, peer, port := drawSubject(rt), drawPeer(rt), drawPort(rt)
		a, b := both(before, subject, peer, port), both(after, subject, peer, port)
		for i := range a {
			if a[i] == Deny && b[i] != Deny || a[i] == Unknown && b[i] == Allow {
				rt.Fatalf("%+v %+v: %s became %s", subject, peer, a[i], b[i])
			}
		}
	})
}

func TestSetNames(t *testing.T) {
	set := Compile(parsePolicies(t, menu[1]+"\n---\n"+menu[7]+"\n---\n"+menu[9]), testOptions())
	if got, want := fmt.Sprint(set.ReadsLabels()), "[app host init]"; got != want {
		t.Errorf("ReadsLabels: got %s, want %s", got, want)
	}
	web := Subject{Namespace: "team-a", Labels: map[string]string{"app": "web", "pod-template-hash": "1"}}
	if got, want := fmt.Sprint(set.SelectedBy(web, true)), "[CiliumClusterwideNetworkPolicy ccnp CiliumNetworkPolicy cnp NetworkPolicy np]"; got != want {
		t.Errorf("SelectedBy ingress: got %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(set.SelectedBy(web, false)), "[CiliumNetworkPolicy cnp NetworkPolicy np]"; got != want {
		t.Errorf("SelectedBy egress: got %s, want %s", got, want)
	}
	other := Subject{Namespace: "team-a", Labels: map[string]string{"app": "web", "pod-template-hash": "2"}}
	if set.Class(web) != set.Class(other) {
		t.Error("a label that no policy reads changes the class")
	}
}

func TestDecisionNamesPolicyAndPeer(t *testing.T) {
	set := Compile(parsePolicies(t, networkPolicy(`{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`)), testOptions())
	for line, want := range map[string]Decision{
		"team-a/ < @remote-node TCP/80": {Verdict: Deny, Enforced: true, Reason: "no rule for ingress admits remote-node", By: "NetworkPolicy np"},
		"team-a/ < team-a/ TCP/80":      {Verdict: Allow, Enforced: true, Reason: "a rule for ingress admits pods of namespace team-a with the peer's labels", By: "NetworkPolicy np"},
		"team-a/ > @world TCP/80":       {Verdict: Allow, Enforced: false, Reason: "no policy selects the pod for egress", By: ""},
		"team-b/ < @world TCP/80":       {Verdict: Allow, Enforced: false, Reason: "no policy selects the pod for ingress", By: ""},
	} {
		if got := parseQuestion(t, line).ask(set); got != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", line, got, want)
		}
	}
}

func TestSetIsSafeForConcurrentUse(t *testing.T) {
	set := Compile(parsePolicies(t, menu[2]), testOptions())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range 200 {
				s := Subject{Namespace: "team-a", Labels: map[string]string{"app": fmt.Sprint(i * j % 7)}}
				set.Ingress(s, Peer{Namespace: "team-b", Labels: s.Labels}, Port{Protocol: "TCP", Number: 80})
			}
		}()
	}
	wg.Wait()
}

func FuzzCompile(f *testing.F) {
	for _, text := range menu {
		p := parsePolicies(f, text)[0]
		for _, spec := range p.Cilium {
			raw, err := json.Marshal(spec)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var spec map[string]any
		if json.Unmarshal(raw, &spec) != nil {
			return
		}
		set := Compile([]snapshot.Policy{{Kind: "CiliumNetworkPolicy", Namespace: "team-a", Name: "p", Cilium: []map[string]any{spec}}}, testOptions())
		d := parseQuestion(t, "team-a/app=web < @remote-node TCP/80").ask(set)
		if d.Reason == "" {
			t.Error("no reason")
		}
	})
}

// clusterOf makes policies and pods of a big cluster: one namespace of 300 in
// three has policies of its own.
func clusterOf(tb testing.TB, pods int) ([]snapshot.Policy, []Subject) {
	var policies []snapshot.Policy
	for ns := range 300 {
		for i, text := range menu[:7] {
			if (ns+i)%3 == 0 {
				p := parsePolicies(tb, text)[0]
				p.Namespace, p.Name = fmt.Sprint("ns-", ns), fmt.Sprint("p", i)
				policies = append(policies, p)
			}
		}
	}
	subjects := make([]Subject, pods)
	for i := range subjects {
		subjects[i] = Subject{Namespace: fmt.Sprint("ns-", i%300), Labels: map[string]string{
			"app": fmt.Sprint("app-", i%11), "pod-template-hash": fmt.Sprint(i), "tier": "front", "version": fmt.Sprint(i % 5),
			"app.kubernetes.io/name": "x", "app.kubernetes.io/instance": fmt.Sprint(i % 97), "team": "a", "zone": "z",
		}}
	}
	return policies, subjects
}

// BenchmarkClass150k classes 150,000 pods as subjects and as peers.
func BenchmarkClass150k(b *testing.B) {
	policies, pods := clusterOf(b, 150_000)
	for b.Loop() {
		set := Compile(policies, testOptions())
		classes, peers := map[string]bool{}, map[string]bool{}
		for _, pod := range pods {
			classes[set.Class(pod)] = true
			peers[set.PeerClass(Peer{Namespace: pod.Namespace, Labels: pod.Labels})] = true
		}
		b.ReportMetric(float64(len(classes)), "classes")
		b.ReportMetric(float64(len(peers)), "peer-classes")
	}
}

func BenchmarkIngress(b *testing.B) {
	policies, pods := clusterOf(b, 300)
	set := Compile(policies, testOptions())
	i := 0
	for b.Loop() {
		i++
		set.Ingress(pods[i%300], Peer{Reserved: []string{RemoteNode}}, Port{Protocol: "TCP", Number: 80})
	}
}
