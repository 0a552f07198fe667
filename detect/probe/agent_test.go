package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

func TestAgentHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(20)
		begin := time.Now()
		r.start()
		time.Sleep(5 * time.Minute)
		lines := r.stop(t)
		if got := r.net.rate(begin); got > 2 {
			t.Errorf("%d exchanges within a second, want 2", got)
		}
		if got := len(r.net.began); got < 590 || got > 601 {
			t.Errorf("%d exchanges in five minutes, want 600", got)
		}
		counted, full, last := 0, 0, begin
		for i, l := range lines {
			if !l.Beat || len(l.Observations) > 0 || l.Seq != uint64(i+1) || l.Nodes != 20 || l.Members != membership(20).Hash() || len(l.Notes) > 0 {
				t.Errorf("line %d: %+v", i, l)
			}
			if l.At.Sub(last) > Heartbeat {
				t.Errorf("no heartbeat between %s and %s", last, l.At)
			}
			if l.Full {
				full++
			}
			last = l.At
			for _, n := range l.Tallies {
				counted += n.OK
				if n.Masked+n.Lost+n.NotChecked+n.Unreliable > 0 || n.SlowestMs != 1 {
					t.Errorf("tally %+v", n)
				}
			}
		}
		if counted < len(r.net.began)-21 || counted > len(r.net.began) || full < 5 || full > 6 {
			t.Errorf("%d of %d exchanges are counted, %d full heartbeats", counted, len(r.net.began), full)
		}
	})
}

func TestAgentLooksIntoAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(20)
		r.start()
		time.Sleep(30 * time.Second)
		before := len(told(t, r.out.text()))
		r.net.set(func(c mesh.Check) v1alpha1.Observation {
			if c.Via == mesh.ViaPodIP && c.Family == "IPv6" && c.Target == "guarded" && c.To.Node != "node-0" {
				return v1alpha1.Observation{Outcome: v1alpha1.OutcomeTimeout}
			}
			return v1alpha1.Observation{}
		})
		broken := time.Now()
		time.Sleep(30 * time.Second)
		r.net.set(nil)
		time.Sleep(10 * time.Minute)
		lines := r.stop(t)
		if got := r.net.rate(broken); got > mesh.BurstRate {
			t.Errorf("%d exchanges within a second, at most %d", got, mesh.BurstRate)
		}
		first := lines[before:][slices.IndexFunc(lines[before:], func(l Line) bool { return len(l.Observations) > 0 })]
		if wait := first.At.Sub(broken); wait > 7*time.Second {
			t.Errorf("the first failure is told after %s", wait)
		}
		seen := map[string]int{}
		for _, o := range observed(lines) {
			seen[o.Via+" "+o.Family+" "+o.Protocol+" "+o.Target+" "+o.Outcome]++
			if o.At == "" {
				t.Errorf("an observation without its time: %+v", o)
			}
		}
		for _, want := range []string{
			"PodIP IPv6 TCP guarded Timeout", "PodIP IPv6 TCP open OK", "PodIP IPv4 TCP guarded OK", "NodeIP IPv6 TCP  OK",
			"ClusterIP IPv6 TCP open OK", "PodIP IPv6 TCP guarded OK", // healthy again
		} {
			if seen[want] == 0 {
				t.Errorf("never told: %s (%v)", want, seen)
			}
		}
		last := lines[len(lines)-8:]
		if got := observed(last); len(got) > 0 {
			t.Errorf("ten minutes later it still tells %+v", got)
		}
	})
}

