//go:build linux && e2e

package storytest

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
	"github.com/remediate-dev/remediate/internal/testbed/story"
)

// agentStage is a stage whose packets real agents carry.
type agentStage struct {
	*stage
	agents *cilium.Cluster
	tape   *story.Tape
}

func newReal(t *testing.T, o story.Options) *agentStage {
	t.Helper()
	path := story.Agents()
	o.Datapath = path
	r := &agentStage{stage: newStage(t, o), agents: path.Cluster}
	// Agents take long to restart: meanwhile the others run what was written before, which
	// is said.
	r.beside = []v1alpha1.SignatureID{signature.ConfigNotActive}
	r.tape = story.NewTape("remediate on real cilium-agents, Flux, Gitea and kube-apiserver", r.names()...)
	return r
}

// step records what has happened.
func (r *agentStage) step(t *testing.T, step, format string, args ...any) {
	t.Helper()
	t.Log(r.tape.Step(step, format, args...))
}

// record writes the tape where make e2e leaves it, out/story.log and out/story.svg.
func (r *agentStage) record(t *testing.T) {
	t.Helper()
	root, err := testbed.Checkout()
	must(t, err)
	dir := filepath.Join(root, "out")
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "story.log"), []byte(r.tape.String()), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "story.svg"), []byte(r.tape.SVG()), 0o644))
	t.Logf("%s:\n%s", dir, r.tape.Split("fault merged"))
}

// TestAgentsStory plays the incident on real cilium-agents, from the healthy cluster
// to the verdict, and records it.
func TestAgentsStory(t *testing.T) {
	r := newReal(t, story.Options{})
	r.proc.start(t)
	r.policy(t, v1alpha1.ModePropose)
	r.ready(t)
	r.wantCut(t)
	r.wantService(t)
	r.step(t, "healthy", "cilium %s on %d nodes, %s=%s; guarded pods answer from node to node", r.agents.Version, len(r.agents.Nodes), nativeKey, goodCIDR)

	r.fault(t)
	o := r.until(t, "confirmed", func(o *v1alpha1.Remediation) bool { return o.Status.Finding != nil })
	r.step(t, "confirmed", "%s, %s", o.Spec.Signature, o.Spec.Family)
	o = r.until(t, "proposed", inPhase(v1alpha1.PhaseProposed))
	pr := r.wantProposal(t, o)
	r.step(t, "PR", "#%d %s", pr.Number, pr.Title)

	r.settle(t)
	commit := r.bed.Merge(t, pr.Number)
	r.step(t, "merged", "#%d as %.12s", pr.Number, commit)
	r.bed.WaitConfig(t, nativeKey, goodCIDR)
	r.step(t, "reconciled", "Flux has written %s=%s", nativeKey, goodCIDR)
	o = r.until(t, "not active", withVerdict(v1alpha1.VerdictMergedNotActive))
	r.wantNotActive(t, o, commit)
	r.wantCut(t, r.names()...)
	for _, w := range o.Status.Nodes.Waiting {
		r.step(t, "MergedNotActive", "%s: %s", w.Node, w.Reason)
	}
	r.cureNodeByNode(t)
	o = r.until(t, "verified", withVerdict(v1alpha1.VerdictVerified))
	r.step(t, "Verified", "%s", strings.TrimPrefix(o.Status.Because, "Verified: "))
	r.wantVerified(t, o, commit)
	r.wantOne(t)
	r.record(t)
	t.Logf("%s\n%s\n%s", r.measured(t), describe(o), r.bed.Memory())
	r.proc.stop(t)
	r.wantSilence(t)
}

func (r *agentStage) names() (out []string) {
	for _, n := range r.agents.Nodes {
		out = append(out, n.Name)
	}
	return out
}

// fault merges the bad prefix, has Flux write it, and restarts the agents.
func (r *agentStage) fault(t *testing.T) {
	t.Helper()
	commit := r.bed.Break(t)
	r.step(t, "fault merged", "%s as %.12s", story.BadCIDR, commit)
	r.bed.WaitConfig(t, nativeKey, badCIDR)
	r.bed.Flux.UntilReady(t, patience, "HelmRelease", "kube-system", "cilium")
	r.step(t, "fault rolled", "Flux has written %s=%s", nativeKey, badCIDR)
	r.wantCut(t)
	names := r.names()
	since := time.Now()
	for n, name := range names {
		r.bed.RestartAgent(t, name)
		r.wantCut(t, names[:n+1]...)
		r.step(t, "agent restarted", "%s runs with %s", name, badCIDR)
		if n == 0 {
			r.step(t, "dropped", "%s", r.drop(t, since))
		}
	}
}

