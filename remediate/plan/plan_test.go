package plan

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// incidentValues are the reported Helm values that matter.
func incidentValues() map[string]any {
	return map[string]any{
		"ipv4": map[string]any{"enabled": true}, "ipv6": map[string]any{"enabled": true},
		"ipam": map[string]any{"mode": "kubernetes"}, "routingMode": "native",
		"autoDirectNodeRoutes": true, "directRoutingSkipUnreachable": true,
		"ipv4NativeRoutingCIDR": "10.101.0.0/16", "ipv6NativeRoutingCIDR": "fd00:101::/48",
		"enableIPv4Masquerade": false, "enableIPv6Masquerade": true,
		"bpf":                  map[string]any{"masquerade": false, "hostLegacyRouting": true},
		"socketLB":             map[string]any{"enabled": true, "hostNamespaceOnly": true},
		"kubeProxyReplacement": "true",
	}
}

func incidentSnapshot() *snapshot.Snapshot {
	s := &snapshot.Snapshot{
		Policies: []snapshot.Policy{{Kind: "NetworkPolicy", Namespace: "flux-system", Name: "allow-egress", Source: "NetworkPolicy flux-system/allow-egress",
			Kubernetes: &networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Ingress"},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}}}}},
		PodPools: []snapshot.CIDR{{Prefix: netip.MustParsePrefix("fd00:101:224::/60"), Source: "--cluster-cidr"},
			{Prefix: netip.MustParsePrefix("10.101.224.0/19"), Source: "--cluster-cidr"}},
		ReadKinds: map[string]bool{"Node": true, "Pod": true, "NetworkPolicy": true, "CiliumNetworkPolicy": true},
	}
	for i, n := range []string{"node-2", "node-7"} {
		s.Nodes = append(s.Nodes, snapshot.Node{Name: n, Source: "Node " + n,
			InternalIPs: []netip.Addr{netip.AddrFrom16([16]byte{0xfd, 0, 1, 1, 15: byte(16 + i)}), netip.AddrFrom4([4]byte{10, 101, 0, byte(10 + i)})},
			PodCIDRs:    []netip.Prefix{netip.MustParsePrefix(map[int]string{0: "fd00:101:224:2::/64", 1: "fd00:101:224:7::/64"}[i]), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 101, 224, byte(32 * i)}), 27)}})
	}
	s.Pods = []snapshot.Pod{
		{Namespace: "flux-system", Name: "source-controller-6ccfd78764-rzfnk", Node: "node-2", Labels: map[string]string{"app": "source-controller"},
			IPs: []netip.Addr{netip.MustParseAddr("fd00:101:224:2::aa96"), netip.MustParseAddr("10.101.224.5")}},
		{Namespace: "flux-system", Name: "kustomize-controller-57bbd7c-fdtpk", Node: "node-7", Labels: map[string]string{"app": "kustomize-controller"},
			IPs: []netip.Addr{netip.MustParseAddr("fd00:101:224:7::970b"), netip.MustParseAddr("10.101.224.37")}},
	}
	return s
}

// bench builds a planner's input over values; render goes through Overlay, as
// the chart would go through its template.
func bench(t *testing.T, values map[string]any, s *snapshot.Snapshot) Input {
	t.Helper()
	cfg := FromValues(values, "1.18.6")
	facts := &signature.Input{Snapshot: s, Config: cfg, Start: cilium.CheckStart(cfg), Rendered: true}
	facts.Settings, _ = cilium.Effective(cfg)
	facts.ModelInput = datapath.Input{Config: cfg, Snapshot: s}
	m, err := datapath.New(facts.ModelInput)
	if err != nil {
		t.Fatal(err)
	}
	facts.Model, facts.Analysis = m, m.Analyse()
	yes := Rendered{Config: cfg, Complete: true, Values: values, AgentTemplate: "a"}
	return Input{Facts: facts, Findings: detect.Run(facts), Current: yes, Default: func(path string) (any, bool) { return false, path == "rollOutCiliumPods" },
		Render: func(sets []Set) (Rendered, error) {
			r := Rendered{Config: Overlay(cfg, sets), Complete: true, AgentTemplate: "a", Values: with(values, sets), Diff: "diff"}
			for _, x := range sets {
				r.Changes = append(r.Changes, v1alpha1.Change{Path: x.Path, To: x.Value})
			}
			return r, nil
		}}
}

