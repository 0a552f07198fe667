package signature

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

func addrs(texts ...string) (out []netip.Addr) {
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

func ownersSnapshot() *snapshot.Snapshot {
	return &snapshot.Snapshot{
		Nodes: []snapshot.Node{{Name: "n1", InternalIPs: addrs("fd00:101::15", "192.0.2.15")}},
		Pods: []snapshot.Pod{
			{Namespace: "flux-system", Name: "source-controller-1", Node: "n1", IPs: addrs("fd00:101:224:2::aa96"), Labels: map[string]string{"app": "source-controller"}},
			{Namespace: "web", Name: "shop-1", Node: "n1", IPs: addrs("10.1.2.3")},
			{Namespace: "kube-system", Name: "agent", Node: "n1", IPs: addrs("fd00:101::15"), HostNetwork: true},
		},
		Services: []snapshot.Service{
			{Namespace: "flux-system", Name: "source-controller", ClusterIPs: addrs("fd00:101:96::8:d48b")},
			{Namespace: "flux-system", Name: "sources", ClusterIPs: addrs("10.96.0.7"), Endpoints: addrs("fd00:101:224:2::aa96")},
			{Namespace: "web", Name: "shop", ClusterIPs: addrs("10.96.0.9"), Endpoints: addrs("10.1.2.3")},
		},
	}
}

func TestExplained(t *testing.T) {
	s := ownersSnapshot()
	for message, want := range map[string]string{
		"dial tcp [fd00:101:96::8:d48b]:80: i/o timeout":           "fd00:101:96::8:d48b is Service flux-system/source-controller",
		"dial tcp 10.1.2.3:80: connect: connection timed out":      "10.1.2.3 is pod web/shop-1 on n1",
		"read tcp [fd00:101:224:2::aa96]:9090->[fd00:101::15]:4":   "fd00:101:224:2::aa96 is pod flux-system/source-controller-1 on n1, fd00:101::15 is node n1",
		"dial tcp 198.51.100.1:443: i/o timeout":                   "",
		"dial tcp 999.1.2.3:80: i/o timeout, version 1.2.3.4:5":    "",
		"context deadline exceeded":                                "",
		strings.Repeat("10.1.2.3:80 ", 500) + "10.96.0.9:80":       "10.1.2.3 is pod web/shop-1 on n1",
		strings.Repeat("[", 5000) + strings.Repeat("1.1.1.1", 900): "",
	} {
		got := strings.TrimPrefix(explained(s, message), message)
		if want != "" {
			want = " (" + want + ")"
		}
		if got != want {
			t.Errorf("%.60q: %q, want %q", message, got, want)
		}
	}
}

// A fetch that timed out is known by the name of source-controller or by an address
// that leads to it.
func TestFetchTimedOut(t *testing.T) {
	for message, want := range map[string]bool{
		"failed to download archive: GET http://source-controller.flux-system/x: dial tcp [fd00::9]:80: i/o timeout": true,
		"GET \"http://[fd00:101:96::8:d48b]:80/x.tar.gz\": dial tcp [fd00:101:96::8:d48b]:80: i/o timeout":           true,
		"dial tcp [fd00:101:224:2::aa96]:9090: i/o timeout":                                                          true,
		"dial tcp 10.96.0.7:80: context deadline exceeded":                                                           true,
		"failed calling webhook: Post https://10.96.0.9:443: context deadline exceeded":                              false,
		"dial tcp [fd00:101:96::8:d48b]:80: connect: connection refused":                                             false,
		"health check failed: timed out waiting for Deployment web/shop":                                             false,
	} {
		if got := fetchTimedOut(ownersSnapshot(), message); got != want {
			t.Errorf("%q: %v, want %v", message, got, want)
		}
	}
}

func TestFluxVictimNamesTheOwner(t *testing.T) {
	s := ownersSnapshot()
	s.Flux = []snapshot.FluxObject{{Kind: "Kustomization", Name: "apps", Ready: snapshot.No, Source: "Kustomization flux-system/apps", Message: "dial tcp 10.96.0.7:80: i/o timeout"}}
	findings := detectFluxVictim(&Input{Snapshot: s})
	if len(findings) != 1 || findings[0].Confidence != v1alpha1.ConfidenceConfirmed {
		t.Fatalf("%+v", findings)
	}
	if text := findings[0].Evidence[0].Text; !strings.Contains(text, "10.96.0.7 is Service flux-system/sources") {
		t.Errorf("%q", text)
	}
}