// drop is a packet between nodes that an agent dropped since a time, as its own monitor
// says it.
func (r *agentStage) drop(t *testing.T, since time.Time) (text string) {
	t.Helper()
	r.eventually(t, "an agent says which packet it dropped", func() string {
		for _, n := range r.agents.Nodes {
			for _, e := range n.Events(since) {
				if e.Kind == "drop" && e.Reason == "Policy denied" && e.Identity == "remote-node" {
					text = fmt.Sprintf("%s: %s, identity %s, %s -> %s", n.Name, e.Reason, e.Identity, e.From.Addr(), e.To.Addr())
					return ""
				}
			}
		}
		return "no monitor shows one"
	})
	return text
}

// cureNodeByNode restarts the agents one by one. A restart cures what its node sends,
// and the controller names the nodes that are left.
func (r *agentStage) cureNodeByNode(t *testing.T) {
	t.Helper()
	names := r.names()
	for n, name := range names {
		r.bed.RestartAgent(t, name)
		left := names[n+1:]
		r.wantCut(t, left...)
		r.step(t, "agent restarted", "%s runs with %s", name, goodCIDR)
		if len(left) == 0 {
			return
		}
		o := r.until(t, fmt.Sprintf("active on all but %d", len(left)), func(o *v1alpha1.Remediation) bool {
			return o.Status.Nodes != nil && len(o.Status.Nodes.Waiting) == len(left) && !waits(o, name)
		})
		r.step(t, string(o.Status.Verdict), "active on %d of %d nodes", o.Status.Nodes.Active, o.Status.Nodes.Wanted)
	}
}

// wantCut tries every pair of nodes: what the named nodes send over IPv6 to another
// node has their own address as source, and guarded pods do not get it; everything else
// arrives as of the pod.
func (r *agentStage) wantCut(t *testing.T, senders ...string) {
	t.Helper()
	r.wantPackets(t, fmt.Sprintf("of all senders %v are cut off", senders), func(from, _ *cilium.Node, family string) bool {
		return slices.Contains(senders, from.Name) && family == cidr.IPv6
	})
	r.tape.Cut(senders...)
}

// wantPackets waits until the packets between nodes are as cut says.
func (r *agentStage) wantPackets(t *testing.T, what string, cut func(from, to *cilium.Node, family string) bool) {
	t.Helper()
	type way struct {
		from, to *cilium.Node
		family   string
	}
	var ways []way
	var asked []story.Question
	for _, from := range r.agents.Nodes {
		for _, to := range r.agents.Nodes {
			for _, family := range []string{cidr.IPv4, cidr.IPv6} {
				ways = append(ways, way{from, to, family})
				for _, target := range []string{v1alpha1.TargetOpen, v1alpha1.TargetGuarded} {
					asked = append(asked, story.Question{From: from.Name, To: to.Name, Target: target, Family: family})
				}
			}
		}
	}
	r.eventually(t, what, func() string {
		seen := r.bed.AskAll(t, asked...)
		for i, w := range ways {
			lost := w.from != w.to && cut(w.from, w.to, w.family)
			if why := differs(seen[2*i], seen[2*i+1], w.from.IP(w.family), lost); why != "" {
				return fmt.Sprintf("%s to %s over %s: %s", w.from.Name, w.to.Name, w.family, why)
			}
		}
		return ""
	})
}

// serviceTries is how often each node asks the probes' Service: the agents choose what
// is behind it at random.
const serviceTries = 12

// wantService: the probes' Service answers every pod every time, and as the pod that it
// is.
func (r *agentStage) wantService(t *testing.T) {
	t.Helper()
	var asked []story.Question
	for _, from := range r.names() {
		for _, family := range []string{cidr.IPv4, cidr.IPv6} {
			for _, protocol := range []string{mesh.TCP, mesh.UDP} {
				for range serviceTries {
					asked = append(asked, story.Question{From: from, Family: family, Protocol: protocol})
				}
			}
		}
	}
	r.eventually(t, "the probes' Service always answers", func() string {
		for i, seen := range r.bed.AskAll(t, asked...) {
			if seen.Outcome != v1alpha1.OutcomeOK || seen.SourceSeen != seen.From.IP {
				return fmt.Sprintf("%+v: %s with source %q, %s", asked[i], seen.Outcome, seen.SourceSeen, seen.Reason)
			}
		}
		return ""
	})
}

// differs says in what way what an open and a guarded pod got is not as wanted: cut,
// it has the node's address, and the guarded one gets nothing.
func differs(open, guarded v1alpha1.Observation, node netip.Addr, cut bool) string {
	want, source := v1alpha1.OutcomeOK, open.From.IP
	if cut {
		want, source = v1alpha1.OutcomeTimeout, node.String()
	}
	if seen, err := netip.ParseAddr(open.SourceSeen); open.Outcome != v1alpha1.OutcomeOK || err != nil || seen.String() != source {
		return fmt.Sprintf("the open pod: %s with source %q, want %s", open.Outcome, open.SourceSeen, source)
	}
	if guarded.Outcome != want {
		return fmt.Sprintf("the guarded pod: %s, want %s", guarded.Outcome, want)
	}
	return ""
}
