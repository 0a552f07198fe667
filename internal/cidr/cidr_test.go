package cidr

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func ps(ss ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range ss {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestContains(t *testing.T) {
	tests := []struct {
		outer, inner string
		want         bool
	}{
		{"fd00:101::/48", "fd00:101:224::/60", false},
		{"fd00:101::/38", "fd00:101:224::/60", true},
		{"fd00:101::/32", "fd00:101:224::/60", true},
		{"fd00:101::/48", "fd00:101::/64", true},
		{"fd00:101:224::/60", "fd00:101:224::/48", false},
		{"10.0.0.0/8", "10.244.0.0/16", true},
		{"10.0.0.0/8", "fd00::/64", false},
		{"0.0.0.0/0", "fd00::/64", false},
	}
	for _, tt := range tests {
		if got := Contains(netip.MustParsePrefix(tt.outer), netip.MustParsePrefix(tt.inner)); got != tt.want {
			t.Errorf("Contains(%s, %s) = %v, want %v", tt.outer, tt.inner, got, tt.want)
		}
	}
}

func TestSupernet(t *testing.T) {
	tests := []struct {
		name string
		in   []netip.Prefix
		want string
	}{
		{"the incident", ps("fd00:101::/48", "fd00:101:224::/60"), "fd00:101::/38"},
		{"one", ps("10.1.2.0/24"), "10.1.2.0/24"},
		{"host bits", ps("10.1.2.3/24"), "10.1.2.0/24"},
		{"nested", ps("10.0.0.0/8", "10.1.0.0/16"), "10.0.0.0/8"},
		{"siblings", ps("10.0.0.0/24", "10.0.1.0/24"), "10.0.0.0/23"},
		{"far apart", ps("10.0.0.0/24", "192.168.0.0/24"), "0.0.0.0/0"},
	}
	for _, tt := range tests {
		got, err := Supernet(tt.in...)
		if err != nil || got.String() != tt.want {
			t.Errorf("%s: Supernet = %v, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	if _, err := Supernet(ps("10.0.0.0/8", "fd00::/8")...); err == nil {
		t.Error("two families: no error")
	}
	if _, err := Supernet(); err == nil {
		t.Error("nothing: no error")
	}
}

func TestAlign(t *testing.T) {
	for in, want := range map[string]string{
		"fd00:101::/38": "fd00:101::/32", "fd00:101::/48": "fd00:101::/48", "fd00:101:224::/60": "fd00:101:224::/48",
		"10.101.128.0/17": "10.101.0.0/16", "10.0.0.0/8": "10.0.0.0/8", "10.16.0.0/12": "10.0.0.0/8",
	} {
		if got := Align(netip.MustParsePrefix(in)).String(); got != want {
			t.Errorf("Align(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestDifference(t *testing.T) {
	got := Difference(ps("fd00:101::/47"), ps("fd00:101::/48"))
	if diff := cmp.Diff([]string{"fd00:101:1::/48"}, texts(got)); diff != "" {
		t.Error(diff)
	}
	if got := Difference(ps("10.1.0.0/16"), ps("10.0.0.0/8")); len(got) != 0 {
		t.Errorf("covered range left %v", got)
	}
}

func texts(in []netip.Prefix) []string {
	var out []string
	for _, p := range in {
		out = append(out, p.String())
	}
	return out
}

func TestFamilies(t *testing.T) {
	mixed := ps("10.0.0.0/8", "fd00::/8")
	if got := texts(OfFamily(mixed, IPv6)); !cmp.Equal(got, []string{"fd00::/8"}) {
		t.Errorf("OfFamily IPv6 = %v", got)
	}
	if Family(netip.MustParseAddr("::ffff:10.0.0.1")) != IPv4 {
		t.Error("an IPv4-mapped address is IPv4")
	}
}

func prefix(t *rapid.T, name string) netip.Prefix {
	b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name)
	a, _ := netip.AddrFromSlice(b)
	if a.Is4In6() {
		a = netip.MustParseAddr("fd00::1")
	}
	return netip.PrefixFrom(a, rapid.IntRange(0, 128).Draw(t, name+" bits")).Masked()
}

// The supernet holds every input, and no longer prefix does.
func TestSupernetIsSmallest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := prefix(t, "a"), prefix(t, "b")
		s, err := Supernet(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if !Contains(s, a) || !Contains(s, b) {
			t.Fatalf("%s does not hold %s and %s", s, a, b)
		}
		if s.Bits() < 128 {
			longer := netip.PrefixFrom(a.Addr(), s.Bits()+1).Masked()
			if Contains(longer, a) && Contains(longer, b) {
				t.Fatalf("%s holds both too", longer)
			}
		}
	})
}

// A Set answers as the functions on lists do.
func TestSetAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, p := prefix(t, "a"), prefix(t, "b"), prefix(t, "p")
		list := []netip.Prefix{a, b}
		s := NewSet(list)
		if s.Covers(p) != CoveredBy(p, list) || s.Overlaps(p) != Overlaps(p, list...) {
			t.Fatalf("set and list disagree on %s in %v", p, list)
		}
	})
}

// What a change adds and removes, and what stays, make up both sides.
func TestDifferencePartitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := prefix(t, "a"), prefix(t, "b")
		rest := Difference([]netip.Prefix{a}, []netip.Prefix{b})
		for _, r := range rest {
			if !Contains(a, r) || r.Overlaps(b) {
				t.Fatalf("%s - %s has %s", a, b, r)
			}
		}
		if CoveredBy(a, []netip.Prefix{b}) != (len(rest) == 0) {
			t.Fatalf("CoveredBy disagrees with Difference for %s in %s", a, b)
		}
	})
}
