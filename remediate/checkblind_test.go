package remediate

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckWithoutPodRanges(t *testing.T) {
	blind := homeOps().without("talos/talconfig.yaml")
	const note = "new info native-routing-cidr-excludes-pods IPv6"
	for _, c := range []struct {
		name string
		base tree
		edit []string
		want []string
	}{
		{"moved", blind, []string{"fd00:101::/38", "fd00:202::/38"}, []string{note}},
		{"narrowed", blind, []string{"fd00:101::/38", "fd00:101::/48"}, []string{note}},
		{"widened", blind, []string{"fd00:101::/38", "fd00:101::/32"}, nil},
		{"not masqueraded", blind.with(t, valuesAt, "enableIPv6Masquerade: true", "enableIPv6Masquerade: false"), []string{"fd00:101::/38", "fd00:202::/38"}, nil},
		{"another value", blind, []string{"hostLegacyRouting: true", "hostLegacyRouting: false"}, nil},
		{"known and inside", homeOps(), []string{"fd00:101::/38", "fd00:101:200::/39"}, nil},
		{"known and outside", homeOps(), []string{"fd00:101::/38", "fd00:202::/38"}, []string{"new critical native-routing-cidr-excludes-pods IPv6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := checkOf(t, c.base, c.base.with(t, valuesAt, c.edit...))
			if got := verdict(res); !slices.Equal(got, c.want) {
				t.Fatalf("got %q, want %q\n%s", got, c.want, dump(res))
			}
			if len(c.want) == 0 || c.want[0] != note {
				return
			}
			if Fails(res) {
				t.Error("what is not known fails the check")
			}
			if p := res.Problems[0]; p.File != valuesAt || p.Line == 0 || !strings.Contains(p.Advice, ".remediate.yaml") {
				t.Errorf("%s:%d, advice %q", p.File, p.Line, p.Advice)
			}
		})
	}
}
