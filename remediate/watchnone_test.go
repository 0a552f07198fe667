package remediate

import (
	"strings"
	"testing"
)

// Only a cluster that says so, and only while no probe runs, lacks the key.
func TestNoKey(t *testing.T) {
	const missing = `Pod remediate-probe-x: FailedMount: MountVolume.SetUp failed for volume "key" : secret "remediate-probe-key" not found`
	for _, tt := range []struct {
		name  string
		sight Sight
		want  bool
	}{
		{"nothing is known", Sight{}, false},
		{"the kubelet says so", Sight{Why: []string{"1 pod: ImagePullBackOff", missing}}, true},
		{"probes run all the same", Sight{Wanted: 1, Why: []string{missing}}, false},
		{"another volume", Sight{Why: []string{strings.Replace(missing, "remediate-probe-key", "members", 1)}}, false},
		{"it is there and cannot be mounted", Sight{Why: []string{strings.Replace(missing, "not found", "timed out", 1)}}, false},
	} {
		if got := tt.sight.NoKey(); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
	want := "openssl rand 32 | kubectl create secret generic remediate-probe-key -n probes --from-file=key=/dev/stdin"
	if got := MakeKey("probes"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