func with(values map[string]any, sets []Set) map[string]any {
	out := clone(values)
	for _, s := range sets {
		at := out
		keys := strings.Split(s.Path, ".")
		for _, k := range keys[:len(keys)-1] {
			next, ok := at[k].(map[string]any)
			if !ok {
				next = map[string]any{}
			}
			at[k] = next
			at = next
		}
		at[keys[len(keys)-1]] = s.Value
	}
	return out
}

func clone(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if sub, ok := v.(map[string]any); ok {
			v = clone(sub)
		}
		out[k] = v
	}
	return out
}

func ids(cs []v1alpha1.Candidate) []string {
	var out []string
	for _, c := range cs {
		out = append(out, c.ID)
	}
	return out
}

func TestIncident(t *testing.T) {
	var p v1alpha1.Plan
	Make(bench(t, incidentValues(), incidentSnapshot()), &p)
	want := []string{"widen-native-routing-cidr", "widen-native-routing-cidr-aligned", "use-ip-masq-agent", "set-native-routing-cidr-to-pods"}
	if diff := cmp.Diff(want, ids(p.Candidates)); diff != "" {
		t.Fatalf("candidates (-want +got):\n%s\nrejected: %+v", diff, p.Rejected)
	}
	for i, to := range []string{"fd00:101::/38", "fd00:101::/32", "", "fd00:101:224::/60"} {
		if got := p.Candidates[i].Changes[len(p.Candidates[i].Changes)-1].To; to != "" && got != to {
			t.Errorf("%s: %v, want %s", p.Candidates[i].ID, got, to)
		}
	}
	agent := p.Candidates[2]
	if diff := cmp.Diff([]any{"fd00:101::/48", "fd00:101:224::/60"}, agent.Changes[2].To); diff != "" {
		t.Errorf("use-ip-masq-agent (-want +got):\n%s", diff)
	}
	for _, c := range p.Candidates {
		f := c.Proof.Flows
		if f.Fixed == 0 || f.Broken != 0 || c.Proof.AgentStarts == nil || !*c.Proof.AgentStarts {
			t.Errorf("%s: proof %+v", c.ID, c.Proof)
		}
		if !strings.Contains(c.Rollout.Note, "rollOutCiliumPods") {
			t.Errorf("%s: rollout does not say that agents must restart: %s", c.ID, c.Rollout.Note)
		}
	}
	if c := p.Candidates[0]; len(c.Proof.ConfigDelta) != 1 || c.Proof.ConfigDelta["ipv6-native-routing-cidr"].To != "fd00:101::/38" {
		t.Errorf("configuration delta %v", c.Proof.ConfigDelta)
	}
	if c := p.Candidates[3]; len(c.RemovedRange) == 0 || len(c.SideEffects) == 0 {
		t.Errorf("the pods' own range takes the old prefix away, and the candidate does not say so: %+v", c)
	}
}

// Every other row of the incident's table is rejected with its true reason.
func TestIncidentRejected(t *testing.T) {
	var p v1alpha1.Plan
	Make(bench(t, incidentValues(), incidentSnapshot()), &p)
	got := map[string]string{}
	for _, r := range p.Rejected {
		got[r.ID] = r.Because
	}
	for id, want := range map[string]string{
		"ip-masq-agent-with-native-cidr-only": "same arithmetic",
		"disable-ipv6-masquerade":             "breaks",
		"toggle-bpf-masquerade":               "test the same native routing CIDR",
		"toggle-host-legacy-routing":          "not in this path",
		"toggle-socket-lb-hostns-only":        "not in this path",
		"allow-remote-node-by-policy":         "every pod of every other node",
	} {
		if !strings.Contains(got[id], want) {
			t.Errorf("%s rejected because %q, want %q in it", id, got[id], want)
		}
	}
	if !strings.Contains(got["disable-ipv6-masquerade"], "V6") {
		t.Errorf("the refusal beside bpf.masquerade is not told: %s", got["disable-ipv6-masquerade"])
	}
}

