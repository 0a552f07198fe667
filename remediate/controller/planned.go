package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/fluxcd/pkg/runtime/conditions"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/delivery"
)

// planned makes the plan, on the newest commit of the branch.
type planned struct{}

func (planned) name() string { return "plan" }

func (planned) do(ctx context.Context, i *incident) (bool, error) {
	if i.isMerged() || i.mem.pr != nil && i.mem.pr.State == forge.Merged {
		return false, nil
	}
	if i.present == snapshot.Unknown && i.mem.pr == nil {
		return true, nil // nothing is planned that nobody confirms
	}
	if i.mem.result != nil && !i.ask && i.mem.planned == i.basis("") {
		return false, nil
	}
	tip, err := i.tip(ctx)
	if err != nil {
		return true, err
	}
	if i.outdated(tip) {
		if err := i.plan(ctx, tip); err != nil {
			i.waits(v1alpha1.PlannedCondition, v1alpha1.PlanFailedReason, "%v", err)
			return true, err
		}
	}
	if i.plainMerged() {
		return false, nil
	}
	i.showPlan()
	i.showDelivery()
	return false, nil
}

// outdated says whether there is more to plan with than there was: another commit or
// cause, or more of what probes see, of which the plan lacked something.
func (i *incident) outdated(tip string) bool {
	if i.mem.result == nil || i.mem.planned != i.basis(tip) {
		return true
	}
	return i.heardEnough() && (i.mem.early || i.arrivesPerhaps())
}

// arrivesPerhaps: whether Flux could bring the change in is not decided. What probes
// saw before the fault may be among what it was judged by.
func (i *incident) arrivesPerhaps() bool {
	d := i.obj.Status.Delivery
	return d != nil && d.WillArrive != string(delivery.Yes) && d.WillArrive != string(delivery.No)
}

// basis is what a plan is made of besides the cluster: the commit, what is confirmed,
// and what was tried. An empty tip stands for the one it was made of.
func (i *incident) basis(tip string) string {
	if tip == "" && i.mem.result != nil {
		tip = i.mem.result.Plan.Subject.Revision
	}
	var confirmed []string
	for _, f := range i.sight.Confirmed() {
		confirmed = append(confirmed, f.Signature+f.Family+f.About)
	}
	return digest(tip, confirmed, slices.Sorted(maps.Keys(i.tried())), i.policy.Generation)
}

// tip is the newest commit of the branch that changes go to.
func (i *incident) tip(ctx context.Context) (string, error) {
	i.mem.asked = i.now
	refs, err := i.target.remote.Refs(ctx)
	if err != nil {
		return "", failing(v1alpha1.GitReason, err)
	}
	branch := i.branch(refs)
	tip := refs.Branches[branch]
	if tip == "" {
		return "", stalled(v1alpha1.GitReason, "%s has no branch %q: correct spec.git.branch, or spec.ref.branch of the GitRepository", i.target.source.URL, branch)
	}
	return tip, nil
}

func (i *incident) branch(refs repo.Refs) string {
	if b := i.target.source.Branch; b != "" {
		return b
	}
	return refs.Default
}

// tried are candidates that were active and did not help, of this incident and of
// earlier ones of the same cause.
func (i *incident) tried() map[string]v1alpha1.Tried {
	out := map[string]v1alpha1.Tried{}
	for _, a := range i.obj.Status.Attempts {
		if a.Verdict == v1alpha1.VerdictNotEffective || a.Verdict == v1alpha1.VerdictRegressed {
			out[a.Candidate] = v1alpha1.Tried{Commit: a.Commit, Date: a.At.UTC().Format("2006-01-02"), Outcome: string(a.Verdict)}
		}
	}
	return out
}

// plan clones and plans. The clone stays as long as the plan does.
func (i *incident) plan(ctx context.Context, tip string) error {
	ctx, cancel := context.WithTimeout(ctx, i.policy.GetTimeout())
	defer cancel()
	i.mem.result = nil
	if i.mem.unfit == i.basis(tip) {
		return i.mem.unfitBy // nobody has changed anything
	}
	dir, err := i.clone(ctx, "plan")
	if err != nil {
		return err
	}
	res, err := i.planIn(ctx, dir)
	if err != nil {
		err = planFault(err)
		if asFault(err).stalled {
			i.mem.unfit, i.mem.unfitBy = i.basis(tip), err
		}
		return err
	}
	res.Plan.Subject.Repository = "."
	i.mem.result, i.mem.planned, i.mem.early = res, i.basis(tip), !i.heardEnough()
	return nil
}

// heardEnough says whether probes have had the time to try all their ways since the
// incident began. A plan from before that says little of how the change would arrive.
func (i *incident) heardEnough() bool {
	return !i.mem.counted.IsZero() && i.now.Sub(i.mem.counted) >= enough
}

// planFault: what stands in the repository has to be changed by people; what hangs
// on the cluster or the network may pass.
func planFault(err error) error {
	var transient interface{ Transient() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &transient) && transient.Transient() {
		return failing(v1alpha1.PlanFailedReason, err)
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		err = withHint(err, hinted.Hint())
	}
	if unfit := (*remediate.CheckoutError)(nil); errors.As(err, &unfit) {
		return stalled(v1alpha1.PlanFailedReason, "the repository cannot be planned for until a commit changes it: %w", err)
	}
	return failing(v1alpha1.PlanFailedReason, err)
}

// options are those of every plan of this incident.
func (i *incident) options(dir string) remediate.Options {
	return remediate.Options{
		Repo: dir, Release: i.target.name(), ClusterPath: i.target.source.Path, CacheDir: filepath.Join(i.Storage, "charts"),
		Cluster: i.Cluster, ClusterName: i.target.cluster, Earlier: i.mem.result, Tried: i.tried(),
		Probes: i.probes.Reports(), Confirmed: i.sight.Confirmed(),
	}
}

