//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// rig is three nodes with an open pod each, services and cluster DNS, all of which
// answer.
func rig(t *testing.T) (*Lab, *DNS) {
	l := New(t, Spec{Daemons: []PodSpec{{Namespace: "x", Name: "open"}}})
	for _, p := range l.Pods() {
		reflect(t, p.Space, "9971")
	}
	for _, n := range l.Nodes {
		reflect(t, n.Space, "9971")
	}
	l.AddService(Service{
		Namespace: "x", Name: "svc", Endpoints: AddressesOf(l.Pods()...),
		Ports: []ServicePort{{Protocol: "TCP", Port: 80, TargetPort: 9971}, {Protocol: "UDP", Port: 80, TargetPort: 9971}},
	})
	return l, l.StartDNS(l.Nodes[0])
}

// failing names every check that fails now: "1>2 pod 4" is the pod of node-1 to the
// pod of node-2 over IPv4; node is node to node, svc a ClusterIP, dns a lookup.
// Those that may fail are not waited for long.
func failing(l *Lab, d *DNS, mayFail func(name string) bool) []string {
	var mu sync.Mutex
	var out []string
	var wg sync.WaitGroup
	check := func(name string, f func(wait time.Duration) error) {
		wg.Go(func() {
			wait := late
			if mayFail(name) {
				wait = soon
			}
			if f(wait) != nil {
				mu.Lock()
				defer mu.Unlock()
				out = append(out, name)
			}
		})
	}
	for _, family := range families() {
		f := family[3:]
		for i, from := range l.Nodes {
			pod := l.Pod("x", fmt.Sprintf("open-%d", i+1))
			for j, to := range l.Nodes {
				if i == j {
					continue
				}
				target := l.Pod("x", fmt.Sprintf("open-%d", j+1))
				check(fmt.Sprintf("%d>%d pod %s", i+1, j+1, f), answered(pod.Space, target.IP(family), 9971))
				check(fmt.Sprintf("%d>%d node %s", i+1, j+1, f), answered(from.Space, to.IP(family), 9971))
			}
			check(fmt.Sprintf("%d svc %s", i+1, f), answered(pod.Space, l.service("svc", family), 80))
			check(fmt.Sprintf("%d dns %s", i+1, f), resolved(pod, d, family))
		}
	}
	wg.Wait()
	slices.Sort(out)
	return out
}

func (l *Lab) service(name, family string) netip.Addr {
	for _, s := range l.Services() {
		if s.Name == name {
			return cidr.AddrsOfFamily(s.ClusterIPs, family)[0]
		}
	}
	return netip.Addr{}
}

func answered(s *Space, to netip.Addr, port uint16) func(time.Duration) error {
	return func(wait time.Duration) error {
		_, err := seen(s, "udp", to, port, wait)
		return err
	}
}

func resolved(p *Pod, d *DNS, family string) func(time.Duration) error {
	return func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		for {
			try, stop := context.WithTimeout(ctx, again)
			_, err := p.Resolver(d, family).LookupNetIP(try, "ip", "kubernetes.default.svc.cluster.local.")
			stop()
			if err == nil || ctx.Err() != nil {
				return err
			}
		}
	}
}

