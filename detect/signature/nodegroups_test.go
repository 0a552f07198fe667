package signature

import (
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// override is a CiliumNodeConfig for the named nodes, all of them when none is named.
type override struct {
	name     string
	nodes    []string
	defaults map[string]string
}

// overridden is an input whose nodes run what CiliumNodeConfigs make of cfg.
func overridden(t *testing.T, cfg cilium.Config, s *snapshot.Snapshot, os ...override) *Input {
	t.Helper()
	per := map[string]cilium.Config{}
	for _, o := range os {
		nc := snapshot.NodeConfig{Name: o.name, Defaults: o.defaults, Source: "CiliumNodeConfig kube-system/" + o.name}
		if len(o.nodes) > 0 {
			nc.Selector = map[string]string{"group": o.name}
		}
		s.NodeConfigs = append(s.NodeConfigs, nc)
		for i := range s.Nodes {
			n := &s.Nodes[i]
			if len(o.nodes) > 0 && !strings.Contains(strings.Join(o.nodes, " "), n.Name) {
				continue
			}
			if len(o.nodes) > 0 {
				n.Labels = map[string]string{"group": o.name}
			}
			c := cfg
			c.Values = maps.Clone(cfg.Values)
			maps.Copy(c.Values, o.defaults)
			per[n.Name] = c
		}
	}
	in := input(t, cfg, s)
	in.ModelInput = datapath.Input{Config: cfg, PerNode: per, Snapshot: s}
	m, err := datapath.New(in.ModelInput)
	if err != nil {
		t.Fatal(err)
	}
	in.Model, in.Analysis = m, m.Analyse()
	return in
}

func masqueradeFindings(in *Input) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, s := range []Signature{nativeRoutingCIDR(), ipMasqAgent(), serviceRange()} {
		out = append(out, s.Detect(in)...)
	}
	return out
}

