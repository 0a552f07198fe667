package remediate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/gitops/source"
)

// CheckOptions say which two states of the repository to compare.
type CheckOptions struct {
	// Options choose repository, release, chart and facts, as for [Plan].
	Options
	// Base is the revision to compare with; empty as [repo.Repo.Base] finds it.
	Base string
	// Head is the revision that is checked; empty is the working tree.
	Head string
	// FailOn is critical or warning; empty is warning.
	FailOn v1alpha1.Severity
	// Env reads the environment, in which CI names the target branch; nil is an
	// empty one.
	Env func(string) string
}

// Fails says whether a result fails the check: the change introduces a problem
// at or above the severity asked for.
func Fails(res *v1alpha1.CheckResult) bool {
	return slices.ContainsFunc(res.Problems, func(p v1alpha1.Problem) bool {
		return p.Introduced && p.Severity.Rank() >= res.FailOn.Rank()
	})
}

// Check compares two states of the repository: what the change newly breaks,
// what it silently does not do, what it leaves as it was and what it repairs. It
// writes nothing. A state that cannot be built is part of the answer; an error is
// what keeps the answer from being given.
func Check(ctx context.Context, opts CheckOptions) (*v1alpha1.CheckResult, error) {
	if opts.FailOn == "" {
		opts.FailOn = v1alpha1.SeverityWarning
	}
	if opts.FailOn != v1alpha1.SeverityCritical && opts.FailOn != v1alpha1.SeverityWarning {
		return nil, fmt.Errorf("--fail-on %q is neither critical nor warning", opts.FailOn)
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	opts.Progress = once(opts.Progress)
	c := &check{opts: opts, charts: newCharts(), first: &Run{opts: opts.Options}}
	defer c.close()
	for _, s := range []func(context.Context) error{c.first.openRepository, c.states, c.survey, c.observe, c.judge} {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		if err := s(ctx); err != nil {
			return nil, err
		}
	}
	return c.result(), nil
}

// once tells everything one time: the runs of two states say the same.
func once(tell func(format string, args ...any)) func(format string, args ...any) {
	said := map[string]bool{}
	return func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if tell == nil || said[text] {
			return
		}
		said[text] = true
		tell("%s", text)
	}
}

// check is one comparison.
type check struct {
	opts   CheckOptions
	charts *charts
	// first opens the repository; the runs of the states share it.
	first *Run
	runs  []*Run
	// given is what a snapshot or a cluster says, the same for both states.
	given      *snapshot.Snapshot
	base, head *state
	// earlier is the last state before the base that could be built, where the
	// base cannot: what the cluster still runs.
	earlier *state
	changed map[string]bool

	problems []v1alpha1.Problem
	repairs  []v1alpha1.Repair
	releases []v1alpha1.CheckedRelease
	unknown  map[string]bool
	// unjudged is why a release could not be judged although Flux may well build it.
	unjudged error
	// set are values changed in sources that do not decide them.
	set map[place]*unheard
}

func (c *check) close() {
	for _, r := range c.runs {
		r.close()
	}
	c.first.close()
}

// states finds the two states and reads what they change of the working tree.
func (c *check) states(ctx context.Context) error {
	rp := c.first.repo
	base, err := rp.Base(repo.BaseOptions{Rev: c.opts.Base, Head: c.opts.Head, Env: c.opts.Env})
	if err != nil {
		return err
	}
	c.base = newState(v1alpha1.CheckState{Name: base.Name, Commit: base.Commit, How: base.How})
	c.head = newState(v1alpha1.CheckState{Name: "working tree"})
	if c.opts.Head != "" {
		commit, err := rp.Resolve(c.opts.Head)
		if err != nil {
			return err
		}
		c.head = newState(v1alpha1.CheckState{Name: c.opts.Head, Commit: commit})
		if c.head.files, err = rp.Overlay(ctx, commit); err != nil {
			return err
		}
	}
	if c.base.files, err = rp.Overlay(ctx, base.Commit); err != nil {
		return err
	}
	c.changed = changedFiles(c.base.files, c.head.files)
	return nil
}

// changedFiles are those that differ between two overlays of one working tree.
func changedFiles(a, b map[string][]byte) map[string]bool {
	out := map[string]bool{}
	for f := range a {
		was, is := a[f], b[f]
		if _, both := b[f]; !both || (was == nil) != (is == nil) || !bytes.Equal(was, is) {
			out[f] = true
		}
	}
	for f := range b {
		if _, both := a[f]; !both {
			out[f] = true
		}
	}
	return out
}

