package signature

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

func flagshipWith(t *testing.T, edit func(*snapshot.Snapshot), probes ...v1alpha1.Observation) v1alpha1.Finding {
	t.Helper()
	s := incident()
	for _, o := range probes {
		s.Probes = append(s.Probes, probe(o))
	}
	if edit != nil {
		edit(s)
	}
	f, ok := all(input(t, incidentConfig(nil), s))[NativeRoutingCIDRExcludesPods+"/IPv6"]
	if !ok {
		t.Fatal("no finding")
	}
	return f
}

func because(f v1alpha1.Finding, id string) string {
	for _, r := range f.RuledOut {
		if r.Signature == id {
			return r.Because
		}
	}
	return ""
}

func evidenceText(f v1alpha1.Finding) string {
	var out []string
	for _, e := range f.Evidence {
		out = append(out, e.Text)
	}
	return strings.Join(out, "\n")
}

// A guarded target that answers a pod of another node contradicts the fault.
func TestGuardedTargetAnswers(t *testing.T) {
	const answered = "answered"
	other := v1alpha1.Endpoint{Namespace: "open", Pod: "o", Node: "n2", IP: "fd00:101:224:2::c"}
	sameNode := v1alpha1.Endpoint{Namespace: "team", Pod: "b", Node: "n1", IP: "fd00:101:224:1::b"}
	admitted := func(s *snapshot.Snapshot) {
		s.Policies[0] = snapshot.Policy{Kind: "CiliumNetworkPolicy", Namespace: "team", Name: "all", Source: "CiliumNetworkPolicy team/all",
			Cilium: []map[string]any{{"endpointSelector": map[string]any{}, "ingress": []any{map[string]any{"fromEntities": []any{"cluster"}}}}}}
	}
	tests := []struct {
		name    string
		edit    func(*snapshot.Snapshot)
		probes  []v1alpha1.Observation
		want    v1alpha1.Confidence
		refutes bool
	}{
		{"over TCP", nil, []v1alpha1.Observation{{Outcome: "OK", Target: "guarded", Protocol: "TCP"}}, "possible", true},
		{"over ICMP", nil, []v1alpha1.Observation{{Outcome: "OK", Target: "guarded", Protocol: "ICMP", Sent: 3, Received: 3}}, "possible", true},
		{"not declared, and the model has it lost", nil, []v1alpha1.Observation{{Outcome: "OK", Protocol: "TCP"}}, "possible", true},
		{"a refusal may come from anywhere", nil, []v1alpha1.Observation{{Outcome: "Refused", Target: "guarded", Protocol: "TCP"}}, "predicted", false},
		{"while another one is lost", nil, []v1alpha1.Observation{{Outcome: "OK", Target: "guarded", Protocol: "TCP"}, {Outcome: "OK", Target: "open", SourceSeen: "fd00:101::10"}}, "possible", true},
		{"and it saw the node's address", nil, []v1alpha1.Observation{{Outcome: "OK", Target: "guarded", SourceSeen: "fd00:101::10"}}, "confirmed", false},
		{"its policies admit nodes", admitted, []v1alpha1.Observation{{Outcome: "OK", Target: "guarded", Protocol: "TCP"}}, "predicted", false},
		{"an open target says nothing", nil, []v1alpha1.Observation{{Outcome: "OK", To: other, Target: "open"}}, "predicted", false},
		{"on the same node", nil, []v1alpha1.Observation{{Outcome: "OK", Target: "guarded", To: sameNode}}, "predicted", false},
		{"from the host network", nil, []v1alpha1.Observation{{Outcome: "OK", Target: "guarded", HostNetwork: true}}, "predicted", false},
		{"unreliable", nil, []v1alpha1.Observation{{Outcome: "OK", Target: "guarded", Unreliable: true}}, "predicted", false},
		{"the other family", nil, []v1alpha1.Observation{{Outcome: "OK", Target: "guarded", Family: "IPv4"}}, "predicted", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := flagshipWith(t, tt.edit, tt.probes...)
			if f.Confidence != tt.want {
				t.Errorf("confidence %s, want %s", f.Confidence, tt.want)
			}
			if got := strings.Contains(evidenceText(f), answered); got != tt.refutes {
				t.Errorf("the answer is in the evidence: %v, want %v:\n%s", got, tt.refutes, evidenceText(f))
			}
			if tt.refutes && (!strings.Contains(strings.Join(f.Lacked, " "), "from n1 to n2") || !strings.Contains(because(f, NoRouteBetweenNodes), "arrived")) {
				t.Errorf("lacked %q, ruled out %v", f.Lacked, f.RuledOut)
			}
		})
	}
}

