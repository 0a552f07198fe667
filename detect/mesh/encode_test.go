package mesh

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func mustEncode(t testing.TB, m Membership, limit int) [][]byte {
	t.Helper()
	out, err := Encode(m, limit)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEncodeDecode(t *testing.T) {
	for _, n := range []int{0, 1, 2, 50, 5000} {
		for _, limit := range []int{0, 20 << 10} {
			if n == 5000 && limit > 0 {
				continue // does not fit
			}
			m := cluster(n)
			m.External = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:443")}
			shards := mustEncode(t, m, limit)
			rand.Shuffle(len(shards), func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
			got, err := Decode(shards)
			if err != nil {
				t.Fatalf("n=%d: %v", n, err)
			}
			if got.Hash() != m.Hash() || !reflect.DeepEqual(sorted(got), sorted(m)) {
				t.Errorf("n=%d, limit %d: not what was written", n, limit)
			}
		}
	}
}

func TestEncodeIsDeterministic(t *testing.T) {
	m := cluster(300)
	want, hash := mustEncode(t, m, 6<<10), m.Hash()
	if len(want) < 2 {
		t.Fatalf("%d shards, the test wants several", len(want))
	}
	for i, s := range want {
		if len(s) > 6<<10 {
			t.Errorf("shard %d has %d bytes", i, len(s))
		}
	}
	rand.Shuffle(len(m.Members), func(i, j int) { m.Members[i], m.Members[j] = m.Members[j], m.Members[i] })
	before := slices.Clone(m.Members)
	if got := mustEncode(t, m, 6<<10); !reflect.DeepEqual(got, want) || m.Hash() != hash {
		t.Error("the order of members changes the bytes or the hash")
	}
	if !reflect.DeepEqual(before, m.Members) {
		t.Error("Encode reorders its caller's members")
	}
	m.Members[7].Open = target(7, 99)
	if m.Hash() == hash {
		t.Error("another pod does not change the hash")
	}
	if ShardName(3) != "members-3.json.gz" {
		t.Errorf("ShardName(3) = %s", ShardName(3))
	}
}

// TestFiveThousandFitOneConfigMap: what the largest clusters need.
func TestFiveThousandFitOneConfigMap(t *testing.T) {
	if got := mustEncode(t, cluster(5000), 0); len(got) != 1 {
		t.Errorf("%d shards", len(got))
	} else {
		t.Logf("5,000 members in %d bytes", len(got[0]))
	}
	if _, err := Encode(cluster(5000), 1<<10); err == nil || !strings.Contains(err.Error(), "does not fit 16 shards") {
		t.Errorf("error %v", err)
	}
}

// plain is a shard unpacked, edit changes it, and gz packs it again.
func edited(t *testing.T, b []byte, edit func(string) string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return gz(edit(string(plain)))
}

func gz(s string) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return buf.Bytes()
}

func TestDecodeRefuses(t *testing.T) {
	m := cluster(300)
	shards := mustEncode(t, m, 6<<10)
	other := cluster(300)
	other.Members[3].Zone = "elsewhere"
	others := mustEncode(t, other, 6<<10)
	if len(shards) < 2 || len(others) != len(shards) {
		t.Fatalf("%d and %d shards", len(shards), len(others))
	}
	replace := func(from, to string) [][]byte {
		one := mustEncode(t, cluster(3), 0)
		return [][]byte{edited(t, one[0], func(s string) string {
			if !strings.Contains(s, from) {
				t.Fatalf("%q is not in the shard", from)
			}
			return strings.Replace(s, from, to, 1)
		})}
	}
	// A list of anything, whose hash is right, so that only its content is wrong.
	hashed := func(m Membership) [][]byte {
		m = sorted(m)
		b, err := pack(shard{Version: 1, Shards: 1, Hash: m.Hash(), Membership: m})
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{b}
	}
	with := func(change func(m *Membership)) [][]byte {
		m := cluster(2)
		change(&m)
		return hashed(m)
	}
	tests := []struct {
		name   string
		shards [][]byte
		want   string
	}{
		{"nothing", nil, "0 shards"},
		{"too many", make([][]byte, MaxShards+1), "17 shards"},
		{"the first part missing", shards[1:], "no first shard"},
		{"a part missing", shards[:len(shards)-1], "is missing or of another state"},
		{"a part twice", append(slices.Clone(shards[:len(shards)-1]), shards[0]), "is missing or of another state"},
		{"of two states", append(slices.Clone(shards[:len(shards)-1]), others[len(others)-1]), "an update is on its way"},
		{"changed by hand", replace("node-1", "node-7"), "changed by hand"},
		{"another version", replace(`"v":1`, `"v":2`), "update the probe"},
		{"negative part", replace(`"shard":0`, `"shard":-1`), "no first shard"},
		{"no parts", replace(`"shards":1`, `"shards":0`), "0 shards"},
		{"many parts", replace(`"shards":1`, `"shards":1000000000`), "1000000000 shards"},
		{"not gzip", [][]byte{[]byte("{}")}, "not gzip"},
		{"cut", [][]byte{shards[0][:len(shards[0])/2]}, "not a membership"},
		{"not JSON", [][]byte{gz("hello")}, "not a membership"},
		{"a list", [][]byte{gz("[1,2]")}, "not a membership"},
		{"members no list", [][]byte{gz(`{"v":1,"shards":1,"members":{"a":1}}`)}, "members is not a list"},
		{"members of numbers", [][]byte{gz(`{"v":1,"shards":1,"members":[1]}`)}, "not a membership"},
		{"a bomb", [][]byte{gz(`{"v":1,"x":"` + strings.Repeat("x", maxPlain) + `"}`)}, "larger than"},
		{"a large file", [][]byte{make([]byte, maxShardRead+1)}, "bytes, at most"},
		{"too many members", [][]byte{gz(`{"v":1,"shards":1,"members":[` + strings.Repeat(`{},`, MaxMembers) + `{}]}`)}, "more than 20000"},
		{"a node without name", with(func(m *Membership) { m.Members[0].Node = "" }), "no such name"},
		{"a node with control characters", with(func(m *Membership) { m.Members[0].Node = "a\x1b[2J" }), "no such name"},
		{"a long pod", with(func(m *Membership) { m.Members[0].Open.Pod = strings.Repeat("a", 254) }), "no such name"},
		{"a node twice", with(func(m *Membership) { m.Members[1].Node = m.Members[0].Node }), "twice"},
		{"three addresses", with(func(m *Membership) { m.Members[1].Open.IPs = append(m.Members[1].Open.IPs, addr4(9, 9)) }), "several addresses"},
		{"two of a family", with(func(m *Membership) { m.Members[1].NodeIPs = []netip.Addr{addr4(9, 9), addr4(9, 8)} }), "several addresses"},
		{"multicast", with(func(m *Membership) { m.Members[1].NodeIPs[0] = netip.MustParseAddr("ff02::1") }), "cannot be tried"},
		{"unspecified", with(func(m *Membership) { m.Services[1] = netip.IPv4Unspecified() }), "cannot be tried"},
		{"mapped", with(func(m *Membership) { m.Services[1] = netip.MustParseAddr("::ffff:10.0.0.1") }), "cannot be tried"},
		{"a zone", with(func(m *Membership) { m.DNS.Pods[0] = netip.MustParseAddr("fe80::1%eth0") }), "cannot be tried"},
		{"outside without port", with(func(m *Membership) { m.External = []netip.AddrPort{netip.AddrPortFrom(addr4(1, 1), 0)} }), "give address and port"},
		{"a DNS name with a line", with(func(m *Membership) { m.DNS.Name = "a\nb" }), "DNS name"},
		{"many DNS pods", with(func(m *Membership) { m.DNS.Pods = slices.Repeat(m.DNS.Pods, 100) }), "DNS pods"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode(tt.shards)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 400 {
				t.Errorf("error passes hostile text on: %q", err)
			}
		})
	}
}

