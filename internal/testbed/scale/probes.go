package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/probe"
)

// probes are the logs of all probes of the cluster, served as kubelets do. Nothing
// is kept: the n-th line of a probe follows from its name and from when it was.
type probes struct {
	port  int32
	from  time.Time
	nodes int
	// opened, lines and bytes are what was asked for and given.
	opened, lines, bytes atomic.Int64

	mu sync.Mutex
	// members is the hash that the probes were told last.
	members string
}

func newProbes(t testing.TB, nodes int) *probes {
	t.Helper()
	p := &probes{from: time.Now().Add(-time.Minute).Truncate(time.Second), nodes: nodes}
	server := httptest.NewUnstartedServer(p)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	p.port = int32(server.Listener.Addr().(*net.TCPAddr).Port)
	return p
}

// every is how often a probe says something: its heartbeat.
const every = probe.Heartbeat

// ServeHTTP answers GET /containerLogs/NAMESPACE/POD/CONTAINER, with timestamps.
func (p *probes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(part) != 4 || part[0] != "containerLogs" {
		http.NotFound(w, r)
		return
	}
	p.opened.Add(1)
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	since := p.from
	if at, err := time.Parse(time.RFC3339, r.URL.Query().Get("sinceTime")); err == nil && at.After(since) {
		since = at
	}
	p.copy(r.Context(), w, part[1], part[2], since, r.URL.Query().Get("follow") == "true")
}

// copy writes a probe's lines from a moment on, and goes on when it is followed.
func (p *probes) copy(ctx context.Context, w http.ResponseWriter, namespace, pod string, since time.Time, follow bool) {
	phase := phaseOf(pod)
	for n := 0; ; n++ {
		at := p.from.Add(phase + time.Duration(n)*every)
		if at.Before(since) {
			continue
		}
		if wait := time.Until(at); wait > 0 {
			if http.NewResponseController(w).Flush() != nil || !follow {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
		text := p.line(namespace, pod, n, at)
		p.lines.Add(1)
		p.bytes.Add(int64(len(text)))
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

// phaseOf spreads the probes over a heartbeat.
func phaseOf(pod string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(pod)) // it never fails
	return time.Duration(h.Sum32()) % every
}

// line is a heartbeat with its kubelet's time.
func (p *probes) line(namespace, pod string, n int, at time.Time) string {
	number := pod[strings.LastIndexByte(pod, '-')+1:]
	p.mu.Lock()
	members := p.members
	p.mu.Unlock()
	l := probe.Line{
		Version: 1, Boot: "b", Seq: uint64(n + 1), At: at.UTC(), Beat: true, Nodes: p.nodes, Members: members, Delay: 3,
		From: v1alpha1.Endpoint{Namespace: namespace, Pod: pod, Node: "worker-" + number},
	}
	for _, via := range []string{"PodIP", "NodeIP", "ClusterIP", "DNS"} {
		for _, protocol := range []string{"TCP", "UDP"} {
			t := probe.Tally{Via: via, Family: "IPv6", Protocol: protocol, OK: 2}
			if via == "PodIP" {
				t.Target = v1alpha1.TargetOpen
			}
			l.Tallies = append(l.Tallies, t)
		}
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s\n", at.UTC().Format("2006-01-02T15:04:05.000000000Z07:00"), text)
}