func TestTried(t *testing.T) {
	in := bench(t, incidentValues(), incidentSnapshot())
	was := func(commit string, sets ...Set) State {
		return State{Commit: commit, Date: "2026-02-01T00:00:00Z", Values: with(incidentValues(), sets)}
	}
	in.History = []State{
		was("aaa", Set{Path: "bpf.hostLegacyRouting", Value: false}),
		was("bbb", Set{Path: "ipv6NativeRoutingCIDR", Value: "fd00:101::/32"}, Set{Path: "socketLB.hostNamespaceOnly", Value: false}),
		was("ccc", Set{Path: "enableIPv6Masquerade", Value: false}, Set{Path: "bpf.masquerade", Value: true}),
	}
	var p v1alpha1.Plan
	Make(in, &p)
	tried := map[string]string{}
	for _, c := range p.Candidates {
		if c.Tried != nil {
			tried[c.ID] = c.Tried.Commit
		}
	}
	if diff := cmp.Diff(map[string]string{"widen-native-routing-cidr-aligned": "bbb"}, tried); diff != "" {
		t.Errorf("a state that differs outside the failing path only counts as tried (-want +got):\n%s", diff)
	}
	if len(p.Rejected) == 0 {
		t.Fatal("nothing is rejected")
	}
	for _, r := range p.Rejected {
		switch r.ID {
		case "toggle-host-legacy-routing":
			if r.Tried == nil || r.Tried.Commit != "aaa" || !strings.Contains(r.Tried.Outcome, "same flows fail") {
				t.Errorf("%s: tried %+v", r.ID, r.Tried)
			}
		case "disable-ipv6-masquerade":
			if r.Tried == nil || !strings.Contains(r.Tried.Outcome, "V6") {
				t.Errorf("%s: tried %+v", r.ID, r.Tried)
			}
		}
	}
}

// Ranges that one prefix cannot reasonably hold lead to the ip-masq-agent.
func TestFarApartRanges(t *testing.T) {
	s := incidentSnapshot()
	values := with(incidentValues(), []Set{{Path: "enableIPv6Masquerade", Value: false}, {Path: "enableIPv4Masquerade", Value: true}, {Path: "ipv4NativeRoutingCIDR", Value: "172.16.0.0/16"}})
	var p v1alpha1.Plan
	Make(bench(t, values, s), &p)
	if len(p.Candidates) == 0 || p.Candidates[0].ID != "use-ip-masq-agent" {
		t.Fatalf("candidates %v", ids(p.Candidates))
	}
	for _, r := range p.Rejected {
		if strings.HasPrefix(r.ID, "widen-") && !strings.Contains(r.Because, "public addresses") {
			t.Errorf("%s: %s", r.ID, r.Because)
		}
	}
}

func TestObservedRangesRankLast(t *testing.T) {
	s := incidentSnapshot()
	s.PodPools = nil
	var p v1alpha1.Plan
	Make(bench(t, incidentValues(), s), &p)
	if len(p.Candidates) == 0 {
		t.Fatalf("two nodes' ranges are enough to propose; rejected %+v", p.Rejected)
	}
}

