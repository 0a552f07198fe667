package passive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/cilium/cilium/api/v1/flow"
	"github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Hubble asks Hubble Relay for the flows of the last minutes.
type Hubble struct {
	// Dial reaches Relay's port, 4245. Relay serves without TLS unless
	// hubble.relay.tls.server.enabled is set.
	Dial func(context.Context) (net.Conn, error)
	// NodeOf finds the node that an address belongs to, and PodNode the node of the
	// pod that has an address; "" when there is none.
	NodeOf, PodNode func(address string) string
}

// Most flows that are asked for, of each kind, and the most of a message.
const (
	maxFlows   = 4000
	maxMessage = 1 << 20
)

// remoteNode and kubeAPIServer are identities of other nodes' addresses
// (pkg/identity/numericidentity.go:95-138, 1.18.6).
const (
	remoteNode    = 6
	kubeAPIServer = 7
)

// Observations are what Hubble saw since then that says which source address a
// pod's packets had: packets whose address was rewritten on their way to a pod, and
// packets of a node's identity that a policy dropped, where the same connection was
// seen to leave a pod of that node. A drop alone proves nothing: a client on the
// host network may rightly be refused.
func (h Hubble) Observations(ctx context.Context, since time.Time) ([]v1alpha1.Observation, error) {
	conn, err := grpc.NewClient("passthrough:///hubble-relay",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return h.Dial(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("ask Hubble Relay: %w", err)
	}
	defer func() { _ = conn.Close() }()
	client := observer.NewObserverClient(conn)
	// Relay merges the flows of all nodes; one that reaches no peer has none.
	dropped, err := flows(ctx, client, since, &flow.FlowFilter{
		Verdict:          []flow.Verdict{flow.Verdict_DROPPED},
		TrafficDirection: []flow.TrafficDirection{flow.TrafficDirection_INGRESS},
		SourceIdentity:   []uint32{remoteNode, kubeAPIServer},
	})
	if err != nil {
		return nil, err
	}
	sent, err := flows(ctx, client, since, wasSent(dropped)...)
	if err != nil {
		return nil, err
	}
	return h.join(dropped, sent), nil
}

// wasSent finds packets whose source was rewritten, and those to where packets were
// dropped. The observation point towards the network has no direction
// (pkg/hubble/parser/threefour/parser.go:639-689), so none is asked for.
func wasSent(dropped []*flow.Flow) []*flow.FlowFilter {
	filters := []*flow.FlowFilter{{SourceIpXlated: []string{"0.0.0.0/0", "::/0"}}}
	var to []string
	for _, f := range dropped {
		if ip := f.GetIP().GetDestination(); !slices.Contains(to, ip) && len(to) < maxDestinations {
			to = append(to, ip)
		}
	}
	if len(to) > 0 {
		filters = append(filters, &flow.FlowFilter{Verdict: []flow.Verdict{flow.Verdict_FORWARDED}, DestinationIp: to})
	}
	return filters
}

// maxDestinations is the most destinations of dropped packets that are followed back.
const maxDestinations = 50

func flows(ctx context.Context, client observer.ObserverClient, since time.Time, any ...*flow.FlowFilter) ([]*flow.Flow, error) {
	stream, err := client.GetFlows(ctx, &observer.GetFlowsRequest{
		Number: maxFlows, Since: timestamppb.New(since), Whitelist: any,
	})
	if err != nil {
		return nil, refused(err)
	}
	var out []*flow.Flow
	for len(out) < maxFlows {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, refused(err)
		}
		if f := r.GetFlow(); f != nil {
			out = append(out, f)
		}
	}
	return out, nil
}

// refused says what to look at.
func refused(err error) error {
	switch status.Code(err) {
	case codes.Unavailable:
		return fmt.Errorf("ask Hubble Relay: no answer on its port (is hubble.relay.enabled set, and hubble.relay.tls.server.enabled not?): %s", clean(status.Convert(err).Message()))
	case codes.DeadlineExceeded, codes.Canceled:
		return fmt.Errorf("ask Hubble Relay: %w", context.DeadlineExceeded)
	}
	return fmt.Errorf("ask Hubble Relay: %s", clean(status.Convert(err).Message()))
}

// together is how far apart the two sides of one packet may be seen: the clocks of
// two nodes differ, and repeats of a lost packet come with the same ports.
const together = 5 * time.Second

