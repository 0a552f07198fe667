package collect

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/probe"
)

// fill makes a matrix of n probes in an outage: each has as many flows that fail as
// it may keep.
func fill(n int) *Matrix {
	m := NewMatrix(Limits{})
	for i := range n {
		k := Key{"remediate-probe", fmt.Sprintf("remediate-probe-%05d", i)}
		node := fmt.Sprintf("node-%05d.example.internal", i)
		ip4, ip6 := netip.AddrFrom4([4]byte{10, byte(i >> 12), byte(i >> 4), byte(i << 4)}), addr(fmt.Sprintf("fd00:101:224::%x", i+1))
		m.Put(Target{Key: k, UID: "u", Node: node, Phase: "Running", IPs: []netip.Addr{ip4, ip6}}, start)
		m.PutNode(Node{Name: node, Ready: true})
	}
	kinds := []string{"ICMP", "TCP", "UDP", "HTTP"}
	for i := range n {
		k := Key{"remediate-probe", fmt.Sprintf("remediate-probe-%05d", i)}
		for seq := range uint64(8) {
			l := probe.Line{Version: 1, Boot: fmt.Sprintf("boot-%d", i), Seq: seq + 1, At: start, Beat: true, Nodes: n}
			for j := range 16 {
				to := (i + int(seq)*16 + j + 1) % n
				l.Observations = append(l.Observations, v1alpha1.Observation{
					To: v1alpha1.Endpoint{
						Namespace: k.Namespace, Pod: fmt.Sprintf("remediate-probe-%05d", to), Node: fmt.Sprintf("node-%05d.example.internal", to),
						IP: fmt.Sprintf("fd00:101:224::%x", to+1), Port: 9971,
					},
					Via: "PodIP", Family: "IPv6", Protocol: kinds[j%4], Target: "guarded", Outcome: "Timeout", Reason: "no answer within 1s", Sent: 1, Bytes: 100,
				})
				l.Tallies = append(l.Tallies, probe.Tally{Via: "PodIP", Family: "IPv6", Protocol: kinds[j%4], Target: "open", OK: j})
			}
			m.Add(k, l, PathFollow, start)
		}
	}
	return m
}

// heap is what lives, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// TestMemoryOf5000Nodes: goal 64 MiB.
func TestMemoryOf5000Nodes(t *testing.T) {
	before := heap()
	m := fill(5000)
	used := heap() - before
	t.Logf("%d probes, %d flows, %d recent: %.1f MiB", len(m.probes), len(m.Observations()), len(m.recent), float64(used)/(1<<20))
	if used > 64<<20 {
		t.Errorf("%d bytes, more than 64 MiB", used)
	}
	runtime.KeepAlive(m)
}

func BenchmarkAdd(b *testing.B) {
	m, k := one(Limits{})
	var obs []v1alpha1.Observation
	for i := range 16 {
		obs = append(obs, lost(fmt.Sprintf("10.1.1.%d", i), nil))
	}
	text := encode(b, with(1, obs...))
	b.ReportAllocs()
	var seq uint64
	for b.Loop() {
		seq++
		line, _, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		line.Seq = seq
		m.Add(k, line, PathFollow, start)
	}
}
