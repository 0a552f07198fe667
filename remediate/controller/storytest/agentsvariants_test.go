//go:build linux && e2e

package storytest

import (
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/internal/testbed/story"
)

// TestAgentsVariants plays what else may become of a merged change on real agents,
// which the DaemonSet restarts when their configuration changes.
func TestAgentsVariants(t *testing.T) {
	r := newReal(t, story.Options{Rollout: true})
	r.proc.start(t)
	for _, v := range []struct {
		name string
		play func(*testing.T)
	}{{"not-effective", r.notEffective}, {"regressed", r.regressedForReal}} {
		ok := t.Run(v.name, func(t *testing.T) {
			defer func() {
				r.heal(t)
				t.Log(r.tape.Step("healed", "%s", v.name))
			}()
			v.play(t)
		})
		if !ok {
			return // the cluster may not be as it was
		}
	}
	r.wantSilence(t)
}

// breaksIPv4 are values that masquerade pods whose addresses the prefix leaves out, as
// BadCIDR does for IPv6.
const breaksIPv4 = "ipv4NativeRoutingCIDR: 10.101.0.0/24\nenableIPv4Masquerade: true\n"

// regressedForReal: a person adds to our pull request what cuts the pods off over
// IPv4. IPv6 is cured, IPv4 is not what it was, and a draft takes the change back.
func (r *agentStage) regressedForReal(t *testing.T) {
	healthy := r.bed.Forge.Show(t, "main", story.ValuesPath)
	defer func() { r.bed.Commit(t, story.ValuesPath, []byte(healthy)) }()
	pr := r.incident(t)
	text := r.bed.Forge.Show(t, pr.Branch, story.ValuesPath)
	var lines []string
	for _, line := range strings.SplitAfter(text, "\n") {
		if !strings.HasPrefix(line, "ipv4NativeRoutingCIDR:") && !strings.HasPrefix(line, "enableIPv4Masquerade:") {
			lines = append(lines, line)
		}
	}
	r.bed.Forge.Push(t, pr.Branch, map[string][]byte{story.ValuesPath: []byte(strings.Join(lines, "") + breaksIPv4)})
	r.settle(t)
	commit := r.bed.Merge(t, pr.Number)
	r.bed.UntilRunning(t, nativeKey, goodCIDR)
	r.wantOnlyIPv4Cut(t)
	o := r.until(t, "regressed", withVerdict(v1alpha1.VerdictRegressed))
	if !o.IsEnded() || o.Status.Commit != commit {
		t.Error(describe(o))
	}
	r.wantEvent(t, string(v1alpha1.VerdictRegressed))
	all := r.bed.PullRequests(t)
	n := slices.IndexFunc(all, func(p forges.PR) bool { return p.Draft && p.State == "open" })
	if n < 0 {
		t.Fatalf("no draft takes it back: %+v", all)
	}
	back := all[n]
	if is := r.bed.Forge.Show(t, back.Branch, story.ValuesPath); !has(is, story.BadCIDR) || has(is, breaksIPv4) {
		t.Errorf("the revert makes\n%s", is)
	}
	contains(t, "the revert", back.Title+back.Body, commit[:12], "IPv4")
	r.bed.Forge.ClosePR(t, back.Number)
}

// wantOnlyIPv4Cut: real packets are dropped over IPv4, and over IPv6 no more.
func (r *agentStage) wantOnlyIPv4Cut(t *testing.T) {
	t.Helper()
	r.wantPackets(t, "IPv4 is cut off and IPv6 is not", func(_, _ *cilium.Node, family string) bool { return family == cidr.IPv4 })
}
