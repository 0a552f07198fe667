package observe

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

var compare = cmp.Options{
	cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}),
	cmpopts.EquateEmpty(),
}

func TestMerge(t *testing.T) {
	base := FromFacts("repository")
	base.PodPools = []snapshot.CIDR{{Prefix: netip.MustParsePrefix("fd00:1::/48"), Source: "observed", IPAM: "kubernetes"}}
	base.NodeMaskSize["IPv4"] = snapshot.Known(24, "observed")
	got, err := Merge(base, []StatedFact{
		{Kind: StatedPodPool, Value: "10.1.0.0/16", Source: "--pod-cidr"},
		{Kind: StatedPodPool, Value: "10.2.0.0/16", Source: "values.yaml:7", IPAM: "cluster-pool"},
		{Kind: StatedPodPool, Value: "10.1.0.0/16", Source: "again"},
		{Kind: StatedServiceCIDR, Value: "10.96.0.0/12", Source: "talconfig.yaml:9"},
		{Kind: StatedNodeCIDR, Value: "fd00:101::/64", Source: ".remediate.yaml:3"},
		{Kind: StatedNodeMaskIPv4, Value: "25", Source: "loses"},
		{Kind: StatedNodeMaskIPv6, Value: "64", Source: "main.tf:12"},
	})
	if err != nil {
		t.Fatal(err)
	}
	cidr := func(p, source, ipam string) snapshot.CIDR {
		return snapshot.CIDR{Prefix: netip.MustParsePrefix(p), Source: source, IPAM: ipam}
	}
	for _, tt := range []struct {
		name      string
		want, got []snapshot.CIDR
	}{
		{"pools", []snapshot.CIDR{cidr("fd00:1::/48", "observed", "kubernetes"), cidr("10.1.0.0/16", "--pod-cidr", ""), cidr("10.2.0.0/16", "values.yaml:7", "cluster-pool")}, got.PodPools},
		{"services", []snapshot.CIDR{cidr("10.96.0.0/12", "talconfig.yaml:9", "")}, got.ServiceCIDRs},
		{"nodes", []snapshot.CIDR{cidr("fd00:101::/64", ".remediate.yaml:3", "")}, got.NodeCIDRs},
	} {
		if diff := cmp.Diff(tt.want, tt.got, compare); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	masks := map[string]snapshot.Fact[int]{"IPv4": snapshot.Known(24, "observed"), "IPv6": snapshot.Known(64, "main.tf:12")}
	if diff := cmp.Diff(masks, got.NodeMaskSize); diff != "" {
		t.Errorf("masks (-want +got):\n%s", diff)
	}
	if len(base.PodPools) != 1 || len(base.NodeMaskSize) != 1 || len(base.ServiceCIDRs) != 0 {
		t.Errorf("the base changed: %+v", base)
	}
	if got.Origin != "repository" || got.Read("Node") {
		t.Errorf("origin %q, nodes read: %v", got.Origin, got.Read("Node"))
	}
}

func TestMergeErrors(t *testing.T) {
	tests := []struct {
		fact StatedFact
		want string
	}{
		{StatedFact{Kind: StatedPodPool, Value: "pods", Source: "--pod-cidr"}, `--pod-cidr: podPool: "pods" is not a CIDR`},
		{StatedFact{Kind: StatedPodPool, Value: "10.1.2.3/16", Source: "f:1"}, `f:1: podPool: 10.1.2.3/16 has bits set beyond its length: write 10.1.0.0/16`},
		{StatedFact{Kind: StatedNodeMaskIPv6, Value: "129", Source: "f:2"}, `f:2: nodeMaskIPv6: "129" is not a prefix length from 1 to 128`},
		{StatedFact{Kind: StatedNodeMaskIPv4, Value: "x", Source: "f:3"}, `"x" is not a prefix length from 1 to 32`},
		{StatedFact{Kind: "podCIDR", Value: "10.0.0.0/8", Source: "f:4"}, `f:4: podCIDR: unknown kind of fact; known are podPool`},
	}
	for _, tt := range tests {
		got, err := Merge(FromFacts("x"), []StatedFact{tt.fact})
		if err == nil || got != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, %v; want %q", tt.fact, got, err, tt.want)
		}
	}
	if got, err := Merge(&snapshot.Snapshot{}, []StatedFact{{Kind: StatedNodeMaskIPv4, Value: "24"}}); err != nil || !got.NodeMaskSize["IPv4"].Known {
		t.Errorf("a base without maps: %v, %v", got, err)
	}
}

