package cilium

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// genConfig draws configurations over the keys that the model reads, with
// values that some key takes and values that none does.
func genConfig(t *rapid.T, name string) Config {
	keys := make([]string, 0, len(modelFlags))
	for _, f := range modelFlags {
		keys = append(keys, f.Name)
	}
	values := rapid.OneOf(
		rapid.SampledFrom([]string{
			"true", "false", "1", "", "yes", "native", "tunnel", "geneve", "vxlan", "ipv4", "ipv6", "auto", "dsr", "hybrid", "snat", "ipip", "opt",
			"cluster-pool", "kubernetes", "multi-pool", "eni", "delegated-plugin", "10.0.0.0/8", "fd00::/8", "10.0.0.0/8 10.1.0.0/16", "::ffff:10.0.0.0/104",
			"-1", "0", "24", "120", "1279", "65536", "0.5", "40000,41000", "eth0", "eth+", "netkit", "always", "nodes", "default",
		}),
		rapid.String(),
	)
	cfg := Config{
		Version: rapid.SampledFrom([]string{"", "1.16.0", "1.18.6", "1.19.5", "1.20.2", "1.21.0", "x"}).Draw(t, name+" version"),
		Values:  rapid.MapOfN(rapid.SampledFrom(keys), values, 0, 40).Draw(t, name),
	}
	if rapid.Bool().Draw(t, name+" has file") {
		file := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"nonMasqueradeCIDRs: [10.0.0.0/8]", "{}", "[", "a: &a [*a]"})).Draw(t, name+" file")
		cfg.MasqAgent = &file
	}
	return cfg
}

// Nothing panics, the same input gives the same output, and the input stays.
func TestPropertyDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := genConfig(t, "config")
		before := maps.Clone(cfg.Values)
		s1, n1 := Effective(cfg)
		s2, n2 := Effective(cfg)
		if !reflect.DeepEqual(s1, s2) || !slices.Equal(n1, n2) {
			t.Fatalf("Effective differs: %+v %v, %+v %v", s1, n1, s2, n2)
		}
		if a, b := CheckStart(cfg), CheckStart(cfg); !reflect.DeepEqual(a, b) {
			t.Fatalf("CheckStart differs: %+v, %+v", a, b)
		}
		if !maps.Equal(before, cfg.Values) {
			t.Fatalf("the configuration was changed: %v, %v", before, cfg.Values)
		}
	})
}

// Starts says exactly what the lists say.
func TestPropertyStartsFollowsFromLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := genConfig(t, "config")
		cfg.Version = rapid.SampledFrom(CheckedVersions()).Draw(t, "version")
		s := CheckStart(cfg)
		want := snapshot.Yes
		switch {
		case len(s.Refusals) > 0:
			want = snapshot.No
		case len(s.Unknown) > 0:
			want = snapshot.Unknown
		}
		if s.Starts != want {
			t.Fatalf("starts %s with refusals %v and unknown %v", s.Starts, s.Refusals, s.Unknown)
		}
	})
}

// A refusal depends on its keys and nothing else: other keys never lift it.
func TestPropertyRefusalNamesItsKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, other := genConfig(t, "config"), genConfig(t, "other")
		cfg.Version = rapid.SampledFrom([]string{"1.18.6", "1.19.5", "1.20.2"}).Draw(t, "version")
		for _, r := range CheckStart(cfg).Refusals {
			mixed := Config{Version: cfg.Version, Values: maps.Clone(other.Values)}
			for _, k := range r.Keys {
				delete(mixed.Values, k)
				if v, ok := cfg.Values[k]; ok {
					mixed.Values[k] = v
				}
			}
			if r.ID == "V49" {
				continue
			}
			if !slices.ContainsFunc(CheckStart(mixed).Refusals, func(m Refusal) bool { return m.ID == r.ID && m.Message == r.Message }) {
				t.Fatalf("%s (%s) is gone although its keys %v are the same: %v", r.ID, r.Message, r.Keys, mixed.Values)
			}
		}
	})
}

// Delta is empty exactly for equal values, and turns round with its arguments.
func TestPropertyDelta(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genConfig(t, "a"), genConfig(t, "b")
		d, back := Delta(a, b), Delta(b, a)
		if (len(d) == 0) != maps.Equal(a.Values, b.Values) {
			t.Fatalf("Delta %v of %v and %v", d, a.Values, b.Values)
		}
		for k, v := range d {
			if !reflect.DeepEqual([2]*string{v[1], v[0]}, back[k]) {
				t.Fatalf("%s: %v one way, %v the other", k, v, back[k])
			}
		}
	})
}

// What is masqueraded by iptables never has BPF host routing.
func TestPropertyIPTablesMeansLegacyRouting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, _ := Effective(genConfig(t, "config"))
		if s.IPTablesMasquerading() && !s.HostLegacyRouting {
			t.Fatalf("%+v", s)
		}
		if s.SocketLBHostNSOnly && !s.SocketLB {
			t.Fatalf("host-namespace mode without a socket load balancer: %+v", s)
		}
	})
}
