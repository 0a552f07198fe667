package signature

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// incidentConfig is the reported configuration, as the agent reads it.
func incidentConfig(change map[string]string) cilium.Config {
	values := map[string]string{
		"enable-ipv4": "true", "enable-ipv6": "true", "routing-mode": "native", "auto-direct-node-routes": "true",
		"direct-routing-skip-unreachable": "true", "ipam": "kubernetes", "kube-proxy-replacement": "true",
		"ipv4-native-routing-cidr": "10.101.0.0/16", "ipv6-native-routing-cidr": "fd00:101::/48",
		"enable-ipv4-masquerade": "false", "enable-ipv6-masquerade": "true", "enable-bpf-masquerade": "false",
		"enable-host-legacy-routing": "true", "bpf-lb-sock-hostns-only": "true",
	}
	for k, v := range change {
		if v == "" {
			delete(values, k)
			continue
		}
		values[k] = v
	}
	return cilium.Config{Version: "1.18.6", Values: values, Source: "test"}
}

func node(name string, i int) snapshot.Node {
	v6 := netip.MustParseAddr("fd00:101::10")
	v4 := netip.MustParseAddr("10.101.0.10")
	for range i {
		v6, v4 = v6.Next(), v4.Next()
	}
	pods := netip.MustParseAddr("fd00:101:224::").As16()
	pods[7] = byte(i + 1)
	return snapshot.Node{Name: name, Source: "Node " + name, InternalIPs: []netip.Addr{v6, v4},
		PodCIDRs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom16(pods), 64), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 101, 225, byte(32 * i)}), 27)}}
}

func sameNamespacePolicy(ns string) snapshot.Policy {
	return snapshot.Policy{Kind: "NetworkPolicy", Namespace: ns, Name: "allow-same", Source: "NetworkPolicy " + ns + "/allow-same",
		Kubernetes: &networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}}}}
}

func pod(ns, name, nodeName, ip6, ip4 string) snapshot.Pod {
	return snapshot.Pod{Namespace: ns, Name: name, Node: nodeName, Labels: map[string]string{"app": name},
		IPs: []netip.Addr{netip.MustParseAddr(ip6), netip.MustParseAddr(ip4)}, Source: "Pod " + ns + "/" + name}
}

// incident is the smallest cluster that shows the fault: two nodes, two pods
// behind a same-namespace policy.
func incident() *snapshot.Snapshot {
	return &snapshot.Snapshot{
		Nodes: []snapshot.Node{node("n1", 0), node("n2", 1)},
		Pods: []snapshot.Pod{
			pod("team", "a", "n1", "fd00:101:224:1::a", "10.101.225.2"), pod("team", "b", "n2", "fd00:101:224:2::b", "10.101.225.34"),
			pod("open", "o", "n2", "fd00:101:224:2::c", "10.101.225.35"),
		},
		Namespaces: []snapshot.Namespace{{Name: "team"}, {Name: "open"}},
		Policies:   []snapshot.Policy{sameNamespacePolicy("team")},
		PodPools:   []snapshot.CIDR{{Prefix: netip.MustParsePrefix("fd00:101:224::/60"), Source: "--cluster-cidr"}},
		ReadKinds:  map[string]bool{"Node": true, "Pod": true, "Namespace": true, "NetworkPolicy": true, "CiliumNetworkPolicy": true},
	}
}

func probe(o v1alpha1.Observation) snapshot.ProbeObservation {
	o.From = v1alpha1.Endpoint{Namespace: "team", Pod: "a", Node: "n1", IP: "fd00:101:224:1::a"}
	if o.To.Node == "" {
		o.To = v1alpha1.Endpoint{Namespace: "team", Pod: "b", Node: "n2", IP: "fd00:101:224:2::b"}
	}
	if o.Via == "" {
		o.Via = "PodIP"
	}
	if o.Family == "" {
		o.Family = cidr.IPv6
	}
	return snapshot.ProbeObservation{Observation: o, Source: "ProbeReport n1 #1"}
}

