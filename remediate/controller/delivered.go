package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/delivery"
	"github.com/remediate-dev/remediate/remediate/delivery/breakglass"
)

// showDelivery says whether Flux will bring the planned change in.
func (i *incident) showDelivery() {
	best := i.best()
	if best == nil {
		return
	}
	i.deliver(i.mem.result, best.ID)
}

func (i *incident) deliver(res *remediate.Result, candidate string) delivery.Assessment {
	a, steps := res.Deliver(candidate, remediate.DeliverOptions{BreakGlass: i.mayBreakGlass(), Commit: i.obj.Status.Commit})
	s := delivery.Status(&a, nil)
	if a.Arrives != delivery.Yes {
		s = delivery.Status(&a, steps)
	}
	i.obj.Status.Delivery = &s
	return a
}

// mayBreakGlass: only a policy in the controller's own namespace may, as whoever
// writes a policy chooses the repository whose values would be brought in.
func (i *incident) mayBreakGlass() bool {
	return i.policy.Spec.BreakGlass.IsEnabled() && i.policy.Namespace == i.Namespace
}

// delivered brings a merged commit in where Flux cannot, once a person approved.
type delivered struct{}

func (delivered) name() string { return "deliver" }

// glassAgain is how long after a failure it is tried again.
const glassAgain = 30 * time.Second

// do holds nothing up when it fails: Flux may arrive meanwhile, and agents restart.
func (delivered) do(ctx context.Context, i *incident) (bool, error) {
	if i.now.Sub(i.mem.glass) < glassAgain {
		return false, nil
	}
	err := i.bringIn(ctx)
	if err == nil {
		return false, nil
	}
	i.mem.glass = i.now
	if b := i.obj.Status.BreakGlass; b != nil {
		b.Message = v1alpha1.Clip(i.redact(err.Error()), v1alpha1.MaxMessage)
	}
	ctrl.LoggerFrom(ctx).Info("break-glass", "waits", i.redact(err.Error()))
	return false, nil
}

// bringIn does what is due of it.
func (i *incident) bringIn(ctx context.Context) error {
	s := &i.obj.Status
	switch {
	case i.glassOpen():
		return i.close(ctx)
	case s.BreakGlass != nil && s.BreakGlass.Done != nil, conditions.IsTrue(i.obj, v1alpha1.ReconciledCondition):
		return nil
	}
	if err := i.assess(ctx); err != nil || s.Delivery.WillArrive != string(delivery.No) || !i.mayBreakGlass() {
		return err
	}
	if s.BreakGlass == nil {
		s.BreakGlass = &v1alpha1.BreakGlassStatus{Requested: stamp(i.now), Message: fmt.Sprintf("waits for approval: kubectl -n %s annotate remediation %s '%s=%s YOUR-NAME'",
			i.obj.Namespace, i.obj.Name, v1alpha1.AnnotationApproveBreakGlass, s.Commit)}
		i.note(v1alpha1.ReconciledCondition, "Flux cannot bring the commit in; break-glass waits for approval")
		i.tell(v1alpha1.ApprovalReason, "Warning", "Flux cannot bring %.12s in: break-glass waits for approval", s.Commit)
	}
	if i.obj.Annotations[v1alpha1.AnnotationApproveBreakGlass] == "" {
		return nil
	}
	return i.breakGlass(ctx)
}

// assess has what people are to paste name the merged commit. Its way was judged
// before the merge, by what the agents ran then; where nothing is left of that it is
// judged once more.
func (i *incident) assess(ctx context.Context) error {
	s := &i.obj.Status
	if i.mem.assessed == s.Commit {
		return nil
	}
	res, candidate := i.mem.result, i.last().Candidate
	planned := res != nil && slices.ContainsFunc(res.Plan.Candidates, func(c v1alpha1.Candidate) bool { return c.ID == candidate })
	switch {
	case planned:
		i.deliver(res, candidate)
	case s.Delivery == nil:
		res, err := i.newest(ctx)
		if err != nil {
			return err
		}
		i.deliver(res, "")
	}
	i.mem.assessed = s.Commit
	return nil
}

