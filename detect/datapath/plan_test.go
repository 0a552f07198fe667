package datapath

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// observed are the pods' /64 of every node, which is what is known of the pods'
// range where nobody states it.
func observed(s *snapshot.Snapshot) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range s.Nodes {
		out = append(out, n.PodCIDRs...)
	}
	return out
}

// candidates are the configurations that one plan compares.
func candidates(ranges []netip.Prefix) []cilium.Config {
	var out []cilium.Config
	for _, cidr := range []string{"fd00:101::/32", "fd00:101::/34", "fd00:101:2000::/40", "fd00:101:2000::/44", "fd00::/16", "fd00:101:2000::/36"} {
		out = append(out, config("ipv6-native-routing-cidr", cidr))
	}
	list := []string{"fd00:101::/48"}
	for _, p := range ranges {
		list = append(list, p.String())
	}
	file := "nonMasqueradeCIDRs: [" + strings.Join(list, ", ") + "]\n"
	agent := config("enable-bpf-masquerade", "true", "enable-ip-masq-agent", "true")
	agent.MasqAgent = &file
	return append(out, agent,
		config("enable-bpf-masquerade", "true"), config("enable-ipv6-masquerade", "false"),
		config("routing-mode", "tunnel", "auto-direct-node-routes", ""))
}

// comparePlan is what a plan does: one model, and a comparison per candidate.
func comparePlan(t testing.TB, s *snapshot.Snapshot) []Delta {
	ranges := observed(s)
	m := newModel(t, Input{Config: config(), Snapshot: s, Ranges: append(ranges, prefixes("fd00:101::/32", "fd00:101:2000::/36")...)})
	before := m.Analyse()
	var out []Delta
	for _, cfg := range candidates(ranges) {
		after, err := m.With(cfg)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Compare(before, after.Analyse()))
	}
	return out
}

// TestPlanSize: what a plan costs in classes and memory does not grow with the
// number of observed ranges.
func TestPlanSize(t *testing.T) {
	measure := func(nodes int) (classes int, bytes uint64) {
		s := cluster(nodes, 1, "team-a", "team-b-guarded")
		var start, end runtime.MemStats
		runtime.ReadMemStats(&start)
		for i, d := range comparePlan(t, s) {
			classes = max(classes, d.Fixed+d.Broken+d.Unchanged+d.Unknown)
			if i < 2 && (d.Fixed == 0 || d.Broken != 0) {
				t.Errorf("%d nodes, candidate %d: fixed %d, broken %d", nodes, i, d.Fixed, d.Broken)
			}
		}
		runtime.ReadMemStats(&end)
		return classes, end.TotalAlloc - start.TotalAlloc
	}
	few, fewBytes := measure(60)
	many, manyBytes := measure(200)
	if many > few || few == 0 {
		t.Errorf("%d classes with 60 nodes, %d with 200", few, many)
	}
	if manyBytes > 8*fewBytes+(1<<20) {
		t.Errorf("%d bytes with 60 nodes, %d with 200", fewBytes, manyBytes)
	}
}

// TestSameClasses: all candidates of a plan are counted over the same classes.
func TestSameClasses(t *testing.T) {
	for _, nodes := range []int{2, 30} {
		for i, d := range comparePlan(t, cluster(nodes, 2, "team-a", "team-b-guarded")) {
			first := comparePlan(t, cluster(nodes, 2, "team-a", "team-b-guarded"))[0]
			if got, want := d.Fixed+d.Broken+d.Unchanged+d.Unknown, first.Fixed+first.Broken+first.Unchanged+first.Unknown; got != want {
				t.Errorf("%d nodes, candidate %d is counted over %d classes, the first over %d", nodes, i, got, want)
			}
		}
	}
}

