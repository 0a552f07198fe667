package verify

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Each way from Git to cilium-config that can lack something, and what is said.
func TestReconciled(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*Input)
		stage   Stage
		done    snapshot.Tri
		waits   string
		isStuck bool
	}{
		{"not merged", func(in *Input) { in.Merged = Merged{} }, StageNone, snapshot.No, "not merged", false},
		{"artifact is older", func(in *Input) {
			in.Source.Contains, in.Source.Revision = snapshot.No, "main@sha1:ffff"
		}, StageMerged, snapshot.No, "GitRepository flux-system/flux-system: its artifact is main@sha1:ffff, which does not hold 0123456789ab", false},
		{"source fails", func(in *Input) {
			in.Source.Contains, in.Source.Ready, in.Source.Message = snapshot.No, snapshot.No, "dial tcp: i/o timeout"
		}, StageMerged, snapshot.No, "dial tcp: i/o timeout", false},
		{"source without artifact", func(in *Input) { in.Source.Contains, in.Source.Revision = snapshot.No, "" }, StageMerged, snapshot.No, "no revision", false},
		{"ancestor not known", func(in *Input) { in.Source.Contains = snapshot.Unknown }, StageMerged, snapshot.Unknown, "not known whether", false},
		{"source suspended", func(in *Input) { in.Source.Contains, in.Source.Suspended = snapshot.No, true }, StageMerged, snapshot.No, "suspended", true},
		{"source suspended with the commit", func(in *Input) { in.Source.Suspended = true }, StageVerified, snapshot.Yes, "", false},
		{"source not seen", func(in *Input) { in.Source = Source{} }, StageMerged, snapshot.Unknown, "no source was seen", false},
		{"Kustomization behind", func(in *Input) {
			k := &in.Kustomizations[0]
			k.Contains, k.Revision, k.Ready, k.Message = snapshot.No, "main@sha1:eeee", snapshot.No, "failed to download archive: connection refused"
		}, StageMerged, snapshot.No, "Kustomization flux-system/cilium: it applied main@sha1:eeee, which does not hold 0123456789ab: failed to download archive: connection refused", false},
		{"Kustomization suspended", func(in *Input) { in.Kustomizations[0].Contains, in.Kustomizations[0].Suspended = snapshot.No, true }, StageMerged, snapshot.No, "resume it", true},
		{"Kustomization not known", func(in *Input) { in.Kustomizations[0].Contains = snapshot.Unknown }, StageMerged, snapshot.Unknown, "not known whether", false},
		{"no Kustomization", func(in *Input) { in.Kustomizations = nil }, StageMerged, snapshot.Unknown, "no Kustomization was seen", false},
		{"release not seen", func(in *Input) { in.Release = Release{} }, StageMerged, snapshot.Unknown, "the HelmRelease was not seen", false},
		{"release suspended before", func(in *Input) { in.Release.Digest, in.Release.Suspended = "sha256:old", true }, StageMerged, snapshot.No, "resume it", true},
		{"release failed", func(in *Input) {
			r := &in.Release
			r.Digest, r.Status, r.Ready, r.Message = "sha256:old", "failed", snapshot.No, "Helm upgrade failed"
		}, StageMerged, snapshot.No, "its newest release is failed: Helm upgrade failed", false},
		{"planned values, failed all the same", func(in *Input) { in.Release.Status, in.Release.Ready = "failed", snapshot.No }, StageMerged, snapshot.No, "its newest release is failed", false},
		{"release not ready", func(in *Input) { in.Release.Digest, in.Release.Ready = "sha256:old", snapshot.No }, StageMerged, snapshot.No, "it is not ready", false},
		{"release not observed", func(in *Input) { in.Release.Digest, in.Release.Observed = "sha256:old", 2 }, StageMerged, snapshot.No, "helm-controller has not seen", false},
		{"release from before the merge", func(in *Input) { in.Release.Digest, in.Release.Deployed = "sha256:old", after(-time.Hour) }, StageMerged, snapshot.No, "before the merge", false},
		{"never released", func(in *Input) { in.Release.Digest, in.Release.Deployed = "", time.Time{} }, StageMerged, snapshot.Unknown, "which values it released", false},
		{"planned values released before the merge", func(in *Input) { in.Release.Deployed = after(-time.Hour) }, StageVerified, snapshot.Yes, "", false},
		{"later commit changed further values", func(in *Input) { in.Release.Digest = "sha256:other" }, StageVerified, snapshot.Yes, "", false},
		{"digest not known", func(in *Input) { in.Planned.ValuesDigest = "" }, StageVerified, snapshot.Yes, "", false},
		{"deployed a minute before the merge by another clock", func(in *Input) {
			in.Release.Digest, in.Release.Deployed = "sha256:other", after(-time.Minute)
		}, StageVerified, snapshot.Yes, "", false},
		{"merge time not known, other digest", func(in *Input) { in.Release.Digest, in.Merged.At = "sha256:other", time.Time{} }, StageMerged, snapshot.No, "other values than planned", false},
		{"key as before", func(in *Input) { in.Config.Data[cidrKey] = narrow }, StageMerged, snapshot.No, `ipv6-native-routing-cidr is "fd00:101::/48", and planned is "fd00:101::/38"`, false},
		{"key missing", func(in *Input) { delete(in.Config.Data, cidrKey) }, StageMerged, snapshot.No, "is not set", false},
		{"key to go is there", func(in *Input) { in.Planned.Config[cidrKey] = nil }, StageMerged, snapshot.No, "planned is not set", false},
		{"key to go is gone", func(in *Input) { in.Planned.Config["mtu"] = nil }, StageVerified, snapshot.Yes, "", false},
		{"line break at the end", func(in *Input) { in.Config.Data[cidrKey] = wide + "\n" }, StageVerified, snapshot.Yes, "", false},
		{"config not read", func(in *Input) { in.Config.Known = false }, StageMerged, snapshot.Unknown, "it was not read", false},
		{"nothing planned", func(in *Input) { in.Planned.Config = nil }, StageMerged, snapshot.Unknown, "not known which keys", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			tt.change(&in)
			s := Judge(in)
			verdict := Pending
			if tt.stage == StageVerified {
				verdict = Verified
			}
			check(t, s, tt.stage, verdict, tt.waits)
			if got := s.Step(StageReconciled).Done; got != tt.done {
				t.Errorf("reconciled: %v, want %v\n%s", got, tt.done, dump(s))
			}
			if s.Stuck() != tt.isStuck {
				t.Errorf("stuck: %v, want %v\n%s", s.Stuck(), tt.isStuck, dump(s))
			}
		})
	}
}