func TestScrub(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"dial tcp [fd00:101:96::8:d48b]:80: i/o timeout", "dial tcp [fd00:101:96::8:d48b]:80: i/o timeout"},
		{`secrets "flux-system" not found`, `secrets "flux-system" not found`},
		{"https://bot:pw@example.com/x.git", "https://(removed)@example.com/x.git"},
		{"https://ghx@example.com/x.git", "https://(removed)@example.com/x.git"},
		{"ssh://git@example.com/x.git", "ssh://git@example.com/x.git"},
		{"GET https://s3/x?X-Amz-Signature=abc&b=1: 403", "GET https://s3/x?X-Amz-Signature=(removed)&b=1: 403"},
		{"Authorization: Bearer abcdefghijklmnop.q", "Authorization: Bearer (removed)"},
		{"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2ln is bad", "(removed) is bad"},
		{`{"password": "hunter2", "user": "x"}`, `{"password": "(removed)", "user": "x"}`},
		{"api_key=abc token: def", "api_key=(removed) token: (removed)"},
		{"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\nrest", "(removed)\nrest"},
		{"-----BEGIN RSA PRIVATE KEY-----\ncut off", "(removed)"},
		{"ca: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUI=", "ca: (removed)"},
		{"pushed with ghp_abcdefghijklmnopqrstuvwxyz0123456789", "pushed with (removed)"},
	}
	for _, tt := range tests {
		if got := scrub(tt.in); got != tt.want {
			t.Errorf("scrub(%q)\n got %q\nwant %q", tt.in, got, tt.want)
		}
		if once := scrub(tt.in); scrub(once) != once {
			t.Errorf("scrub twice of %q: %q", tt.in, scrub(once))
		}
	}
}