func input(t *testing.T, cfg cilium.Config, s *snapshot.Snapshot) *Input {
	t.Helper()
	in := &Input{Snapshot: s, Config: cfg, Start: cilium.CheckStart(cfg), Rendered: true}
	in.Settings, _ = cilium.Effective(cfg)
	m, err := datapath.New(datapath.Input{Config: cfg, Snapshot: s})
	if err != nil {
		t.Fatal(err)
	}
	in.Model, in.Analysis = m, m.Analyse()
	return in
}

func all(in *Input) map[string]v1alpha1.Finding {
	out := map[string]v1alpha1.Finding{}
	for _, s := range All() {
		for _, f := range s.Detect(in) {
			out[f.Signature+"/"+f.Family] = f
		}
	}
	return out
}

func TestNativeRoutingCIDR(t *testing.T) {
	const flagship = NativeRoutingCIDRExcludesPods + "/IPv6"
	tests := []struct {
		name       string
		change     map[string]string
		snapshot   func(*snapshot.Snapshot)
		want       string
		severity   v1alpha1.Severity
		confidence v1alpha1.Confidence
	}{
		{name: "as reported", want: flagship, severity: "critical", confidence: "predicted"},
		{name: "under BPF masquerade as well", change: map[string]string{"enable-bpf-masquerade": "true"}, want: flagship, severity: "critical", confidence: "predicted"},
		{name: "the target saw the node", want: flagship, severity: "critical", confidence: "confirmed",
			snapshot: func(s *snapshot.Snapshot) {
				s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "OK", Target: "open", SourceSeen: "fd00:101::10"}))
			}},
		{name: "a drop with identity kube-apiserver", want: flagship, severity: "critical", confidence: "confirmed",
			snapshot: func(s *snapshot.Snapshot) {
				s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "Timeout", DropReason: "Policy denied", SourceIdentity: "kube-apiserver"}))
			}},
		{name: "open reached, guarded not", want: flagship, severity: "critical", confidence: "confirmed",
			snapshot: func(s *snapshot.Snapshot) {
				s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "OK", Target: "open"}), probe(v1alpha1.Observation{Outcome: "Timeout", Target: "guarded"}))
			}},
		{name: "a namespace without policies counts as open", want: flagship, severity: "critical", confidence: "confirmed",
			snapshot: func(s *snapshot.Snapshot) {
				open := v1alpha1.Endpoint{Namespace: "open", Pod: "o", Node: "n2", IP: "fd00:101:224:2::c"}
				s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "OK", To: open}), probe(v1alpha1.Observation{Outcome: "Timeout"}))
			}},
		{name: "a lost ping alone confirms nothing", want: flagship, severity: "critical", confidence: "predicted",
			snapshot: func(s *snapshot.Snapshot) {
				s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "Timeout", Protocol: "ICMP", Sent: 3}))
			}},
		{name: "an unreliable prober confirms nothing", want: flagship, severity: "critical", confidence: "predicted",
			snapshot: func(s *snapshot.Snapshot) {
				s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "OK", Target: "open", SourceSeen: "fd00:101::10", Unreliable: true}))
			}},
		{name: "the host network confirms nothing", want: flagship, severity: "critical", confidence: "predicted",
			snapshot: func(s *snapshot.Snapshot) {
				s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "OK", Target: "open", SourceSeen: "fd00:101::10", HostNetwork: true}))
			}},
		{name: "the other family confirms nothing", want: flagship, severity: "critical", confidence: "predicted",
			snapshot: func(s *snapshot.Snapshot) {
				s.Probes = append(s.Probes, probe(v1alpha1.Observation{Family: cidr.IPv4, Outcome: "OK", Target: "open", SourceSeen: "10.101.0.10"}))
			}},
		{name: "a target that saw the pod refutes it", want: flagship, severity: "critical", confidence: "possible",
			snapshot: func(s *snapshot.Snapshot) {
				s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "OK", Target: "open", SourceSeen: "fd00:101:224:1::a"}))
			}},
		{name: "masked while masquerade is off", change: map[string]string{"enable-ipv6-masquerade": "false"}, want: flagship, severity: "warning", confidence: "predicted"},
		{name: "no policy that could fail", want: flagship, severity: "warning", confidence: "predicted", snapshot: func(s *snapshot.Snapshot) { s.Policies = nil }},
		{name: "policies not in view", want: flagship, severity: "critical", confidence: "predicted", snapshot: func(s *snapshot.Snapshot) {
			s.Policies = nil
			delete(s.ReadKinds, "NetworkPolicy")
		}},
		{name: "nodes' ranges without a pool", want: flagship, severity: "critical", confidence: "predicted", snapshot: func(s *snapshot.Snapshot) { s.PodPools = nil }},
		{name: "IPv4 on and outside", change: map[string]string{"enable-ipv4-masquerade": "true", "ipv4-native-routing-cidr": "10.101.0.0/24"},
			want: NativeRoutingCIDRExcludesPods + "/IPv4", severity: "critical", confidence: "predicted"},
		{name: "the trap: the number of the report in the ip-masq-agent", change: map[string]string{"enable-bpf-masquerade": "true", "enable-ip-masq-agent": "true"},
			want: IPMasqAgentExcludesPods + "/IPv6", severity: "critical", confidence: "predicted"},
		{name: "the services' range", change: map[string]string{"ipv6-native-routing-cidr": "fd00:101:96::/108"},
			snapshot: func(s *snapshot.Snapshot) {
				s.ServiceCIDRs = []snapshot.CIDR{{Prefix: netip.MustParsePrefix("fd00:101:96::/108"), Source: "flag"}}
			},
			want: NativeRoutingCIDRInServices + "/IPv6", severity: "critical", confidence: "predicted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := incident()
			if tt.snapshot != nil {
				tt.snapshot(s)
			}
			cfg := incidentConfig(tt.change)
			trap := "nonMasqueradeCIDRs: [\"fd00:101::/48\"]"
			cfg.MasqAgent = &trap
			f, ok := all(input(t, cfg, s))[tt.want]
			if !ok {
				t.Fatalf("no %s", tt.want)
			}
			if f.Severity != tt.severity || f.Confidence != tt.confidence {
				t.Errorf("%s, %s; want %s, %s (lacked %q)", f.Severity, f.Confidence, tt.severity, tt.confidence, f.Lacked)
			}
			if len(f.Evidence) == 0 {
				t.Error("a finding without evidence")
			}
		})
	}
}