func TestSpellingsOfIdentities(t *testing.T) {
	for identity, want := range map[string]v1alpha1.Confidence{
		"remote-node": "confirmed", "kube-apiserver": "confirmed", "reserved:remote-node": "confirmed", "reserved:kube-apiserver": "confirmed", "6": "confirmed", "7": "confirmed",
		"reserved:kube-apiserver,reserved:remote-node": "confirmed",
		"world-ipv6": "predicted", "reserved:world": "predicted", "16": "predicted", "": "predicted", "k8s:app=remote-node": "predicted",
	} {
		f := flagshipWith(t, nil, v1alpha1.Observation{Outcome: "Timeout", DropReason: "Policy denied", SourceIdentity: identity})
		if f.Confidence != want {
			t.Errorf("identity %q: %s, want %s", identity, f.Confidence, want)
		}
	}
}

// Only what every path must carry is small: 1280 bytes for IPv6, 576 for IPv4.
func TestSizesThatRuleOutTheMTU(t *testing.T) {
	tests := []struct {
		name   string
		family string
		probes []v1alpha1.Observation
		ruled  bool
		mtu    bool
	}{
		{"104 bytes lost", "IPv6", []v1alpha1.Observation{{Outcome: "Timeout", Bytes: 104}}, true, false},
		{"1280 bytes lost", "IPv6", []v1alpha1.Observation{{Outcome: "Timeout", Bytes: 1280}}, true, false},
		{"1281 bytes lost", "IPv6", []v1alpha1.Observation{{Outcome: "Timeout", Bytes: 1281}}, false, false},
		{"1500 bytes lost", "IPv6", []v1alpha1.Observation{{Outcome: "Timeout", Bytes: 1500}}, false, false},
		{"576 bytes lost", "IPv4", []v1alpha1.Observation{{Family: "IPv4", Outcome: "Timeout", Bytes: 576}}, true, false},
		{"577 bytes lost", "IPv4", []v1alpha1.Observation{{Family: "IPv4", Outcome: "Timeout", Bytes: 577}}, false, false},
		{"64 pass, 1500 do not", "IPv6", []v1alpha1.Observation{{Outcome: "OK", Target: "guarded", Bytes: 64}, {Outcome: "Timeout", Target: "guarded", Bytes: 1500}}, false, true},
		{"small ones lost to one target, large ones to another", "IPv6", []v1alpha1.Observation{{Outcome: "OK", Target: "open", Bytes: 104},
			{Outcome: "Timeout", Target: "open", Bytes: 1500}, {Outcome: "Timeout", Target: "guarded", Bytes: 104}}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := incident()
			for _, o := range tt.probes {
				s.Probes = append(s.Probes, probe(o))
			}
			cfg := incidentConfig(map[string]string{"enable-ipv4-masquerade": "true", "ipv4-native-routing-cidr": "10.101.0.0/24"})
			found := all(input(t, cfg, s))
			got := because(found[NativeRoutingCIDRExcludesPods+"/"+tt.family], MTUMismatch)
			if (got != "") != tt.ruled {
				t.Errorf("%s ruled out because %q, want %v", MTUMismatch, got, tt.ruled)
			}
			if _, ok := found[MTUMismatch+"/"+tt.family]; ok != tt.mtu {
				t.Errorf("%s found: %v, want %v", MTUMismatch, ok, tt.mtu)
			}
		})
	}
}

// A guarded target that lost only large packets is no sign of a lost identity.
func TestLargePacketsLostConfirmNothing(t *testing.T) {
	f := flagshipWith(t, nil, v1alpha1.Observation{Outcome: "OK", Target: "open", Bytes: 104}, v1alpha1.Observation{Outcome: "Timeout", Target: "guarded", Bytes: 1500})
	if f.Confidence != v1alpha1.ConfidencePredicted {
		t.Errorf("%s: %s", f.Confidence, evidenceText(f))
	}
	f = flagshipWith(t, nil, v1alpha1.Observation{Outcome: "OK", Target: "open", Bytes: 1500}, v1alpha1.Observation{Outcome: "Timeout", Target: "guarded", Bytes: 1500})
	if f.Confidence != v1alpha1.ConfidenceConfirmed {
		t.Errorf("the same size reached an open target, and still %s", f.Confidence)
	}
}

