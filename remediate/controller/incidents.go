package controller

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluxcd/pkg/apis/meta"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
)

// mostActive bounds the Remediations of a policy that have not ended: there are not
// many more known failures, and more at once are one that is not known.
const mostActive = 10

// incidents makes a Remediation for each confirmed cause that has none, and for each
// pull request of ours that lost its own.
func (r *PolicyReconciler) incidents(ctx context.Context, p *v1alpha1.RemediationPolicy, l *look) error {
	if err := r.list(ctx, p, l); err != nil {
		return err
	}
	// What is confirmed is shown though the forge cannot be asked.
	adopted, unasked := r.adopt(ctx, p, l)
	due, err := r.due(ctx, p, l, causes(p, l))
	if err != nil {
		return err
	}
	for _, spec := range append(adopted, due...) {
		if err := r.begin(ctx, p, l, spec); err != nil {
			return err
		}
	}
	p.Status.Active = nil
	for _, o := range l.all {
		if !o.IsEnded() {
			p.Status.Active = append(p.Status.Active, o.Name)
		}
	}
	slices.Sort(p.Status.Active)
	activeIncidents.WithLabelValues(p.Namespace, p.Name).Set(float64(len(p.Status.Active)))
	return unasked
}

// list finds the policy's Remediations.
func (r *PolicyReconciler) list(ctx context.Context, p *v1alpha1.RemediationPolicy, l *look) error {
	var all v1alpha1.RemediationList
	if err := r.List(ctx, &all, client.InNamespace(p.Namespace)); err != nil {
		return failing(v1alpha1.ClusterReason, fmt.Errorf("list Remediations: %w", err))
	}
	for _, o := range all.Items {
		if o.Spec.PolicyRef.Name == p.Name && o.DeletionTimestamp == nil {
			l.all = append(l.all, o)
		}
	}
	return nil
}

// causes are the confirmed causes, one for each signature: a pull request answers
// all there is of one.
func causes(p *v1alpha1.RemediationPolicy, l *look) []v1alpha1.RemediationSpec {
	var out []v1alpha1.RemediationSpec
	for _, f := range l.sight.Confirmed() {
		if !p.Spec.Signatures.Looks(f.Signature) {
			continue
		}
		i := slices.IndexFunc(out, func(s v1alpha1.RemediationSpec) bool { return string(s.Signature) == f.Signature })
		if i < 0 {
			out = append(out, v1alpha1.RemediationSpec{Signature: v1alpha1.SignatureID(f.Signature), Family: f.Family, About: v1alpha1.Clip(f.About, 500)})
			continue
		}
		if out[i].Family != f.Family {
			out[i].Family = ""
		}
		if out[i].About != v1alpha1.Clip(f.About, 500) {
			out[i].About = ""
		}
	}
	return out
}

// sighted is since when each of the causes is confirmed without a break, as far as
// this process knows.
func (r *PolicyReconciler) sighted(policy types.NamespacedName, all []v1alpha1.RemediationSpec) map[v1alpha1.SignatureID]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[v1alpha1.SignatureID]time.Time{}
	for _, spec := range all {
		if out[spec.Signature] = r.now(); !r.since[policy][spec.Signature].IsZero() {
			out[spec.Signature] = r.since[policy][spec.Signature]
		}
	}
	if r.since == nil {
		r.since = map[types.NamespacedName]map[v1alpha1.SignatureID]time.Time{}
	}
	r.since[policy] = out
	return maps.Clone(out)
}

// underWay says whether a change of ours is merged and followed, and whether one is
// proposed.
func (r *PolicyReconciler) underWay(p *v1alpha1.RemediationPolicy, l *look) (merged, proposed bool) {
	for i := range l.all {
		o := &l.all[i]
		if o.IsEnded() {
			continue
		}
		proposed = proposed || o.Status.PullRequest != nil && o.Status.PullRequest.Number > 0
		merged = merged || o.Status.Commit != "" && o.Status.Times != nil && r.now().Sub(timeOf(o.Status.Times.Merged)) < p.Spec.Verify.GetTimeout()
	}
	return merged, proposed
}

// begin makes the Remediation of a cause, if none is under way.
func (r *PolicyReconciler) begin(ctx context.Context, p *v1alpha1.RemediationPolicy, l *look, spec v1alpha1.RemediationSpec) error {
	active := 0
	for _, o := range l.all {
		if o.IsEnded() {
			continue
		}
		if active++; o.Spec.Signature == spec.Signature {
			return nil
		}
	}
	if active >= mostActive {
		ctrl.LoggerFrom(ctx).Info("no more Remediations at once", "active", active, "signature", spec.Signature)
		return nil
	}
	o := r.fresh(p, l, spec)
	err := r.Create(ctx, o)
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil // the cache is behind
	case err != nil:
		return failing(v1alpha1.ClusterReason, fmt.Errorf("create Remediation %s: %w", o.Name, err))
	}
	ctrl.LoggerFrom(ctx).Info("made a Remediation", "remediation", o.Name, "signature", spec.Signature)
	l.all = append(l.all, *o)
	return nil
}

