package remediate

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/cilium/api/v1/flow"
	"github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
)

// incidentRelay has seen a packet of kustomize-controller leave node-7 with the
// node's address.
type incidentRelay struct {
	observer.UnimplementedObserverServer
}

func (incidentRelay) GetFlows(_ *observer.GetFlowsRequest, out grpc.ServerStreamingServer[observer.GetFlowsResponse]) error {
	return out.Send(&observer.GetFlowsResponse{ResponseTypes: &observer.GetFlowsResponse_Flow{Flow: &flow.Flow{
		Time: timestamppb.Now(), Verdict: flow.Verdict_FORWARDED, NodeName: "home/node-7",
		IP: &flow.IP{
			Source: "fd00:101:224:7::970b", SourceXlated: "fd00:101::15", Destination: "fd00:101:224:2::aa96", IpVersion: flow.IPVersion_IPv6,
		},
		Source:      &flow.Endpoint{Namespace: "flux-system", PodName: "kustomize-controller-57bbd7c-fdtpk"},
		Destination: &flow.Endpoint{Namespace: "flux-system", PodName: "source-controller-6ccfd78764-rzfnk"},
		L4:          &flow.Layer4{Protocol: &flow.Layer4_TCP{TCP: &flow.TCP{SourcePort: 40000, DestinationPort: 9090}}},
	}}})
}

// Without probes the incident is predicted; what Hubble saw confirms it.
func TestHubbleConfirms(t *testing.T) {
	t.Parallel()
	cfg := testbed.APIServer(t, "--service-cluster-ip-range=fd00:101:96::/108,10.101.96.0/20", "--advertise-address=fd00:101::10")
	testbed.InstallCRDs(t, cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := grpc.NewServer()
	observer.RegisterObserverServer(s, incidentRelay{})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	k := kubelet.Start(t, cfg, kubelet.Options{Forward: func(string, string, int) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }})
	k.AddNodes(t, kubelet.Node{Name: "relays", Addresses: []netip.Addr{netip.MustParseAddr("fd00:101::99")}})
	_, folder, err := examples.Lay(examples.Default, t.TempDir())
	must(t, err)
	testbed.Load(t, cfg, folder, "ProbeReport")

	opts := DetectOptions{Options: Options{Cluster: cfg}, Probes: ProbeOptions{None: true}}
	flagship := func() v1alpha1.Finding {
		t.Helper()
		out, err := Detect(t.Context(), opts)
		must(t, err)
		for _, f := range out.Result.Findings {
			if f.Signature == signature.NativeRoutingCIDRExcludesPods {
				return f
			}
		}
		t.Fatalf("not found: %+v", out.Result.Findings)
		return v1alpha1.Finding{}
	}
	if f := flagship(); f.Confidence != v1alpha1.ConfidencePredicted {
		t.Errorf("without Hubble it is %s", f.Confidence)
	}
	kube, err := kubernetes.NewForConfig(cfg)
	must(t, err)
	pods := kube.CoreV1().Pods("kube-system")
	relay, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "hubble-relay", Labels: map[string]string{"k8s-app": "hubble-relay"}},
		Spec:       corev1.PodSpec{NodeName: "relays", Containers: []corev1.Container{{Name: "relay", Image: "i"}}},
	}, metav1.CreateOptions{})
	must(t, err)
	relay.Status.Phase = corev1.PodRunning
	_, err = pods.UpdateStatus(t.Context(), relay, metav1.UpdateOptions{})
	must(t, err)
	f := flagship()
	if f.Confidence != v1alpha1.ConfidenceConfirmed {
		t.Errorf("with what Hubble saw it is %s", f.Confidence)
	}
	said := false
	for _, e := range f.Evidence {
		said = said || e.Source == "Hubble" && strings.Contains(e.Text, "fd00:101::15")
	}
	if !said {
		t.Errorf("the evidence does not name Hubble: %+v", f.Evidence)
	}
}

func TestHealthSays(t *testing.T) {
	agent := func(nodes, endpoints snapshot.Health) snapshot.AgentMetrics {
		return snapshot.AgentMetrics{NodeHealth: nodes, EndpointHealth: endpoints}
	}
	for want, agents := range map[string][]snapshot.AgentMetrics{
		"": {agent(snapshot.Health{}, snapshot.Health{})},
		"cilium-health, which starts from the host and never from a pod, reaches all (6 of 6)": {agent(snapshot.Health{Reachable: 2}, snapshot.Health{Reachable: 1}), agent(snapshot.Health{Reachable: 3}, snapshot.Health{})},
		"cilium-health does not reach 1 of 3":                                                  {agent(snapshot.Health{Reachable: 2}, snapshot.Health{Unreachable: 1})},
	} {
		if got := healthSays(agents); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestFewest(t *testing.T) {
	if got := fewest([]string{"a", "b", "c"}); len(got) != 2 || got[0] != "a" || got[1] != "2 more like it" {
		t.Errorf("%q", got)
	}
}