func TestConfigNotActive(t *testing.T) {
	at := time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)
	agents := func(n1, n2 time.Duration) func(*snapshot.Snapshot) {
		return func(s *snapshot.Snapshot) {
			s.AgentConfigChanged = at
			s.AgentDaemonSet = snapshot.Known(snapshot.DaemonSet{Agents: []snapshot.AgentPod{{Node: "n1", Started: at.Add(n1)}, {Node: "n2", Started: at.Add(n2)}}}, "DaemonSet cilium")
		}
	}
	lost := func(o v1alpha1.Observation) func(*snapshot.Snapshot) {
		return func(s *snapshot.Snapshot) { s.Probes = append(s.Probes, probe(o)) }
	}
	timeout := lost(v1alpha1.Observation{Outcome: "Timeout", Target: "guarded", Protocol: "TCP"})
	fluxFails := func(s *snapshot.Snapshot) {
		s.Flux = []snapshot.FluxObject{{Kind: "Kustomization", Name: "apps", Ready: snapshot.No, Source: "Kustomization flux-system/apps",
			Message: "failed to download archive: GET http://source-controller.flux-system.svc.cluster.local./x: dial tcp: i/o timeout"}}
	}
	denied := func(s *snapshot.Snapshot) {
		p := probe(v1alpha1.Observation{Outcome: "Timeout", Protocol: "TCP"})
		p.From = v1alpha1.Endpoint{Namespace: "open", Pod: "o", Node: "n2", IP: "fd00:101:224:2::c"}
		p.To = v1alpha1.Endpoint{Namespace: "team", Pod: "a", Node: "n1", IP: "fd00:101:224:1::a"}
		s.Probes = append(s.Probes, p)
	}
	deniedByRule := func(s *snapshot.Snapshot) {
		s.Policies = append(s.Policies, snapshot.Policy{Kind: "CiliumNetworkPolicy", Namespace: "team", Name: "no", Source: "CiliumNetworkPolicy team/no",
			Cilium: []map[string]any{{"endpointSelector": map[string]any{}, "ingressDeny": []any{map[string]any{"fromEndpoints": []any{map[string]any{"matchLabels": map[string]any{"k8s:io.kubernetes.pod.namespace": "team"}}}}}}}})
	}
	drift := func(node string, keys int) func(*snapshot.Snapshot) {
		return func(s *snapshot.Snapshot) {
			s.AgentMetrics = append(s.AgentMetrics, snapshot.AgentMetrics{Node: node, Drift: snapshot.Known(keys, "drift"), Source: "metrics of cilium-" + node})
		}
	}
	hour := time.Hour
	repaired := map[string]string{"ipv6-native-routing-cidr": "fd00:101::/32"}
	refused := map[string]string{"ipv6-native-routing-cidr": "fd00:101::/32", "enable-bpf-masquerade": "true", "kube-proxy-replacement": "false"}
	tests := []struct {
		name     string
		change   map[string]string
		edits    []func(*snapshot.Snapshot)
		severity v1alpha1.Severity // empty: no finding
	}{
		{"nothing fails", repaired, []func(*snapshot.Snapshot){agents(-hour, hour)}, "warning"},
		{"probes are lost", repaired, []func(*snapshot.Snapshot){agents(-hour, hour), timeout}, "critical"},
		{"probes are lost on nodes that are up to date", repaired, []func(*snapshot.Snapshot){func(s *snapshot.Snapshot) {
			agents(hour, hour)(s)
			s.AgentDaemonSet.Value.Agents = append(s.AgentDaemonSet.Value.Agents, snapshot.AgentPod{Node: "n3", Started: at.Add(-hour)})
		}, timeout}, "warning"},
		{"what a policy means to deny is no loss", repaired, []func(*snapshot.Snapshot){agents(-hour, -hour), denied}, "warning"},
		{"nor what a rule denies by name", repaired, []func(*snapshot.Snapshot){agents(-hour, -hour), timeout, deniedByRule}, "warning"},
		{"an unreliable probe", repaired, []func(*snapshot.Snapshot){agents(-hour, -hour), lost(v1alpha1.Observation{Outcome: "Timeout", Target: "guarded", Unreliable: true})}, "warning"},
		{"Flux times out", repaired, []func(*snapshot.Snapshot){agents(-hour, -hour), fluxFails}, "critical"},
		{"the new configuration loses them as well", nil, []func(*snapshot.Snapshot){agents(-hour, -hour), timeout}, "critical"},
		{"only the new configuration would lose them", nil, []func(*snapshot.Snapshot){agents(-hour, -hour)}, "warning"},
		{"it loses what a younger agent's node sends", nil, []func(*snapshot.Snapshot){agents(hour, -hour), timeout}, "warning"},
		{"it loses what an older agent's node sends", nil, []func(*snapshot.Snapshot){agents(-hour, hour), timeout}, "critical"},
		{"lost where an older agent is, and it is not the new configuration", repaired, []func(*snapshot.Snapshot){agents(hour, -hour), timeout}, "critical"},
		{"the new configuration is refused", refused, []func(*snapshot.Snapshot){agents(-hour, -hour)}, "warning"},
		{"every agent is younger", repaired, []func(*snapshot.Snapshot){agents(hour, hour), timeout}, ""},
		{"younger, and an agent tells of drift", repaired, []func(*snapshot.Snapshot){agents(hour, hour), drift("n1", 2), drift("n2", 0)}, "warning"},
		{"drift, and its pods lose packets", repaired, []func(*snapshot.Snapshot){drift("n1", 2), drift("n2", 0), timeout}, "critical"},
		{"drift elsewhere", repaired, []func(*snapshot.Snapshot){drift("n1", 0), drift("n2", 0), drift("n3", 1), timeout}, "warning"},
		{"no drift", repaired, []func(*snapshot.Snapshot){drift("n1", 0), drift("n2", 0), timeout}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := incident()
			for _, edit := range tt.edits {
				edit(s)
			}
			f := all(input(t, incidentConfig(tt.change), s))[ConfigNotActive+"/"]
			if f.Severity != tt.severity {
				t.Fatalf("severity %q, want %q", f.Severity, tt.severity)
			}
			said := strings.Join(f.Explanation, " ")
			if tt.severity != "" && !strings.Contains(said, "kubectl -n kube-system rollout restart daemonset/cilium") {
				t.Errorf("the explanation does not say how to restart: %q", f.Explanation)
			}
			if faulty := tt.change["ipv6-native-routing-cidr"] == "" || tt.change["kube-proxy-replacement"] != ""; tt.severity != "" && strings.Contains(said, "Do not restart them yet") != faulty {
				t.Errorf("what is written is wrong: %v, and the explanation is %q", faulty, said)
			}
		})
	}
}