// TestAgentOutage: everything fails for an hour. The burst ends, and what is told
// and remembered is bounded.
func TestAgentOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1000)
		r.net.took = time.Second
		r.net.set(always(v1alpha1.OutcomeTimeout))
		begin := time.Now()
		r.start()
		time.Sleep(time.Hour)
		lines := r.stop(t)
		if got := r.net.rate(begin); got > mesh.BurstRate {
			t.Errorf("%d exchanges within a second, at most %d", got, mesh.BurstRate)
		}
		if r.net.most > maxInFlight {
			t.Errorf("%d exchanges at once", r.net.most)
		}
		if got := r.net.count(begin.Add(50*time.Minute), begin.Add(time.Hour)); got > 2*1200 {
			t.Errorf("%d exchanges in the last ten minutes of an outage, want at most twice the ring's 1200", got)
		}
		t.Logf("exchanges per second: first minute %.1f, hour %.2f", float64(r.net.count(begin, begin.Add(time.Minute)))/60, float64(len(r.net.began))/3600)
		for i, l := range lines {
			if l.Seq != uint64(i+1) || l.Dropped != 0 {
				t.Fatalf("line %d is number %d with %d dropped", i, l.Seq, l.Dropped)
			}
		}
		full := lines[slices.IndexFunc(lines, func(l Line) bool { return l.Full && l.At.Sub(begin) > 30*time.Minute })]
		if i := slices.IndexFunc(lines, func(l Line) bool { return strings.Contains(strings.Join(l.Notes, " "), "beyond the 256 flows") }); i < 0 {
			t.Errorf("it does not say that it remembers a part only: %+v", full.Notes)
		}
	})
}

func TestAgentMasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(5)
		r.net.set(func(c mesh.Check) v1alpha1.Observation {
			if c.Family == "IPv6" && c.To.Node != "node-0" {
				return v1alpha1.Observation{Outcome: v1alpha1.OutcomeOK, SourceSeen: "fd00:101::1"}
			}
			return v1alpha1.Observation{}
		})
		r.start()
		time.Sleep(time.Minute)
		lines := r.stop(t)
		masked, lost := 0, 0
		for _, l := range lines {
			for _, n := range l.Tallies {
				masked, lost = masked+n.Masked, lost+n.Lost
				if n.Masked > 0 && (n.Family == "IPv4" || n.Via != mesh.ViaPodIP && n.Via != mesh.ViaClusterIP) {
					t.Errorf("tally %+v", n)
				}
			}
		}
		if masked == 0 || lost > 0 {
			t.Errorf("%d masked, %d lost", masked, lost)
		}
		if !slices.ContainsFunc(observed(lines), func(o v1alpha1.Observation) bool { return o.SourceSeen == "fd00:101::1" && o.Via == mesh.ViaPodIP }) {
			t.Error("the source that the target saw is not told")
		}
	})
}

func TestAgentStarvedNeverLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(5)
		r.agent.Delay = func() time.Duration { return 250 * time.Millisecond }
		r.net.set(func(mesh.Check) v1alpha1.Observation {
			return v1alpha1.Observation{Outcome: v1alpha1.OutcomeTimeout, Unreliable: true}
		})
		begin := time.Now()
		r.start()
		time.Sleep(time.Minute)
		lines := r.stop(t)
		if got := r.net.rate(begin); got > 2 {
			t.Errorf("a starved prober makes %d exchanges a second", got)
		}
		for _, l := range lines {
			if len(l.Observations) > 0 || l.Delay != 250 {
				t.Errorf("line %+v", l)
			}
			for _, n := range l.Tallies {
				if n.Lost > 0 || n.Unreliable == 0 {
					t.Errorf("tally %+v", n)
				}
			}
		}
	})
}

func TestAgentSaysOnceWhatIsNotChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(20)
		r.net.set(func(c mesh.Check) v1alpha1.Observation {
			if c.Protocol == mesh.ICMP {
				return v1alpha1.Observation{Outcome: v1alpha1.OutcomeNotChecked, Reason: "ping sockets are not allowed\x1b[31m"}
			}
			return v1alpha1.Observation{}
		})
		r.start()
		time.Sleep(5 * time.Minute)
		lines := r.stop(t)
		got := observed(lines)
		if len(got) < 2 || len(got) > 24 { // two families, told again with each full heartbeat
			t.Errorf("%d observations in five minutes", len(got))
		}
		for _, o := range got {
			if o.Reason != "ping sockets are not allowed [31m" {
				t.Errorf("reason %q", o.Reason)
			}
		}
	})
}

func TestAgentWithSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(5)
		r.out.stop = make(chan struct{})
		begin := time.Now()
		r.start()
		time.Sleep(30 * time.Minute)
		if got := r.net.count(begin.Add(29*time.Minute), begin.Add(30*time.Minute)); got < 118 {
			t.Errorf("%d exchanges in a minute in which nobody reads, want 120", got)
		}
		close(r.out.stop)
		time.Sleep(time.Minute)
		lines := r.stop(t)
		dropped, next := 0, uint64(1)
		for _, l := range lines {
			if l.Seq != next+uint64(l.Dropped) {
				t.Errorf("line %d comes after %d with %d dropped", l.Seq, next-1, l.Dropped)
			}
			dropped, next = dropped+l.Dropped, l.Seq+1
		}
		if dropped < 100 {
			t.Errorf("%d lines are said to be lost", dropped)
		}
	})
}

func TestAgentEnds(t *testing.T) {
	tests := []struct {
		name   string
		change func(r *rig)
		want   string
	}{
		{"idle", func(*rig) {}, ""},
		{"exchanges that do not listen", func(r *rig) { r.net.took, r.net.deaf = 2*time.Second, true }, ""},
		{"in a burst", func(r *rig) { r.net.set(always(v1alpha1.OutcomeTimeout)) }, ""},
		{"no membership", func(r *rig) { r.state.m = nil }, ""},
		{"nobody reads", func(r *rig) { r.out.stop = make(chan struct{}) }, "standard output is not being read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(5)
				tt.change(r)
				r.start()
				time.Sleep(1700 * time.Millisecond)
				took, err := r.end()
				if took > time.Second {
					t.Errorf("ends after %s", took)
				}
				if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				if r.out.stop != nil {
					close(r.out.stop)
				}
				time.Sleep(3 * time.Second)
			})
		})
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAgentGivesUpWithoutOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(5)
		r.agent.Out = brokenPipe{}
		r.start()
		if err := <-r.done; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v", err)
		}
		r.cancel()
	})
	if err := (&Agent{}).Run(context.Background()); err == nil {
		t.Error("an agent without anything runs")
	}
}

func TestAgentMembershipChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(4)
		r.net.set(func(c mesh.Check) v1alpha1.Observation {
			if c.To.Node == "node-3" {
				return v1alpha1.Observation{Outcome: v1alpha1.OutcomeTimeout}
			}
			return v1alpha1.Observation{}
		})
		r.start()
		time.Sleep(90 * time.Second)
		r.state.set(nil, fmt.Errorf("cannot use the membership: %s", "not gzip\n"))
		time.Sleep(90 * time.Second)
		bad := r.out.text()
		r.state.set(membership(3), nil) // node-3 is gone
		time.Sleep(2 * time.Minute)
		gone := r.out.text()[len(bad):]
		away := membership(5)
		away.Members = away.Members[1:]
		r.state.set(away, nil)
		time.Sleep(2 * time.Minute)
		lines := r.stop(t)
		last := lines[len(lines)-1]
		if last.Nodes != 4 || last.Members != away.Hash() {
			t.Errorf("the last line has %d nodes", last.Nodes)
		}
		if !strings.Contains(bad, "cannot use the membership: not gzip ") {
			t.Error("a bad membership is not told")
		}
		if l := told(t, bad); l[len(l)-1].Nodes != 4 {
			t.Error("after a bad membership the last good one is not in use")
		}
		for _, l := range told(t, gone) {
			if l.Nodes == 4 {
				continue // written before the files were looked at
			}
			if len(l.Observations) > 0 || len(l.Notes) > 0 || l.Nodes != 3 {
				t.Errorf("after the change it tells %+v", l)
			}
		}
		if !slices.ContainsFunc(lines, func(l Line) bool {
			return slices.Contains(l.Notes, "node node-0 is not in the membership: no peers are probed from it")
		}) {
			t.Error("a node that is not in the membership is not told")
		}
	})
}