// TestDecodePassesOverWhatIsLeft: a membership that shrank leaves its last shards
// in ConfigMaps of their own.
func TestDecodePassesOverWhatIsLeft(t *testing.T) {
	old, now := mustEncode(t, cluster(300), 6<<10), mustEncode(t, cluster(10), 6<<10)
	if len(old) < 2 || len(now) != 1 {
		t.Fatalf("%d and %d shards", len(old), len(now))
	}
	got, err := Decode(append(now, old[1:]...))
	if err != nil || len(got.Members) != 10 {
		t.Errorf("%d members, %v", len(got.Members), err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	m := cluster(2)
	m.Members[1].Node = m.Members[0].Node
	if _, err := Encode(m, 0); err == nil || !strings.Contains(err.Error(), "node-0 is in it twice") {
		t.Errorf("error %v", err)
	}
}

// TestDecodeIgnoresNewFields: an older probe reads what a newer controller writes.
func TestDecodeIgnoresNewFields(t *testing.T) {
	b := mustEncode(t, cluster(3), 0)[0]
	b = edited(t, b, func(s string) string { return strings.Replace(s, `{"v":1`, `{"later":{"a":[1]},"v":1`, 1) })
	if _, err := Decode([][]byte{b}); err != nil {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, n := range []int{0, 1, 3} {
		b := mustEncode(f, cluster(n), 0)[0]
		z, _ := gzip.NewReader(bytes.NewReader(b))
		plain, _ := io.ReadAll(z)
		f.Add(plain)
	}
	f.Add([]byte(`{"v":1,"shards":1,"members":null,"services":["::1"]}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		m, err := Decode([][]byte{gz(string(plain))})
		if err != nil {
			return
		}
		if _, err := json.Marshal(m); err != nil {
			t.Fatal(err)
		}
		self := Self{Node: "node-0", IPs: []netip.Addr{addr6(0, 1), addr4(0, 1)}, MTU: 1500}
		p := NewRing(m).Plan(self)
		for s := range int64(2 * roundSlots) {
			if turn := p.At(s); !turn.Idle() {
				p.Differential(turn.Check)
			}
		}
	})
}

func BenchmarkPlanAt(b *testing.B) {
	p := plans(cluster(100))[0]
	for s := int64(0); b.Loop(); s++ {
		p.At(s)
	}
}

func BenchmarkNewRing(b *testing.B) {
	for _, n := range []int{100, 5000} {
		m := cluster(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NewRing(m).Plan(selfOf(m.Members[0]))
			}
		})
	}
}

func BenchmarkDifferential(b *testing.B) {
	p := plans(cluster(5000))[0]
	c := p.At(0).Check
	for s := int64(1); c.Via != ViaPodIP; s++ {
		c = p.At(s).Check
	}
	for b.Loop() {
		p.Differential(c)
	}
}

func BenchmarkDecode(b *testing.B) {
	shards := mustEncode(b, cluster(5000), 0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(shards); err != nil {
			b.Fatal(err)
		}
	}
}