func TestConfigNotActiveRuledOut(t *testing.T) {
	at := time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		started time.Time
		change  map[string]string
		want    map[string]string // by "signature rules out", words of the reason; empty: not ruled out
	}{
		{"young agents", at.Add(time.Hour), nil, map[string]string{NativeRoutingCIDRExcludesPods + "/IPv6 " + ConfigNotActive: "started after"}},
		{"old agents", at.Add(-time.Hour), nil, map[string]string{NativeRoutingCIDRExcludesPods + "/IPv6 " + ConfigNotActive: "", ConfigNotActive + "/ " + NativeRoutingCIDRExcludesPods: ""}},
		{"old agents, repaired", at.Add(-time.Hour), map[string]string{"ipv6-native-routing-cidr": "fd00:101::/32"},
			map[string]string{ConfigNotActive + "/ " + NativeRoutingCIDRExcludesPods: "holds the pods", ConfigNotActive + "/ " + AgentRefusesToStart: "no start-up rule"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := incident()
			s.AgentConfigChanged = at
			s.AgentDaemonSet = snapshot.Known(snapshot.DaemonSet{Agents: []snapshot.AgentPod{{Node: "n1", Started: tt.started}, {Node: "n2", Started: tt.started}}}, "x")
			s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "Timeout", Target: "guarded", Protocol: "TCP"}))
			found := all(input(t, incidentConfig(tt.change), s))
			for key, want := range tt.want {
				id, rules, _ := strings.Cut(key, " ")
				f, ok := found[id]
				if got := because(f, rules); !ok || (got != "") != (want != "") || !strings.Contains(got, want) {
					t.Errorf("%s rules out %s because %q, want %q (found: %v)", id, rules, got, want, ok)
				}
			}
		})
	}
}

