package collect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/probe"
)

// fast are short times, so that a test need not wait.
func fast(sink func(collect.Target, probe.Line)) collect.Options {
	return collect.Options{
		Sink: sink, Every: 100 * time.Millisecond, DirectEvery: 100 * time.Millisecond, DirectRetry: 300 * time.Millisecond,
		Limits: collect.Limits{Beat: 300 * time.Millisecond},
	}
}

func (h *heard) has(line string) bool { return slices.Contains(h.all(), line) }

func name(s *speaker, seq int) string {
	return fmt.Sprintf("%s %s/%d", s.pod.Spec.NodeName, s.boot, seq)
}

// once says that no line was told twice.
func (h *heard) once(t *testing.T) {
	t.Helper()
	seen := map[string]bool{}
	for _, l := range h.all() {
		if seen[l] {
			t.Errorf("told twice: %s", l)
		}
		seen[l] = true
	}
}

func TestLogsAreFollowed(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	for i := range 3 {
		c.on(i).say(nil) // before anybody reads
	}
	var h heard
	col, stop := run(t, c.server.Config, collect.Options{Sink: h.sink})
	eventually(t, "the lines before", func() bool { return len(h.all()) == 3 })
	for i := range 3 {
		c.on(i).say(nil)
	}
	eventually(t, "the lines after", func() bool { return len(h.all()) == 6 })
	for i := range 3 {
		p, _ := col.Matrix().Probe(key(c.on(i)))
		if p.Path != collect.PathFollow || p.Counts.Lines != 2 || p.Node != fmt.Sprintf("node-%d", i) {
			t.Errorf("probe %+v", p)
		}
	}
	t.Run("a new node's too", func(t *testing.T) {
		c.addNode(t, 3)
		c.on(3).say(nil)
		eventually(t, "its line", func() bool { return h.has(name(c.on(3), 1)) })
	})
	t.Run("garbage does no harm", func(t *testing.T) {
		s := c.on(0)
		s.write("panic: no\n\x1b[2J\x00\n{\"v\":1}\n" + strings.Repeat("x", 100<<10) + "\n")
		s.say(func(l *probe.Line) { l.From.Node = "node-1" })
		s.say(nil)
		eventually(t, "the line after it", func() bool { return h.has(name(s, 4)) })
		p, _ := col.Matrix().Probe(key(s))
		if p.Counts.Unparsable < 4 || p.Counts.Foreign != 1 || h.has(name(s, 3)) {
			t.Errorf("counts %+v", p.Counts)
		}
	})
	t.Run("rotation in a line", func(t *testing.T) {
		s := c.on(1)
		c.kubelet.Rotate(t, namespace, s.pod.Name)
		s.say(nil)
		s.say(nil)
		eventually(t, "the line after it", func() bool { return h.has(name(s, 4)) })
	})
	t.Run("restart", func(t *testing.T) {
		before := c.on(2)
		c.kubelet.Restart(t, namespace, before.pod.Name)
		now := c.on(2)
		now.say(nil)
		eventually(t, "the new boot's line", func() bool { return h.has(name(now, 1)) })
		if p, _ := col.Matrix().Probe(key(now)); p.Boot != now.boot || p.Counts.Restarts != 1 {
			t.Errorf("probe %+v", p)
		}
	})
	stop()
	h.once(t)
}

func TestLogsAreReadInRotation(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	var h heard
	o := fast(h.sink)
	o.Follow, o.Workers, o.Limits.Beat = 1, 2, time.Minute
	col, stop := run(t, c.server.Config, o)
	for round := 1; round <= 3; round++ {
		for i := range 4 {
			c.on(i).say(nil)
		}
		eventually(t, "everybody's line", func() bool { return len(h.all()) == 4*round })
	}
	// A log that was rotated in a line gives the second half of it.
	c.kubelet.Rotate(t, namespace, c.on(3).pod.Name)
	c.on(3).say(nil)
	c.on(3).say(nil)
	eventually(t, "the line after the rotation", func() bool { return h.has(name(c.on(3), 5)) })
	paths := map[collect.Path]int{}
	for _, p := range col.Matrix().Probes() {
		paths[p.Path]++
	}
	if paths[collect.PathFollow] != 1 || paths[collect.PathPoll] != 3 {
		t.Errorf("paths %v", paths)
	}
	stop()
	h.once(t)
}