func (i *incident) planIn(ctx context.Context, dir string) (*remediate.Result, error) {
	do := i.Plan
	if do == nil {
		do = remediate.Plan
	}
	res, err := do(ctx, i.options(dir))
	if err != nil {
		return nil, err
	}
	limitTo(&res.Plan, i.policy.Spec.Signatures)
	return res, nil
}

// limitTo takes out candidates for signatures that are not looked for.
func limitTo(p *v1alpha1.Plan, s *v1alpha1.SignaturesSpec) {
	p.Candidates = slices.DeleteFunc(p.Candidates, func(c v1alpha1.Candidate) bool { return len(c.Fixes) > 0 && !s.Looks(c.Fixes[0]) })
}

// clone brings the branch with its history into a folder of its own, in the place of
// the last one for the same purpose.
func (i *incident) clone(ctx context.Context, purpose string) (string, error) {
	refs, err := i.target.remote.Refs(ctx)
	if err != nil {
		return "", failing(v1alpha1.GitReason, err)
	}
	i.mem.dir = filepath.Join(i.Storage, "clones", string(i.obj.UID))
	dir := filepath.Join(i.mem.dir, purpose)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(i.mem.dir, 0o700)); err != nil {
		return "", failing(v1alpha1.GitReason, fmt.Errorf("make room for the clone: %w", err))
	}
	if _, err := i.target.remote.Clone(ctx, repo.CloneOptions{Dir: dir, Branch: i.branch(refs), History: true}); err != nil {
		return "", failing(v1alpha1.GitReason, err)
	}
	return dir, nil
}

// close removes what the memory holds on the disk.
func (m *memory) close() {
	if m.change != nil {
		m.change.Close()
	}
	if m.dir != "" {
		_ = os.RemoveAll(m.dir)
	}
}

// best is the first candidate for the incident's cause; nil without one.
func (i *incident) best() *v1alpha1.Candidate {
	all := i.mem.result.Plan.Candidates
	n := slices.IndexFunc(all, func(c v1alpha1.Candidate) bool { return len(c.Fixes) > 0 && c.Fixes[0] == string(i.obj.Spec.Signature) })
	if n < 0 {
		return nil
	}
	return &all[n]
}

// showPlan puts the plan into the status.
func (i *incident) showPlan() {
	p, best := &i.mem.result.Plan, i.best()
	s := &v1alpha1.PlanStatus{Hash: remediate.PlanHash(p), Revision: p.Subject.Revision, Abstained: p.Abstained}
	for _, c := range p.Candidates {
		s.Candidates = append(s.Candidates, c.ID)
	}
	if best != nil {
		candidate(s, best)
		s.ValuesDigest = i.mem.result.ValuesDigest(best.ID)
	}
	was := i.obj.Status.Plan
	i.obj.Status.Plan = s
	switch {
	case best != nil:
		i.done(v1alpha1.PlannedCondition, "%s: %s", best.ID, best.Title)
		if was == nil || was.Candidate != best.ID {
			i.note(v1alpha1.PlannedCondition, "planned %s: %s", best.ID, best.Title)
			i.tell("Planned", "Normal", "plan %.12s: %s", s.Hash, best.Title)
		}
	default:
		i.abstained(p)
	}
}

func (i *incident) abstained(p *v1alpha1.Plan) {
	why := p.Abstained
	if why == "" {
		why = i.noChange(p)
	}
	if i.obj.Status.Plan.Abstained = why; !conditions.IsFalse(i.obj, v1alpha1.PlannedCondition) {
		i.note(v1alpha1.PlannedCondition, "nothing is proposed: %s", why)
		i.tell("Abstained", "Warning", "nothing is proposed: %s", why)
	}
	i.waits(v1alpha1.PlannedCondition, string(v1alpha1.VerdictAbstained), "nothing is proposed: %s", why)
}

// noChange says why none of p's changes is for the incident's cause. What agents have
// not read is for a person: the finding says how, and what has to be right before.
func (i *incident) noChange(p *v1alpha1.Plan) string {
	why := "no change is known that answers " + string(i.obj.Spec.Signature)
	for _, f := range p.Findings {
		if f.Signature == signature.ConfigNotActive && f.Signature == string(i.obj.Spec.Signature) && len(f.Explanation) > 0 {
			return why + ". " + f.Explanation[0]
		}
	}
	return why
}

// candidate fills in what the first candidate does.
func candidate(s *v1alpha1.PlanStatus, c *v1alpha1.Candidate) {
	s.Candidate, s.Title, s.Diff, s.Restart = c.ID, c.Title, c.Diff, slices.Clone(c.Rollout.Restart)
	for _, ch := range c.Changes {
		s.Changes = append(s.Changes, v1alpha1.ChangeStatus{Path: ch.Path, From: text(ch.Path, ch.From), To: text(ch.Path, ch.To), File: ch.File, Line: int32(ch.Line)})
	}
	for _, key := range slices.Sorted(maps.Keys(c.Proof.ConfigDelta)) {
		d := c.Proof.ConfigDelta[key]
		k := v1alpha1.ConfigKey{Key: key, Removed: d.To == nil}
		if d.To != nil {
			k.Value = text(key, d.To)
		}
		s.ConfigDelta = append(s.ConfigDelta, k)
	}
}

// text is a value as a status shows it; empty for none.
func text(path string, v any) string {
	if v == nil {
		return ""
	}
	return remediate.Shown(path, v)
}
