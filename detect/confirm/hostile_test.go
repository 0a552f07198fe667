package confirm_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/signature"
)

// feigns lets the reflectors of node 1 answer pods of other nodes as they like.
func feigns(lie func(w *world, o *v1alpha1.Observation)) func(w *world) {
	return func(w *world) {
		w.lie = func(w *world, from int, o *v1alpha1.Observation) {
			if from != 1 && o.To.Node == w.nodes[1].name && o.Via == mesh.ViaPodIP {
				lie(w, o)
			}
		}
	}
}

func silent(o *v1alpha1.Observation) { o.Outcome, o.SourceSeen = v1alpha1.OutcomeTimeout, "" }

// odd are clusters in which one thing is not as it should be and nothing is at fault.
func odd() []variant {
	node := netip.MustParseAddr("fd00:1:1:2::1")
	return []variant{
		{name: "reflectors that see another source", setup: feigns(func(_ *world, o *v1alpha1.Observation) {
			if o.Outcome == v1alpha1.OutcomeOK {
				o.SourceSeen = "192.0.2.1"
			}
		})},
		{name: "a guarded reflector that sees another source", setup: feigns(func(_ *world, o *v1alpha1.Observation) {
			if o.Outcome == v1alpha1.OutcomeOK && o.Target == v1alpha1.TargetGuarded {
				o.SourceSeen = node.String()
			}
		})},
		{name: "a reflector that answers nothing", setup: feigns(func(_ *world, o *v1alpha1.Observation) {
			if o.Target == v1alpha1.TargetOpen {
				silent(o)
			}
		})},
		{name: "a guarded reflector that answers nothing", setup: feigns(func(_ *world, o *v1alpha1.Observation) {
			if o.Target == v1alpha1.TargetGuarded {
				silent(o)
			}
		})},
		{name: "reflectors that answer nothing large", setup: feigns(func(_ *world, o *v1alpha1.Observation) {
			if o.Bytes != 0 {
				silent(o)
			}
		})},
		{name: "reflectors that answer garbage", setup: feigns(func(_ *world, o *v1alpha1.Observation) {
			o.Outcome, o.SourceSeen, o.Reason = v1alpha1.OutcomeError, "", "the answer does not bear the mark of the shared key"
		})},
		{name: "reflectors that throw dice", setup: feigns(func(w *world, o *v1alpha1.Observation) {
			o.Outcome = []string{v1alpha1.OutcomeOK, v1alpha1.OutcomeError, v1alpha1.OutcomeReset, v1alpha1.OutcomeRefused}[w.rng.IntN(4)]
			if o.SourceSeen = ""; o.Outcome == v1alpha1.OutcomeOK {
				o.SourceSeen = []string{o.From.IP, o.To.IP, "192.0.2.7", "::"}[w.rng.IntN(4)]
			}
		})},
		{name: "a node without IPv6", setup: func(w *world) {
			w.rearrange(func(i int, m *mesh.Member, self *mesh.Self) {
				if i == 1 {
					m.Open.IPs, m.Guarded.IPs, m.NodeIPs, self.IPs = m.Open.IPs[1:], m.Guarded.IPs[1:], m.NodeIPs[1:], self.IPs[1:]
				}
			})
		}},
		{name: "a node whose pods have no address", setup: func(w *world) {
			w.rearrange(func(i int, m *mesh.Member, self *mesh.Self) {
				if i == 1 {
					m.Open.IPs, m.Guarded.IPs, self.IPs = nil, nil, nil
				}
			})
		}},
		{name: "a node without pods and addresses", setup: func(w *world) {
			w.rearrange(func(i int, m *mesh.Member, _ *mesh.Self) {
				if i == 1 {
					m.Open, m.Guarded, m.NodeIPs = nil, nil, nil
				}
			})
		}},
		// Two pods have one address, as after a restore of an IPAM's state: what is
		// sent to the second arrives at the first, which says so.
		{name: "two nodes' pods have one address", setup: func(w *world) {
			w.rearrange(func(i int, m *mesh.Member, self *mesh.Self) {
				if i == 2 {
					m.Open.IPs, self.IPs = both(podKind, 1, 1), both(podKind, 1, 1)
				}
			})
			w.lie = func(w *world, from int, o *v1alpha1.Observation) {
				if o.Via == mesh.ViaPodIP && o.Target == v1alpha1.TargetOpen && o.To.Node == w.nodes[2].name {
					o.Outcome, o.SourceSeen, o.Reason = v1alpha1.OutcomeError, "", "another pod answered"
				}
				if from == 2 && o.Via == mesh.ViaPodIP {
					silent(o) // the answers go to the other pod
				}
			}
		}, allowed: []string{signature.OneDirectionDown}},
	}
}

