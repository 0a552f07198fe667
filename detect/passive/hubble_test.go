package passive

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/cilium/api/v1/flow"
	"github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// relay gives out flows by the filters that are asked for, as Hubble does
// (pkg/hubble/filters, 1.18.6).
type relay struct {
	observer.UnimplementedObserverServer
	flows []*flow.Flow
	fail  error
	asked []*observer.GetFlowsRequest
}

func (r *relay) GetFlows(req *observer.GetFlowsRequest, out grpc.ServerStreamingServer[observer.GetFlowsResponse]) error {
	r.asked = append(r.asked, req)
	if r.fail != nil {
		return r.fail
	}
	for _, f := range r.flows {
		if f.GetTime().AsTime().Before(req.GetSince().AsTime()) || !slices.ContainsFunc(req.GetWhitelist(), func(w *flow.FlowFilter) bool { return passes(w, f) }) {
			continue
		}
		if err := out.Send(&observer.GetFlowsResponse{ResponseTypes: &observer.GetFlowsResponse_Flow{Flow: f}}); err != nil {
			return err
		}
	}
	return nil
}

func passes(w *flow.FlowFilter, f *flow.Flow) bool {
	oneOf := func(n int, holds bool) bool { return n == 0 || holds }
	return oneOf(len(w.GetVerdict()), slices.Contains(w.GetVerdict(), f.GetVerdict())) &&
		oneOf(len(w.GetTrafficDirection()), slices.Contains(w.GetTrafficDirection(), f.GetTrafficDirection())) &&
		oneOf(len(w.GetSourceIdentity()), slices.Contains(w.GetSourceIdentity(), f.GetSource().GetIdentity())) &&
		oneOf(len(w.GetDestinationIp()), slices.Contains(w.GetDestinationIp(), f.GetIP().GetDestination())) &&
		oneOf(len(w.GetSourceIpXlated()), slices.ContainsFunc(w.GetSourceIpXlated(), func(p string) bool {
			a, err := netip.ParseAddr(f.GetIP().GetSourceXlated())
			return err == nil && netip.MustParsePrefix(p).Contains(a)
		}))
}

func serve(t *testing.T, r *relay) Hubble {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	observer.RegisterObserverServer(s, r)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	nodes := map[string]string{"fd00:101::15": "node-7", "fd00:101::10": "node-2"}
	pods := map[string]string{"fd00:101:224:2::aa96": "node-2", "fd00:101:224:7::970b": "node-7"}
	return Hubble{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		},
		NodeOf:  func(a string) string { return nodes[a] },
		PodNode: func(a string) string { return pods[a] },
	}
}

var noon = time.Date(2026, 2, 12, 12, 0, 0, 0, time.UTC)

func tcp(from, to uint32) *flow.Layer4 {
	return &flow.Layer4{Protocol: &flow.Layer4_TCP{TCP: &flow.TCP{SourcePort: from, DestinationPort: to}}}
}

func pod(name string) *flow.Endpoint {
	return &flow.Endpoint{Namespace: "flux-system", PodName: name, Identity: 4009}
}

// leaves is the packet as node-7 sees it, arrives as node-2 does.
func leaves(change ...func(*flow.Flow)) *flow.Flow {
	f := &flow.Flow{
		Time: timestamppb.New(noon), Verdict: flow.Verdict_FORWARDED, NodeName: "home/node-7",
		IP:     &flow.IP{Source: "fd00:101:224:7::970b", Destination: "fd00:101:224:2::aa96", IpVersion: flow.IPVersion_IPv6},
		Source: pod("kustomize-controller"), Destination: pod("source-controller"), L4: tcp(40001, 9090),
	}
	for _, c := range change {
		c(f)
	}
	return f
}

func arrives(change ...func(*flow.Flow)) *flow.Flow {
	return leaves(append([]func(*flow.Flow){func(f *flow.Flow) {
		f.Time = timestamppb.New(noon.Add(time.Second))
		f.Verdict, f.DropReasonDesc = flow.Verdict_DROPPED, flow.DropReason_POLICY_DENIED
		f.TrafficDirection, f.NodeName = flow.TrafficDirection_INGRESS, "home/node-2"
		f.IP.Source = "fd00:101::15"
		f.Source = &flow.Endpoint{Identity: 6, Labels: []string{"reserved:remote-node"}}
	}}, change...)...)
}