func TestSilentProbes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	var h heard
	o := fast(h.sink)
	o.Limits.Beat = time.Second
	col, _ := run(t, c.server.Config, o)
	reasons := func() (out map[string]collect.Reason) {
		out = map[string]collect.Reason{}
		for _, s := range col.Matrix().Silent(time.Now()) {
			out[s.Probe.Node] = s.Reason
		}
		return out
	}
	for i := range 4 {
		c.on(i).say(nil)
	}
	eventually(t, "everybody heard", func() bool { return len(h.all()) == 4 })
	stopTalking := c.talk(0)
	defer stopTalking()
	eventually(t, "three are silent", func() bool {
		r := reasons()
		return r["node-1"] == collect.ReasonSilent && r["node-2"] == collect.ReasonSilent && r["node-3"] == collect.ReasonSilent
	})
	if r := reasons(); r["node-0"] != "" {
		t.Errorf("who talks is silent: %v", r)
	}
	c.kubelet.Ready(t, "node-1", false)
	c.kubelet.Down(t, "node-2", false)
	c.kubelet.Remove(t, "node-3")
	eventually(t, "a reason for each", func() bool {
		r := reasons()
		return r["node-1"] == collect.ReasonNodeNotReady && r["node-2"] == collect.ReasonUnread && r["node-3"] == collect.ReasonGone
	})
	c.kubelet.Ready(t, "node-1", true)
	c.on(1).say(nil)
	eventually(t, "it is heard again", func() bool { return h.has(name(c.on(1), 2)) })
}

// TestTheAPIServerIsAway: it is cut off, then it hangs, each for ten minutes of the
// collector's clock; what the probes wrote meanwhile is read, and nobody is silent.
func TestTheAPIServerIsAway(t *testing.T) {
	for _, state := range []string{"cut", "hung"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3)
			w, cfg := newWire(t, c.server.Config)
			var h heard
			var ahead atomic.Int64
			o := fast(h.sink)
			o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			o.Limits.Beat = time.Second
			col, stop := run(t, cfg, o)
			for i := range 3 {
				c.on(i).say(nil)
			}
			eventually(t, "everybody heard", func() bool { return len(h.all()) == 3 })

			w.set(state)
			eventually(t, "the API server is away", func() bool { since, _ := col.Matrix().API(); return !since.IsZero() })
			ahead.Store(int64(10 * time.Minute))
			for range 200 {
				for i := range 3 {
					c.on(i).say(nil)
				}
			}
			for range 50 {
				for _, s := range col.Matrix().Silent(o.Now()) {
					if s.Reason != collect.ReasonUnknown {
						t.Fatalf("silent: %+v", s)
					}
				}
				time.Sleep(20 * time.Millisecond)
			}
			w.set("")
			eventually(t, "all that was written", func() bool {
				for _, s := range col.Matrix().Silent(o.Now()) {
					if s.Fault() && s.Probe.Counts.Lines < 201 {
						t.Fatalf("silent: %+v", s)
					}
				}
				return len(h.all()) == 3*201
			})
			stop()
			h.once(t)
			for _, p := range col.Matrix().Probes() {
				if p.Counts.Missing != 0 || p.Counts.Lines != 201 {
					t.Errorf("counts %+v", p.Counts)
				}
			}
		})
	}
}

