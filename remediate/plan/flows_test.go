package plan

import (
	"net/netip"
	"testing"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// stateOf is what signatures judge of a repository without a cluster.
func stateOf(t *testing.T, values map[string]string) *signature.Input {
	t.Helper()
	s := (&snapshot.Snapshot{PodPools: []snapshot.CIDR{{Prefix: netip.MustParsePrefix("fd00:101:224::/60")}}}).Indexed()
	in := &signature.Input{Snapshot: s, Config: cilium.Config{Version: "1.18.6", Values: map[string]string{
		"enable-ipv4": "false", "enable-ipv6": "true", "ipam": "kubernetes", "routing-mode": "native", "auto-direct-node-routes": "true",
		"enable-ipv6-masquerade": "true", "ipv6-native-routing-cidr": "fd00:101::/38"}}}
	for k, v := range values {
		in.Config.Values[k] = v
	}
	in.Settings, _ = cilium.Effective(in.Config)
	in.ModelInput = datapath.Input{Config: in.Config, Snapshot: s}
	return in
}

func TestFlows(t *testing.T) {
	wrong := map[string]string{"ipv6-native-routing-cidr": "fd00:101::/48"}
	tests := []struct {
		name          string
		before, after map[string]string
		fixed, broken bool
	}{
		{"nothing changes", nil, nil, false, false},
		{"a wrong prefix", nil, wrong, false, true},
		{"the right prefix", wrong, nil, true, false},
		{"the family goes", nil, map[string]string{"enable-ipv6": "false", "enable-ipv4": "true"}, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before, after := stateOf(t, test.before), stateOf(t, test.after)
			d, err := Flows(before, after)
			if err != nil {
				t.Fatal(err)
			}
			if (d.Fixed > 0) != test.fixed || (d.Broken > 0) != test.broken || d.Fixed+d.Broken+d.Unchanged+d.Unknown == 0 {
				t.Errorf("fixed %d, broken %d, unchanged %d, unknown %d", d.Fixed, d.Broken, d.Unchanged, d.Unknown)
			}
			if len(after.Snapshot.Nodes) != 0 {
				t.Error("the assumed nodes stay in the snapshot")
			}
		})
	}
}
