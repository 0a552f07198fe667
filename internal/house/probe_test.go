package house

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// mayLink is all that the probe is made of besides the standard library: it runs
// on every node, without credentials, in 16 MiB.
func mayLink() []string {
	return []string{
		module + "/api/probe/v1alpha1$", module + "/cmd/remediate-probe$", module + "/detect/mesh$",
		module + "/detect/probe$", module + "/internal/cidr$",
		"golang.org/x/net", "golang.org/x/sys", "go4.org/netipx",
	}
}

// strangers are the packages that p links and that are neither of the standard
// library nor on the list.
func strangers(p pkg, list []string) []string {
	var out []string
	for _, d := range p.Deps {
		first, _, _ := strings.Cut(d, "/")
		standard := !strings.Contains(first, ".")
		if !standard && !anyIn(d, list) {
			out = append(out, fmt.Sprintf("%s links %s: it runs on every node and stays small", p.rel(), d))
		}
	}
	return out
}

func TestProbeLinksLittle(t *testing.T) {
	all := packages(t)
	i := slices.IndexFunc(all, func(p pkg) bool { return p.rel() == "cmd/remediate-probe" })
	if i < 0 {
		t.Fatal("cmd/remediate-probe is gone")
	}
	report(t, strangers(all[i], mayLink()))
}

func TestProbeRuleBites(t *testing.T) {
	p := pkg{ImportPath: module + "/cmd/remediate-probe", Deps: []string{
		"net/http", "vendor/golang.org/x/net/idna", "crypto/internal/entropy/v1.0.0", "golang.org/x/sys/unix",
		module + "/detect/probe", module + "/api/v1alpha1", module + "/detect/observe", "k8s.io/apimachinery/pkg/types",
	}}
	got := strings.Join(strangers(p, mayLink()), "\n")
	for _, want := range []string{"api/v1alpha1", "detect/observe", "k8s.io/apimachinery/pkg/types"} {
		if !strings.Contains(got, "links "+want+":") && !strings.Contains(got, "links "+module+"/"+want+":") {
			t.Errorf("%s is let in: %s", want, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 3 {
		t.Errorf("%d breaches, want 3: %s", n, got)
	}
}
