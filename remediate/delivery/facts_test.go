package delivery

import (
	"net/netip"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

func snap() *snapshot.Snapshot {
	addr := netip.MustParseAddr
	pod := func(name, app, node, ip string) snapshot.Pod {
		return snapshot.Pod{Namespace: "flux-system", Name: name, Node: node, IPs: []netip.Addr{addr(ip)}, Labels: map[string]string{"app": app}}
	}
	s := &snapshot.Snapshot{
		Pods: []snapshot.Pod{
			pod("source", SourceController, "node-2", "fd00::2"), pod("kustomize", KustomizeController, "node-7", "fd00::7"),
			pod("helm", HelmController, "node-2", "fd00::3"), pod("notification", "notification-controller", "node-1", "fd00::4"),
		},
		Services:  []snapshot.Service{{Namespace: "flux-system", Name: SourceController, ClusterIPs: []netip.Addr{addr("fd00::a"), addr("::ffff:10.0.0.1")}}},
		Policies:  []snapshot.Policy{{Namespace: "flux-system", Kubernetes: &networkingv1.NetworkPolicySpec{}}},
		ReadKinds: map[string]bool{"NetworkPolicy": true},
		Flux: []snapshot.FluxObject{
			{Kind: "GitRepository", Name: "a"}, {Kind: "OCIRepository", Name: "b"}, {Kind: "Kustomization", Name: "c"}, {Kind: "HelmRelease", Name: "d"},
		},
	}
	return s.Indexed()
}

func probe(s *snapshot.Snapshot, outcome string, change func(*v1alpha1.Observation)) {
	o := v1alpha1.Observation{From: v1alpha1.Endpoint{Node: "node-7"}, To: v1alpha1.Endpoint{Node: "node-2"}, Via: "PodIP", Family: "IPv6", Protocol: "TCP", Target: "guarded", Outcome: outcome}
	if change != nil {
		change(&o)
	}
	s.Probes = append(s.Probes, snapshot.ProbeObservation{Observation: o})
}

func TestFactsOf(t *testing.T) {
	s := snap()
	f := FactsOf(s, nil, "")
	if len(f.Pods) != 3 || f.Pods[1].Label != "app" || strings.Join(f.Families, " ") != "IPv6 IPv4" {
		t.Errorf("pods %+v, families %v", f.Pods, f.Families)
	}
	if len(f.Sources) != 1 || len(f.Consumers[KustomizeController]) != 1 || len(f.Consumers[HelmController]) != 1 {
		t.Errorf("sources %+v, consumers %+v", f.Sources, f.Consumers)
	}
	if len(f.Paths) != 0 {
		t.Errorf("paths without probes and without a model: %+v", f.Paths)
	}
	if f := FactsOf(s, nil, "elsewhere"); len(f.Pods) != 0 || len(f.Families) != 0 {
		t.Errorf("facts of another namespace: %+v", f)
	}
}

func TestObserved(t *testing.T) {
	tests := []struct {
		name string
		fill func(*snapshot.Snapshot)
		want Arrival
	}{
		{"answered", func(s *snapshot.Snapshot) { probe(s, "OK", nil) }, Yes},
		{"lost", func(s *snapshot.Snapshot) { probe(s, "Timeout", nil); probe(s, "Unreachable", nil) }, No},
		{"some lost", func(s *snapshot.Snapshot) { probe(s, "Timeout", nil); probe(s, "OK", nil) }, Partly},
		{"answered before the fault, by what is seldom tried", func(s *snapshot.Snapshot) {
			probe(s, "OK", func(o *v1alpha1.Observation) { o.At, o.Bytes = "2026-11-23T10:00:00Z", 1400 })
			probe(s, "Timeout", func(o *v1alpha1.Observation) { o.At = "2026-11-23T10:05:00.5Z" })
		}, No},
		{"some lost in the same minute", func(s *snapshot.Snapshot) {
			probe(s, "OK", func(o *v1alpha1.Observation) { o.At = "2026-11-23T10:04:30Z" })
			probe(s, "Timeout", func(o *v1alpha1.Observation) { o.At = "2026-11-23T10:05:00.5Z" })
		}, Partly},
		{"nothing", func(*snapshot.Snapshot) {}, ""},
		{"not checked", func(s *snapshot.Snapshot) { probe(s, "NotChecked", nil) }, ""},
		{"a starved prober", func(s *snapshot.Snapshot) { probe(s, "Timeout", func(o *v1alpha1.Observation) { o.Unreliable = true }) }, ""},
		{"from the node's network", func(s *snapshot.Snapshot) { probe(s, "OK", func(o *v1alpha1.Observation) { o.HostNetwork = true }) }, ""},
		{"an open target, which Flux' pods are not", func(s *snapshot.Snapshot) { probe(s, "OK", func(o *v1alpha1.Observation) { o.Target = "open" }) }, ""},
		{"an open target, and no policy", func(s *snapshot.Snapshot) {
			s.Policies = nil
			probe(s, "OK", func(o *v1alpha1.Observation) { o.Target = "open" })
		}, Yes},
		{"policies not read", func(s *snapshot.Snapshot) { s.ReadKinds = nil; probe(s, "OK", nil) }, ""},
		{"the other direction", func(s *snapshot.Snapshot) {
			probe(s, "OK", func(o *v1alpha1.Observation) { o.From, o.To = o.To, o.From })
		}, ""},
		{"the other family", func(s *snapshot.Snapshot) { probe(s, "OK", func(o *v1alpha1.Observation) { o.Family = "IPv4" }) }, ""},
		{"a ping", func(s *snapshot.Snapshot) { probe(s, "OK", func(o *v1alpha1.Observation) { o.Protocol = "ICMP" }) }, ""},
		{"over a Service", func(s *snapshot.Snapshot) { probe(s, "OK", func(o *v1alpha1.Observation) { o.Via = "ClusterIP" }) }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := snap()
			tt.fill(s)
			var got Arrival
			for _, p := range FactsOf(s, nil, "").Paths {
				if p.From == "kustomize" && p.Family == "IPv6" && p.Source == Observed {
					got = p.Works
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestClip(t *testing.T) {
	tests := []struct{ in, want string }{
		{"a\x1b[31m\nb", "a [31m b"}, {"a\u2028b\u0085c", "a b c"}, {"\xff", "?"}, {strings.Repeat("ä", 10), "ää…"},
	}
	for _, tt := range tests {
		if got := clip(tt.in, len(tt.want)-len("…")+map[bool]int{true: 0, false: 3}[strings.HasSuffix(tt.want, "…")]); got != tt.want {
			t.Errorf("clip(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
