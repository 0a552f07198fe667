package verify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// The keys of cilium-config are compared one by one, and exactly.
func TestConfigHoldsThePlannedKeys(t *testing.T) {
	masq := "nonMasqueradeCIDRs: [fd00:101::/38]\n"
	tests := []struct {
		name    string
		planned map[string]*string
		data    map[string]string
		masq    *string
		holds   snapshot.Tri
		text    string
	}{
		{"as planned", map[string]*string{cidrKey: ptr(wide)}, map[string]string{cidrKey: wide}, nil, snapshot.Yes, ""},
		{"others besides", map[string]*string{cidrKey: ptr(wide)}, map[string]string{cidrKey: wide, "mtu": "1"}, nil, snapshot.Yes, ""},
		{"as before", map[string]*string{cidrKey: ptr(wide)}, map[string]string{cidrKey: narrow}, nil, snapshot.No, `is "fd00:101::/48", and planned is "fd00:101::/38"`},
		{"a longer value", map[string]*string{cidrKey: ptr(wide)}, map[string]string{cidrKey: wide + "0"}, nil, snapshot.No, `is "fd00:101::/380"`},
		{"in capitals", map[string]*string{cidrKey: ptr(wide)}, map[string]string{cidrKey: strings.ToUpper(wide)}, nil, snapshot.No, "FD00"},
		{"empty and not set are two things", map[string]*string{"mtu": nil}, map[string]string{"mtu": ""}, nil, snapshot.No, `mtu is "", and planned is not set`},
		{"set to empty", map[string]*string{"mtu": ptr("")}, nil, nil, snapshot.No, `mtu is not set, and planned is ""`},
		{"one of two", map[string]*string{cidrKey: ptr(wide), "mtu": ptr("1400")}, map[string]string{cidrKey: wide}, nil, snapshot.No, "mtu is not set"},
		{"neither of two", map[string]*string{cidrKey: ptr(wide), "mtu": ptr("1400")}, nil, nil, snapshot.No, `is not set, and planned is "fd00:101::/38"; mtu is not set`},
		{"the agent's list", map[string]*string{MasqAgentKey: &masq}, nil, ptr(strings.TrimSpace(masq)), snapshot.Yes, ""},
		{"another list", map[string]*string{MasqAgentKey: &masq}, nil, ptr("nonMasqueradeCIDRs: []"), snapshot.No, "ip-masq-agent is"},
		{"a list that is to go", map[string]*string{MasqAgentKey: nil}, nil, &masq, snapshot.No, "planned is not set"},
		{"a key of that name is not the list", map[string]*string{MasqAgentKey: &masq}, map[string]string{MasqAgentKey: masq}, nil, snapshot.No, "ip-masq-agent is not set"},
		{"a large, hostile value", map[string]*string{cidrKey: ptr(wide)}, map[string]string{cidrKey: strings.Repeat("\x1b[2J", 1<<16)}, nil, snapshot.No, "planned is"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			in.Planned.Config, in.Config.Data, in.Config.MasqAgent, in.Config.MasqAgentChanged = tt.planned, tt.data, tt.masq, in.Config.Changed
			s := Judge(in)
			if got := s.Step(StageReconciled).Done; got != tt.holds {
				t.Errorf("%v, want %v\n%s", got, tt.holds, dump(s))
			}
			if text := waitsFor(s); !strings.Contains(text, tt.text) || len(text) > 1500 || strings.Contains(text, "\x1b") {
				t.Errorf("%q is not said: %.300q", tt.text, text)
			}
		})
	}
	in := story()
	for i := range 100 {
		in.Planned.Config[fmt.Sprintf("key-%03d", i)] = ptr("x")
	}
	s := Judge(in)
	if text := waitsFor(s); strings.Count(text, "planned is") != maxListed {
		t.Errorf("of a hundred keys %d are told: %s", strings.Count(text, "planned is"), text)
	}
}

