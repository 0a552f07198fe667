package confirm_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/signature"
)

// soak says whether the long share of the tests runs.
func soak() bool { return os.Getenv("REMEDIATE_SOAK") != "" }

// Each fault is confirmed as exactly its signature, in clusters of several sizes,
// and for as long as it lasts as nothing else.
func TestEachFaultIsItsSignature(t *testing.T) {
	sizes, seeds := []int{5, 12}, 1
	if soak() {
		sizes, seeds = []int{3, 5, 8, 12, 25, 50}, 20
	}
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			var times []time.Duration
			for _, n := range sizes {
				for seed := range seeds {
					if n >= sc.least {
						times = append(times, sc.confirm(t, n, uint64(seed+1)))
					}
				}
			}
			slices.Sort(times)
			p95 := times[(len(times)*95-1)/100]
			t.Logf("median %s, p95 %s, most %s", times[len(times)/2], p95, times[len(times)-1])
			if sc.within > 0 && p95 > sc.within {
				t.Errorf("confirmed after %s at the 95th percentile of %d runs, want %s", p95, len(times), sc.within)
			}
		})
	}
}

// Routes between segments that the configuration leaves out are told as that, and
// a tunnel that carries nothing is no missing route.
func TestConfigurationNamesTheCut(t *testing.T) {
	sideA := func(n int) bool { return n%2 == 0 }
	tests := []struct {
		name   string
		values map[string]string
		fault  fault
		twins  bool
		want   string
	}{
		{"skipped", map[string]string{"routing-mode": "native", "auto-direct-node-routes": "true", "direct-routing-skip-unreachable": "true"},
			pure(func(h hop) bool { return podPath(h) && sideA(h.from) != sideA(h.to) }), false, signature.DirectRouteSkipped},
		{"native, nobody routes", map[string]string{"routing-mode": "native"}, pure(podPath), false, signature.NoRouteBetweenNodes},
		{"tunnel", map[string]string{"routing-mode": "tunnel"}, pure(func(h hop) bool { return h.cross() && h.pods() }), true, signature.TunnelBlocked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(6, 3, 0, tt.twins)
			in := w.input()
			in.Config = cilium.Config{Version: "1.18.6", Source: "cilium-config", Values: map[string]string{"enable-ipv4": "true", "enable-ipv6": "true", "ipam": "kubernetes",
				"enable-ipv4-masquerade": "false", "enable-ipv6-masquerade": "false"}}
			maps.Copy(in.Config.Values, tt.values)
			in.Settings, _ = cilium.Effective(in.Config)
			for i := range in.Snapshot.Nodes {
				in.Snapshot.Nodes[i].InternalIPs = []netip.Addr{netip.AddrFrom4([4]byte{10, 2, byte(i % 2), byte(i + 1)}), netip.AddrFrom16([16]byte{0xfd, 0, 0, 9, 7: byte(i % 2), 15: byte(i + 1)})}
			}
			w.run(30 * time.Second)
			if got := w.confirmed(in); len(got) > 0 {
				t.Fatalf("confirmed %v in a healthy cluster", got)
			}
			w.fault, w.began = tt.fault, w.now
			var got []string
			for range 40 {
				w.run(time.Second)
				if got = w.confirmed(in); len(got) > 0 {
					break
				}
			}
			if !slices.Equal(got, []string{tt.want}) {
				t.Errorf("confirmed %v, want %s\n%s", got, tt.want, w.explain())
			}
		})
	}
}

// confirm runs one cluster into the fault and says how long it took.
func (sc scenario) confirm(t *testing.T, n int, seed uint64) time.Duration {
	t.Helper()
	w := newWorld(n, seed, sc.zones, sc.twins)
	w.run(30*time.Second + time.Duration(w.rng.IntN(28000))*time.Millisecond)
	w.fault, w.began, w.heard = sc.fault, w.now, sc.heard
	settle := max(sc.settle, 45*time.Second)
	in := w.input()
	var took time.Duration
	for w.now.Sub(w.began) < settle+60*time.Second {
		w.run(time.Second)
		got := w.confirmed(in)
		if len(got) > 1 || len(got) == 1 && got[0] != sc.want {
			t.Fatalf("%d nodes, seed %d: after %s confirmed %v, want %s only\n%s", n, seed, w.now.Sub(w.began), got, sc.want, w.explain())
		}
		if took == 0 && len(got) == 1 {
			took = w.now.Sub(w.began)
			settle = took
		}
		if took == 0 && w.now.Sub(w.began) > settle {
			t.Fatalf("%d nodes, seed %d: %s is not confirmed after %s\n%s", n, seed, sc.want, settle, w.explain())
		}
		if took > 0 && len(got) == 0 {
			t.Fatalf("%d nodes, seed %d: %s went after %s though the fault lasts\n%s", n, seed, sc.want, w.now.Sub(w.began), w.explain())
		}
	}
	return took
}

// explain is what the tracker thinks, for failures of tests.
func (w *world) explain() string {
	var b strings.Builder
	j := w.tracker.Judge(w.now, w.input())
	for _, f := range j.Findings {
		fmt.Fprintf(&b, "  %s %s %s %s: %s\n", f.Confidence, f.Signature, f.Family, f.About, f.Summary)
		for _, e := range f.Evidence {
			fmt.Fprintf(&b, "      %s\n", e.Text)
		}
	}
	for _, f := range j.Pending {
		fmt.Fprintf(&b, "  pending %s %s %s: %s; lacked %s\n", f.Signature, f.Family, f.About, f.Summary, strings.Join(f.Lacked, ", "))
	}
	return b.String()
}
