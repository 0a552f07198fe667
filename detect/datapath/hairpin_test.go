package datapath

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// TestHairpin: what becomes of a pod's packets to a service whose backend it is
// itself, as the agents of e2e/matrix did it ("a pod's own ClusterIP").
func TestHairpin(t *testing.T) {
	const hostOnly, kpr = "bpf-lb-sock-hostns-only", "kube-proxy-replacement"
	for name, c := range map[string]struct {
		changes []string
		version string
		family  string
		want    snapshot.Tri
		source  SourceKind
		drop    string
		egress  bool // the pod's policies are of egress too
	}{
		"socket, IPv4":                    {nil, "1.18.6", cidr.IPv4, snapshot.Yes, SourcePod, "", true},
		"socket, IPv6":                    {nil, "1.18.6", cidr.IPv6, snapshot.Yes, SourcePod, "", true},
		"per packet, IPv4":                {[]string{hostOnly, "true"}, "1.18.6", cidr.IPv4, snapshot.Yes, SourceUnknown, "", true},
		"per packet, IPv6":                {[]string{hostOnly, "true"}, "1.18.6", cidr.IPv6, snapshot.No, SourceUnknown, PolicyDenied, true},
		"per packet, IPv6, ingress only":  {[]string{hostOnly, "true"}, "1.18.6", cidr.IPv6, snapshot.No, SourcePod, PolicyDenied, false},
		"per packet, IPv6, since 1.19":    {[]string{hostOnly, "true"}, "1.19.0", cidr.IPv6, snapshot.Yes, SourceUnknown, "", true},
		"kube-proxy is not of this model": {[]string{kpr, "false"}, "1.18.6", cidr.IPv4, snapshot.Unknown, SourceUnknown, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := lab()
			closed := sameNamespace("team-guarded")
			closed.Kubernetes.Ingress = nil
			if c.egress {
				closed.Kubernetes.PolicyTypes = append(closed.Kubernetes.PolicyTypes, networkingv1.PolicyTypeEgress)
			}
			s.Policies = []snapshot.Policy{closed}
			cfg := config(c.changes...)
			cfg.Version = c.version
			m, err := New(Input{Config: cfg, Snapshot: s})
			if err != nil {
				t.Fatal(err)
			}
			from, ok := PodEnd(&s.Pods[0], c.family)
			if !ok {
				t.Fatal("the pod has no address")
			}
			r := m.Trace(Flow{From: from, To: End{Kind: EndService, Namespace: "team-guarded", Name: "svc"}, Family: c.family, Protocol: "TCP", Port: 8080})
			if r.Delivered != c.want || r.Source != c.source || r.DropReason != c.drop {
				t.Errorf("delivered %v from %q, dropped as %q (%s), want %v from %q, %q", r.Delivered, r.Source, r.DropReason, r.Reason, c.want, c.source, c.drop)
			}
			if (r.Delivered != snapshot.Unknown) != (len(r.Steps) > 1) {
				t.Errorf("steps %+v", r.Steps)
			}
		})
	}
}