func TestNativeRoutingCIDRQuiet(t *testing.T) {
	tests := []struct {
		name   string
		change map[string]string
	}{
		{"covers the pods: /38", map[string]string{"ipv6-native-routing-cidr": "fd00:101::/38"}},
		{"covers the pods: /32", map[string]string{"ipv6-native-routing-cidr": "fd00:101::/32"}},
		{"exactly the pods", map[string]string{"ipv6-native-routing-cidr": "fd00:101:224::/60"}},
		{"tunnel", map[string]string{"routing-mode": "tunnel", "auto-direct-node-routes": "", "direct-routing-skip-unreachable": ""}},
		{"ip-masq-agent holds the pods", map[string]string{"enable-bpf-masquerade": "true", "enable-ip-masq-agent": "true"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := incidentConfig(tt.change)
			list := "nonMasqueradeCIDRs: [\"fd00:101:224::/60\"]"
			cfg.MasqAgent = &list
			for id, f := range all(input(t, cfg, incident())) {
				if f.Severity == v1alpha1.SeverityCritical {
					t.Errorf("%s: %s", id, f.Summary)
				}
			}
		})
	}
}

// The neighbours are told apart by what the probes saw.
func TestRuledOut(t *testing.T) {
	s := incident()
	s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "OK", Target: "open", SourceSeen: "fd00:101::10"}),
		probe(v1alpha1.Observation{Outcome: "Timeout", Protocol: "ICMP", Bytes: 104, Sent: 3}))
	f := all(input(t, incidentConfig(nil), s))[NativeRoutingCIDRExcludesPods+"/IPv6"]
	got := map[string]string{}
	for _, r := range f.RuledOut {
		got[r.Signature] = r.Because
	}
	for id, want := range map[string]string{DirectRouteSkipped: "arrived", NoRouteBetweenNodes: "arrived", MTUMismatch: "104 bytes", AgentRefusesToStart: "no start-up rule"} {
		if !strings.Contains(got[id], want) {
			t.Errorf("%s ruled out because %q, want %q in it", id, got[id], want)
		}
	}
}