func TestNothingIsProposed(t *testing.T) {
	tests := []struct {
		name string
		in   func(t *testing.T) Input
		want string
	}{
		{"healthy", func(t *testing.T) Input {
			return bench(t, with(incidentValues(), []Set{{Path: "ipv6NativeRoutingCIDR", Value: "fd00:101::/38"}}), incidentSnapshot())
		}, ""},
		{"held back", func(t *testing.T) Input {
			in := bench(t, incidentValues(), incidentSnapshot())
			in.Hold = "the cluster runs something else"
			return in
		}, "the cluster runs something else"},
		{"not sure", func(t *testing.T) Input {
			in := bench(t, incidentValues(), incidentSnapshot())
			for i := range in.Findings {
				in.Findings[i].Confidence = v1alpha1.ConfidencePossible
			}
			return in
		}, "possible, not certain"},
	}
	notActive := func(t *testing.T, values map[string]any) Input {
		s := incidentSnapshot()
		s.AgentConfigChanged = time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)
		s.AgentDaemonSet.Value.Agents = []snapshot.AgentPod{{Node: "node-2", Started: s.AgentConfigChanged.Add(-time.Hour)}}
		in := bench(t, values, s)
		in.Render = func([]Set) (Rendered, error) { return Rendered{}, errors.New("the chart refuses it") }
		return in
	}
	tests = append(tests, []struct {
		name string
		in   func(t *testing.T) Input
		want string
	}{
		{"not active", func(t *testing.T) Input {
			return notActive(t, with(incidentValues(), []Set{{Path: "ipv6NativeRoutingCIDR", Value: "fd00:101::/38"}}))
		}, "rollout restart"},
		{"neither active nor right", func(t *testing.T) Input { return notActive(t, incidentValues()) }, "Correct it before an agent restarts"},
	}...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p v1alpha1.Plan
			Make(tt.in(t), &p)
			if len(p.Candidates) != 0 || !strings.Contains(p.Abstained, tt.want) || (tt.want == "") != (p.Abstained == "") {
				t.Errorf("candidates %v, abstained %q", ids(p.Candidates), p.Abstained)
			}
		})
	}
}

// A candidate that would stop the agents is never proposed.
func TestRefusedCandidate(t *testing.T) {
	values := with(incidentValues(), []Set{{Path: "kubeProxyReplacement", Value: "false"}})
	var p v1alpha1.Plan
	Make(bench(t, values, incidentSnapshot()), &p)
	for _, c := range p.Candidates {
		if c.ID == "use-ip-masq-agent" {
			t.Error("BPF masquerade without kube-proxy replacement is proposed, and the agent refuses it")
		}
	}
	for _, r := range p.Rejected {
		if r.ID == "use-ip-masq-agent" && !strings.Contains(r.Because, "V5") {
			t.Errorf("rejected because %s", r.Because)
		}
	}
}

func TestDelivery(t *testing.T) {
	var p v1alpha1.Plan
	Make(bench(t, incidentValues(), incidentSnapshot()), &p)
	if !p.Delivery.FluxAffected {
		t.Fatal("Flux' own fetch fails, and delivery does not say so")
	}
	got := map[string]string{}
	for _, w := range p.Delivery.Ways {
		got[w.Way] = w.Open
	}
	if diff := cmp.Diff(map[string]string{"same node": "yes", "the other address family": "yes", "by hand": "yes"}, got); diff != "" {
		t.Errorf("ways (-want +got):\n%s", diff)
	}
}

func TestUnreasonable(t *testing.T) {
	for in, want := range map[string]bool{
		"fd00:101::/38": false, "fd00:101::/32": false, "fd00::/16": true, "10.0.0.0/8": false, "172.16.0.0/12": false,
		"0.0.0.0/0": true, "8.0.0.0/7": true, "172.0.0.0/8": true, "192.0.2.0/24": false, "::/0": true,
	} {
		if got := unreasonable(netip.MustParsePrefix(in)) != ""; got != want {
			t.Errorf("unreasonable(%s) = %v, want %v", in, got, want)
		}
	}
}

// A chart that changes more than what was set is not trusted.
func TestStrayKeys(t *testing.T) {
	in := bench(t, incidentValues(), incidentSnapshot())
	render := in.Render
	in.Render = func(sets []Set) (Rendered, error) {
		r, err := render(sets)
		r.Config.Values["enable-endpoint-routes"] = "true"
		return r, err
	}
	var p v1alpha1.Plan
	Make(in, &p)
	if len(p.Candidates) != 0 {
		t.Errorf("candidates %v", ids(p.Candidates))
	}
	for _, r := range p.Rejected {
		if r.ID == "widen-native-routing-cidr" && !strings.Contains(r.Because, "enable-endpoint-routes") {
			t.Errorf("rejected because %s", r.Because)
		}
	}
}