// Somebody brought the change in by hand while Flux could not: the agents run it,
// and no verdict is given before Git and the cluster agree.
func TestByHand(t *testing.T) {
	in := story()
	in.Source.Contains, in.Kustomizations[0].Contains, in.Release.Digest, in.Release.Deployed = snapshot.No, snapshot.No, "sha256:old", after(-time.Hour)
	s := Judge(in)
	check(t, s, StageMerged, Pending, "does not hold")
	if s.node("n1").Active != snapshot.Yes {
		t.Errorf("the agents run it: %v", s.Nodes)
	}
	found := false
	for _, e := range s.Evidence {
		found = found || e.Kind == "config" && e.Source == in.Config.Object && len(e.Text) > 0 && e.Text[:5] == "holds"
	}
	if !found {
		t.Errorf("nothing tells that it came another way: %v", s.Evidence)
	}
}

// The same input gives the same state, and what one look found lets the next one go
// on.
func TestDeterministicAndRemembers(t *testing.T) {
	for range 20 {
		if d := cmp.Diff(Judge(story()), Judge(story()), cmp.AllowUnexported(NodeState{})); d != "" {
			t.Fatal(d)
		}
	}
	in := story()
	in.Before = Since{}
	first := Judge(in)
	check(t, first, StageRolledOut, Pending, "30s more")
	if !first.Since.RolledOut.Equal(in.Now) || !first.Since.Reconciled.Equal(in.Config.Changed) || !first.Since.Merged.Equal(merged) {
		t.Errorf("since %+v", first.Since)
	}
	in.Before, in.Now = first.Since, in.Now.Add(time.Minute)
	in.Probes.From = first.Since.RolledOut
	for i := range in.Probes.Senders {
		in.Probes.Senders[i].Heard = in.Now.Add(-time.Second)
	}
	second := Judge(in)
	check(t, second, StageVerified, Verified, "")
	if !second.Since.RolledOut.Equal(first.Since.RolledOut) || !second.Since.Verified.Equal(in.Now) {
		t.Errorf("since %+v", second.Since)
	}
	old(&in, "n2")
	if back := Judge(in); !back.Since.RolledOut.IsZero() || back.Since.Reconciled.IsZero() {
		t.Errorf("a step that is undone keeps its time: %+v", back.Since)
	}
}

// A clock ahead of ours must not lead to times in the future.
func TestClocksAhead(t *testing.T) {
	in := story()
	in.Before = Since{}
	in.Merged.At, in.Config.Changed, in.Release.Deployed = in.Now.Add(time.Hour), in.Now.Add(time.Hour), in.Now.Add(time.Hour)
	s := Judge(in)
	for _, at := range []time.Time{s.Since.Merged, s.Since.Reconciled} {
		if at.After(in.Now) {
			t.Errorf("%s is after now, %s", at, in.Now)
		}
	}
	if s.Verdict != Pending {
		t.Errorf("verdict %q: every agent is from before the change by the same clock", s.Verdict)
	}
}

func TestEmpty(t *testing.T) {
	s := Judge(Input{})
	check(t, s, StageNone, Pending, "not merged")
	if len(s.Steps) != 4 || s.Nodes != nil || s.FollowUp != nil {
		t.Errorf("%+v", s)
	}
	r := s.Result()
	if r.Kind != "VerifyResult" || r.Nodes == nil || r.Steps == nil || r.Evidence == nil {
		t.Errorf("%+v", r)
	}
}