func TestScrubConfig(t *testing.T) {
	in := map[string]string{
		"etcd-password": "hunter2", "x-token": "abc", "private-key": "k", "api.token": "t",
		"enable-policy-secrets-sync": "true", "bgp-secrets-namespace": "kube-system",
		"hubble-tls-key-file": "/var/lib/x.key", "kvstore-token": "/path/to/token", "use-token": "false",
		"ipv6-native-routing-cidr": "fd00:101::/48",
	}
	want := map[string]string{
		"etcd-password": Removed, "x-token": Removed, "private-key": Removed, "api.token": Removed,
		"enable-policy-secrets-sync": "true", "bgp-secrets-namespace": "kube-system",
		"hubble-tls-key-file": "/var/lib/x.key", "kvstore-token": "/path/to/token", "use-token": "false",
		"ipv6-native-routing-cidr": "fd00:101::/48",
	}
	if diff := cmp.Diff(want, scrubConfig(in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestImageVersion(t *testing.T) {
	for image, want := range map[string]string{
		"quay.io/cilium/cilium:v1.18.6@sha256:abc": "1.18.6",
		"quay.io/cilium/cilium:v1.18.6":            "1.18.6",
		"registry:5000/cilium/cilium":              "",
		"registry:5000/cilium/cilium:1.19.0-rc.1":  "1.19.0-rc.1",
		"cilium:latest":                            "",
		"cilium@sha256:abc":                        "",
		"":                                         "",
	} {
		if got := imageVersion(image); got != want {
			t.Errorf("imageVersion(%q) = %q, want %q", image, got, want)
		}
	}
}

func controllerManager(name string, command ...string) *podObject {
	o := &podObject{}
	o.Kind, o.Metadata.Name, o.Metadata.Namespace = "Pod", name, "kube-system"
	o.Spec.Containers = []container{{Name: "x", Command: command}}
	return o
}

func TestFlags(t *testing.T) {
	tests := []struct {
		name  string
		pods  []*podObject
		pools []string // prefix, source
		masks map[string]snapshot.Fact[int]
	}{
		{
			"pods that agree are one source",
			[]*podObject{
				controllerManager("kube-controller-manager-a", "kcm", "--cluster-cidr=10.0.0.0/8"),
				controllerManager("kube-controller-manager-b", "kcm", "--cluster-cidr", "10.0.0.0/8"),
			},
			[]string{"10.0.0.0/8 kube-controller-manager --cluster-cidr"}, nil,
		},
		{
			"pods that differ are named",
			[]*podObject{
				controllerManager("kube-controller-manager-b", "kcm", "--cluster-cidr=10.0.0.0/8"),
				controllerManager("kube-controller-manager-a", "kcm", "--cluster-cidr=10.0.0.0/9"),
			},
			[]string{
				"10.0.0.0/8 kube-controller-manager --cluster-cidr (Pod kube-system/kube-controller-manager-b)",
				"10.0.0.0/9 kube-controller-manager --cluster-cidr (Pod kube-system/kube-controller-manager-a)",
			}, nil,
		},
		{
			"the common mask holds for the one family",
			[]*podObject{controllerManager("kube-controller-manager-a", "kcm", "--cluster-cidr=fd00::/48", "--node-cidr-mask-size=64")},
			[]string{"fd00::/48 kube-controller-manager --cluster-cidr"},
			map[string]snapshot.Fact[int]{"IPv6": snapshot.Known(64, "kube-controller-manager --node-cidr-mask-size")},
		},
		{
			"the common mask says nothing in dual stack, nor do impossible ones",
			[]*podObject{controllerManager("kube-controller-manager-a", "kcm", "--cluster-cidr=fd00::/48,10.0.0.0/8", "--node-cidr-mask-size=64", "--node-cidr-mask-size-ipv4=33")},
			[]string{"fd00::/48 kube-controller-manager --cluster-cidr", "10.0.0.0/8 kube-controller-manager --cluster-cidr"}, nil,
		},
		{
			"another pod's flags do not count",
			[]*podObject{controllerManager("proxy", "kube-proxy", "--cluster-cidr=10.0.0.0/8")}, nil, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBuilder("")
			for _, p := range tt.pods {
				if _, err := p.reduce(); err != nil {
					t.Fatal(err)
				}
				p.fill(b)
			}
			s := b.finish()
			var pools []string
			for _, c := range s.PodPools {
				pools = append(pools, c.Prefix.String()+" "+c.Source)
			}
			if diff := cmp.Diff(tt.pools, pools); diff != "" {
				t.Errorf("pools (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.masks, s.NodeMaskSize, compare); diff != "" {
				t.Errorf("masks (-want +got):\n%s", diff)
			}
		})
	}
}

// Of versions, the one that most agents run counts; of namespaces, kube-system.
func TestPreferences(t *testing.T) {
	b := newBuilder("")
	for name, image := range map[string]string{"a": "c:v1.18.5", "b": "c:v1.18.6", "c": "c:v1.18.6"} {
		o := &podObject{}
		o.Kind, o.Metadata.Name, o.Metadata.Namespace = "Pod", name, "kube-system"
		o.Metadata.Labels = map[string]string{"k8s-app": "cilium"}
		o.Spec.Containers = []container{{Name: "cilium-agent", Image: image}}
		o.fill(b)
	}
	for _, ns := range []string{"cilium", "kube-system", "a"} {
		c := &configMap{Data: map[string]string{"ns": ns}}
		c.Kind, c.Metadata.Name, c.Metadata.Namespace = "ConfigMap", agentConfigName, ns
		c.fill(b)
	}
	s := b.finish()
	if want := snapshot.Known("1.18.6", "Pod kube-system/b"); s.AgentImageVersion != want {
		t.Errorf("version %+v, want %+v", s.AgentImageVersion, want)
	}
	if got := s.AgentConfig.Source; got != "ConfigMap kube-system/cilium-config" {
		t.Errorf("configuration of %s", got)
	}
	if len(s.AgentDaemonSet.Value.Agents) != 3 {
		t.Errorf("agents without their DaemonSet: %+v", s.AgentDaemonSet)
	}
}
