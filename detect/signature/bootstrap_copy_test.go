package signature

import (
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

func copyOf(path, value, release string) CopyValue {
	v := CopyValue{Copy: "helmfile", File: "boot/values.yaml", Path: path, Value: value, Release: release, Source: "boot/values.yaml:3", ReleaseSource: "flux/values.yaml:7"}
	for _, f := range cilium.FlagsOfHelm(path) {
		v.Flags = append(v.Flags, f.Name)
	}
	return v
}

func TestBootstrapCopyDiffers(t *testing.T) {
	tests := []struct {
		name   string
		change map[string]string
		copied CopyValue
		want   bool
	}{
		{name: "another range", copied: copyOf("ipv6NativeRoutingCIDR", "fd00:101::/48", "fd00:101::/38"), want: true},
		{name: "the same range", copied: copyOf("ipv6NativeRoutingCIDR", "fd00:101::/38", "fd00:101::/38")},
		{name: "a family that is off", change: map[string]string{"enable-ipv6": "false"}, copied: copyOf("ipv6NativeRoutingCIDR", "fd00:101::/48", "fd00:101::/38")},
		{name: "the family itself", change: map[string]string{"enable-ipv6": "false"}, copied: copyOf("ipv6.enabled", "true", "false"), want: true},
		{name: "a pool without cluster-pool", copied: copyOf("ipam.operator.clusterPoolIPv4PodCIDRList", "10.0.0.0/8", "10.101.0.0/16")},
		{name: "a pool with cluster-pool", change: map[string]string{"ipam": "cluster-pool"}, copied: copyOf("ipam.operator.clusterPoolIPv4PodCIDRList", "10.0.0.0/8", "10.101.0.0/16"), want: true},
		{name: "a tunnel's port without tunnels", copied: copyOf("tunnelPort", "8472", "8473")},
		{name: "the routing mode", copied: copyOf("routingMode", "tunnel", "native"), want: true},
		{name: "routes that tunnels do not have", change: map[string]string{"routing-mode": "tunnel"}, copied: copyOf("autoDirectNodeRoutes", "false", "true")},
		{name: "no influence on packets", copied: copyOf("cluster.name", "boot", "main")},
		{name: "no flag of the agent", copied: copyOf("operator.replicas", "1", "2")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := input(t, incidentConfig(test.change), &snapshot.Snapshot{})
			in.Copies = []CopyValue{test.copied}
			if got := detectBootstrapCopy(in); (len(got) == 1) != test.want {
				t.Errorf("%d findings: %v", len(got), got)
			}
		})
	}
}

// One finding for each file, with every value that differs.
func TestBootstrapCopyFinding(t *testing.T) {
	in := input(t, incidentConfig(nil), &snapshot.Snapshot{})
	other := copyOf("routingMode", "tunnel", "native")
	other.File, other.Copy = "a.tf", "Terraform"
	in.Copies = []CopyValue{
		copyOf("routingMode", "tunnel", "native"), copyOf("ipv6NativeRoutingCIDR", "fd00:101::/48", "fd00:101::/38"), other,
	}
	got := detectBootstrapCopy(in)
	if len(got) != 2 {
		t.Fatalf("%d findings, want one for each file", len(got))
	}
	f := got[1]
	if f.About != "boot/values.yaml" || f.Severity != v1alpha1.SeverityWarning || f.Confidence != v1alpha1.ConfidencePredicted {
		t.Errorf("%+v", f)
	}
	const want = "boot/values.yaml (helmfile), which installs Cilium besides Flux, sets ipv6NativeRoutingCIDR to fd00:101::/48 (the release: fd00:101::/38), " +
		"routingMode to tunnel (the release: native): the next bootstrap starts with it"
	if f.Summary != want {
		t.Errorf("summary\n got %s\nwant %s", f.Summary, want)
	}
	if len(f.Evidence) != 4 || !slices.ContainsFunc(f.Evidence, func(e v1alpha1.Evidence) bool { return e.Source == "flux/values.yaml:7" }) {
		t.Errorf("evidence %v", f.Evidence)
	}
}

func TestBootstrapCopyIsDeterministic(t *testing.T) {
	in := input(t, incidentConfig(nil), &snapshot.Snapshot{})
	a, b := copyOf("routingMode", "tunnel", "native"), copyOf("MTU", "1400", "1500")
	var summaries []string
	for _, vs := range [][]CopyValue{{a, b}, {b, a}} {
		in.Copies = vs
		summaries = append(summaries, detectBootstrapCopy(in)[0].Summary)
	}
	if summaries[0] != summaries[1] || !strings.Contains(summaries[0], "MTU") {
		t.Errorf("%q", summaries)
	}
}
