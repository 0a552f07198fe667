package remediate

import (
	"context"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// Agents are asked once in a while, and seldom where none can be read.
func TestAgentMetricsAreReadSeldom(t *testing.T) {
	now, asked := time.Now(), 0
	var has []snapshot.AgentMetrics
	a := &AgentMetrics{Now: func() time.Time { return now }, Ask: func(context.Context) []snapshot.AgentMetrics {
		asked++
		return has
	}}
	look := func(after time.Duration, times, want int) {
		t.Helper()
		now = now.Add(after)
		if got, _ := a.Read(t.Context()); asked != times || len(got) != want {
			t.Errorf("asked %d times and %d read, want %d and %d", asked, len(got), times, want)
		}
	}
	look(0, 1, 0)
	look(time.Minute, 1, 0)
	has = []snapshot.AgentMetrics{{Node: "n1"}}
	look(metricsSeldom, 2, 1)
	look(metricsEvery-1, 2, 1)
	look(1, 3, 1)
	if _, at := a.Read(t.Context()); !at.Equal(now) {
		t.Errorf("read at %s, want %s", at, now)
	}
}

// What an agent said is of its own pod and of when it was asked, and of no pod that
// took its place since.
func TestDriftIsOfThePodThatWasAsked(t *testing.T) {
	asked := time.Now().Add(-10 * time.Second)
	f := &Follower{Metrics: func(context.Context) ([]snapshot.AgentMetrics, time.Time) {
		var out []snapshot.AgentMetrics
		for node, pod := range map[string]string{"n1": "cilium-a", "n2": "cilium-old"} {
			out = append(out, snapshot.AgentMetrics{Node: node, Source: "metrics of kube-system/" + pod, Drift: snapshot.Fact[int]{Known: true, Value: 3}})
		}
		return out, asked
	}}
	in := verify.Input{Config: verify.Config{Changed: asked}, Agents: verify.Workload{Namespace: "kube-system",
		Pods: []verify.Pod{{Name: "cilium-a", Node: "n1", Created: asked.Add(-time.Hour)}, {Name: "cilium-new", Node: "n2", Created: asked.Add(time.Second)}}}}
	l := &followLook{Follower: f, in: &in}
	if err := l.metrics(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := in.Agents.Pods[0]; p.Drift == nil || *p.Drift != 3 || !p.DriftAt.Equal(asked) {
		t.Errorf("the pod that was asked: %v at %s", p.Drift, p.DriftAt)
	}
	if p := in.Agents.Pods[1]; p.Drift != nil {
		t.Errorf("the pod that was made since: %d", *p.Drift)
	}
	in.Agents.Pods[0].Created, in.Agents.Pods[0].Drift = asked.Add(time.Second), nil
	if err := l.metrics(t.Context()); err != nil || in.Agents.Pods[0].Drift != nil {
		t.Errorf("nobody is in doubt, and metrics are asked: %v, %v", in.Agents.Pods[0].Drift, err)
	}
}
