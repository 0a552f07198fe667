package datapath

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/detect/cilium"
)

func TestGrain(t *testing.T) {
	a := newGrain(prefixes("fd00:101::/32", "fd00:101::/48", "fd00:101::1/48", "10.0.0.0/8"), map[string]string{"n": "x"})
	if want := prefixes("fd00:101::/48", "fd00:101::/32", "10.0.0.0/8"); !slices.Equal(a.ranges, want) {
		t.Fatalf("ranges %v, want %v", a.ranges, want)
	}
	for addr, want := range map[string]int8{"fd00:101::5": 0, "fd00:101:9::": 1, "10.1.1.1": 2, "192.0.2.1": rangeNone} {
		if got := a.rangeOf(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is in range %d, want %d", addr, got, want)
		}
	}
	if got := a.rangeOf(netip.Addr{}); got != rangeAbsent {
		t.Errorf("no address is in range %d", got)
	}
	b := newGrain(prefixes("10.0.0.0/16"), map[string]string{"m": "y"})
	j := a.join(b)
	if j.labels["n"] != "x|" || j.labels["m"] != "|y" || len(j.ranges) != 4 || j.equal(a) || !j.equal(a.join(b)) {
		t.Errorf("joined %+v", j)
	}
}

// TestGrainFollows: addresses that any range of either side tells apart are told
// apart by the joined grain.
func TestGrainFollows(t *testing.T) {
	drawRanges := func(t *rapid.T, label string) []netip.Prefix {
		var out []netip.Prefix
		for range rapid.IntRange(0, 5).Draw(t, label) {
			a := v4(10<<24 | rapid.IntRange(0, 1<<16).Draw(t, "address")<<8)
			p, _ := a.Prefix(rapid.IntRange(8, 28).Draw(t, "bits"))
			out = append(out, p)
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		x, y := drawRanges(t, "x"), drawRanges(t, "y")
		j := newGrain(x, nil).join(newGrain(y, nil))
		a, b := v4(10<<24|rapid.IntRange(0, 1<<24-1).Draw(t, "a")), v4(10<<24|rapid.IntRange(0, 1<<24-1).Draw(t, "b"))
		if j.rangeOf(a) != j.rangeOf(b) {
			return
		}
		for _, p := range slices.Concat(x, y) {
			if p.Contains(a) != p.Contains(b) {
				t.Fatalf("%s and %s are in one range of %v, but %s tells them apart", a, b, j.ranges, p)
			}
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