// fresh is the Remediation of a cause that has none under way. Its name follows from
// the policy, the release, the signature, and how many of them there are already.
func (r *PolicyReconciler) fresh(p *v1alpha1.RemediationPolicy, l *look, spec v1alpha1.RemediationSpec) *v1alpha1.Remediation {
	spec.PolicyRef = meta.LocalObjectReference{Name: p.Name}
	spec.ReleaseRef = p.GetRelease()
	yes := true
	o := &v1alpha1.Remediation{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.RemediationPolicyKind, Name: p.Name, UID: p.UID, Controller: &yes}}}}
	for n := 0; o.Name == "" || taken(l.all, o.Name); n++ {
		spec.Cause = digest(p.Namespace, p.Name, spec.ReleaseRef, spec.Signature, n)[:16]
		o.Name = remediationName(p.Name, string(spec.Signature), spec.Cause)
	}
	o.Spec = spec
	o.Labels = map[string]string{v1alpha1.LabelPolicy: label(p.Name), v1alpha1.LabelSignature: string(spec.Signature), v1alpha1.LabelCause: spec.Cause}
	return o
}

func taken(all []v1alpha1.Remediation, name string) bool {
	return slices.ContainsFunc(all, func(o v1alpha1.Remediation) bool { return o.Name == name })
}

// remediationName is POLICY-SIGNATURE-HASH, as long as a name may be; what is cut
// stands in the hash.
func remediationName(policy, signature, cause string) string {
	head := policy + "-" + signature
	if most := 253 - 9; len(head) > most {
		head = strings.TrimRight(head[:most], "-.")
	}
	return head + "-" + cause[:8]
}

// label is a name as a label's value.
func label(name string) string { return strings.TrimRight(name[:min(63, len(name))], "-._") }

// adoptSince is how far back pull requests are looked for that lost their
// Remediation.
const adoptSince = 14 * 24 * time.Hour

// adopt asks the forge for pull requests of ours that no Remediation knows of. It
// does so once after a start, and when a Remediation was deleted.
func (r *PolicyReconciler) adopt(ctx context.Context, p *v1alpha1.RemediationPolicy, l *look) ([]v1alpha1.RemediationSpec, error) {
	if l.target.forge == nil || !r.lost(l) {
		return nil, nil
	}
	since := r.now().Add(-adoptSince)
	prs, err := proposer(p, l.target).Recall(ctx, since)
	if err != nil {
		return nil, failing(v1alpha1.ForgeReason, err)
	}
	var out []v1alpha1.RemediationSpec
	for _, pr := range prs {
		signature := v1alpha1.SignatureID(pr.Signature)
		if hasIncident(l.all, pr.URL) || slices.ContainsFunc(out, func(s v1alpha1.RemediationSpec) bool { return s.Signature == signature }) {
			continue
		}
		if due, err := r.unfinished(ctx, p, l, pr.Branch, pr.State, pr.Ended); err != nil {
			return nil, failing(v1alpha1.ForgeReason, err)
		} else if due {
			out = append(out, v1alpha1.RemediationSpec{Signature: signature})
		}
	}
	r.remember(l)
	return out, nil
}

// unfinished: the pull request is open, or merged lately and without a verdict.
func (r *PolicyReconciler) unfinished(ctx context.Context, p *v1alpha1.RemediationPolicy, l *look, branch string, state forge.State, ended time.Time) (bool, error) {
	switch {
	case state == forge.Open:
		return true, nil
	case state == forge.Closed, r.now().Sub(ended) > p.Spec.Verify.GetTimeout():
		return false, nil
	}
	pr, err := proposer(p, l.target).RecallBranch(ctx, branch)
	return pr != nil && !v1alpha1.Verdict(pr.Verdict).Final(), err
}

func hasIncident(all []v1alpha1.Remediation, url string) bool {
	return slices.ContainsFunc(all, func(o v1alpha1.Remediation) bool {
		if pr := o.Status.PullRequest; pr != nil && pr.URL == url {
			return true
		}
		return slices.ContainsFunc(o.Status.Attempts, func(a v1alpha1.Attempt) bool { return a.PullRequest == url })
	})
}

// lost says whether a Remediation is gone since the last look, or there was none.
func (r *PolicyReconciler) lost(l *look) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, looked := r.known[l.key]
	if !looked {
		return true
	}
	for name := range was {
		if !taken(l.all, name) {
			return true
		}
	}
	r.knows(l)
	return false
}

func (r *PolicyReconciler) remember(l *look) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.knows(l)
}

// knows notes what there is. The reconciler is locked.
func (r *PolicyReconciler) knows(l *look) {
	if r.known == nil {
		r.known = map[types.NamespacedName]map[string]bool{}
	}
	names := map[string]bool{}
	for _, o := range l.all {
		names[o.Name] = true
	}
	r.known[l.key] = names
}

// prune deletes the oldest of those that have ended, beyond the history's limit.
func (r *PolicyReconciler) prune(ctx context.Context, p *v1alpha1.RemediationPolicy, l *look) error {
	var ended []v1alpha1.Remediation
	for _, o := range l.all {
		if o.IsEnded() {
			ended = append(ended, o)
		}
	}
	slices.SortFunc(ended, func(a, b v1alpha1.Remediation) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for i := p.GetHistoryLimit(); i < len(ended); i++ {
		if err := r.Delete(ctx, &ended[i]); client.IgnoreNotFound(err) != nil {
			return failing(v1alpha1.ClusterReason, fmt.Errorf("delete Remediation %s beyond spec.historyLimit: %w", ended[i].Name, err))
		}
		r.mu.Lock()
		delete(r.known[l.key], ended[i].Name)
		r.mu.Unlock()
	}
	return nil
}
