package observe

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

const incidents = "../../examples/incidents/"

func incident(t *testing.T, name string) *snapshot.Snapshot {
	t.Helper()
	s, err := Dir(context.Background(), incidents+name+"/snapshot")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The bundled clusters must be possible clusters: addresses within their
// ranges, ranges apart from each other, names that lead somewhere.
func TestIncidentsAreConsistent(t *testing.T) {
	for _, name := range []string{"talos-ipv6-ula", "talos-ipv6-healthy"} {
		t.Run(name, func(t *testing.T) {
			s := incident(t, name)
			if len(s.Nodes) != 6 || len(s.AgentDaemonSet.Value.Agents) != 6 {
				t.Fatalf("%d nodes, %d agents", len(s.Nodes), len(s.AgentDaemonSet.Value.Agents))
			}
			for _, family := range []string{cidr.IPv4, cidr.IPv6} {
				checkRanges(t, s, family)
			}
			checkPods(t, s)
			for _, a := range s.AgentDaemonSet.Value.Agents {
				if !a.Started.After(s.AgentConfigChanged) || a.Ready != snapshot.Yes {
					t.Errorf("agent %+v, configuration of %s", a, s.AgentConfigChanged)
				}
			}
			for _, o := range s.Probes {
				for _, end := range []struct{ ns, pod, node, ip string }{
					{o.From.Namespace, o.From.Pod, o.From.Node, o.From.IP}, {o.To.Namespace, o.To.Pod, o.To.Node, o.To.IP},
				} {
					if end.node != "" && s.NodeByName(end.node) == nil || end.pod != "" && s.PodByName(end.ns, end.pod) == nil {
						t.Errorf("%s: nothing is named %+v", o.Source, end)
					}
				}
			}
		})
	}
}

func checkRanges(t *testing.T, s *snapshot.Snapshot, family string) {
	t.Helper()
	pool, observed := s.Pool("kubernetes", family)
	services := s.ServiceRange(family)
	mask := s.NodeMaskSize[family]
	if observed || len(pool) != 1 || len(services) != 1 || !mask.Known {
		t.Fatalf("%s: pool %v (observed: %v), services %v, mask %+v", family, pool, observed, services, mask)
	}
	nodeCIDRs := s.PodCIDRs("kubernetes", family)
	if len(nodeCIDRs) != 6 || mask.Value-pool[0].Prefix.Bits() > 16 {
		t.Errorf("%s: %d pod CIDRs of /%d out of %s", family, len(nodeCIDRs), mask.Value, pool[0].Prefix)
	}
	for i, c := range nodeCIDRs {
		if c.Prefix.Bits() != mask.Value || !cidr.Contains(pool[0].Prefix, c.Prefix) {
			t.Errorf("%s: %s is no /%d of %s", c.Source, c.Prefix, mask.Value, pool[0].Prefix)
		}
		for _, other := range nodeCIDRs[:i] {
			if other.Prefix.Overlaps(c.Prefix) {
				t.Errorf("%s and %s share %s", c.Source, other.Source, c.Prefix)
			}
		}
	}
	if services[0].Prefix.Overlaps(pool[0].Prefix) {
		t.Errorf("services %s overlap pods %s", services[0].Prefix, pool[0].Prefix)
	}
	for _, a := range s.NodeAddresses(family) {
		if a.Prefix.Overlaps(pool[0].Prefix) || a.Prefix.Overlaps(services[0].Prefix) {
			t.Errorf("%s has %s, an address of pods or services", a.Source, a.Prefix)
		}
	}
	for _, svc := range s.Services {
		for _, ip := range cidr.AddrsOfFamily(svc.ClusterIPs, family) {
			if !services[0].Prefix.Contains(ip) {
				t.Errorf("%s has %s, outside %s", svc.Source, ip, services[0].Prefix)
			}
		}
	}
}

func checkPods(t *testing.T, s *snapshot.Snapshot) {
	t.Helper()
	seen := map[netip.Addr]string{}
	for _, p := range s.Pods {
		node := s.NodeByName(p.Node)
		if node == nil || len(p.IPs) != 2 {
			t.Fatalf("%s: node %q, addresses %v", p.Source, p.Node, p.IPs)
		}
		for _, ip := range p.IPs {
			if p.HostNetwork {
				continue
			}
			if !cidr.InAny(ip, node.PodCIDRs) {
				t.Errorf("%s has %s, outside %s of %s", p.Source, ip, node.PodCIDRs, node.Name)
			}
			if seen[ip] != "" {
				t.Errorf("%s and %s share %s", p.Source, seen[ip], ip)
			}
			seen[ip] = p.Source
		}
	}
}

// What the report says must be in the snapshot as it says it.
func TestIncidentSaysWhatTheReportSays(t *testing.T) {
	s := incident(t, "talos-ipv6-ula")
	for _, want := range []struct {
		pod, ip, node string
		identity      int64
	}{
		{"kustomize-controller-57bbd7c-fdtpk", "fd00:101:224:7::970b", "node-7", 44187},
		{"source-controller-6ccfd78764-rzfnk", "fd00:101:224:2::aa96", "node-2", 41034},
	} {
		p := s.PodByName("flux-system", want.pod)
		if p == nil || p.IPs[0].String() != want.ip || p.Node != want.node || p.Identity != want.identity {
			t.Errorf("%s: %+v", want.pod, p)
		}
	}
	if n := len(s.Policies); n != 3 {
		t.Errorf("%d policies", n)
	}
	if s.AgentConfig.Value["ipv6-native-routing-cidr"] != "fd00:101::/48" || s.AgentConfig.Value["enable-ipv6-masquerade"] != "true" {
		t.Error("the live configuration is not the report's")
	}
	native := netip.MustParsePrefix("fd00:101::/48")
	for _, c := range s.PodCIDRs("kubernetes", cidr.IPv6) {
		if native.Overlaps(c.Prefix) {
			t.Errorf("%s is not outside %s", c.Prefix, native)
		}
	}
	failing := 0
	for _, f := range s.Flux {
		if f.Ready == snapshot.No && strings.Contains(f.Message, "dial tcp [fd00:101:96::8:d48b]:80: i/o timeout") {
			failing++
		}
	}
	if failing != 4 {
		t.Errorf("%d Flux objects fail", failing)
	}
	said := slices.ContainsFunc(s.Events, func(e snapshot.Event) bool {
		return e.Object == "Kustomization flux-system/cilium" && strings.Contains(e.Message, "i/o timeout")
	})
	if s.HasBGP != snapshot.Yes || !said || s.KubernetesVersion.Value[:5] != "v1.32" || s.AgentImageVersion.Value != "1.18.6" {
		t.Errorf("BGP %v, events %v, versions %v %v", s.HasBGP, s.Events, s.KubernetesVersion, s.AgentImageVersion)
	}
}

// Only the added reflector saw a source address: without its file nothing
// tells the cause from its neighbours.
func TestIncidentConfirmsByTheReflectorAlone(t *testing.T) {
	for _, tt := range []struct{ name, seen string }{
		{"talos-ipv6-ula", "fd00:101::15"},
		{"talos-ipv6-healthy", "fd00:101:224:7::5a0c"},
	} {
		s := incident(t, tt.name)
		for _, o := range s.Probes {
			if reflector := strings.HasPrefix(o.Source, "ProbeReport node-7-reflector"); reflector != (o.SourceSeen == tt.seen) {
				t.Errorf("%s: %s saw %q", tt.name, o.Source, o.SourceSeen)
			}
			if o.DropReason != "" || strings.Contains(o.Protocol, "HTTP") {
				t.Errorf("%s: %s says more than the report", tt.name, o.Source)
			}
		}
		text, err := os.ReadFile(incidents + tt.name + "/snapshot/added-reflector.yaml")
		if err != nil || !strings.Contains(string(text), `remediate.dev/added: "true"`) {
			t.Errorf("%s: the addition is not marked: %v", tt.name, err)
		}
	}
}

// Each file says at its top what is from the report and what is not.
func TestIncidentFilesSayWhereFactsComeFrom(t *testing.T) {
	said := regexp.MustCompile(`^(# .*\n)*# (From the report|Implied|Added)\b`)
	for _, name := range []string{"talos-ipv6-ula", "talos-ipv6-healthy"} {
		files, err := filepath.Glob(incidents + name + "/snapshot/*.yaml")
		if err != nil || len(files) < 10 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil || !said.Match(text) {
				t.Errorf("%s does not begin with its sources: %v", f, err)
			}
		}
	}
}
