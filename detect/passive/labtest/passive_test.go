//go:build linux

// Package labtest reads what a cluster's Cilium says of itself by way of a real API
// server.
package labtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/cilium/api/v1/flow"
	"github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/passive"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// masked is a Relay that saw one packet of a pod with its node's address.
type masked struct {
	observer.UnimplementedObserverServer
}

func (masked) GetFlows(_ *observer.GetFlowsRequest, out grpc.ServerStreamingServer[observer.GetFlowsResponse]) error {
	return out.Send(&observer.GetFlowsResponse{ResponseTypes: &observer.GetFlowsResponse_Flow{Flow: &flow.Flow{
		Time: timestamppb.Now(), Verdict: flow.Verdict_FORWARDED, NodeName: "home/n1",
		IP:          &flow.IP{Source: "10.0.1.5", SourceXlated: "192.0.2.21", Destination: "10.0.2.5"},
		Source:      &flow.Endpoint{Namespace: "a", PodName: "from"},
		Destination: &flow.Endpoint{Namespace: "b", PodName: "to"},
		L4:          &flow.Layer4{Protocol: &flow.Layer4_TCP{TCP: &flow.TCP{SourcePort: 40000, DestinationPort: 80}}},
	}}})
}

// listen serves until the test ends.
func listen(t *testing.T, at string, serve func(net.Listener) error, stop func()) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = serve(l) }()
	t.Cleanup(stop)
	return l.Addr()
}

func relay(t *testing.T) net.Addr {
	t.Helper()
	s := grpc.NewServer()
	observer.RegisterObserverServer(s, masked{})
	return listen(t, "127.0.0.1:0", s.Serve, s.Stop)
}

// agent serves metrics on an address that an API server reaches for: it refuses
// loopback's.
func agent(t *testing.T, at string) {
	t.Helper()
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintln(w, `cilium_drop_count_total{direction="INGRESS",reason="Policy denied"} 7`)
	})}
	listen(t, at, s.Serve, func() { _ = s.Close() })
}

func run(t *testing.T, kube kubernetes.Interface, name, app, node, ip string) {
	t.Helper()
	pods := kube.CoreV1().Pods("kube-system")
	p, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"k8s-app": app}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	if _, err = pods.UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestCluster(t *testing.T) {
	l := lab.New(t, lab.Spec{Nodes: 2, IPv4: true})
	cfg := testbed.APIServer(t, "--advertise-address=192.0.2.1")
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	to, reached := relay(t), make(chan int, 10)
	k := kubelet.Start(t, cfg, kubelet.Options{Forward: func(_, pod string, port int) (net.Conn, error) {
		reached <- port
		if pod != "relay" {
			return nil, errors.New("connection refused")
		}
		return net.Dial("tcp", to.String())
	}})
	for _, n := range l.Nodes {
		k.AddNodes(t, kubelet.Node{Name: n.Name, Addresses: n.IPs()})
	}
	s := &snapshot.Snapshot{
		Nodes: []snapshot.Node{{Name: "n1", InternalIPs: []netip.Addr{netip.MustParseAddr("192.0.2.21")}}},
		Pods:  []snapshot.Pod{{Namespace: "b", Name: "to", Node: "n2", IPs: []netip.Addr{netip.MustParseAddr("10.0.2.5")}}},
	}
	c := passive.Cluster{Config: cfg, Namespace: "kube-system", Within: time.Minute, Snapshot: s}

	t.Run("nothing there", func(t *testing.T) {
		metrics, unread := c.Metrics(t.Context())
		seen, why := c.Hubble(t.Context(), time.Now().Add(-time.Minute))
		if len(metrics)+len(unread)+len(seen) > 0 || why != "" {
			t.Errorf("%v %q %v %q", metrics, unread, seen, why)
		}
	})
	address(t, "192.0.2.99")
	agent(t, "192.0.2.99:9962")
	run(t, kube, "agent", "cilium", l.Nodes[0].Name, "192.0.2.99")
	t.Run("an agent's metrics", func(t *testing.T) {
		metrics, unread := c.Metrics(t.Context())
		if len(metrics) != 1 || metrics[0].Node != l.Nodes[0].Name || metrics[0].Drops[snapshot.Drop{Reason: "Policy denied", Direction: "ingress"}] != 7 {
			t.Errorf("%+v %q", metrics, unread)
		}
	})
	run(t, kube, "silent", "cilium", l.Nodes[1].Name, "192.0.2.98") // nothing has this address
	t.Run("an agent without", func(t *testing.T) {
		metrics, unread := c.Metrics(t.Context())
		if len(metrics) != 1 || len(unread) != 1 || !strings.Contains(unread[0], "prometheus.enabled") {
			t.Errorf("%+v %q", metrics, unread)
		}
	})
	run(t, kube, "relay", "hubble-relay", l.Nodes[0].Name, "10.0.1.9")
	t.Run("Hubble through the kubelet", func(t *testing.T) {
		seen, why := c.Hubble(t.Context(), time.Now().Add(-time.Minute))
		if why != "" || len(seen) == 0 {
			t.Fatalf("%v %q", seen, why)
		}
		if port := <-reached; port != 4245 {
			t.Errorf("forwarded to port %d", port)
		}
		o := seen[0]
		want := v1alpha1.Endpoint{Namespace: "b", Pod: "to", Node: "n2", IP: "10.0.2.5", Port: 80}
		if o.SourceSeen != "192.0.2.21" || o.From.Node != "n1" || o.To != want {
			t.Errorf("%+v", o)
		}
	})
	t.Run("a port that nobody listens on", func(t *testing.T) {
		conn, err := passive.Forward(t.Context(), cfg, "kube-system", "agent", 4245)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%v", err)
		}
	})
	t.Run("no such pod", func(t *testing.T) {
		if _, err := passive.Forward(t.Context(), cfg, "kube-system", "nobody", 4245); err == nil || !strings.Contains(err.Error(), "kube-system/nobody") {
			t.Errorf("%v", err)
		}
	})
	t.Run("in no time", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := passive.Forward(ctx, cfg, "kube-system", "relay", 4245); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