func TestOtherSignatures(t *testing.T) {
	at := time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		name       string
		change     map[string]string
		edit       func(*Input)
		want       string
		confidence v1alpha1.Confidence
	}{
		{name: "refused combination", change: map[string]string{"enable-bpf-masquerade": "true", "enable-ipv6-masquerade": "false"}, want: AgentRefusesToStart + "/", confidence: "predicted"},
		{name: "refused and seen crashing", change: map[string]string{"enable-bpf-masquerade": "true", "enable-ipv6-masquerade": "false"},
			edit: func(in *Input) {
				in.Snapshot.AgentDaemonSet = snapshot.Known(snapshot.DaemonSet{Agents: []snapshot.AgentPod{{Name: "cilium-x", Node: "n1", WaitingReason: "CrashLoopBackOff"}}}, "x")
			}, want: AgentRefusesToStart + "/", confidence: "confirmed"},
		{name: "chart fails", edit: func(in *Input) { in.RenderFailure = "kubeProxyReplacement must be explicitly set\nmore" }, want: ChartRefusesValues + "/", confidence: "predicted"},
		{name: "dead key", edit: func(in *Input) {
			in.DeadKeys = []DeadKey{{Path: "mtu", Value: "1450", Source: "values.yaml:48", RightKey: "MTU"}}
		}, want: ValuesKeyHasNoEffect + "/", confidence: "confirmed"},
		{name: "live differs", edit: func(in *Input) {
			live := incidentConfig(map[string]string{"ipv6-native-routing-cidr": "fd00:101::/32"})
			in.Live = &live
		}, want: LiveConfigDiffers + "/", confidence: "confirmed"},
		{name: "agents older than the change", edit: func(in *Input) {
			in.Snapshot.AgentConfigChanged = at
			in.Snapshot.AgentDaemonSet = snapshot.Known(snapshot.DaemonSet{Agents: []snapshot.AgentPod{{Node: "n1", Started: at.Add(-time.Hour)}, {Node: "n2", Started: at.Add(time.Hour)}}}, "x")
		}, want: ConfigNotActive + "/", confidence: "confirmed"},
		{name: "nobody routes", change: map[string]string{"auto-direct-node-routes": "false", "direct-routing-skip-unreachable": ""}, want: NoRouteBetweenNodes + "/IPv6", confidence: "possible"},
		{name: "nobody routes, open target lost", change: map[string]string{"auto-direct-node-routes": "false", "direct-routing-skip-unreachable": ""},
			edit: func(in *Input) {
				in.Snapshot.Probes = append(in.Snapshot.Probes, probe(v1alpha1.Observation{Outcome: "Timeout", Target: "open"}))
			}, want: NoRouteBetweenNodes + "/IPv6", confidence: "confirmed"},
		{name: "two segments", edit: func(in *Input) {
			in.Snapshot.Nodes[1].InternalIPs = []netip.Addr{netip.MustParseAddr("fd00:101:0:1::22")}
		}, want: DirectRouteSkipped + "/IPv6", confidence: "possible"},
		{name: "two segments, open target lost", edit: func(in *Input) {
			in.Snapshot.Nodes[1].InternalIPs = []netip.Addr{netip.MustParseAddr("fd00:101:0:1::22")}
			in.Snapshot.Probes = append(in.Snapshot.Probes, probe(v1alpha1.Observation{Outcome: "Timeout", Target: "open"}))
		}, want: DirectRouteSkipped + "/IPv6", confidence: "confirmed"},
		{name: "two segments, not skipped", change: map[string]string{"direct-routing-skip-unreachable": ""}, edit: func(in *Input) {
			in.Snapshot.Nodes[1].InternalIPs = []netip.Addr{netip.MustParseAddr("fd00:101:0:1::22")}
		}, want: NoRouteBetweenNodes + "/IPv6", confidence: "possible"},
		{name: "more than 16 bits", edit: func(in *Input) {
			in.Snapshot.NodeMaskSize = map[string]snapshot.Fact[int]{cidr.IPv6: snapshot.Known(80, "--node-cidr-mask-size-ipv6")}
		}, want: NodeCIDRMaskImpossible + "/IPv6", confidence: "predicted"},
		{name: "full-size packets lost", edit: func(in *Input) {
			in.Snapshot.Probes = append(in.Snapshot.Probes, probe(v1alpha1.Observation{Outcome: "OK", Target: "open", Bytes: 104}), probe(v1alpha1.Observation{Outcome: "Timeout", Target: "open", Bytes: 1500}))
		}, want: MTUMismatch + "/IPv6", confidence: "confirmed"},
		{name: "MTU above the device's", change: map[string]string{"mtu": "1500"}, edit: func(in *Input) { in.Snapshot.Nodes[0].MTU = 1450 }, want: MTUMismatch + "/", confidence: "predicted"},
		{name: "Flux says so", edit: func(in *Input) {
			in.Snapshot.Flux = []snapshot.FluxObject{{Kind: "Kustomization", Name: "apps", Ready: snapshot.No, Source: "Kustomization flux-system/apps",
				Message: "failed to download archive: GET http://source-controller.flux-system.svc.cluster.local./x: dial tcp: i/o timeout"}}
		}, want: FluxIsAVictim + "/", confidence: "confirmed"},
		{name: "Flux by the model", edit: func(in *Input) {
			in.Snapshot.Pods[0].Labels, in.Snapshot.Pods[1].Labels = map[string]string{"app": "kustomize-controller"}, map[string]string{"app": "source-controller"}
		}, want: FluxIsAVictim + "/IPv6", confidence: "predicted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input(t, incidentConfig(tt.change), incident())
			if tt.edit != nil {
				tt.edit(in)
				fresh := input(t, in.Config, in.Snapshot)
				in.Model, in.Analysis = fresh.Model, fresh.Analysis
			}
			found := all(in)
			f, ok := found[tt.want]
			if !ok {
				t.Fatalf("no %s among %v", tt.want, keys(found))
			}
			if f.Confidence != tt.confidence {
				t.Errorf("confidence %s, want %s", f.Confidence, tt.confidence)
			}
		})
	}
}