// join makes observations, oldest first.
func (h Hubble) join(dropped, sent []*flow.Flow) []v1alpha1.Observation {
	var out []v1alpha1.Observation
	for _, f := range sent {
		if o, ok := h.rewritten(f); ok {
			out = append(out, o)
		}
	}
	for _, f := range dropped {
		if o, ok := h.refusedPod(f, sent); ok {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b v1alpha1.Observation) int { return strings.Compare(a.At, b.At) })
	return out
}

// rewritten is a pod's packet whose source address was translated on its way out to
// another pod (flow.IP.source_xlated).
func (h Hubble) rewritten(f *flow.Flow) (v1alpha1.Observation, bool) {
	xlated := f.GetIP().GetSourceXlated()
	if xlated == "" || f.GetSource().GetPodName() == "" || f.GetDestination().GetPodName() == "" {
		return v1alpha1.Observation{}, false
	}
	o := h.observation(f, f)
	o.SourceSeen, o.Outcome, o.Reason = xlated, v1alpha1.OutcomeError, "Hubble saw it leave; whether it was answered is not known"
	return o, h.NodeOf(xlated) != ""
}

// refusedPod is a drop at a policy, of a packet with a node's address, that a pod of
// that node had sent.
func (h Hubble) refusedPod(drop *flow.Flow, sent []*flow.Flow) (v1alpha1.Observation, bool) {
	node := h.NodeOf(drop.GetIP().GetSource())
	if node == "" || drop.GetDropReasonDesc() != flow.DropReason_POLICY_DENIED {
		return v1alpha1.Observation{}, false
	}
	i := slices.IndexFunc(sent, func(s *flow.Flow) bool {
		return s.GetSource().GetPodName() != "" && nodeName(s) == node && samePacket(s, drop)
	})
	if i < 0 {
		return v1alpha1.Observation{}, false
	}
	o := h.observation(sent[i], drop)
	o.SourceSeen = drop.GetIP().GetSource()
	o.Outcome, o.DropReason = v1alpha1.OutcomeTimeout, "Policy denied"
	o.SourceIdentity = "remote-node"
	if drop.GetSource().GetIdentity() == kubeAPIServer {
		o.SourceIdentity = "kube-apiserver"
	}
	return o, true
}

// samePacket compares destination, ports and time. ICMP has no ports, so nothing
// tells one ping from another.
func samePacket(a, b *flow.Flow) bool {
	protocolA, fromA, toA := ports(a)
	protocolB, fromB, toB := ports(b)
	apart := a.GetTime().AsTime().Sub(b.GetTime().AsTime()).Abs()
	return protocolA != "" && protocolA == protocolB && fromA == fromB && toA == toB && apart <= together &&
		a.GetIP().GetDestination() == b.GetIP().GetDestination()
}

func ports(f *flow.Flow) (protocol string, from, to uint32) {
	if t := f.GetL4().GetTCP(); t != nil {
		return "TCP", t.GetSourcePort(), t.GetDestinationPort()
	}
	if u := f.GetL4().GetUDP(); u != nil {
		return "UDP", u.GetSourcePort(), u.GetDestinationPort()
	}
	return "", 0, 0
}

// nodeName is without the cluster's: "home/n1".
func nodeName(f *flow.Flow) string {
	name := f.GetNodeName()
	return name[strings.LastIndexByte(name, '/')+1:]
}

// observation has the pod that sent, from the sender's flow, and what the other
// side's flow says of where it arrived.
func (h Hubble) observation(sender, receiver *flow.Flow) v1alpha1.Observation {
	protocol, _, port := ports(sender)
	if protocol == "" {
		protocol = "ICMP"
	}
	family := cidr.IPv4
	if sender.GetIP().GetIpVersion() == flow.IPVersion_IPv6 {
		family = cidr.IPv6
	}
	to := v1alpha1.Endpoint{
		Namespace: clean(receiver.GetDestination().GetNamespace()), Pod: clean(receiver.GetDestination().GetPodName()),
		IP: clean(receiver.GetIP().GetDestination()), Port: int(port),
	}
	if to.Node = h.PodNode(receiver.GetIP().GetDestination()); receiver != sender {
		to.Node = clean(nodeName(receiver))
	}
	return v1alpha1.Observation{
		From: v1alpha1.Endpoint{
			Namespace: clean(sender.GetSource().GetNamespace()), Pod: clean(sender.GetSource().GetPodName()),
			Node: clean(nodeName(sender)), IP: clean(sender.GetIP().GetSource()),
		},
		To: to, Via: "PodIP", Family: family, Protocol: protocol, Sent: 1,
		At: sender.GetTime().AsTime().UTC().Format(time.RFC3339),
	}
}