// What is critical and not confirmed says what would confirm it.
func TestCriticalFindingsSayWhatTheyLack(t *testing.T) {
	apart := func(s *snapshot.Snapshot) {
		s.Nodes[1].InternalIPs = []netip.Addr{netip.MustParseAddr("fd00:101:0:1::22")}
	}
	for _, tt := range []struct {
		name   string
		change map[string]string
		edit   func(*snapshot.Snapshot)
		id     string
		want   string
	}{
		{"flagship", nil, nil, NativeRoutingCIDRExcludesPods, "source address"},
		{"ip-masq-agent", map[string]string{"enable-bpf-masquerade": "true", "enable-ip-masq-agent": "true"}, nil, IPMasqAgentExcludesPods, "source address"},
		{"two segments", nil, apart, DirectRouteSkipped, "open target"},
		{"nobody routes", map[string]string{"auto-direct-node-routes": "false", "direct-routing-skip-unreachable": ""}, nil, NoRouteBetweenNodes, "open target"},
		{"MTU", map[string]string{"mtu": "1500"}, func(s *snapshot.Snapshot) { s.Nodes[0].MTU = 1450 }, MTUMismatch, "probes of two sizes"},
		{"node mask", nil, func(s *snapshot.Snapshot) {
			s.NodeMaskSize = map[string]snapshot.Fact[int]{"IPv6": snapshot.Known(80, "--node-cidr-mask-size-ipv6")}
		}, NodeCIDRMaskImpossible, "without a pod CIDR"},
		{"Flux", nil, func(s *snapshot.Snapshot) {
			s.Pods[0].Labels, s.Pods[1].Labels = map[string]string{"app": "kustomize-controller"}, map[string]string{"app": "source-controller"}
		}, FluxIsAVictim, "Flux object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := incident()
			if tt.edit != nil {
				tt.edit(s)
			}
			seen := false
			for _, f := range all(input(t, cfgWithTrap(tt.change), s)) {
				if f.Severity == v1alpha1.SeverityCritical && f.Confidence != v1alpha1.ConfidenceConfirmed && len(f.Lacked) == 0 {
					t.Errorf("%s lacks nothing and is %s", f.Signature, f.Confidence)
				}
				seen = seen || f.Signature == tt.id && strings.Contains(strings.Join(f.Lacked, " "), tt.want)
			}
			if !seen {
				t.Errorf("%s does not lack %q", tt.id, tt.want)
			}
		})
	}
}

func cfgWithTrap(change map[string]string) cilium.Config {
	cfg := incidentConfig(change)
	trap := "nonMasqueradeCIDRs: [\"fd00:101::/48\"]"
	cfg.MasqAgent = &trap
	return cfg
}

// A large cluster's probes say the same thousands of times: each kind of evidence is
// there, from different nodes, and none crowds out the others.
func TestEvidenceOfManyProbes(t *testing.T) {
	var probes []snapshot.ProbeObservation
	for i := range 40 {
		from, to := []string{"n1", "n2"}[i%2], []string{"n2", "n1"}[i%2]
		address := map[string]string{"n1": "fd00:101::10", "n2": "fd00:101::11"}[from]
		o := v1alpha1.Observation{Via: "PodIP", Family: "IPv6", Protocol: "TCP", Sent: 1,
			From: v1alpha1.Endpoint{Namespace: "team", Pod: "a", Node: from, IP: "fd00:101:224:9::" + string(rune('a'+i%6))},
			To:   v1alpha1.Endpoint{Namespace: "p", Pod: "t" + string(rune('a'+i%20)), Node: to}}
		o.Target, o.Outcome, o.SourceSeen = v1alpha1.TargetOpen, v1alpha1.OutcomeOK, address
		probes = append(probes, snapshot.ProbeObservation{Observation: o, Source: "probe on " + from})
		o.Target, o.Outcome, o.SourceSeen = v1alpha1.TargetGuarded, v1alpha1.OutcomeTimeout, ""
		probes = append(probes, snapshot.ProbeObservation{Observation: o, Source: "probe on " + from})
	}
	f := flagshipWith(t, func(s *snapshot.Snapshot) { s.Probes = probes })
	kinds, seen := map[string]int{}, map[v1alpha1.Evidence]bool{}
	for _, e := range f.Evidence {
		if seen[e] {
			t.Errorf("twice: %s", e.Text)
		}
		seen[e] = true
		for _, kind := range []string{"as source: the address of n1", "as source: the address of n2", "an open target is reached and a guarded one is not", "1 sent, 0 received"} {
			if strings.Contains(e.Text, kind) {
				kinds[kind]++
			}
		}
	}
	if len(kinds) != 4 || len(f.Evidence) > 3*mostShown+5 {
		t.Errorf("%d pieces of evidence, of these kinds: %v", len(f.Evidence), kinds)
	}
}