func keys(m map[string]v1alpha1.Finding) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

// What refutes a route signature silences it.
func TestRouteSignaturesRefuted(t *testing.T) {
	s := incident()
	s.Nodes[1].InternalIPs = []netip.Addr{netip.MustParseAddr("fd00:101:0:1::22")}
	s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "OK", Target: "open"}))
	if f, ok := all(input(t, incidentConfig(nil), s))[DirectRouteSkipped+"/IPv6"]; ok {
		t.Errorf("a target across the segments was reached, and still: %s", f.Summary)
	}
}

func TestLiveConfigDefaultsAreNoDifference(t *testing.T) {
	rendered, live := incidentConfig(nil), incidentConfig(map[string]string{"direct-routing-skip-unreachable": "true", "enable-bpf-masquerade": ""})
	if got := Differences(rendered, live); len(got) != 0 {
		t.Errorf("a key left at the agent's default counts as a difference: %v", got)
	}
}

// Every signature tells a person what it is, and points at real neighbours.
func TestCatalogueIsComplete(t *testing.T) {
	for _, s := range All() {
		if s.Title == "" || s.Explanation == "" || len(s.Shows) == 0 || len(s.DependsOn) == 0 || len(s.Sources) == 0 || s.Versions == "" || s.Detect == nil {
			t.Errorf("%s is incomplete", s.ID)
		}
		for _, n := range s.Neighbours {
			if _, ok := ByID(n.ID); !ok || n.ToldApartBy == "" {
				t.Errorf("%s: neighbour %q", s.ID, n.ID)
			}
		}
		for _, e := range s.Effects {
			if _, ok := ByID(e); !ok {
				t.Errorf("%s: effect %q", s.ID, e)
			}
		}
	}
}

func TestFullNotation(t *testing.T) {
	for in, want := range map[string]string{
		"fd00:101::/48": "fd00:0101:0000::/48", "fd00:101:224::/60": "fd00:0101:0224:0000::/60", "10.0.0.0/8": "10.0.0.0/8",
	} {
		if got := full(netip.MustParsePrefix(in)); got != want {
			t.Errorf("full(%s) = %s, want %s", in, got, want)
		}
	}
}
