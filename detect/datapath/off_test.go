package datapath

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// dualNodes are Nodes with pod CIDRs of both families and nothing else, as
// `kubectl get nodes` gives them.
func dualNodes() *snapshot.Snapshot {
	s := cluster(2, 0)
	s.ReadKinds = nil
	return s
}

func withoutIPv6() []string {
	return []string{"enable-ipv6", "false", "enable-ipv6-masquerade", "false"}
}

// TestFamilyOff: a family that the configuration switches off makes no classes;
// switching it on or off fixes or breaks what it had.
func TestFamilyOff(t *testing.T) {
	off6, off4 := withoutIPv6(), []string{"enable-ipv4", "false", "enable-ipv4-masquerade", "false"}
	for _, tc := range []struct {
		name          string
		before, after []string
		family        string // the only one left
		fixes, breaks bool
	}{
		{"IPv6 off", off6, off6, "IPv4", false, false},
		{"IPv4 off", off4, off4, "IPv6", false, false},
		{"IPv6 on", off6, nil, "IPv4", true, false},
		{"IPv6 taken away", nil, off6, "", false, true},
	} {
		for kind, s := range map[string]*snapshot.Snapshot{"nodes": dualNodes(), "pods": cluster(3, 2, "a", "b-guarded")} {
			t.Run(tc.name+" "+kind, func(t *testing.T) {
				before := newModel(t, Input{Config: config(tc.before...), Snapshot: s}).Analyse()
				after := newModel(t, Input{Config: config(tc.after...), Snapshot: s}).Analyse()
				for _, c := range before.Classes {
					if tc.family != "" && c.Family != tc.family {
						t.Fatalf("class %s of a family that is off", c.ID)
					}
				}
				d := Compare(before, after)
				if (d.Fixed > 0) != tc.fixes || (d.Broken > 0) != tc.breaks || len(before.Classes) == 0 {
					t.Errorf("%d classes, fixed %d, broken %d", len(before.Classes), d.Fixed, d.Broken)
				}
				for _, e := range d.BrokenExamples {
					if !strings.Contains(e.After, "IPv6 is off") {
						t.Errorf("broken to %q", e.After)
					}
				}
			})
		}
	}
}

// TestFamilyOffOnOneNode: pods of a node whose own configuration lacks the
// family are out of reach, in both directions.
func TestFamilyOffOnOneNode(t *testing.T) {
	s := cluster(3, 1, "a")
	per := map[string]cilium.Config{"node-0001": config(withoutIPv6()...)}
	a := newModel(t, Input{Config: config(), PerNode: per, Snapshot: s}).Analyse()
	reached := 0
	for _, c := range a.Classes {
		if c.Family != "IPv6" || c.Kind != KindPodPod {
			continue
		}
		touches := c.From.Node == "node-0001" || c.To.Node == "node-0001"
		if lost := c.Result.Delivered == snapshot.No; lost != touches {
			t.Errorf("%s: %s to %s: %s", c.ID, c.From.Node, c.To.Node, c.Result.Outcome())
		}
		reached++
	}
	if reached == 0 {
		t.Error("no classes")
	}
}

func TestAgreeOnNothing(t *testing.T) {
	if d := agree(nil); d.Verdict != policy.Unknown || d.Reason == "" {
		t.Errorf("%+v", d)
	}
}

// TestTraceOff: a trace into a family that is off at either end says so.
func TestTraceOff(t *testing.T) {
	far := End{Kind: EndOutside, Addr: netip.MustParseAddr("2001:db8::1")}
	everywhere := newModel(t, Input{Config: config(withoutIPv6()...), Snapshot: lab()})
	there := newModel(t, Input{Config: config(), PerNode: map[string]cilium.Config{"node-0001": config(withoutIPv6()...)}, Snapshot: lab()})
	for _, tc := range []struct {
		m        *Model
		from, to End
		off      bool
	}{
		{everywhere, pod("a"), far, true},
		{everywhere, far, pod("a"), true},
		{there, pod("a"), pod("b"), true},
		{there, pod("b"), pod("a"), true},
		{there, pod("a"), toNode("node-0001"), false},
	} {
		r := tc.m.Trace(Flow{From: tc.from, To: tc.to, Family: "IPv6", Protocol: "TCP"})
		if off := r.Delivered == snapshot.No && strings.Contains(r.Reason, "IPv6 is off"); off != tc.off {
			t.Errorf("%v to %v: %s %s", tc.from.Name, tc.to.Name, r.Outcome(), r.Reason)
		}
	}
}
