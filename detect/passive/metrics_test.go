package passive

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

const agentText = `# HELP cilium_drop_count_total Total dropped packets
# TYPE cilium_drop_count_total counter
cilium_drop_count_total{direction="INGRESS",reason="Policy denied"} 41
cilium_drop_count_total{direction="EGRESS",reason="Stale or unroutable IP"} 2
# TYPE cilium_drift_checker_config_delta gauge
cilium_drift_checker_config_delta 3
# TYPE cilium_node_health_connectivity_status gauge
cilium_node_health_connectivity_status{source_cluster="default",source_node_name="n1",status="reachable",type="node"} 5
cilium_node_health_connectivity_status{source_cluster="default",source_node_name="n1",status="unreachable",type="node"} 0
cilium_node_health_connectivity_status{source_cluster="default",source_node_name="n1",status="reachable",type="endpoint"} 4
cilium_node_health_connectivity_status{source_cluster="default",source_node_name="n1",status="unreachable",type="endpoint"} 1
# TYPE cilium_version gauge
cilium_version{arch="amd64",version="1.18.6"} 1
`

func agentOf(node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "cilium-" + node},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Name: "cilium-agent", Ports: []corev1.ContainerPort{{Name: "prometheus", ContainerPort: 9963}},
		}}},
	}
}

func client(t *testing.T, handle http.HandlerFunc) rest.Interface {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	c, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c.CoreV1().RESTClient()
}

func TestMetrics(t *testing.T) {
	asked := ""
	api := client(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		fmt.Fprint(w, agentText)
	})
	read, unread := Metrics(t.Context(), api, []*corev1.Pod{agentOf("n1")})
	want := []snapshot.AgentMetrics{{
		Node: "n1", Source: "metrics of kube-system/cilium-n1",
		Drops: map[snapshot.Drop]float64{
			{Reason: "Policy denied", Direction: "ingress"}:         41,
			{Reason: "Stale or unroutable IP", Direction: "egress"}: 2,
		},
		Drift:          snapshot.Known(3, "cilium_drift_checker_config_delta"),
		NodeHealth:     snapshot.Health{Reachable: 5},
		EndpointHealth: snapshot.Health{Reachable: 4, Unreachable: 1},
	}}
	if diff := cmp.Diff(want, read); diff != "" || len(unread) > 0 {
		t.Errorf("%s%q", diff, unread)
	}
	if want := "/api/v1/namespaces/kube-system/pods/cilium-n1:9963/proxy/metrics"; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}
}

func TestMetricsThatCannotBeRead(t *testing.T) {
	status := func(code int, reason string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":"no","code":%d}`, reason, code)
		}
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
		asked  int
	}{
		"off":        {status(503, "ServiceUnavailable"), "prometheus.enabled", 2},
		"forbidden":  {status(403, "Forbidden"), "not allowed to get pods/proxy", 1},
		"another":    {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "up 1\n") }, "none of the agent's metrics", 2},
		"no metrics": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") }, "not in Prometheus' text format", 2},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for range maxMetrics/1024 + 2 {
				fmt.Fprint(w, strings.Repeat("#", 1023)+"\n")
			}
		}, "more than 8 MiB", 2},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			api := client(t, func(w http.ResponseWriter, r *http.Request) { asked++; test.answer(w, r) })
			read, unread := Metrics(t.Context(), api, []*corev1.Pod{agentOf("n1"), agentOf("n2")})
			if len(read) > 0 || len(unread) != test.asked || !strings.Contains(unread[0], test.want) || !strings.Contains(unread[0], "kube-system/cilium-n1 on n1") {
				t.Errorf("%v %q", read, unread)
			}
			if asked != test.asked {
				t.Errorf("asked %d times, want %d", asked, test.asked)
			}
		})
	}
}

// What an agent says is text of the cluster: it can be anything.
func TestHostileMetrics(t *testing.T) {
	m, err := parseMetrics([]byte("cilium_drop_count_total{reason=\"a\x1b[31mb\u202ec" + strings.Repeat("x", 200) + "\",direction=\"INGRESS\"} NaN\ncilium_drift_checker_config_delta +Inf\n"))
	if err != nil {
		t.Fatal(err)
	}
	for d := range m.Drops {
		if strings.ContainsAny(d.Reason, "\x1b\u202e") || len(d.Reason) > 80 {
			t.Errorf("%q", d.Reason)
		}
	}
	if m.Drift.Known {
		t.Errorf("drift %v", m.Drift)
	}
	if got := Rising([]snapshot.AgentMetrics{m}, []snapshot.AgentMetrics{m}); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// A counter says little; what it gained between two readings says that it goes on.
func TestRising(t *testing.T) {
	denied, stale := snapshot.Drop{Reason: "Policy denied", Direction: "ingress"}, snapshot.Drop{Reason: "Stale", Direction: "egress"}
	at := func(source string, drops map[snapshot.Drop]float64) snapshot.AgentMetrics {
		return snapshot.AgentMetrics{Node: source, Source: source, Drops: drops}
	}
	before := []snapshot.AgentMetrics{
		at("n1", map[snapshot.Drop]float64{denied: 10, stale: 7}),
		at("restarted", map[snapshot.Drop]float64{denied: 1000}),
	}
	after := []snapshot.AgentMetrics{
		at("n1", map[snapshot.Drop]float64{denied: 19, stale: 7}),
		at("restarted", map[snapshot.Drop]float64{denied: 2}),
		at("new", map[snapshot.Drop]float64{denied: 50}),
	}
	want := []snapshot.DropRate{{Drop: denied, Node: "n1", Packets: 9, Source: "n1"}}
	if diff := cmp.Diff(want, Rising(before, after)); diff != "" {
		t.Error(diff)
	}
}

func FuzzMetrics(f *testing.F) {
	f.Add(agentText)
	f.Add("cilium_version 1\ncilium_drop_count_total{} -1e300\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMetrics([]byte(text))
		if err == nil && len(m.Drops) > maxDrops {
			t.Errorf("%d reasons", len(m.Drops))
		}
	})
}