// TestWithIsNew: a model derived from another, with any configuration, answers
// as one made from the start.
func TestWithIsNew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, topo := drawCluster(t)
		for i := range s.Nodes {
			if rapid.Bool().Draw(t, "CiliumNode") {
				s.Nodes[i].CiliumPodCIDRs = prefixes(fmt.Sprintf("fd00:101:3000:%x::/64", i))
			}
		}
		base, err := New(Input{Config: config(drawConfig(t, "base ")...), Snapshot: s, Topology: topo})
		if err != nil {
			t.Fatal(err)
		}
		cfg := config(append(drawConfig(t, "other "), "ipam", rapid.SampledFrom([]string{"kubernetes", "cluster-pool"}).Draw(t, "ipam"),
			"cluster-name", rapid.SampledFrom([]string{"", "other"}).Draw(t, "cluster name"))...)
		per := map[string]cilium.Config{}
		if rapid.Bool().Draw(t, "per node") {
			per["node-0000"] = config(drawConfig(t, "per node ")...)
		}
		fresh, err := New(Input{Config: cfg, PerNode: per, Snapshot: s, Topology: topo})
		if err != nil {
			t.Fatal(err)
		}
		base.Analyse()
		derived, err := base.WithPerNode(cfg, per)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fresh.Analyse().Classes, derived.Analyse().Classes, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Fatalf("made from the start (-) and derived (+):\n%s", diff)
		}
		before := base.Analyse()
		if diff := cmp.Diff(Compare(before, fresh.Analyse()), CompareModels(base, derived, nil)); diff != "" {
			t.Fatalf("compared by analyses (-) and by models (+):\n%s", diff)
		}
	})
}

// TestWithKeepsNodes: With leaves the nodes that have a configuration of their
// own alone.
func TestWithKeepsNodes(t *testing.T) {
	per := map[string]cilium.Config{"node-4": config("ipv6-native-routing-cidr", "fd00:101::/38")}
	m := newModel(t, Input{Config: config(), PerNode: per, Snapshot: flagship()})
	other, err := m.With(config("ipv6-native-routing-cidr", "fd00:101:224::/60"))
	if err != nil {
		t.Fatal(err)
	}
	for node, want := range map[string]string{"": "fd00:101:224::/60", "node-1": "fd00:101:224::/60", "node-4": "fd00:101::/38"} {
		settings := other.Settings(node)
		if got := settings.NativeRoutingCIDR["IPv6"].String(); got != want {
			t.Errorf("node %q has %s, want %s", node, got, want)
		}
	}
	if other.world != m.world {
		t.Error("nothing is shared")
	}
}

// TestWithTogether: many models may be derived and analysed at once.
func TestWithTogether(t *testing.T) {
	s := cluster(10, 3, "team-a", "team-b-guarded")
	m := newModel(t, Input{Config: config(), Snapshot: s})
	all := append(candidates(observed(s)), candidates(nil)...)
	want := make([]Delta, len(all))
	for i, cfg := range all {
		want[i] = Compare(m.Analyse(), newModel(t, Input{Config: cfg, Snapshot: s}).Analyse())
	}
	m = newModel(t, Input{Config: config(), Snapshot: s})
	var wg sync.WaitGroup
	for i, cfg := range all {
		wg.Go(func() {
			after, err := m.With(cfg)
			if err != nil {
				t.Error(err)
				return
			}
			if diff := cmp.Diff(want[i], Compare(m.Analyse(), after.Analyse())); diff != "" {
				t.Errorf("candidate %d alone (-) and together (+):\n%s", i, diff)
			}
		})
	}
	wg.Wait()
}

// TestAnalyseWith: ranges given at the time are told apart as those of the input.
func TestAnalyseWith(t *testing.T) {
	s, ranges := flagship(), prefixes("fd00:101:224:2::/64", "10.0.0.0/8")
	a := newModel(t, Input{Config: config(), Snapshot: s, Ranges: ranges}).Analyse()
	b := newModel(t, Input{Config: config(), Snapshot: s}).AnalyseWith(ranges)
	if diff := cmp.Diff(a.Classes, b.Classes, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if plain := newModel(t, Input{Config: config(), Snapshot: s}).Analyse(); len(plain.Classes) >= len(a.Classes) {
		t.Errorf("%d classes without the ranges, %d with them", len(plain.Classes), len(a.Classes))
	}
}

func benchmarkPlan(b *testing.B, s *snapshot.Snapshot) {
	b.ReportAllocs()
	for b.Loop() {
		if d := comparePlan(b, s); d[0].Fixed == 0 {
			b.Fatal("nothing fixed")
		}
	}
}

func manyNamespaces(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("ns-%d%s", i, []string{"-guarded", ""}[i%2]))
	}
	return out
}

func BenchmarkPlan500(b *testing.B)  { benchmarkPlan(b, cluster(500, 30, manyNamespaces(100)...)) }
func BenchmarkPlan5000(b *testing.B) { benchmarkPlan(b, cluster(5000, 30, manyNamespaces(100)...)) }

// BenchmarkPlanMixed has 500 namespaces with policies of their own.
func BenchmarkPlanMixed(b *testing.B) { benchmarkPlan(b, cluster(5000, 30, manyNamespaces(1000)...)) }