// newest is a plan on the newest commit of the branch, which holds the merged one:
// its values and its chart are what Flux would release.
func (i *incident) newest(ctx context.Context) (*remediate.Result, error) {
	tip, err := i.tip(ctx)
	if err != nil {
		return nil, err
	}
	if r := i.mem.result; r != nil && r.Plan.Subject.Revision == tip {
		return r, nil
	}
	if err := i.plan(ctx, tip); err != nil {
		return nil, err
	}
	return i.mem.result, nil
}

// breakGlass does the Helm upgrade under the account that may, if it is approved.
func (i *incident) breakGlass(ctx context.Context) error {
	s := &i.obj.Status
	release := types.NamespacedName{Namespace: i.target.release.Namespace, Name: i.target.release.Name}
	request := delivery.Request{Enabled: true, Approved: i.obj.Annotations[v1alpha1.AnnotationApproveBreakGlass], Commit: s.Commit, Merged: true,
		Incident: types.NamespacedName{Namespace: i.obj.Spec.ReleaseRef.Namespace, Name: i.obj.Spec.ReleaseRef.Name}, Target: release, Arrives: delivery.No}
	if err := request.Check(); err != nil {
		s.BreakGlass.Message = err.Error()
		return nil
	}
	res, err := i.newest(ctx)
	if err != nil {
		return err
	}
	if tip := res.Plan.Subject.Revision; tip != s.Commit {
		return stalled(v1alpha1.DeliveryReason, "the branch has moved on from %.12s to %.12s: break-glass brings in the commit that was approved and no other; bring it in by hand", s.Commit, tip)
	}
	out, err := i.executor().Do(ctx, breakglass.Task{Request: request, Values: res.Values(), Chart: res.ChartPath()})
	if err != nil {
		return failing(v1alpha1.DeliveryReason, err)
	}
	s.BreakGlass.ApprovedBy, s.BreakGlass.Commit, s.BreakGlass.Done = request.ApprovedBy(), s.Commit, stamp(i.now)
	s.BreakGlass.Message = fmt.Sprintf("revision %d of the Helm release was made from %.12s; the HelmRelease stays suspended until Git arrives", out.Revision, s.Commit)
	i.note(v1alpha1.ReconciledCondition, "break-glass: %s", s.BreakGlass.Message)
	i.tell("BreakGlass", "Warning", "%s, approved by %s", s.BreakGlass.Message, s.BreakGlass.ApprovedBy)
	i.soon(5 * time.Second)
	return nil
}

// glassOpen says whether break-glass has the HelmRelease, so that Flux does not.
func (i *incident) glassOpen() bool {
	b := i.obj.Status.BreakGlass
	return b != nil && b.Done != nil && (b.Agrees == nil || !*b.Agrees)
}

// BreakingGlass brings a commit in; see [breakglass.Executor].
type BreakingGlass interface {
	Do(context.Context, breakglass.Task) (*breakglass.Outcome, error)
	Close(ctx context.Context, target types.NamespacedName, commit string, values map[string]any) (*breakglass.Agreement, error)
}

func (i *incident) executor() BreakingGlass {
	if i.BreakGlass != nil {
		return i.BreakGlass
	}
	account := i.policy.Spec.BreakGlass.GetServiceAccountName()
	return &breakglass.Executor{Config: breakglass.As(i.Cluster, i.Namespace, account)}
}

// close gives the HelmRelease back to Flux once Git and the cluster agree. Commits
// that came after the one that was brought in count: Flux arrives with the newest.
func (i *incident) close(ctx context.Context) error {
	res := i.mem.result
	if i.ask || res == nil || res.Plan.Subject.Revision != i.mem.closing {
		var err error
		if res, err = i.newest(ctx); err != nil {
			return err
		}
		i.mem.closing = res.Plan.Subject.Revision
	}
	release := types.NamespacedName{Namespace: i.target.release.Namespace, Name: i.target.release.Name}
	a, err := i.executor().Close(ctx, release, i.obj.Status.BreakGlass.Commit, res.Values())
	if err != nil {
		return failing(v1alpha1.DeliveryReason, err)
	}
	b := i.obj.Status.BreakGlass
	if b.Agrees = &a.Closed; a.Closed {
		b.Message = "Git and the cluster agree, and Flux has the HelmRelease back"
		i.note(v1alpha1.ReconciledCondition, "break-glass: %s", b.Message)
	} else if len(a.Waits) > 0 {
		b.Message = "until Flux has the HelmRelease back: " + a.Waits[0]
	}
	i.soon(5 * time.Second)
	return nil
}