// survey lists the releases of both states. A repository without any in either
// is an error.
func (c *check) survey(ctx context.Context) error {
	if err := c.list(ctx, c.head); err != nil {
		return err
	}
	if len(c.changed) == 0 {
		c.base.stated, c.base.releases, c.base.failed, c.base.err = c.head.stated, c.head.releases, c.head.failed, c.head.err
	} else if err := c.list(ctx, c.base); err != nil {
		return err
	}
	if len(c.head.releases) == 0 && len(c.base.releases) == 0 && nothingThere(c.head.err) {
		return c.head.err
	}
	return nil
}

func (c *check) list(ctx context.Context, s *state) error {
	s.releases, s.err = source.List(ctx, source.Options{Root: c.first.root, Release: c.opts.Release, ClusterPath: c.opts.ClusterPath,
		AllowRemoteBases: c.opts.AllowRemoteBases, Submodules: c.first.submodules(), Remotes: c.first.remotes(), Files: s.files,
		Failed: func(cluster string, err error) { s.failed = append(s.failed, failure{cluster, err}) }})
	return ctx.Err()
}

// maxLookBack is how many first parents of the base are tried.
const maxLookBack = 10

// lookBack finds the last commit before the base that can be built. Flux applies
// nothing from one that cannot, so that commit is what the cluster runs.
func (c *check) lookBack(ctx context.Context) error {
	for n := 1; n <= maxLookBack; n++ {
		commit, err := c.first.repo.Resolve(fmt.Sprintf("%s~%d", c.base.Commit, n))
		if err != nil {
			return nil
		}
		s := newState(v1alpha1.CheckState{Name: fmt.Sprintf("%s~%d", c.base.Name, n), Commit: commit})
		if s.files, err = c.first.repo.Overlay(ctx, commit); err != nil {
			return nil
		}
		if err := c.list(ctx, s); err != nil {
			return err
		}
		if len(s.releases) > 0 && s.builds() {
			c.earlier = s
			return nil
		}
	}
	return nil
}

// observe reads a snapshot or a cluster once.
func (c *check) observe(ctx context.Context) error {
	if c.opts.Snapshot == "" && c.opts.Cluster == nil {
		return nil
	}
	if err := c.first.observe(ctx); err != nil {
		return err
	}
	c.given = withoutObservations(c.first.snapshot)
	return nil
}

// withoutObservations is a snapshot without what was seen of traffic and agents.
// That was seen under one configuration, and says nothing of another one.
func withoutObservations(s *snapshot.Snapshot) *snapshot.Snapshot {
	out := *s
	out.Probes, out.Events, out.Flux = nil, nil, nil
	out.AgentDaemonSet.Value.Agents = nil
	out.AgentConfigChanged = time.Time{}
	return &out
}

// judge judges every release in both states and compares.
func (c *check) judge(ctx context.Context) error {
	c.unknown, c.set = map[string]bool{}, map[place]*unheard{}
	for _, u := range c.first.unknown {
		c.unknown[u] = true
	}
	pairs := match(c.base.releases, c.head.releases)
	if slices.ContainsFunc(pairs, func(p pair) bool { return p.base == nil && c.base.why(p.head.ClusterPath()) != nil }) {
		if err := c.lookBack(ctx); err != nil {
			return err
		}
	}
	if c.earlier != nil {
		pairs = fill(pairs, c.earlier.releases)
	}
	for _, p := range pairs {
		if err := c.pair(ctx, p); err != nil {
			return err
		}
	}
	c.unbuilt()
	c.unheardValues()
	if len(c.releases) == 0 && c.unjudged != nil {
		return c.unjudged
	}
	return nil
}

func (c *check) result() *v1alpha1.CheckResult {
	res := &v1alpha1.CheckResult{APIVersion: v1alpha1.APIVersion, Kind: "CheckResult", Base: c.base.CheckState, Head: c.head.CheckState, Same: len(c.changed) == 0, FailOn: c.opts.FailOn,
		Releases: c.releases, Problems: c.problems, Repairs: c.repairs, Unknown: slices.Sorted(maps.Keys(c.unknown))}
	if res.Releases == nil {
		res.Releases = []v1alpha1.CheckedRelease{}
	}
	if res.Problems == nil {
		res.Problems = []v1alpha1.Problem{}
	}
	if res.Repairs == nil {
		res.Repairs = []v1alpha1.Repair{}
	}
	if res.Unknown == nil {
		res.Unknown = []string{}
	}
	sort.SliceStable(res.Problems, func(i, j int) bool { return problemBefore(&res.Problems[i], &res.Problems[j]) })
	return res
}

// problemBefore: introduced ones first, worst first; otherwise the order in which
// they were found, which is that of releases and of findings.
func problemBefore(a, b *v1alpha1.Problem) bool {
	if a.Introduced != b.Introduced {
		return a.Introduced
	}
	return a.Severity.Rank() > b.Severity.Rank()
}

// nothingThere says that a state holds no release, and could be read.
func nothingThere(err error) bool {
	return errors.Is(err, source.ErrNoRelease) || errors.Is(err, source.ErrNotOurs)
}
