package datapath

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/cidr"
)

func TestGrain(t *testing.T) {
	a := newGrain(nil, rangeSets(prefixes("fd00:101::/32", "fd00:101::/48", "fd00:101::1/48", "10.0.0.0/8")), map[string]string{"n": "x"})
	for addr, want := range map[string]string{
		"fd00:101::5": "in fd00:101::/48", "fd00:101:9::": "in fd00:101::/32", "10.1.1.1": "in 10.0.0.0/8",
		"10.255.255.255": "in 10.0.0.0/8", "11.0.0.0": "outside every range", "192.0.2.1": "outside every range", "fd00:102::": "outside every range",
	} {
		if got := a.zoneName(a.zoneOf(netip.MustParseAddr(addr))); got != want {
			t.Errorf("%s is %s, want %s", addr, got, want)
		}
	}
	if got := a.zoneOf(netip.Addr{}); got != zoneAbsent || a.zoneName(got) != "" {
		t.Errorf("no address is in zone %d", got)
	}
	b := newGrain(nil, rangeSets(prefixes("10.0.0.0/16")), map[string]string{"m": "y"})
	j := a.join(b)
	if j.labels["n"] != "x|" || j.labels["m"] != "|y" || len(j.sets) != 4 || j.equal(a) || !j.equal(a.join(b)) {
		t.Errorf("joined %+v", j)
	}
	if !a.join(a).equal(a) {
		t.Error("a grain joined with itself is another one")
	}
}

// TestGrainEnds: ranges that end with a family's last address.
func TestGrainEnds(t *testing.T) {
	g := newGrain(nil, rangeSets(prefixes("240.0.0.0/4", "ff00::/8", "0.0.0.0/0", "::/0")), nil)
	for addr, want := range map[string]string{
		"255.255.255.255": "in 240.0.0.0/4", "0.0.0.0": "in 0.0.0.0/0", "::": "in ::/0", "ffff::": "in ff00::/8", "fe80::1": "in ::/0",
	} {
		if got := g.zoneName(g.zoneOf(netip.MustParseAddr(addr))); got != want {
			t.Errorf("%s is %s, want %s", addr, got, want)
		}
	}
}

// TestGrainMany: the pod CIDRs of many nodes count as one set, and sets beyond
// the bound are dropped, those of configurations last.
func TestGrainMany(t *testing.T) {
	var many, nested []netip.Prefix
	for i := range 5000 {
		many = append(many, netip.PrefixFrom(podV6(i, 0), 64))
	}
	g := newGrain(nil, rangeSets(append(many, prefixes("fd00:101::/32", "10.0.0.0/8")...)), nil)
	if len(g.sets) != 3 || g.dropped != 0 || g.zoneOf(podV6(1, 5)) != g.zoneOf(podV6(4999, 7)) || g.zoneOf(podV6(1, 5)) == g.zoneOf(podV6(5001, 5)) {
		t.Errorf("%d sets, %d dropped", len(g.sets), g.dropped)
	}
	for bits := range 128 {
		nested = append(nested, netip.PrefixFrom(podV6(0, 0), bits))
	}
	own, _ := newRangeSet(prefixes("192.0.2.0/24"))
	g = newGrain([]rangeSet{own}, rangeSets(nested), nil)
	if len(g.sets) != maxSets || g.dropped != 128+1-maxSets || g.zoneOf(netip.MustParseAddr("192.0.2.7")) == zoneNone {
		t.Errorf("%d sets, %d dropped", len(g.sets), g.dropped)
	}
}

// TestGrainFollows: addresses that any set of either side tells apart are told
// apart by the joined grain, and no others are.
func TestGrainFollows(t *testing.T) {
	drawSets := func(t *rapid.T, label string) []rangeSet {
		var out []rangeSet
		for range rapid.IntRange(0, 4).Draw(t, label) {
			var list []netip.Prefix
			for range rapid.IntRange(1, 3).Draw(t, "size") {
				a := v4(10<<24 | rapid.IntRange(0, 1<<16).Draw(t, "address")<<8)
				list = append(list, netip.PrefixFrom(a, rapid.IntRange(8, 28).Draw(t, "bits")))
			}
			s, _ := newRangeSet(list)
			out = append(out, s)
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		x, y := drawSets(t, "x"), drawSets(t, "y")
		j := newGrain(slices.Clone(x), nil, nil).join(newGrain(slices.Clone(y), nil, nil))
		a, b := v4(10<<24|rapid.IntRange(0, 1<<24-1).Draw(t, "a")), v4(10<<24|rapid.IntRange(0, 1<<24-1).Draw(t, "b"))
		same := true
		for _, s := range slices.Concat(x, y) {
			same = same && cidr.InAny(a, s.prefixes) == cidr.InAny(b, s.prefixes)
		}
		if (j.zoneOf(a) == j.zoneOf(b)) != same {
			t.Fatalf("%s is %s, %s is %s, and the sets treat them alike: %v", a, j.zoneName(j.zoneOf(a)), b, j.zoneName(j.zoneOf(b)), same)
		}
	})
}

// TestFingerprint: nodes are told apart by what their configurations say.
func TestFingerprint(t *testing.T) {
	file := "nonMasqueradeCIDRs: []"
	all := []cilium.Config{
		{}, {Version: "1.18.6"}, {Values: map[string]string{"a": "b"}}, {Values: map[string]string{"a": "c"}},
		{Values: map[string]string{"a": "b", "c": ""}}, {MasqAgent: &file},
	}
	seen := map[string]int{}
	for i, cfg := range all {
		f := fingerprint(cfg)
		if j, ok := seen[f]; ok {
			t.Errorf("configurations %d and %d have one fingerprint", i, j)
		}
		seen[f] = i
	}
	moved := config()
	moved.Source = "elsewhere"
	if fingerprint(moved) != fingerprint(config()) {
		t.Error("the source of a configuration changes its fingerprint")
	}
}

// TestPairs: dense and sparse counting agree.
func TestPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 6).Draw(t, "classes")
		dense, sparse := newPairs(k), &pairs{k: k, sparse: map[uint64]int64{}}
		for range rapid.IntRange(0, 30).Draw(t, "pairs") {
			from, to := rapid.IntRange(0, k-1).Draw(t, "from"), rapid.IntRange(0, k-1).Draw(t, "to")
			dense.add(from, to, 2)
			sparse.add(from, to, 2)
		}
		for to := range k {
			if sources := []int{0, k - 1}; dense.sum(sources, to) != sparse.sum(sources, to) {
				t.Fatalf("class %d: %d and %d", to, dense.sum(sources, to), sparse.sum(sources, to))
			}
		}
	})
	if newPairs(maxDense+1).dense != nil || (*pairs)(nil).sum([]int{0}, 0) != 0 {
		t.Error("many classes are counted densely, or none are not zero")
	}
}