func TestHubble(t *testing.T) {
	seen := v1alpha1.Observation{
		From: v1alpha1.Endpoint{Namespace: "flux-system", Pod: "kustomize-controller", Node: "node-7", IP: "fd00:101:224:7::970b"},
		To:   v1alpha1.Endpoint{Namespace: "flux-system", Pod: "source-controller", Node: "node-2", IP: "fd00:101:224:2::aa96", Port: 9090},
		Via:  "PodIP", Family: "IPv6", Protocol: "TCP", Sent: 1, SourceSeen: "fd00:101::15", At: "2026-02-12T12:00:00Z",
	}
	denied := seen
	denied.Outcome, denied.DropReason, denied.SourceIdentity = v1alpha1.OutcomeTimeout, "Policy denied", "remote-node"
	fromControlPlane := denied
	fromControlPlane.SourceIdentity = "kube-apiserver"
	rewritten := seen
	rewritten.Outcome, rewritten.Reason = v1alpha1.OutcomeError, "Hubble saw it leave; whether it was answered is not known"
	for name, test := range map[string]struct {
		flows []*flow.Flow
		want  []v1alpha1.Observation
	}{
		"nothing": {},
		"the incident, masqueraded by iptables": {
			[]*flow.Flow{leaves(), arrives()}, []v1alpha1.Observation{denied},
		},
		"from a control plane node": {
			[]*flow.Flow{leaves(), arrives(func(f *flow.Flow) { f.Source.Identity = 7 })}, []v1alpha1.Observation{fromControlPlane},
		},
		"masqueraded by BPF": {
			[]*flow.Flow{leaves(func(f *flow.Flow) { f.IP.SourceXlated = "fd00:101::15" })}, []v1alpha1.Observation{rewritten},
		},
		"a client on the host network is refused": {[]*flow.Flow{arrives()}, nil},
		"and another pod of that node talks to the same target": {
			[]*flow.Flow{leaves(func(f *flow.Flow) { f.L4 = tcp(40002, 9090) }), arrives()}, nil,
		},
		"and so did a pod, an hour before": {
			[]*flow.Flow{leaves(func(f *flow.Flow) { f.Time = timestamppb.New(noon.Add(-time.Hour)) }), arrives()}, nil,
		},
		"a pod of another node sent it": {
			[]*flow.Flow{leaves(func(f *flow.Flow) { f.NodeName = "home/node-3" }), arrives()}, nil,
		},
		"a ping is like any other": {
			[]*flow.Flow{leaves(func(f *flow.Flow) { f.L4 = nil }), arrives(func(f *flow.Flow) { f.L4 = nil })}, nil,
		},
		"the pod itself is refused": {
			[]*flow.Flow{leaves(), arrives(func(f *flow.Flow) { f.Source = pod("kustomize-controller"); f.IP.Source = "fd00:101:224:7::970b" })}, nil,
		},
		"dropped for something else": {
			[]*flow.Flow{leaves(), arrives(func(f *flow.Flow) { f.DropReasonDesc = flow.DropReason_CT_MAP_INSERTION_FAILED })}, nil,
		},
		"rewritten to what is no node": {
			[]*flow.Flow{leaves(func(f *flow.Flow) { f.IP.SourceXlated = "fd00:99::1" })}, nil,
		},
		"rewritten towards the internet": {
			[]*flow.Flow{leaves(func(f *flow.Flow) { f.IP.SourceXlated = "fd00:101::15"; f.Destination = &flow.Endpoint{Identity: 2} })}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := serve(t, &relay{flows: test.flows}).Observations(t.Context(), noon.Add(-2*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHubbleAsksForLittle(t *testing.T) {
	r := &relay{}
	for i := range 200 {
		r.flows = append(r.flows, arrives(func(f *flow.Flow) { f.IP.Destination = fmt.Sprintf("fd00:101:224:2::%x", i) }))
	}
	if _, err := serve(t, r).Observations(t.Context(), noon.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	for _, q := range r.asked {
		if q.GetNumber() != maxFlows || q.GetFollow() || q.GetSince().AsTime() != noon.Add(-time.Minute) || len(q.GetWhitelist()) == 0 {
			t.Errorf("%v", q)
		}
	}
	if n := len(r.asked[1].GetWhitelist()[1].GetDestinationIp()); n != maxDestinations {
		t.Errorf("followed back %d destinations", n)
	}
}

func TestHubbleThatDoesNotAnswer(t *testing.T) {
	gone := Hubble{Dial: func(context.Context) (net.Conn, error) { return nil, fmt.Errorf("connection refused") }}
	if _, err := gone.Observations(t.Context(), noon); err == nil || !strings.Contains(err.Error(), "hubble.relay.enabled") {
		t.Errorf("%v", err)
	}
	if _, err := serve(t, &relay{fail: fmt.Errorf("no\x1b[31m peers")}).Observations(t.Context(), noon); err == nil || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "peers") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := serve(t, &relay{}).Observations(ctx, noon); err == nil {
		t.Error("a cancelled question is answered")
	}
}
