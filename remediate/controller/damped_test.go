package controller

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluxcd/pkg/apis/meta"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/remediate"
)

func addPod(t *testing.T, c client.Client, name, app string) {
	t.Helper()
	must(t, c.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name, Labels: map[string]string{"k8s-app": app}},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "a", Image: "a"}}},
	}))
}

// What probes see while agents start makes no Remediation, unless it outlasts that;
// what the configuration itself says makes one at once.
func TestDamped(t *testing.T) {
	t.Parallel()
	_, c := cluster(t)
	addPod(t, c, "agent", "cilium")
	made := time.Now()
	old := made.Add(-10 * time.Minute)
	symptoms := []string{signature.PacketLoss, signature.PolicyNotEnforced, signature.PodSourceMasqueraded}
	for _, tt := range []struct {
		name  string
		now   time.Time
		since time.Time
		// seen is when what confirms it was seen last; zero is now.
		seen time.Time
		all  []string
		made v1alpha1.Remediation
		want []string
	}{
		{name: "a value explains it", now: made.Add(time.Second), all: []string{flagship, signature.AgentRefusesToStart}, want: []string{flagship, signature.AgentRefusesToStart}},
		{name: "an agent has just started", now: made.Add(time.Second), all: symptoms},
		{name: "beside one that a value explains", now: made.Add(time.Second), all: append([]string{flagship}, symptoms...), want: []string{flagship}},
		{name: "seen before the rollout, and not for long", now: made.Add(time.Second), since: made.Add(-time.Minute), all: symptoms},
		{name: "just before the agents are old enough", now: made.Add(calm - 5*time.Second), since: made, all: symptoms},
		{name: "it outlasts the rollout", now: made.Add(calm + 5*time.Second), since: made, all: symptoms, want: symptoms},
		{name: "confirmed still by what was seen while they started", now: made.Add(2 * calm), since: made, seen: made.Add(calm / 2), all: symptoms},
		{name: "confirmed by what was seen since", now: made.Add(2 * calm), since: made, seen: made.Add(calm + 5*time.Second), all: symptoms, want: symptoms},
		{name: "agents start for hours", now: made.Add(time.Second), since: made.Add(-longest), all: symptoms, want: symptoms},
		{name: "a Remediation is under way", now: made.Add(time.Second), all: []string{signature.PacketLoss}, made: about(signature.PacketLoss, ""), want: []string{signature.PacketLoss}},
		{name: "one has ended", now: made.Add(time.Second), all: []string{signature.PacketLoss}, made: about(signature.PacketLoss, v1alpha1.PhaseEnded)},
		{name: "no agent is young", now: old, all: nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &PolicyReconciler{Client: c, Now: func() time.Time { return tt.now }}
			key := types.NamespacedName{Namespace: "flux-system", Name: "cilium"}
			l := &look{key: key}
			for _, id := range tt.all {
				l.sight.Judgement.Records = append(l.sight.Judgement.Records, confirm.Record{Signature: id, Support: signature.Support{Last: tt.seen}})
			}
			if tt.made.Spec.Signature != "" {
				l.all = append(l.all, tt.made)
			}
			if !tt.since.IsZero() {
				r.since = map[types.NamespacedName]map[v1alpha1.SignatureID]time.Time{key: {}}
				for _, id := range tt.all {
					r.since[key][v1alpha1.SignatureID(id)] = tt.since
				}
			}
			got, err := r.due(t.Context(), &v1alpha1.RemediationPolicy{}, l, specs(tt.all))
			must(t, err)
			if have := ids(got); !slices.Equal(have, tt.want) {
				t.Errorf("due are %q, want %q", have, tt.want)
			}
			if damped := len(tt.want) < len(tt.all); damped != (l.again == calmAgain) {
				t.Errorf("looked at again in %s", l.again)
			}
		})
	}
}

func about(id string, phase v1alpha1.Phase) v1alpha1.Remediation {
	o := v1alpha1.Remediation{Spec: v1alpha1.RemediationSpec{Signature: v1alpha1.SignatureID(id)}}
	o.Status.Phase = phase
	return o
}

func specs(all []string) (out []v1alpha1.RemediationSpec) {
	for _, id := range all {
		out = append(out, v1alpha1.RemediationSpec{Signature: v1alpha1.SignatureID(id)})
	}
	return out
}