// TestAgentLooksAgain: in a large mesh a pair waits long for its turn; what failed
// is looked at again before, and its recovery told.
func TestAgentLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1000)
		r.net.set(func(c mesh.Check) v1alpha1.Observation {
			if c.Via == mesh.ViaPodIP && c.To.Node != "node-0" {
				return v1alpha1.Observation{Outcome: v1alpha1.OutcomeRefused}
			}
			return v1alpha1.Observation{}
		})
		r.start()
		time.Sleep(20 * time.Second)
		r.net.set(nil)
		healed := time.Now()
		time.Sleep(10 * time.Minute)
		lines := r.stop(t)
		for _, l := range lines {
			if l.Full && l.At.Sub(healed) > 8*time.Minute && len(l.Observations) > 0 {
				t.Errorf("%s after recovery it still says that %d flows fail", l.At.Sub(healed), len(l.Observations))
			}
		}
	})
}

func TestAgentReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(300)
		if got := r.agent.Report(); len(got) > 0 {
			t.Errorf("before it runs: %q", got)
		}
		r.net.set(always(v1alpha1.OutcomeTimeout))
		r.start()
		time.Sleep(time.Minute + 30*time.Second)
		synctest.Wait()
		report := string(r.agent.Report())
		if !strings.HasSuffix(r.out.text(), report) || !slices.ContainsFunc(told(t, report), func(l Line) bool { return l.Full }) {
			t.Error("the report is not what was written last")
		}
		time.Sleep(20 * time.Minute)
		if got := len(r.agent.Report()); got > maxRecent || got < maxRecent/2 {
			t.Errorf("the report has %d bytes, at most %d", got, maxRecent)
		}
		r.stop(t)
	})
}

// TestAgentClockJumps: the wall clock is set back and ahead; the rate holds and
// probing goes on.
func TestAgentClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-time.Hour, time.Hour, -300 * time.Millisecond} {
		t.Run(jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(20)
				begin := time.Now()
				r.agent.Now = func() time.Time {
					now := time.Now()
					if now.Sub(begin) > 30*time.Second {
						return now.Add(jump)
					}
					return now
				}
				r.start()
				time.Sleep(time.Minute)
				r.stop(t)
				if got := r.net.rate(begin); got > 3 {
					t.Errorf("%d exchanges within a second", got)
				}
				if got := r.net.count(begin.Add(40*time.Second), begin.Add(time.Minute)); got < 38 {
					t.Errorf("%d exchanges in twenty seconds after the jump, want 40", got)
				}
			})
		})
	}
}

// TestAgentNotChecked: what the plan cannot check is told once, with why.
func TestAgentNotChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(4)
		for i := range r.state.m.Members {
			r.state.m.Members[i].Guarded = nil
		}
		r.start()
		time.Sleep(50 * time.Second)
		lines := r.stop(t)
		want, seen := "guarded target of node-1 has no IPv6 address", 0
		for _, o := range observed(lines) {
			if o.Outcome != v1alpha1.OutcomeNotChecked {
				t.Errorf("observation %+v", o)
			}
			if o.Reason == want && o.Protocol == mesh.TCP {
				seen++
			}
		}
		if seen != 1 {
			t.Errorf("%q is told %d times", want, seen)
		}
		for _, c := range r.net.checks {
			if c.Target == v1alpha1.TargetGuarded {
				t.Errorf("it is tried all the same: %+v", c)
			}
		}
	})
}

// TestAgentHasFewUnderWay: exchanges that never end by themselves are bounded in
// number, and those that cannot begin are said.
func TestAgentHasFewUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(20)
		r.net.took, r.net.deaf = time.Minute, true
		r.start()
		time.Sleep(50 * time.Second)
		if _, err := r.end(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if r.net.most != maxInFlight {
			t.Errorf("%d exchanges at once, want %d", r.net.most, maxInFlight)
		}
		if !strings.Contains(r.out.text(), "the probe has too many exchanges under way") {
			t.Error("it does not say that it cannot go on")
		}
	})
}
