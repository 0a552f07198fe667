package confirm

import (
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// What is kept of an observation is all of it, whatever its times say.
func TestSayingKeepsAll(t *testing.T) {
	now := time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)
	whole := v1alpha1.Observation{
		From: v1alpha1.Endpoint{Namespace: "p", Pod: "a", Node: "node-1", IP: "fd00::1"}, To: v1alpha1.Endpoint{Node: "node-2", IP: "fd00::2", Port: 9971},
		Via: "PodIP", Family: "IPv6", Protocol: "UDP", Target: "open", HostNetwork: true, Outcome: "OK", Reason: "why", Unreliable: true,
		Sent: 3, Received: 1, Bytes: 1500, SourceSeen: "fd00::3", DropReason: "d", SourceIdentity: "i",
		At: "2026-02-12T10:00:01.25Z", Heard: "2026-02-12T10:00:00.5Z",
	}
	for _, times := range [][2]string{{whole.At, whole.Heard}, {"", ""}, {"soon", "never"}, {"2026-02-12T12:00:01+02:00", ""}} {
		o := whole
		o.At, o.Heard = times[0], times[1]
		s := newSaying(o, now)
		if got := s.observation(); got != o {
			t.Errorf("%v: kept %+v", times, got)
		}
		again := newSaying(o, now)
		if other := newSaying(whole, now.Add(time.Second)); !s.repeats(&again) || s.repeats(&other) != (o == whole) {
			t.Errorf("%v: what is said again is not known", times)
		}
	}
}