func TestDirectWhereThatWorks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	var h heard
	var mu sync.Mutex
	answers := map[string]string{}
	say := func(i int) {
		mu.Lock()
		defer mu.Unlock()
		text := c.on(i).line(nil)
		c.on(i).write(text)
		answers[c.on(i).pod.Name] += text
	}
	broken := errors.New("connection timed out")
	var cut atomic.Bool
	o := fast(h.sink)
	o.Limits.Beat = time.Minute
	o.Direct = func(_ context.Context, target collect.Target) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if cut.Load() || target.Node == "node-1" {
			return nil, broken
		}
		if len(target.IPs) != 1 || target.IPs[0] != c.on(0).ip {
			t.Errorf("asked %+v", target)
		}
		return []byte(answers[target.Pod]), nil
	}
	col, stop := run(t, c.server.Config, o)
	path := func(i int) collect.Path { p, _ := col.Matrix().Probe(key(c.on(i))); return p.Path }
	both := func(seq int) func() bool {
		return func() bool { return h.has(name(c.on(0), seq)) && h.has(name(c.on(1), seq)) }
	}
	say(0)
	say(1)
	eventually(t, "both heard", both(1))
	eventually(t, "each by its path", func() bool { return path(0) == collect.PathDirect && path(1) == collect.PathFollow })
	cut.Store(true)
	eventually(t, "the log of both", func() bool { say(0); return path(0) == collect.PathFollow })
	cut.Store(false)
	eventually(t, "direct again", func() bool { say(0); return path(0) == collect.PathDirect })
	// An answer with lines missing sends the collector to the log.
	mu.Lock()
	for range 3 {
		c.on(0).say(nil)
	}
	answers[c.on(0).pod.Name] = c.on(0).line(nil)
	last := int(c.on(0).seq)
	mu.Unlock()
	eventually(t, "the lines between", func() bool {
		return h.has(name(c.on(0), last)) && h.has(name(c.on(0), last-1)) && h.has(name(c.on(0), last-3))
	})
	stop()
	h.once(t)
}

func TestTalkativeProbes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	var h heard
	col, _ := run(t, c.server.Config, fast(h.sink))
	c.on(0).say(nil)
	eventually(t, "it is heard", func() bool { return len(h.all()) == 1 })
	junk := strings.Repeat(strings.Repeat("x", 1023)+"\n", 1<<10)
	eventually(t, "it is left alone", func() bool {
		c.on(0).write(junk)
		p, _ := col.Matrix().Probe(key(c.on(0)))
		return p.Counts.Talkative > 0
	})
	c.on(1).say(nil)
	eventually(t, "the other is heard", func() bool { return h.has(name(c.on(1), 1)) })
}

func TestTheMatrixIsWhatTheProbesSay(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	col, _ := run(t, c.server.Config, fast(nil))
	o := v1alpha1.Observation{
		To:  v1alpha1.Endpoint{Namespace: namespace, Pod: c.on(1).pod.Name, Node: "node-1", IP: c.on(1).ip.String(), Port: 9971},
		Via: "PodIP", Family: "IPv4", Protocol: "TCP", Target: "guarded", Outcome: "Timeout", Sent: 1, Bytes: 60,
	}
	c.on(0).say(func(l *probe.Line) { l.Observations = []v1alpha1.Observation{o} })
	c.on(1).say(nil)
	eventually(t, "both reports", func() bool { return len(col.Matrix().Reports()) == 2 })
	reports := col.Matrix().Reports()
	got := reports[0].Observations
	if len(got) != 1 || len(reports[1].Observations) != 0 || got[0].From.IP != c.on(0).ip.String() ||
		got[0].From.Node != "node-0" || got[0].Outcome != "Timeout" || got[0].At == "" {
		t.Errorf("reports %+v", reports)
	}
	if err := c.kube.CoreV1().Pods(namespace).Delete(t.Context(), c.on(0).pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its flows go with it", func() bool { return len(col.Matrix().Observations()) == 0 })
}

func TestNoRightToRead(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	cfg := *c.server.Config
	cfg.Impersonate.UserName = "nobody"
	col, stop := run(t, &cfg, fast(nil))
	eventually(t, "the API server answered", func() bool { since, _ := col.Matrix().API(); return since.IsZero() })
	stop()
	if got := col.Matrix().Probes(); len(got) != 0 {
		t.Errorf("probes %+v", got)
	}
}
