package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func TestSummarised(t *testing.T) {
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprintf("fd00:101:224:%x::/64", i))
	}
	for _, test := range []struct {
		name string
		in   []string
		want []string
	}{
		{"none", nil, nil},
		{"few stand as they are", []string{"fd00::/48", "`10.0.0.0/8` without `10.1.0.0/16`"}, []string{"fd00::/48", "`10.0.0.0/8` without `10.1.0.0/16`"}},
		{"many", many, []string{"60 ranges within fd00:101:224::/58"}},
		{"two families and a sentence", append([]string{"10.1.0.0/24", "10.2.0.0/24", "the rest"}, many...),
			[]string{"the rest", "2 ranges within 10.0.0.0/14", "60 ranges within fd00:101:224::/58"}},
		{"no common bits", append([]string{"2001:db8::/64"}, many...), []string{"61 ranges within ::/0"}},
	} {
		if got := summarised(test.in); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	p := incident(t)
	p.Candidates[0].AddedRange = many
	if got := strings.Count(strings.Join(mdMasquerade(p.Candidates[:1]).items, "\n"), "added range"); got != 1 {
		t.Errorf("60 added ranges take %d rows", got)
	}
}

func TestQuotedFlagIsOneSpan(t *testing.T) {
	for in, want := range map[string]string{
		`requires (--enable-ipv4-masquerade="true" or more)`: "requires (`--enable-ipv4-masquerade=\"true\"` or more)",
		`says "routingMode" is`:                              "says \"`routingMode`\" is",
		`--a="b c" d`:                                        "`--a=\"b` c\" d",
	} {
		if got := mdText(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestContextSecretsAreMasked(t *testing.T) {
	diff := "--- a/f\n+++ b/f\n@@ -1,4 +1,5 @@\n tls:\n   key: SUPERSECRET\n   certt: SUPERSECRET\n   mode: native\n+routingMode: native\n"
	got := strings.Join(diffLines(diff, 100), "\n")
	if strings.Contains(got, "SUPERSECRET") || !strings.Contains(got, "   mode: native") || !strings.Contains(got, "+routingMode: native") {
		t.Errorf("got\n%s", got)
	}
}

func TestPoolSaysWhetherItWasObserved(t *testing.T) {
	no := false
	p := &v1alpha1.Plan{Facts: v1alpha1.Facts{
		PodPool:  []v1alpha1.Fact{{Value: "fd00::/60", Source: "--pod-cidr", ObservedOnly: &no}},
		PodCIDRs: []v1alpha1.Fact{{Value: "fd00::/64", Source: "Node a"}},
	}}
	var b strings.Builder
	if err := JSON(&b, p); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), `"observedOnly": false`); n != 1 {
		t.Errorf("observedOnly stands %d times in\n%s", n, b.String())
	}
}