func TestNodeGroups(t *testing.T) {
	const key = "ipv6-native-routing-cidr"
	cure, fault := map[string]string{key: "fd00:101::/32"}, map[string]string{key: "fd00:101::/48"}
	sender := func(from string, o v1alpha1.Observation) func(*snapshot.Snapshot) {
		return func(s *snapshot.Snapshot) {
			p := probe(o)
			if from == "n2" {
				p.From, p.To = p.To, p.From
			}
			s.Probes = append(s.Probes, p)
		}
	}
	tests := []struct {
		name      string
		base      map[string]string
		overrides []override
		edit      func(*snapshot.Snapshot)
		// want is severity, confidence and words of the summary, one finding each.
		want []string
		// not are words that no summary has.
		not string
	}{
		{name: "an override that touches other keys changes nothing", overrides: []override{{"debug", nil, map[string]string{"debug": "true"}}},
			want: []string{"critical predicted|is fd00:101::/48, but the pods live in fd00:101:224::/60"}, not: "CiliumNodeConfig"},
		{name: "every node is cured", overrides: []override{{"cure", nil, cure}},
			want: []string{"warning predicted|every node is overridden by CiliumNodeConfig kube-system/cure"}},
		{name: "one node is cured, the other is not", overrides: []override{{"cure", []string{"n1"}, cure}},
			want: []string{"critical predicted|on n2"}},
		{name: "an override breaks every node", base: cure, overrides: []override{{"fault", nil, fault}},
			want: []string{"critical predicted|on n1, n2 CiliumNodeConfig kube-system/fault sets"}},
		{name: "an override breaks one node", base: cure, overrides: []override{{"fault", []string{"n2"}, fault}},
			want: []string{"critical predicted|on n2 CiliumNodeConfig kube-system/fault sets"}},
		{name: "an override turns masquerade on again", base: map[string]string{"enable-ipv6-masquerade": "false"},
			overrides: []override{{"on", []string{"n2"}, map[string]string{"enable-ipv6-masquerade": "true"}}},
			want:      []string{"critical predicted|on n2 CiliumNodeConfig kube-system/on sets", "warning predicted|masked while IPv6 masquerade is off"}},
		{name: "an override turns masquerade off", overrides: []override{{"off", []string{"n2"}, map[string]string{"enable-ipv6-masquerade": "false"}}},
			want: []string{"critical predicted|on n1"}},
		{name: "an override that only turns masquerade off is told by its node", base: cure,
			overrides: []override{{"off", []string{"n2"}, map[string]string{key: "fd00:101::/48", "enable-ipv6-masquerade": "false"}}},
			want:      []string{"warning predicted|on n2 ipv6NativeRoutingCIDR does not hold the pods"}},
		{name: "the keys that matter are named, others are not", base: cure,
			overrides: []override{{"fault", []string{"n2"}, map[string]string{key: "fd00:101::/48", "debug": "true"}}},
			want:      []string{"critical predicted|sets ipv6-native-routing-cidr: "}, not: "debug"},
		{name: "both are wrong in different ways", overrides: []override{{"other", []string{"n2"}, map[string]string{key: "fd00:101:1::/48"}}},
			want: []string{"critical predicted|on n1", "critical predicted|on n2 CiliumNodeConfig kube-system/other sets"}},
		{name: "a probe from the broken node confirms", base: cure, overrides: []override{{"fault", []string{"n2"}, fault}},
			edit: sender("n2", v1alpha1.Observation{Outcome: "OK", Target: "open", SourceSeen: "fd00:101::11"}),
			want: []string{"critical confirmed|on n2"}},
		{name: "a probe from another node refutes nothing", base: cure, overrides: []override{{"fault", []string{"n2"}, fault}},
			edit: sender("n1", v1alpha1.Observation{Outcome: "OK", Target: "open", SourceSeen: "fd00:101:224:1::a"}),
			want: []string{"critical predicted|on n2"}},
		{name: "a selector that is not evaluated leaves it open", overrides: nil,
			edit: func(s *snapshot.Snapshot) {
				s.NodeConfigs = []snapshot.NodeConfig{{Name: "x", SelectorExpressions: true, Defaults: cure, Source: "CiliumNodeConfig kube-system/x"}}
			},
			want: []string{"critical possible|is fd00:101::/48"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := incident()
			if tt.edit != nil {
				tt.edit(s)
			}
			got := masqueradeFindings(overridden(t, incidentConfig(tt.base), s, tt.overrides...))
			if len(got) != len(tt.want) {
				t.Fatalf("%d findings, want %d: %+v", len(got), len(tt.want), got)
			}
			for _, want := range tt.want {
				how, words, _ := strings.Cut(want, "|")
				found := false
				for _, f := range got {
					found = found || (string(f.Severity)+" "+string(f.Confidence) == how && strings.Contains(f.Summary, words) && f.Family == "IPv6")
				}
				if !found {
					t.Errorf("no finding %q among %+v", want, got)
				}
			}
			for _, f := range got {
				if tt.not != "" && strings.Contains(f.Summary, tt.not) {
					t.Errorf("%q in %q", tt.not, f.Summary)
				}
			}
		})
	}
}

// The place that decides is the CiliumNodeConfig, and the cure lies there.
func TestOverrideIsNamedAsThePlace(t *testing.T) {
	in := overridden(t, incidentConfig(map[string]string{"ipv6-native-routing-cidr": "fd00:101::/32"}), incident(),
		override{"fault", []string{"n2"}, map[string]string{"ipv6-native-routing-cidr": "fd00:101::/48"}})
	in.Where = func(string) string { return "values.yaml:52" }
	f := masqueradeFindings(in)[0]
	for _, e := range f.Evidence {
		if strings.Contains(e.Text, "ipv6NativeRoutingCIDR") && e.Source != "CiliumNodeConfig kube-system/fault" {
			t.Errorf("%s is put down to %s", e.Text, e.Source)
		}
	}
	if !strings.Contains(strings.Join(f.Explanation, " "), "The cure is in CiliumNodeConfig kube-system/fault") {
		t.Errorf("the explanation does not name the cure: %q", f.Explanation)
	}
}