func ids(all []v1alpha1.RemediationSpec) (out []string) {
	for _, s := range all {
		out = append(out, string(s.Signature))
	}
	return out
}

// While a merged change is followed, what else is seen belongs to it.
func TestFollowedTakesAll(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := &PolicyReconciler{Client: failingReader{}, Now: func() time.Time { return now }}
	followed := about(flagship, v1alpha1.PhaseRolledOut)
	followed.Status.Commit, followed.Status.Times = "c0ffee", &v1alpha1.StepTimes{Merged: &metav1.Time{Time: now.Add(-time.Minute)}}
	l := &look{key: types.NamespacedName{Name: "cilium"}, all: []v1alpha1.Remediation{followed}}
	got, err := r.due(t.Context(), &v1alpha1.RemediationPolicy{}, l, specs([]string{signature.PacketLoss, signature.AgentRefusesToStart}))
	if err != nil || len(got) > 0 {
		t.Errorf("due are %q, %v", ids(got), err)
	}
}

// Agents that cannot be listed are no reason to make a Remediation that may be none.
func TestAgentsCannotBeListed(t *testing.T) {
	t.Parallel()
	r := &PolicyReconciler{Client: failingReader{}}
	if _, err := r.due(t.Context(), &v1alpha1.RemediationPolicy{}, &look{}, specs([]string{signature.PacketLoss})); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
	if got, err := r.due(t.Context(), &v1alpha1.RemediationPolicy{}, &look{}, specs([]string{flagship})); err != nil || len(got) != 1 {
		t.Errorf("nobody has to be asked for %s: %q, %v", flagship, ids(got), err)
	}
}

var errGone = errors.New("gone")

// failingReader is an API server that is away.
type failingReader struct{ client.Client }

func (failingReader) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errGone
}

// More agents than a page has are read to the end, and other pods are none.
func TestNewestAgent(t *testing.T) {
	t.Parallel()
	_, c := cluster(t)
	var asked []string
	r := &PolicyReconciler{Direct: listing{Client: c, list: func(list client.ObjectList, opts []client.ListOption) error {
		asked = append(asked, list.(*metav1.PartialObjectMetadataList).Continue)
		return c.List(t.Context(), list, append(opts, client.Limit(2))...)
	}}}
	addPod(t, c, "other", "kube-proxy")
	if got, err := r.newestAgent(t.Context()); err != nil || !got.IsZero() {
		t.Errorf("without agents: %s, %v", got, err)
	}
	asked = nil
	began := time.Now().Truncate(time.Second)
	for _, name := range []string{"a", "b", "c"} {
		addPod(t, c, name, "cilium")
	}
	got, err := r.newestAgent(t.Context())
	if err != nil || got.Before(began) || len(asked) != 2 || asked[1] == "" {
		t.Errorf("%s, %v; pages %q", got, err, asked)
	}
}

type listing struct {
	client.Client
	list func(client.ObjectList, []client.ListOption) error
}

func (l listing) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return l.list(list, opts)
}

// A policy whose probes see only what may pass is looked at again soon, and is Ready.
func TestDampedPolicy(t *testing.T) {
	t.Parallel()
	_, c := cluster(t)
	addPod(t, c, "agent", "cilium")
	r := reconciler(c)
	sight := remediate.Sight{At: time.Now(), Wanted: 1, Judgement: confirm.Judgement{Findings: []v1alpha1.Finding{
		{Signature: signature.PacketLoss, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidenceConfirmed}}}}
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cilium"}}
	l := &look{key: client.ObjectKeyFromObject(p), sight: sight, target: &target{}}
	must(t, r.incidents(t.Context(), p, l))
	result, err := r.finish(p, l, nil)
	must(t, err)
	if result.RequeueAfter != calmAgain || len(p.Status.Active) > 0 {
		t.Errorf("again in %s, active %q", result.RequeueAfter, p.Status.Active)
	}
	if !slices.ContainsFunc(p.Status.Conditions, func(c metav1.Condition) bool { return c.Type == meta.ReadyCondition && c.Status == "True" }) {
		t.Errorf("%+v", p.Status.Conditions)
	}
}
