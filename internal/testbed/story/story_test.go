//go:build linux

package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/cidr"
)

const (
	nativeKey = "ipv6-native-routing-cidr"
	goodCIDR  = "fd00:101::/38"
	badCIDR   = "fd00:101::/48"
)

// TestIncident plays the incident from a merge to its cure: Flux rolls what is
// merged, an agent does it when it starts anew and not before, and packets are lost
// then and only then.
func TestIncident(t *testing.T) {
	b := New(t, Options{})
	b.allRun(t, goodCIDR)
	b.wantCut(t, "at first")

	b.Break(t)
	t.Logf("%5.1f s from the merge to cilium-config", b.WaitConfig(t, nativeKey, badCIDR).Seconds())
	b.Flux.UntilReady(t, patience, "HelmRelease", ciliumNamespace, release)
	b.allRun(t, goodCIDR)
	b.wantCut(t, "while the agents run the old configuration")

	b.RestartAgent(t, "node-1")
	b.wantCut(t, "with the bad configuration on node-1", "node-1")
	b.restartAll(t)
	b.allRun(t, badCIDR)
	b.wantCut(t, "with the bad configuration everywhere", "node-1", "node-2", "node-3")
	b.step(t, "the incident is there")

	b.Cure(t)
	t.Logf("%5.1f s from the merge to cilium-config", b.WaitConfig(t, nativeKey, goodCIDR).Seconds())
	b.wantCut(t, "with the cure merged and on no node", "node-1", "node-2", "node-3")
	b.RestartAgent(t, "node-2")
	b.wantCut(t, "with the cure on node-2", "node-1", "node-3")
	b.restartAll(t)
	b.allRun(t, goodCIDR)
	b.wantCut(t, "with the cure everywhere")
	b.step(t, "the incident is over")
	t.Log(b.Memory())
}

// TestFluxIsTheVictim: with kustomize-controller on another node than
// source-controller what is merged does not arrive any more, until both are on one.
func TestFluxIsTheVictim(t *testing.T) {
	b := New(t, Options{Apart: true, Rollout: true})
	if err := b.fetch(t, kustomizeController); err != nil {
		t.Errorf("before the incident: %v", err)
	}
	b.Break(t)
	b.UntilRunning(t, nativeKey, badCIDR)
	b.wantCut(t, "after the rollout", "node-1", "node-2", "node-3")
	b.step(t, "the incident is there")

	commit := b.Cure(t)
	eventually(t, patience, "source-controller has the commit", func() string { return b.notFetched(t, commit) })
	if err := b.fetch(t, kustomizeController); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("kustomize-controller's pod fetches the artifact: %v", err)
	}
	if err := b.fetch(t, sourceController); err != nil {
		t.Errorf("on source-controller's node: %v", err)
	}
	if got := b.config(t)[nativeKey]; got != badCIDR {
		t.Errorf("the cure arrived: %s", got)
	}
	b.step(t, "the cure does not arrive")

	for _, name := range []string{kustomizeController, helmController} {
		b.Flux.Move(t, name, "node-1")
	}
	b.UntilRunning(t, nativeKey, goodCIDR)
	b.wantCut(t, "after the cure's rollout")
	b.step(t, "the incident is over")
}

// notFetched says why source-controller's artifact is not that of the commit.
func (b *Bed) notFetched(t *testing.T, commit string) string {
	t.Helper()
	git := b.fluxObject(t, "GitRepository", FluxNamespace, FluxNamespace)
	if rev := nested(git, "status", "artifact", "revision"); rev != "main@sha1:"+commit {
		return "the artifact is " + rev
	}
	return ""
}

// fetch gets the repository's artifact from the pod of a controller, by the name and
// over the path that the controller itself takes.
func (b *Bed) fetch(t *testing.T, controller string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), askTime)
	defer cancel()
	from := b.fluxPod(t, controller)
	git := b.fluxObject(t, "GitRepository", FluxNamespace, FluxNamespace)
	u, err := url.Parse(nested(git, "status", "artifact", "url"))
	if err != nil {
		return err
	}
	addrs, err := from.Resolver(b.DNS, cidr.IPv4).LookupHost(ctx, u.Hostname())
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return from.DialContext(ctx, network, net.JoinHostPort(addrs[0], "80"))
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n == 0 || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d bytes, %w", resp.Status, n, err)
	}
	return nil
}

func (b *Bed) restartAll(t *testing.T) {
	t.Helper()
	for _, n := range b.Lab.Nodes {
		b.RestartAgent(t, n.Name)
	}
}

// allRun: every node does what that value makes of it.
func (b *Bed) allRun(t *testing.T, value string) {
	t.Helper()
	agents := b.Agents(t)
	if len(agents) != len(b.Lab.Nodes) {
		t.Fatalf("%d agents of %d nodes", len(agents), len(b.Lab.Nodes))
	}
	for _, a := range agents {
		if got := a.Config.Values[nativeKey]; got != value || a.Config.Version != b.Chart {
			t.Errorf("%s runs %s with %s=%s, want %s with %s", a.Node, a.Config.Version, nativeKey, got, b.Chart, value)
		}
	}
}

// wantCut tries every pair of nodes both ways: what the named nodes send over IPv6 to
// another node carries their own address, and guarded pods do not get it; everything
// else arrives with the pod's.
func (b *Bed) wantCut(t *testing.T, when string, senders ...string) {
	t.Helper()
	bad := map[string]bool{}
	for _, s := range senders {
		bad[s] = true
	}
	pods := b.probePods(t)
	var all sync.WaitGroup
	for _, from := range b.Lab.Nodes {
		for _, to := range b.Lab.Nodes {
			for _, family := range []string{cidr.IPv4, cidr.IPv6} {
				masqueraded := bad[from.Name] && from != to && family == cidr.IPv6
				open := b.question(t, pods, Question{From: from.Name, To: to.Name, Target: v1alpha1.TargetOpen, Family: family})
				guarded := b.question(t, pods, Question{From: from.Name, To: to.Name, Target: v1alpha1.TargetGuarded, Family: family})
				all.Go(func() {
					o := open(t.Context())
					source, want := o.From.IP, v1alpha1.OutcomeOK
					if masqueraded {
						source, want = from.IP(family).String(), v1alpha1.OutcomeTimeout
					}
					if o.Outcome != v1alpha1.OutcomeOK || !sameAddr(o.SourceSeen, source) {
						t.Errorf("%s: %s to the open pod of %s: %s with source %s, want %s", when, from.Name, to.Name, o.Outcome, o.SourceSeen, source)
					}
					if o := guarded(t.Context()); o.Outcome != want {
						t.Errorf("%s: %s to the guarded pod of %s, %s: %s, want %s", when, from.Name, to.Name, family, o.Outcome, want)
					}
				})
			}
		}
	}
	all.Wait()
}

func sameAddr(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	return errX == nil && errY == nil && x == y
}