func TestPartialCoverage(t *testing.T) {
	tests := []struct {
		name   string
		change map[string]string
		pools  []string
		want   string
		not    string
	}{
		{"a quarter is inside", map[string]string{"ipv6-native-routing-cidr": "fd00:101:224::/62"}, []string{"fd00:101:224::/60"},
			"holds only part of the pods' range fd00:101:224::/60: fd00:101:224:4::/62, fd00:101:224:8::/61 lie outside", "the pods live in"},
		{"one pool of two", map[string]string{"ipv6-native-routing-cidr": "fd00:101:224::/60"}, []string{"fd00:101:224::/60", "fd00:200::/60"},
			"fd00:200::/60 lies outside", "the pods live in"},
		{"the ip-masq-agent's list as well", map[string]string{"ipv6-native-routing-cidr": "fd00:101:224::/62", "enable-bpf-masquerade": "true", "enable-ip-masq-agent": "true"},
			[]string{"fd00:101:224::/60"}, "pods in fd00:101:224:4::/62, fd00:101:224:8::/61 are in neither", ""},
		{"nothing is inside", nil, []string{"fd00:101:224::/60"}, "the pods live in fd00:101:224::/60, outside it", "only part"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := incident()
			s.PodPools = nil
			for _, p := range tt.pools {
				s.PodPools = append(s.PodPools, snapshot.CIDR{Prefix: netip.MustParsePrefix(p), Source: "flag"})
			}
			cfg := incidentConfig(tt.change)
			list := "nonMasqueradeCIDRs: []"
			cfg.MasqAgent = &list
			fs := masqueradeFindings(input(t, cfg, s))
			if len(fs) != 1 || !strings.Contains(fs[0].Summary, tt.want) || (tt.not != "" && strings.Contains(fs[0].Summary, tt.not)) {
				t.Errorf("%+v, want %q and not %q", fs, tt.want, tt.not)
			}
		})
	}
}

func TestWrittenInFullForIPv6Only(t *testing.T) {
	in := input(t, incidentConfig(map[string]string{"enable-ipv4-masquerade": "true", "ipv4-native-routing-cidr": "10.101.0.0/24"}), incident())
	full := map[string]bool{}
	for _, f := range masqueradeFindings(in) {
		for _, e := range f.Evidence {
			full[f.Family] = full[f.Family] || strings.Contains(e.Text, "written in full")
		}
	}
	if !full["IPv6"] || full["IPv4"] {
		t.Errorf("written in full: %v, want IPv6 only", full)
	}
}

// A node that is cured on paper and still masquerades has not read the override.
func TestOverrideThatIsNotActive(t *testing.T) {
	cure := map[string]string{"ipv6-native-routing-cidr": "fd00:101::/32"}
	for name, nodes := range map[string][]string{"one node": {"n1"}, "every node": nil} {
		t.Run(name, func(t *testing.T) {
			for _, seen := range []string{"fd00:101::10", "fd00:101:224:1::a"} {
				s := incident()
				s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "OK", Target: "open", SourceSeen: seen}))
				f := masqueradeFindings(overridden(t, incidentConfig(nil), s, override{"cure", nodes, cure}))[0]
				stale := seen == "fd00:101::10"
				if strings.Contains(strings.Join(f.Lacked, " "), restartAgents) != stale || strings.Contains(evidenceText(f), "saw fd00:101::10 as source") != stale {
					t.Errorf("seen %s: lacked %q, evidence:\n%s", seen, f.Lacked, evidenceText(f))
				}
				if f.Confidence != v1alpha1.ConfidencePredicted {
					t.Errorf("seen %s: %s", seen, f.Confidence)
				}
			}
		})
	}
}
