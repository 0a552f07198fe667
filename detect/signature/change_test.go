package signature

import (
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// What only a comparison shows is in the catalogue, and no single state has it.
func TestComparedOnly(t *testing.T) {
	for id, severity := range map[string]v1alpha1.Severity{
		ChangeBreaksFlows: v1alpha1.SeverityCritical, FaultOnlyMasked: v1alpha1.SeverityWarning, ValueOverridden: v1alpha1.SeverityWarning,
		ReleaseDoesNotBuild: v1alpha1.SeverityCritical, ReleaseRemoved: v1alpha1.SeverityWarning,
	} {
		s, ok := ByID(id)
		if !ok {
			t.Errorf("%s is not in the catalogue", id)
			continue
		}
		if s.Severity != severity {
			t.Errorf("%s: severity %s, want %s", id, s.Severity, severity)
		}
		if got := s.Detect(&Input{Snapshot: &snapshot.Snapshot{}}); got != nil {
			t.Errorf("%s finds %v in one state", id, got)
		}
		for _, n := range s.Neighbours {
			if _, ok := ByID(n.ID); !ok {
				t.Errorf("%s: neighbour %s is not in the catalogue", id, n.ID)
			}
		}
	}
}

// About tells findings of one signature apart, and holds no values.
func TestAbout(t *testing.T) {
	in := &Input{Snapshot: &snapshot.Snapshot{}, DeadKeys: []DeadKey{{Path: "mtu", Value: "1450", RightKey: "MTU"}, {Path: "bpf.lbMode", Value: "snat"}}}
	in.Start.Refusals = []cilium.Refusal{{ID: "V6", Message: "BPF masquerade requires"}, {ID: "V1", Message: "other"}}
	var got []string
	for _, id := range []string{ValuesKeyHasNoEffect, AgentRefusesToStart} {
		s, _ := ByID(id)
		for _, f := range s.Detect(in) {
			got = append(got, f.Signature+" "+f.About)
		}
	}
	want := "values-key-has-no-effect mtu, values-key-has-no-effect bpf.lbMode, agent-refuses-to-start V6, agent-refuses-to-start V1"
	if strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
}

// Nodes on which no policy is enforced drop nothing, whatever the CIDR.
func TestUnenforced(t *testing.T) {
	tests := []struct {
		settings cilium.Settings
		want     bool
	}{
		{cilium.Settings{PolicyEnforcement: "default"}, false},
		{cilium.Settings{PolicyEnforcement: "always"}, false},
		{cilium.Settings{PolicyEnforcement: "never"}, true},
		{cilium.Settings{PolicyEnforcement: "default", PolicyAuditMode: true}, true},
	}
	for _, test := range tests {
		if got := (nodeGroup{settings: test.settings}).unenforced(); (got != "") != test.want {
			t.Errorf("%s, audit %t: %q", test.settings.PolicyEnforcement, test.settings.PolicyAuditMode, got)
		}
	}
}
