package remediate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/chartutil"
	"github.com/opencontainers/go-digest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// Change is what a commit of a repository changes of one Cilium release.
type Change struct {
	// Commit is its full hash, At when it was made.
	Commit string
	At     time.Time
	// Release is NAMESPACE/NAME, ClusterPath the directory of its cluster.
	Release, ClusterPath string
	Planned              verify.Planned
	// Notes say what of it is not known.
	Notes []string

	clone *repo.Repo
	close func()
}

// Close removes what was cloned for it.
func (c *Change) Close() { c.close() }

// Holds says whether a revision builds on the commit, as far as the checkout
// knows; see [Followed.Contains].
func (c *Change) Holds() func(context.Context, string) (snapshot.Tri, error) {
	return Holds(c.clone, c.Commit)
}

// ChangeAt reads from a checkout what a commit changes, compared with its first
// parent: both states are rendered. Commits that change nothing of cilium-config
// are an error, and so are several releases where opts choose none. What it gives
// is to be closed.
func ChangeAt(ctx context.Context, opts Options, rev string) (out *Change, err error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	opts.Progress = once(opts.Progress)
	c := &check{opts: CheckOptions{Options: opts}, charts: newCharts(), first: &Run{opts: opts}, unknown: map[string]bool{}}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := c.first.openRepository(ctx); err != nil {
		return nil, err
	}
	commit, err := c.first.repo.Resolve(rev)
	if err != nil {
		return nil, err
	}
	c.opts.Head, c.opts.Base = commit, commit+"~1"
	for _, do := range []func(context.Context) error{c.states, c.survey, c.observe} {
		if err := do(ctx); err != nil {
			return nil, err
		}
	}
	p, err := c.followed()
	if err != nil {
		return nil, err
	}
	out = &Change{Commit: commit, Release: releaseName(p.head), ClusterPath: p.head.ClusterPath(), clone: c.first.repo, close: c.close}
	if out.At, err = c.first.repo.CommitTime(commit); err != nil {
		return nil, err
	}
	return out, c.planned(ctx, p, out)
}

// followed is the one release that is in both states and changes.
func (c *check) followed() (pair, error) {
	var all []pair
	for _, p := range match(c.base.releases, c.head.releases) {
		if p.head != nil && p.base != nil {
			all = append(all, p)
		}
	}
	changed := slices.DeleteFunc(slices.Clone(all), func(p pair) bool {
		return sameValues(p.base, p.head)
	})
	switch {
	case c.head.err != nil && len(all) == 0:
		return pair{}, c.head.err
	case c.base.err != nil && len(all) == 0:
		return pair{}, fmt.Errorf("the state before the commit: %w", c.base.err)
	case len(changed) == 1:
		return changed[0], nil
	case len(changed) == 0:
		return pair{}, withHint(fmt.Errorf("commit %.12s changes no value of a Cilium release", c.opts.Head), "give the commit on the branch that Flux follows: for a pull request that was merged, its merge commit")
	}
	var names []string
	for _, p := range changed {
		names = append(names, releaseName(p.head)+" of "+p.head.ClusterPath())
	}
	return pair{}, withHint(fmt.Errorf("commit %.12s changes several releases: %s", c.opts.Head, strings.Join(names, ", ")), "choose one with --cluster-path or --release")
}

// sameValues compares what helm-controller would release.
func sameValues(a, b *source.Release) bool {
	one, other := a.Chart, b.Chart
	one.Source, other.Source = "", ""
	return one == other && chartutil.DigestValues(digest.Canonical, a.Values) == chartutil.DigestValues(digest.Canonical, b.Values)
}

// planned fills in what the two states differ in.
func (c *check) planned(ctx context.Context, p pair, out *Change) error {
	base, err := c.renderedState(ctx, c.base, p.base)
	if err != nil {
		return fmt.Errorf("the state before the commit: %w", err)
	}
	head, err := c.renderedState(ctx, c.head, p.head)
	if err != nil {
		return err
	}
	out.Planned = PlannedChange(base.current.Config, head.current.Config)
	if len(out.Planned.Config) == 0 {
		return withHint(fmt.Errorf("commit %.12s changes nothing of cilium-config: there is nothing that agents would have to take up", out.Commit), "remediate check --base REV says what a change comes to")
	}
	if d, ok := ValuesDigest(p.head); ok {
		out.Planned.ValuesDigest = d
	} else {
		out.Notes = append(out.Notes, "the digest of the release's values: some of them cannot be read from the repository")
	}
	out.Notes = append(out.Notes, head.unknown...)
	out.Planned.Causes = repaired(base.findings, head.findings)
	out.Planned.EndsMasquerade = EndsMasquerade(out.Planned.Causes)
	return nil
}

