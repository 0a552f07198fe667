package plan

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

func make1(t *testing.T, values map[string]any, s *snapshot.Snapshot) v1alpha1.Plan {
	t.Helper()
	var p v1alpha1.Plan
	Make(bench(t, values, s), &p)
	return p
}

func changed(c v1alpha1.Candidate) map[string]any {
	out := map[string]any{}
	for _, x := range c.Changes {
		out[x.Path] = x.To
	}
	return out
}

func candidate(t *testing.T, p v1alpha1.Plan, id string) v1alpha1.Candidate {
	t.Helper()
	for _, c := range p.Candidates {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no %s among %v, rejected %+v", id, ids(p.Candidates), p.Rejected)
	return v1alpha1.Candidate{}
}

// Both families wrong: one change cures both, and it comes first.
func TestBothFamilies(t *testing.T) {
	values := with(incidentValues(), []Set{{Path: "enableIPv4Masquerade", Value: true}, {Path: "ipv4NativeRoutingCIDR", Value: "10.102.0.0/16"}})
	p := make1(t, values, incidentSnapshot())
	if len(p.Candidates) == 0 {
		t.Fatalf("rejected %+v", p.Rejected)
	}
	want := map[string]any{"ipv6NativeRoutingCIDR": "fd00:101::/38", "ipv4NativeRoutingCIDR": "10.100.0.0/14"}
	if diff := cmp.Diff(want, changed(p.Candidates[0])); diff != "" {
		t.Errorf("%s (-want +got):\n%s", p.Candidates[0].ID, diff)
	}
	if p.Delivery.Ways[1].Open != "no" {
		t.Errorf("the other family: %+v", p.Delivery.Ways[1])
	}
}

// What a person put on the ip-masq-agent's list stays there.
func TestMasqAgentListIsKept(t *testing.T) {
	list := func(entries ...any) []Set {
		return []Set{{Path: "ipMasqAgent.enabled", Value: true}, {Path: "ipMasqAgent.config.nonMasqueradeCIDRs", Value: entries}}
	}
	t.Run("the list is right and the agent is off", func(t *testing.T) {
		p := make1(t, with(incidentValues(), list("192.168.0.0/16", "fd00:101:224::/60", "fd00:101::/48")), incidentSnapshot())
		if len(p.Candidates) == 0 {
			t.Fatalf("no candidate, rejected %+v", p.Rejected)
		}
		for _, c := range p.Candidates {
			if got, ok := changed(c)["ipMasqAgent.config.nonMasqueradeCIDRs"]; ok {
				t.Errorf("%s rewrites a list that holds the pods: %v", c.ID, got)
			}
		}
	})
	t.Run("pods are added", func(t *testing.T) {
		p := make1(t, with(incidentValues(), append(list("192.168.0.0/16", "fd00:101::/48"), Set{Path: "bpf.masquerade", Value: true})), incidentSnapshot())
		want := []any{"192.168.0.0/16", "fd00:101::/48", "fd00:101:224::/60"}
		if diff := cmp.Diff(want, changed(candidate(t, p, "extend-ip-masq-agent"))["ipMasqAgent.config.nonMasqueradeCIDRs"]); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
	})
	t.Run("an entry that is no CIDR is named", func(t *testing.T) {
		p := make1(t, with(incidentValues(), append(list("192.168.0.0/16", "fd00:101:224::/60x"), Set{Path: "bpf.masquerade", Value: true})), incidentSnapshot())
		if c := candidate(t, p, "extend-ip-masq-agent"); !strings.Contains(strings.Join(c.SideEffects, " "), "fd00:101:224::/60x") {
			t.Errorf("side effects %q", c.SideEffects)
		}
	})
}

// What holds just the ranges seen so far ranks last and says so.
func TestObservedOnly(t *testing.T) {
	s := incidentSnapshot()
	s.PodPools = nil
	p := make1(t, incidentValues(), s)
	last := p.Candidates[len(p.Candidates)-1]
	if last.ID != "set-native-routing-cidr-to-pods" && last.ID != "use-ip-masq-agent" {
		t.Errorf("last is %s of %v", last.ID, ids(p.Candidates))
	}
	if !strings.Contains(strings.Join(last.SideEffects, " "), "seen so far") {
		t.Errorf("side effects %q", last.SideEffects)
	}
	if p.Candidates[0].ID != "widen-native-routing-cidr" {
		t.Errorf("first is %s", p.Candidates[0].ID)
	}
}

// The repository alone with the pods' range stated is enough to propose.
func TestWithoutNodes(t *testing.T) {
	s := &snapshot.Snapshot{PodPools: []snapshot.CIDR{{Prefix: netip.MustParsePrefix("fd00:101:224::/60"), Source: "--pod-cidr"}}}
	p := make1(t, incidentValues(), s)
	if len(p.Candidates) == 0 || p.Candidates[0].ID != "widen-native-routing-cidr" {
		t.Fatalf("candidates %v, rejected %+v", ids(p.Candidates), p.Rejected)
	}
	if f := p.Candidates[0].Proof.Flows; f.Fixed == 0 || f.Broken != 0 {
		t.Errorf("flows %+v", f)
	}
	if !strings.Contains(strings.Join(p.Candidates[0].Proof.Notes, " "), "assumed") {
		t.Errorf("notes %q", p.Candidates[0].Proof.Notes)
	}
	for _, c := range p.Commands {
		if strings.Contains(c.Command, "(") && strings.Contains(c.Command, "exec deploy") {
			t.Errorf("a command for a pod that nobody has seen: %s", c.Command)
		}
	}
}

func TestPolicyUnknown(t *testing.T) {
	s := incidentSnapshot()
	s.Policies = nil
	s.ReadKinds = map[string]bool{"Node": true, "Pod": true}
	p := make1(t, incidentValues(), s)
	if len(p.Candidates) == 0 {
		t.Fatalf("rejected %+v", p.Rejected)
	}
	for _, r := range p.Rejected {
		if strings.HasPrefix(r.ID, "widen") {
			t.Errorf("%s: %s", r.ID, r.Because)
		}
	}
}

// Part of the pods inside: no two candidates say the same.
func TestPartlyInside(t *testing.T) {
	p := make1(t, with(incidentValues(), []Set{{Path: "ipv6NativeRoutingCIDR", Value: "fd00:101:224::/62"}}), incidentSnapshot())
	seen := map[any]string{}
	for _, c := range p.Candidates {
		if to, ok := changed(c)["ipv6NativeRoutingCIDR"]; ok {
			if other, twice := seen[to]; twice {
				t.Errorf("%s and %s are the same change", other, c.ID)
			}
			seen[to] = c.ID
		}
	}
}
