package confirm_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/mesh"
)

// heap is what lives, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// TestMemoryOf5000Nodes: in an outage of everything all probes say much, and what is
// kept of it stays below 16 MiB, strings included: with the
// matrices of 5,000 probes below 64.
func TestMemoryOf5000Nodes(t *testing.T) {
	const nodes, each = 5000, 12
	before := heap()
	tracker := &confirm.Tracker{}
	now := time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)
	end := func(node int) v1alpha1.Endpoint {
		return v1alpha1.Endpoint{Namespace: "remediate-probe", Pod: fmt.Sprintf("remediate-probe-%05d", node), Node: fmt.Sprintf("node-%05d.example.internal", node), IP: fmt.Sprintf("fd00:101:224::%x", node+1)}
	}
	for from := range nodes {
		var said []v1alpha1.Observation
		for n := range each {
			said = append(said, v1alpha1.Observation{
				From: end(from), To: end((from + n + 1) % nodes), Via: mesh.ViaPodIP, Family: "IPv6", Protocol: mesh.TCP,
				Target: v1alpha1.TargetOpen, Outcome: v1alpha1.OutcomeTimeout, At: now.Add(time.Duration(n) * time.Millisecond).Format(time.RFC3339Nano),
			})
		}
		tracker.Observe(now, said...)
	}
	used := heap() - before
	t.Logf("%d of %d observations kept: %.1f MiB", tracker.Kept(), nodes*each, float64(used)/(1<<20))
	if used > 16<<20 {
		t.Errorf("%d bytes, more than 16 MiB", used)
	}
	runtime.KeepAlive(tracker)
}