// rearrange changes members and what their probes are.
func (w *world) rearrange(change func(i int, m *mesh.Member, self *mesh.Self)) {
	for i := range w.members.Members {
		change(i, &w.members.Members[i], &w.nodes[i].plans[0].self)
	}
	ring := mesh.NewRing(w.members)
	for _, n := range w.nodes {
		n.plans[0].plan = ring.Plan(n.plans[0].self)
	}
}

// What one node's reflectors make up, and what a member lacks, confirms nothing.
func TestOddClusterConfirmsNothing(t *testing.T) {
	rounds, sizes := 20, []int{3, 5}
	if soak() {
		rounds, sizes = 200, []int{2, 3, 5, 8, 12}
	}
	for _, v := range odd() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			for i, n := range sizes {
				v.quiet(t, n, uint64(2000+i), rounds)
			}
		})
	}
}

// Whatever one probe says, in whichever words, nothing panics and nothing is confirmed.
func TestNonsenseConfirmsNothing(t *testing.T) {
	w := newWorld(5, 1, 0, false)
	words := []string{"", "OK", "Timeout", "PodIP", "NodeIP", "DNS", "ClusterIP", "IPv4", "IPv6", "open", "guarded", "host", "TCP",
		"node-00", "node-04", "node-99", "10.1.0.1", "::ffff:10.1.0.1", "fd00::%eth0", "\x1b[2J", "9999-99-99T99:99:99Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}
	word := func() string { return words[w.rng.IntN(len(words))] }
	for i := range 20_000 {
		o := v1alpha1.Observation{
			From: v1alpha1.Endpoint{Node: "node-01", IP: word()}, To: v1alpha1.Endpoint{Node: word(), IP: word(), Port: w.rng.IntN(1<<17) - 1<<16},
			Via: word(), Family: word(), Protocol: word(), Target: word(), Outcome: word(), SourceSeen: word(), At: word(),
			HostNetwork: w.rng.IntN(4) == 0, Bytes: w.rng.IntN(1<<17) - 1<<16,
		}
		w.tracker.Observe(w.now, o)
		if i%2000 == 0 {
			w.run(1)
			if got := w.confirmed(w.input()); len(slices.DeleteFunc(got, func(id string) bool { return id == "" })) > 0 {
				t.Fatalf("one probe's nonsense confirms %v\n%s", got, w.explain())
			}
		}
	}
}

// What a probe says again, as each minute all that deviates, is no other exchange.
func TestRepetitionIsNoExchange(t *testing.T) {
	tr := &confirm.Tracker{}
	once := seen(1, 2, "open", v1alpha1.OutcomeTimeout, "", noon)
	for i := range 100 {
		tr.Observe(noon.Add(time.Duration(i)*time.Second), once)
	}
	tr.Observe(noon.Add(time.Minute), seen(1, 2, "open", v1alpha1.OutcomeTimeout, "", noon.Add(time.Minute)), once)
	if got := tr.Kept(); got != 2 {
		t.Errorf("%d observations are kept of 2 exchanges", got)
	}
}

func TestWhoLeavesIsForgotten(t *testing.T) {
	tr := &confirm.Tracker{}
	tr.Observe(noon, seen(1, 2, "open", v1alpha1.OutcomeTimeout, "", noon), seen(2, 3, "open", v1alpha1.OutcomeTimeout, "", noon))
	tr.Members([]string{"node-02", "node-03"})
	if got := tr.Kept(); got != 1 {
		t.Errorf("%d observations are kept, want that of the prober that stays", got)
	}
}

// A probe's clock that is an hour off makes its word no older than the others'.
func TestClockThatIsOff(t *testing.T) {
	tr := &confirm.Tracker{}
	for i := range 6 {
		at := noon.Add(time.Duration(i) * time.Second)
		for _, o := range maskedAll(4, at) {
			if o.From.Node == "node-00" {
				o.At = at.Add(-time.Hour).Format(time.RFC3339Nano)
			}
			tr.Observe(at, o)
		}
	}
	j := tr.Judge(noon.Add(6*time.Second), signature.Input{})
	if len(j.Records) != 1 || len(j.Records[0].Support.Probers) != 4 || j.Records[0].Support.First.Before(noon) {
		t.Errorf("%+v", j.Records)
	}
}