func (c *check) renderedState(ctx context.Context, s *state, rel *source.Release) (*Run, error) {
	j, err := c.prepare(ctx, s, rel)
	if err != nil {
		return nil, err
	}
	if j.err != nil {
		return nil, j.err
	}
	if err := j.run.renderCurrent(ctx); err != nil {
		return nil, err
	}
	if j.run.renderError != "" {
		return nil, fmt.Errorf("the chart refuses the values: %s", j.run.renderError)
	}
	in, err := j.run.signatureInput(ctx)
	if err != nil {
		return nil, err
	}
	if len(j.run.doubts) == 0 {
		j.run.findings = detect.Run(in)
	}
	return j.run, nil
}

// PlannedChange is what agents have to take up between two configurations.
func PlannedChange(before, after cilium.Config) verify.Planned {
	p := verify.Planned{Config: map[string]*string{}, HotReload: true}
	for key, sides := range cilium.Delta(before, after) {
		p.Config[key] = sides[1]
		f, ok := cilium.FlagByName(key)
		p.HotReload = p.HotReload && ok && f.HotReload
		if operators(key) && !slices.Contains(p.Restart, operatorSet) {
			p.Restart = append(p.Restart, operatorSet)
		}
	}
	if a, b := before.MasqAgent, after.MasqAgent; (a == nil) != (b == nil) || a != nil && *a != *b {
		p.Config[verify.MasqAgentKey] = after.MasqAgent
	}
	if len(p.Config) == 0 {
		p.HotReload = false
	}
	if !p.HotReload && len(p.Config) > 0 {
		p.Restart = append([]string{"DaemonSet/" + agentSet}, p.Restart...)
	}
	return p
}

// operatorSet reads pools only when it starts (pkg/ipam/allocator, 1.18.6).
const operatorSet = "Deployment/cilium-operator"

func operators(key string) bool { return strings.HasPrefix(key, "cluster-pool-") }

// ValuesDigest is the digest of a release's values as helm-controller records it in
// status.history[].configDigest; ok is false when some value is not known.
func ValuesDigest(r *source.Release) (string, bool) {
	if len(r.Missing) > 0 || len(r.Unresolved) > 0 {
		return "", false
	}
	for _, s := range r.Sources {
		if s.Kind == "Secret" {
			return "", false
		}
	}
	return chartutil.DigestValues(digest.Canonical, r.Values).String(), true
}

// repaired are the causes that the earlier state has and the later has not.
func repaired(before, after []v1alpha1.Finding) []verify.Cause {
	var out []verify.Cause
	for _, f := range before {
		if f.Severity.Rank() < v1alpha1.SeverityWarning.Rank() || f.CausedBy != "" ||
			slices.ContainsFunc(after, func(a v1alpha1.Finding) bool { return a.Signature == f.Signature && a.Family == f.Family }) {
			continue
		}
		out = append(out, verify.Cause{Signature: f.Signature, Family: f.Family, About: f.About})
	}
	return out
}

// PlannedFor is the change as it was proposed for a cause that probes confirmed: what
// else it ends was not promised. Where the cause has neither family nor object, the
// repository's findings of its signature tell them.
func PlannedFor(p verify.Planned, cause verify.Cause) verify.Planned {
	causes := []verify.Cause{cause}
	if cause.Family == "" && cause.About == "" {
		same := slices.DeleteFunc(slices.Clone(p.Causes), func(c verify.Cause) bool { return c.Signature != cause.Signature })
		if len(same) > 0 {
			causes = same
		}
	}
	p.Causes, p.EndsMasquerade = causes, EndsMasquerade(causes)
	return p
}

// EndsMasquerade says whether one of the causes is a masquerade that should not be.
func EndsMasquerade(causes []verify.Cause) bool {
	return slices.ContainsFunc(causes, func(c verify.Cause) bool {
		switch c.Signature {
		case signature.NativeRoutingCIDRExcludesPods, signature.IPMasqAgentExcludesPods, signature.NativeRoutingCIDRInServices, signature.PodSourceMasqueraded:
			return true
		}
		return false
	})
}
