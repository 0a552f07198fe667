package controller

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// followed looks how far the merged change has come: Flux, the agents, the probes.
type followed struct{}

func (followed) name() string { return "follow the change" }

const (
	// followEvery is how often a change is looked at that is on its way: what it waits
	// for are pods, which nobody watches in a large cluster.
	followEvery = 3 * time.Second
	// cloneAgain is how often the branch is cloned anew to learn whether a revision of
	// Flux holds the merged commit.
	cloneAgain = 30 * time.Second
)

func (followed) do(ctx context.Context, i *incident) (bool, error) {
	change, err := i.changed(ctx)
	if err != nil {
		i.waits(v1alpha1.ReconciledCondition, v1alpha1.PlanFailedReason, "what %.12s changes is not known: %v", i.obj.Status.Commit, err)
		return true, err
	}
	f := remediate.Followed{
		Release: i.target.name(), Planned: i.plannedChange(change), Contains: i.holds(change), Baseline: verify.BaselineOf(i.obj.Status.Baseline),
		Merged: verify.Merged{Commit: i.obj.Status.Commit, At: timeOf(i.times().Merged)},
		Grace:  i.policy.Spec.Verify.GetGrace(), Hold: i.policy.Spec.Verify.GetHold(), Before: i.since(),
	}
	in, err := i.following().Look(ctx, f, i.probes.Probes(i.key()))
	if err != nil {
		return true, failing(v1alpha1.ClusterReason, err)
	}
	judge := i.Judge
	if judge == nil {
		judge = verify.Judge
	}
	i.mem.state = judge(in)
	i.showState(i.mem.state)
	i.recount()
	i.pace()
	return false, nil
}

// changed reads what the merged commit changes, from a clone with its history.
func (i *incident) changed(ctx context.Context) (*remediate.Change, error) {
	if c := i.mem.change; c != nil && c.Commit == i.obj.Status.Commit && !i.mem.behind {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, i.policy.GetTimeout())
	defer cancel()
	dir, err := i.clone(ctx, "change")
	if err != nil {
		return nil, err
	}
	i.mem.cloned = i.now
	do := i.Change
	if do == nil {
		do = remediate.ChangeAt
	}
	c, err := do(ctx, remediate.Options{Repo: dir, Release: i.target.name(), ClusterPath: i.target.source.Path,
		CacheDir: filepath.Join(i.Storage, "charts"), Cluster: i.Cluster, ClusterName: i.target.cluster}, i.obj.Status.Commit)
	if err != nil {
		return nil, planFault(err)
	}
	if i.mem.change != nil {
		i.mem.change.Close()
	}
	i.mem.change, i.mem.behind = c, false
	return c, nil
}

// plannedChange is for the cause of the incident, which the probes confirmed. What
// else of the repository it ends was promised to nobody, and decides nothing; it only
// tells the family and the object where the incident has none.
func (i *incident) plannedChange(c *remediate.Change) verify.Planned {
	return remediate.PlannedFor(c.Planned, verify.Cause{Signature: string(i.obj.Spec.Signature), Family: i.obj.Spec.Family, About: i.obj.Spec.About})
}

// holds asks the clone whether a revision holds the commit, and clones anew when that
// does not know the revision.
func (i *incident) holds(c *remediate.Change) func(context.Context, string) (snapshot.Tri, error) {
	return func(ctx context.Context, revision string) (snapshot.Tri, error) {
		t, err := c.Holds()(ctx, revision)
		if t == snapshot.Unknown && i.now.Sub(i.mem.cloned) > cloneAgain {
			i.mem.behind = true // the next look clones
			i.soon(time.Second)
		}
		return t, err
	}
}

func (i *incident) following() Following {
	if i.Follow != nil {
		return i.Follow
	}
	c, err := remediate.FollowClient(i.Cluster)
	if err != nil {
		return unreachable{err}
	}
	f := &remediate.Follower{Client: c, Now: i.RemediationReconciler.now}
	if i.Agents != nil {
		f.Metrics = i.Agents.Read
	}
	return f
}

// unreachable is a cluster that cannot be asked.
type unreachable struct{ err error }

func (u unreachable) Look(context.Context, remediate.Followed, verify.Probes) (verify.Input, error) {
	return verify.Input{}, u.err
}

// since is what the last look saw, from the status: it outlives a restart.
func (i *incident) since() verify.Since {
	t := i.times()
	return verify.Since{Merged: timeOf(t.Merged), Reconciled: timeOf(t.Reconciled), RolledOut: timeOf(t.Active), Verified: timeOf(t.Verified)}
}

// showState puts the look into conditions and times.
func (i *incident) showState(s verify.State) {
	t, before := i.times(), i.obj.Status.Phase
	t.Reconciled, t.Active, t.Verified = stamp(s.Since.Reconciled), stamp(s.Since.RolledOut), stamp(s.Since.Verified)
	for stage, condition := range map[verify.Stage]string{
		verify.StageReconciled: v1alpha1.ReconciledCondition, verify.StageRolledOut: v1alpha1.RolledOutCondition, verify.StageVerified: v1alpha1.VerifiedCondition,
	} {
		i.showStep(s.Step(stage), condition)
	}
	i.obj.Status.Nodes = s.NodesStatus()
	switch s.Stage {
	case verify.StageReconciled:
		i.phase(v1alpha1.PhaseReconciled)
	case verify.StageRolledOut, verify.StageVerified:
		i.phase(v1alpha1.PhaseRolledOut)
	default:
		i.phase(v1alpha1.PhaseMerged)
	}
	if now := i.obj.Status.Phase; now != before && now != v1alpha1.PhaseMerged {
		i.note(string(now), "%s", s.Summary)
		i.tell(string(now), "Normal", "%.12s: %s", i.obj.Status.Commit, s.Summary)
	}
	if b, ok := i.probes.Baseline(i.key()); ok {
		i.obj.Status.Now = b.Status()
	}
}

func (i *incident) showStep(s verify.Step, condition string) {
	var text string
	for n, w := range s.Waits {
		if n == 3 {
			text += fmt.Sprintf("; and %d more", len(s.Waits)-n)
			break
		}
		if n > 0 {
			text += "; "
		}
		text += w.String()
	}
	switch s.Done {
	case snapshot.Yes:
		i.done(condition, "done for %.12s", i.obj.Status.Commit)
	case snapshot.Unknown:
		i.unknown(condition, "%s", text)
	default:
		i.waits(condition, v1alpha1.WaitingReason, "%s", text)
	}
}

// recount begins to count anew when the agents have the change.
func (i *incident) recount() {
	since := i.mem.state.Since.RolledOut
	if since.IsZero() || since.Truncate(time.Second).Equal(i.mem.rolledOut) {
		return
	}
	i.mem.rolledOut = since.Truncate(time.Second)
	i.probes.CountFrom(i.key(), i.now)
}

// pace is how soon it is looked again: often while something is on its way, seldom
// after the policy's time.
func (i *incident) pace() {
	if i.now.Sub(timeOf(i.times().Merged)) > i.policy.Spec.Verify.GetTimeout() {
		i.again = time.Hour
		return
	}
	i.soon(followEvery)
}