// names lists the checks that match, as [failing] names them; to is 0 for services
// and lookups.
func names(l *Lab, matches func(from, to int, kind, family string) bool) []string {
	var out []string
	for _, family := range []string{"4", "6"} {
		for i := 1; i <= len(l.Nodes); i++ {
			for j := 1; j <= len(l.Nodes); j++ {
				for _, kind := range []string{"pod", "node"} {
					if i != j && matches(i, j, kind, family) {
						out = append(out, fmt.Sprintf("%d>%d %s %s", i, j, kind, family))
					}
				}
			}
			for _, kind := range []string{"svc", "dns"} {
				if matches(i, 0, kind, family) {
					out = append(out, fmt.Sprintf("%d %s %s", i, kind, family))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// Each fault breaks what it says and nothing else, and its undo mends all of it.
// Services pick any of three backends: where a fault touches some of them, they may
// fail or not.
func TestFaults(t *testing.T) {
	t.Parallel()
	between := func(i, j, a, b int) bool { return i == a && j == b || i == b && j == a }
	for _, tc := range []struct {
		name  string
		fault func(l *Lab, d *DNS) func()
		fails func(from, to int, kind, family string) bool
		// chance are services and lookups, which may fail or not.
		chance bool
	}{
		{"two nodes", func(l *Lab, _ *DNS) func() { return l.Cut(Cut{From: l.Nodes[1], To: l.Nodes[2]}) },
			func(i, j int, _, _ string) bool { return between(i, j, 2, 3) }, true},
		{"one node", func(l *Lab, _ *DNS) func() { return l.Cut(Cut{To: l.Nodes[2]}) },
			func(i, j int, _, _ string) bool { return i == 3 || j == 3 }, true},
		{"one family", func(l *Lab, _ *DNS) func() { return l.Cut(Cut{Family: cidr.IPv6}) },
			func(_, j int, _, family string) bool { return j > 0 && family == "6" }, true},
		{"one port", func(l *Lab, _ *DNS) func() { return l.Cut(Cut{Protocol: "UDP", Port: 53}) },
			func(i, _ int, kind, _ string) bool { return kind == "dns" && i != 1 }, false},
		{"another protocol", func(l *Lab, _ *DNS) func() { return l.Cut(Cut{Protocol: "TCP"}) },
			func(int, int, string, string) bool { return false }, false},
		{"pods of a node", func(l *Lab, _ *DNS) func() { return l.Nodes[2].CutPods() },
			func(i, j int, kind, _ string) bool { return (i == 3 || j == 3) && kind == "pod" }, true},
		{"the pod network", func(l *Lab, _ *DNS) func() { return l.CutPodNetwork() },
			func(_, _ int, kind, _ string) bool { return kind != "node" }, false},
		{"unplugged", func(l *Lab, _ *DNS) func() { return l.Nodes[2].Unplug() },
			func(i, j int, _, _ string) bool { return i == 3 || j == 3 }, true},
		{"down", func(l *Lab, _ *DNS) func() { return l.Nodes[2].Down() },
			func(i, j int, _, _ string) bool { return i == 3 || j == 3 }, true},
		{"route to one peer", func(l *Lab, _ *DNS) func() { return l.Nodes[1].LoseRoutes(cidr.IPv6, l.Nodes[2]) },
			func(i, j int, kind, family string) bool { return between(i, j, 2, 3) && kind == "pod" && family == "6" }, true},
		{"all routes", func(l *Lab, _ *DNS) func() { return l.LoseRoutes("") },
			func(_, j int, kind, _ string) bool { return j > 0 && kind == "pod" }, true},
		{"services", func(l *Lab, _ *DNS) func() { return l.BreakServices() },
			func(_, _ int, kind, _ string) bool { return kind == "svc" || kind == "dns" }, false},
		{"services of a node", func(l *Lab, _ *DNS) func() { return l.Nodes[1].BreakServices() },
			func(i, _ int, kind, _ string) bool { return i == 2 && (kind == "svc" || kind == "dns") }, false},
		{"the DNS pod", func(_ *Lab, d *DNS) func() { return d.Pod.Isolate() },
			func(_, _ int, kind, _ string) bool { return kind == "dns" }, false},
		{"the DNS server", func(_ *Lab, d *DNS) func() {
			d.Stop()
			return func() { d.lab.must(d.Start()) }
		}, func(_, _ int, kind, _ string) bool { return kind == "dns" }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l, d := rig(t)
			if got := failing(l, d, none); len(got) > 0 {
				t.Fatalf("before the fault: %q", got)
			}
			undo := tc.fault(l, d)
			want := names(l, tc.fails)
			got := failing(l, d, func(name string) bool {
				return slices.Contains(want, name) || tc.chance && byChance(name)
			})
			if tc.chance {
				got, want = slices.DeleteFunc(got, byChance), slices.DeleteFunc(want, byChance)
			}
			if !slices.Equal(got, want) {
				t.Errorf("failing\n got %q\nwant %q", got, want)
			}
			undo()
			undo()
			if got := failing(l, d, none); len(got) > 0 {
				t.Errorf("after the fault: %q", got)
			}
		})
	}
}

func none(string) bool { return false }

func byChance(name string) bool {
	return strings.Contains(name, "svc") || strings.Contains(name, "dns")
}