// Since when the change is there for agents to read, where more than one object
// holds it.
func TestSinceWhen(t *testing.T) {
	list := "nonMasqueradeCIDRs: []"
	both := map[string]*string{cidrKey: ptr(wide), MasqAgentKey: &list}
	tests := []struct {
		name         string
		planned      map[string]*string
		config, masq time.Duration
		before       time.Duration
		want         time.Duration
	}{
		{"cilium-config", map[string]*string{cidrKey: ptr(wide)}, time.Minute, 3 * time.Minute, 0, time.Minute},
		{"the list", map[string]*string{MasqAgentKey: &list}, time.Minute, 3 * time.Minute, 0, 3 * time.Minute},
		{"both: the later", both, time.Minute, 3 * time.Minute, 0, 3 * time.Minute},
		{"both, the other way round", both, 4 * time.Minute, 3 * time.Minute, 0, 4 * time.Minute},
		{"an earlier look saw it", map[string]*string{cidrKey: ptr(wide)}, 5 * time.Minute, 0, 2 * time.Minute, 2 * time.Minute},
		{"an earlier look saw it later than it says", map[string]*string{cidrKey: ptr(wide)}, time.Minute, 0, 2 * time.Minute, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			in.Before = Since{}
			if tt.before > 0 {
				in.Before.Reconciled = after(tt.before)
			}
			in.Planned.Config, in.Config.MasqAgent = tt.planned, &list
			in.Config.Changed, in.Config.MasqAgentChanged = after(tt.config), after(tt.masq)
			j := &judge{in: in}
			if got := j.changed(); !got.Equal(after(tt.want)) {
				t.Errorf("%s, want %s", got, after(tt.want))
			}
		})
	}
}

// Every Kustomization on the way has to have applied the commit, and each that has
// not is named.
func TestKustomizationsOnTheWay(t *testing.T) {
	in := story()
	in.Kustomizations = []Kustomization{
		{Object: "Kustomization flux-system/flux-system", Revision: "main@sha1:" + commit, Contains: snapshot.Yes},
		{Object: "Kustomization flux-system/apps", Revision: "main@sha1:aaaa", Contains: snapshot.No},
		{Object: "Kustomization flux-system/cilium", Revision: "main@sha1:bbbb", Contains: snapshot.No, Suspended: true},
	}
	s := Judge(in)
	check(t, s, StageMerged, Pending, "Kustomization flux-system/apps: it applied main@sha1:aaaa")
	check(t, s, StageMerged, Pending, "Kustomization flux-system/cilium: it is suspended at main@sha1:bbbb: resume it")
	if len(s.Waits()) != 2 || !s.Stuck() {
		t.Errorf("waits %v, stuck %v", s.Waits(), s.Stuck())
	}
	for i := range in.Kustomizations {
		in.Kustomizations[i].Contains = snapshot.Yes
	}
	check(t, Judge(in), StageVerified, Verified, "")
}

// What controllers say of themselves is shown, and bounded.
func TestHostileMessages(t *testing.T) {
	bomb := strings.Repeat("x\x1b]0;\a\n", 1<<15)
	in := story()
	in.Source.Contains, in.Source.Ready, in.Source.Message, in.Source.Revision, in.Source.Object = snapshot.No, snapshot.No, bomb, bomb, bomb
	in.Kustomizations[0].Contains, in.Kustomizations[0].Ready, in.Kustomizations[0].Message = snapshot.No, snapshot.No, bomb
	in.Release.Digest, in.Release.Status, in.Release.Ready, in.Release.Message = bomb, bomb, snapshot.No, bomb
	in.Merged.Commit = bomb
	s := Judge(in)
	text := dump(s)
	if len(text) > 12_000 || strings.ContainsAny(text, "\x1b\a") {
		t.Errorf("%d bytes: %.300q", len(text), text)
	}
	if s.Verdict != Pending || len(s.Waits()) != 3 {
		t.Errorf("%q: %d waits", s.Verdict, len(s.Waits()))
	}
}

// A release of other values than planned counts when it was made after the merge and
// the planned keys are there: a later commit changed further values. What it rests
// on is told.
func TestReleasedDigest(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Input)
		text   string
	}{
		"the planned values": {func(*Input) {}, "released the planned values (" + digest + ")"},
		"others":             {func(in *Input) { in.Release.Digest = "sha256:other" }, "other values than the planned ones differ too"},
		"not known":          {func(in *Input) { in.Planned.ValuesDigest = "" }, "the digest of the planned values is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			in := story()
			tt.change(&in)
			s := Judge(in)
			check(t, s, StageVerified, Verified, "")
			for _, e := range s.Evidence {
				if strings.Contains(e.Text, tt.text) && e.Source == in.Release.Object {
					return
				}
			}
			t.Errorf("%q is not told: %+v", tt.text, s.Evidence)
		})
	}
	in := story()
	in.Release.Digest, in.Config.Known = "sha256:other", false
	check(t, Judge(in), StageMerged, Pending, "it released other values than planned")
}
